"""Type checks of expressions against what is known before a run: inputs, output types, item types."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from types import MappingProxyType

from weaver._text.shortening import shorten
from weaver._workflows.expressions.functions import FUNCTIONS
from weaver._workflows.expressions.parser import Expression
from weaver._workflows.expressions.types import (
    ANY,
    BOOLEAN,
    INTEGER,
    NUMBER,
    STRING,
    Kind,
    array,
    either,
    of_value,
    record,
)
from weaver._workflows.source.diagnostics import did_you_mean

Report = Callable[[int, str, str], None]
"""Called with the offset in the expression, what is wrong, and a hint."""


def ignore(_offset: int, _problem: str, _hint: str) -> None:
    """Report nothing: for who wants to know only what an expression reads."""


class Inference:
    """Works out the kind of an expression and reports what cannot be right.

    Args:
        names: kinds of the names that may be used.
        report: called for each problem.
        elsewhere: names that are known in other places only, and what to do instead.

    Attributes:
        used: paths that the expression reads, as far as they are names: ``("steps", "search", "output")``.
    """

    def __init__(
        self,
        expression: Expression,
        names: Mapping[str, Kind],
        report: Report,
        elsewhere: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._expression = expression
        self._names = dict(names)
        self._report = report
        self._elsewhere = elsewhere
        self.used: list[tuple[str, ...]] = []
        self.kind = self._of(expression.tree)

    def _wrong(self, node: ast.expr, what: str, hint: str = "", *, last: int = 0) -> Kind:
        self._report(self._expression.offset_of(node) + last, what, hint)
        return ANY

    def _of(self, node: ast.expr) -> Kind:
        match node:
            case ast.Constant():
                return of_value(node.value)
            case ast.Name():
                return self._name(node)
            case ast.Attribute():
                return self._attribute(node)
            case ast.Subscript():
                return self._subscript(node)
            case ast.List():
                kinds = [self._of(item) for item in node.elts]
                return array(either(kinds) if kinds else None, data=any(k.data for k in kinds))
            case ast.Dict():
                fields = {
                    str(key.value): self._of(value)
                    for key, value in zip(node.keys, node.values, strict=True)
                    if isinstance(key, ast.Constant)
                }
                return record(fields, data=any(kind.data for kind in fields.values()))
            case ast.BoolOp():
                kinds = [self._of(value) for value in node.values]
                return either(kinds)
            case ast.UnaryOp(op=ast.Not()):
                self._of(node.operand)
                return BOOLEAN
            case ast.UnaryOp():
                return self._number(node.operand)
            case ast.BinOp():
                return self._binary(node)
            case ast.Compare():
                return self._compare(node)
            case ast.IfExp():
                self._of(node.test)
                return either([self._of(node.body), self._of(node.orelse)])
            case ast.Call():
                return self._call(node)
            case ast.ListComp():
                return self._comprehension(node)
            case _:
                return ANY

    def _name(self, node: ast.Name) -> Kind:
        self.used.append((node.id,))
        if node.id in self._names:
            return self._names[node.id]
        if node.id in FUNCTIONS:
            return self._wrong(node, f"{node.id} is a function", f"write {FUNCTIONS[node.id].signature}")
        hint = self._elsewhere.get(node.id) or did_you_mean(node.id, self._names)
        for root in ("inputs", "steps"):
            if root in self._names and node.id in (self._names[root].fields or {}):
                hint = f"did you mean '{root}.{node.id}'?"
        return self._wrong(node, f"there is no name {node.id!r}", hint)

    def _attribute(self, node: ast.Attribute) -> Kind:
        return self._field(node, self._of(node.value), node.attr, node.value)

    def _field(self, node: ast.expr, owner: Kind, name: str, base: ast.expr) -> Kind:
        if (path := _path(node)) is not None:
            self.used.append(path)
        at = len(self._expression.text[: self._expression.offset_of(node)])
        end = _end(self._expression, base)
        last = self._expression.text.find(name, end) - at if end >= 0 else 0
        if owner.name not in ("any", "object", "null"):
            problem = f"{owner.label or _shown(base)} is {owner.words}, it has no field {name!r}"
            hint = "take one item: x[0].name, or [i.name for i in x]" if owner.name == "array" else ""
            return self._wrong(node, problem, hint, last=max(0, last))
        field = owner.field(name)
        if field is None:
            label = owner.label or _shown(base)
            problem = (
                f"there is no {owner.noun} {name!r}"
                if owner.noun != "field"
                else f"{label} has no field {name!r}"
            )
            return self._wrong(node, problem, did_you_mean(name, owner.fields or ()), last=max(0, last))
        return field.or_null() if owner.nullable else field

    def _subscript(self, node: ast.Subscript) -> Kind:
        owner = self._of(node.value)
        if isinstance(node.slice, ast.Slice):
            for bound in (node.slice.lower, node.slice.upper):
                if bound is not None:
                    self._number(bound)
            if not owner.one_of("array", "string"):
                return self._wrong(node, f"{_shown(node.value)} is {owner.words}, it has no parts")
            return Kind(owner.name, item=owner.item, data=owner.data)
        if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
            return self._field(node, owner, node.slice.value, node.value)
        key = self._of(node.slice)
        if owner.name == "array":
            if not key.one_of("integer"):
                return self._wrong(node.slice, f"a list is indexed by a whole number, not by {key.words}")
            return owner.each
        if owner.name == "string":
            return STRING.tainted(owner.data)
        if owner.name in ("boolean", "integer", "number"):
            return self._wrong(node, f"{_shown(node.value)} is {owner.words}, it has no items")
        if owner.fields:
            return either(owner.fields.values()).tainted(owner.data)
        return Kind(data=owner.data)

    def _number(self, node: ast.expr) -> Kind:
        kind = self._of(node)
        if not kind.one_of("number", "integer", "null"):
            return self._wrong(node, f"a number is expected, {_shown(node)} is {kind.words}")
        return NUMBER if kind.name == "any" else Kind(kind.name, data=kind.data)

    def _binary(self, node: ast.BinOp) -> Kind:
        if not isinstance(node.op, ast.Add):
            kinds = [self._number(node.left), self._number(node.right)]
            whole = all(k.name == "integer" for k in kinds) and not isinstance(node.op, ast.Div)
            return INTEGER if whole else NUMBER
        left_kind, right = self._of(node.left), self._of(node.right)
        data = left_kind.data or right.data
        for kind, side in ((left_kind, node.left), (right, node.right)):
            if not kind.one_of("string", "array", "number", "null"):
                return self._wrong(side, f"{kind.words} cannot be added", "use text(x)")
        if "any" in (left_kind.name, right.name):
            return Kind(data=data)
        if left_kind.name == right.name or (left_kind.numeric and right.numeric):
            if left_kind.name == "array":
                return array(either([left_kind.each, right.each]), data=data)
            return Kind("number" if left_kind.name != right.name else left_kind.name, data=data)
        if "null" in (left_kind.name, right.name):
            return ANY
        return self._wrong(node, f"{left_kind.words} and {right.words} cannot be added", "use text(x)")

    def _compare(self, node: ast.Compare) -> Kind:
        left_node = node.left
        left_kind = self._of(left_node)
        for operator, right_node in zip(node.ops, node.comparators, strict=True):
            right = self._of(right_node)
            if isinstance(operator, (ast.In, ast.NotIn)):
                self._contains(left_kind, right, left_node, right_node)
            else:
                self._comparable(operator, left_kind, right, left_node, right_node)
            left_kind, left_node = right, right_node
        return BOOLEAN

    def _contains(self, item: Kind, container: Kind, item_node: ast.expr, node: ast.expr) -> None:
        if not container.one_of("string", "array", "object", "null"):
            self._wrong(node, f"nothing can be in {_shown(node)}, it is {container.words}")
        elif container.name == "string" and not item.one_of("string"):
            self._wrong(
                item_node, f"only a text can be in a text, {_shown(item_node)} is {item.words}", "use text(x)"
            )
        elif container.name == "object" and not item.one_of("string"):
            self._wrong(item_node, f"an object's keys are texts, {_shown(item_node)} is {item.words}")
        elif container.name == "array" and container.item is not None:
            self._comparable(ast.Eq(), item, container.item, item_node, node)

    def _comparable(
        self, operator: ast.cmpop, left: Kind, right: Kind, left_node: ast.expr, right_node: ast.expr
    ) -> None:
        if "any" in (left.name, right.name):
            return
        equality = isinstance(operator, (ast.Eq, ast.NotEq))
        if "null" in (left.name, right.name):
            other, other_node = (right, right_node) if left.name == "null" else (left, left_node)
            if not equality:
                self._wrong(other_node, "nothing is more or less than null", "compare with == or !=")
            elif not other.nullable and other.name != "null":
                self._wrong(other_node, f"{_shown(other_node)} is never null")
            return
        if left.name != right.name and not (left.numeric and right.numeric):
            result = "never equal" if equality else "not comparable"
            both = f"{_shown(left_node)} is {left.words} and {_shown(right_node)} is {right.words}"
            self._wrong(left_node, f"{both}: they are {result}")
            return
        if not equality and not (left.numeric or left.name == "string"):
            self._wrong(left_node, f"{left.words} is neither more nor less than another")
        elif (
            equality
            and left.enum is not None
            and right.enum is not None
            and not set(left.enum) & set(right.enum)
        ):
            listed, node = (left, right_node) if len(left.enum) > 1 else (right, left_node)
            self._wrong(
                node,
                f"{_shown(node)} is none of the possible values",
                did_you_mean(str((right if listed is left else left).enum[0]), map(str, listed.enum or ())),  # type: ignore[index]
            )

    def _call(self, node: ast.Call) -> Kind:
        assert isinstance(node.func, ast.Name)
        name = node.func.id
        argument_kinds = [self._of(argument) for argument in node.args]
        data = any(kind.data for kind in argument_kinds)
        if name not in FUNCTIONS:
            return self._wrong(node, f"there is no function {name!r}", did_you_mean(name, FUNCTIONS, most=40))
        function = FUNCTIONS[name]
        if not function.required <= len(argument_kinds) <= len(function.takes):
            return self._wrong(
                node,
                f"{name}() is called with {len(argument_kinds)} arguments",
                f"write {function.signature}",
            )
        for kind, expected, argument in zip(argument_kinds, function.takes, node.args, strict=False):
            if expected and not kind.one_of(*expected):
                names = " or ".join(Kind(w).words for w in expected)
                return self._wrong(argument, f"{name}() takes {names}, {_shown(argument)} is {kind.words}")
        return function.gives(argument_kinds).tainted(data)

    def _comprehension(self, node: ast.ListComp) -> Kind:
        outer = dict(self._names)
        for part in node.generators:
            source = self._of(part.iter)
            if not source.one_of("array", "object"):
                self._wrong(part.iter, f"`for` goes over a list, {_shown(part.iter)} is {source.words}")
            assert isinstance(part.target, ast.Name)
            each = STRING.tainted(source.data) if source.name == "object" else source.each
            self._names[part.target.id] = each
            for condition in part.ifs:
                self._of(condition)
        result = array(self._of(node.elt))
        self._names = outer
        return result.tainted(result.each.data)


def is_constant(expression: Expression) -> bool:
    """Return True if an expression reads nothing, so its value is known now."""
    return not any(
        isinstance(node, ast.Name) and node.id not in FUNCTIONS for node in ast.walk(expression.tree)
    )


def _path(node: ast.expr) -> tuple[str, ...] | None:
    parts: list[str] = []
    while True:
        match node:
            case ast.Attribute():
                parts.append(node.attr)
                node = node.value
            case ast.Subscript(slice=ast.Constant(value=str() as name)):
                parts.append(name)
                node = node.value
            case ast.Name():
                return (node.id, *reversed(parts))
            case _:
                return None


def _end(expression: Expression, node: ast.expr) -> int:
    """Offset just behind ``node``."""
    if node.end_col_offset is None:
        return -1
    shift = expression.offset_of(node) - node.col_offset
    return len(expression.text.encode()[: node.end_col_offset + shift].decode(errors="ignore"))


def _shown(node: ast.expr) -> str:
    return shorten(ast.unparse(node), 50)


__all__ = ["Inference", "is_constant"]
