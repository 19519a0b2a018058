"""Finding strategies by name: ours, those of installed plugins, and those of the running program."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args, get_origin

from pydantic import PydanticUserError, TypeAdapter, ValidationError

from weaver._data.result import Answer
from weaver._environment import plugins
from weaver._models.protocol import Capabilities
from weaver._strategies.common.from_file import IN_FILE, member, module_of
from weaver._strategies.common.option_types import Needs
from weaver.errors import ConfigurationError, MissingCapabilityError, UnknownNameError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from typing_extensions import TypeIs

GROUP = "weaver.strategies"
Function = Callable[..., Awaitable[Answer]]
Clash = Callable[[Mapping[str, Any]], str]
F = TypeVar("F", bound=Function)
FILES_HINT = "A file's code runs only if --strategy names it. In Python, pass the function itself."
_registered: dict[str, Strategy] = {}


@dataclass(frozen=True, slots=True)
class Strategy:
    """A named way to answer a task.

    Attributes:
        function: ``async def (run, task, **options) -> Answer``.
        summary: one line.
        source: the paper or page the method comes from, or "".
        needs: names of `Capabilities` that the thread model must have.
        options: name to (type, default) of the function's keyword-only parameters.
        clash: given all options, why they do not go together; "" when they do.
        reads_documents: it reads the task's documents itself; others get them whole.
    """

    name: str
    function: Function
    summary: str = ""
    source: str = ""
    needs: tuple[str, ...] = ()
    options: Mapping[str, tuple[Any, Any]] = field(default_factory=dict[str, tuple[Any, Any]])
    clash: Clash | None = None
    reads_documents: bool = False

    @property
    def option_needs(self) -> dict[str, list[str]]:
        """Capabilities that the model must have if an option is set, by the option's name."""
        return {
            name: needs
            for name, (kind, _) in self.options.items()
            if (needs := [n.capability for n in getattr(kind, "__metadata__", ()) if isinstance(n, Needs)])
        }

    def check(self, can: Capabilities, model: str, options: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Refuse a model that lacks what the strategy needs with these options, and options that clash.

        Args:
            options: parsed; those that are left out have their defaults.

        Raises:
            MissingCapabilityError: naming what is missing.
            ConfigurationError: as `check_together`.
        """
        self.check_together(options)
        for who, needs, otherwise in self.demands(options):
            if lacking := [need for need in needs if not getattr(can, need)]:
                raise MissingCapabilityError(
                    f"{who} needs {', '.join(lacking)}, which {model} does not offer.",
                    hint=f"{otherwise} or choose an endpoint that offers it.",
                )

    def demands(self, options: Mapping[str, Any]) -> list[tuple[str, tuple[str, ...], str]]:
        """Return (option, capabilities, alternative) for each need that these options have."""
        missing_needs = [
            (f"Option {name} of strategy {self.name!r}", tuple(needs), "Leave the option out,")
            for name, needs in self.option_needs.items()
            if name in options and options[name] != self.options[name][1]
        ]
        if self.needs:
            instead = "Choose another strategy (`weaver strategies`)"
            missing_needs.insert(0, (f"Strategy {self.name!r}", self.needs, instead))
        return missing_needs

    def check_together(self, options: Mapping[str, Any]) -> None:
        """Refuse options that do not go together.

        Args:
            options: parsed; those that are left out have their defaults.

        Raises:
            ConfigurationError: saying which.
        """
        every = {name: default for name, (_, default) in self.options.items()} | dict(options)
        if self.clash is not None and (why := self.clash(every)):
            raise ConfigurationError(f"The options of strategy {self.name!r} do not go together: {why}.")

    def parsed_options(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Options checked and converted to their types (texts come from the command line).

        Raises:
            ConfigurationError: unknown option, or a value that does not fit.
        """
        values: dict[str, Any] = {}
        for name, value in given.items():
            if name not in self.options:
                raise UnknownNameError(f"option of strategy {self.name!r}", name, self.options)
            type_, _ = self.options[name]
            meant = None if value == "None" and _takes_none(type_) else value  # as defaults are shown
            try:
                values[name] = _adapter(self.function, name, type_).validate_python(meant)
            except ConfigurationError as error:
                message = f"Option {name} of strategy {self.name!r}: {error.message}"
                raise ConfigurationError(message, hint=error.hint) from error
            except ValidationError as error:
                raise ConfigurationError(
                    f"Option {name} of strategy {self.name!r} is {value!r}: {error.errors()[0]['msg']}."
                ) from error
            except PydanticUserError as error:
                raise ConfigurationError(
                    f"Option {name} of strategy {self.name!r} has a type that values cannot be checked "
                    f"against: {type_!r}.",
                    hint="Annotate it with a type that pydantic knows, or with Any.",
                ) from error
        return values


_adapters: dict[tuple[Function, str], tuple[Any, TypeAdapter[Any]]] = {}
_MAX_ADAPTERS = 256


def _adapter(function: Function, option: str, type_: Any) -> TypeAdapter[Any]:
    """The check of an option, made once: that takes a millisecond."""
    adapter = _adapters.get((function, option))
    if adapter is None or adapter[0] is not type_:
        if len(_adapters) >= _MAX_ADAPTERS:
            _adapters.pop(next(iter(_adapters)))
        adapter = _adapters[function, option] = (type_, TypeAdapter(type_))
    return adapter[1]


def strategy(
    name: str,
    *,
    source: str = "",
    needs: tuple[str, ...] = (),
    clash: Clash | None = None,
    reads_documents: bool = False,
) -> Callable[[F], F]:
    """Make a strategy of ``async def (run, task, *, option=default) -> Answer`` and register it.

    Args:
        name: what users type.
        source: the paper or page the method comes from.
        needs: capabilities that the thread model must have (fields of `Capabilities`). What only an option
            needs stands in the option's type: `weaver.options.Needs`.
        clash: given all options, why they do not go together; "" when they do.
        reads_documents: it reads ``task.documents`` itself, piece by piece.
    """

    def register(function: F) -> F:
        described_strategy = described(function, name, source=source, needs=needs)
        _registered[name] = replace(described_strategy, clash=clash, reads_documents=reads_documents)
        return function

    return register


def described(function: Function, name: str, *, source: str = "", needs: tuple[str, ...] = ()) -> Strategy:
    """A `Strategy` of a plain function: its options are its keyword-only parameters.

    Raises:
        ConfigurationError: an option's type cannot be found.
    """
    options = {
        p.name: (_type_of(p, function, name), p.default)
        for p in inspect.signature(function).parameters.values()
        if p.kind is p.KEYWORD_ONLY
    }
    summary = (inspect.getdoc(function) or "").partition("\n")[0]
    return Strategy(name, function, summary, source, needs, options)


def _type_of(option: inspect.Parameter, function: Function, strategy: str) -> Any:
    """The type of one option. The others' are left alone: `Run` may be imported for type checkers only."""
    if option.annotation is option.empty:
        return Any
    if not isinstance(option.annotation, str):
        return option.annotation
    try:
        return eval(option.annotation, getattr(inspect.unwrap(function), "__globals__", {}))
    except Exception as error:
        raise ConfigurationError(
            f"The type of option {option.name} of strategy {strategy!r} cannot be found: {error}.",
            hint="Import what it names also when the program runs, not for type checkers only.",
        ) from error


def _is_partial(value: object) -> TypeIs[partial[Any]]:
    return isinstance(value, partial)


def find(given: str | Function) -> tuple[Strategy, dict[str, Any]]:
    """The strategy and options of ``"name"``, ``"name:key=value,..."``, a function, or a `partial` of one.

    ``"path/to/file.py:name"`` is known once `load_file` has loaded it; it is never loaded from here, because
    a name may come from a settings file or over the network.

    Raises:
        UnknownNameError: no strategy of that name.
        ConfigurationError: an option is wrong, or a plugin cannot be loaded.
    """
    if _is_partial(given) and not given.args:
        inner, _ = find(given.func)
        options = inner.parsed_options(given.keywords)
        inner.check_together(options)
        return inner, options
    if not isinstance(given, str):
        return _known(given) or described(given, getattr(given, "__name__", "strategy")), {}
    if (match := IN_FILE.fullmatch(given)) is not None:
        name, text = _name_in_file(match), match["rest"] or ""
    else:
        name, _, text = given.partition(":")
    inner = load(name)
    texts: dict[str, str] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        key, equals, value = part.partition("=")
        if not equals:
            raise ConfigurationError(
                f"{part!r} in strategy {given!r} is no option.", hint="Write NAME:key=value,key=value."
            )
        texts[key.strip()] = value.strip()
    options = inner.parsed_options(texts)
    inner.check_together(options)
    return inner, options


def load(name: str) -> Strategy:
    """The strategy of that name.

    Raises:
        UnknownNameError, ConfigurationError: as `find`.
    """
    if name not in _registered and (point := _entry_points().get(name)) is not None:
        with plugins.code_of(point, "strategy", "cannot be loaded"):
            loaded: Any = point.load()
            if name not in _registered:
                if isinstance(loaded, Strategy):
                    _registered[name] = replace(loaded, name=name)
                else:
                    described_strategy = _known(loaded) or described(_method(loaded, "it"), name)
                    _registered[name] = replace(described_strategy, name=name)
    if name not in _registered:
        hint = FILES_HINT if is_file(name) else ""
        raise UnknownNameError("strategy", name, names(), hint=hint)
    return _registered[name]


def load_file(given: str) -> Strategy:
    """Run a Python file and register its strategy under the name ``given`` (without options).

    Call this only with what the user has typed: it runs the file's code.

    Args:
        given: ``path/to/file.py:name``, options may follow; without a name the file's only strategy is meant.

    Raises:
        ConfigurationError: the file cannot be run, or what is named is no strategy.
        UnknownNameError: the file has nothing of that name.
    """
    match = IN_FILE.fullmatch(given)
    if match is None:
        raise ConfigurationError(f"{given!r} names no Python file.", hint="Write path/to/file.py:name.")
    module = module_of(Path(match["path"]))
    own = [s for s in _registered.values() if s.function.__module__ == module.__name__]
    if match["name"]:
        function = member(module, match["name"])
    elif len({id(s.function) for s in own}) == 1:
        function = own[0].function
    else:
        raise ConfigurationError(
            f"{match['path']} has {len(own)} strategies.", hint="Name one: path/to/file.py:name."
        )
    _method(function, f"{match['name']} in {match['path']}")
    own_strategy = next((s for s in own if s.function is function), None)
    name = _name_in_file(match)
    _registered[name] = registered = (
        replace(own_strategy, name=name) if own_strategy is not None else described(function, name)
    )
    return registered


def is_file(given: str) -> bool:
    """Return True if a strategy's name means a Python file."""
    return IN_FILE.fullmatch(given) is not None


def _method(found: Function, where: str) -> Function:
    """Return what stands ``where``, if it can be a strategy."""
    if not inspect.iscoroutinefunction(found):
        raise ConfigurationError(
            f"{where} is no strategy, but {_kind(found)}.",
            hint="Write async def name(run, task, *, option=default) -> Answer.",
        )
    return found


def _kind(found: Any) -> str:
    if inspect.isfunction(found):
        return "a function that is not async"
    return "a class" if inspect.isclass(found) else f"of type {type(found).__name__}"


def _takes_none(kind: Any) -> bool:
    if get_origin(kind) is Annotated:
        kind = kind.__origin__
    return type(None) in get_args(kind)


def _known(function: Function) -> Strategy | None:
    return next((s for s in _registered.values() if s.function is function), None)


def _name_in_file(match: re.Match[str]) -> str:
    return f"{match['path']}:{match['name']}" if match["name"] else match["path"]


def names() -> list[str]:
    """Names of all strategies that can be found."""
    return sorted({*_registered, *_entry_points()})


def _entry_points() -> dict[str, EntryPoint]:
    return plugins.installed(GROUP)
