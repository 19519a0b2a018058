"""Asking for structured output: by the best way that a model has, and by the next when that one fails.

The ways, best first: a JSON Schema that the endpoint enforces, a tool call with that schema, any JSON object
with the schema in the prompt, and the prompt alone, which every model takes. The next one is taken when a
server refuses a way, breaks off while it keeps to it, or answers as if it had not seen it. Refused ways are
remembered (`weaver._models.endpoint_memory`, namespace ``structured``) and not tried by the next run.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Literal, TypeVar

from weaver._data.messages import Message, assistant, system, user
from weaver._json_reading.json_types import is_array
from weaver._models.endpoint_memory import memory
from weaver._models.protocol import Capabilities, Model, OutputSchema, Request, ToolSpec
from weaver._models.reply import Reply
from weaver._runtime.output.structured_output import Shape, output_text
from weaver.errors import EmptyReplyError, InvalidOutputError, ModelError

T = TypeVar("T")
Way = Literal["json_schema", "tool", "json_object", "prompt"]
Ask = Callable[[Request], Awaitable[Reply]]
WAYS: tuple[Way, ...] = ("json_schema", "tool", "json_object", "prompt")
REPAIRS = 2
"""How often an output that does not fit its schema is asked for again."""
NAMESPACE = "structured"
_OTHER_TEMPERATURE = 0.7  # for a model that repeats its mistake


class Asking:
    """One question whose answer must fit a schema.

    Args:
        request: the question; its tools are replaced.
        schema: what the answer must fit.
        can: what the model can do.
        model: who is asked; what its endpoint refused earlier is left out.
        note: told in words when a way is given up.

    Attributes:
        way: how it is asked now.
    """

    def __init__(
        self,
        request: Request,
        schema: OutputSchema,
        can: Capabilities,
        model: Model,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._base = replace(request, tools=(), tool_choice="auto", output=None, json_object=False)
        self._schema = schema
        self._model = model
        self._note = note
        self._refused: list[str] = []
        self._last_mistake = ""
        takes = {"json_schema": can.json_schema, "tool": can.tools, "json_object": can.json_object}
        refused = _refused_earlier(model)
        self._ways: list[Way] = [way for way in WAYS if takes.get(way, True) and way not in refused]

    @property
    def way(self) -> Way:
        """The method that is used now."""
        return self._ways[0]

    @property
    def request(self) -> Request:
        """The request by the way that is taken now."""
        return self.by(self.way)

    def by(self, way: Way) -> Request:
        """The request by a way."""
        match way:
            case "json_schema":
                return replace(self._base, output=self._schema)
            case "tool":
                answer = ToolSpec(self._schema.name, "Give your answer by calling this.", self._schema.schema)
                return replace(self._base, tools=(answer,), tool_choice=self._schema.name)
            case "json_object":
                return replace(with_schema(self._base, self._schema), json_object=True)
            case _:
                return with_schema(self._base, self._schema)

    async def ask(self, ask: Ask) -> Reply:
        """The first reply, by the first way that the server does not refuse.

        Raises:
            ModelError: for another reason, or by the last way.
        """
        while True:
            try:
                return await ask(self.request)
            except ModelError as error:
                if not self.steps_down(error):
                    raise

    async def fitted(self, shape: Shape[T], reply: Reply, ask: Ask) -> tuple[T, Reply]:
        """The value of ``reply``, asked for again at most `REPAIRS` times with what was wrong.

        Returns:
            The value, and the reply that it was in.

        Raises:
            InvalidOutputError: it still does not fit after the repairs.
            ModelError: it could not be asked for again.
        """
        repairs = 0
        while True:
            text = output_text(reply)
            try:
                value = shape.parse(text, cut=reply.finish in {"length", None})
            except InvalidOutputError as error:
                if repairs == REPAIRS:
                    raise
                repairs += 1
                if not self._overlooked(reply) or not self._shows_schema():
                    self.correct(text, error.message, again="Answer again, corrected.")
                reply = await self.ask(ask)
            else:
                self.succeeded()
                return value, reply

    def steps_down(self, error: ModelError) -> bool:
        """Return True if there is a next way after ``error``, which is then taken."""
        refused = error.refuses_structure or (isinstance(error, EmptyReplyError) and self.way != "prompt")
        return refused and self.next_way(error.message)

    def _shows_schema(self) -> bool:
        """Go on to the next way that has the schema in the prompt, if there is one."""
        reason = "the reply did not keep to the schema"
        return self.next_way(reason) and (self.way in {"json_object", "prompt"} or self.next_way(reason))

    def _overlooked(self, reply: Reply) -> bool:
        """True if a reply that does not fit looks as if the server had not passed on what was asked."""
        if self.way == "tool":
            return not reply.tool_calls
        return self.way == "json_schema" and "{" not in reply.text and not reply.tool_calls

    def next_way(self, because: str) -> bool:
        """Take the next way, if there is one."""
        if len(self._ways) == 1:
            return False
        self._refused.append(self._ways.pop(0))
        way = {"tool": "a tool call", "json_object": "JSON mode", "prompt": "the prompt alone"}.get(self.way)
        self._note(f"{self._model.name} was asked for JSON by {way} instead ({because[:200]}).")
        return True

    def correct(self, text: str, problem: str, *, again: str) -> None:
        """Ask again with what was wrong. A mistake that repeats itself is asked for in another way.

        Args:
            text: what the model wrote.
            problem: what is wrong with it.
            again: what to do now.
        """
        base = self._base
        if text and text == self._last_mistake:
            self.next_way("it repeated its mistake")
            base = replace(base, temperature=max(base.temperature or 0.0, _OTHER_TEMPERATURE))
            *before, last = base.messages[:-2]  # without the first correction
            rule = f"An earlier answer was no use: {problem} Write it anew, in another way than at first."
            messages: tuple[Message, ...] = (*before, last.extended(rule))
            self._last_mistake = ""
        else:
            messages = (*base.messages, assistant(text or "(nothing)"), user(f"{problem} {again}"))
            self._last_mistake = text
        self._base = replace(base, messages=messages)

    def with_more_room(self) -> None:
        """Double the cap on tokens: a plan or an object was cut off at it."""
        if self._base.max_tokens is not None:
            self._base = replace(self._base, max_tokens=2 * self._base.max_tokens)

    def succeeded(self) -> None:
        """The way that is taken now works: remember those that did not."""
        if self._refused and _is_remote(self._model):
            refused = sorted({*_refused_earlier(self._model), *self._refused})
            memory().put(NAMESPACE, self._model.endpoint, self._model.name, {"refused": refused})
            self._refused.clear()


def _is_remote(model: Model) -> bool:
    """Return True if what is learned holds for other models of that name: not so for a test's own."""
    return model.endpoint.startswith(("http://", "https://"))


def _refused_earlier(model: Model) -> frozenset[str]:
    facts = memory().get(NAMESPACE, model.endpoint, model.name) if _is_remote(model) else None
    refused = facts.get("refused") if facts else None
    return frozenset(refused) & set(WAYS[:-1]) if is_array(refused) else frozenset()


def with_schema(request: Request, schema: OutputSchema) -> Request:
    """The request with the schema in its prompt."""
    rule = (
        "Answer with one JSON object that fits this JSON Schema, and with nothing else:\n"
        f"{json.dumps(schema.schema)}"
    )
    messages = list(request.messages)
    if messages and messages[0].role == "system":
        messages[0] = messages[0].extended(rule)
    else:
        messages.insert(0, system(rule))
    return replace(request, messages=tuple(messages))
