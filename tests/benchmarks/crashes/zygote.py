"""Processes that cost little: everything is imported once, and every run is a fork of that."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from dataclasses import asdict
from typing import IO, Any

from tests.benchmarks.crashes.child import Job, work

_POLL_SECONDS = 0.002


class Zygote:
    """Starts a process for each job and waits for its end. Make it before the first thread of the parent."""

    def __init__(self) -> None:
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._commands)
            os.close(self._answers)
            _serve(os.fdopen(commands), os.fdopen(answers, "w"))
            os._exit(0)
        os.close(commands)
        os.close(answers)
        self._write, self._read = os.fdopen(self._commands, "w"), os.fdopen(self._answers)

    def run(self, job: Job) -> bool:
        """Run a job; returns whether it was killed.

        Raises:
            RuntimeError: it ended with an error, which stands on stderr.
        """
        self._write.write(json.dumps(asdict(job)) + "\n")
        self._write.flush()
        code = int(self._read.readline())
        if code not in (0, -signal.SIGKILL):
            raise RuntimeError(f"The process of {job} ended with {code}.")
        return code == -signal.SIGKILL

    def close(self) -> None:
        """End it."""
        self._write.close()
        os.waitpid(self._pid, 0)


def _serve(commands: IO[str], answers: IO[str]) -> None:
    import weaver._strategies.common.registry as registry

    for name in registry.names():
        registry.load(name)
    for line in commands:
        job = Job(**json.loads(line))
        pid = os.fork()
        if pid == 0:
            _work(job)
        answers.write(f"{_wait(pid, job.seconds)}\n")
        answers.flush()


def _work(job: Job) -> Any:
    try:
        work(job)
    except BaseException:  # noqa: BLE001 - whatever it is, the process ends here
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def _wait(pid: int, seconds: float | None) -> int:
    if seconds is None:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(_POLL_SECONDS)
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
