"""Parallel-R1 (Zheng et al. 2025, arXiv 2509.07980): same prefix, different seeds, then a summary."""

from __future__ import annotations

from weaver.strategies.native.tags import TagFormat

PARALLEL_R1 = TagFormat(
    name="parallel_r1",
    source="Parallel-R1, Zheng et al. 2025, arXiv 2509.07980",
    block="Parallel",
    thread="Path",
    summary="Summary",
    width=2,
    opening="<Path>",
    before="",
    after="</Parallel>\n<Summary>",
    forks=("<Parallel>",),
    ambiguous=("<Parallel>",),
    then_until="</Summary>",
    rounds=8,
)
