"""One call that answers a request as it is: with the client's own tools, stop strings and the rest."""

from __future__ import annotations

import json
from typing import Any

from weaver._data.result import Answer
from weaver._data.task import Task
from weaver._models.protocol import Delta, Reasoning, Refusal, Request, Text, ToolCallPart
from weaver._models.reply import Reply
from weaver._runtime.calls.model_calls import answer_of
from weaver._runtime.run import Run
from weaver._serving.work.inquiry import Inquiry
from weaver._serving.work.outbox import Outbox
from weaver.errors import MissingCapabilityError


class PassedThrough:
    """A strategy: one model call with everything that the client asks for, its deltas as they come.

    Attributes:
        reply: of the call, once it has ended.
    """

    __name__ = "direct"

    def __init__(self, inquiry: Inquiry, outbox: Outbox) -> None:
        self.reply: Reply | None = None
        self._inquiry = inquiry
        self._outbox = outbox

    async def __call__(self, run: Run, task: Task) -> Answer:
        """Answer.

        Raises:
            MissingCapabilityError: the model cannot call tools.
        """
        inquiry, sampling = self._inquiry, self._inquiry.sampling
        if inquiry.tools and not (await run.capabilities()).tools:
            raise MissingCapabilityError(
                f"{run.context.model().name} cannot call tools, and the request has {len(inquiry.tools)}.",
                hint="Choose a model that can, or send no tools.",
            )
        request = Request(
            messages=task.conversation,
            max_tokens=sampling.max_tokens,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            seed=sampling.seed,
            stop=sampling.stop,
            reasoning_effort=sampling.effort,
            tools=inquiry.tools,
            tool_choice=inquiry.tool_choice,
            output=inquiry.output,
            json_object=inquiry.json_object,
            extra=inquiry.extra,
        )
        features = {"tools": float(len(inquiry.tools))}
        run.decide(False, "user", "one call was asked for", features=features)
        self.reply = reply = await run.think(request, listen=self._hear)
        answer = answer_of(run.context, reply)
        if reply.tool_calls and not answer.text:
            calls = [{"name": call.name, "arguments": call.arguments} for call in reply.tool_calls]
            return Answer(json.dumps({"tool_calls": calls}), complete=answer.complete)
        return answer

    def _hear(self, delta: Delta) -> None:
        match delta:
            case Text():
                self._outbox.put("text", delta.text)
            case Reasoning():
                self._outbox.put("reasoning", delta.text)
            case Refusal():
                self._outbox.put("refusal", delta.text)
            case ToolCallPart():
                self._outbox.put_tool_call(delta)
            case _:
                pass  # usage, log-probabilities and the end are read from the reply


def tool_call_fields(part: Any) -> dict[str, Any]:
    """A piece of a tool call as Chat Completions writes it; ``id`` and ``name`` in its first piece."""
    function = {"arguments": part.arguments}
    if part.name is not None:
        function = {"name": part.name, "arguments": part.arguments}
    head = {"index": part.index}
    if part.id is not None:
        head |= {"id": part.id, "type": "function"}
    return {**head, "function": function}
