"""Every file of examples/recipes does what its first lines say, over a loopback server that plays a model."""

from __future__ import annotations

import ast
import inspect
import json
import re
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from weaver._cli import main
from weaver.models import Request
from weaver.testing import Scripted, Server

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "examples" / "recipes"
CLAIM = """It costs {0}.
```claims
[{{"subject": "ticket", "attribute": "price", "value": "{0}", "unit": "USD"}}]
```"""
Serve = Callable[[Any], Server]
Run = Callable[..., str]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Serve]:
    """``serve(replies)``: programs that know of no model find this one."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def begin(replies: Any) -> Server:
            server = stack.enter_context(Server(replies).in_thread())
            monkeypatch.setenv("OPENAI_BASE_URL", server.url)
            return server

        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("WEAVER_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("WEAVER_MODEL", "openai/mock")
        monkeypatch.setenv("OPENAI_API_KEY", "a-key-for-nobody")
        yield begin


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """``ran(NAME, *ARGUMENTS)`` runs a recipe as a program in this process; what it printed."""

    def run(name: str, *arguments: str) -> str:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        try:
            runpy.run_path(str(RECIPES / name), run_name="__main__")
        except SystemExit as end:
            if end.code:
                raise
        return capsys.readouterr().out

    return run


def test_chat_session(serve: Serve, ran: Run):
    server = serve([Scripted("Oslo.", when="Where do I live?"), Scripted("Noted.")])
    assert ran("chat_session.py", "zoe", "I live in Oslo.") == "Noted.\n2 messages are kept\n"
    assert ran("chat_session.py", "zoe", "Where do I live?") == "Oslo.\n4 messages are kept\n"
    assert [m.text for m in server.requests[-1].request.messages][-3:] == [
        "I live in Oslo.",
        "Noted.",
        "Where do I live?",
    ]


def test_fastapi_sse(serve: Serve, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("fastapi")
    from starlette.testclient import TestClient

    serve("It is 42.")
    monkeypatch.syspath_prepend(str(RECIPES))
    import fastapi_sse

    with TestClient(fastapi_sse.app) as client:
        answer = client.get("/ask", params={"question": "What is 6 x 7?"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    kinds = re.findall(r"^event: (\w+)$", answer.text, re.MULTILINE)
    assert kinds[0] == "RunStarted"
    assert kinds[-1] == "RunFinished"
    assert "It is 42." in answer.text


def test_mcp_tools(serve: Serve, ran: Run):
    pytest.importorskip("mcp")

    def asks(request: Request) -> bool:
        return bool(request.tools) and request.messages[-1].role != "tool"

    serve(
        [
            Scripted(tool_calls=(("weather_today", '{"city": "Oslo"}'),), when=asks),
            Scripted(lambda r: f"Told: {r.messages[-1].text}"),
        ]
    )
    out = ran("mcp_tools.py", "What is the weather in Oslo?")
    assert "called: weather_today" in out
    assert "21 degrees" in out


def test_resume(serve: Serve, ran: Run):
    server = serve("Kyoto.")
    first = ran("resume.py", "brief-1", "Kyoto or Oslo?")
    assert first.startswith("Kyoto.\ncomplete with ")
    calls = len(server.requests)
    assert ran("resume.py", "brief-1", "Kyoto or Oslo?") == first
    assert len(server.requests) == calls


def test_own_strategy(serve: Serve, ran: Run, capsys: pytest.CaptureFixture[str]):
    server = serve([Scripted("Canberra.", when="Write it again"), Scripted("Sydney")])
    assert ran("own_strategy.py", "What is the capital of Australia?").startswith("Canberra.")
    assert len(server.requests) == 3
    capsys.readouterr()
    assert main(["run", "--strategy", f"{RECIPES}/own_strategy.py:checked", "Capital?"]) == 0
    assert capsys.readouterr().out.strip() == "Canberra."


def test_own_conflict_policy(serve: Serve, ran: Run):
    plan = {
        "parallel": True,
        "reason": "two prices",
        "subtasks": [
            {"id": "train", "title": "Train", "prompt": "Look up source A.", "depends_on": []},
            {"id": "web", "title": "Web", "prompt": "Look up source B.", "depends_on": []},
        ],
    }
    serve(
        [
            Scripted(json.dumps(plan), when="subtasks"),
            Scripted(CLAIM.format(90), when=lambda r: "source A" in r.messages[-1].text),
            Scripted(CLAIM.format(120), when=lambda r: "source B" in r.messages[-1].text),
            Scripted("A ticket costs 120 USD."),
        ]
    )
    out = ran("own_conflict_policy.py", "Compare what two sources say about the price of a ticket to Bergen.")
    assert "Resolution(policy='careful', value='120" in out, out


def test_batch(serve: Serve, ran: Run, tmp_path: Path):
    server = serve([Scripted("Tokyo.", when="Japan"), Scripted("Lima.", when="Peru")])
    (tmp_path / "questions.txt").write_text("Capital of Japan?\n\nCapital of Peru?\n")
    ran("batch.py", "questions.txt", "answers.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert [row["answer"] for row in rows] == ["Tokyo.", "Lima."]
    calls = len(server.requests)
    ran("batch.py", "questions.txt", "answers.jsonl")
    assert len(server.requests) == calls


def test_celery_task(serve: Serve, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("celery")
    serve("Kyoto.")
    monkeypatch.syspath_prepend(str(RECIPES))
    import celery_task

    result = celery_task.ask.apply(args=("Kyoto or Oslo?", "brief-1"))  # as a worker calls it
    assert result.get() == {"answer": "Kyoto.", "status": "complete"}


def test_long_documents(serve: Serve, ran: Run, tmp_path: Path):
    def lines_of(request: Request) -> str:
        rows = re.findall(r"^\W*(\d+)\W.*Oslo", request.messages[-1].text, re.MULTILINE)
        return json.dumps({"facts": [{"lines": [int(row)], "text": "an order from Oslo"} for row in rows]})

    serve([Scripted(lines_of)])
    (tmp_path / "orders.csv").write_text("id,city\n1,Oslo\n2,Lima\n3,Oslo\n")
    ran("long_documents.py", "How many orders are from Oslo?", "orders.csv")


def test_tests_without_a_model():
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_without_model.py"],
        capture_output=True,
        text=True,
        check=False,
        cwd=RECIPES,
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.anyio
async def test_the_notebook_gives_the_outputs_that_it_was_kept_with(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.chdir(tmp_path)
    cells = json.loads((RECIPES / "notebook.ipynb").read_text())["cells"]
    namespace: dict[str, object] = {}
    for cell in (cell for cell in cells if cell["cell_type"] == "code"):
        code = compile("".join(cell["source"]), "cell", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        waiting = eval(code, namespace)
        if inspect.iscoroutine(waiting):
            await waiting
        kept = "".join("".join(output["text"]) for output in cell["outputs"])
        assert capsys.readouterr().out == kept


def test_every_recipe_is_on_the_page():
    page = (ROOT / "docs/recipes.md").read_text("utf-8")
    for path in RECIPES.glob("*.*"):
        assert f"../examples/recipes/{path.name})" in page, path.name
