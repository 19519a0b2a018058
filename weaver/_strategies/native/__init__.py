"""Formats in which trained models fork by themselves, over raw completions.

`parse`, `check` and `statistics` read any trajectory text and need no model.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from weaver._strategies.native.common.format import Branch as Branch
from weaver._strategies.native.common.format import Format as Format
from weaver._strategies.native.common.format import Problem as Problem
from weaver._strategies.native.common.format import Told as Told
from weaver._strategies.native.common.trajectory import Block as Block
from weaver._strategies.native.common.trajectory import Path as Path
from weaver._strategies.native.common.trajectory import Statistics as Statistics
from weaver._strategies.native.common.trajectory import Trajectory as Trajectory
from weaver._strategies.native.common.trajectory import measure
from weaver._strategies.native.common.trajectory import words as words
from weaver.errors import UnknownNameError

FORMATS = ("threadweaver", "multiverse", "npr", "parallel_r1", "apr", "pasta")


def format_named(name: str) -> Format:
    """The format of a name.

    Raises:
        UnknownNameError: there is none of that name.
    """
    if name not in FORMATS:
        raise UnknownNameError("format", name, FORMATS)
    form = getattr(import_module(f"weaver._strategies.native.{name}"), name.upper())
    assert isinstance(form, Format)
    return form


def parse(text: str, form: Format | str) -> Trajectory:
    """The tree of a trajectory. Never fails: what is not closed ends with the text.

    Args:
        form: a format or its name (`FORMATS`).
    """
    return _format(form).parse(text)


def check(text: str, form: Format | str) -> list[Problem]:
    """Every way in which ``text`` breaks its format, in order of position; empty when it is correct."""
    return _format(form).check(text)


def statistics(text: str, form: Format | str, count: Callable[[str], int] | None = None) -> Statistics:
    """Critical path, total, ratios and threads per block of a trajectory.

    Args:
        count: tokens in a text, for exact lengths the model's own tokenizer; by default words and
            punctuation marks.
    """
    return measure(_format(form).parse(text), count or words)


def _format(form: Format | str) -> Format:
    return format_named(form) if isinstance(form, str) else form
