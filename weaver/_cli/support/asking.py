"""Asking the person at the terminal while a run goes on: the run can still be stopped, and ends on time."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio
import click

from weaver._display.words import printable
from weaver._text.shortening import shorten
from weaver._tools.approvals import Approval, ApprovalRequest

if TYPE_CHECKING:
    from weaver._cli.display.progress import Progress
    from weaver._workflows.execution.approval import Question

_YES, _NO = {"y", "yes"}, {"n", "no", ""}
MAX_ARGUMENT_CHARS = 2_000
"""Characters of a call's arguments that are shown."""


class Person:
    """Who sits at the terminal. One question at a time: see `Given.turn`.

    Args:
        progress: gives way while a question is on the screen.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._keyboard = Keyboard()
        self._turn = anyio.Lock()

    async def approve(self, question: Question) -> bool:
        """Return True if the person agrees to a workflow's step. Enter alone and Ctrl-D are a no."""
        head = f"{question.workflow}, step {question.path or question.step}:"
        return await self._answer(f"{head}\n{printable(question.message)}", "Go on? [y/N]: ", _YES) == "yes"

    async def approve_tool(self, request: ApprovalRequest) -> Approval:
        """Return True if the person agrees to a tool call: once, always in this run, or not at all."""
        arguments = ", ".join(f"{name}={value!r}" for name, value in request.arguments.items())
        arguments = shorten(arguments, MAX_ARGUMENT_CHARS)
        whose = f"{request.thread}: " if request.thread else ""
        call = printable(f"{whose}{request.tool}({arguments})")
        answer = await self._answer(
            f"{call}\n({request.reason})", "Call it? [y/N/always]: ", _YES | {"a", "always"}
        )
        approved = answer != "no"
        return Approval(approved, "" if approved else "the user said no", always=answer.startswith("a"))

    async def _answer(self, text: str, prompt: str, agreeing: set[str]) -> str:
        """``yes``, ``no``, or the other word of ``agreeing`` that was typed. One question at a time."""
        async with self._turn:
            with self._progress.paused():
                click.echo(f"\n{text}", err=True)
                while True:
                    click.echo(prompt, nl=False, err=True)
                    line: str | None = None
                    try:
                        line = await self._keyboard.line()
                    finally:
                        if not line:
                            click.echo(err=True)  # nobody pressed Enter: what follows needs its own line
                    word = (line or "").strip().lower()
                    if word in _NO:
                        return "no"
                    if word in agreeing:
                        return "yes" if word in _YES else word
                    click.echo(
                        f"Please answer {'y, n or always' if 'always' in agreeing else 'y or n'}.", err=True
                    )


class Keyboard:
    """Lines typed at the terminal.

    A daemon thread reads: cancelling the wait for a line takes effect at once, and a read that nobody waits
    for any more does not keep the process from ending. It reads the descriptor and not `sys.stdin`, whose
    lock must be free when the interpreter ends.
    """

    def __init__(self, descriptor: int = 0) -> None:
        self._descriptor = descriptor
        self._waiting: asyncio.Future[str] | None = None
        self._reading = False

    async def line(self) -> str:
        """The next line that is typed from now on, with its end; ``""`` for the end of input (Ctrl-D)."""
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[str] = loop.create_future()
        self._waiting = waiting
        if not self._reading:
            self._reading = True
            threading.Thread(target=self._read, args=(loop,), name="weaver-keyboard", daemon=True).start()
        try:
            return await waiting
        finally:
            self._waiting = None

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            chunk = os.read(self._descriptor, 65_536).decode("utf-8", "replace")
        except OSError:  # the terminal is gone
            chunk = ""
        with suppress(RuntimeError):  # the run is over, and its loop closed
            loop.call_soon_threadsafe(self._heard, chunk)

    def _heard(self, said: str) -> None:
        # What is typed when no question waits (the last one timed out) must not answer the next one.
        self._reading = False
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(said)


def somebody_there() -> bool:
    """Return True if there is a person to ask: both the keyboard and the screen are a terminal."""
    return sys.stdin.isatty() and sys.stderr.isatty()
