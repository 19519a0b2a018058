"""``weaver feedback``: say how good a kept run's answer was."""

from __future__ import annotations

import click

from weaver._cli.support.guard import debug_option
from weaver.errors import ConfigurationError

_WORDS = {"good": 1.0, "bad": 0.0}


def _score(ctx: click.Context, param: click.Parameter, value: str) -> float:
    if value.lower() in _WORDS:
        return _WORDS[value.lower()]
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise click.BadParameter(f"{value!r} is not good, bad or a number from 0 to 1.", ctx, param)
    return number


@click.command()
@click.argument("run")
@click.argument("value", metavar="good|bad|0..1", callback=_score)
@click.option("--name", default="correctness", show_default=True, help="What is judged.")
@debug_option
def feedback(run: str, value: float, name: str) -> None:
    """Say how good the answer of RUN was: good, bad, or a number from 0 to 1.

    RUN is a run's id, the beginning of it, its trace id, or "last". It is added to the run's trace as an
    event gen_ai.evaluation.result, and `weaver policy fit --traces` learns from it.

    \b
    weaver feedback last good
    weaver feedback 3f2a 0.7
    """
    from weaver._cli.support.telemetry import current_tracing, telemetry
    from weaver._data.decisions import Reward
    from weaver._tracing.store.sqlite import Store

    store = Store()
    try:
        row = store.find(run)
    finally:
        store.close()
    with telemetry():
        tracing = current_tracing()
        if tracing is None:
            raise ConfigurationError("Tracing is switched off, so nothing can be added to a trace.")
        tracing.decisions.evaluate(row.trace_id, row.span_id, Reward(value, "user", name))
    click.echo(f"{row.run_id}: {name} {value:g}")
