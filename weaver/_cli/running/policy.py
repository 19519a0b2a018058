"""``weaver policy``: learn from results how to answer, judge what was learned, and explain it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from weaver._cli.support.guard import debug_option
from weaver._display.words import printable

if TYPE_CHECKING:
    from weaver._evals.policies.acceptance import Learned
    from weaver._evals.policies.examples import Example, Examples


PRESETS = ("quality", "balanced", "fast")
_RESULTS = click.argument(
    "results", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="RESULTS..."
)
_TRACES = click.option(
    "--traces", is_flag=True, help="Also the runs kept on this machine that somebody judged."
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
_PLOT = click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Draw the calibration (.svg, .png).",
)


@click.group()
@debug_option
def policy() -> None:
    """Learn from results how to answer, judge what was learned, and explain it.

    \b
    weaver compare --task tree_sum --task chain -n 100 --out results \\
      --strategies adaptive,sequential,self_consistency:samples=3
    weaver policy fit results -o policy.json
    weaver policy explain -p policy.json "What is 17 * 23?"
    weaver run --policy policy.json "What is 17 * 23?"
    """


@policy.command()
@_RESULTS
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The policy's file.",
)
@click.option("--objective", type=click.Choice(PRESETS), default="balanced", show_default=True)
@click.option(
    "--per-second", type=click.FloatRange(min=0), metavar="Q", help="What a second costs, in right answers."
)
@click.option(
    "--per-usd", type=click.FloatRange(min=0), metavar="Q", help="What a dollar costs, in right answers."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of folds and intervals.")
@_TRACES
@_PLOT
@_JSON
@debug_option
def fit(
    results: tuple[Path, ...],
    output: Path,
    objective: str,
    per_second: float | None,
    per_usd: float | None,
    seed: int,
    traces: bool,
    plot: Path | None,
    as_json: bool,
) -> int:
    """Fit a policy to RESULTS of `weaver compare`: folders or files.

    It is judged on items that it was not fitted on. The file is written only if the policy is better than
    the rules for sure; else this command says why not, and ends with code 1.
    """
    from weaver._evals.policies.acceptance import learn
    from weaver._planning.learned.file import write_policy
    from weaver._planning.learned.objective import OBJECTIVES

    aim = OBJECTIVES[objective]
    if per_second is not None or per_usd is not None:
        aim = replace(
            aim,
            name="own",
            per_second=aim.per_second if per_second is None else per_second,
            per_usd=aim.per_usd if per_usd is None else per_usd,
        )
    examples = _examples(results, traces=traces)
    learned = learn(examples, aim, seed=seed)
    _show(learned, examples, plot, as_json=as_json)
    if not learned.file.evidence.accepted:
        click.echo(f"{output} was not written.", err=True)
        return 1
    write_policy(learned.file, output)
    click.echo(f"{output} is written.", err=True)
    return 0


@policy.command("eval")
@click.argument("policy_file", metavar="POLICY", type=click.Path(path_type=Path))
@_RESULTS
@click.option("--objective", type=click.Choice(PRESETS), help="Default: what it was fitted for.")
@_TRACES
@_PLOT
@_JSON
@debug_option
def eval_(
    policy_file: Path,
    results: tuple[Path, ...],
    objective: str | None,
    traces: bool,
    plot: Path | None,
    as_json: bool,
) -> int:
    """Judge POLICY on RESULTS without running it; on those it was fitted on, it looks better than it is.

    Ends with code 1 if it is not better than the rules for sure.
    """
    from weaver._evals.policies.acceptance import judge
    from weaver._planning.learned.file import read_policy
    from weaver._planning.learned.objective import OBJECTIVES

    file = read_policy(policy_file)
    if file.other_version:
        click.echo(f"note: {policy_file} was fitted for other versions: {file.other_version}.", err=True)
    examples = _examples(results, traces=traces)
    learned = judge(file, examples, OBJECTIVES[objective] if objective else None)
    _show(learned, examples, plot, as_json=as_json)
    return 0 if learned.file.evidence.accepted else 1


@policy.command()
@click.argument("question")
@click.option("-p", "--policy", "policy_file", required=True, type=click.Path(path_type=Path), metavar="FILE")
@click.option("--model", default="", metavar="NAME", help="As in the results. Default: one it does not know.")
@click.option("--top", default=8, show_default=True, help="Most features to show of each arm.")
@_JSON
@debug_option
def explain(question: str, policy_file: Path, model: str, top: int, as_json: bool) -> None:
    """Say what a policy would do with QUESTION, what it expects, and which features count.

    No model is called. Seconds are those of a typical hosted endpoint.
    """
    from weaver._planning.learned.explaining import explained, in_words
    from weaver._planning.learned.file import read_policy

    account = explained(read_policy(policy_file), question, model=model, top=top)
    click.echo(json.dumps(account.as_dict()) if as_json else printable(in_words(account)))


def _examples(results: tuple[Path, ...], *, traces: bool) -> Examples:
    from weaver._evals.policies.examples import read_examples

    examples = read_examples(results, _logs() if traces else ())
    for note in examples.notes:
        click.echo(f"note: {note}", err=True)
    if traces and not examples.logs:
        click.echo("note: no kept run has both a decision of a known arm and a reward.", err=True)
    return examples


def _logs() -> list[Example]:
    from weaver._evals.policies.traces import examples_of_traces
    from weaver._tracing.store.sqlite import Store

    store = Store()
    try:
        return examples_of_traces(store)
    finally:
        store.close()


def _show(learned: Learned, examples: Examples, plot: Path | None, *, as_json: bool) -> None:
    from weaver._evals.policies.report import as_dict, draw_calibration, lines_of

    if as_json:
        click.echo(json.dumps(as_dict(learned)))
    else:
        click.echo("\n".join(lines_of(learned, examples)))
    if plot is not None:
        draw_calibration(learned.bins, plot)
        click.echo(f"{plot} is written.", err=True)
