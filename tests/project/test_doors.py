"""The public doors: what they offer is pinned, each name resolves, and nothing of a user's reaches deeper."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

import weaver
from weaver import errors, events

ROOT = Path(__file__).parents[2]
DOORS = {
    "weaver.joins": """
        All Auto BestOf Both Composable Concat Data Either Equivalence First Group JoinRule JoinState
        Joined Merge MergeInOrder Parts Pick Pruner Quorum Reference Settled Until Votes Waiting Write
        equivalence mathematics number parse_rule same_json speak
    """,
    "weaver.conflicts": """
        Claim Conflict ConflictValue Policy Position Resolution ask asking_for_claims claiming clear_majority
        confidence_weighted debate escalate find_conflicts judge keep majority parse_ladder positions
        settle_conflicts split_claims verify with_claims
    """,
    "weaver.models": """
        Capabilities Delta Endpoint EndpointLimits Finish LiteLLMModel Logprobs Message MessageData
        Model ModelSource Offer OpenAIModel Opening OutputSchema Prices Reasoning Refusal Reply Request
        Text TokenLogprob ToolCallPart ToolSpec Usage UsageReport assistant choose endpoint fenced
        layered system user
    """,
    "weaver.options": """
        Approve Body Changes Claim CostGate Count Dispatcher Entry Features Gate Hedge Job Journal
        Judgement MemoryJournal ModelSettings Needs Number Opened Patience Percent Planner Policy Retention
        Rules RunHead RunOptions SQLiteJournal Same SettingOptions Settings Share Verdict Warmth Watch home
        local_journal
    """,
    "weaver.strategies": """
        Aggregate Generate Graph GroundTruth Improve KeepBestN KeepValid Operation Score Selector
        Thought ValidateAndImprove Woven adaptive apr best_of_n check debate deep_prune deepconf
        difficulty_voting explore explore_then_write fixed graph_of_thoughts group_think hogwild
        llm_compiler map_reduce mixture_of_agents multiverse npr organizer parallel_probe parallel_r1
        parathinker pasta rounds self_consistency sequential skeleton_of_thought spread statistics strategy
        threadweaver tool_mix tree_of_thoughts weave
    """,
    "weaver.testing": """
        DispatcherChecks JournalChecks Received Scripted ScriptedModel Server ServerProcess SimulatedModel
        VirtualTimeLoop Work faults virtual_time
    """,
    "weaver.verifiers": "Command Finished Schema Verdict arithmetic code_of run_sandboxed",
    "weaver.tracing": """
        Tracing configure
    """,
    "weaver.evals": """
        Comparison RecordFile StructuredWorld compare load summarize
    """,
    "weaver.workflows": """
        AgentSpec Approval Budget Case Defaults Input ModelRef Models Question Reply Retry Step
        StepCheck StepKind StepRun StrategyRef ValueSpec Workflow add_kind register run_workflow
        stream_workflow
    """,
}


@pytest.mark.parametrize("door", DOORS)
def test_door_is_pinned(door: str) -> None:
    module = import_module(door)

    assert set(module.__all__) == set(DOORS[door].split())
    assert dir(module) == sorted(module.__all__)


@pytest.mark.parametrize("door", ["weaver", *DOORS])
def test_door_resolves_each_name_and_shows_it_to_type_checkers(door: str) -> None:
    module = import_module(door)
    typed = {
        alias.asname or alias.name
        for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text("utf-8")))
        if isinstance(node, ast.ImportFrom)
        and node.module
        and node.module not in {"typing", "weaver._environment.doors"}
        for alias in node.names
    }

    assert all(getattr(module, name) is not None for name in module.__all__)
    assert typed == set(module.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        module.Nothing  # noqa: B018


def test_modules_beside_the_doors_are_private() -> None:
    folder = Path(str(weaver.__file__)).parent
    names = {
        path.stem for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    public = {f"weaver.{name}" for name in names if not name.startswith("_")}

    assert public == {*DOORS, errors.__name__, events.__name__}


PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("examples/**/*.py"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_no_example_reaches_into_private_modules(page: Path) -> None:
    assert not re.findall(r"^\s*(?:from|import) weaver\._\S+", page.read_text("utf-8"), re.MULTILINE)
