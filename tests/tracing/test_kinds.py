"""Kinds of spans: each module in `weaver._tracing.spans` is known to the views."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import pytest

from weaver._tracing import spans
from weaver._tracing.record import semconv as sc
from weaver._tracing.record.kind import Kind
from weaver._tracing.spans.registry import ALL, KINDS, OTHER
from weaver._tracing.tracer import Tracing

MODULES = [module.name for module in pkgutil.iter_modules(spans.__path__)]


@pytest.mark.parametrize("module", MODULES)
def test_each_kind_of_a_module_is_registered(module: str) -> None:
    values = vars(import_module(f"{spans.__name__}.{module}")).values()

    assert [kind for kind in values if isinstance(kind, Kind) and kind is not OTHER and kind not in ALL] == []


def test_each_object_of_tracing_has_a_kind() -> None:
    tracing = Tracing.off()
    objects = [getattr(tracing, name) for name in Tracing.__slots__]
    modules = {type(o).__module__ for o in objects if type(o).__module__.startswith(spans.__name__)}

    assert len(modules) >= 10
    for module in modules:
        assert any(isinstance(value, Kind) for value in vars(import_module(module)).values()), module


def test_kinds_and_operations_are_unique() -> None:
    assert len({kind.name for kind in ALL}) == len(ALL)
    assert len(KINDS) == sum(len(kind.operations) for kind in ALL)


@pytest.mark.parametrize(
    ("operation", "attributes", "label"),
    [
        (sc.INVOKE_WORKFLOW, {}, "span"),
        (sc.INVOKE_WORKFLOW, {sc.WORKFLOW_NAME: "adaptive"}, "adaptive"),
        (sc.INVOKE_AGENT, {sc.TASK_ID: "kyoto-hotels", sc.TASK_TITLE: "Kyoto: hotels"}, "Kyoto: hotels"),
        (sc.INVOKE_AGENT, {sc.TASK_ID: "s1", sc.TASK_TITLE: "Hotels"}, "s1  Hotels"),
        (sc.INVOKE_AGENT, {}, "?"),
        (sc.TEXT_COMPLETION, {sc.REQUEST_MODEL: "m", sc.CALL_ROLE: "judge"}, "m (judge)"),
        (sc.CHAT, {sc.REQUEST_MODEL: "m", sc.CALL_ROLE: "judge", sc.CALL_CACHED: True}, "m (judge, cached)"),
        (sc.CHAT, {sc.REQUEST_MODEL: "m", sc.RESPONSE_MODEL: "m-2", sc.CALL_ROLE: "thread"}, "m-2"),
        (sc.EXECUTE_TOOL, {}, "tool "),
        (sc.JOIN, {}, "join"),
        (sc.JOIN, {sc.JOIN_POLICY: "quorum(2)"}, "join quorum(2)"),
        (sc.CONFLICT, {}, "conflict: answers"),
        (sc.CONFLICT, {sc.CONFLICT_SUBJECT: "tower"}, "conflict: tower"),
        (sc.CONFLICT, {sc.CONFLICT_SUBJECT: "t", sc.CONFLICT_ATTRIBUTE: "height"}, "conflict: t / height"),
        (sc.STEP, {sc.STEP_NAME: "vote/1"}, "vote/1"),
        (sc.PLAN, {}, "plan"),
        (sc.VERIFY, {}, "verify"),
        (sc.VERIFY, {sc.VERIFICATION_PASSED: False}, "verify: did not pass"),
        (sc.SYNTHESIS, {}, "synthesis"),
    ],
)  # fmt: skip
def test_labels(operation: str, attributes: dict[str, object], label: str) -> None:
    assert KINDS[operation].label("span", attributes) == label
