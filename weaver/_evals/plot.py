"""The picture of a comparison: accuracy against tokens and against time (extra ``evals``)."""

# matplotlib has types for a part of its arguments only.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weaver._evals.figure import figure_of, save
from weaver._evals.statistics import Interval
from weaver._evals.summary import Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARKERS = "osD^vP*Xhd"


def draw(summaries: Sequence[Summary], paths: Sequence[Path], *, title: str = "") -> None:
    """Draw one task's summaries into files; the ending (``.svg``, ``.png``) decides the kind.

    Each strategy is a point with 95 % intervals; the line joins the points of the Pareto front.

    Raises:
        ConfigurationError: matplotlib is not installed.
    """
    with figure_of(14, 4.6) as figure:
        left_axis, middle, right = figure.subplots(1, 3, sharey=True)
        tokens = "generated tokens, {} (mean per item)"
        _panel(
            left_axis, summaries, tokens.format("critical path"), _latency, lambda s: s.on_front_of_latency
        )
        _panel(middle, summaries, tokens.format("all calls"), _total, lambda s: s.on_front_of_tokens)
        _panel(right, summaries, "seconds (mean per item)", _time, lambda s: s.on_front_of_seconds)
        left_axis.set_ylabel("accuracy (95 % interval)")
        handles, labels = left_axis.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right upper", frameon=False)
        if title:
            figure.suptitle(title)
        for path in paths:
            save(figure, path)


def _latency(summary: Summary) -> tuple[float, Interval]:
    return summary.critical_path_tokens, summary.critical_path_tokens_interval


def _total(summary: Summary) -> tuple[float, Interval]:
    return summary.total_output_tokens, summary.total_output_tokens_interval


def _time(summary: Summary) -> tuple[float, Interval]:
    return summary.wall_seconds, summary.wall_seconds_interval


def _panel(
    axes: Axes,
    summaries: Sequence[Summary],
    axis_label: str,
    cost_of: Callable[[Summary], tuple[float, Interval]],
    on_front: Callable[[Summary], bool],
) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    models = list(dict.fromkeys(s.model for s in summaries))
    for i, summary in enumerate(summaries):
        if summary.accuracy is None:
            continue
        x, (low, high) = cost_of(summary)
        down, up = summary.accuracy_interval
        label = summary.strategy if len(models) == 1 else f"{summary.strategy}, {summary.model}"
        bars: dict[str, Any] = {
            "xerr": [[max(0.0, x - low)], [max(0.0, high - x)]],
            "yerr": [[max(0.0, summary.accuracy - down)], [max(0.0, up - summary.accuracy)]],
        }
        axes.errorbar(
            x,
            summary.accuracy,
            **bars,
            fmt=_MARKERS[i % len(_MARKERS)],
            color=f"C{i % 10}",
            capsize=2,
            elinewidth=0.8,
            markersize=6,
            label=label,
        )
    for model in models:
        front = sorted(
            (cost_of(s)[0], s.accuracy or 0.0) for s in summaries if s.model == model and on_front(s)
        )
        if front:
            axes.step(*zip(*front, strict=True), where="post", color="0.6", linewidth=1, zorder=0)
    places = [cost_of(s)[0] for s in summaries if cost_of(s)[0] > 0]
    if places and max(places) > 5 * min(places):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel(axis_label)
    axes.grid(visible=True, which="both", color="0.92", linewidth=0.6)
