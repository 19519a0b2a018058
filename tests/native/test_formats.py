"""Parsing, checking and measuring trajectory texts, without any model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weaver._strategies.native import FORMATS, check, format_named, parse, statistics
from weaver._strategies.native.apr import APR, nodes_of, problem
from weaver._strategies.native.common.scanner import TagScanner, disarmed
from weaver.errors import UnknownNameError

TW = (
    "<think>\none two three <Parallel>\n<Outlines>\n<Outline>1: add</Outline>\n"
    "<Outline>2: subtract</Outline>\n</Outlines>\n<Thread>\n1: a b c d</Thread><Thread>\n2: e f</Thread>"
    "\n</Parallel>\nfour five</think> 42"
)
MV = (
    "x <Parallel><Goal><Outline>1: p</Outline><Outline>2: q</Outline></Goal><Path>\n1: "
    "<Parallel><Goal><Outline>1.1: r</Outline><Outline>1.2: s</Outline></Goal>"
    "<Path>\n1.1: a a a</Path><Path>\n1.2: b</Path><Conclusion>c</Conclusion></Parallel></Path>"
    "<Path>\n2: d</Path><Conclusion>e</Conclusion></Parallel> y"
)
NPR = (
    "<guideline>\n<plan>1: p</plan>\n<plan>2: q</plan>\n</guideline>\n<step>\n1: a a</step>\n"
    "<step>\n2: b</step>\n<takeaway>\nc\n</takeaway>\nThe answer is \\boxed{3}"
)
R1 = "x <Parallel><Path>a a</Path><Path>b</Path></Parallel>\n<Summary>s</Summary> y"
APR_TEXT = (
    "Moving to Node #0\nCurrent State: 27:[22, 26, 31, 53], Operations: []\n"
    "Generated Node #0,0: 27:[26, 31, 31] Operation: 53-22=31\n"
    "Generated Node #0,1: 27:[22, 5, 53] Operation: 31-26=5\n"
    "<Sub Searches>\n<No Solution in Sub Search 0 at level 1 at Node #0,0>\n"
    "<Goal Reached in Sub Search 1 at level 1 at Node #0,1>\nMoving to Node #0,1\n27,27 equal: Goal Reached\n"
    "<End Sub Searches>\ndone"
)
PASTA = (
    'go <promise topic="one" tokens="3"/><async>a a a a a a</async> mid mid '
    '<promise topic="two" tokens="2"/><async>b</async> x<sync/> end'
)
GOOD = {"threadweaver": TW, "multiverse": MV, "npr": NPR, "parallel_r1": R1, "apr": APR_TEXT, "pasta": PASTA}


def letters(text: str) -> int:
    """Counts lower-case words only, so that tags weigh nothing and sums can be done in the head."""
    return sum(
        word.isalpha() and word.islower() for word in text.replace("<", " <").replace(">", "> ").split()
    )


@pytest.mark.parametrize("name", FORMATS)
def test_a_correct_text_has_no_problems(name: str) -> None:
    assert check(GOOD[name], name) == []


def test_threadweaver_critical_path_is_text_outside_plus_block_text_plus_longest_thread() -> None:
    tree = parse(TW, "threadweaver")
    [block] = tree.blocks()
    assert [(t.key, t.title, t.closed) for t in block.threads] == [
        ("1", "add", True),
        ("2", "subtract", True),
    ]
    found = statistics(TW, "threadweaver", len)
    outside = len(TW.partition("<Parallel>")[0]) + len(TW.partition("</Parallel>")[2])
    one, two = len("\n1: a b c d"), len("\n2: e f")
    own = len(TW) - outside - one - two
    assert found.total == len(TW)
    assert found.critical_path == outside + own + max(one, two)
    assert found.parallel_ratio == (own + one + two) / len(TW)
    assert found.acceleration_ratio == pytest.approx(two / len(TW))
    assert found.self_parallel_speedup == pytest.approx(1 / (1 - found.acceleration_ratio))
    assert (found.blocks, found.threads, found.threads_per_block, found.depth) == (1, 2, 2.0, 1)
    assert found.tokens_per_block == own + one + two
    assert found.parallel
    assert not statistics("no block at all", "threadweaver").parallel


def test_nested_blocks_count_the_longest_chain_through_the_tree() -> None:
    found = statistics(MV, "multiverse", letters)
    # x y outside; e in the outer conclusion; thread 1 is [3 or 1] + c; thread 2 is d; p q r s are outlines.
    assert found.total == 2 + 1 + (3 + 1 + 1) + 1 + 4
    assert found.critical_path == 2 + (2 + 1) + ((2 + 1) + 3)
    assert (found.blocks, found.threads, found.depth) == (2, 4, 2)


def test_npr_blocks_end_with_their_takeaway() -> None:
    found = statistics(NPR, "npr", letters)
    assert (found.blocks, found.threads, found.unclosed) == (1, 2, 0)
    assert found.critical_path == found.total - 1
    without = NPR.replace("<takeaway>\nc\n</takeaway>\n", "")
    assert statistics(without, "npr").unclosed == 1
    assert [p.rule for p in check(without, "npr")] == ["missing"]


def test_the_summary_of_parallel_r1_is_outside_its_block() -> None:
    found = statistics(R1, "parallel_r1", letters)
    assert (found.total, found.critical_path) == (6, 5)
    assert found.parallel_ratio == pytest.approx(3 / 6)


def test_pasta_threads_run_beside_the_text_that_follows_their_promise() -> None:
    found = statistics(PASTA, "pasta", letters)
    # go | thread one: 6 || mid mid, thread two: 1 || x, sync | end
    assert found.total == 1 + 6 + 2 + 1 + 1 + 1
    assert found.critical_path == 1 + 6 + 1
    sequential = PASTA.replace("a a a a a a", "a")
    assert statistics(sequential, "pasta", letters).critical_path == 1 + 3 + 1


def test_apr_texts_count_the_paths_that_were_handed_up() -> None:
    found = statistics(APR_TEXT, "apr")
    assert (found.blocks, found.threads, found.unclosed) == (1, 2, 0)
    # The search without a solution handed nothing up, so nothing ran beside the other.
    assert found.critical_path == found.total
    both = APR_TEXT.replace("<No Solution", "<Goal Reached").replace(
        "#0,0>\n", "#0,0>\nMoving to Node #0,0\n"
    )
    assert statistics(both, "apr").critical_path == statistics(both, "apr").total - len(
        ["Moving", "to", "Node", "#", "0", ",", "0"]
    )
    assert nodes_of(APR_TEXT)["0,1"].operations == ("31-26=5",)


@pytest.mark.parametrize(
    ("change", "rule", "where"),
    [
        (("</Thread>\n</Parallel>", "</Parallel>"), "unclosed", "<Thread>\n2"),
        (("</Thread><Thread>", "</Thread> <Thread>"), "gap", " <Thread>\n2"),
        (("<Thread>\n2:", "<Thread>\n3:"), "numbering", "<Parallel>"),
        (("<Outline>2: subtract</Outline>\n", ""), "count", "<Parallel>"),
        (("a b c d", "a <Parallel> d"), "misplaced", "<Parallel> d"),
        (("a b c d", "a <Outline>x</Outline> d"), "misplaced", "<Outline>x"),
        (("add</Outline>", "add<Thread></Outline>"), "misplaced", "<Thread></Outline>"),
        (("</Outlines>\n", "</Outlines>\nstray "), "misplaced", "\nstray"),
        (("2: subtract", "subtract"), "numbering", "<Outline>subtract"),
        (("four five", "four </Parallel> five"), "unclosed", "</Parallel> five"),
    ],
)
def test_the_checker_names_what_is_wrong_and_where(change: tuple[str, str], rule: str, where: str) -> None:
    text = TW.replace(*change)
    assert text != TW
    assert (rule, text.index(where)) in [(p.rule, p.at) for p in check(text, "threadweaver")]


def test_more_threads_than_a_format_allows_is_a_problem() -> None:
    plans = "".join(f"<plan>{i + 1}: p</plan>" for i in range(6))
    steps = "".join(f"<step>\n{i + 1}: s</step>" for i in range(6))
    text = f"<guideline>{plans}</guideline>{steps}<takeaway>t</takeaway>"
    assert [p.rule for p in check(text, "npr")] == ["count"]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ('<promise topic="x" tokens="3"/> and <sync/>', "missing"),
        ('<promise tokens="3"/><async>a</async><sync/>', "missing"),
        ("<async>a</async>", "order"),
        ('<promise topic="x" tokens="1"/><async>a <sync/></async>', "misplaced"),
        ('<promise topic="x" tokens="1"/><async>a', "unclosed"),
    ],
)
def test_pasta_problems(text: str, rule: str) -> None:
    assert rule in [p.rule for p in check(text, "pasta")]


def test_apr_calls_must_name_nodes_that_exist() -> None:
    started = "<Start Sub Search 0 at level 1> Moving to Node #0,9"
    call = f"<Calling Sub Searches>\n{started}\n<End Calling Sub Searches>"
    assert [p.rule for p in check(APR_TEXT + call, "apr")] == ["state"]
    orphan = "Generated Node #0,9,0: 27:[26] Operation: 1+1=2\n" + call.replace("#0,9", "#0,9,0")
    assert [p.rule for p in check(APR_TEXT + orphan, "apr")] == ["state"]
    assert [p.rule for p in check(APR_TEXT + "<Calling Sub Searches>\n", "apr")] == ["unclosed"]


def test_tags_inside_a_thread_are_text_where_nesting_is_not_allowed() -> None:
    text = TW.replace("a b c d", "a </Parallel> <Outlines> <Thread> d")
    [block] = parse(text, "threadweaver").blocks()
    assert len(block.threads) == 2
    assert "</Parallel>" in str(block.threads[0].body)


def test_an_unfinished_text_is_flushed_at_its_end_and_can_be_closed() -> None:
    cut = TW[: TW.index("b c d")]
    found = statistics(cut, "threadweaver", len)
    assert found.total == len(cut)
    assert found.unclosed == 2
    closed = cut + format_named("threadweaver").closing(cut)
    assert closed == cut + "</Thread>\n</Parallel>"
    assert statistics(closed, "threadweaver").unclosed == 0


@given(st.text(alphabet="<>/ abPThraed\n:1", max_size=120), st.lists(st.integers(1, 9), max_size=60))
def test_a_scanner_finds_the_same_tags_however_the_text_is_cut(text: str, sizes: list[int]) -> None:
    names = ("Thread", "/Thread", "Path")
    whole = [(p.tag, p.at) for p in TagScanner(names).scan(text) if p.tag]
    scanner, at, pieces = TagScanner(names), 0, []
    for size in sizes:
        pieces += scanner.feed(text[at : at + size])
        at += size
    pieces += [*scanner.feed(text[at:]), *scanner.flush()]
    assert [(p.tag, p.at) for p in pieces if p.tag] == whole
    assert "".join(p.text for p in pieces) == text


def test_a_scanner_holds_back_only_what_may_be_a_tag() -> None:
    scanner = TagScanner(["Thread"], ["promise"])
    assert [p.text for p in scanner.feed("a < b <Thr")] == ["a < b "]
    assert [(p.text, p.tag) for p in scanner.feed("ead> <promise to")] == [("<Thread>", "Thread"), (" ", "")]
    assert [(p.text, p.tag) for p in scanner.feed('pic="x"/>')] == [('<promise topic="x"/>', "promise")]
    assert [p.text for p in scanner.feed("<promise " + "x" * 500)] == ["<promise " + "x" * 500]


@pytest.mark.parametrize("name", FORMATS)
@given(st.data())
def test_disarmed_text_has_no_tags_and_reads_the_same(name: str, data: st.DataObject) -> None:
    form = format_named(name)
    bits = [f"<{n}>" for n in form.names] + ['<promise topic="x"/>', "<", ">", "text ", "</", "<<"]
    text = "".join(data.draw(st.lists(st.sampled_from(bits), max_size=12)))
    names = {n.strip("/") for n in form.names} | set(form.attributes)
    safe = disarmed(text, names)
    assert not [p for p in TagScanner(form.names, form.attributes).scan(safe) if p.tag]
    assert safe.replace("< ", "<") == text.replace("< ", "<")


@pytest.mark.parametrize("name", FORMATS)
@given(st.data())
def test_any_text_can_be_parsed_checked_and_measured(name: str, data: st.DataObject) -> None:
    form = format_named(name)
    bits = [f"<{n}>" for n in form.names] + ['<promise topic="x" tokens="2"/>', "1: a ", "2: b ", "\n", "z"]
    text = "".join(data.draw(st.lists(st.sampled_from(bits), max_size=20)))
    found = statistics(text, form, len)
    assert found.total == len(text)
    assert 0 <= found.critical_path <= found.total
    assert 0 <= found.parallel_ratio <= 1
    assert all(0 <= p.at <= len(text) for p in check(text, form))


@pytest.mark.parametrize(
    ("question", "target", "numbers"),
    [
        ("27:[22, 26, 31, 53]", 27, (22, 26, 31, 53)),
        ("Calculate 139 using all of these numbers: 36, 29, 95, 32, to reach 139.", 139, (36, 29, 95, 32)),
        ("Use 3, 4 and 5 once each to make 17", 17, (3, 4, 5)),
    ],
)
def test_countdown_problems_are_read_from_questions(
    question: str, target: int, numbers: tuple[int, ...]
) -> None:
    found = problem(question)
    assert (found.target, found.numbers) == (target, numbers)
    assert APR.name == "apr"


def test_an_unknown_format_is_named() -> None:
    with pytest.raises(UnknownNameError, match=r"threadweever.*Did you mean 'threadweaver'"):
        check("", "threadweever")
