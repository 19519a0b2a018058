"""``weaver strategies``."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

import pytest

from weaver._cli import main
from weaver._data.result import Answer
from weaver._strategies.common import registry
from weaver._strategies.common.option_types import Needs


async def mine(
    run: Any, task: Any, *, width: int, vote: Literal["a", "b"] = "a", margin: float | None = None
) -> Answer:
    """Answers as I like it.

    Not in the list.
    """
    return Answer("x")


class _Gone:
    name, value, dist = "gone", "gone:strategy", None

    def load(self) -> None:
        raise ImportError("no module named 'gone'")


@pytest.fixture(autouse=True)
def _registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", {})
    monkeypatch.setattr(registry, "_entry_points", lambda: {"gone": _Gone()})
    registry.strategy("mine", source="A paper (2025)", needs=("logprobs",))(mine)


class _Alias:
    name, value, dist = "theirs", "plugin:mine", None

    def load(self) -> object:
        return mine


def test_an_entry_point_may_have_a_name_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_entry_points", lambda: {"theirs": _Alias()})
    found = registry.load("theirs")

    assert (found.name, found.source, found.needs) == ("theirs", "A paper (2025)", ("logprobs",))


def test_people_read_options_needs_and_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["strategies", "mine"]) == 0

    assert capsys.readouterr().out.splitlines() == [
        "mine  Answers as I like it.",
        "    width=...  (int)",
        "    vote=a  (a | b)",
        "    margin=None  (float | None)",
        "    needs: logprobs",
        "    source: A paper (2025)",
    ]


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["strategies", "--json"]) == 0
    gone, own = json.loads(capsys.readouterr().out)

    assert "cannot be loaded" in gone["summary"]
    assert (own["name"], own["needs"], own["source"]) == ("mine", ["logprobs"], "A paper (2025)")
    assert own["options"][1] == {"name": "vote", "type": "a | b", "default": "a", "needs": []}


def test_what_an_option_needs_is_shown_with_it(capsys: pytest.CaptureFixture[str]) -> None:
    @registry.strategy("forced")
    async def forced(run: Any, task: Any, *, wait: Annotated[int, Needs("prefill")] = 0) -> Answer:
        return Answer("x")

    assert main(["strategies", "forced"]) == 0
    assert "    wait=0  (int; needs prefill)" in capsys.readouterr().out.splitlines()
    assert main(["strategies", "forced", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["options"][0]["needs"] == ["prefill"]


def test_a_wrong_name_gets_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["strategies", "mien"]) == 2
    assert "Did you mean 'mine'?" in capsys.readouterr().err
