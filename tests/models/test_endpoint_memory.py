"""Facts about endpoints are kept between processes, bounded, and never in the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from weaver._models.endpoint_memory import MAX_AGE, EndpointMemory, memory

URL = "http://host:1/v1"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "endpoints.json"


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def test_another_process_reads_what_was_put(path: Path) -> None:
    mine = EndpointMemory(path)
    mine.put("speed", URL, "m", {"tokens_per_second": 71.5})
    assert mine.get("speed", URL, "m") == {"tokens_per_second": 71.5}
    mine.flush()
    other = EndpointMemory(path)
    assert other.get("speed", URL, "m") == {"tokens_per_second": 71.5}
    assert other.get("speed", URL, "n") is None
    assert other.get("dialect", URL, "m") is None
    other.put("dialect", URL, "m", {"without": ["seed"]})
    other.flush()
    assert mine.get("dialect", URL, "m") == {"without": ["seed"]}
    assert [fact.namespace for fact in mine.all()] == ["dialect", "speed"]


def test_both_processes_keep_what_they_put(path: Path) -> None:
    one, two = EndpointMemory(path), EndpointMemory(path)
    one.put("a", URL, "m", {"x": 1})
    two.put("b", URL, "m", {"x": 2})
    one.flush()
    two.flush()
    assert EndpointMemory(path).get("a", URL, "m") == {"x": 1}
    assert EndpointMemory(path).get("b", URL, "m") == {"x": 2}


def test_facts_are_copies(path: Path) -> None:
    mine = EndpointMemory(path)
    facts = {"list": [1]}
    mine.put("a", URL, "m", facts)
    facts["list"].append(2)
    mine.get("a", URL, "m")["list"].append(3)  # type: ignore[index]
    assert mine.get("a", URL, "m") == {"list": [1]}


def test_old_facts_and_those_of_another_server_do_not_count(path: Path) -> None:
    clock = Clock()
    mine = EndpointMemory(path, clock=clock)
    mine.put("a", URL, "m", {"x": 1}, server="llama.cpp")
    assert mine.get("a", URL, "m", server="llama.cpp") == {"x": 1}
    assert mine.get("a", URL, "m", server="vllm") is None
    clock.now += MAX_AGE + 1
    assert mine.get("a", URL, "m") is None
    assert mine.all() == []


def test_forget(path: Path) -> None:
    mine = EndpointMemory(path)
    for model in ("m", "n"):
        mine.put("a", URL, model, {"x": 1})
        mine.put("b", URL, model, {"x": 1})
    assert mine.forget(namespace="a", model="m") == 1
    assert mine.forget(model="n") == 2
    mine.flush()
    assert [(f.model, f.namespace) for f in EndpointMemory(path).all()] == [("m", "b")]
    assert mine.forget() == 1


@pytest.mark.parametrize(
    "text",
    ["", "no JSON", "[1]", '{"version": 99}', '{"version": 1, "endpoints": [3]}', "[" * 100_000,
     '{"version": 1, "endpoints": {"u": {"m": {"a": {"facts": 3, "at": 1}, "b": 4}}}}'],
)  # fmt: skip
def test_a_broken_file_is_ignored_and_replaced(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text)
    mine = EndpointMemory(path)
    assert mine.get("a", URL, "m") is None
    assert mine.all() == []
    mine.put("a", URL, "m", {"x": 1})
    mine.flush()
    assert EndpointMemory(path).get("a", URL, "m") == {"x": 1}


def test_a_folder_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    mine = EndpointMemory(tmp_path / "file" / "endpoints.json")
    mine.put("a", URL, "m", {"x": 1})
    mine.flush()
    assert mine.get("a", URL, "m") == {"x": 1}


def test_too_much_is_not_kept(path: Path) -> None:
    mine = EndpointMemory(path)
    mine.put("a", URL, "m", {"x": "y" * 20_000})
    mine.put("a", "", "m", {"x": 1})  # a model without an endpoint
    assert mine.all() == []


def test_memory_is_in_weaver_home(own_home: Path) -> None:
    memory().put("a", URL, "m", {"x": 1})
    memory().flush()
    written = json.loads((own_home / "endpoints.json").read_text())
    assert written["endpoints"][URL]["m"]["a"]["facts"] == {"x": 1}
    assert [p.name for p in own_home.iterdir()] == ["endpoints.json"]
