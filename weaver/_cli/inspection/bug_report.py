"""``weaver bug-report``: one archive with what somebody needs who is to find a mistake in weaver."""

from __future__ import annotations

import io
import json
import os
import platform
import re
import sys
import time
import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, distributions, requires
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

import click

from weaver._cli.inspection.doctor import diagnose
from weaver._cli.support.guard import debug_option
from weaver._cli.support.interrupt import run_async
from weaver._settings.settings import SECRET, Settings
from weaver._tracing.record.redact import Redactor
from weaver.errors import ConfigurationError, WeaverError

_NOTE = """\
What `weaver bug-report` packed. Look through it before you attach it to an issue.

versions.json   weaver, Python, this system, the packages that weaver uses
doctor.json     what `weaver doctor` says
settings.json   settings that differ from the defaults, without keys, headers and database URLs
trace.jsonl     the spans of one run{texts}

Secrets of known shapes, and the values of environment variables whose names say that they are secret, are
replaced by [redacted] in all of it. Further patterns of yours: WEAVER_REDACT.
"""
_NAME = re.compile(r"[A-Za-z0-9._-]+")


@click.command()
@click.argument("run", required=False)
@click.option("--texts", is_flag=True, help="With the prompts and answers of the run.")
@click.option("--no-trace", is_flag=True, help="Without any run.")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the archive here."
)
@debug_option
def bug_report(run: str | None, texts: bool, no_trace: bool, output: Path | None) -> int:
    """Pack versions, settings without secrets, what `weaver doctor` says, and the trace of one run.

    RUN is a run's id, the beginning of it, or "last" (the default). Nothing is sent anywhere.
    """
    if no_trace and (run or texts):
        raise click.UsageError("--no-trace leaves out what RUN and --texts ask for.")
    contents = {"versions": versions(), "doctor": _doctor(), "settings": _settings()}
    files = {f"{name}.json": _json(value) for name, value in contents.items()}
    run_id = None
    if not no_trace:
        run_id, spans = _trace(run, texts=texts)
        if run_id is not None:
            files["trace.jsonl"] = spans
    files["README.txt"] = _NOTE.format(texts=f", {'with' if texts else 'without'} prompts and answers")
    path = output or Path(f"weaver-bug-report-{time.strftime('%Y%m%d-%H%M%S')}.zip")
    redact = Redactor()
    _write(path, {name: redact(text) for name, text in files.items()})
    about = f"with run {run_id}" if run_id else "without a run"
    click.echo(f"{path}: {', '.join(sorted(files))} ({about}). Look through it before you attach it.")
    return 0


def versions() -> dict[str, Any]:
    """The versions of weaver, Python, the system, and everything that weaver uses directly."""
    own = sorted(d.name for d in distributions() if d.name.startswith("weaver-reasoning"))
    names = {match[0] for package in own for line in requires(package) or () if (match := _NAME.match(line))}
    packages = {}
    for name in sorted({*own, *names}):
        try:
            packages[name] = version_of(name)
        except PackageNotFoundError:
            continue
    return {
        "python": sys.version,
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "packages": packages,
    }


def _doctor() -> Mapping[str, Any]:
    try:
        return asdict(run_async(lambda: diagnose(os.environ)))
    except WeaverError as error:
        return {"error": str(error)}


def _settings() -> Mapping[str, Any]:
    try:
        settings = Settings.load(os.environ)
    except ConfigurationError as error:
        return {"error": str(error)}
    return settings.model_dump(mode="json", exclude=set(SECRET), exclude_unset=True, fallback=repr)


def _trace(run: str | None, *, texts: bool) -> tuple[str | None, str]:
    """Return the id of a run, and its spans in OTLP's JSON, one a line; (None, "") where no run is kept.

    Raises:
        UnknownNameError: there is no such run.
    """
    from weaver._tracing.store.otlp_json import span_to_otlp
    from weaver._tracing.store.sqlite import Store

    store = Store()
    try:
        if run is None and not store.runs(limit=1):
            return None, ""
        row = store.find(run or "last")
        lines = [span_to_otlp(span) for span in store.spans(row)]
        if texts:
            lines += [
                json.dumps({"span_id": span, "name": name, "text": text})
                for (span, name), text in store.texts(row).items()
            ]
        return row.run_id, "".join(line + "\n" for line in lines)
    finally:
        store.close()


def _json(value: object) -> str:
    return json.dumps(value, indent=2, default=str) + "\n"


def _write(path: Path, files: Mapping[str, str]) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    try:
        path.write_bytes(packed.getvalue())
        path.chmod(0o600)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror or error}.") from None
