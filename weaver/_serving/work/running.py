"""Running what a client asks for, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from weaver import events
from weaver._data.messages import Message, ToolCall
from weaver._data.result import Result
from weaver._data.task import Task
from weaver._data.usage import Usage, estimate_tokens
from weaver._json_reading.json_types import is_object
from weaver._models.reply import Reply
from weaver._serving.config import Detail
from weaver._serving.http.errors import ApiError, invalid
from weaver._serving.keys import Client
from weaver._serving.work.attached import split_off
from weaver._serving.work.client_tools import PassedThrough
from weaver._serving.work.inquiry import EFFORTS, Inquiry
from weaver._serving.work.offers import Offer
from weaver._serving.work.outbox import Outbox
from weaver._serving.work.progress import ProgressLines
from weaver._streaming.answer_text import AnswerText
from weaver._verification.named import check_of
from weaver.errors import ConfigurationError, WeaverError

if TYPE_CHECKING:
    from weaver._facade.weaver import Weaver
    from weaver._streaming.run_stream import RunStream
    from weaver._workflows.workflow import Workflow

VERIFY = "weaver.verify"
Ending = Literal["stop", "length", "tool_calls", "content_filter"]
_ENDINGS: Mapping[Any, Ending] = {"length": "length", "content_filter": "content_filter"}
_LIMITS = ("deadline", "max_cost", "max_total_tokens", "max_calls", "max_threads", "max_depth")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a request.

    Attributes:
        text: the answer.
        ending: why it ended: OpenAI's ``finish_reason``.
        result: the run's.
        tool_calls: calls of the client's tools.
        reasoning, refusal: of the model, where one call answered.
        notes: what a client should know about how its request was read.
    """

    text: str
    ending: Ending
    result: Result[Any]
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning: str = ""
    refusal: str = ""
    notes: tuple[str, ...] = ()

    @property
    def usage(self) -> Usage:
        """Usage of the whole run."""
        return self.result.usage

    @property
    def reasoning_tokens(self) -> int:
        """Generated tokens that are not the answer: hidden reasoning, plans, threads, votes."""
        usage = self.usage
        if usage.calls <= 1:
            return usage.reasoning_tokens
        return max(usage.reasoning_tokens, usage.output_tokens - estimate_tokens(self.text))

    @property
    def weaver(self) -> dict[str, Any]:
        """The object ``weaver`` of an answer."""
        result = self.result
        whole = result.as_dict()
        return {
            "run_id": result.run_id,
            "trace_id": result.trace_id,
            "status": result.status,
            "verified": result.verified,
            "strategy": result.strategy,
            "model": result.model,
            "cost_usd": result.usage.cost_usd,
            "calls": result.usage.calls,
            "seconds": round(result.metrics.wall_seconds, 3),
            "conflicts": whole["conflicts"],
            "threads": [
                {name: thread[name] for name in ("id", "title", "state")} for thread in whole["threads"]
            ],
            "notes": [*self.notes, *result.notes],
        }


