"""The APR method: searches that call sub-searches (Pan et al. 2025, arXiv 2504.15466).

    Moving to Node #0
    Current State: 27:[22, 26, 31, 53], Operations: []
    ...
    <Calling Sub Searches>
    <Start Sub Search 0 at level 1> Moving to Node #0,0
    <Start Sub Search 1 at level 1> Moving to Node #0,1
    <End Calling Sub Searches>

A sub-search sees its own node only. What the parent gets back replaces its call:

    <Sub Searches>
    <No Solution in Sub Search 0 at level 1 at Node #0,0>
    <Goal Reached in Sub Search 1 at level 1 at Node #0,1>
    ... the path found ...
    <End Sub Searches>

The model must never write ``<Sub Searches>`` itself; where it does, the engine writes ``<Calling Sub
Searches>`` instead. One level of nesting. The model is trained on Countdown: reach a number from others
with + - * /.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from weaver._data.result import Answer
from weaver._data.task import Task
from weaver._json_reading.json_types import is_array
from weaver._runtime.run import Run
from weaver._strategies.common.option_types import Count, Number, Patience, Warmth
from weaver._strategies.common.registry import strategy
from weaver._strategies.native.common.engine import Show, answer
from weaver._strategies.native.common.format import Branch, Format, Problem, Told
from weaver._strategies.native.common.line import Decoding
from weaver._strategies.native.common.scanner import disarmed
from weaver._strategies.native.common.trajectory import Block, Path, Trajectory
from weaver.errors import InvalidTaskError

ROOT = "0"
CALL, END_CALL = "<Calling Sub Searches>", "<End Calling Sub Searches>"
FOUND, END_FOUND = "<Sub Searches>", "<End Sub Searches>"
_START = re.compile(r"<Start Sub Search (\d+) at level (\d+)> Moving to Node #([\d,]+)")
_RESULT = re.compile(r"<(Goal Reached|No Solution) in Sub Search (\d+) at level (\d+) at Node #([\d,]+)>")
_MOVED = re.compile(r"Moving to Node #([\d,]+)\nCurrent State: (\d+):(\[[\d, ]*\]), Operations: (\[[^\n]*\])")
_GENERATED = re.compile(r"Generated Node #([\d,]+): (\d+):(\[[\d, ]*\]) Operation: ([^\n]+)")


@dataclass(frozen=True, slots=True)
class Node:
    """A state of the search: what is to be reached, with which numbers, after which operations."""

    target: int
    numbers: tuple[int, ...]
    operations: tuple[str, ...]

    @property
    def text(self) -> str:
        """The text that prompts have: ``27:[26, 31], Operations: ['53-22=31']``."""
        return f"{self.target}:{list(self.numbers)}, Operations: {list(self.operations)}"


class Apr(Format):
    """Plain-text search traces. A thread sees only its own node; the parent sees only what it found.

    At a join the parent's call is *replaced* by the results: the parent never reads the searches that failed.
    """

    name = "apr"
    source = "APR, Pan et al. 2025, arXiv 2504.15466"
    forks = (END_CALL,)
    ambiguous = (FOUND,)
    rewrites = ((FOUND, CALL),)
    names = ("Sub Searches", "Calling Sub Searches", "End Calling Sub Searches", "End Sub Searches")
    max_branches = 16
    max_depth = 1
    rounds = 32

    def opener(self, stop: str) -> str:
        """A call is closed by its end."""
        return CALL if stop == END_CALL else ""

    def branches(self, context: str, said: str) -> list[Branch]:
        """One thread for each sub-search called last, beginning at its node; unknown nodes are left out."""
        called = said.rpartition(CALL)[2]
        nodes = nodes_of(context)
        branches: dict[str, Branch] = {}
        for index, _, name in _START.findall(called):
            if name in nodes:
                begins = f"Moving to Node #{name}\nCurrent State: {nodes[name].text}"
                branches.setdefault(index, Branch(f"{index}@{name}", f"node #{name}", begins, context=""))
        return list(branches.values())

    def join(self, context: str, told: Sequence[Told]) -> str:
        """The parent's context with the call replaced by the results."""
        kept_context = context.rpartition(CALL)[0]
        lines = [FOUND]
        for t in told:
            index, _, node = t.branch.key.partition("@")
            where = f"in Sub Search {index} at level 1 at Node #{node}"
            path = path_found(t.branch.begins + t.text)
            lines += [f"<No Solution {where}>"] if path is None else [f"<Goal Reached {where}>", path]
        return kept_context + "\n".join([*lines, END_FOUND]) + "\n"

    def harmless(self, text: str) -> str:
        """See `Format.harmless`; a search cannot report for its siblings either."""
        lines = ("Goal Reached in Sub Search", "No Solution in Sub Search", "Start Sub Search")
        return disarmed(super().harmless(text), lines)

    def answer(self, text: str) -> str:
        """The path that was found, or nothing."""
        return path_found(text) or ""

    def parse(self, text: str) -> Trajectory:
        """The parent's text; each list of results is a block of the paths that were returned.

        A parent's text does not contain the searches themselves, so lengths are lower bounds. `Woven` of the
        engine has all of it.
        """
        trajectory, at = Trajectory(), 0
        while (start := text.find(FOUND, at)) >= 0:
            if text[at:start]:
                trajectory.body.append(text[at:start])
            end = text.find(END_FOUND, start)
            inside = text[start : end if end >= 0 else len(text)]
            block = Block(closed=end >= 0, at=start)
            cuts = [m.start() for m in _RESULT.finditer(inside)]
            block.parts.append(inside[: cuts[0]] if cuts else inside)
            for here, there in itertools.pairwise([*cuts, len(inside)]):
                head = _RESULT.match(inside, here)
                assert head is not None
                block.parts.append(head.group())
                body = inside[head.end() : there]
                block.parts.append(Path(head[2], f"node #{head[4]}", [body], True, start + here))
            if end >= 0:
                block.parts.append(END_FOUND)
            trajectory.body.append(block)
            at = end + len(END_FOUND) if end >= 0 else len(text)
        if text[at:]:
            trajectory.body.append(text[at:])
        return trajectory

    def check(self, text: str) -> list[Problem]:
        """Calls are closed and name nodes that were generated; results are closed and numbered from 0.

        ``text`` may begin with the prompt, whose node is the root, or after it.
        """
        problems: list[Problem] = []
        for opening, closing in ((CALL, END_CALL), (FOUND, END_FOUND)):
            at = -1
            while (at := text.find(opening, at + 1)) >= 0:
                end, again = text.find(closing, at), text.find(opening, at + 1)
                if end < 0 or (0 <= again < end):
                    problems.append(Problem("unclosed", f"{opening} is never closed.", at))
                    continue
                problems += self._inside(text, at, end, opening)
        return sorted(problems, key=lambda p: p.at)

    def _inside(self, text: str, at: int, end: int, opening: str) -> list[Problem]:
        pattern = _START if opening == CALL else _RESULT
        matches = list(pattern.finditer(text, at, end))
        problems: list[Problem] = []
        if not matches:
            problems.append(Problem("missing", f"{opening} lists no sub-search.", at))
        numbers = [int(m[1] if opening == CALL else m[2]) for m in matches]
        if numbers != list(range(len(numbers))):
            problems.append(Problem("numbering", f"Sub-searches are numbered {numbers}.", at))
        if len(matches) > self.max_branches:
            problems.append(Problem("count", f"{len(matches)} sub-searches, over {self.max_branches}.", at))
        names = _named(text[:end])
        for m in matches:
            node = m[3] if opening == CALL else m[4]
            if node not in names:
                problems.append(Problem("state", f"Node #{node} was never generated.", m.start()))
            if int(m[2] if opening == CALL else m[3]) != 1:
                problems.append(Problem("misplaced", "Sub-searches are one level deep.", m.start()))
        return problems

    def closing(self, text: str) -> str:
        """The end of a list of results that is open; an open call is left as text."""
        return f"\n{END_FOUND}\n" if text.rfind(FOUND) > text.rfind(END_FOUND) else ""


