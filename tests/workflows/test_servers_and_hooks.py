"""MCP servers and hooks of workflow files."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from weaver import RefusedError, Weaver
from weaver._cli import main
from weaver._workflows.validation.loader import examine
from weaver.errors import ConfigurationError
from weaver.testing import Scripted, ScriptedModel, Server
from weaver.workflows import Workflow

pytestmark = pytest.mark.anyio
SHOP = Path(__file__).parents[1] / "tools" / "shop_server.py"

FLOW = f"""\
version: weaver/v1
name: flow
mcp:
  shop: {{command: [{json.dumps(sys.executable)}, {json.dumps(str(SHOP))}, PID], allow: [price]}}
agents:
  buyer: {{instructions: Be brief., tools: [shop]}}
steps:
  one: {{task: What does tea cost?, tools: [shop]}}
  two: {{task: And again?, agent: buyer}}
"""


def model() -> ScriptedModel:
    call = (("price", '{"item": "tea"}'),)
    return ScriptedModel(
        [Scripted(tool_calls=call, when=lambda r: r.messages[-1].role == "user"), Scripted("3.5 dollars")]
    )


def flow(tmp_path: Path) -> Workflow:
    return Workflow.from_yaml(FLOW.replace("PID", json.dumps(str(tmp_path / "pid"))))


async def test_steps_and_agents_call_the_tools_of_a_server(tmp_path: Path) -> None:
    pytest.importorskip("mcp")
    scripted = model()
    async with Weaver(scripted) as weaver:
        result = await flow(tmp_path).run(weaver=weaver, mcp=["shop"])
    assert result.status == "complete"
    last = [r.request.messages[-1] for r in scripted.requests]
    assert [m.content for m in last if m.role == "tool"] == ["3.5", "3.5"]
    assert all([t.name for t in r.request.tools] == ["price"] for r in scripted.requests)


async def test_a_program_is_started_only_if_the_user_names_its_server(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"'shop' would start a program: .*--mcp shop"):
        await flow(tmp_path).run(weaver=Weaver(model()))
    assert not (tmp_path / "pid").exists()


def test_the_command_line_names_it_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("mcp")
    path = tmp_path / "flow.yaml"
    path.write_text(FLOW.replace("PID", json.dumps(str(tmp_path / "pid"))))
    assert main(["validate", str(path)]) == 0
    assert main(["plan", str(path)]) == 0
    assert main(["run", str(path), "--dry-run"]) == 0
    assert not (tmp_path / "pid").exists()
    call = (("price", '{"item": "tea"}'),)
    script = [
        Scripted(tool_calls=call, when=lambda r: r.messages[-1].role == "user"),
        Scripted("3.5 dollars"),
    ]
    with Server(script, model="m").in_thread() as server:
        flags = ["--model", "openai/m", "--base-url", server.url]
        assert main(["run", str(path), *flags]) == 2
        assert "would start a program" in capsys.readouterr().err
        assert main(["run", str(path), *flags, "--mcp", "shop"]) == 0
        assert (tmp_path / "pid").exists()
        assert main(["run", str(path), *flags, "--mcp", "shop,other"]) == 2
        assert "no MCP server named 'other'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{}", "either a url or a command"),
        ("{url: 'https://x.org', command: [x]}", "either a url or a command"),
        ("{url: 'https://x.org', allowed: [x]}", "did you mean 'allow'"),
    ],
)
def test_a_wrong_server_is_told(entry: str, message: str) -> None:
    _, problems = examine(f"version: weaver/v1\nname: x\nmcp: {{shop: {entry}}}\nsteps: {{a: {{task: x}}}}\n")
    assert message in str(problems.found[0])


def test_an_unknown_tool_suggests_servers_too() -> None:
    _, problems = examine(FLOW.replace("tools: [shop]}\n  two", "tools: [shopp]}\n  two").replace("PID", "x"))
    assert "did you mean 'shop'" in str(problems.found[0])


@pytest.fixture
def guards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "flow_guards.py").write_text(
        "from weaver import RefusedError\n"
        "seen = []\n"
        "class NoCodes:\n"
        "    def check_output(self, answer, context):\n"
        "        if '1234' in answer.text:\n"
        "            raise RefusedError('There is a code in it.')\n"
        "class Watch:\n"
        "    async def around_call(self, call, proceed):\n"
        "        seen.append(call.context.thread)\n"
        "        return await proceed(call)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("flow_guards", None)


GUARDED = """\
version: weaver/v1
name: guarded
hooks: [flow_guards:NoCodes]
agents: {careful: {instructions: Be careful., hooks: [flow_guards:Watch]}}
steps:
  one: {task: What is the code?, agent: careful}
  two: {task: What else?}
"""


@pytest.mark.usefixtures("guards")
async def test_hooks_of_the_file_and_of_agents() -> None:
    workflow = Workflow.from_yaml(GUARDED)
    with pytest.raises(RefusedError, match="There is a code in it"):
        await workflow.run(weaver=Weaver(ScriptedModel("It is 1234.")))
    import flow_guards  # type: ignore[import-not-found]  # the fixture writes it

    flow_guards.seen.clear()
    result = await workflow.run(weaver=Weaver(ScriptedModel("Nothing.")))
    assert result.status == "complete"
    assert flow_guards.seen == ["one"]


@pytest.mark.usefixtures("guards")
def test_a_refusal_has_its_own_exit_status(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "guarded.yaml"
    path.write_text(GUARDED)
    with Server(["It is 1234."], model="m").in_thread() as server:
        flags = ["--model", "openai/m", "--base-url", server.url]
        assert main(["run", str(path), *flags, "--json"]) == 4
        result = json.loads(capsys.readouterr().out)
        assert (result["status"], result["error"]["type"]) == ("failed", "RefusedError")
        assert "1234" not in json.dumps(result)
        assert main(["run", "What is the code?", *flags, "--hooks", "flow_guards:NoCodes"]) == 4
        captured = capsys.readouterr()
        assert "1234" not in captured.out + captured.err
        assert "There is a code in it." in captured.err
