"""The MCP servers that a workflow names: their tools, and whether the user agrees to start them."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Collection, Iterator, MutableMapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from weaver._workflows.execution.preparation.environment import resolved
from weaver.errors import ConfigurationError

if TYPE_CHECKING:
    from weaver._workflows.format.definition import Definition
    from weaver._workflows.schema.components import Server

_connected: MutableMapping[Any, dict[str, Any]] = WeakKeyDictionary()
"""Servers by event loop and by what is written about them: many runs share one connection."""


def toolset(name: str, server: Server) -> Any:
    """The tools of a server, connected to when they are first needed.

    Raises:
        ConfigurationError: the extra is not installed, or an environment variable is not set.
    """
    from weaver._tools.mcp import mcp

    try:
        servers = _connected.setdefault(asyncio.get_running_loop(), {})
    except RuntimeError:  # no run: a plan is drawn
        servers = {}
    key = f"{name} {server.model_dump_json()}"
    if key not in servers:
        servers[key] = mcp(
            None if server.url is None else resolved(server.url),
            command=[resolved(part) for part in server.command] or None,
            env={variable: resolved(value) for variable, value in server.env.items()},
            headers={header: resolved(value) for header, value in server.headers.items()},
            allow=server.allow or None,
            prefix=server.prefix,
            approve=server.approve,
            timeout=server.timeout,
        )
    return servers[key]


def check_consent(workflow: Definition, names: Collection[str]) -> None:
    """Refuse to start programs that only the file asks for: it may come from anywhere.

    Args:
        names: servers that the user has named.

    Raises:
        ConfigurationError: naming the first program that nobody agreed to.
    """
    for name, server in _servers(workflow):
        if server.command and name not in names:
            raise ConfigurationError(
                f"Workflow {workflow.name}: the MCP server {name!r} would start a program: "
                f"{shlex.join(server.command)}.",
                hint=f"If you trust the file, name the server: --mcp {name}, or mcp=[{name!r}] in Python.",
            )


def server_names(workflow: Definition) -> set[str]:
    """Names of all servers of a workflow and of those that it uses."""
    return {name for name, _ in _servers(workflow)}


def _servers(workflow: Definition) -> Iterator[tuple[str, Server]]:
    yield from workflow.mcp.items()
    for step in workflow.compiled.steps.values():
        if step.action.workflow is not None:
            yield from _servers(step.action.workflow)
