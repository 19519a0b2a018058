"""What a native format is: all that the engine, the checker and the statistics need to know about it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from weaver._strategies.native.common.trajectory import Trajectory


@dataclass(frozen=True, slots=True)
class Problem:
    """One way in which a text breaks its format.

    Attributes:
        rule: ``unclosed``, ``misplaced``, ``numbering``, ``count``, ``order``, ``gap``, ``missing`` or
            ``state``.
        message: in words, naming the tag or number.
        at: position in the text, in characters.
    """

    rule: str
    message: str
    at: int


@dataclass(frozen=True, slots=True)
class Branch:
    """One thread that the model asked for.

    Attributes:
        key: its number as the model wrote it; unique within its fork.
        title: a few words for traces.
        begins: how its text begins, written by the engine and part of its prompt.
        context: the whole prompt before ``begins`` when the thread does not see its parent's, else None.
        max_tokens: the model's own estimate of its length, or None.
    """

    key: str
    title: str
    begins: str
    context: str | None = None
    max_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """A finished branch: what its thread wrote after ``branch.begins``, without the closing tag."""

    branch: Branch
    text: str


class Format(ABC):
    """A format that models are trained to fork in.

    Attributes:
        name: of the strategy.
        source: the paper.
        forks: texts at which a main thread stops and forks. All but the ambiguous ones close something that
            the model has opened before, so an engine that is not told which stop string matched can tell.
        ambiguous: stops that nothing opens: after an unnamed stop one must ask again.
        thread_stops: texts that end a thread.
        rewrites: (text that the model must not write, what the engine writes instead).
        names: control tag names without brackets; in a thread's text they are made harmless.
        attributes: names of self-closing tags with attributes.
        then_until: after a join, the main thread is decoded to this first, and it is added if missing.
        overlapping: threads start while the main thread goes on; it waits at one of ``forks``.
        max_branches: most threads of one fork; more means that the fork is not taken (0: no limit).
        max_depth: how deep blocks may be nested; 1 is no nesting.
        min_tokens: fewer tokens left than this, and forks are not taken.
        rounds: most forks of one thread; then it goes on sequentially.
    """

    name: str
    source: str
    forks: tuple[str, ...]
    ambiguous: tuple[str, ...] = ()
    thread_stops: tuple[str, ...] = ()
    rewrites: tuple[tuple[str, str], ...] = ()
    names: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    then_until: str = ""
    overlapping: bool = False
    max_branches: int = 0
    max_depth: int = 1
    min_tokens: int = 0
    rounds: int = 32

    @abstractmethod
    def branches(self, context: str, said: str) -> list[Branch]:
        """The threads that the main thread asks for; empty when it does not fork after all.

        Args:
            context: the exact prompt and text so far, up to and including the text it stopped at.
            said: the end of ``context`` that the model itself wrote since the last join: the only part that
                may be read for control.
        """

    @abstractmethod
    def join(self, context: str, told: Sequence[Told]) -> str:
        """The main thread's new context when its threads are done, in the order of ``told``."""

    @abstractmethod
    def parse(self, text: str) -> Trajectory:
        """The tree of a trajectory. Never fails: what is not closed ends with the text."""

    @abstractmethod
    def check(self, text: str) -> list[Problem]:
        """Every way in which ``text`` breaks the format, in order; empty when it is correct."""

    @abstractmethod
    def closing(self, text: str) -> str:
        """Return what must be added to ``text`` so that nothing in it is left open."""

    def opener(self, stop: str) -> str:
        """The text that ``stop`` closes, or ``""`` when nothing opens it."""
        return "" if stop in self.ambiguous or not stop.startswith("</") else f"<{stop[2:]}"

    def ends_thread(self, text: str) -> bool:
        """Return True if a thread that wrote ``text`` and then its closing tag is really at its end."""
        del text
        return True

    def harmless(self, text: str) -> str:
        """A thread's text, in which control tags cannot steer whoever reads it next."""
        from weaver._strategies.native.common.scanner import disarmed

        return disarmed(text, {name.strip("/") for name in self.names} | set(self.attributes))

    def answer(self, text: str) -> str:
        """Return what is meant for the reader: the text after the thinking, else all of it."""
        for tag in ("</think>", "</Think>"):
            if tag in text and (after := text.rpartition(tag)[2].strip()):
                return after
        return text.strip()
