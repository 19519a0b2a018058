"""What weaver uses of simpleeval, which has no types of its own."""

import ast
from collections.abc import Callable, Mapping
from typing import Any

class InvalidExpression(Exception): ...  # noqa: N818 - its name there

class EvalWithCompoundTypes:
    operators: Mapping[type[ast.AST], Callable[..., Any]]
    functions: Mapping[str, Callable[..., Any]]
    names: Mapping[str, Any]
    nodes: dict[type[ast.AST], Callable[..., Any]]
    expr: str
    def __init__(
        self,
        operators: Mapping[type[ast.AST], Callable[..., Any]] | None = None,
        functions: Mapping[str, Callable[..., Any]] | None = None,
        names: Mapping[str, Any] | None = None,
    ) -> None: ...
    def _eval(self, node: ast.AST) -> Any: ...
    def _check_disallowed_items(self, item: Any) -> None: ...
