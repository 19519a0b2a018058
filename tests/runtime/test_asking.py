"""Structured output by the next way when one fails: no plan or typed output is lost because of one way."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from pydantic import BaseModel

from tests.picky import Body, Picky, said
from weaver import Weaver
from weaver._models.endpoint_memory import memory
from weaver._models.openai.errors import http_errors
from weaver._models.protocol import Capabilities
from weaver.errors import InvalidOutputError
from weaver.testing import Scripted, ScriptedModel

pytestmark = pytest.mark.anyio

ALL = Capabilities(json_schema=True, json_object=True, tools=True)


class Trip(BaseModel):
    city: str
    days: int


GOOD = '{"city": "Porto", "days": 4}'
PLAN = {
    "parallel": True,
    "reason": "two cities",
    "subtasks": [
        {"id": "p", "title": "Porto", "prompt": "TELL-PORTO", "depends_on": [], "max_tokens": 90},
        {"id": "q", "title": "Quito", "prompt": "TELL-QUITO", "depends_on": [], "max_tokens": 90},
    ],
}


def way(body: Body) -> str:
    kind = (body.get("response_format") or {}).get("type")
    return str(kind or ("tool" if "tools" in body else "prompt"))


def text(body: Body) -> str:
    return str(body["messages"])


def answered(plan: str) -> Callable[[Body], str]:
    """A well-behaved model whose planner writes ``plan``."""

    def answer(body: Body) -> str:
        words = text(body)
        if "subtasks" in words:
            return plan
        for city in ("Porto", "Quito"):
            if f"TELL-{city.upper()}" in words and "lies at" not in words:
                return f"{city} lies at {'the sea' if city == 'Porto' else 'the equator'}."
        return "Porto lies at the sea and Quito at the equator."

    return answer


REFUSED = {
    "json_schema": (400, said("'response_format' of type 'json_schema' is not supported with this model")),
    "tool": (400, said("This model does not support tools")),
    "json_object": (400, said("JSON mode is not supported when thinking is enabled")),
}


@pytest.mark.parametrize("ways", [1, 2, 3])
@pytest.mark.parametrize("status", [400, 422, 500, 501])
async def test_a_typed_answer_by_whatever_way_is_left(ways: int, status: int) -> None:
    refused = list(REFUSED)[:ways]

    def refuse(body: Body) -> tuple[int, Any] | None:
        return (status, REFUSED[way(body)][1]) if way(body) in refused else None

    async with Picky(refuse, lambda _: GOOD, owner="vllm") as server:
        async with Weaver("openai/m", base_url=server.url, strategy="sequential") as weaver:
            result = await weaver.run("Where?", output=Trip)
            assert result.output == Trip(city="Porto", days=4)
            assert any("was asked for JSON by" in note for note in result.notes)
            assert [way(b) for b in server.bodies] == [*refused, [*REFUSED, "prompt"][ways]]
        async with Weaver("openai/m", base_url=server.url, strategy="sequential") as weaver:
            await weaver.run("Where?", output=Trip)  # it knows better now
            assert len(server.bodies) == ways + 2
        memory().flush()


async def test_what_was_learned_while_a_way_was_refused_is_kept() -> None:
    def refuse(body: Body) -> tuple[int, Any] | None:
        if any(m["role"] == "system" for m in body["messages"]):
            return 400, said("System role not supported")
        return REFUSED[way(body)] if way(body) == "json_schema" else None

    async with Picky(refuse, answered(json.dumps(PLAN)), owner="vllm") as server:
        requests = []
        for _ in range(2):
            async with Weaver("openai/m", base_url=server.url) as weaver:
                result = await weaver.run("Compare the sites of Porto and Quito: where do they lie?")
            assert result.decision.parallel
            requests.append(len(server.bodies))
        assert requests[1] - requests[0] == 4  # plan, two threads, merge


async def test_a_refusal_without_a_reason_leads_to_the_next_way_too() -> None:
    refuse = lambda body: (400, {"detail": "Bad Request"}) if way(body) != "prompt" else None  # noqa: E731
    async with (
        Picky(refuse, lambda _: GOOD, owner="vllm") as server,
        Weaver("openai/m", base_url=server.url, strategy="sequential") as weaver,
    ):
        assert (await weaver.run("Where?", output=Trip)).output == Trip(city="Porto", days=4)


async def test_a_way_that_breaks_off_in_mid_stream_is_refused() -> None:
    breaks = lambda body: said("grammar failed to compile") if way(body) == "json_schema" else None  # noqa: E731
    async with Picky(answer=lambda _: GOOD, breaks=breaks, owner="vllm") as server:
        async with Weaver("openai/m", base_url=server.url, strategy="sequential") as weaver:
            assert (await weaver.run("Where?", output=Trip)).output == Trip(city="Porto", days=4)
        assert [way(b) for b in server.bodies] == ["json_schema", "tool"]


@pytest.mark.parametrize(
    "refused", [{"json_schema"}, {"json_schema", "tool"}, {"json_schema", "tool", "json_object"}]
)
async def test_a_plan_by_whatever_way_is_left(refused: set[str]) -> None:
    def refuse(body: Body) -> tuple[int, Any] | None:
        return REFUSED[way(body)] if way(body) in refused else None

    async with Picky(refuse, answered(json.dumps(PLAN)), owner="vllm") as server:
        async with Weaver("openai/m", base_url=server.url) as weaver:
            result = await weaver.run("Compare the sites of Porto and Quito: where do they lie?")
        assert result.decision.parallel
        assert result.status == "complete"
        assert sorted(t.title for t in result.threads) == ["Porto", "Quito"]


async def test_a_server_that_ignores_schema_and_tools_sees_the_schema_in_the_prompt() -> None:
    for can in (ALL, replace(ALL, json_schema=False), replace(ALL, json_schema=False, tools=False)):
        model = ScriptedModel(
            [Scripted(GOOD, when="JSON Schema"), Scripted("Porto, for four days.")], can=can
        )
        async with Weaver(model, strategy="sequential") as weaver:
            assert (await weaver.run("Where?", output=Trip)).output == Trip(city="Porto", days=4)
        assert len(model.requests) == 1 + can.tools


async def test_a_repeated_mistake_changes_the_way_of_asking() -> None:
    wrong = '{"city": "Porto", "days": "four"}'
    model = ScriptedModel(
        [Scripted(wrong, when=lambda r: r.output is not None), Scripted("", tool_calls=(("Trip", GOOD),))],
        can=ALL,
    )
    async with Weaver(model, strategy="sequential") as weaver:
        assert (await weaver.run("Where?", output=Trip)).output == Trip(city="Porto", days=4)
    first, second, third = (r.request for r in model.requests)
    assert len(second.messages) == len(first.messages) + 2
    assert third.tool_choice == "Trip"
    assert third.temperature == 0.7
    assert "An earlier answer was no use" in third.messages[-1].content


async def test_what_never_fits_fails_after_two_repairs() -> None:
    model = ScriptedModel([Scripted("I would rather not.")], can=ALL)
    async with Weaver(model, strategy="sequential") as weaver:
        with pytest.raises(InvalidOutputError):
            await weaver.run("Where?", output=Trip)
    assert len(model.requests) == 3


@dataclass(frozen=True)
class Written:
    """A typed answer as a model writes it."""

    text: str
    reasoning: str = ""


TYPED = {
    "a draft in thoughts": Written('<think>Say {"city": "Rome", "days": 1}? No.</think>' + GOOD),
    "thoughts without their opening tag": Written('maybe {"city": "Rome", "days": 1}\n</think>\n' + GOOD),
    "a citation": Written("As the guide [2] says [3, p. 9]:\n\n" + GOOD),
    "long prose": Written("".join(f"Well (see [note {i}] and {{more}}). " for i in range(150)) + GOOD),
    "an example first": Written('For example {"city": "X", "days": 0}. Yours: ' + GOOD),
    "comments": Written('{"city": "Porto", // by the sea\n "days": 4, /* long */}'),
    "single quotes": Written("{'city': 'Porto', 'days': 4}"),
    "a fence": Written("Sure!\n```json\n" + GOOD + "\n```\nEnjoy {it}!"),
    "wrapped": Written('{"trip": ' + GOOD + "}"),
    "twice encoded": Written(json.dumps(GOOD)),
    "a list of one prose word": Written("[Answer]\n" + GOOD),
    "in the reasoning": Written("", reasoning="The user wants JSON. " + GOOD),
    "a number as text": Written('{"city": "Porto", "days": "4"}'),
}


@pytest.mark.parametrize("written", TYPED.values(), ids=TYPED)
async def test_typed_answers_as_models_write_them(written: Written) -> None:
    model = ScriptedModel([Scripted(written.text, reasoning=written.reasoning)])
    async with Weaver(model, strategy="sequential") as weaver:
        result = await weaver.run("Where?", output=Trip)
    assert result.output == Trip(city="Porto", days=4)
    assert len(model.requests) == 1


@pytest.mark.parametrize(
    "written",
    [
        Written('<think>Say {"city": "Rome", "days": 1}? I am not done'),
        Written("", reasoning='Perhaps {"city": "Rome", "days": 1}, but I should check the'),
    ],
)
async def test_a_draft_alone_is_no_answer(written: Written) -> None:
    model = ScriptedModel([Scripted(written.text, reasoning=written.reasoning, times=1), Scripted(GOOD)])
    async with Weaver(model, strategy="sequential") as weaver:
        assert (await weaver.run("Where?", output=Trip)).output == Trip(city="Porto", days=4)


def changed(**fields: Any) -> str:
    first, second = ({**subtask} for subtask in PLAN["subtasks"])  # type: ignore[attr-defined]
    return json.dumps({**PLAN, "subtasks": [{**first, **fields}, second]})


WHOLE = json.dumps(PLAN)
PLANS = {
    "thoughts with a draft": '<think>{"parallel": false, "subtasks": []}? No.</think>' + WHOLE,
    "thoughts without their opening tag": 'Maybe {"parallel": false}. No.\n</think>\n' + WHOLE,
    "prose with braces": "I fill in {id, prompt} for each:\n" + WHOLE,
    "comments": WHOLE.replace('"subtasks"', '// the parts\n"subtasks"'),
    "trailing commas": WHOLE.replace("}]}", "},],}"),
    "raw line breaks": WHOLE.replace("TELL-PORTO", "TELL-PORTO\nand\twell"),
    "single quotes and None": str(PLAN).replace("}, {", ", 'agent': None}, {"),
    "subtasks as text": json.dumps({**PLAN, "subtasks": json.dumps(PLAN["subtasks"])}),
    "wrapped": json.dumps({"plan": PLAN}),
    "a dependency as text": json.dumps(
        {**PLAN, "subtasks": [PLAN["subtasks"][0], {**PLAN["subtasks"][1], "depends_on": "p"}]}  # type: ignore[index]
    ),
    "no dependency in words": changed(depends_on=["None"]),
    "no dependency, empty": changed(depends_on=""),
    "a hint with a sign": changed(max_tokens="~ 120"),
    "a hint below one": changed(max_tokens=-5),
    "an agent in words": changed(agent="none"),
    "half an emoji": WHOLE.replace("TELL-PORTO", "TELL-PORTO \\ud83c"),
    "subtasks by their ids": json.dumps({**PLAN, "subtasks": {s["id"]: s for s in PLAN["subtasks"]}}),  # type: ignore[index,attr-defined]
    "a bare list": json.dumps(PLAN["subtasks"]),
    "no ids": WHOLE.replace('"id": "p", ', "").replace('"id": "q", ', ""),
    "another name for the prompt": WHOLE.replace('"prompt"', '"task"'),
    "twice encoded": json.dumps(WHOLE),
    "ids as numbers": WHOLE.replace('"p"', "1").replace('"q"', "2"),
    "missing commas": WHOLE.replace('", "', '"\n "'),
    "yes": WHOLE.replace("true", '"Yes"'),
    "one": WHOLE.replace("true", "1"),
    "cut after the subtasks": WHOLE[:-2],
    "cut in the second subtask's last field": WHOLE[: WHOLE.rindex("90")],
}


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
async def test_plans_as_models_write_them_are_followed_at_once(plan: str) -> None:
    async with Picky(answer=answered(plan), owner="vllm") as server:
        async with Weaver("openai/m", base_url=server.url) as weaver:
            result = await weaver.run("Compare the sites of Porto and Quito: where do they lie?")
        assert result.decision.parallel, result.notes
        assert result.status == "complete"
        assert sorted(t.title for t in result.threads) == ["Porto", "Quito"]
        assert sum("subtasks" in text(b) for b in server.bodies) == 1


async def test_a_plan_whose_stream_broke_is_asked_for_again_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_errors, "_OVERLOADED_FOR", 0.1)
    broken = iter([True])
    overloaded = lambda body: (  # noqa: E731
        {"error": {"message": "Overloaded", "code": 529}}
        if "subtasks" in text(body) and next(broken, False)
        else None
    )
    async with Picky(answer=answered(WHOLE), breaks=overloaded, owner="vllm") as server:
        async with Weaver("openai/m", base_url=server.url) as weaver:
            result = await weaver.run("Compare the sites of Porto and Quito: where do they lie?")
        assert result.decision.parallel
        assert any("The plan was asked for again" in note for note in result.notes)
        assert sum("subtasks" in text(b) for b in server.bodies) == 2


async def test_a_plan_in_the_reasoning_of_an_empty_reply() -> None:
    model = ScriptedModel(
        [
            Scripted("", reasoning=f"Two cities, so: {WHOLE}", when="subtasks"),
            Scripted("Porto lies at the sea.", when="TELL-PORTO"),
            Scripted("Quito lies at the equator.", when="TELL-QUITO"),
            Scripted("Porto at the sea, Quito at the equator."),
        ]
    )
    async with Weaver(model) as weaver:
        result = await weaver.run("Compare the sites of Porto and Quito: where do they lie?")
    assert result.decision.parallel


async def test_an_empty_plan_is_asked_for_by_the_next_way() -> None:
    model = ScriptedModel(
        [
            Scripted("", when=lambda r: r.output is not None and "subtasks" in str(r.messages)),
            Scripted(WHOLE, when="subtasks"),
            Scripted("Porto lies at the sea.", when="TELL-PORTO"),
            Scripted("Quito lies at the equator.", when="TELL-QUITO"),
            Scripted("Porto at the sea, Quito at the equator."),
        ]
    )
    async with Weaver(model) as weaver:
        result = await weaver.run("Compare the sites of Porto and Quito: where do they lie?")
    assert result.decision.parallel
    assert [bool(r.request.output) for r in model.requests if "subtasks" in str(r.request.messages)] == [
        True,
        False,
    ]


async def test_a_plan_that_repeats_its_mistake_is_asked_for_in_another_way() -> None:
    twice = '{"plan": "two parts"}'
    model = ScriptedModel(
        [
            Scripted(twice, when=lambda r: r.output is not None and "subtasks" in str(r.messages)),
            Scripted(WHOLE, when="subtasks"),
            Scripted("Porto lies at the sea.", when="TELL-PORTO"),
            Scripted("Quito lies at the equator.", when="TELL-QUITO"),
            Scripted("Porto at the sea, Quito at the equator."),
        ]
    )
    async with Weaver(model) as weaver:
        result = await weaver.run("Compare the sites of Porto and Quito: where do they lie?")
    assert result.decision.parallel
    asked = [r.request for r in model.requests if "subtasks" in str(r.request.messages)]
    assert [r.temperature for r in asked] == [0.0, 0.0, 0.7]
