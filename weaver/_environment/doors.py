"""Public modules that only re-export: each name is loaded from its private module on first use."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def door(public: str, modules: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` for a module that re-exports names.

    Args:
        public: the module's own name.
        modules: for each public name the private module that has it, without the leading ``weaver.``;
            a module of the same name is re-exported itself.
    """

    def load(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {public!r} has no attribute {name!r}")
        module = import_module(f"weaver.{modules[name]}")
        value = (
            module
            if modules[name].endswith(f".{name}") and not hasattr(module, name)
            else getattr(module, name)
        )
        vars(import_module(public))[name] = value
        return value

    return load, lambda: sorted(modules)