def nodes_of(text: str) -> dict[str, Node]:
    """Every node that a trace has moved to or generated, by its number."""
    nodes: dict[str, Node] = {}
    for name, target, numbers, operations in _MOVED.findall(text):
        if (done := _strings(operations)) is not None:
            nodes[name] = Node(int(target), _numbers(numbers), done)
    for name, target, numbers, operation in _GENERATED.findall(text):
        parent = nodes.get(name.rpartition(",")[0])
        if name not in nodes and parent is not None:
            nodes[name] = Node(int(target), _numbers(numbers), (*parent.operations, operation.strip()))
    return nodes


def _named(text: str) -> set[str]:
    """The numbers of all nodes of a trace. The root is one, though it may stand only in the prompt."""
    names = {ROOT, *(name for name, *_ in _MOVED.findall(text))}
    for name, *_ in _GENERATED.findall(text):
        if name.rpartition(",")[0] in names:
            names.add(name)
    return names


def path_found(trace: str) -> str | None:
    """The best path of a search that reached its goal: what follows its last but one ``Goal Reached``."""
    parts = trace.split("Goal Reached")
    return f"{parts[-2]}Goal Reached{parts[-1]}".strip() if len(parts) > 2 else None


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", text))


def _strings(text: str) -> tuple[str, ...] | None:
    """A Python list of strings, or None when the model wrote something else."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return tuple(str(v) for v in value) if is_array(value) else None


APR = Apr()


@strategy("apr", source=Apr.source, needs=("completions",))
async def apr(
    run: Run,
    task: Task,
    *,
    sub_calls: Number | None = None,
    max_tokens: Count = 4096,
    temperature: Warmth = 1.0,
    patience: Patience = 5.0,
    show: Show = "answer",
) -> Answer:
    """A model trained on Countdown searches, and calls sub-searches that see only their own node.

    Args:
        sub_calls: the "Sub Call Budget" that the model was conditioned on; None leaves it out.
        max_tokens: most tokens of the main search, and of each sub-search.
        patience: once half of the sub-searches are done, the others get this many times their median seconds.
        show: ``answer`` (the path found, or nothing), or the whole ``trajectory``.

    Raises:
        InvalidTaskError: the question is not a Countdown problem such as ``27:[22, 26, 31, 53]``.
    """
    budget = f"Sub Call Budget: {sub_calls} " if sub_calls is not None else ""
    prompt = f"{budget}Moving to Node #{ROOT}\nCurrent State: {problem(task.question).text}"
    decoding = Decoding(
        max_tokens=task.max_tokens or max_tokens,
        thread_tokens=max_tokens,
        temperature=temperature,
        patience=patience,
        special_tokens=False,
    )
    return await answer(run, prompt, APR, decoding, show=show)


def problem(question: str) -> Node:
    """The Countdown problem in a question: ``27:[22, 26]``, or words with the numbers and the target last.

    Raises:
        InvalidTaskError: there is none.
    """
    if match := re.search(r"(\d+)\s*:\s*\[([\d,\s]+)\]", question):
        return Node(int(match[1]), _numbers(match[2]), ())
    listed = re.search(r"\d+(?:\s*,\s*(?:and\s+)?\d+)+(?:,?\s+and\s+\d+)?", question)
    target = re.findall(
        r"(?:equals?|target(?: number)?|reach|make|get)\D{0,24}?(\d+)", question, re.IGNORECASE
    )
    if listed is None or not target:
        raise InvalidTaskError(
            "The model of APR is trained on Countdown, and the task is no such problem.",
            hint="Ask for example 27:[22, 26, 31, 53]: the target, then the numbers.",
        )
    return Node(int(target[-1]), _numbers(listed.group()), ())
