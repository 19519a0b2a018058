"""The expression language: a few operators and functions over JSON values, in Python's notation.

Python's own parser reads them; only a whitelist of its node types passes.
`weaver._workflows.expressions.evaluator` gives them values.
"""

from __future__ import annotations

import ast
import keyword
import re
import warnings
from dataclasses import dataclass

MAX_CHARS = 2_000
MAX_DEPTH = 30

WORDS = frozenset(
    {
        *("and", "or", "not", "in", "is", "if", "else", "for", "lambda", "await"),
        *("true", "false", "null", "True", "False", "None"),
    }
)
"""Words of the language, or of Python's that are refused with a hint: nothing can have such a name."""
_ONLY_PYTHON = re.compile(rf"(?<!\w)({'|'.join(sorted(set(keyword.kwlist) - WORDS))})(?!\w)")

JSON_TYPES = frozenset({dict, list, str, int, float, bool, type(None)})
_CONSTANTS = {"true": True, "false": False, "null": None}
_STRINGS = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
_FOREIGN = (
    (re.compile(r"&&"), "&& is not known", "write `and`"),
    (re.compile(r"\|\|"), "|| is not known", "write `or`"),
    (re.compile(r"!(?!=)"), "! is not known", "write `not`"),
    (re.compile(r":="), ":= is not known", ""),
    (re.compile(r"==="), "=== is not known", "write =="),
    (re.compile(r"\?"), "? is not known", "write `a if condition else b`"),
    (re.compile(r"(?<![=!<>])=(?!=)"), "= compares nothing", "write =="),
    (re.compile(r"\$\{"), "an expression has no ${ } inside", "write the name alone"),
    (re.compile(r"\|"), "| is not known", "functions are called: join(list)"),
)


