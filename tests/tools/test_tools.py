"""Tools of every kind: how a model is told about them, how they are called, and what comes of failures."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import anyio
import pytest

from weaver import Context, Weaver, events, tool
from weaver._models.protocol import Request, ToolSpec
from weaver._tools.function import FunctionTool, SchemaTool, as_tool
from weaver._tools.results import READ_RESULT
from weaver.errors import ConfigurationError, InvalidToolArgumentsError
from weaver.testing import Scripted, ScriptedModel

pytestmark = pytest.mark.anyio


@dataclass
class Shop:
    prices: dict[str, float]


def sent(model: ScriptedModel) -> list[Request]:
    return [recorded.request for recorded in model.requests]


def results(request: Request) -> list[str]:
    return [str(m.content) for m in request.messages if m.role == "tool"]


def asking(*turns: tuple[str, dict[str, Any]], then: str = "done") -> ScriptedModel:
    """A model that makes one call a turn, then answers."""
    replies = [Scripted(tool_calls=((name, json.dumps(arguments)),), times=1) for name, arguments in turns]
    return ScriptedModel([*replies, Scripted(then)])


async def run(model: ScriptedModel, *tools: Any, **options: Any) -> Any:
    return await Weaver(model, strategy="sequential").run("q", tools=tools, **options)


async def test_docstrings_describe_each_parameter_and_the_context_is_not_shown():
    def price(shop: Context[Shop], item: str, count: int = 1) -> float:
        """Price of an item.

        Args:
            item: what is bought,
                by its name in the shop.
            count: how many.

        Returns:
            US dollars.
        """
        return shop.deps.prices[item] * count

    spec = as_tool(price).spec
    assert spec.description == "Price of an item.\n\nReturns: US dollars."
    properties = spec.parameters["properties"]
    assert properties["item"]["description"] == "what is bought, by its name in the shop."
    assert properties["count"] == {
        "default": 1, "description": "how many.", "title": "Count", "type": "integer",
    }  # fmt: skip
    assert set(properties) == {"item", "count"}

    model = asking(("price", {"item": "tea", "count": 2}))
    await run(model, price, deps=Shop({"tea": 3.5}))
    assert results(sent(model)[-1]) == ["7.0"]


async def test_numpy_and_sphinx_docstrings_are_read_too():
    def numpy(a: int) -> int:
        """Double.

        Parameters
        ----------
        a : int
            The number.
        """
        return 2 * a

    def sphinx(a: int) -> int:
        """Double.

        :param a: The number.
        """
        return 2 * a

    for function in (numpy, sphinx):
        spec = as_tool(function).spec
        assert spec.parameters["properties"]["a"]["description"] == "The number."
        assert spec.description == "Double."


def test_a_decorated_function_is_still_the_function():
    @tool(timeout=3)
    def double(a: int) -> int:
        """Twice ``a``."""
        return 2 * a

    assert double(4) == 8
    assert double.__name__ == "double"
    assert double.__doc__ == "Twice ``a``."


async def test_methods_are_tools_of_their_object():
    class Counter:
        def __init__(self, step: int) -> None:
            self.step = step
            self.total = 0

        def add(self, times: int) -> int:
            """Count on."""
            self.total += self.step * times
            return self.total

        @tool
        def reset(self) -> str:
            """Start again."""
            self.total = 0
            return f"reset to {self.total}"

    counter = Counter(5)
    model = asking(("add", {"times": 2}), ("reset", {}), ("add", {"times": 1}))
    await run(model, counter.add, counter.reset)
    assert results(sent(model)[-1]) == ["10", "reset to 0", "5"]
    assert set(as_tool(counter.add).spec.parameters["properties"]) == {"times"}


async def test_a_schema_known_at_run_time_is_enough():
    schema = {"type": "object", "properties": {"sql": {"type": "string"}}, "required": ["sql"]}

    @tool(name="query", description="Ask the database.", schema=schema)
    async def ask(arguments: dict[str, Any], context: Context[str]) -> list[str]:
        return [context.deps, arguments["sql"]]

    assert isinstance(ask, SchemaTool)
    assert ask.spec == ToolSpec("query", "Ask the database.", schema)
    model = asking(("query", {"sql": "select 1"}))
    await run(model, ask, deps="db")
    assert results(sent(model)[-1]) == ['["db","select 1"]']
    with pytest.raises(InvalidToolArgumentsError, match="must be a JSON object"):
        await ask.call("[1]")
    with pytest.raises(InvalidToolArgumentsError, match="not valid JSON"):
        await ask.call("{")


class Echo:
    """The protocol and nothing else."""

    spec = ToolSpec("echo", "Say it again.", {"type": "object", "properties": {}})

    async def call(self, arguments: str, context: Context[Any]) -> str:
        return f"{context.thread} {context.attempt} {arguments}"


async def test_any_object_with_spec_and_call_is_a_tool():
    model = asking(("echo", {"a": 1}))
    await run(model, Echo())
    assert results(sent(model)[-1]) == ['None 1 {"a": 1}']


async def test_tools_of_the_constructor_and_of_a_run_come_together():
    def one() -> str:
        """One."""
        return "1"

    def two() -> str:
        """Two."""
        return "2"

    model = asking(("one", {}), ("two", {}))
    await Weaver(model, strategy="sequential", tools=[one]).run("q", tools=[two])
    assert [t.name for t in sent(model)[0].tools] == ["one", "two"]
    assert results(sent(model)[-1]) == ["1", "2"]


async def test_two_tools_of_one_name_are_an_error_and_the_same_one_twice_is_not():
    def same() -> str:
        """The one."""
        return "1"

    other = FunctionTool(lambda: "2", name="same")
    with pytest.raises(ConfigurationError, match="Two tools have the name 'same'"):
        Weaver(ScriptedModel("x"), tools=[same, other])
    with pytest.raises(ConfigurationError, match="Two tools have the name 'same'"):
        await run(ScriptedModel("x"), same, other)
    assert (await run(ScriptedModel("x"), same, same)).answer == "x"


async def test_prepare_hides_and_changes_what_is_shown():
    from dataclasses import replace

    turns = 0

    def later(context: Context[Any], spec: ToolSpec) -> ToolSpec | None:
        nonlocal turns
        turns += 1
        return replace(spec, description=f"shown in turn {turns}") if turns > 1 else None

    @tool(prepare=later)
    def hidden() -> str:
        """Never."""
        return "!"

    def open_() -> str:
        """Always."""
        return "open"

    model = asking(("open_", {}))
    await run(model, hidden, open_)
    assert [[t.name for t in r.tools] for r in sent(model)] == [["open_"], ["hidden", "open_"]]
    assert sent(model)[1].tools[0].description == "shown in turn 2"


async def test_tries_repeat_failures_but_not_wrong_arguments():
    calls: list[int] = []

    @tool(tries=3)
    def flaky(context: Context[Any], n: int) -> str:
        calls.append(context.attempt)
        if context.attempt < 3:
            raise RuntimeError("not yet")
        return f"got {n}"

    model = asking(("flaky", {"n": "many"}), ("flaky", {"n": 4}))
    await run(model, flaky)
    assert calls == [1, 2, 3]
    first, second = results(sent(model)[-1])
    assert first.startswith("Error: The arguments of tool 'flaky' do not fit: n:")
    assert second == "got 4"


async def test_a_limit_on_calls_at_the_same_time_holds():
    running = peak = 0

    @tool(concurrency=2)
    async def slow(n: int) -> int:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await anyio.sleep(0.01)
        running -= 1
        return n

    calls = tuple(("slow", json.dumps({"n": n})) for n in range(6))
    model = ScriptedModel([Scripted(tool_calls=calls, times=1), Scripted("done")])
    await run(model, slow)
    assert peak == 2
    assert results(sent(model)[-1]) == [str(n) for n in range(6)]


async def test_a_timeout_is_of_one_try():
    attempts = 0

    @tool(timeout=0.02, tries=2)
    async def slow() -> str:
        nonlocal attempts
        attempts += 1
        await anyio.sleep(5 if attempts == 1 else 0)
        return "in time"

    model = asking(("slow", {}))
    await run(model, slow)
    assert results(sent(model)[-1]) == ["in time"]


async def test_the_last_round_asks_for_an_answer_without_tools():
    def more() -> int:
        """There is always more."""
        more.n += 1  # type: ignore[attr-defined]
        return more.n  # type: ignore[attr-defined]

    more.n = 0  # type: ignore[attr-defined]
    model = ScriptedModel(
        [Scripted("what I have", when="No more tool calls"), Scripted(tool_calls=(("more", "{}"),))]
    )
    result = await run(model, more, tool_rounds=3)
    assert result.answer == "what I have"
    assert result.status == "partial"
    assert any("3 rounds of tool calls" in note for note in result.notes)
    assert len(sent(model)) == 4
    assert sent(model)[-1].tool_choice == "none"


async def test_a_model_that_goes_on_calling_tools_is_asked_without_them():
    def more() -> int:
        """There is always more."""
        return 1

    model = ScriptedModel(
        [
            Scripted(tool_calls=(("more", "{}"),), when=lambda request: bool(request.tools)),
            Scripted("what I have"),
        ]
    )
    result = await run(model, more, tool_rounds=2)
    assert (result.answer, result.status) == ("what I have", "partial")
    assert [bool(request.tools) for request in sent(model)] == [True, True, True, False]


async def test_a_model_that_repeats_itself_is_told():
    def same() -> str:
        """Always the same."""
        return "nothing new"

    model = asking(*[("same", {})] * 4)
    result = await run(model, same)
    got = results(sent(model)[-1])
    assert got[:2] == ["nothing new"] * 2
    assert "This is call 3 with the same arguments" in got[2]
    assert "This is call 4 with the same arguments" in got[3]
    assert [n for n in result.notes if "3 times with the same arguments" in n]


async def test_a_large_result_is_kept_aside_and_read_in_pieces():
    def dump() -> str:
        """Everything."""
        return "".join(f"{n:05d}" for n in range(2000))

    model = asking(
        ("dump", {}),
        (READ_RESULT, {"id": "r1", "start": 9990}),
        (READ_RESULT, {"id": "r9"}),
        (READ_RESULT, {"start": "x"}),
    )
    await run(model, dump, max_tool_result=1000)
    first, piece, missing, wrong = results(sent(model)[-1])
    assert first.startswith("0000000001")
    assert "first 250 of 10,000 characters of result r1" in first
    assert piece == "0199801999\n\n[characters 9,990 to 10,000 of 10,000]"
    assert missing == "Error: There is no result 'r9'; there are: r1."
    assert wrong.startswith("Error: read_result takes id")
    assert [t.name for t in sent(model)[0].tools] == ["dump"]
    assert [t.name for t in sent(model)[1].tools] == ["dump", READ_RESULT]
    assert max(len(m.content) for r in sent(model) for m in r.messages) <= 1200


async def test_events_tell_arguments_result_and_error():
    def half(n: int) -> float:
        """Half of it."""
        return n / 2

    model = ScriptedModel(
        [Scripted(tool_calls=(("half", '{"n": 3}'), ("half", '{"n": "x"}')), times=1), Scripted("done")]
    )
    async with Weaver(model, strategy="sequential").stream("q", tools=[half]) as stream:
        seen = [event async for event in stream]
    started = {e.id: e for e in seen if isinstance(e, events.ToolStarted)}
    finished = {e.id: e for e in seen if isinstance(e, events.ToolFinished)}
    assert started.keys() == finished.keys()
    assert len(started) == 2
    by_arguments = {started[i].arguments: finished[i] for i in started}
    assert by_arguments['{"n": 3}'].result == "1.5"
    assert by_arguments['{"n": 3}'].error is None
    assert by_arguments['{"n": "x"}'].result is None
    assert "do not fit" in (by_arguments['{"n": "x"}'].error or "")


@pytest.mark.parametrize("option", [{"timeout": 0}, {"tries": 0}, {"concurrency": -1}, {"timeout": "3"}])
def test_wrong_options_are_named(option: dict[str, Any]):
    with pytest.raises(ConfigurationError, match=next(iter(option))):
        tool(**option)


def test_a_parameter_that_cannot_be_described_is_named():
    def stars(*args: int) -> None: ...
    def odd(x: "Unknown") -> None: ...  # type: ignore[name-defined] # noqa: F821, UP037

    with pytest.raises(ConfigurationError, match=r"takes \*args"):
        as_tool(stars)
    with pytest.raises(ConfigurationError, match="cannot be described"):
        as_tool(odd)
    with pytest.raises(ConfigurationError, match="is not a tool"):
        as_tool(3)


async def test_calls_of_one_turn_begin_in_their_order():
    begun: list[int] = []

    def note(n: int) -> int:
        """Note that it was called."""
        begun.append(n)
        return n

    for _ in range(10):
        begun.clear()
        calls = tuple(("note", json.dumps({"n": n})) for n in range(8))
        model = ScriptedModel([Scripted(tool_calls=calls, times=1), Scripted("done")])
        await run(model, note)
        assert begun == list(range(8))
