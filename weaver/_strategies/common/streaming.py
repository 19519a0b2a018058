"""What models say, as it comes: turns that are written in pieces, and who hears the final text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from weaver._data.messages import Message, assistant, user
from weaver._models.protocol import Delta, Reasoning, Request, Text
from weaver._models.reply import Reply
from weaver._runtime.default_body import Hear, thread_listener
from weaver._runtime.run import Run
from weaver._synthesis.synthesizer import answer_listener
from weaver.errors import MissingCapabilityError
from weaver.events import AnswerStarted

THINK, END = "<think>\n", "\n</think>\n\n"


class Said:
    """What a model has said in a stream so far, hidden reasoning included; pass `hear` as a listener.

    Args:
        listen: gets every delta too.
        start: what stood there before.
    """

    def __init__(self, listen: Hear | None = None, *, start: str = "") -> None:
        self._listen = listen
        self._reasoning: list[str] = []
        self._text: list[str] = [start]

    def hear(self, delta: Delta) -> None:
        """Take a delta, and pass it on."""
        if isinstance(delta, Text):
            self._text.append(delta.text)
        elif isinstance(delta, Reasoning):
            self._reasoning.append(delta.text)
        if self._listen is not None:
            self._listen(delta)

    @property
    def text(self) -> str:
        """Everything, reasoning first and between the tags that most models know."""
        reasoning, text = "".join(self._reasoning), "".join(self._text)
        if not reasoning:
            return text
        return f"{THINK}{reasoning}{END}{text}" if text else f"{THINK}{reasoning}"


def speaking(run: Run, source: str = "synthesis") -> Hear | None:
    """The listener for what a strategy says last: the user's in the root, else those of the thread."""
    if run.context.parent is not None:
        return thread_listener(run)
    run.emit(AnswerStarted(source))
    return answer_listener(run, source)


async def must_continue(run: Run, what: str, *, role: str = "thread") -> None:
    """Refuse an endpoint that cannot continue an unfinished message.

    Raises:
        MissingCapabilityError: naming ``what`` needs it.
    """
    if not (await run.capabilities(role)).prefill:
        raise MissingCapabilityError(
            f"{what} needs to continue an unfinished message (prefill), which "
            f"{run.context.model(role).name} does not offer.",
            hint="Use your own server (llama.cpp, vLLM, SGLang), or leave the option out.",
        )


@dataclass(slots=True)
class Turn:
    """An assistant's turn that is written in pieces.

    Attributes:
        before: the conversation that it answers; may be changed between two pieces.
        text: what it has said so far.
        tokens: how many of its tokens were generated (put-in words do not count).
        ask: how to ask for more where the endpoint cannot continue an unfinished message; "" continues it.
    """

    run: Run
    before: Sequence[Message]
    text: str = ""
    tokens: int = 0
    ask: str = ""

    async def go_on(self, request: Request, *, name: str = "call", listen: Hear | None = None) -> Reply:
        """Let the model go on from here; what it says is added to ``text``.

        Args:
            request: its messages are replaced, the rest (limits, stops) is taken as it is.
        """
        messages = list(self.before)
        if self.text:
            messages.append(assistant(self.text))
            if self.ask:
                messages.append(user(self.ask))
        continued = replace(request, messages=tuple(messages), prefill=bool(self.text) and not self.ask)
        reply = await self.run.think(continued, name=name, listen=listen)
        apart = "\n" if self.text and self.ask and not self.text[-1].isspace() else ""
        self.text += apart + reply.reasoning + reply.text
        self.tokens += reply.usage.output_tokens
        return reply
