"""Values of expressions, by simpleeval narrowed to our language.

There is no attribute access to Python objects (``a.b`` reads the field ``b`` of an object, nothing else), no
call but of the functions in `weaver._workflows.expressions.functions`, no I/O, and both time and size are
bounded.
"""

from __future__ import annotations

import ast
import math
import operator as op
from collections.abc import Callable, Mapping
from typing import Any

from weaver._json_reading.json_types import Json, is_array, is_object
from weaver._text.shortening import one_line
from weaver._workflows.expressions.functions import FUNCTIONS, UnfitError
from weaver._workflows.expressions.parser import JSON_TYPES, Expression, ExpressionError
from weaver._workflows.expressions.types import Kind, plain_kind

MAX_STEPS = 100_000
MAX_TEXT = 2_000_000
_MISSING = object()


class NoValueError(ExpressionError):
    """An expression that has no value with the names it was given.

    Attributes:
        steps: ids of the steps that it reads.
    """

    def __init__(self, expression: Expression, what: str, *, hint: str = "") -> None:
        super().__init__(f"{_quoted(expression)}: {what}", hint=hint)
        nodes = [node for node in ast.walk(expression.tree) if isinstance(node, ast.Attribute)]
        read = [n.attr for n in nodes if isinstance(n.value, ast.Name) and n.value.id == "steps"]
        self.steps = tuple(dict.fromkeys(read))


def evaluate(expression: Expression, names: Mapping[str, Any]) -> Any:
    """The value of an expression.

    Args:
        names: JSON values by name.

    Raises:
        NoValueError: it has none, or takes too many steps; the message quotes the expression.
    """
    global _evaluator  # noqa: PLW0603 - building one takes longer than most expressions do
    if _evaluator is None:
        _evaluator = _make_evaluator()
    try:
        if expression.path is not None and type(names.get(expression.path[0], _MISSING)) in JSON_TYPES:
            value = names[expression.path[0]]
            for name in expression.path[1:]:
                value = _field_of(value, name)
            if type(value) in JSON_TYPES:
                return value
        return _evaluator(expression, names)
    except ExpressionError as error:
        raise NoValueError(expression, error.what, hint=error.hint) from None
    except UnfitError as error:
        raise NoValueError(expression, str(error)) from None
    except ZeroDivisionError:
        raise NoValueError(expression, "division by zero") from None
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        raise NoValueError(expression, str(error)) from None
    except RecursionError:
        raise NoValueError(expression, "nested too deep") from None


_evaluator: Callable[[Expression, Mapping[str, Any]], Any] | None = None


def _quoted(expression: Expression) -> str:
    return one_line(expression.text, 80)


def _make_evaluator() -> Callable[[Expression, Mapping[str, Any]], Any]:
    """simpleeval, narrowed to our language. One instance: evaluation is synchronous."""
    import simpleeval

    operators: dict[type[ast.AST], Callable[..., Any]] = {
        ast.Add: _add, ast.Mult: _multiply, ast.Sub: _numeric(op.sub), ast.Div: _numeric(_divide),
        ast.FloorDiv: _numeric(_floor_divide), ast.Mod: _numeric(op.mod), ast.USub: _numeric(op.neg),
        ast.Not: op.not_, ast.Eq: _equal, ast.NotEq: _unequal,
        ast.Lt: _ordered(op.lt), ast.LtE: _ordered(op.le), ast.Gt: _ordered(op.gt), ast.GtE: _ordered(op.ge),
        ast.In: _within, ast.NotIn: _outside,
    }  # fmt: skip

    class Evaluator(simpleeval.EvalWithCompoundTypes):
        steps = 0

        def __init__(self) -> None:
            super().__init__(operators=operators, functions={}, names={})
            self.functions = {name: self._counted(name) for name in FUNCTIONS}
            allowed = (
                ast.Name, ast.Constant, ast.UnaryOp, ast.BinOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Call,
                ast.Slice, ast.Dict, ast.List, ast.ListComp,
            )  # fmt: skip
            nodes = self.nodes
            self.nodes = {node: nodes[node] for node in allowed}
            self.nodes |= {ast.Attribute: self._field, ast.Subscript: self._item}

        def __call__(self, expression: Expression, names: Mapping[str, Any]) -> Any:
            self.names = names
            self.steps = self._max_count = 0
            self.expr = expression.text
            try:
                return self._eval(expression.tree)
            except simpleeval.InvalidExpression as error:
                raise ExpressionError(_said(error)) from None
            finally:
                self.names = {}

        def _check_disallowed_items(self, item: Any) -> None:
            # Called with every intermediate value: only JSON passes, and every step is counted.
            self.steps += 1
            if self.steps > MAX_STEPS:
                raise ExpressionError(f"it takes more than {MAX_STEPS:,} steps")
            if type(item) not in JSON_TYPES and type(item) is not slice:
                raise ExpressionError(f"{type(item).__name__} is not a JSON value")
            if type(item) is float and not math.isfinite(item):
                raise ExpressionError(f"{item} is not a number that JSON has")

        def _counted(self, name: str) -> Callable[..., Any]:
            does = FUNCTIONS[name].does

            def call(*given: Any) -> Any:
                _fitting(name, given)
                for value in given:
                    if isinstance(value, str):
                        self.steps += len(value) // 100
                    elif is_array(value) or is_object(value):
                        self.steps += len(value)
                if self.steps > MAX_STEPS:
                    raise ExpressionError(f"it takes more than {MAX_STEPS:,} steps")
                return _bounded(does(*given))

            return call

        def _field(self, node: ast.Attribute) -> Any:
            return _field_of(self._eval(node.value), node.attr)

        def _item(self, node: ast.Subscript) -> Any:
            return _item_of(self._eval(node.value), self._eval(node.slice))

    return Evaluator()


