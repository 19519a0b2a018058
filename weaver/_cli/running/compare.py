"""``weaver compare``."""

from __future__ import annotations

import re
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from weaver._cli.support.flags import load_named_files, settings_flags_without, settings_from
from weaver._cli.support.guard import debug_option
from weaver._cli.support.interrupt import run_until_interrupted
from weaver._display.words import count, seconds
from weaver.errors import ConfigurationError, UnknownNameError

if TYPE_CHECKING:
    from weaver._evals.comparing import Comparison
    from weaver._evals.records import Key, Record
    from weaver._evals.summary import Budgets
    from weaver._models.protocol import Model
    from weaver._settings.settings import Settings
    from weaver._tracing.tracer import Tracing

RUNS = "runs.jsonl"
BASELINE = "sequential"


@click.command()
@click.option(
    "--task", "tasks", multiple=True, metavar="NAME[:key=value,...]",
    help="A generator (tree_sum:terms=8), reasoning_gym/GENERATOR, or a FILE.jsonl. May be repeated.",
)  # fmt: skip
@click.option(
    "--strategies",
    metavar="A,B,C",
    help="Strategies, separated by commas; options as in NAME:key=value. Also path/to/file.py:name.",
)
@click.option(
    "--models",
    metavar="A,B",
    help="Models, separated by commas. Default: WEAVER_MODEL, or what can be found.",
)
@click.option(
    "-n", "--n", "n", type=click.IntRange(1), default=20, show_default=True, help="Items of each task."
)
@click.option(
    "--repeats",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Runs per item, with different seeds.",
)
@click.option(
    "--concurrency", type=click.IntRange(1), default=1, show_default=True, help="Runs at the same time."
)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
    help="Where runs and reports go. The same command goes on where it was interrupted.",
)  # fmt: skip
@click.option(
    "--instruction",
    metavar="TEXT",
    help="Added to every question, instead of asking for a last line with the answer.",
)
@click.option(
    "--baseline", metavar="NAME", help="The strategy that others are measured against. Default: sequential."
)
@click.option("--token-budget", type=float, metavar="N", help="For accuracy at equal generated tokens.")
@click.option("--latency-budget", type=float, metavar="N", help="For accuracy at equal critical-path tokens.")
@click.option("--time-budget", type=float, metavar="SECONDS", help="For accuracy at equal time.")
@click.option("--retry-failed", is_flag=True, help="Run those again that ended without an answer.")
@click.option("--report-only", is_flag=True, help="Write the reports of --out again; run nothing.")
@click.option("--simulate", is_flag=True, help="A simulated endpoint on a virtual clock; no model is run.")
@click.option("--json", "as_json", is_flag=True, help="Print the summaries as JSON instead of tables.")
@settings_flags_without("strategy", "model")
@debug_option
def compare(
    tasks: tuple[str, ...],
    strategies: str | None,
    models: str | None,
    n: int,
    repeats: int,
    concurrency: int,
    out: Path | None,
    instruction: str | None,
    baseline: str | None,
    token_budget: float | None,
    latency_budget: float | None,
    time_budget: float | None,
    retry_failed: bool,
    report_only: bool,
    simulate: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Compare strategies on the same items under the same limits.

    \b
    weaver compare --task tree_sum:terms=8 --strategies sequential,adaptive,self_consistency -n 50
    weaver compare --task reasoning_gym/chain_sum:terms=4 --strategies sequential,debate --out results
    weaver compare --task mine.jsonl --strategies sequential,fixed --models openai/gpt-5-mini,ollama/qwen3

    Reports: a table here; report.md, report.json, summary.csv, runs.csv, plot.svg and plot.png in --out.
    """
    from weaver._evals.records import read_records

    view = _Shown(out, baseline or BASELINE, (token_budget, latency_budget, time_budget), as_json)
    if report_only:
        if out is None:
            raise click.UsageError("--report-only needs --out.")
        header, records = read_records(out / RUNS)
        _check_baseline(baseline, [], records)
        view.show(header, records)
        return 0
    named = split_names(strategies or "")
    if not tasks or not named:
        raise click.UsageError("Give at least one --task and --strategies, for example sequential,adaptive.")
    chosen = split_names(models or "")
    if models is not None and not chosen:
        raise click.UsageError("--models names no model.")
    for name in named:
        load_named_files(name)
    settings = settings_from(options)
    folder = view.folder = out or _fresh_folder()
    before = read_records(folder / RUNS)[1] if baseline and (folder / RUNS).exists() else []
    _check_baseline(baseline, named, before)
    settings_of_comparison = _Asked(tasks, named, chosen, n, repeats, concurrency, retry_failed, instruction)
    try:
        if simulate:
            _on_virtual_time(lambda: _simulated(settings_of_comparison, settings, folder))
        else:
            run_until_interrupted(lambda: _real(settings_of_comparison, settings, folder))
    except KeyboardInterrupt:
        click.echo(f"What was finished is in {folder / RUNS}; go on with --out {folder}.", err=True)
        raise
    header, records = read_records(folder / RUNS)
    view.show(header, records)
    if ungraded := [r for r in records if not r.graded]:
        problem = f"{count(len(ungraded), 'run')} could not be graded ({ungraded[0].why})."
        click.echo(
            f"note: {problem} The same command grades them again, without running them again.", err=True
        )
    return 0


def _check_baseline(baseline: str | None, strategies: Sequence[str], before: Sequence[Record]) -> None:
    """Refuse a baseline that nothing can be measured against: it is neither run now nor was it before."""
    names = {*strategies, *(record.strategy for record in before)}
    if baseline is not None and baseline not in names:
        raise UnknownNameError("strategy in this comparison", baseline, names)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the flags ask for, apart from settings and reports."""

    tasks: tuple[str, ...]
    strategies: list[str]
    models: list[str]
    n: int
    repeats: int
    concurrency: int
    retry_failed: bool
    instruction: str | None


@dataclass(slots=True)
class _Shown:
    """How results are shown: where the files go, against what, under which budgets."""

    folder: Path | None
    baseline: str
    budgets: tuple[float | None, float | None, float | None]
    as_json: bool

    def show(self, header: dict[str, Any], records: Sequence[Record]) -> None:
        """Print and write all reports."""
        import json

        from weaver._evals.report import SIMULATED, tables, write
        from weaver._evals.summary import summarize

        if not records:
            raise ConfigurationError("There are no runs to report.")
        summaries = summarize(records, baseline=self.baseline, budgets=self._budgets(records))
        simulated = bool(header.get("simulated"))
        if self.as_json:
            document = {"simulated": simulated, "summaries": [s.as_dict() for s in summaries]}
            click.echo(json.dumps(document))
        else:
            from rich.console import Console

            console = Console(width=None if sys.stdout.isatty() else 200)
            for table in tables(summaries, simulated=simulated):
                console.print(table)
            if simulated:
                click.echo(SIMULATED)
        if self.folder is not None:
            for note in write(self.folder, header, records, summaries):
                click.echo(f"note: {note}", err=True)
            click.echo(f"Reports are in {self.folder}", err=True)

    def _budgets(self, records: Sequence[Record]) -> Budgets | None:
        if not any(self.budgets):
            return None
        from weaver._evals.summary import summarize

        [first, *_] = summarize(records, baseline=self.baseline)
        tokens, latency, time = self.budgets
        budgets = first.budgets
        if tokens:
            budgets = replace(budgets, tokens=tokens)
        if latency:
            budgets = replace(budgets, latency_tokens=latency)
        return replace(budgets, seconds=time) if time else budgets


async def _real(asked: _Asked, settings: Settings, folder: Path) -> None:
    from weaver._facade.model_roles import Cast
    from weaver._tracing.export.setup import configure

    names: list[Any] = [*asked.models] or [settings.model]
    casts = [await Cast.of(settings.changed(model=name)) for name in names]
    roles = {
        f"{role}_model": casts[0].models[role]
        for role in ("planner", "judge", "synthesizer")
        if getattr(settings, f"{role}_model") is not None
    }
    models = [cast.models["thread"] for cast in casts]
    with configure() as telemetry:
        settings = settings.changed(**roles)
        comparison = _comparison(asked, settings, models, judge=casts[0].models["judge"])
        await _run(comparison, asked, folder, telemetry.tracing)


async def _simulated(asked: _Asked, settings: Settings, folder: Path) -> None:
    from weaver._evals.tasks.structured import GENERATORS
    from weaver._evals.tasks.world import StructuredWorld
    from weaver._testing.simulated import SimulatedModel

    comparison = _comparison(asked, settings, [], simulated=True)
    items = [item for task in comparison.tasks for item in task.items]
    if any(not item.parts for item in items):
        raise ConfigurationError(
            "Only tasks of known structure can be simulated.",
            hint=f"Use one of {', '.join(GENERATORS)}.",
        )
    model = SimulatedModel(StructuredWorld(items), seed=comparison.seed)
    await _run(replace(comparison, models=[model]), asked, folder, None)


def _comparison(
    asked: _Asked,
    settings: Settings,
    models: Sequence[Model],
    *,
    judge: Model | None = None,
    simulated: bool = False,
) -> Comparison:
    from weaver._evals.comparing import Comparison
    from weaver._evals.tasks import load
    from weaver._settings.settings import Settings as Known

    seed, instruction = settings.seed or 0, asked.instruction
    tasks = [load(name, n=asked.n, seed=seed, judge=judge) for name in asked.tasks]
    return Comparison(
        tasks=[task if instruction is None else replace(task, instruction=instruction) for task in tasks],
        strategies=asked.strategies,
        models=models,
        settings=Known.model_validate(
            {name: getattr(settings, name) for name in settings.model_fields_set if name not in _OWN}
        ),
        repeats=asked.repeats,
        seed=seed,
        concurrency=asked.concurrency,
        simulated=simulated,
    )


async def _run(comparison: Comparison, asked: _Asked, folder: Path, tracing: Tracing | None) -> None:
    from weaver._evals.comparing import check
    from weaver._evals.comparing import compare as run_all
    from weaver._evals.records import RecordFile

    await check(comparison)  # before there is a file
    with RecordFile(folder / RUNS, comparison.header) as file, _Bar(comparison, file.records) as bar:
        await run_all(comparison, file, on_record=bar.add, retry_failed=asked.retry_failed, tracing=tracing)


def _on_virtual_time(function: Callable[[], Awaitable[None]]) -> None:
    """Run to the end on a clock that jumps: a simulated hour takes as long as its events."""
    import anyio

    from weaver._testing.clock import virtual_time

    backend, options = virtual_time()
    anyio.run(function, backend=backend, backend_options=options)


# What `compare` has flags of its own for.
_OWN = {"model", "strategy", "seed"}


class _Bar:
    """A live bar with the accuracy so far of each strategy; plain lines where nobody can see it move."""

    def __init__(self, comparison: Comparison, before: Sequence[Record]) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
        from rich.progress import TimeRemainingColumn as Left

        self._console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._progress = Progress(*columns, TimeElapsedColumn(), Left(), console=self._console)
        self._live = self._console.is_terminal
        self._wanted = set(comparison.keys)
        self._done: dict[Key, Record] = {}
        self._counts: dict[str, list[int]] = {name: [0, 0] for name in comparison.strategies}
        each = comparison.size // len(comparison.strategies)
        self._bars = {name: self._progress.add_task(_plain(name), total=each) for name in self._counts}
        for record in before:
            self._count(record)
        if self._done:
            click.echo(f"Going on: {len(self._done)} of {len(self._wanted)} runs are done.", err=True)

    def __enter__(self) -> _Bar:
        if self._live:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._progress.stop()

    def add(self, record: Record) -> None:
        """One more run is done."""
        self._count(record)
        if not self._live:
            verdict = "right" if record.correct else record.error or "wrong"
            if not record.graded:
                verdict = record.why
            took = f"{count(record.total_output_tokens, 'token')}, {seconds(record.wall_seconds)}"
            place = f"{record.task} {record.item} {record.strategy}"
            click.echo(f"[{len(self._done)}/{len(self._wanted)}] {place}: {verdict}, {took}", err=True)

    def _count(self, record: Record) -> None:
        if record.key not in self._wanted:
            return
        counts = self._counts[record.strategy]
        if (earlier := self._done.get(record.key)) is None:
            self._progress.update(self._bars[record.strategy], advance=1)
        elif earlier.graded:
            counts[0] -= earlier.correct
            counts[1] -= 1
        self._done[record.key] = record
        counts[0] += record.graded and record.correct
        counts[1] += record.graded
        share = f"{100 * counts[0] / counts[1]:.0f} % right" if counts[1] else "not graded"
        self._progress.update(self._bars[record.strategy], description=f"{_plain(record.strategy)}  {share}")


def split_names(text: str) -> list[str]:
    """Names separated by commas; ``a:x=1,y=2,b`` is two names, because ``y=2`` is an option of ``a``."""
    names: list[str] = []
    for piece in filter(None, (p.strip() for p in text.split(","))):
        if names and ":" in names[-1] and re.match(r"^\w+\s*=", piece):
            names[-1] += f",{piece}"
        else:
            names.append(piece)
    return names


def _plain(text: str) -> str:
    """Text without rich's markup."""
    return text.replace("[", "(").replace("]", ")")


def _fresh_folder() -> Path:
    """A folder in the working directory that does not exist yet."""
    for number in range(1, 10_000):
        if not (path := Path(f"comparison-{number}")).exists():
            return path
    raise ConfigurationError("There are 9,999 comparisons here already.", hint="Give --out.")
