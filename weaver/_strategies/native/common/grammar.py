"""The tags of a format, and how they may stand."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Grammar:
    """Names are without brackets; ``""`` means that the format has no such part.

    Args:
        block: wraps the whole block. Without it a block begins with ``plan`` and ends after ``conclusion``.
        plan, outline: the list of subtasks and one of them.
        thread: one thread.
        conclusion: what the main thread writes inside the block after the threads.
        conclusion_needed: a block without it breaks the format.
        summary: what follows each block, outside it.
        adjacent: nothing, not even white space, may stand between two threads.
        max_branches: most threads of a block; 0 means any number.
        max_depth: how deep blocks may stand inside each other.
    """

    block: str = ""
    plan: str = ""
    outline: str = ""
    thread: str
    conclusion: str = ""
    conclusion_needed: bool = False
    summary: str = ""
    adjacent: bool = False
    max_branches: int = 0
    max_depth: int = 1

    @property
    def tags(self) -> tuple[str, ...]:
        """All tag names of the format."""
        every = (self.block, self.plan, self.outline, self.thread, self.conclusion, self.summary)
        return tuple(name for name in every if name)

    @property
    def marks(self) -> tuple[str, ...]:
        """Opening and closing tags."""
        return (*self.tags, *(f"/{name}" for name in self.tags))

    @property
    def begins_block(self) -> str:
        """The tag that begins a block."""
        return self.block or self.plan
