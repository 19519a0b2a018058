"""Items from a user's file: one JSON object per line with ``question`` and ``answer``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from weaver._evals.graders import check_answer, grader, title
from weaver._evals.items import Item
from weaver._json_reading.json_types import is_object
from weaver._models.protocol import Model
from weaver.errors import ConfigurationError


def read_items(
    path: str, *, n: int, grader_name: str | None, judge: Model | None, options: dict[str, Any]
) -> tuple[Item, ...]:
    """The first ``n`` items of a file.

    Each line is an object with ``question`` (or ``prompt``, ``problem``), ``answer``, and optionally ``id``
    and ``grader``. Empty lines are skipped; other keys are kept as metadata.

    Args:
        grader_name: used for all items; by default each line's own, else ``auto``.

    Raises:
        ConfigurationError: the file or a line of it is wrong, with its line number.
    """
    if options:
        raise ConfigurationError(
            f"A file has no parameter {', '.join(map(repr, options))}; only grader=NAME."
        )
    try:
        # Not `splitlines`: JSON may have other line ends, such as U+2028, in its texts.
        lines = Path(path).read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The task file {path} cannot be read: {error}.") from error
    items: dict[str, Item] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        item = _item(line, f"{path}:{number}", number, grader_name, judge)
        if item.id in items:
            raise ConfigurationError(f"{path}:{number}: another line has the id {item.id!r}.")
        items[item.id] = item
        if len(items) == n:
            break
    if not items:
        raise ConfigurationError(f"The task file {path} has no items.")
    return tuple(items.values())


def _item(line: str, place: str, number: int, grader_name: str | None, judge: Model | None) -> Item:
    try:
        data = json.loads(line)
    except ValueError as error:
        raise ConfigurationError(f"{place}: not JSON: {error}.") from None
    if not is_object(data):
        raise ConfigurationError(f"{place}: an item is an object with question and answer.")
    question = next((data[k] for k in ("question", "prompt", "problem") if k in data), None)
    if not isinstance(question, str) or not question.strip():
        raise ConfigurationError(f"{place}: there is no question.")
    if data.get("answer") is None:
        raise ConfigurationError(f"{place}: there is no answer.")
    answer = data["answer"]
    keys = {"question", "prompt", "problem", "answer", "id", "grader"}
    kind = grader_name or data.get("grader") or "auto"
    if not isinstance(kind, str):
        raise ConfigurationError(f"{place}: the grader must be a name.")
    try:
        item = Item(
            id=str(data.get("id", number)),
            question=question,
            answer=answer if isinstance(answer, str) else json.dumps(answer),
            grader=grader(kind, judge=judge),
            metadata={k: v for k, v in data.items() if k not in keys},
            graded_by=title(kind, judge),
        )
        check_answer(item)
    except ConfigurationError as error:
        raise ConfigurationError(f"{place}: {error.message}", hint=error.hint) from error
    return item
