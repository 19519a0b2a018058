"""Every error that weaver raises, in one tree.

WeaverError
├── ConfigurationError          wrong argument, environment, file or name (exit code 2)
│   ├── InvalidTaskError
│   ├── InvalidWorkflowError         a workflow file: every problem of it, each with line and column
│   ├── UnknownNameError
│   └── MissingCapabilityError       the chosen model cannot do what the strategy needs
├── ModelError                  a model call failed
│   ├── ModelConnectionError        refused, no route, name not found
│   ├── ModelTimeoutError            connected, but silent for too long
│   ├── BadRequestError           4xx: the request itself is wrong
│   │   └── AuthenticationError   401, 403
│   ├── RateLimitError         429, 503: try again later
│   ├── ServerError             5xx: the server's own fault
│   ├── ModelProtocolError      not the protocol: HTML, broken JSON, wrong content type
│   ├── StreamInterruptedError            output had begun, then the stream ended early
│   ├── ModelRefusedError            the model, or a filter of its provider, refused to answer
│   └── EmptyReplyError              the model ended without saying anything
├── InvalidOutputError               text that does not fit its schema, after repairs
│   └── InvalidPlanError
├── StepError                  a step of a workflow cannot go on
├── ToolError
│   └── InvalidToolArgumentsError    a model's arguments do not fit the tool's parameters
├── ToolServerError            a server of tools cannot be started, reached or understood
├── BudgetExceededError
├── DeadlineExceededError
├── RunCancelled                the user stopped the run
├── RunUnfinishedError               a result was read before the run had ended
├── MissingOutputError               a result without the typed output that the task asked for
├── NoAnswerError                    every thread failed
├── StrategyError              a strategy raised something that is not ours, or gave no answer
├── RefusedError                     a guardrail refused the task, a call or the answer (exit code 4)
├── HookError                  a hook raised something that is not ours, or returned nothing usable
├── TraceStoreError             the local trace store cannot be read or written
├── JournalError
│   └── RunTakenOverError            another process goes on with the run
├── SessionError                a conversation cannot be read or kept
└── DownloadError              a model's file cannot be fetched, stored or trusted

A message says what happened and where; ``hint`` says what to do about it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, Self

from weaver._text.names import did_you_mean


class WeaverError(Exception):
    """Base of every error of weaver.

    Attributes:
        message: what happened and where.
        hint: what to do about it, or ``""``.
        result: set by a run that failed: the `weaver.Result` with everything that had finished; else None.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.result: Any = None

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message


class ConfigurationError(WeaverError):
    """An argument, environment variable, file or name is wrong."""

    exit_code = 2


class InvalidTaskError(ConfigurationError):
    """The task cannot be worked on as it was given."""


class InvalidWorkflowError(ConfigurationError):
    """A workflow file cannot be run.

    Attributes:
        problems: every `weaver._workflows.source.diagnostics.Problem`, in the order of the file.
    """

    problems: tuple[Any, ...] = ()


class UnknownNameError(ConfigurationError):
    """A strategy, model, policy, tool or agent of that name does not exist."""

    def __init__(self, kind: str, name: str, known: Iterable[str], *, hint: str = "") -> None:
        names = sorted(known)
        super().__init__(f"There is no {kind} named {name!r}.", hint=hint or did_you_mean(name, names))
        self.kind = kind
        self.name = name
        self.known = names


class MissingCapabilityError(ConfigurationError):
    """The model or endpoint cannot do what was asked of it."""


