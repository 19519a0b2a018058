"""Durable runs on the command line: killed, resumed, watched, forked, approved, removed."""

from __future__ import annotations

import json
import time
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from weaver._cli import main
from weaver._cli.running.runs import _short
from weaver._journal.port import Entry
from weaver.testing import Scripted, Server

from .test_end_to_end import QUESTION, Shell, alone, script, server, shell

__all__ = ["alone", "server", "shell"]
ASKING = [Scripted("", tool_calls=(("lookup", '{"place": "Oslo"}'),), times=1), Scripted("It rains.")]


def listed(shell: Shell, *flags: str) -> list[dict[str, Any]]:
    """What `weaver runs list` says."""
    code, out, _ = shell("runs", "list", "--json", *flags)
    assert code == 0
    return [json.loads(line) for line in out.splitlines()]


def until(shell: Shell, server: Server, calls: int) -> None:
    """Wait until the server has so many requests, and their steps are in the journal."""
    end = time.monotonic() + 30
    while len(server.requests) < calls:
        assert time.monotonic() < end
        time.sleep(0.02)
    while sum(e["kind"] == "started" and e["usage"] is not None for e in entries(shell)) < calls - 1:
        assert time.monotonic() < end
        time.sleep(0.05)


def entries(shell: Shell, run: str = "last") -> list[dict[str, Any]]:
    code, out, _ = shell("runs", "show", run, "--json")
    return json.loads(out)["entries"] if code == 0 else []


@pytest.fixture
def killed(alone: Shell) -> Any:
    """A shell, and a server, after a durable run that was killed while Oslo's thread waited."""
    with Server(script(first=60.0, times=1)).in_thread() as server:
        alone.use(server)
        with alone.start("run", "--durable", "-q", QUESTION) as process:
            until(alone, server, 3)
            end = time.monotonic() + 30
            while not any(e["key"] == "kyoto/end" for e in entries(alone)):
                assert time.monotonic() < end
                time.sleep(0.05)
            (running,) = listed(alone)
            assert running["status"] == "running"
            process.kill()
        yield alone, server, running["run_id"]


