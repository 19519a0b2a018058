"""Tests, or another command, as the check of an answer."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from weaver._data.result import Answer
from weaver._verification.protocol import Verdict
from weaver._verification.sandbox import run_sandboxed
from weaver.errors import ConfigurationError

_BLOCK = re.compile(r"```[\w+-]*[ \t]*\n(.*?)(?:\n```|\Z)", re.DOTALL)
_SHOWN = 1500


class Command:
    """Runs a command beside the answer: it passes with exit code 0.

    The answer's code (its last fenced block, else the whole text) stands in ``answer_file``. See
    `weaver._verification.sandbox.run_sandboxed` for what the process may and may not do.

    Args:
        command: program and arguments, or one text of them: ``python -m pytest -q test_answer.py``.
        files: what else is put into the folder: paths, or texts by name. Files that the command names and
            that exist here are put there by themselves.
        answer_file: name of the file with the answer's code.
        timeout: seconds.
        memory_mb: most memory.

    Raises:
        ConfigurationError: the command is empty, or a file cannot be read.
    """

    def __init__(
        self,
        command: str | Sequence[str],
        *,
        files: Sequence[str | Path] | Mapping[str, str] = (),
        answer_file: str = "answer.py",
        timeout: float = 30.0,
        memory_mb: int = 1024,
    ) -> None:
        self.command = shlex.split(command) if isinstance(command, str) else list(command)
        if not self.command:
            raise ConfigurationError("The command of verify= is empty.")
        self.answer_file, self.timeout, self.memory_mb = answer_file, timeout, memory_mb
        self._files: dict[str, str | bytes] = {}
        if isinstance(files, Mapping):
            self._files |= files
        else:
            named = [
                word for word in self.command[1:] if not Path(word).is_absolute() and Path(word).is_file()
            ]
            for name in (*map(str, files), *named):
                self._files[Path(name).name if Path(name).is_absolute() else name] = _read(Path(name))

    def __repr__(self) -> str:
        return f"Command({shlex.join(self.command)!r})"

    async def __call__(self, answer: Answer) -> Verdict:
        """Check an answer."""
        files = {**self._files, self.answer_file: code_of(answer.text)}
        end = await run_sandboxed(self.command, files, timeout=self.timeout, memory_mb=self.memory_mb)
        if end.is_late:
            return Verdict(False, f"{self!r} took longer than {self.timeout:g} s.")
        if end.code == 0:
            return Verdict(True)
        return Verdict(False, f"{self!r} ended with exit code {end.code}:\n{end.output[-_SHOWN:]}")


def code_of(text: str) -> str:
    """Return the last fenced block of a text, else all of it."""
    blocks: list[str] = _BLOCK.findall(text)
    return (blocks[-1] if blocks else text).strip("\n") + "\n"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror or error}.") from None
