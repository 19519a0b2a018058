"""What type checkers know about results. `.ci/examples` checks it with mypy and pyright; it never runs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal, TypedDict, assert_type

from pydantic import BaseModel, Field

from weaver import Answer, Message, Run, RunStream, SyncRunStream, Task, Weaver, Workflow


class City(BaseModel):
    name: str


@dataclass
class Trip:
    days: int


class Stay(TypedDict):
    nights: int


class Season(Enum):
    WET = "wet"
    DRY = "dry"


async def outputs(weaver: Weaver) -> None:
    assert_type((await weaver.run("q")).output, str)
    assert_type((await weaver.run([Message("user", "q")])).output, str)
    assert_type((await weaver.run(Task("q", output=City))).output, Any)
    assert_type((await weaver.run("q", output=str)).output, str)
    assert_type((await weaver.run("q", output=City)).output, City)
    assert_type((await weaver.run(Task("q"), output=City)).output.name, str)
    assert_type((await weaver.run("q", output=Trip)).output, Trip)
    assert_type((await weaver.run("q", output=Stay)).output, Stay)
    assert_type((await weaver.run("q", output=Season)).output, Season)
    assert_type((await weaver.run("q", output=int)).output, int)
    assert_type((await weaver.run("q", output=bool)).output, bool)
    assert_type((await weaver.run("q", output=Literal["wet", "dry"])).output, Literal["wet", "dry"])
    assert_type((await weaver.run("q", output=Annotated[int, Field(ge=0)])).output, int)
    assert_type((await weaver.run("q", output=list[City])).output, list[City])
    assert_type((await weaver.run("q", output=dict[str, Trip])).output, dict[str, Trip])
    assert_type((await weaver.run("q", output=tuple[int, str])).output, tuple[int, str])
    assert_type((await weaver.run("q", output=City | Trip)).output, City | Trip)
    assert_type((await weaver.run("q", output=City | None)).output, City | None)
    assert_type((await weaver.run("q", output={"type": "object"})).output, Any)
    schema: dict[str, Any] = {"type": "integer"}
    assert_type((await weaver.run("q", output=schema, deadline=3)).output, Any)
    assert_type((await Workflow.from_yaml("flow.yaml").run({"x": 1})).output, dict[str, Any])


async def ways(weaver: Weaver) -> None:
    assert_type(weaver.run_sync("q").output, str)
    assert_type(weaver.run_sync("q", output=City).output, City)
    assert_type(weaver.stream("q"), RunStream[str])
    assert_type(weaver.stream("q", output=City | None), RunStream[City | None])
    assert_type(weaver.stream_sync("q", output=list[City]), SyncRunStream[list[City]])
    async for city in weaver.stream("q", output=City).objects():
        assert_type(city, City)
    for stay in weaver.stream_sync("q", output=Stay).objects():
        assert_type(stay, Stay)
    async with weaver.stream("q", output=Literal["wet", "dry"]) as run:
        async for piece in run.text():
            assert_type(piece, str)
    assert_type(run.result.output, Literal["wet", "dry"])


async def verbs(run: Run, task: Task) -> Answer:
    assert_type(await run.parsed("q", Season), Season)
    assert_type(await run.parsed("q", City | Trip), City | Trip)
    assert_type(await run.parsed("q", list[City]), list[City])
    async with run.fork([task]) as threads:
        async for thread in threads.as_finished():
            return thread.result
    return Answer("")


async def options(weaver: Weaver) -> None:
    await weaver.run("q", deadline=3, max_cost=0.1, strategy="adaptive", tools=[print], run_id="r")
    await weaver.plan("q", max_depth=1)
    await weaver.run("q", dedline=3)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await weaver.run("q", output=City, deadline=[3])  # type: ignore[call-overload]  # pyright: ignore  # noqa: PGH003
    weaver.stream("q", max_token=3)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await weaver.plan("q", tools=[])  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Weaver("m", max_thread=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Weaver("m", seed="x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
