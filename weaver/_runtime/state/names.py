"""Structural names of a thread's steps, calls and threads: the same in each run, and never used twice."""

from __future__ import annotations


class Names:
    """Names within one thread."""

    def __init__(self) -> None:
        self._steps: dict[str, int] = {}
        self._threads: dict[str, int] = {}

    def thread(self, prefix: str, id_: str | None) -> str:
        """Return the name of a new thread: numbered, or by the id that a plan gave it."""
        if id_ is None:
            self._threads[prefix] = number = self._threads.get(prefix, 0) + 1
            name = f"{prefix}{number}"
        else:
            self._threads[f"={id_}"] = count = self._threads.get(f"={id_}", 0) + 1
            name = id_ if count == 1 else f"{id_}~{count}"
        return name

    def key(self, name: str) -> str:
        """Return the key of a step; repeated names are numbered in order."""
        count = self._steps.get(name, 0)
        self._steps[name] = count + 1
        return name if count == 0 and name != "call" else f"{name}/{count}"
