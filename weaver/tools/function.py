"""Python functions as tools."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, get_type_hints, overload

import anyio
import anyio.to_thread
from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic_core import to_json

from weaver.errors import ConfigurationError, ToolFailed, WeaverError
from weaver.models.protocol import ToolSpec


class FunctionTool:
    """A function that models may call. Sync functions run in a worker thread, so they never block the run.

    Args:
        function: any function with annotated parameters; its docstring is what the model reads.
        name, description: override the function's own.
        timeout: most seconds one call may take; None leaves it to the thread's deadline. A sync function
            that is cut goes on in its worker thread until it returns: nothing can stop it.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str = "",
        description: str = "",
        timeout: float | None = None,
    ) -> None:
        self.function = function
        self.timeout = timeout
        self.name = name or function.__name__
        self.description = description or inspect.getdoc(function) or ""
        self._arguments = _model_of(function, self.name)

    @property
    def spec(self) -> ToolSpec:
        """As a model is told about it."""
        schema = self._arguments.model_json_schema()
        schema.pop("title", None)
        return ToolSpec(self.name, self.description, schema)

    async def __call__(self, arguments: str) -> str:
        """Call the function with JSON ``arguments``; what it returns, as text (JSON unless it is a str).

        Raises:
            ToolFailed: the arguments do not fit, the function raised, or it took too long.
        """
        try:
            parsed = self._arguments.model_validate_json(arguments or "{}")
        except ValidationError as error:
            wrong = "; ".join(
                f"{'.'.join(map(str, e['loc'])) or 'arguments'}: {e['msg']}" for e in error.errors()
            )
            raise ToolFailed(f"The arguments of tool {self.name!r} do not fit: {wrong}.") from error
        values = {name: getattr(parsed, name) for name in type(parsed).model_fields}
        try:
            with anyio.fail_after(self.timeout):
                result = await self._call(values)
        except TimeoutError as error:
            raise ToolFailed(f"Tool {self.name!r} took longer than {self.timeout} s.") from error
        except WeaverError:
            raise
        except (Exception, SystemExit) as error:
            raise ToolFailed(f"Tool {self.name!r} raised {type(error).__name__}: {error}.") from error
        return result if isinstance(result, str) else to_json(result, fallback=str).decode()

    async def _call(self, values: dict[str, Any]) -> Any:
        if inspect.iscoroutinefunction(self.function):
            return await self.function(**values)
        return await anyio.to_thread.run_sync(partial(self.function, **values), abandon_on_cancel=True)


@overload
def tool(function: Callable[..., Any]) -> FunctionTool: ...
@overload
def tool(
    *, name: str = "", description: str = "", timeout: float | None = None
) -> Callable[[Callable[..., Any]], FunctionTool]: ...
def tool(
    function: Callable[..., Any] | None = None,
    *,
    name: str = "",
    description: str = "",
    timeout: float | None = None,
) -> Any:
    """Make a tool of a function; usable as a decorator with or without options.

    Raises:
        ConfigurationError: a parameter cannot be described to a model.
    """
    if function is not None:
        return FunctionTool(function)
    return partial(FunctionTool, name=name, description=description, timeout=timeout)


def as_tool(given: Any) -> FunctionTool:
    """A tool of whatever the user passed: a `FunctionTool` or a plain function.

    Raises:
        ConfigurationError: it is neither.
    """
    if isinstance(given, FunctionTool):
        return given
    if callable(given):
        return FunctionTool(given)
    raise ConfigurationError(f"{given!r} is not a tool.", hint="Pass a function, or use @weaver.tool.")


def _model_of(function: Callable[..., Any], name: str) -> type[BaseModel]:
    try:
        hints = get_type_hints(function, include_extras=True)
        fields: dict[str, Any] = {}
        for parameter in inspect.signature(function).parameters.values():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                raise ConfigurationError(
                    f"Tool {name!r} takes *{parameter.name}: models need named parameters."
                )
            default = ... if parameter.default is parameter.empty else parameter.default
            fields[parameter.name] = (hints.get(parameter.name, Any), default)
        return create_model(name, __config__=ConfigDict(extra="forbid"), **fields)
    except (TypeError, ValueError, NameError) as error:
        raise ConfigurationError(f"Tool {name!r} cannot be described to a model: {error}.") from error
