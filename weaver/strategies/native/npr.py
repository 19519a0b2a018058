"""Native Parallel Reasoner (Wu et al. 2025, arXiv 2512.07461)."""

from __future__ import annotations

from weaver.strategies.native.tags import TagFormat

NPR = TagFormat(
    name="npr",
    source="Native Parallel Reasoner, Wu et al. 2025, arXiv 2512.07461",
    plan="guideline",
    outline="plan",
    thread="step",
    conclusion="takeaway",
    conclusion_needed=True,
    opening="<step>\n{key}:",
    before="\n",
    between="\n",
    after="\n<takeaway>\n",
    forks=("</guideline>",),
    max_branches=5,
    max_depth=5,
    min_tokens=1024,
    rounds=32,
)
