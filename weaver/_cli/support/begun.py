"""The command line that began a durable run, kept in the journal for `weaver resume`."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import click

from weaver.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Command:
    """The part of a command line ``weaver run`` that decides about the run.

    Attributes:
        options: settings by name, as flags gave them.
        text: the question itself, where the argument names a file or stdin.
        cwd: where it was given.
    """

    question: str
    inputs: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    verify: str | None = None
    root: str | None = None
    dry_run: bool = False
    approved: tuple[str, ...] = ()
    session: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    text: str | None = None
    cwd: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the JSON to keep. A URL with a query or a user may hold a key: it is left out."""
        options = {name: value for name, value in self.options.items() if value is not None}
        url = str(options.get("base_url", ""))
        if "?" in url or "@" in url:
            del options["base_url"]
        for name in ("accept_changes", "journal"):
            options.pop(name, None)
        return {**asdict(self), "options": options, "cwd": self.cwd or str(Path.cwd())}

    @classmethod
    def from_json(cls, run_id: str, about: Mapping[str, Any]) -> Self:
        """The command line that began a run; enters its folder.

        Raises:
            ConfigurationError: a program began it, or its folder is gone.
        """
        saved = about.get("command")
        if saved is None and "job" in about:
            raise ConfigurationError(
                f"Run {run_id} was submitted for workers: they go on with it by themselves.",
                hint=f"To work again on one that has failed: weaver submit --again {run_id}",
            )
        if saved is None:
            raise ConfigurationError(
                f"Run {run_id} was begun by a Python program.",
                hint=f"Go on with it there: Weaver(durable=True).run(task, run_id={run_id!r}).",
            )
        lists = {name: tuple(saved[name]) for name in ("inputs", "parts", "documents", "approved")}
        values: dict[str, Any] = {**saved, **lists}
        command = cls(**values)
        try:
            os.chdir(command.cwd)
        except OSError as error:
            raise ConfigurationError(
                f"Run {run_id} was begun in {command.cwd}, which cannot be entered: {error.strerror}.",
                hint="Make that folder again.",
            ) from None
        return command


@dataclass(frozen=True, slots=True)
class Begun:
    """A durable run that is about to begin, or to go on.

    Attributes:
        about: for `Weaver.begun_by`.
    """

    run_id: str
    about: Mapping[str, Any]

    @classmethod
    def of(cls, command: Command, run_id: str | None) -> Self:
        """The run of a command line; with a new id by default."""
        return cls(run_id or secrets.token_hex(8), {"command": command.as_json()})


def tell_how_to_resume(run_id: str) -> None:
    """Say how to go on with a run that has not come to its end."""
    click.echo(f"Everything finished is kept. To go on: weaver resume {run_id}", err=True)
