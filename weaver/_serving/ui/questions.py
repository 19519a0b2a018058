"""Reading what the page asks for: a question, a plan to follow, limits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from weaver._data.plan import Plan
from weaver._serving.http.errors import ApiError, invalid
from weaver._serving.http.fields import Fields
from weaver._strategies.common.registry import find
from weaver.errors import InvalidPlanError

if TYPE_CHECKING:
    from weaver._facade.weaver import Weaver
    from weaver._streaming.run_stream import RunStream

QUESTION_CHARS = 1_000_000
# An installed strategy with its options. Files are loaded by a flag of the command line only.
_STRATEGY = re.compile(r"[a-z][a-z0-9_]{0,63}(:[^\n]{0,500})?")
_LIMITS = ("max_total_tokens", "max_calls", "max_threads")
PLAN_STRATEGY = "adaptive"


def question_of(body: Fields) -> str:
    """Return the question.

    Raises:
        ApiError: there is none, or it is too long.
    """
    question = body.required_text("question")
    if len(question) > QUESTION_CHARS:
        raise body.error("question", f"may have at most {QUESTION_CHARS:,} characters")
    return question


def changes_of(body: Fields) -> dict[str, Any]:
    """Return strategy, model and limits by the names of settings.

    Raises:
        ApiError: one is wrong.
        UnknownNameError: there is no such strategy.
    """
    changes: dict[str, Any] = {}
    if strategy := body.text("strategy").strip():
        if not _STRATEGY.fullmatch(strategy):
            raise body.error("strategy", "must be the name of an installed strategy, with options if need be")
        find(strategy)
        changes["strategy"] = strategy
    if model := body.text("model").strip():
        changes["model"] = model
    if (deadline := body.number("deadline", 0.1, 1e6)) is not None:
        changes["deadline"] = deadline
    if (cost := body.number("max_cost", 0, 1e6)) is not None:
        changes["max_cost"] = cost
    for name in _LIMITS:
        if (count := body.count(name, 1, 10**12)) is not None:
            changes[name] = count
    return changes


def plan_of(body: Fields) -> Plan | None:
    """Return the plan to follow, checked, or None.

    Raises:
        ApiError: it is not a plan that can be followed; the message says why.
    """
    if (plan := body.any("plan")) is None:
        return None
    if not isinstance(plan, Mapping):
        raise body.error("plan", "must be a JSON object")
    try:
        return Plan.model_validate({**plan, "parallel": True}).check()
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part + 1) if isinstance(part, int) else part for part in first["loc"])
        raise invalid(f"plan.{place}: {first['msg']}.", "plan") from None
    except InvalidPlanError as error:
        raise ApiError(400, error.message, param="plan") from None


def stream_of(weaver: Weaver, question: str, plan: Plan | None, run_id: str, changes: Any) -> RunStream[Any]:
    """Return the run of a question; a plan is followed by `adaptive`, unless another strategy is named."""
    if plan is None:
        return weaver.stream(question, run_id=run_id, **changes)
    options: Any = {"strategy": PLAN_STRATEGY, **changes}
    return weaver.stream(question, plan=plan, run_id=run_id, **options)
