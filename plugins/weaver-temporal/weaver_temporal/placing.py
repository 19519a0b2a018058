"""Runs on a Temporal cluster: submitted, worked on, cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import anyio
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import Priority, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker

from weaver._dispatch.port import LEASE_SECONDS
from weaver._settings.settings import Settings
from weaver._workers.pruning import prune_regularly
from weaver._workers.running import Runs
from weaver.errors import ConfigurationError, JournalError
from weaver_temporal.activity import Activities
from weaver_temporal.workflow import RunWorkflow

if TYPE_CHECKING:
    from weaver._journal.port import Journal

_BEAT_SECONDS = 0.5
"""Heartbeats are sent as often as this; a cancellation arrives with the answer to one."""
_USUAL_PRIORITY, _LOWEST = 3, 5


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where Temporal is.

    Args:
        address: ``HOST:PORT``.
        queue: Temporal's task queue; workers serve one.
        lease_seconds: a worker without a heartbeat for so long is dead.
    """

    address: str = "localhost:7233"
    namespace: str = "default"
    queue: str = "weaver"
    lease_seconds: float = LEASE_SECONDS

    async def client(self) -> Client:
        """Connect.

        Raises:
            ConfigurationError: Temporal does not answer.
        """
        try:
            return await Client.connect(self.address, namespace=self.namespace)
        except (RuntimeError, OSError) as error:
            raise ConfigurationError(
                f"Temporal does not answer at {self.address}: {_one_line(error)}.",
                hint="Say where it is: TEMPORAL_ADDRESS=HOST:7233, or --address.",
            ) from error


async def submit(
    client: Client,
    cluster: Cluster,
    journal: Journal,
    run_id: str,
    about: Mapping[str, Any],
    *,
    priority: int = 0,
    submitter: str = "",
    delay: float = 0.0,
) -> None:
    """Record the run, then place it; both are durable on return. Doing it again has no further effect.

    Args:
        priority: 2 (first) to -2 (last).
        submitter: submitters get equal shares where the cluster has fairness switched on.

    Raises:
        JournalError: it cannot be recorded, or cannot be placed.
    """
    if await journal.head(run_id) is None:
        opened = await journal.open(run_id, about=about)
        await journal.finish(run_id, opened.epoch, "queued")
    key = min(max(_USUAL_PRIORITY - priority, 1), _LOWEST)
    try:
        await client.start_workflow(
            RunWorkflow.run,
            args=[run_id, cluster.lease_seconds],
            id=run_id,
            task_queue=cluster.queue,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            start_delay=timedelta(seconds=delay) if delay else None,
            priority=Priority(priority_key=key, fairness_key=submitter or None),
        )
    except WorkflowAlreadyStartedError:
        return
    except RPCError as error:
        raise JournalError(
            f"Run {run_id} is recorded, and Temporal did not take it: {_one_line(error)}.",
            hint=f"Submit it again with --run-id {run_id}.",
        ) from error


async def serve(
    client: Client,
    cluster: Cluster,
    journal: Journal,
    *,
    concurrency: int,
    stop: asyncio.Event,
    drain_seconds: float = 30.0,
) -> None:
    """Work on runs until ``stop``; what has not ended ``drain_seconds`` later goes to other workers."""
    runs = Runs(journal)
    worker = Worker(
        client,
        task_queue=cluster.queue,
        workflows=[RunWorkflow],
        activities=[Activities(journal, runs, cluster.lease_seconds).work],
        max_concurrent_activities=concurrency,
        max_heartbeat_throttle_interval=timedelta(seconds=_BEAT_SECONDS),
        default_heartbeat_throttle_interval=timedelta(seconds=_BEAT_SECONDS),
        graceful_shutdown_timeout=timedelta(seconds=drain_seconds),
    )
    try:
        async with anyio.create_task_group() as group, worker:
            group.start_soon(prune_regularly, journal, Settings.load().retention)
            await stop.wait()
            group.cancel_scope.cancel()
    finally:
        await runs.aclose()


async def cancel(client: Client, journal: Journal, run_id: str) -> bool:
    """Cancel a run: its worker is notified by the journal and from Temporal. False if it had ended.

    Raises:
        JournalError: Temporal cannot be reached; the journal has the cancellation.
    """
    head = await journal.head(run_id)
    if head is None or head.status in ("complete", "partial", "failed", "cancelled"):
        return False
    await journal.cancel(run_id)
    handle = client.get_workflow_handle(run_id)
    try:
        if (await handle.describe()).status == WorkflowExecutionStatus.RUNNING:
            await handle.cancel()
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise JournalError(f"Temporal was not told: {_one_line(error)}.") from error
    return True


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()).rstrip(".")[:300]