class ModelError(WeaverError):
    """A model call failed.

    Attributes:
        model: the model's name as weaver knows it.
        retriable: whether the same request may succeed later.
        retry_after: seconds the server asked to wait, or None.
        complaint: the server's error as its adapter read it, or None; never shown.
        refuses_structure: whether the server may have refused the way in which structured output was asked
            for, so that another way may be taken.
    """

    retriable = False
    complaint: Any = None
    refuses_structure = False

    def __init__(
        self, message: str, *, model: str = "", hint: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.model = model
        self.retry_after = retry_after


class ModelConnectionError(ModelError):
    """No connection: refused, reset before any answer, no route, or the name is not known."""

    retriable = True


class ModelTimeoutError(ModelError):
    """The server is connected but stayed silent for too long."""

    retriable = True


class BadRequestError(ModelError):
    """The server refused the request as wrong (4xx)."""


class AuthenticationError(BadRequestError):
    """The key is missing, wrong, or not allowed to use the model (401, 403)."""


class RateLimitError(ModelError):
    """The server asks to come back later (429, 503).

    Attributes:
        exceeded: what there was too much of within some time, ``requests`` or ``tokens``, where the server
            says so; None: calls at once, or unknown.
    """

    retriable = True
    exceeded: Literal["requests", "tokens"] | None = None


class ServerError(ModelError):
    """The server failed on its own (5xx)."""

    retriable = True


class ModelProtocolError(ModelError):
    """What came back is not the protocol that was asked for."""


class StreamInterruptedError(ModelError):
    """The stream ended or broke after output had begun; what had arrived is kept."""


class ModelRefusedError(ModelError):
    """The model said that it does not answer, or a filter of its provider stopped it before any text."""


class EmptyReplyError(ModelError):
    """The model ended its answer without saying anything."""


class InvalidOutputError(WeaverError):
    """A model's text does not fit the schema it was asked for, also after repairs."""


class InvalidPlanError(InvalidOutputError):
    """A plan that cannot be run: cycle, unknown dependency, duplicate id, over a cap."""


class StepError(WeaverError):
    """A step of a workflow cannot go on: an expression has no value, a list is none, nothing came out."""


class ToolError(WeaverError):
    """A tool raised, took too long, was not approved, or was called with arguments that do not fit."""


class InvalidToolArgumentsError(ToolError):
    """A model called a tool with arguments that do not fit its parameters."""


class ToolServerError(WeaverError):
    """A server of tools (MCP) cannot be started, reached or understood."""


class BudgetExceededError(WeaverError):
    """A limit on tokens, cost, calls, threads or depth would be passed.

    Attributes:
        limit: ``tokens``, ``cost_usd``, ``calls``, ``threads`` or ``depth``.
    """

    def __init__(self, message: str, *, limit: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.limit = limit


class DeadlineExceededError(WeaverError):
    """The deadline passed and there was nothing to answer with."""


class RunCancelled(WeaverError):  # noqa: N818 - nothing went wrong
    """The user cancelled the run."""

    exit_code = 130


class RunUnfinishedError(WeaverError):
    """A result was read of a run that has not ended."""


class MissingOutputError(WeaverError, AttributeError):
    """`Result.output` was read where the run made no output of the type that its task asks for."""


class NoAnswerError(WeaverError):
    """Nothing that could be an answer was produced: every thread failed."""


class StrategyError(WeaverError):
    """A strategy (often a user's own) raised what is no `WeaverError`, or came back without an `Answer`."""


class RefusedError(WeaverError):
    """A guardrail refused the task, a call or the answer. Raise it in a hook: ``raise RefusedError("why")``.

    Attributes:
        hook: the hook's name; set when it leaves the hook.
    """

    exit_code = 4

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.hook = ""


class HookError(WeaverError):
    """A hook raised something that is not a `WeaverError`, or returned what it may not return."""


class TraceStoreError(WeaverError):
    """The local trace store cannot be read or written."""


class JournalError(WeaverError):
    """The journal cannot be read or written, or does not belong to this run."""


class RunTakenOverError(JournalError):
    """Another process has become the owner of the run, or has cancelled or removed it; this one stops."""

    @classmethod
    def of(cls, run_id: str) -> Self:
        """The error for a run."""
        return cls(
            f"Run {run_id} was taken over, cancelled or removed by somebody else; this process stops.",
            hint=f"See `weaver runs show {run_id}`.",
        )


class SessionError(WeaverError):
    """The messages of a session cannot be read or kept."""


class DownloadError(WeaverError):
    """A model's file cannot be fetched, does not fit on the disk, or has the wrong checksum."""