@dataclass(slots=True)
class Work:
    """One request being worked on.

    Args:
        weaver: runs it; its settings are limits that requests can only tighten.
        progress: how much of the run is put into the outbox as reasoning, unless the request says so.
        durable: the run is recorded in the journal, whatever the settings say.
        is_resumed: the run goes on with what an earlier process recorded of it.

    Attributes:
        outbox: where the pieces of the answer come.
    """

    weaver: Weaver
    offer: Offer
    inquiry: Inquiry
    client: Client
    run_id: str
    progress: Detail = "titles"
    durable: bool = False
    is_resumed: bool = False
    outbox: Outbox = field(default_factory=Outbox)
    _stream: RunStream[Any] | None = None
    _notes: list[str] = field(default_factory=list[str])

    def stop(self) -> None:
        """End the run soon; what there is becomes the answer."""
        if self._stream is not None:
            self._stream.cancel("user")

    async def run(self) -> Outcome:
        """Run to the end.

        Raises:
            ApiError, WeaverError: there is no answer.
        """
        try:
            passed = PassedThrough(self.inquiry, self.outbox) if self._is_one_call else None
            opened = self._workflow() if self.offer.workflow is not None else self._strategy(passed)
            stream = self._stream = await opened
            stream.charge_to(self.client.ledger)
            async with stream:
                await self._follow(stream, quiet=passed is not None)
                return self._outcome(stream, passed)
        finally:
            self.outbox.end()

    @property
    def _is_one_call(self) -> bool:
        """True if one call answers: it was asked for, or the client has tools of its own."""
        inquiry, offer = self.inquiry, self.offer
        if inquiry.tools and offer.workflow is not None:
            raise invalid(
                f"The workflow {offer.id!r} cannot call the client's tools. Send no tools, or another model.",
                "tools",
            )
        if inquiry.tools and not offer.is_direct:
            self._notes.append("The request has tools: one call answered, without a strategy.")
        is_plain = inquiry.output is None and inquiry.extras.verify is None
        return bool(inquiry.tools) or (offer.is_direct and is_plain)

    async def _strategy(self, passed: PassedThrough | None) -> RunStream[Any]:
        inquiry, offer, sampling = self.inquiry, self.offer, self.inquiry.sampling
        messages, documents = (
            (inquiry.messages, ()) if offer.is_direct or passed else split_off(inquiry.messages)
        )
        task = _task(messages, sampling.max_tokens)
        if passed is None and inquiry.not_followed:
            names = ", ".join(inquiry.not_followed)
            self._notes.append(f"Not followed by the strategy {offer.strategy}: {names}.")
        adapts = (offer.strategy or "").partition(":")[0] == "adaptive"
        changes: dict[str, Any] = {
            **self._limits(EFFORTS.get(sampling.effort or "", {}) if adapts else {}),
            **self._durability,
            "strategy": passed or ("sequential" if offer.is_direct else offer.strategy),
            "model": offer.model,
            "temperature": sampling.temperature,
            "seed": sampling.seed,
            **self._agents(),
        }
        return self.weaver.stream(
            task,
            documents=documents,
            output=self._output,
            verify=self._verify,
            run_id=self.run_id,
            **changes,
        )

    @property
    def _verify(self) -> str | Mapping[str, Any] | None:
        verify = self.inquiry.extras.verify
        if verify is not None and self.inquiry.tools:
            raise invalid("A call that returns the client's tools is not checked. Leave it out.", VERIFY)
        try:
            check_of(verify)
        except ConfigurationError as error:
            raise invalid(f"{VERIFY}: {error}", VERIFY) from None
        return verify

    @property
    def _output(self) -> Any:
        inquiry = self.inquiry
        if inquiry.tools or (inquiry.output is None and not inquiry.json_object):
            return None
        return {"type": "object"} if inquiry.output is None else dict(inquiry.output.schema)

    async def _workflow(self) -> RunStream[Any]:
        from weaver._workflows.execution.runner import stream_workflow

        assert self.offer.workflow is not None
        inputs = self.inquiry.extras.inputs
        if inputs is None:
            inputs = inputs_from(self.offer.workflow, _question(self.inquiry))
        if self.inquiry.extras.verify is not None:
            raise invalid("The outputs of a workflow are not checked. Leave it out.", VERIFY)
        if self.inquiry.output is not None or self.inquiry.json_object:
            raise invalid(
                "A workflow's outputs have their own form. Leave response_format out.", "response_format"
            )
        return await stream_workflow(
            self.offer.workflow,
            inputs,
            weaver=self.weaver,
            run_id=self.run_id,
            **self._limits({}),
            **self._durability,
        )

    @property
    def _durability(self) -> dict[str, Any]:
        if not self.durable:
            return {}
        return {"durable": True} | ({"accept_changes": True} if self.is_resumed else {})

    def _limits(self, effort: Mapping[str, int]) -> dict[str, Any]:
        """The tightest limits: the server's, the model's or the request's."""
        extras, settings = self.inquiry.extras, self.weaver.settings
        own = {
            "deadline": extras.deadline,
            "max_cost": extras.max_cost,
            "max_total_tokens": extras.max_total_tokens,
        }
        limits: dict[str, Any] = {}
        for name in _LIMITS:
            values = [
                source.get(name)
                for source in (effort, own, self.offer.limits or {}, {name: getattr(settings, name)})
            ]
            if tight := [value for value in values if value is not None]:
                limits[name] = min(tight)
        return limits

    def _agents(self) -> dict[str, Any]:
        agents = self.offer.agents
        if (names := self.inquiry.extras.agents) is not None:
            agents_by_name = {
                a.name: a for a in (agents if agents is not None else self.weaver.settings.agents)
            }
            if unknown := [name for name in names if name not in agents_by_name]:
                raise invalid(
                    f"There is no agent {unknown[0][:64]!r}. Known: {', '.join(agents_by_name) or 'none'}.",
                    "weaver.agents",
                )
            agents = tuple(agents_by_name[name] for name in names)
        return {} if agents is None else {"agents": agents}

    async def _follow(self, stream: RunStream[Any], *, quiet: bool) -> None:
        """Put what a client is to read into the outbox, until the run has ended.

        Args:
            quiet: the strategy does so itself.
        """
        lines = ProgressLines(self.inquiry.extras.progress or self.progress)
        answer = AnswerText()
        # Such an answer may be mended before it is whole, and what was sent cannot be taken back.
        inquiry = self.inquiry
        held = inquiry.output is not None or inquiry.json_object or inquiry.extras.verify is not None
        async for event in stream:
            if quiet:
                continue
            if isinstance(event, (events.AnswerStarted, events.AnswerDelta)):
                self.outbox.put("text", "" if held else answer.take(event))
            else:
                self.outbox.put("reasoning", lines.text(event))

    def _outcome(self, stream: RunStream[Any], passed: PassedThrough | None) -> Outcome:
        result = stream.result
        if result.status == "failed" and not _has_refusal(passed):
            raise stream.error or WeaverError("The run ended without a result.")
        reply: Reply | None = passed.reply if passed is not None else None
        if reply is None:
            text = result.answer
            if result.output is not None and (self.inquiry.output is not None or self.inquiry.json_object):
                text = json.dumps(result.output, ensure_ascii=False)
                self.outbox.put("text", text)
            elif self.inquiry.extras.verify is not None:
                self.outbox.put("text", text)
            ending: Ending = "stop" if result.status == "complete" else "length"
            return Outcome(text, ending, result, notes=tuple(self._notes))
        ending = "tool_calls" if reply.tool_calls else _ENDINGS.get(reply.finish, "stop")
        if result.status == "partial" and ending == "stop" and not reply.refusal:
            ending = "length"
        return Outcome(
            reply.text,
            ending,
            result,
            reply.tool_calls,
            reply.reasoning,
            reply.refusal,
            tuple(self._notes),
        )


