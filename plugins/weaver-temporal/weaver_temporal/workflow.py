"""The workflow of one run: a single activity, taken over when its worker dies.

Temporal's sandbox imports this module again and again, so it imports nothing of weaver.
"""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

WORK = "weaver-work"
"""Name of the activity."""
MAX_ATTEMPTS = 10
"""Workers that a run may bring down before it has failed."""


@workflow.defn(name="weaver-run")
class RunWorkflow:
    """Places a run. Its payload is the run's id: everything else is in the journal."""

    @workflow.run
    async def run(self, run_id: str, lease_seconds: float) -> str:
        """Have the run worked on; returns its status.

        The retries are takeovers only: a run that fails is a result and no error. Calls and steps are tried
        again by weaver.
        """
        status: str = await workflow.execute_activity(
            WORK,
            run_id,
            result_type=str,
            # Runs may take days; a worker that lives sends heartbeats.
            start_to_close_timeout=timedelta(days=30),
            heartbeat_timeout=timedelta(seconds=lease_seconds),
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            retry_policy=RetryPolicy(
                initial_interval=timedelta(milliseconds=100),
                backoff_coefficient=1.0,
                maximum_attempts=MAX_ATTEMPTS,
            ),
        )
        return status
