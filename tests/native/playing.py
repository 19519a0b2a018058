"""A completions server for tests: it continues prompts as a function says, in one of the known dialects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from weaver._models.protocol import Request
from weaver.testing import Scripted, ScriptedModel

Dialect = Literal["named", "unnamed", "included", "ignored"]


@dataclass
class Completions(ScriptedModel):
    """Continues raw prompts.

    Args:
        plays: from a prompt to all that the model would write until its end of text, or a `Scripted` with it.
        dialect: what happens at a stop string: it is ``named`` (vLLM, SGLang), ``unnamed`` (llama.cpp),
            ``included`` in the text, or ``ignored`` by the server.
    """

    plays: Callable[[str], str | Scripted] = str
    dialect: Dialect = "named"

    def _reply_to(self, request: Request) -> Scripted:
        assert request.prompt is not None, "a native strategy must send raw prompts"
        said = self.plays(request.prompt)
        reply = said if isinstance(said, Scripted) else Scripted(said)
        assert isinstance(reply.text, str)
        hits = [(at, stop) for stop in request.stop if (at := reply.text.find(stop)) >= 0]
        if not hits or self.dialect == "ignored":
            return reply
        at, stop = min(hits)
        end = at + len(stop) if self.dialect == "included" else at
        return replace(reply, text=reply.text[:end], stop=stop if self.dialect == "named" else None)

    @property
    def prompts(self) -> list[str]:
        """Every prompt that was sent, in order."""
        return [r.request.prompt or "" for r in self.requests]