@pytest.fixture(scope="module")
def home_of_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with two durable runs, ``mine`` and ``mine too``."""
    home = tmp_path_factory.mktemp("two") / "home"
    with pytest.MonkeyPatch.context() as patch, Server(script()).in_thread() as server:
        patch.setenv("WEAVER_HOME", str(home))
        for run_id in ("mine", "mine too"):
            command = ["run", "-q", "--durable", "--run-id", run_id, "--model", "openai/scripted"]
            assert main([*command, "--base-url", server.url, QUESTION]) == 0
    return home


def test_a_killed_run_is_resumed(killed: Any) -> None:
    shell, server, run_id = killed
    assert [run["run_id"] for run in listed(shell, "--status", "interrupted")] == [run_id]
    code, out, err = shell("attach", run_id[:6])
    assert code == 1
    assert f"weaver resume {run_id}" in err
    code, out, err = shell("resume", "last")
    assert (code, out) == (0, "Kyoto has gardens, Oslo has fjords.\n")
    assert "1 earlier call of this run" in err
    asked = [json.dumps(request.body["messages"]) for request in server.requests]
    assert [sum(word in text for text in asked) for word in ("KYOTO in", "OSLO in")] == [1, 2]
    assert listed(shell)[0]["status"] == "complete"
    assert shell("resume", "--all")[::2] == (0, "No durable run is interrupted.\n")
    assert len(server.requests) == len(asked)


def test_resume_all_takes_up_only_interrupted_runs(killed: Any) -> None:
    shell, _, run_id = killed
    assert shell("runs", "cancel", run_id)[0] == 0
    assert shell("resume", "--all")[1] == ""  # a cancelled run is not interrupted
    code, out, _ = shell("resume", run_id, "--json")
    assert (code, json.loads(out)["answer"]) == (0, "Kyoto has gardens, Oslo has fjords.")
    _, _, err = shell("runs", "cancel", run_id)
    assert "has ended already: it is complete" in err


def test_events_go_on_where_a_viewer_was_cut_off(shell: Shell) -> None:
    shell("run", "--durable", QUESTION)
    code, out, _ = shell("attach", "last", "--events")
    events = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert (events[0]["event"], events[-1]["event"]) == ("RunStarted", "RunFinished")
    _, rest, _ = shell("attach", "last", "--events", "--from", "5")
    assert rest.splitlines() == out.splitlines()[4:]
    code, text, err = shell("attach", "last")
    assert (code, text) == (0, "Kyoto has gardens, Oslo has fjords.\n")
    assert "[oslo] succeeded" in err


def test_a_run_is_forked_from_its_middle(shell: Shell, server: Server) -> None:
    shell("run", "--durable", QUESTION)
    (first,) = listed(shell)
    before = len(server.requests)
    code, out, err = shell("fork", "last", "--from", "kyoto", "--with", "temperature=0.5", "--run-id", "mine")
    assert (code, out) == (0, "Kyoto has gardens, Oslo has fjords.\n")
    assert "mine goes on with" in err
    again = [request.body for request in server.requests[before:]]
    assert ["KYOTO" in json.dumps(body["messages"]) for body in again] == [True, False]  # and the synthesis
    assert again[0]["temperature"] == 0.5
    assert {run["run_id"] for run in listed(shell)} == {"mine", first["run_id"]}
    assert [e["key"] for e in entries(shell, first["run_id"])] == [
        e["key"] for e in first_entries(shell, first)
    ]


def first_entries(shell: Shell, head: dict[str, Any]) -> list[dict[str, Any]]:
    """The entries of a run as they are exported."""
    code, out, _ = shell("runs", "export", head["run_id"])
    assert code == 0
    lines = [json.loads(line) for line in out.splitlines()]
    assert lines[0]["run_id"] == head["run_id"]
    return lines[1:]


def test_a_call_can_have_answered_something_else(shell: Shell, server: Server) -> None:
    shell("run", "--durable", QUESTION)
    before = len(server.requests)
    reply = Path("reply.txt")
    reply.write_text("Temples.")
    code, _, _ = shell("fork", "last", "--from", "kyoto/call/0", "--reply", "@reply.txt")
    assert code == 0
    (synthesis,) = server.requests[before:]
    assert "Temples." in json.dumps(synthesis.body["messages"])
    assert "Gardens." not in json.dumps(synthesis.body["messages"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--from", "nosuch"), "no finished step named 'nosuch'"),
        (("--from", "plan", "--with", "x"), "NAME=VALUE"),
        (("--from", "plan", "--with", "nosuch=1"), "no setting named 'nosuch'"),
        (("--from", "plan", "--with", "api_key=x"), "no setting named 'api_key'"),
        (("--from", "plan", "--with", "deadline=soon"), "write a duration"),
        (("--from", "plan", "--with", "strategy=nosuch"), "no strategy named 'nosuch'"),
        (("--from", "plan", "--reply", "@nosuch"), "The reply from nosuch cannot be read"),
        (("--from", "kyoto/end", "--reply", "x"), "no model call named"),
        (("--from", "plan", "--run-id", "mine"), "There is a run mine already"),
    ],
)
def test_a_fork_that_cannot_be_leaves_no_run(shell: Shell, arguments: tuple[str, ...], words: str) -> None:
    shell("run", "--durable", "--run-id", "mine", QUESTION)
    code, out, err = shell("fork", "mine", *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert [run["run_id"] for run in listed(shell)] == ["mine"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("runs", "show", "nosuch"), ("runs", "export", "nosuch"), ("runs", "cancel", "nosuch"),
        ("runs", "rm", "nosuch"), ("runs", "rm"), ("runs", "rm", "--older-than", "-1"),
        ("runs", "rm", "--status", "nosuch"), ("runs", "list", "--status", "nosuch"),
        ("runs", "list", "-n", "-1"),
        ("resume",), ("resume", "nosuch"), ("resume", "mine", "--all"), ("attach", "nosuch"),
        ("attach", "mine", "--from", "0"), ("fork", "mine"), ("fork", "nosuch", "--from", "plan"),
        ("approve",), ("approve", "nosuch"), ("approve", "mine", "nosuch"), ("runs", "show", "m"),
        ("runs", "show", ""),
    ],
)  # fmt: skip
def test_wrong_arguments_change_nothing(alone: Shell, home_of_two: Path, arguments: tuple[str, ...]) -> None:
    copytree(home_of_two, alone.folder / "home")
    code, out, err = alone(*arguments)
    assert (code, out) == (2, "")
    assert "Error: " in err
    assert len(listed(alone)) == 2


def test_changed_instructions_are_shown_and_accepted(killed: Any) -> None:
    shell, server, run_id = killed
    before = len(server.requests)
    code, _, err = shell("resume", run_id, WEAVER_INSTRUCTIONS="Be short.")
    assert code == 1
    assert "+" in err
    assert "Be short." in err
    assert "--accept-changes" in err
    assert len(server.requests) == before
    code, out, _ = shell("resume", run_id, "--accept-changes", WEAVER_INSTRUCTIONS="Be short.")
    assert (code, out) == (0, "Kyoto has gardens, Oslo has fjords.\n")
    assert len(server.requests) > before + 2


def test_a_workflow_says_that_it_is_durable(shell: Shell, server: Server) -> None:
    flow = "version: weaver/v1\nname: f\ndurable: true\nsteps:\n  a: {task: KYOTO in May?}\n"
    Path("f.yaml").write_text(flow)
    assert shell("run", "f.yaml")[0] == 0
    (run,) = listed(shell)
    assert run["status"] == "complete"
    assert shell("resume", run["run_id"], "-q")[:2] == (0, "Gardens.\n")
    assert len(server.requests) == 1


def test_old_runs_are_forgotten(shell: Shell) -> None:
    for name in ("one", "two", "three"):
        shell("run", "--durable", "--run-id", name, QUESTION, WEAVER_KEEP_RUNS="2")
    assert {run["run_id"] for run in listed(shell)} == {"two", "three"}
    assert shell("runs", "rm", "three")[0] == 0
    assert shell("runs", "rm", "--status", "complete", "--older-than", "0")[2] == "Removed 1 run.\n"
    assert listed(shell) == []


@pytest.mark.parametrize("damage", [lambda _: b"nonsense" * 1000, lambda content: content[:5000]])
def test_a_damaged_journal_is_an_error_for_people(shell: Shell, damage: Any) -> None:
    with shell.start("run", "--durable", "--run-id", "mine", QUESTION) as process:
        process.communicate(timeout=60)
    assert len(listed(shell)) == 1  # whoever closes it last brings everything into the one file
    path = shell.folder / "home" / "journal.sqlite"
    content = damage(path.read_bytes())
    path.write_bytes(content)
    for arguments in (("runs", "list"), ("resume", "mine"), ("attach", "mine"), ("run", "--durable", "q")):
        code, out, err = shell(*arguments)
        assert (code, out) == (1, "")
        assert "is damaged" in err
    assert path.read_bytes() == content


def test_a_step_is_approved_after_its_process_has_died(shell: Shell, server: Server) -> None:
    flow = (
        "version: weaver/v1\nname: f\ndurable: true\nsteps:\n  a: {task: KYOTO in May?}\n"
        "  go: {approve: 'Publish ${{ steps.a.output }}?'}\n  b: {task: OSLO in May?, needs: go}\n"
        "  sure: {approve: {message: Sure?, otherwise: approve}}\n"
    )
    Path("f.yaml").write_text(flow)
    with shell.start("run", "f.yaml") as process:
        end = time.monotonic() + 60
        while "go Publish Gardens.?" not in shell("approve", "last")[1]:
            assert time.monotonic() < end
            time.sleep(0.05)
        process.kill()
        _, err = process.communicate(timeout=30)
    assert "waits for approval go: Publish Gardens.?" in err
    assert shell("approve", "last", "other")[0] == 2
    assert shell("approve", "last", "go")[2] == "Approved.\n"
    assert shell("approve", "last")[2] == "The run waits for no approval.\n"
    code, out, _ = shell("resume", "last", "--json")
    assert (code, json.loads(out)["status"]) == (0, "complete")
    assert len(server.requests) == 2


def test_a_step_that_is_denied_from_elsewhere(shell: Shell) -> None:
    Path("f.yaml").write_text(
        "version: weaver/v1\nname: f\nsteps:\n  a: {task: KYOTO in May?}\n  go: {approve: Go?}\n"
        "  b: {task: OSLO in May?, needs: go}\n"
    )
    with shell.start("run", "f.yaml", "--durable") as process:
        end = time.monotonic() + 60
        while not shell("approve", "last")[1]:
            assert time.monotonic() < end
            time.sleep(0.05)
        assert shell("approve", "last", "go", "--deny", "--reason", "not today")[2] == "Denied.\n"
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "It was not approved. not today" in err


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"text": "An answer."}, "An answer."),
        ({"error": {"message": "It broke."}}, "It broke."),
        ({"error": "It broke."}, "It broke."),
        ({"error": 3}, "3"),
        ({"error": None}, '{"error": null}'),
        ([1, 2], "[1, 2]"),
    ],
)
def test_runs_show_shortens_values_of_any_shape(value: Any, words: str) -> None:
    assert _short(Entry("s1/once", "ok", value)) == words
