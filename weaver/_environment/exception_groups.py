"""Errors inside exception groups, which task groups wrap around them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import TypeIs


def is_group(error: BaseException) -> TypeIs[BaseExceptionGroup[BaseException]]:
    """Return True if an error is a group of errors."""
    return isinstance(error, BaseExceptionGroup)


def without_groups_of_one(error: BaseException) -> BaseException:
    """Return the error inside groups that hold nothing else; a group of several stays one."""
    while is_group(error) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
