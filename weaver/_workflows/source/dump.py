"""A workflow as YAML that people would have written: short forms, blocks for long texts, keys in order."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from weaver._json_reading.json_types import JsonLike
from weaver._workflows.source.tree import plain_value

if TYPE_CHECKING:
    from weaver._workflows.format.definition import Definition

_WIDTH = 110
_FOLDED = re.compile("[\x85\u2028\u2029]")
"""Line breaks of YAML 1.1: outside of escapes they are read as something else."""


def dump(workflow: Definition) -> str:
    """YAML that reads back as an equal workflow."""
    data = workflow.model_dump(mode="python", exclude_unset=True, by_alias=True)
    return dump_data(data)


def dump_data(data: Any) -> str:
    """Plain data as YAML 1.2 that YAML 1.1 readers understand too."""
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
            return True

        def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
            super().increase_indent(flow, indentless=False)

    def text(dumper: Any, value: str) -> Any:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=_style(value))

    Dumper.add_representer(str, text)
    return str(
        yaml.dump(
            _plain(data),
            Dumper=Dumper,
            sort_keys=False,
            allow_unicode=True,
            width=_WIDTH,
            default_flow_style=False,
        )
    )


def _style(text: str) -> str | None:
    """Return how a text must be written so that it is read as the same text; None: PyYAML may choose."""
    if "\n" in text and text.strip() and all(_fits_block(line) for line in text.split("\n")):
        return "|"
    if _FOLDED.search(text):
        return '"'
    return None if isinstance(plain_value(text), str) else "'"


def _fits_block(line: str) -> bool:
    return line.isprintable() and line == line.rstrip()


def _plain(value: JsonLike) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
