"""A fuzzer over the loader: whatever a file holds, it is a workflow or a list of problems. No tracebacks."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from weaver._workflows.format.definition import Definition
from weaver._workflows.schema.components import Case, Part
from weaver._workflows.source.dump import dump
from weaver._workflows.validation.explain import keys_of
from weaver._workflows.validation.loader import examine
from weaver._workflows.validation.registry import Surroundings
from weaver.workflows import Defaults, Step, Workflow

EXAMPLES = [p.read_text("utf-8") for p in sorted((Path(__file__).parents[3] / "examples").glob("*.yaml"))]
BROKEN = [p.read_text("utf-8") for p in sorted((Path(__file__).parent / "broken").glob("*.yaml"))]
FEW = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
MANY = settings(FEW, max_examples=20_000)


def look(text: str | bytes, folder: Path) -> None:
    """Read a text as a file; the only thing it may do is say what is wrong."""
    path = folder / "flow.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    workflow, problems = examine(path, surroundings=Surroundings(strict=False))
    lines = path.read_bytes().count(b"\n") + 2
    for problem in problems.found:
        assert str(problem).startswith(f"{path}:")
        assert problem.what.strip()
        assert 1 <= problem.place.line <= max(lines, path.read_bytes().count(b"\r") + 2) + 2
        assert problem.place.column >= 1
    if not problems:
        assert workflow is not None
        assert _named(workflow) or Workflow.from_yaml(dump(workflow), root=folder) == workflow


def _named(workflow: Definition) -> bool:
    """Whether it names things that are not there: reading it again is strict."""
    return bool(workflow.models.model_fields_set or workflow.agents or workflow.defaults.strategy) or any(
        s.function or s.tools or s.uses or s.strategy for s in workflow.steps.values()
    )


PIECES = st.sampled_from(
    [
        *("a", "x-1", "steps", "inputs", "task", "needs", "if", "for_each", "inputs.topic"),
        *("steps.a.output", "true", "no", "null", "1", "30s", "$0.50", "20k", "{", "}", "[", "]", ","),
        *("'", '"', "<<:", "%", "@", "`", "?", "é", "😀", "*x", "${{", "}}", ": ", "- ", "\n", "\n  "),
        *("\n    ", "|\n", ">\n", "&x ", "!!str ", "# ", "\t", "---\n", "\x00", "\ufeff", " "),
    ]
)

KEYS = sorted({key for part in (Workflow, Step, Defaults, Case) for key in keys_of(part)})
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 10**12),
    st.floats(allow_nan=False),
    st.sampled_from(
        [
            "a",
            "b",
            "30s",
            "$1",
            "20k",
            "first",
            "quorum(2)",
            "until(len(done)>1)",
            "string",
            "no",
            "keep",
            "partial",
            "majority",
        ]
    ),
    st.sampled_from(["", "inputs.topic", "${{ steps.a.output }}", "${{ item }} ${{"]),
    st.text(max_size=20),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*KEYS, "a", "b", "type", "items"]), inner, max_size=4)
    ),
    max_leaves=12,
)
STEPS = st.dictionaries(
    st.sampled_from(["a", "b", "c", "in", "x-y"]),
    st.dictionaries(st.sampled_from(sorted(keys_of(Step))), VALUES, max_size=5) | VALUES,
    max_size=4,
)
FILES = st.fixed_dictionaries(
    {"version": st.just("weaver/v1"), "name": st.just("fuzz"), "steps": STEPS},
    optional={
        "inputs": st.dictionaries(st.sampled_from(["topic", "n"]), VALUES, max_size=2),
        "outputs": VALUES,
        "agents": VALUES,
        "models": VALUES,
        "defaults": VALUES,
        "tests": st.lists(VALUES, max_size=2) | VALUES,
        "x-more": VALUES,
    },
)


def mutated(seed: int) -> str:
    """One of our files with a few characters changed, cut, doubled or moved."""
    rng = random.Random(seed)
    text = rng.choice(EXAMPLES + BROKEN)
    for _ in range(rng.randint(1, 8)):
        at = rng.randrange(len(text) + 1)
        length = rng.randint(0, 12)
        match rng.randrange(5):
            case 0:
                text = text[:at] + text[at + length :]
            case 1:
                text = text[:at] + rng.choice("{}[]:,'\"|>&*!%@`#-\n\t ${}().=~") + text[at:]
            case 2:
                text = text[:at] + text[at : at + length] * 2 + text[at + length :]
            case 3:
                lines = text.split("\n")
                rng.shuffle(lines) if rng.random() < 0.1 else lines.insert(
                    rng.randrange(len(lines)), rng.choice(lines)
                )
                text = "\n".join(lines)
            case _:
                text = text.replace(
                    rng.choice(["steps", "inputs", "task", "output", "item"]),
                    rng.choice(["steps", "x", ""]),
                    1,
                )
    return text


def dumped(data: object) -> str:
    from weaver._workflows.source.dump import dump_data

    return dump_data(data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@FEW
@given(text=st.lists(PIECES, max_size=40).map("".join))
def test_pieces_of_files(text, folder):
    look(text, folder)


@FEW
@given(content=st.binary(max_size=200))
def test_any_bytes(content, folder):
    look(content, folder)


@FEW
@given(data=FILES)
def test_files_of_the_right_shape(data, folder):
    look(dumped(data), folder)


@FEW
@given(seed=st.integers(0, 10**9))
def test_our_files_with_mistakes(seed, folder):
    look(mutated(seed), folder)


ODD_TEXTS = st.sampled_from(
    [
        *("1e3", "1E3", "0o17", "0x1F", ".5", "+1", "~", "NULL", "true", "no", "2020-01-01", "1_000", "1:30"),
        *("<<", "=", "", " a", "a ", "\n", "\na", "a\n\n", "  a\nb", "a\tb\nc", "a\r\nb", "a\x85b", "\u2028"),
        *("\ufeff", "\xa0", "- a", "? a", "a: b", "a #b", "%a", "---", "x" * 2_000, "w " * 100),
    ]
)
TEXTS = ODD_TEXTS | st.text(max_size=30) | st.lists(ODD_TEXTS, max_size=3).map("".join)
DATA = st.recursive(
    TEXTS | st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)


@FEW
@given(task=TEXTS.filter(bool), key=TEXTS, value=DATA)
def test_every_text_is_written_so_that_it_reads_the_same(task, key, value):
    task = task.replace("${", "$ {")
    step = Step(task=task, fallback=value, on_timeout="fallback")
    workflow = Workflow(version="weaver/v1", name="t", steps={"a": step}, **{"x-more": {key: value}})
    again = Workflow.from_yaml(workflow.to_yaml())
    assert again == workflow
    assert (again.steps["a"].task, again.extensions) == (task, {"x-more": {key: value}})


@pytest.mark.heavy
@pytest.mark.timeout(1800)
# Threads of other tests (exporters on their way out) use `random` too; hypothesis takes that for ours.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
@pytest.mark.parametrize("what", ["pieces", "bytes", "shaped", "mutated"])
def test_at_length(what, folder):
    strategies = {
        "pieces": st.lists(PIECES, max_size=60).map("".join),
        "bytes": st.binary(max_size=500),
        "shaped": FILES.map(dumped),
        "mutated": st.integers(0, 10**9).map(mutated),
    }

    @settings(MANY, max_examples=5_000)
    @given(content=strategies[what])
    def fuzz(content):
        look(content, folder)

    fuzz()


def test_parts_refuse_what_they_do_not_know():
    assert all(part.model_config["extra"] == "forbid" for part in Part.__subclasses__())