class ExpressionError(ValueError):
    """An expression that cannot be read, or has no value.

    Attributes:
        what, hint: without the expression and its place.
        offset: characters from the expression's start to what is wrong.
    """

    def __init__(self, what: str, *, hint: str = "", offset: int = 0) -> None:
        super().__init__(f"{what}; {hint}" if hint else what)
        self.what = what
        self.hint = hint
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed expression. Equal texts are equal expressions.

    Attributes:
        path: the names of ``inputs.topic``; None for anything that is more than fields of a name.
    """

    text: str
    tree: ast.expr
    path: tuple[str, ...] | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expression) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def offset_of(self, node: ast.expr) -> int:
        """Characters from the start of the text to ``node``; the parser counts bytes."""
        return len(self.text.encode()[: node.col_offset].decode(errors="ignore"))


def parse_expression(text: str) -> Expression:
    """Read an expression.

    Raises:
        ExpressionError: it is not one; says what and where.
    """
    if len(text) > MAX_CHARS:
        raise ExpressionError(f"an expression has at most {MAX_CHARS:,} characters", hint="split the step")
    if not text.strip():
        raise ExpressionError("the expression is empty")
    flat = re.sub(r"\s", " ", text)
    lead = len(flat) - len(flat.lstrip())
    bare = _STRINGS.sub(lambda match: " " * len(match[0]), flat)
    _reject_foreign(bare)
    readable = _without_keywords(flat, bare)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(readable.strip(), mode="eval").body
    except SyntaxError as error:
        raise ExpressionError(*_syntax(error), offset=lead + max(0, (error.offset or 1) - 1)) from None
    except (ValueError, RecursionError, MemoryError):
        raise ExpressionError("the expression cannot be read") from None
    if readable != flat:
        _place_as_in(flat.strip(), readable.strip(), tree)
    plain = _Plain(flat, lead).visit_all(tree)
    expression = Expression(flat, plain, _path(plain))
    if lead:
        for node in ast.walk(expression.tree):
            if isinstance(node, (ast.expr, ast.keyword, ast.arg)):
                node.col_offset += lead
    return expression


def _path(node: ast.expr) -> tuple[str, ...] | None:
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return (node.id, *reversed(names)) if isinstance(node, ast.Name) else None


def _without_keywords(text: str, bare: str) -> str:
    """``text`` with names like ``class`` so that Python's parser takes them for names.

    Their first letter becomes a full-width one: the parser then sees no keyword, and gives the name back in
    plain letters (PEP 3131: identifiers are normalized by NFKC).

    Args:
        bare: the same without what stands in quotes.
    """
    letters = list(text)
    for match in _ONLY_PYTHON.finditer(bare):
        letters[match.start()] = chr(ord(text[match.start()]) - ord("a") + ord("\uff41"))
    return "".join(letters)


def _place_as_in(text: str, parsed: str, tree: ast.expr) -> None:
    """Give the nodes of what was parsed their places in ``text``: it has as many characters, fewer bytes."""
    for node in ast.walk(tree):
        for name in ("col_offset", "end_col_offset"):
            if (at := getattr(node, name, None)) is not None:
                characters = len(parsed.encode()[:at].decode(errors="ignore"))
                setattr(node, name, len(text[:characters].encode()))


def _reject_foreign(bare: str) -> None:
    """Say how operators of other languages are written here, in a text without what stands in quotes."""
    for pattern, problem, hint in _FOREIGN:
        if (match := pattern.search(bare)) is not None and not _keyword_argument(bare, match):
            raise ExpressionError(problem, hint=hint, offset=match.start())


def _keyword_argument(text: str, found: re.Match[str]) -> bool:
    return (
        found[0] == "="
        and re.search(r"\w\s*$", text[: found.start()]) is not None
        and "(" in text[: found.start()]
    )


def _syntax(error: SyntaxError) -> tuple[str]:
    message = (error.msg or "").lower()
    if "never closed" in message:
        return ("a bracket is opened and never closed",)
    if "unterminated" in message:
        return ("a quote is opened and never closed",)
    if "unmatched" in message:
        return ("a bracket is closed and never opened",)
    return ("this is not an expression",)


_REFUSED: dict[type[ast.AST], tuple[str, str]] = {
    ast.JoinedStr: ("f'...' texts are not known", "join texts with +"),
    ast.Lambda: ("lambda is not known", ""),
    ast.Starred: ("* is not known here", ""),
    ast.Set: ("{a, b} is not known", "write a list: [a, b]"),
    ast.Tuple: ("(a, b) is not known", "write a list: [a, b]"),
    ast.Await: ("await is not known", ""),
    ast.SetComp: ("{... for ...} is not known", "write [... for ...]"),
    ast.DictComp: ("{... for ...} is not known", "write [... for ...]"),
}
OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod)
_COMPARISONS = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn)
_UNARY = (ast.Not, ast.USub)


class _Plain:
    """Checks that a tree has only what the language has; makes constants of true, false and null."""

    def __init__(self, text: str, lead: int) -> None:
        self._text = text
        self._lead = lead

    def visit_all(self, node: ast.expr) -> ast.expr:
        return self._visit(node, 0)

    def _no(self, node: ast.expr, what: str, hint: str = "") -> ExpressionError:
        at = len(self._text.encode()[: node.col_offset + self._lead].decode(errors="ignore"))
        return ExpressionError(what, hint=hint, offset=at)

    def _visit(self, node: ast.expr, depth: int) -> ast.expr:
        if depth > MAX_DEPTH:
            raise self._no(node, f"nested more than {MAX_DEPTH} deep")
        match node:
            case ast.Constant(value=value):
                if type(value) not in JSON_TYPES or value in (float("inf"), float("-inf")):
                    raise self._no(node, "only texts, numbers, true, false and null can be written out")
            case ast.Name(id=name):
                if name in _CONSTANTS:
                    return ast.copy_location(ast.Constant(_CONSTANTS[name]), node)
                if name.startswith("_"):
                    raise self._no(node, "names do not begin with _")
            case ast.Attribute():
                node.value = self._visit(node.value, depth + 1)
            case ast.Subscript(slice=ast.Slice() as part):
                node.value = self._visit(node.value, depth + 1)
                if part.step is not None:
                    raise self._no(node, "slices have no step", "write x[from:to]")
                part.lower = part.lower and self._visit(part.lower, depth + 1)
                part.upper = part.upper and self._visit(part.upper, depth + 1)
            case ast.Subscript():
                node.value = self._visit(node.value, depth + 1)
                node.slice = self._visit(node.slice, depth + 1)
            case ast.List():
                node.elts = [self._visit(item, depth + 1) for item in node.elts]
            case ast.Dict():
                if any(not (isinstance(k, ast.Constant) and isinstance(k.value, str)) for k in node.keys):
                    raise self._no(node, "the names of fields are quoted texts")
                node.values = [self._visit(value, depth + 1) for value in node.values]
            case ast.BoolOp():
                node.values = [self._visit(value, depth + 1) for value in node.values]
            case ast.UnaryOp(op=op) if isinstance(op, _UNARY):
                node.operand = self._visit(node.operand, depth + 1)
            case ast.BinOp(op=op) if isinstance(op, OPERATORS):
                node.left = self._visit(node.left, depth + 1)
                node.right = self._visit(node.right, depth + 1)
            case ast.Compare():
                if not all(isinstance(op, _COMPARISONS) for op in node.ops):
                    raise self._no(node, "`is` is not known", "write == or !=")
                node.left = self._visit(node.left, depth + 1)
                node.comparators = [self._visit(value, depth + 1) for value in node.comparators]
            case ast.IfExp():
                node.test = self._visit(node.test, depth + 1)
                node.body = self._visit(node.body, depth + 1)
                node.orelse = self._visit(node.orelse, depth + 1)
            case ast.Call():
                self._call(node, depth)
            case ast.ListComp() | ast.GeneratorExp():
                return self._comprehension(node, depth)
            case _:
                raise self._no(
                    node, *_REFUSED.get(type(node), ("this is not part of the expression language", ""))
                )
        return node

    def _call(self, node: ast.Call, depth: int) -> None:
        if isinstance(node.func, ast.Attribute):
            raise self._no(node, "values have no methods", f"write {node.func.attr}(...)")
        if not isinstance(node.func, ast.Name):
            raise self._no(node, "only functions can be called")
        if node.keywords:
            raise self._no(node, "arguments have no names", f"write {node.func.id}(a, b)")
        node.args = [self._visit(argument, depth + 1) for argument in node.args]

    def _comprehension(self, node: ast.ListComp | ast.GeneratorExp, depth: int) -> ast.expr:
        for part in node.generators:
            if not isinstance(part.target, ast.Name) or part.is_async:
                raise self._no(part.target, "`for` takes one name")
            part.iter = self._visit(part.iter, depth + 1)
            part.ifs = [self._visit(condition, depth + 1) for condition in part.ifs]
        node.elt = self._visit(node.elt, depth + 1)
        return ast.copy_location(ast.ListComp(node.elt, node.generators), node)
