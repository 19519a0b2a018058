"""Comparing strategies on tasks with ground truth."""

from typing import TYPE_CHECKING

from weaver._environment.doors import door

if TYPE_CHECKING:
    from weaver._evals.comparing import Comparison, compare
    from weaver._evals.records import RecordFile
    from weaver._evals.summary import summarize
    from weaver._evals.tasks import load
    from weaver._evals.tasks.world import StructuredWorld

_MODULES = {
    "Comparison": "_evals.comparing",
    "RecordFile": "_evals.records",
    "StructuredWorld": "_evals.tasks.world",
    "compare": "_evals.comparing",
    "load": "_evals.tasks",
    "summarize": "_evals.summary",
}

__all__ = [
    "Comparison",
    "RecordFile",
    "StructuredWorld",
    "compare",
    "load",
    "summarize",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = door(__name__, _MODULES)
