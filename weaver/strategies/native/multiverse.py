"""Multiverse (Yang et al. 2025, arXiv 2506.09991): nested map, process, reduce."""

from __future__ import annotations

from weaver.strategies.native.tags import TagFormat

MULTIVERSE = TagFormat(
    name="multiverse",
    source="Multiverse, Yang et al. 2025, arXiv 2506.09991",
    block="Parallel",
    plan="Goal",
    outline="Outline",
    thread="Path",
    conclusion="Conclusion",
    conclusion_needed=True,
    opening="<Path>\n{key}:",
    before="\n",
    between="\n",
    after="\n<Conclusion>\n",
    forks=("</Goal>",),
    max_depth=5,
    rounds=32,
)
