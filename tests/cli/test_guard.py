"""No traceback, ever; and the exit code says what kind of end it was."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from weaver._cli.support.guard import debug_option, guarded
from weaver.errors import AuthenticationError, UnknownNameError


def command_that(ends: Callable[[], Any]) -> click.Command:
    @click.command()
    @debug_option
    def command() -> Any:
        return ends()

    return command


def raising(error: BaseException) -> Callable[[], Any]:
    def end() -> Any:
        raise error

    return end


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("arguments", [["version"], ["schema"], ["validate", "--json", "none.yaml"]])
def test_a_full_disk_is_no_bug(arguments):
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "weaver", *arguments]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "Error: the output cannot be written: No space left on device.\n"


@pytest.mark.parametrize(
    ("ends", "code", "said"),
    [
        (lambda: 3, 3, ""),
        (lambda: None, 0, ""),
        (raising(UnknownNameError("strategy", "adaptve", ["adaptive"])), 2, "Did you mean 'adaptive'?"),
        (
            raising(AuthenticationError("The key was refused.", hint="Set it.")),
            1,
            "Error: The key was refused.\n  Set it.",
        ),
        (raising(ExceptionGroup("g", [ExceptionGroup("g", [AuthenticationError("No.")])])), 1, "Error: No."),
        (raising(KeyboardInterrupt()), 130, "Interrupted."),
        (raising(click.Abort()), 130, "Interrupted."),
        (raising(click.exceptions.Exit(4)), 4, ""),
        (raising(click.UsageError("no such thing")), 2, "no such thing"),
        (raising(ValueError("two\nlines")), 1, "unexpected ValueError: two lines"),
        (raising(RecursionError()), 1, "This is a bug"),
        (raising(SystemExit(3)), 1, "tried to end the program (SystemExit: 3)"),
    ],
)
def test_every_end(ends: Any, code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(command_that(ends), []) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert "Traceback" not in err


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(command_that(raising(ValueError("odd"))), ["--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err

    assert guarded(command_that(raising(ValueError("odd"))), []) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_debug_by_environment(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEAVER_DEBUG", "1")
    assert guarded(command_that(raising(ValueError("odd"))), []) == 1
    assert "Traceback" in capsys.readouterr().err
