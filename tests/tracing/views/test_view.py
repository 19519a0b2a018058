"""What a view makes of spans: the tree, sums, the critical path, what was waited for."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tracing.stories import Story, identity, quorum_story
from weaver._tracing.record import semconv as sc
from weaver._tracing.record.critical_path import Node, critical_path
from weaver._tracing.views.run_view import RunView, view_of


def named(view: RunView) -> dict[str, object]:
    return {bytes.fromhex(p.id).strip(b"\0").decode(): p for p in view.pieces}


@pytest.fixture
def view() -> RunView:
    return view_of(quorum_story().spans)


def test_the_tree_is_in_order_of_time(view: RunView) -> None:
    assert [("  " * p.depth) + p.label for p in view.pieces] == [
        "adaptive",
        "  plan",
        "    m (planner)",
        "  a  Alpha",
        "    m",
        "  b",
        "    m",
        "  d",
        "  join quorum(2)",
        "  c",
        "    m",
        "  conflict: Paris / people",
        "  synthesis",
        "    m (synthesizer)",
    ]


def test_sums_go_up_the_tree(view: RunView) -> None:
    assert (view.root.calls, view.root.input_tokens, view.root.output_tokens) == (5, 50, 25)
    assert view.root.cost_usd == pytest.approx(2.25)
    assert {role: s.calls for role, s in view.roles.items()} == {"planner": 1, "thread": 3, "synthesizer": 1}


def test_an_unknown_cost_makes_the_sum_unknown() -> None:
    story = quorum_story().call("free", 1, 2, "a", COST_AMOUNT=None)
    story.spans[-1].attributes.pop(sc.COST_AMOUNT)

    assert view_of(story.spans).root.cost_usd is None


def test_the_critical_path_is_what_the_end_waited_for(view: RunView) -> None:
    names = [bytes.fromhex(p.id).strip(b"\0").decode() for p in view.path]

    assert names == ["run", "plan", "plancall", "b", "bcall", "conflict", "synthesi", "syncall"]
    own = {n: p.own_seconds for n, p in named(view).items() if p.own_seconds}
    assert own == pytest.approx({"plancall": 2, "bcall": 5, "conflict": 0.5, "syncall": 2.5})
    assert sum(own.values()) == pytest.approx(view.root.seconds)


def test_threads_that_start_while_the_plan_is_written_leave_it_on_the_path() -> None:
    story = Story().add("run", sc.INVOKE_WORKFLOW, 0, 9, None, RUN_ID="r")
    story.add("plan", sc.PLAN, 0, 4).thread("a", 1, 9).thread("b", 2, 3)
    view = view_of(story.spans)

    assert [p.kind for p in view.path] == ["run", "plan", "thread"]
    assert [p.own_seconds for p in view.path] == pytest.approx([0, 1, 8])


def test_what_the_deadline_cut_was_waited_for_and_a_lost_race_was_not() -> None:
    story = Story().add("run", sc.INVOKE_WORKFLOW, 0, 5, None, RUN_ID="r")
    story.thread("cut", 0, 5, TASK_STATE="cancelled", CANCEL_REASON="deadline")
    story.thread("lost", 0, 5, TASK_STATE="cancelled", CANCEL_REASON="lost_race")

    assert [p.label for p in view_of(story.spans).path] == ["invoke_workflow x", "cut"]


def test_a_join_says_what_it_waited_for_and_what_it_cancelled(view: RunView) -> None:
    assert list(view.waits.values()) == [
        "waited 5.00 s, last for b, 2 of 4 answered, cancelled c (quorum_met)"
    ]


def test_states_and_reasons(view: RunView) -> None:
    pieces = named(view)
    assert (pieces["c"].state, pieces["c"].reason) == ("cancelled", "quorum_met")
    assert (pieces["d"].state, pieces["d"].reason) == ("failed", "HTTP 500")
    assert pieces["bcall"].queue_seconds == 0.5
    assert view.status == "complete"


def test_a_run_without_its_root_stands_all_the_same() -> None:
    spans = [s for s in quorum_story().spans if s.span_id != identity("run")]
    view = view_of(spans, root=identity("run"))

    assert (view.status, len(view.pieces)) == ("running", 14)
    assert view.root.seconds == 10


def test_a_span_whose_parent_is_missing_hangs_under_the_root() -> None:
    story = Story().add("run", sc.INVOKE_WORKFLOW, 0, 9, None, RUN_ID="r").thread("a", 1, 2, "gone")

    assert [p.depth for p in view_of(story.spans).pieces] == [0, 1]


def test_an_open_piece_reaches_up_to_now() -> None:
    story = Story().add("run", sc.INVOKE_WORKFLOW, 0, None, None, RUN_ID="r").thread("a", 1, None)
    view = view_of(story.spans, now_ns=story.spans[0].start_ns + 7 * 10**9)

    assert [(p.state, p.seconds) for p in view.pieces] == [("running", 7), ("running", 6)]
    assert view.status == "running"


def test_no_spans_is_an_error() -> None:
    with pytest.raises(ValueError, match="no spans"):
        view_of([])


@given(
    st.lists(
        st.tuples(st.integers(0, 12), st.integers(0, 50), st.integers(0, 50), st.booleans()),
        min_size=1,
        max_size=30,
    )
)
def test_a_path_is_a_chain_in_time(items: list[tuple[int, int, int, bool]]) -> None:
    nodes = [
        Node(str(i), None if i == 0 else str(min(parent, i - 1)), start, start + length, wanted or i == 0)
        for i, (parent, start, length, wanted) in enumerate(items)
    ]
    path = critical_path(nodes)
    by_id = {n.id: n for n in nodes}

    assert path[0] == "0"
    assert len(set(path)) == len(path)
    for name in path[1:]:
        assert by_id[name].waited_for
        assert by_id[name].parent in path
    for parent in path:
        chain = [by_id[n] for n in path if by_id[n].parent == parent]
        assert all(a.end <= b.start + 1e-6 for a, b in pairwise(chain))
