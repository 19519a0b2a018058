"""Putting text of models, tools and users into prompts as data that cannot end its own quotation."""

from __future__ import annotations

import re


def fenced(text: str, label: str = "") -> str:
    """``text`` between fences of backticks longer than any run of backticks inside it.

    Whatever ``text`` contains, it cannot close the fence, so the reader can tell data from instructions.
    """
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=0) if "```" in text else 0
    fence = "`" * max(3, longest + 1)
    return f"{fence}{' '.join(label.split())}\n{text}\n{fence}"
