"""Sending one request until the server takes it, and keeping what it taught."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from weaver._models.endpoint_memory import memory
from weaver._models.layers.call_log import Dropped, tell
from weaver._models.openai.dialect import Dialect, Step, may_mean_structure, names_structure
from weaver._models.openai.errors.complaints import Complaint
from weaver.errors import ModelError

MAX_STEPS = 8
"""How often one call is sent again because a server refused a wish."""
NAMESPACE = "dialect"


class Negotiation:
    """The tries of one call.

    Args:
        model: its name, for notes.
        dialect: what the server takes as far as known; shared by all calls.
        fields: makes the fields of the body by that dialect.
        learned: keeps what the server teaches.
    """

    def __init__(
        self, model: str, dialect: Dialect, fields: Callable[[], dict[str, Any]], learned: Learned
    ) -> None:
        self._model = model
        self._dialect = dialect
        self._fields = fields
        self._learned = learned
        self._sent: dict[str, Any] = {}
        self._steps = 0
        self._room: int | None = None
        self._suspects: set[str] = set()
        self._unexplained: ModelError | None = None

    def fields(self) -> dict[str, Any]:
        """The fields to send now."""
        fields = {name: value for name, value in self._fields().items() if name not in self._suspects}
        if self._room is not None:
            for name in ("max_tokens", "max_completion_tokens"):
                if name in fields:
                    fields[name] = min(fields[name], self._room)
        self._sent = fields
        return fields

    def goes_on(self, error: ModelError) -> bool:
        """Return True if to send again, changed, after ``error``."""
        complaint = error.complaint
        if not isinstance(complaint, Complaint):
            return False
        if self._unexplained is not None:  # leaving out the suspects did not help: they were innocent
            self._suspects = set()
            self._unexplained.refuses_structure = False
            return False
        if names_structure(complaint, self._sent):
            error.refuses_structure, error.retriable = True, False
        else:
            error.refuses_structure = may_mean_structure(complaint, self._sent)
        if self._steps >= MAX_STEPS:
            return False
        self._steps += 1
        room = self._dialect.room_in(complaint, self._sent)
        if room is not None and room != self._room:
            self._room = room
            self._tell(Step("that many max_tokens", f"{room} fit into its context window"))
        elif step := self._dialect.learn(complaint, self._sent):
            self._learned.is_new = True
            self._tell(step)
        elif not error.refuses_structure and (suspects := self._dialect.suspects(complaint, self._sent)):
            self._suspects, self._unexplained = suspects, error
        else:
            # Another call may have learned it in the meantime.
            return bool(self._fields().keys() != self._sent.keys() and self._room is None)
        return True

    def accepted(self) -> None:
        """The server has taken the last try: what it taught in this call and in failed ones is kept."""
        if self._suspects:
            self._dialect.without |= self._suspects
            self._tell(Step(", ".join(sorted(self._suspects)), "it is left out"))
        if self._suspects or self._learned.is_new:
            self._learned.keep()

    def _tell(self, step: Step) -> None:
        if step.instead:
            tell(Dropped(self._model, step.wish, step.instead))


class Learned:
    """What one endpoint taught, kept between processes.

    Args:
        endpoint: the model's endpoint.
        model: what the server calls it.
        dialect: filled with what was learned earlier, when that is first needed.

    Attributes:
        is_new: the dialect has changed since it was kept.
    """

    def __init__(self, endpoint: str, model: str, dialect: Dialect) -> None:
        self._endpoint = endpoint
        self._model = model
        self._dialect = dialect
        self.is_new = False
        self._recalled = False
        self._server_then: str | None = None
        self._server: str | None = None

    def recall(self) -> None:
        """Take over what was learned in earlier processes, once."""
        if self._recalled:
            return
        self._recalled = True
        if facts := memory().get(NAMESPACE, self._endpoint, self._model):
            server = facts.get("server")
            self._server_then = server if isinstance(server, str) else None
            self._dialect.recall(facts)

    def met(self, server: str) -> None:
        """Compare what the server calls itself with earlier; forget everything when it is another one."""
        if self._server is None and self._server_then not in {None, server}:
            self._dialect.forget()
            memory().forget(endpoint=self._endpoint, model=self._model)
        self._server = server

    def keep(self) -> None:
        """Remember the dialect as it is now."""
        self.is_new = False
        facts = {**self._dialect.facts(), "server": self._server or ""}
        memory().put(NAMESPACE, self._endpoint, self._model, facts, server=self._server or "")
