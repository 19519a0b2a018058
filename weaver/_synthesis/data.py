"""``data``: typed output, put together by code."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, get_origin

from weaver._data.result import Answer
from weaver._data.task import Task
from weaver._json_reading.json_types import is_array
from weaver._runtime.output.output_types import MisfitError, output_type
from weaver._runtime.run import Run
from weaver._synthesis.merge import Parts, speak
from weaver._synthesis.synthesizer import listed
from weaver._synthesis.write import write

MAX_CHARS = 1_000_000
"""A longer part is not read as data."""


class Data:
    """For extraction and work per item. Costs no call where the parts are data; else `write` does it.

    A list gets the parts' values (lists are joined); a dict their keys, or their values by the parts' titles;
    a number their sum. What comes out must fit the task's output type.

    Args:
        asked: somebody chose this merge: a note says where it could not be used.
    """

    def __init__(self, *, asked: bool = True) -> None:
        self._asked = asked
        # A call must be reckoned with where nobody chose it.
        self.name = "data" if asked else "write"

    async def __call__(self, run: Run, task: Task, parts: Parts) -> Answer:
        """See `Merge`."""
        output, why = together(task.output, parts)
        if why:
            if self._asked:
                run.note(
                    f"The parts were not put together as data: {why}. The synthesizer writes the answer."
                )
            return await write(run, task, parts)
        run.offer(listed(parts.findings, parts.gaps))
        text = json.dumps(output_type(task.output).dumped(output), ensure_ascii=False)
        answer = Answer(text, output=output, complete=not parts.gaps, missing=parts.gaps)
        return speak(run, answer, "data")


def together(type_: Any, parts: Parts) -> tuple[Any, str]:
    """The value that the parts make up, and ``""``; or why they make up none."""
    kind = get_origin(type_) or type_
    combine = next(
        (made for base, made in _COMBINE if isinstance(kind, type) and issubclass(kind, base)), None
    )
    if combine is None or kind is bool:
        return None, "the output type is not a list, dict or number"
    if any(conflict.resolution for conflict in parts.conflicts):
        return None, "parts contradict each other"
    if kind in (int, float) and parts.gaps:
        return None, "a part of the sum is missing"
    values: dict[str, list[Any]] = {}
    for finding in parts.findings:
        value = finding.answer.output if finding.answer.output is not None else _value(finding.text)
        if value is None:
            return None, f"{finding.title!r} is no data"
        values.setdefault(finding.title, []).append(value)
    fitting = output_type(type_)
    problem = ""
    for candidate in combine([(title, item) for title, several in values.items() for item in several]):
        try:
            return fitting.validated(candidate), ""
        except MisfitError as error:
            problem = problem or f"the values do not fit the output type ({error})"
    return None, problem or "they do not go together"


Values = Sequence[tuple[str, Any]]
"""Titles and values."""


def _list(values: Values) -> Iterator[list[Any]]:
    """Lists joined; else the values as they are."""
    yield [item for _, value in values for item in (value if is_array(value) else [value])]
    yield [value for _, value in values]


def _dict(values: Values) -> Iterator[dict[str, Any]]:
    """The keys of all; else the values by the parts' titles. Never two values for one key."""
    if all(isinstance(value, Mapping) for _, value in values):
        yield from _without_clash([pair for _, value in values for pair in value.items()])
    yield from _without_clash(values)


def _without_clash(pairs: Values) -> Iterator[dict[str, Any]]:
    whole: dict[str, Any] = {}
    for key, value in pairs:
        if whole.setdefault(key, value) != value:
            return
    yield whole


def _sum(values: Values) -> Iterator[Any]:
    if all(isinstance(value, int | float) and not isinstance(value, bool) for _, value in values):
        yield sum(value for _, value in values)


_COMBINE: tuple[tuple[type, Callable[[Values], Iterator[Any]]], ...] = (
    (list, _list),
    (dict, _dict),
    (int, _sum),
    (float, _sum),
)


def _value(text: str) -> Any:
    """The text as data: JSON and nothing else, also in a fence. None for anything else, prose above all."""
    text = text.strip()
    if not text or len(text) > MAX_CHARS:
        return None
    if text.startswith("```") and text.endswith("```"):
        text = text.removeprefix("```").partition("\n")[2].removesuffix("```").strip()
    try:
        return json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None


def _no_number(name: str) -> Any:
    raise ValueError(name)


data = Data()
