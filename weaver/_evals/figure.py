"""Figures that are the same for the same results: no date, no random ids."""

# matplotlib has types for a part of its arguments only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from weaver.errors import ConfigurationError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@contextmanager
def figure_of(width: float, height: float) -> Generator[Figure]:
    """Give an empty figure, and the style that it is drawn in.

    Args:
        width, height: in inches.

    Raises:
        ConfigurationError: matplotlib is not installed.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigurationError(
            "Plots need matplotlib.", hint='pip install "weaver-reasoning[evals]"'
        ) from error
    with rc_context({"svg.hashsalt": "weaver", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure into a file, whose ending (``.svg``, ``.png``) decides the kind.

    Raises:
        OSError, ValueError: it cannot be written, or there is no such kind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else {})
