"""Functions in Python files that a user names: ``path/to/file.py:name``."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from weaver.errors import ConfigurationError, UnknownNameError

IN_FILE = re.compile(
    r"(?P<path>(?:[A-Za-z]:[\\/])?[^:]*\.py)(?::(?P<name>\w+))?(?::(?P<rest>.*))?", re.DOTALL
)
"""``path/to/file.py``, ``path/to/file.py:name`` and ``path/to/file.py:name:key=value,...``."""
IN_OPTION = re.compile(r"=\s*(python:[^,]*\.py:\w+)\s*(?=,|$)")
"""A function as the value of an option: ``verifier=python:path/to/file.py:name``."""
_loaded: dict[Path, tuple[int, ModuleType]] = {}
_functions: dict[str, Callable[..., Any]] = {}


def load_functions(given: str) -> None:
    """Run the Python files that the options of a strategy name (``python:path/to/file.py:name``).

    Call this only with what the user has typed: it runs the files' code.

    Raises:
        ConfigurationError: a file cannot be run, or what is named is no function.
        UnknownNameError: a file has nothing of that name.
    """
    for text in IN_OPTION.findall(given):
        path, _, name = text.removeprefix("python:").rpartition(":")
        _functions[text] = member(module_of(Path(path)), name)


def loaded(value: Any) -> Any:
    """The function that `load_functions` has loaded under the text ``value``; any other value as it is.

    Never loads anything: the text may come from a settings file or over the network.

    Raises:
        ConfigurationError: it names a function that was not loaded.
    """
    if not isinstance(value, str) or not value.startswith("python:"):
        return value
    if value not in _functions:
        raise ConfigurationError(
            f"{value} is not loaded.",
            hint="Its code runs only if --strategy on the command line names it, as python:file.py:name. "
            "In Python, pass the function itself.",
        )
    return _functions[value]


def member(module: ModuleType, name: str) -> Callable[..., Any]:
    """The function ``name`` of a module.

    Raises:
        UnknownNameError: the module has no such name.
        ConfigurationError: it is no function.
    """
    if not hasattr(module, name):
        own = [n for n, v in vars(module).items() if getattr(v, "__module__", None) == module.__name__]
        raise UnknownNameError(f"function in {module.__file__ or module.__name__}", name, own)
    value = getattr(module, name)
    if not callable(value):
        raise ConfigurationError(f"{name} of {module.__file__ or module.__name__} is not a function.")
    return value  # type: ignore[no-any-return]


def module_of(path: Path) -> ModuleType:
    """The module in a file; run again only if the file has changed since.

    Raises:
        ConfigurationError: there is no such file, or its code raises.
    """
    path = path.expanduser().absolute()
    try:
        changed = path.stat().st_mtime_ns
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror or error}.") from None
    loaded = _loaded.get(path)
    if loaded is not None and loaded[0] == changed:
        return loaded[1]
    name = f"weaver_file_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"{path} is no Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise ConfigurationError(
            f"{path}{_line(error, path)} raised {type(error).__name__}: {error}."
        ) from error
    _loaded[path] = changed, module
    return module


def _line(error: BaseException, path: Path) -> str:
    """Return where in the file it happened, in words; "" when that is elsewhere."""
    number = error.lineno if isinstance(error, SyntaxError) else None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            number = trace.tb_lineno
        trace = trace.tb_next
    return "" if number is None else f" (line {number})"
