"""Where a fork is not faster and pays all the same: its answers are better."""

from __future__ import annotations

import re

from weaver._data.task import Task
from weaver._models.costs import EndpointCosts
from weaver._models.protocol import Capabilities
from weaver._planning.gate.lengths import Length
from weaver._text.patterns import lazily

SUMS_SMALL = 0.6
"""Gain in right answers of independent calculations on a small model: 15 % right in one answer, 90 % in
threads of their own (0.5B, four sums); a fifth is taken off, since other tasks are not as clean."""
LENGTH_ASKED = 0.4
"""Gain where a length is asked for each part, and the model does not keep it in one answer: "4 paragraphs of
about 80 words" gave 103 tokens in one answer and 401 in threads (1.5B)."""
KEPT = 0.5
"""A model keeps lengths whose direct answers are at least this share of what was asked for."""
LENGTH_KEPT = "share of the length asked for"

LEAST_PARTS = 3
"""Fewer calculations than this are not mixed up in one answer."""
_SUM = lazily(r"\d\s*(?:[-+*/x\u00d7\u00f7^]|plus|minus|times|mal)\s*\(?\d", re.IGNORECASE)


def quality_gain(
    task: Task, parts: int, length: Length, can: Capabilities, costs: EndpointCosts
) -> tuple[float, str]:
    """Return a fork's gain in the chance of a right answer, 0 to 1, and why; (0, "") without one."""
    if length.asked and (costs.bias(LENGTH_KEPT) < KEPT or (can.small and LENGTH_KEPT not in costs.errors)):
        return LENGTH_ASKED, "each part has a length asked for, which this model does not keep in one answer"
    if can.small and parts >= LEAST_PARTS and len(_SUM.findall(task.user_words)) >= parts:
        return SUMS_SMALL, f"{parts} independent calculations are too many for one answer of a small model"
    return 0.0, ""
