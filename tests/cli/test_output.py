"""stdout, stderr and exit codes of ``weaver run``, with a played run."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from typing import Any

import anyio
import pytest

from weaver._cli.display.answering import answer
from weaver._cli.display.output import FORMS, exit_code, refused
from weaver._cli.display.progress import Lines, Silent
from weaver._data.result import ErrorReport
from weaver.errors import InvalidTaskError
from weaver.events import RunFinished

from .played import RESULT, STORY, PlayedWeaver

pytestmark = pytest.mark.anyio


async def test_text_puts_only_the_answer_on_stdout(weaver: Any, capsys: pytest.CaptureFixture[str]) -> None:
    code = await answer(weaver, "?", FORMS["text"](), Lines())
    out, err = capsys.readouterr()

    assert (code, out) == (0, "Kyoto, because of the gardens.\n")
    assert weaver.closed == 1
    assert err.splitlines() == [
        "model scripted, strategy adaptive",
        "parallel (planner): two look-ups",
        "plan: 3 subtasks in 2 levels",
        "[a] started: Kyoto",
        "[b] started: Oslo",
        "[b] call failed, again in 2.0 s: 429 too many requests",
        "[a] succeeded, 50 tokens, 1.0 s",
        "[b] cancelled (settled), 0 tokens, 1.5 s",
        "note: the planner was repaired once",
        "conflict: Oslo, rain: 80 mm | 8 mm (unresolved)",
        "2 threads · 4 calls · 150 tokens · $0.0123 · 2.5 s",
        "trace " + "ab" * 16,
    ]


async def test_quiet_says_nothing_when_all_is_well(weaver: Any, capsys: pytest.CaptureFixture[str]) -> None:
    await answer(weaver, "?", FORMS["text"](), Silent(), quiet=True)

    assert capsys.readouterr() == ("Kyoto, because of the gardens.\n", "")


async def test_notes_are_told_at_the_end_when_no_progress_told_them(
    weaver: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    await answer(weaver, "?", FORMS["text"](), Silent())

    assert "note: the planner was repaired once" in capsys.readouterr().err


async def test_json_is_exactly_one_object(weaver: Any, capsys: pytest.CaptureFixture[str]) -> None:
    await answer(weaver, "?", FORMS["json"](), Lines())
    out = capsys.readouterr().out

    assert out.count("\n") == 1
    assert json.loads(out) == json.loads(json.dumps(RESULT.as_dict()))


async def test_events_are_json_lines_with_the_result_last(
    weaver: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    await answer(weaver, "?", FORMS["events"](), Silent())
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    assert [line["event"] for line in lines] == [type(event).__name__ for event in STORY]
    assert lines[-1]["result"]["run_id"] == "r1"


async def test_json_survives_broken_model_text(capsys: pytest.CaptureFixture[str]) -> None:
    broken = replace(RESULT, answer="lone \ud800 surrogate, \x1b[2J and \x00")
    weaver: Any = PlayedWeaver((RunFinished(broken),), broken)
    await answer(weaver, "?", FORMS["json"](), Silent())

    assert json.loads(capsys.readouterr().out)["answer"] == broken.answer


async def test_text_survives_what_stdout_cannot_say(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    broken = replace(RESULT, answer="lone \ud800 surrogate")
    weaver: Any = PlayedWeaver((RunFinished(broken),), broken)
    await answer(weaver, "?", FORMS["text"](), Silent(), quiet=True)

    assert capfdbinary.readouterr().out == b"lone ? surrogate\n"


async def test_control_characters_of_a_model_do_not_reach_stderr(
    capsys: pytest.CaptureFixture[str],
) -> None:
    evil = replace(RESULT, notes=("\x1b]0;owned\x07note\u202e",), answer="")
    evil = replace(evil, threads=(replace(evil.threads[0], answer="\x1b[2Jgone", title="\x1b[31mred"),))
    weaver: Any = PlayedWeaver((RunFinished(evil),), evil)
    await answer(weaver, "?", FORMS["text"](), Silent())
    err = capsys.readouterr().err

    assert "gone" in err
    assert not {"\x1b", "\x07", "\u202e"} & set(err)


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        ("complete", None, 0),
        ("partial", None, 3),
        ("partial", "DeadlineExceededError", 3),
        ("failed", "NoAnswerError", 1),
        ("failed", "AuthenticationError", 1),
        ("failed", "UnknownNameError", 2),
        ("failed", "InvalidTaskError", 2),
        ("failed", "RunCancelled", 130),
        ("failed", "SomethingOfAPlugin", 1),
        ("failed", "difflib", 1),
        ("failed", None, 1),
    ],
)
def test_exit_codes(status: Any, error: str | None, code: int) -> None:
    report = ErrorReport(error, "why") if error else None

    assert exit_code(replace(RESULT, status=status, error=report)) == code


async def test_a_failed_run_still_shows_what_was_finished(capsys: pytest.CaptureFixture[str]) -> None:
    failed = replace(RESULT, status="failed", answer="", error=ErrorReport("NoAnswerError", "Nothing came."))
    weaver: Any = PlayedWeaver((RunFinished(failed),), failed)
    code = await answer(weaver, "?", FORMS["text"](), Silent())
    out, err = capsys.readouterr()

    assert (code, out) == (1, "")
    assert "[a] Kyoto\nGardens." in err
    assert "Error: Nothing came." in err


async def test_ctrl_c_cancels_prints_what_was_finished_and_exits_130(
    capsys: pytest.CaptureFixture[str],
) -> None:
    weaver: Any = PlayedWeaver(STORY[:-1], hang=True)
    async with anyio.create_task_group() as group:

        async def press() -> None:
            await anyio.wait_all_tasks_blocked()
            os.kill(os.getpid(), signal.SIGINT)

        group.start_soon(press)
        code = await answer(weaver, "?", FORMS["json"](), Silent())
    out, err = capsys.readouterr()

    assert code == 130
    assert json.loads(out)["error"]["type"] == "RunCancelled"
    assert json.loads(out)["threads"][0]["answer"] == "Gardens."
    assert "Interrupted." in err
    assert weaver.closed == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


async def test_ctrl_c_before_the_run_has_begun(capsys: pytest.CaptureFixture[str]) -> None:
    class Slow(PlayedWeaver):
        def stream(self, task: Any) -> Any:
            return self

        async def __aenter__(self) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            await anyio.sleep_forever()

        async def __aexit__(self, *_: object) -> None: ...

    slow: Any = Slow()

    assert await answer(slow, "?", FORMS["text"](), Silent()) == 130
    assert capsys.readouterr() == ("", "Interrupted.\n")


def test_a_run_that_could_not_begin_has_a_result_too() -> None:
    made = refused(InvalidTaskError("The task is empty.", hint="Ask."), strategy="adaptive").as_dict()

    assert (made["status"], made["error"]) == (
        "failed",
        {"type": "InvalidTaskError", "message": "The task is empty. Ask."},
    )
    assert set(made) == set(RESULT.as_dict())
