"""Items of reasoning-gym (extra ``evals``): any of its generators, graded by its own verifiers."""

from __future__ import annotations

import dataclasses
from typing import Any

from weaver._evals.graders import final_line
from weaver._evals.items import Grade, Grader, Item
from weaver._json_reading.json_types import is_list_or_tuple
from weaver.errors import ConfigurationError, UnknownNameError


def gym(name: str, *, n: int, seed: int, options: dict[str, Any]) -> tuple[Item, ...]:
    """The first ``n`` items of a generator of reasoning-gym.

    Args:
        options: fields of the generator's configuration. A field ``x`` that exists as ``min_x`` and ``max_x``
            sets both: ``terms=4`` or ``terms=2..6``.

    Raises:
        UnknownNameError: no such generator, or no such field.
        ConfigurationError: the extra is not installed, or a value does not fit.
    """
    try:
        from reasoning_gym.factory import DATASETS, create_dataset
    except ImportError as error:
        raise ConfigurationError(
            "Tasks of reasoning-gym need the extra 'evals'.", hint='pip install "weaver-reasoning[evals]"'
        ) from error
    if name not in DATASETS:
        raise UnknownNameError("reasoning-gym generator", name, DATASETS)
    fields = {f.name for f in dataclasses.fields(DATASETS[name][1])} - {"seed", "size"}
    try:
        dataset = create_dataset(name, size=n, seed=seed, **_fitted(name, options, fields))
        entries = [dataset[i] for i in range(n)]
    except (AssertionError, TypeError, ValueError) as error:
        raise ConfigurationError(f"reasoning-gym refuses {name} with {options}: {error}.") from error
    return tuple(
        Item(
            id=str(i),
            question=str(entry["question"]),
            answer=str(entry["answer"]),
            grader=_grader(dataset, entry),
            metadata={"difficulty": entry.get("metadata", {}).get("difficulty")},
        )
        for i, entry in enumerate(entries)
    )


def _fitted(name: str, options: dict[str, Any], fields: set[str]) -> dict[str, Any]:
    fitted: dict[str, Any] = {}
    for key, value in options.items():
        if key in fields:
            fitted[key] = list(value) if is_list_or_tuple(value) else value
        elif {f"min_{key}", f"max_{key}"} <= fields:
            low, high = value if is_list_or_tuple(value) else (value, value)
            fitted |= {f"min_{key}": low, f"max_{key}": high}
        else:
            short = {f.removeprefix("min_") for f in fields if f.startswith("min_")}
            raise UnknownNameError(f"parameter of reasoning_gym/{name}", key, fields | short)
    return fitted


def _grader(dataset: Any, entry: Any) -> Grader:
    """The generator's own verifier, on the marked answer (it compares whole texts)."""

    async def grade(item: Item, answer: str) -> Grade:
        del item
        score = float(dataset.score_answer(final_line(answer), entry))
        return Grade(correct=score >= 0.999, score=max(0.0, min(1.0, score)))

    return grade
