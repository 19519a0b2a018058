"""``weaver trace``: look at runs that were kept on this machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from weaver._cli.support.guard import debug_option
from weaver._display.words import count, printable
from weaver.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.console import Console

    from weaver._tracing.store.span_record import SpanRecord
    from weaver._tracing.store.sqlite import RunRow, Store
    from weaver._tracing.views.run_view import RunView

_RUN = click.argument("run", required=False, default="last")


@click.group()
@debug_option
def trace() -> None:
    """Look at runs that were kept on this machine.

    RUN is a run's id, the beginning of it, its trace id, or "last" (the default).

    \b
    weaver trace show                    draw the last run
    weaver trace open                    the same in the browser
    weaver trace list --status failed
    """


@trace.command("list")
@click.option("-n", "--limit", default=20, show_default=True, help="Most runs to list; 0 for all.")
@click.option(
    "--status", metavar="STATUS", help="Only runs that are complete, partial, failed, cancelled, ..."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@debug_option
def list_(limit: int, status: str | None, as_json: bool) -> None:
    """List runs, newest first."""
    store = _store()
    rows = store.runs(limit=limit or None, status=status)
    if as_json:
        for row in rows:
            click.echo(json.dumps({name: getattr(row, name) for name in row.__slots__}))
        return
    if not rows:
        about = f" with status {status}" if status else ""
        click.echo(f"No run{about} is kept in {store.path}.", err=True)
        return
    from weaver._tracing.views.run_list import run_list

    console = _console()
    if not console.is_terminal:
        console.width = 200
    table = run_list(rows, console.width)
    console.width = max(
        console.width, console.measure(table, options=console.options.update(width=1000)).maximum
    )
    console.print(table)


@trace.command()
@_RUN
@click.option("--calls", is_flag=True, help="Show every model call.")
@click.option("--rows", default=60, show_default=True, help="Most rows of the tree; 0 for all.")
@click.option("--text", metavar="SPAN", help="Print the captured text of one span (weaver.content.ref).")
@click.option("--json", "as_json", is_flag=True, help="The spans in OTLP's JSON, one a line.")
@debug_option
def show(run: str, calls: bool, rows: int, text: str | None, as_json: bool) -> None:
    """Draw RUN: tree, bars over time, tokens, cost, critical path, what was waited for."""
    store = _store()
    row = store.find(run)
    if as_json:
        from weaver._tracing.store.otlp_json import span_to_otlp

        for span in store.spans(row):
            click.echo(span_to_otlp(span))
        return
    if text is not None:
        _show_text(store, row, text.rpartition("/")[2])
        return
    from weaver._tracing.views.waterfall import draw

    console = _console()
    console.print(draw(_view(store, row), console, calls=calls, rows=rows or None))


@trace.command("open")
@_RUN
@click.option("--compare", metavar="RUN", help="Another run to put beside it.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the file here.")
@click.option("--no-browser", is_flag=True, help="Only write the file.")
@debug_option
def open_(run: str, compare: str | None, output: Path | None, no_browser: bool) -> None:
    """Write RUN as one HTML file and open it in the browser."""
    from weaver._tracing.views.html import page_of

    store = _store()
    rows = [store.find(run), *([store.find(compare)] if compare else [])]
    page = page_of([_view(store, row) for row in rows])
    path = output or store.path.parent / "pages" / f"{'-'.join(_safe(row.run_id) for row in rows)}.html"
    _write(path, page)
    click.echo(str(path))
    if not (no_browser or output):
        import webbrowser

        if not webbrowser.open(path.absolute().as_uri()):
            click.echo("No browser was found; open the file yourself.", err=True)


@trace.command()
@_RUN
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@debug_option
def decisions(run: str, as_json: bool) -> None:
    """List what was decided in RUN: among what, by which policy, and what came of it."""
    from weaver._tracing.store.decisions import decisions_of, in_words, rewards_of

    store = _store()
    spans = store.spans(store.find(run))
    for decision in decisions_of(spans):
        click.echo(json.dumps(decision.as_dict()) if as_json else printable(in_words(decision)))
    if not as_json:
        for reward in rewards_of(spans):
            click.echo(f"reward {reward.value:g} ({printable(reward.name)}, by {reward.source})")


@trace.command()
@_RUN
@click.option(
    "--format",
    "form",
    type=click.Choice(["otlp", "html", "svg"]),
    default="otlp",
    show_default=True,
    help="OTLP as JSON (Jaeger's upload, a collector), the HTML page, or a picture.",
)
@click.option("--texts", is_flag=True, help="With prompts, answers, tool arguments and results.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Default: stdout.")
@debug_option
def export(run: str, form: str, texts: bool, output: Path | None) -> None:
    """Write RUN in a form that other programs read.

    Without --texts there is nothing in it that models were told or said.
    """
    store = _store()
    row = store.find(run)
    if form == "otlp":
        from weaver._tracing.store.otlp_json import export_request

        text = export_request(_spans(store, row, texts=texts)) + "\n"
    elif form == "html":
        from weaver._tracing.views.html import page_of

        text = page_of([_view(store, row, texts=texts)])
    else:
        from weaver._tracing.views.svg import svg_of

        text = svg_of(_view(store, row, texts=texts))
    if output is None:
        click.echo(text, nl=False)
    else:
        _write(output, text)
        click.echo(f"{output}: {count(len(text), 'character')}", err=True)


@trace.command()
@click.argument("runs", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every run.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@debug_option
def rm(runs: tuple[str, ...], everything: bool, yes: bool) -> None:
    """Forget RUNS."""
    if bool(runs) == everything:
        raise click.UsageError("Give the ids of runs, or --all.")
    store = _store()
    rows = store.runs(limit=None) if everything else [store.find(run) for run in runs]
    if everything and rows and not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("--all needs --yes where nobody can be asked.")
        click.confirm(f"Forget {count(len(rows), 'run')}?", abort=True, err=True)
    click.echo(f"{count(store.remove(rows), 'run')} forgotten.", err=True)


@trace.command()
@click.option(
    "--days", type=click.FloatRange(min=0), help="Forget what is older. Default: WEAVER_TRACE_DAYS, 30."
)
@click.option("--runs", type=click.IntRange(min=0), help="Keep the newest. Default: WEAVER_TRACE_RUNS, 1000.")
@click.option("--mb", type=click.FloatRange(min=0), help="Most megabytes. Default: WEAVER_TRACE_MB, 512.")
@debug_option
def gc(days: float | None, runs: int | None, mb: float | None) -> None:
    """Forget old runs and give the space back. A limit of 0 means none."""
    from weaver._tracing.store.retention import Retention

    base = Retention.from_environment()
    keep = Retention(
        days=base.days if days is None else days or None,
        runs=base.runs if runs is None else runs or None,
        megabytes=base.megabytes if mb is None else mb or None,
    )
    store = _store()
    swept = store.gc(keep)
    click.echo(
        f"{count(swept.runs, 'run')} forgotten; {store.path} is {swept.after / 1e6:.1f} MB "
        f"(was {swept.before / 1e6:.1f} MB).",
        err=True,
    )


# Inside -----------------------------------------------------------------------------------------------


def _store() -> Store:
    from weaver._tracing.store.sqlite import Store

    store = Store()
    click.get_current_context().call_on_close(store.close)
    return store


def _spans(store: Store, row: RunRow, *, texts: bool) -> list[SpanRecord]:
    """The spans of a run, with the stored texts as attributes if those are asked for."""
    spans = store.spans(row)
    if not texts:
        return spans
    full: dict[str, dict[str, str]] = {}
    for (span_id, name), text in store.texts(row).items():
        full.setdefault(span_id, {})[name] = text
    return [replace(s, attributes={**s.attributes, **full.get(s.span_id, {})}) for s in spans]


def _view(store: Store, row: RunRow, *, texts: bool = True) -> RunView:
    from weaver._tracing.views.run_view import view_of

    spans = store.spans(row)
    if not spans:
        raise ConfigurationError(
            f"Nothing of run {row.run_id} has been kept yet.", hint="It has just begun, or its process died."
        )
    full = store.texts(row) if texts else {}
    return view_of(spans, root=row.span_id, texts=full, question=row.question if texts else "")


def _show_text(store: Store, row: RunRow, span_id: str) -> None:
    """The captured texts of a span: in full where they were cut, else from its attributes."""
    from weaver._tracing.views.html import CONTENT

    span = next((s for s in store.spans(row) if s.span_id.startswith(span_id)), None)
    if span is None:
        raise ConfigurationError(f"Run {row.run_id} has no span {span_id!r}.")
    texts: dict[str, Any] = {k: v for k, v in span.attributes.items() if k in CONTENT}
    texts |= {name: text for (owner, name), text in store.texts(row).items() if owner == span.span_id}
    if not texts:
        raise ConfigurationError(
            f"No content was captured for span {span.span_id} ({span.name}).",
            hint="Texts are kept unless WEAVER_TRACE_TEXTS=off.",
        )
    safe: Callable[[str], str] = printable if sys.stdout.isatty() else str
    for name, text in texts.items():
        click.echo(f"{name}:\n{safe(_pretty(text))}\n")


def _pretty(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)  # it may hold what models said
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror or error}.") from None


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in name)[:80]


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)
