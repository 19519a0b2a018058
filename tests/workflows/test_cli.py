"""The commands of workflows: validate, schema, init, test, plan and run."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from weaver._cli import main
from weaver._workflows.format.json_schema import schema_text
from weaver.testing import Scripted, Server

FLOW = """\
version: weaver/v1
name: flow
description: A small one.
inputs:
  topic: {type: string, description: What about.}
  n: {type: integer, default: 1}
  files: {type: array, items: string, default: []}
steps:
  plan: {task: 'plan ${{ inputs.topic }}', output: {type: array, items: string, maxItems: 4}, max_tokens: 100}
  work: {for_each: steps.plan.output, max_parallel: 2, task: 'work on ${{ item }}', max_tokens: 200, retry: 1}
  check: {if: inputs.n > 1, function: nobody_has_this, with: {x: 1}}
  end: {task: 'end ${{ steps.work.output }}', agent: critic}
agents: {critic: {instructions: Be strict.}}
"""


@pytest.fixture
def flow(tmp_path) -> Path:
    path = tmp_path / "flow.yaml"
    path.write_text(
        FLOW.replace("  check: {if: inputs.n > 1, function: nobody_has_this, with: {x: 1}}\n", "")
    )
    return path


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """No settings and no terminal of the machine that runs the tests."""
    monkeypatch.chdir(tmp_path)
    for name in ("OPENAI_BASE_URL", "WEAVER_MODEL", "WEAVER_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WEAVER_HOME", str(tmp_path / "home"))


def test_validate_says_what_is_fine_and_what_is_not(flow, tmp_path, capsys):
    assert main(["validate", str(flow)]) == 0
    assert capsys.readouterr().out.endswith(f"{flow}: flow is fine (3 inputs, 3 steps)\n")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(FLOW.replace("steps.plan.output,", "steps.plam.output,"))
    assert main(["validate", str(flow), str(wrong)]) == 2
    said = capsys.readouterr()
    assert f"{wrong}:10:26: steps.work.for_each: there is no step 'plam'; did you mean 'plan'?" in said.out
    assert f"{wrong}:11:39: steps.check.function: there is no function 'nobody_has_this'" in said.out
    assert said.err == "2 problems\n"
    assert main(["validate", "--elsewhere", str(wrong)]) == 2
    assert "nobody_has_this" not in capsys.readouterr().out


def test_validate_reads_stdin(monkeypatch, capsys):
    for content, code, said in [
        (b"version: weaver/v1\nname: x\nsteps: {a: {task: x}}\n", 0, "-: x is fine"),
        (b"version: weaver/v1\nname: x\nsteps: {a: {tusk: x}}\n", 2, "<stdin>:3:13: steps.a.tusk: "),
        (b"name: \xff", 2, "<stdin>:1:7: byte 0xff is not UTF-8"),
    ]:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
        assert main(["validate", "-"]) == code
        assert said in capsys.readouterr().out


def test_validate_for_machines(tmp_path, capsys):
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("version: weaver/v1\nname: x\nsteps:\n  a: {tusk: x}\n")
    assert main(["validate", "--json", str(wrong)]) == 2
    assert json.loads(capsys.readouterr().out)[0] == {
        "severity": "error", "file": str(wrong), "line": 4, "column": 7, "where": "steps.a.tusk",
        "what": "there is no key 'tusk' here", "hint": "did you mean 'task'?",
    }  # fmt: skip


def test_schema_is_printed_as_committed(capsys):
    assert main(["schema"]) == 0
    assert capsys.readouterr().out == schema_text()


def test_init_writes_a_file_that_is_fine_and_tested(tmp_path, capsys):
    assert main(["init", "new/my flow.yaml"]) == 0
    path = tmp_path / "new/my flow.yaml"
    first = path.read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=./weaver-v1.schema.json"
    assert (path.parent / "weaver-v1.schema.json").read_text() == schema_text()
    assert main(["validate", str(path)]) == 0
    assert main(["test", str(path)]) == 0
    said = capsys.readouterr().out
    assert "  weaver validate 'new/my flow.yaml'\n" in said
    assert "weaver validate 'new/my flow.yaml' " in path.read_text()
    assert main(["init", str(path)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert main(["init", str(path), "--force", "--schema", "https://example.org/s.json"]) == 0
    assert path.read_text().startswith("# yaml-language-server: $schema=https://example.org/s.json\n")
    assert main(["init", "flow.txt"]) == 2
    (path.parent / "weaver-v1.schema.json").write_text("mine")
    capsys.readouterr()
    assert main(["init", "new/other.yaml"]) == 2
    assert "it is another schema" in capsys.readouterr().err
    assert (path.parent / "weaver-v1.schema.json").read_text() == "mine"
    assert not (path.parent / "other.yaml").exists()
    assert main(["init", "new/other.yaml", "--force"]) == 0


def test_plan_draws_the_steps_and_the_most_they_can_take(flow, capsys):
    assert main(["plan", str(flow)]) == 0
    out = capsys.readouterr().out
    assert "flow: 3 steps in 3 levels" in out
    assert "* work  <- plan" in out
    assert "for each of steps.plan.output, 2 at a time" in out
    assert "* longest chain: plan -> work -> end" in out
    # plan: 1 call and 2 repairs; work: at most 4 items, each tried twice; end: 1.
    assert "At most: 12 calls, any number of tokens, cost unknown" in out


def test_plan_as_json_and_as_pictures(flow, capsys):
    assert main(["plan", str(flow), "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["levels"] == [["plan"], ["work"], ["end"]]
    assert plan["steps"]["work"]["at_most"]["calls"] == 8
    assert plan["steps"]["plan"]["at_most"]["tokens"] > 300
    assert plan["at_most"]["calls"] == 12
    assert main(["plan", str(flow), "--draw", "mermaid"]) == 0
    picture = capsys.readouterr().out
    assert picture.startswith("flowchart LR\n")
    assert "    step_plan --> step_work\n" in picture
    assert main(["plan", str(flow), "--draw", "svg"]) == 0
    svg = ET.fromstring(capsys.readouterr().out)
    texts = [element.text for element in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert {"plan", "work", "end"} <= set(texts)
    assert main(["plan", "a question", "--draw", "svg"]) == 2


def test_words_and_markup_of_mermaid_in_a_workflow_are_only_labels(tmp_path, capsys):
    path = tmp_path / "odd.yaml"
    path.write_text(
        "version: weaver/v1\nname: odd\nagents: {'<b>#1`\"': {instructions: Be strict.}}\n"
        "steps:\n  end: {task: x}\n  graph: {task: x, needs: end, agent: '<b>#1`\"'}\n"
    )
    assert main(["plan", str(path), "--draw", "mermaid"]) == 0
    _, end, graph, edge = capsys.readouterr().out.splitlines()
    assert end == '    step_end["end<br/>sequential"]'
    assert graph == '    step_graph["graph<br/>sequential as #60;b#62;#35;1#96;#34;"]'
    assert edge == "    step_end --> step_graph"


def test_a_dry_run_needs_nothing(flow, capsys):
    assert main(["run", str(flow), "-i", "topic=tea", "--dry-run", "--json", "-q"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["status"] == "complete"
    assert result["strategy"] == "workflow:flow"
    assert result["model"] == "scripted"
    assert set(result["output"]) == {"end"}


def test_inputs_that_are_wrong_or_missing(flow, capsys):
    assert main(["run", str(flow), "--dry-run"]) == 2
    assert "the input 'topic' (string) is missing: What about." in capsys.readouterr().err
    assert main(["run", str(flow), "--dry-run", "-i", "topic"]) == 2
    assert "-i 'topic' is no input" in capsys.readouterr().err
    assert main(["run", str(flow), "--dry-run", "-i", "topic=@nothing.txt"]) == 2
    assert "nothing.txt cannot be read" in capsys.readouterr().err
    assert main(["run", str(flow), "--dry-run", "-i", "topic=x", "-i", "n=two"]) == 2
    assert "the input 'n' does not fit" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        (['tags=["a", 1]'], "[1]: it should be a valid string"),
        (['tags=["a"'], "the JSON is not closed: a bracket or a quote is missing at its end"),
        (["tags=[a, b]"], "this is no JSON: expecting value before 'a, b]'"),
        (['o={"a":'], "the JSON is not closed"),
        (['o={"a'], "the JSON is not closed"),
        (["o={a: 1}"], "this is no JSON: expecting property name enclosed in double quotes before 'a: 1}'"),
        (["o=[1]"], 'an object is expected, as JSON: {"name": "value"}'),
        (["topic=t", "topic=u"], "it is given 2 times, and only a list takes several values"),
        (["n=1", "n=x"], "it should be a valid integer"),
        (["yes=maybe"], "true or false is expected"),
    ],
)
def test_values_that_cannot_be_read_are_told_as_they_were_given(inputs, why, tmp_path, capsys):
    path = tmp_path / "typed.yaml"
    path.write_text(
        "version: weaver/v1\nname: typed\nsteps: {a: {task: x}}\ninputs:\n"
        "  tags: {type: array, items: string, default: []}\n  o: {type: object, default: {}}\n"
        "  topic: {type: string, default: t}\n  n: {type: array, items: integer, default: []}\n"
        "  yes: {type: boolean, default: true}\n"
    )
    given = [part for one in inputs for part in ("-i", one)]
    assert main(["run", str(path), "--dry-run", *given]) == 2
    said = capsys.readouterr().err
    assert f"the input {inputs[0].partition('=')[0]!r} does not fit: {why}" in said
    assert "Give inputs as -i name=value." in said


def test_an_input_comes_from_stdin(flow, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("Öl\n".encode())))
    assert main(["run", str(flow), "--dry-run", "--events", "-q", "-i", "topic=@-"]) == 0
    capsys.readouterr()
    assert main(["run", str(flow), "--dry-run", "-i", "topic=@-", "-i", "n=@-"]) == 2
    assert "Only one input can be read from stdin." in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xff")))
    assert main(["run", str(flow), "--dry-run", "-i", "topic=@-"]) == 2
    assert "The input 'topic': stdin is not UTF-8 text." in capsys.readouterr().err


@pytest.mark.parametrize(("given", "seconds"), [("2m", 120), ("1m30s", 90), ("45", 45), ("0.5", 0.5)])
def test_times_on_the_command_line_are_written_as_in_files(given, seconds):
    import click

    from weaver._cli.support.flags import settings_flags, settings_from

    @click.command()
    @settings_flags
    def command(**options):
        return settings_from(options)

    settings = command.main(["--deadline", given, "--thread-timeout", given], standalone_mode=False)
    assert (settings.deadline, settings.thread_timeout) == (seconds, seconds)


def test_a_time_that_is_none_is_told(flow, capsys):
    assert main(["run", str(flow), "--dry-run", "-i", "topic=x", "--deadline", "2 minutes"]) == 2
    assert "--deadline" in capsys.readouterr().err


def test_a_wrong_file_is_told_and_json_is_still_json(tmp_path, capsys):
    path = tmp_path / "wrong.yaml"
    path.write_text("version: weaver/v1\nname: x\nsteps:\n  a: {tusk: x}\n")
    assert main(["run", str(path), "--json"]) == 2
    said = capsys.readouterr()
    assert json.loads(said.out)["error"]["type"] == "InvalidWorkflowError"
    assert "steps.a.tusk" in said.err
    assert main(["run", str(tmp_path / "none.yaml")]) == 2
    assert "there is no such file" in capsys.readouterr().err


@pytest.fixture
def server():
    replies = [
        Scripted('{"value": ["a", "b"]}', when="plan"),
        Scripted("worked", when="work on"),
        Scripted("the end", when="end"),
    ]
    with Server(replies).in_thread() as running:
        yield running


def test_a_run_against_a_real_server(flow, server, tmp_path, capsys):
    (tmp_path / "topic.txt").write_text("green tea\n")
    flags = ["--base-url", server.url, "--model", "m", "--json"]
    assert main(["run", str(flow), "-i", "topic=@topic.txt", *flags]) == 0
    said = capsys.readouterr()
    result = json.loads(said.out)
    assert result["answer"] == "the end"
    assert result["usage"]["calls"] == 4
    assert [t["id"] for t in result["threads"]] == ["plan", "work", "end", "work/1", "work/2"] or result[
        "threads"
    ]
    assert "[work/1] succeeded" in said.err


def test_several_texts_for_a_list(tmp_path, capsys):
    path = tmp_path / "many.yaml"
    path.write_text(
        "version: weaver/v1\nname: many\n"
        "inputs: {files: [string], n: {type: array, items: integer, default: [1]}}\n"
        "steps: {a: {for_each: inputs.files, task: '${{ item }}'}}\n"
        "outputs: {files: '${{ inputs.files }}', n: '${{ inputs.n }}', a: '${{ steps.a.output }}'}\n"
    )
    (tmp_path / "one.txt").write_text("first, with a comma")
    (tmp_path / "two.txt").write_text("second")

    def files(*inputs: str) -> list[str]:
        arguments = [part for given in inputs for part in ("-i", given)]
        assert main(["run", str(path), "--dry-run", "--json", "-q", *arguments]) == 0
        return json.loads(capsys.readouterr().out)["output"]

    assert files("files=@one.txt", "files=@two.txt")["files"] == ["first, with a comma", "second"]
    assert files("files=@one.txt")["files"] == ["first, with a comma"]
    assert files("files=a, b")["files"] == ["a", "b"]
    assert files(
        'files=["a, b"]',
        "n=[2]",
    )["files"] == ["a, b"]
    assert files("files=x", "n=1", "n=2")["n"] == [1, 2]
    assert files("files=@@home")["files"] == ["@home"]


def test_a_person_at_a_terminal_is_asked(flow, tmp_path):
    """Missing inputs are asked for, again until they fit; approvals too. In a real pseudo-terminal."""
    pty = pytest.importorskip("pty")
    import os

    path = tmp_path / "ask.yaml"
    path.write_text(
        "version: weaver/v1\nname: ask\ninputs:\n  n: {type: integer, description: How many.}\n"
        "  deep: boolean\n  o: object\n  page: string\n"
        "steps:\n  a: {approve: 'Take ${{ inputs.n }}?', task: go}\n"
        "outputs: {n: '${{ inputs.n }}', state: '${{ steps.a.state }}', deep: '${{ inputs.deep }}',"
        " o: '${{ inputs.o }}', page: '${{ inputs.page }}'}\n"
    )
    (tmp_path / "page.txt").write_text("from a file")
    master, slave = pty.openpty()
    with Server("fine").in_thread() as server:
        process = subprocess.Popen(
            [*(sys.executable, "-m", "weaver", "run", str(path), "--json", "--no-live"),
             *("--base-url", server.url, "--model", "m")],
            stdin=slave, stderr=slave, stdout=subprocess.PIPE, env={**os.environ, "TERM": "dumb"},
        )  # fmt: skip
        os.close(slave)
        os.write(master, b"many\n7\nmaybe\nYes\n{\n" + b'{"a": 1}\n@none.txt\n@page.txt\ny\n')
        out, _ = process.communicate(timeout=50)
    shown = b""
    while True:
        try:
            shown += os.read(master, 4096)
        except OSError:
            break
    os.close(master)
    assert json.loads(out)["output"] == {
        "n": 7, "state": "succeeded", "deep": True, "o": {"a": 1}, "page": "from a file",
    }  # fmt: skip
    for told in (
        b"deep [yes or no]",
        b"yes or no is expected",
        b"as JSON",
        b"is not closed",
        b"none.txt cannot",
    ):
        assert told in shown
    assert b"How many." in shown
    assert b"it should be a valid integer" in shown
    assert b"Take 7?" in shown


DECIDED = """\
version: weaver/v1
name: decided
inputs:
  topic: string
  deep: {type: boolean, default: false}
  things: {type: array, items: string}
