"""ThreadWeaver (Lian et al. 2025, arXiv 2512.07843): adaptive parallel threads over an unmodified engine."""

from __future__ import annotations

from weaver.strategies.native.tags import TagFormat

THREADWEAVER = TagFormat(
    name="threadweaver",
    source="ThreadWeaver, Lian et al. 2025, arXiv 2512.07843",
    block="Parallel",
    plan="Outlines",
    outline="Outline",
    thread="Thread",
    conclusion="Conclusion",
    opening="<Thread>\n{key}:",
    before="\n",
    after="\n",
    adjacent=True,
    forks=("</Outlines>",),
    max_branches=50,
    rounds=32,
)
