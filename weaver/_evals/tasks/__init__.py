"""Tasks with ground truth, by name: reasoning-gym's generators, JSONL files, our own of known structure."""

from __future__ import annotations

import re
from dataclasses import replace

from weaver._evals.graders import check_answer, grader, title
from weaver._evals.items import TaskSet
from weaver._evals.tasks.parameters import parameters
from weaver._models.protocol import Model
from weaver.errors import ConfigurationError, UnknownNameError

GYM = "reasoning_gym/"
HUMAN_EVAL = "human_eval"


def load(name: str, *, n: int, seed: int, judge: Model | None = None) -> TaskSet:
    """The first ``n`` items of a task.

    Args:
        name: ``reasoning_gym/GENERATOR:key=value,...``, ``human_eval`` (programs with tests),
            ``FILE.jsonl:grader=NAME``, or one of our own (`weaver._evals.tasks.structured.GENERATORS`) such
            as ``tree_sum:terms=8``. A parameter ``grader=NAME`` replaces a task's own grader.
        n: number of items; a file may have fewer.
        seed: the same name and seed give the same items.
        judge: the model of the grader ``judge``.

    Raises:
        UnknownNameError: no such task or generator.
        ConfigurationError: a parameter or the file is wrong.
    """
    if n < 1:
        raise ConfigurationError(f"{n} items are too few to compare on.", hint="Give -n 1 or more.")
    place, arguments = _split(name)
    options = parameters(arguments, name)
    chosen = options.pop("grader", None)
    if place.startswith(GYM):
        from weaver._evals.tasks.gym import gym

        items = gym(place.removeprefix(GYM), n=n, seed=seed, options=options)
    elif place.endswith((".jsonl", ".json", ".ndjson")):
        from weaver._evals.tasks.jsonl import read_items

        return TaskSet(name, read_items(place, n=n, grader_name=chosen, judge=judge, options=options))
    elif place == HUMAN_EVAL:
        from weaver._evals.tasks.code_tests import INSTRUCTION, human_eval

        return TaskSet(name, human_eval(n=n, seed=seed, options=options), INSTRUCTION)
    else:
        from weaver._evals.tasks.structured import GENERATORS, generate

        if place not in GENERATORS:
            raise UnknownNameError("task", place, [*GENERATORS, HUMAN_EVAL, f"{GYM}GENERATOR", "FILE.jsonl"])
        items = generate(place, n=n, seed=seed, options=options)
    if chosen is not None:
        judged = grader(chosen, judge=judge)
        items = tuple(replace(item, grader=judged, graded_by=title(chosen, judge)) for item in items)
        for item in items:
            check_answer(item)
    return TaskSet(name, items)


def _split(name: str) -> tuple[str, str]:
    """A task's name and its parameters. The colon of a path such as ``C:\\x.jsonl`` does not separate."""
    match = re.fullmatch(
        r"(?P<place>.+?\.(?:jsonl|json|ndjson)|(?!.*\.jsonl?)[^:]+)(?::(?P<given>.*))?", name
    )
    return (match["place"].strip(), match["given"] or "") if match else (name, "")