steps:
  outline: {task: 'outline ${{ inputs.topic }}', max_tokens: 100}
  more: {if: inputs.deep, task: 'more on ${{ inputs.topic }}', max_tokens: 100}
  behind: {task: 'go on with ${{ steps.more.output }}', max_tokens: 100}
  works: {for_each: inputs.things, task: 'work on ${{ item }}', max_tokens: 100}
"""


def test_plan_says_what_the_inputs_decide(tmp_path, capsys):
    path = tmp_path / "decided.yaml"
    path.write_text(DECIDED)
    given = ["-i", "topic=tea", "-i", "things=kyoto", "-i", "things=oslo"]
    assert main(["plan", str(path), "--json", *given]) == 0
    plan = json.loads(capsys.readouterr().out)
    steps = plan["steps"]
    assert steps["outline"]["task"] == "outline tea"
    assert (steps["more"]["skipped"], steps["behind"]["skipped"]) == (True, True)
    assert (steps["works"]["items"], steps["works"]["task"]) == (2, None)
    assert plan["at_most"]["calls"] == 3
    assert main(["plan", str(path), "--json", *given, "-i", "deep=true"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["at_most"]["calls"] == 5
    assert main(["plan", str(path), *given]) == 0
    out = capsys.readouterr().out
    assert out.count("skipped with these inputs") == 2
    assert "for each of 2 items" in out
    assert "task: outline tea" in out
    assert main(["plan", str(path)]) == 0
    assert "skipped" not in capsys.readouterr().out
    assert main(["plan", str(path), "-i", "topic=tea"]) == 2
    assert "'things' (array) is missing" in capsys.readouterr().err
    assert main(["plan", "What is it?", "-i", "topic=tea"]) == 2