def _has_refusal(passed: PassedThrough | None) -> bool:
    return passed is not None and passed.reply is not None and bool(passed.reply.refusal)


def _task(messages: tuple[Message, ...], limit: int | None) -> Task:
    first = messages[0]
    if len(messages) == 1 and first.role == "user" and not first.media:
        return Task(prompt=first.text, max_tokens=limit)
    return Task(messages=messages, max_tokens=limit)


def _question(inquiry: Inquiry) -> str:
    return next((m.text for m in reversed(inquiry.messages) if m.role == "user"), "")


def inputs_from(workflow: Workflow, question: str) -> dict[str, Any]:
    """A workflow's inputs from a chat message: a JSON object with them, or the text of the only one needed.

    Raises:
        ApiError: it has several inputs, and the message does not give them by name.
    """
    inputs = workflow.inputs
    try:
        value = json.loads(question) if question.lstrip().startswith("{") else None
    except (ValueError, RecursionError):
        value = None
    if is_object(value) and value and set(value) <= set(inputs):
        return value
    needed = [name for name, spec in inputs.items() if not spec.optional]
    texts = needed or [name for name, spec in inputs.items() if spec.type in ("string", "any")]
    if not inputs:
        return {}
    if len(needed) > 1 or not texts:
        raise ApiError(
            400,
            f"The workflow {workflow.name!r} has the inputs {', '.join(inputs)}. Give them by name, as a "
            'JSON object in the last message or in "weaver": {"inputs": {...}}.',
            param="messages",
        )
    spec = inputs[texts[0]]
    try:
        return {texts[0]: spec.read(question)}
    except ValueError as error:
        raise invalid(f"The input {texts[0]!r} of {workflow.name!r}: {error}.", "messages") from None