def _said(error: Any) -> str:
    name = type(error).__name__
    if name == "NameNotDefined":
        return f"there is no name {error.name!r}"
    if name == "FunctionNotDefined":
        return f"there is no function {error.func_name!r}"
    return "it would make too long a list" if name == "IterableTooLong" else str(error)


def _field_of(value: Json, name: str) -> Any:
    """A field of an object; null has null fields, so that skipped steps need no special care."""
    if value is None:
        return None
    if isinstance(value, dict):
        if name in value:
            return value[name]
        raise ExpressionError(
            f"there is no field {name!r}", hint=f"there is: {', '.join(map(str, value))[:200] or 'none'}"
        )
    raise ExpressionError(f"{_kind(value)} has no field {name!r}")


def _item_of(value: Json, key: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, dict) and isinstance(key, str):
        return _field_of(value, key)
    if isinstance(value, (list, str)):
        if isinstance(key, slice):
            return value[key]
        if isinstance(key, int) and not isinstance(key, bool):
            if -len(value) <= key < len(value):
                return value[key]
            raise ExpressionError(f"there is no item {key}; it has {len(value)}")
    raise ExpressionError(f"{_kind(value)} cannot be indexed by {_kind(key)}")


def _add(left: Any, right: Any) -> Any:
    if type(left) is type(right) and type(left) in (str, list):
        return _bounded(left + right)
    if isinstance(left, (str, list)) or isinstance(right, (str, list)):
        raise ExpressionError(f"{_kind(left)} and {_kind(right)} cannot be added", hint="use text(x)")
    return _of_numbers(left, right) and left + right


def _multiply(left: Any, right: Any) -> Any:
    _of_numbers(left, right)
    return _bounded(left * right)


def _divide(left: Any, right: Any) -> Any:
    return left / right


def _floor_divide(left: Any, right: Any) -> Any:
    return left // right


def _numeric(operator: Callable[..., Any]) -> Callable[..., Any]:
    def compute(*values: Any) -> Any:
        _of_numbers(*values)
        return operator(*values)

    return compute


def _ordered(operator: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compare(left: Any, right: Any) -> bool:
        if not (isinstance(left, str) and isinstance(right, str)):
            _of_numbers(left, right)
        return operator(left, right)

    return compare


def _equal(left: Any, right: Any) -> bool:
    """Python's equality, but true is not 1."""
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def _unequal(left: Any, right: Any) -> bool:
    return not _equal(left, right)


def _fitting(name: str, given: tuple[Any, ...]) -> None:
    function = FUNCTIONS[name]
    if not function.required <= len(given) <= len(function.takes):
        raise ExpressionError(f"{function.signature} cannot take {len(given)} arguments")
    for value, kinds in zip(given, function.takes, strict=False):
        if kinds and not plain_kind(value).one_of(*kinds):
            expected = " or ".join(Kind(kind).words for kind in kinds)
            raise ExpressionError(f"{name}() takes {expected}, not {_kind(value)}")


def _of_numbers(*values: Any) -> bool:
    for value in values:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ExpressionError(f"{_kind(value)} is not a number")
    return True


def _within(item: Any, container: Any) -> bool:
    if container is None:
        return False
    if isinstance(container, str) and not isinstance(item, str):
        raise ExpressionError(f"{_kind(item)} cannot be in a text", hint="use text(x)")
    if not isinstance(container, (str, list, dict)):
        raise ExpressionError(f"nothing can be in {_kind(container)}")
    if isinstance(container, dict):
        return isinstance(item, str) and item in container
    return item in container


def _outside(item: Any, container: Any) -> bool:
    return not _within(item, container)


def _bounded(value: Json) -> Any:
    if isinstance(value, (str, list)) and len(value) > MAX_TEXT:
        raise ExpressionError(f"the result has more than {MAX_TEXT:,} characters or items")
    if isinstance(value, int) and value.bit_length() > 4096:
        raise ExpressionError("the number is too large")
    return value


def _kind(value: Any) -> str:
    return plain_kind(value).words
