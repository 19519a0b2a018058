"""What the flags of ``weaver submit`` say, as a submission."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from weaver._cli.support.flags import settings_from
from weaver._cli.support.question import question_from
from weaver._cli.workflow import is_workflow
from weaver._workers.submission import Submission, files_of, travelling


def submission_of(question: str, options: Mapping[str, Any]) -> Submission:
    """Check everything that can be checked here.

    Raises:
        WeaverError: the question, the workflow, an input or a setting is wrong.
    """
    settings = settings_from(dict(options))
    values = travelling(settings)
    flags = tuple(name for name in values if options.get(name) is not None)
    if is_workflow(question):
        return _workflow(Path(question), options, values, flags)
    if options["inputs"] or options["root"] or options["approved"]:
        raise click.UsageError("-i, --root and --approve are for workflows: give a .yaml file.")
    return Submission(question_from(question), tuple(options["parts"]), values, flags)


def when(delay: str | None, at: str | None) -> dict[str, Any]:
    """The fields of a `Job` that say when it begins."""
    from weaver._settings.units import parse_duration

    fields: dict[str, Any] = {}
    if delay is not None:
        try:
            fields["delay"] = float(parse_duration(delay))
        except (ValueError, TypeError):
            raise click.UsageError(f"--delay {delay!r} is no duration: write 90s, 5m or 1h30m.") from None
    if at is not None:
        try:
            fields["at"] = datetime.fromisoformat(at).timestamp()
        except (ValueError, OverflowError):
            raise click.UsageError(f"--at {at!r} is no time: write 2026-12-01T06:00+01:00.") from None
    return fields


def _workflow(
    path: Path, options: Mapping[str, Any], values: dict[str, Any], flags: tuple[str, ...]
) -> Submission:
    from weaver._cli.workflow import inputs_of
    from weaver._workflows.validation.loader import load

    if options["parts"]:
        raise click.UsageError("--part is for questions: give a question instead of a .yaml file.")
    workflow = load(path, root=options["root"])
    files, name = files_of(workflow, path)
    inputs = inputs_of(workflow, options["inputs"])
    return Submission(
        settings=values,
        flags=flags,
        files=files,
        path=name,
        inputs=inputs,
        approved=tuple(options["approved"]),
    )
