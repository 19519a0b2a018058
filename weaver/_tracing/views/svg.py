"""The picture of a run as SVG, for documents. It loads nothing from a network."""

from __future__ import annotations

import io
import re

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from weaver._tracing.views.run_view import RunView
from weaver._tracing.views.waterfall import draw

WIDTH = 110
"""Columns."""
_FONT_FACES = re.compile(r"@font-face \{\{.*?\}\}\s*", re.DOTALL)


def svg_of(view: RunView, *, width: int = WIDTH) -> str:
    """Draw a run as `weaver trace show` does.

    Args:
        width: columns of the drawing.
    """
    console = Console(
        record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print(draw(view, console))
    title = f"weaver trace show {view.run_id[:8]}"
    return console.export_svg(title=title, code_format=_FONT_FACES.sub("", CONSOLE_SVG_FORMAT))
