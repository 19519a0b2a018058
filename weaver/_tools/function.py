"""Python functions as tools."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ParamSpec, TypeVar, overload

import anyio
import anyio.to_thread
from pydantic import ValidationError
from pydantic_core import from_json, to_json

from weaver._data.parts import result_of
from weaver._models.protocol import ToolSpec
from weaver._tools.protocol import ApprovalRule, Context, Prepare, Tool, ToolOptions
from weaver._tools.signature import signature_of
from weaver.errors import ConfigurationError, InvalidToolArgumentsError, ToolError, WeaverError

P = ParamSpec("P")
R = TypeVar("R")


class FunctionTool:
    """A function that models may call. It can still be called as the function that it is.

    Sync functions run in a worker thread, so they never block the run.

    Args:
        function: any function or bound method with annotated parameters. Its docstring is what the model
            reads; what it says about each argument becomes that parameter's description. A parameter of type
            `Context` gets the call's context and is not shown to the model.
        name, description: override the function's own.
        options: timeout, tries, approval and more. A sync function that is cut by a timeout goes on in its
            worker thread until it returns: nothing can stop it.

    Raises:
        ConfigurationError: a parameter cannot be described to a model.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str = "",
        description: str = "",
        options: ToolOptions | None = None,
    ) -> None:
        self.function = function
        self.name = name or getattr(function, "__name__", type(function).__name__)
        self.options = options or ToolOptions()
        self._signature = signature_of(function, self.name)
        self.description = description or self._signature.description
        self._is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004 - an object with an async __call__
        )
        functools.update_wrapper(self, function, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function itself, as Python code does."""
        return self.function(*args, **kwargs)

    def __get__(self, instance: Any, owner: type | None = None) -> FunctionTool:
        """A decorated method becomes a tool of the instance that it is read from."""
        if instance is None:
            return self
        return FunctionTool(
            self.function.__get__(instance, owner),
            name=self.name,
            description=self.description,
            options=self.options,
        )

    def __repr__(self) -> str:
        return f"FunctionTool({self.name!r})"

    @property
    def spec(self) -> ToolSpec:
        """Name, description and parameters, as a model is told about them."""
        return self._spec

    @functools.cached_property
    def _spec(self) -> ToolSpec:
        schema = self._signature.arguments.model_json_schema()
        schema.pop("title", None)
        schema.pop("description", None)
        return ToolSpec(self.name, self.description, schema)

    async def call(self, arguments: str, context: Context[Any] | None = None) -> str:
        """Call the function with JSON ``arguments``; what it returns, as text (JSON unless it is a str).

        Raises:
            ToolError: the arguments do not fit, or the function raised.
        """
        values = self._parsed(arguments)
        if self._signature.context is not None:
            values[self._signature.context] = context or Context(None)
        try:
            if self._is_async:
                result = await self.function(**values)
            else:
                result = await _in_thread(partial(self.function, **values))
        except WeaverError:
            raise
        except (Exception, SystemExit) as error:
            raise ToolError(f"Tool {self.name!r} raised {type(error).__name__}: {error}.") from error
        return _as_result(result)

    def _parsed(self, arguments: str) -> dict[str, Any]:
        try:
            parsed = self._signature.arguments.model_validate_json(arguments or "{}")
        except ValidationError as error:
            wrong = "; ".join(
                f"{'.'.join(map(str, e['loc'])) or 'arguments'}: {e['msg']}" for e in error.errors()[:8]
            )
            raise InvalidToolArgumentsError(
                f"The arguments of tool {self.name!r} do not fit: {wrong}."
            ) from error
        return {name: getattr(parsed, name) for name in type(parsed).model_fields}


class SchemaTool:
    """A function behind a JSON Schema that is known at run time only.

    Args:
        spec: what the model is told. Arguments are checked to be a JSON object, and not against the schema:
            whoever has the schema knows what fits it.
        function: gets the arguments as a dict, and the context; sync or async.
        options: as for `FunctionTool`.
    """

    def __init__(
        self,
        spec: ToolSpec,
        function: Callable[[dict[str, Any], Context[Any]], Any],
        *,
        options: ToolOptions | None = None,
    ) -> None:
        self.spec = spec
        self.options = options or ToolOptions()
        self._function = function

    def __repr__(self) -> str:
        return f"SchemaTool({self.spec.name!r})"

    async def call(self, arguments: str, context: Context[Any] | None = None) -> str:
        """Call the function; what it returns, as text (JSON unless it is a str).

        Raises:
            ToolError: the arguments are not a JSON object, or the function raised.
        """
        try:
            values = from_json(arguments or "{}")
        except ValueError as error:
            raise InvalidToolArgumentsError(
                f"The arguments of tool {self.spec.name!r} are not valid JSON: {error}."
            ) from None
        if not isinstance(values, dict):
            raise InvalidToolArgumentsError(
                f"The arguments of tool {self.spec.name!r} must be a JSON object."
            )
        try:
            result = await _called(self._function, values, context or Context(None))
        except WeaverError:
            raise
        except (Exception, SystemExit) as error:
            raise ToolError(f"Tool {self.spec.name!r} raised {type(error).__name__}: {error}.") from error
        return _as_result(result)


@overload
def tool(function: Callable[P, R]) -> FunctionTool: ...
@overload
def tool(
    *,
    name: str = "",
    description: str = "",
    schema: Mapping[str, Any] | None = None,
    timeout: float | None = None,
    tries: int = 1,
    concurrency: int | None = None,
    approve: bool | ApprovalRule = False,
    has_effects: bool = False,
    trusted: bool | None = None,
    prepare: Prepare | None = None,
) -> Callable[[Callable[..., Any]], FunctionTool]: ...
def tool(
    function: Callable[..., Any] | None = None,
    *,
    name: str = "",
    description: str = "",
    schema: Mapping[str, Any] | None = None,
    **options: Any,
) -> Any:
    """Make a tool of a function; usable as a decorator with or without options.

    Args:
        function: see `FunctionTool`. With ``schema``, it gets ``(arguments: dict, context)`` instead.
        name, description: override the function's own.
        schema: a JSON Schema object for the arguments, for tools whose parameters are known at run time only.
        options: ``timeout``, ``tries``, ``concurrency``, ``approve``, ``has_effects``, ``trusted`` and
            ``prepare``, as in `ToolOptions`.

    Raises:
        ConfigurationError: a parameter cannot be described to a model, or an option is wrong.
    """
    settings = _checked(ToolOptions(**options))

    def made(function: Callable[..., Any]) -> FunctionTool | SchemaTool:
        if schema is None:
            return FunctionTool(function, name=name, description=description, options=settings)
        text = description or inspect.getdoc(function) or ""
        return SchemaTool(ToolSpec(name or function.__name__, text, schema), function, options=settings)

    return made if function is None else made(function)


def _as_result(value: Any) -> str:
    """The result as the model reads it: text, text with parts, or JSON."""
    if isinstance(value, str):
        return value
    with_parts = result_of(value)
    return to_json(value, fallback=str).decode() if with_parts is None else with_parts


def as_tool(value: Any) -> Tool:
    """A tool from what the user passed: a `Tool`, or a plain function or method.

    Raises:
        ConfigurationError: it is neither.
    """
    if isinstance(value, Tool) and not isinstance(value, type):
        return value
    if callable(value):
        return FunctionTool(value)
    raise ConfigurationError(f"{value!r} is not a tool.", hint="Pass a function, or use @weaver.tool.")


def by_name(values: tuple[Any, ...]) -> dict[str, Tool]:
    """The tools under their names, in order. The same object may stand twice.

    Raises:
        ConfigurationError: one of them is not a tool, or two different ones have the same name.
    """
    tools: dict[str, Tool] = {}
    for value in values:
        converted = as_tool(value)
        other = tools.get(converted.spec.name)
        if other is not None and identity(other) != identity(converted):
            raise ConfigurationError(
                f"Two tools have the name {converted.spec.name!r}.",
                hint="Give one of them another: @tool(name=...).",
            )
        tools[converted.spec.name] = other or converted
    return tools


def identity(one: Tool) -> Any:
    """Equal for two tools that are the same one."""
    # A plain function is wrapped anew each time, and a bound method is a new object each time it is read.
    return one.function if isinstance(one, FunctionTool) else id(one)


def _checked(options: ToolOptions) -> ToolOptions:
    for name in ("timeout", "tries", "concurrency"):
        value = getattr(options, name)
        if value is not None and not (isinstance(value, (int, float)) and value > 0):
            raise ConfigurationError(f"@tool({name}=...) must be a positive number, not {value!r}.")
    return options


async def _called(function: Callable[..., Any], *args: Any) -> Any:
    if inspect.iscoroutinefunction(function):
        return await function(*args)
    return await _in_thread(partial(function, *args))


_START_SECONDS = 0.05
_latest_start = threading.Event()  # of the call before, once its function is about to run
_latest_start.set()


async def _in_thread(work: Callable[[], Any]) -> Any:
    """Run ``work`` in a worker thread. Calls of one turn run side by side, and begin in their order."""
    global _latest_start  # noqa: PLW0603 - the order is that of the process
    before, mine = _latest_start, threading.Event()
    _latest_start = mine

    def begin() -> Any:
        before.wait(_START_SECONDS)  # a call that was cancelled before it began is not waited for
        mine.set()
        return work()

    return await anyio.to_thread.run_sync(begin, abandon_on_cancel=True)
