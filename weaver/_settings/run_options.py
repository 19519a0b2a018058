"""The keyword options of `Weaver` and its methods, as types, so that type checkers find a misspelt one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from weaver._text.names import did_you_mean
from weaver.errors import ConfigurationError

if TYPE_CHECKING:
    from datetime import timedelta

    from weaver._data.messages import Message
    from weaver._data.plan import Plan
    from weaver._data.task import Agent
    from weaver._models.protocol import Model, Prices
    from weaver._planning.policy import Policy
    from weaver._sessions.protocol import Session
    from weaver._settings.settings import ModelSettings
    from weaver._tools.approvals import Approve


class SettingOptions(TypedDict, total=False):
    """Every setting but the model, as an argument; None leaves it to environment and file.

    `weaver.options.Settings` says what they mean. Times are seconds or ``30s``, money is US dollars.
    """

    base_url: str | None
    api_key: str | None
    headers: Mapping[str, str] | None
    planner_model: str | Model | None
    judge_model: str | Model | None
    synthesizer_model: str | Model | None
    strategy: str | Callable[..., Any] | None
    policy: str | Path | Policy | None
    instructions: str | None
    deadline: float | str | timedelta | None
    max_total_tokens: int | None
    max_cost: float | None
    max_calls: int | None
    max_threads: int | None
    max_depth: int | None
    thread_timeout: float | str | timedelta | None
    temperature: float | None
    seed: int | None
    max_answer: int | None
    stop_repetition: bool | None
    tool_rounds: int | None
    max_steps: int | None
    max_tool_result: int | None
    approval_timeout: float | str | timedelta | None
    allow_effects: bool | None
    durable: bool | None
    keep_days: float | None
    keep_runs: int | None
    keep_megabytes: float | None
    keep_unfinished_days: float | None
    accept_changes: bool | None
    mcp: str | Sequence[str] | None
    mcp_servers: Mapping[str, Any] | None
    hooks: Sequence[Any] | None
    agents: Sequence[Agent] | None
    models: Mapping[str, ModelSettings | Mapping[str, Any]] | None
    prices: Mapping[str, Prices | Mapping[str, float]] | None


class Changes(SettingOptions, total=False):
    """Every setting, for one run."""

    model: str | Model | None


class RunOptions(Changes, total=False):
    """What one run is given besides its task and its output type.

    Attributes:
        plan: a decomposition to follow instead of asking the planner.
        parts: what the task consists of, as texts. ``adaptive`` works on them at the same time where that
            pays, without asking the planner; other strategies find them under the question.
        documents: what the question is about: `pathlib.Path`, texts, bytes, `FilePart`, `TextPart`, or pairs
            (name, text or bytes). They may be much longer than the model's context window, see
            docs/long-inputs.md.
        tools: functions, `Tool` objects or toolsets that threads may call, besides those of the `Weaver`.
        deps: what tools find in their `Context`; any object.
        approve: asks somebody about a tool call that needs approval.
        hooks: hooks, besides those of the `Weaver` and inside them.
        history: the conversation before the task: `Message` objects, or objects of OpenAI's shape.
        session: the conversation that the task goes on with: a `Session`, or an id that ``Weaver(sessions=)``
            finds it by. The turn is added to it when there is an answer.
        verify: a check of the answer: a function of the `Answer` (True, False, a score or a `Verdict`; may be
            async), a name such as ``arithmetic``, a JSON Schema, or a `weaver.verifiers.Command`. An answer
            that does not pass is repaired once; ``result.verified`` says how it ended.
        run_id: the id of the run; with a journal, that of a run to go on with.
    """

    plan: Plan | None
    parts: Sequence[str]
    documents: Sequence[Any]
    verify: Any
    tools: Sequence[Any]
    deps: Any
    approve: Approve | None
    history: Sequence[Message | Mapping[str, Any]]
    session: Session | str | None
    run_id: str | None


def check_names(names: Iterable[str], known: Iterable[str]) -> None:
    """Refuse an option that does not exist.

    Raises:
        ConfigurationError: naming the option, and the one that was probably meant.
    """
    options = sorted(known)
    for name in names:
        if name not in options:
            hint = did_you_mean(name, options, form="{}=")
            raise ConfigurationError(f"There is no option {name}=.", hint=hint)
