"""Tools of MCP servers, over the official SDK (extra ``mcp``): a subprocess, or a URL (Streamable HTTP)."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import anyio
from pydantic_core import from_json, to_json

from weaver._data.parts import AudioPart, FilePart, ImagePart, MediaPart, Part, TextPart, result_of
from weaver._environment.exception_groups import is_group
from weaver._json_reading.json_types import is_object
from weaver._models.protocol import ToolSpec
from weaver._tools.protocol import ApprovalRule, Context, Tool, ToolOptions
from weaver.errors import (
    ConfigurationError,
    InvalidTaskError,
    InvalidToolArgumentsError,
    ToolError,
    ToolServerError,
    WeaverError,
)

if TYPE_CHECKING:
    from mcp import Client, StdioServerParameters

GET_MCP = 'pip install "weaver-reasoning[mcp]"'
CONNECT_SECONDS = 30.0
MAX_TOOLS = 512
MAX_DESCRIPTION_CHARS = 8_000
MAX_SCHEMA_BYTES = 100_000
_MEDIA = {"image": ImagePart, "audio": AudioPart}
_NAME = re.compile(r"[^A-Za-z0-9_-]+")


def mcp(
    url: Any = None,
    *,
    command: Sequence[str] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
    headers: Mapping[str, str] | None = None,
    allow: Sequence[str] | None = None,
    prefix: str = "",
    approve: bool | ApprovalRule = False,
    trusted: bool = False,
    timeout: float | None = 60.0,
    connect_timeout: float = CONNECT_SECONDS,
) -> MCPServer:
    """The tools of an MCP server, for ``tools=[...]``.

    The server is started or connected to when a run first needs it, and closed with the `Weaver` (after a
    run without ``async with``). Give either ``url`` or ``command``.

    Args:
        url: of a Streamable HTTP endpoint, for example ``https://example.com/mcp``; or a server object of
            the SDK, which is used inside this process.
        command: program and arguments of a server that speaks over stdin and stdout.
        env: variables for the program, besides a small safe set (PATH, HOME, ...).
        cwd: its working directory.
        headers: sent to ``url``, for example an Authorization. Never logged.
        allow: names of the tools to offer, as the server has them; None offers all.
        prefix: put in front of each tool's name, for servers whose names clash.
        approve: whether a person must agree before each call (or a rule); see `weaver.tool`.
        trusted: nobody else can have written its results. Tools that the server does not mark as read-only
            count as tools with effects.
        timeout: seconds of one call; None leaves it to the thread's deadline.
        connect_timeout: seconds for starting, connecting and listing the tools.

    Raises:
        ConfigurationError: neither or both of ``url`` and ``command``, or the extra is not installed.
    """
    if (url is None) == (command is None):
        raise ConfigurationError("An MCP server needs either a url or a command.")
    if isinstance(url, str) and not url.startswith(("http://", "https://")):
        raise ConfigurationError(
            f"{url!r} is not the URL of an MCP server.", hint="Give http(s)://..., or command=[...]."
        )
    if command is not None and (isinstance(command, str) or not command):
        raise ConfigurationError(
            f"command must be a list of the program and its arguments, not {command!r}.",
            hint=f"For example command={str(command).split() or ['uvx', 'mcp-server-time']!r}.",
        )
    if find_spec("mcp") is None:
        raise ConfigurationError("MCP servers need the extra 'mcp'.", hint=f"Get it with: {GET_MCP}")
    return MCPServer(
        url=url,
        command=tuple(command or ()),
        env=dict(env or {}),
        cwd=cwd,
        headers=dict(headers or {}),
        allow=None if allow is None else tuple(allow),
        prefix=prefix,
        options=ToolOptions(timeout=timeout, approve=approve, trusted=trusted),
        connect_timeout=connect_timeout,
    )


class MCPServer:
    """A toolset: the tools of one MCP server. Made by `mcp`."""

    def __init__(
        self,
        *,
        url: Any,
        command: tuple[str, ...],
        env: dict[str, str],
        cwd: str | Path | None,
        headers: dict[str, str],
        allow: tuple[str, ...] | None,
        prefix: str,
        options: ToolOptions,
        connect_timeout: float,
    ) -> None:
        self.label = command[0] if url is None else url if isinstance(url, str) else url.name
        self._url = url
        self._command = command
        self._env = env
        self._cwd = cwd
        self._headers = headers
        self._allow = allow
        self._prefix = prefix
        self._options = options
        self._connect_timeout = connect_timeout
        logging.getLogger("mcp").addHandler(logging.NullHandler())  # else Python prints its tracebacks
        self._connections: dict[asyncio.AbstractEventLoop, _Connection] = {}

    def __repr__(self) -> str:
        return f"mcp({self.label!r})"

    async def tools(self) -> Sequence[Tool]:
        """Start or connect to the server if need be, and list its tools in its own order.

        Raises:
            ToolServerError: it cannot be started or reached, or does not speak MCP.
            ConfigurationError: ``allow`` names a tool that it does not have.
        """
        client = await self.client()
        listed: list[Any] = []
        cursor: str | None = None
        try:
            with anyio.fail_after(self._connect_timeout):
                while len(listed) < MAX_TOOLS:
                    page = await client.list_tools(cursor=cursor)
                    listed += page.tools
                    cursor = page.next_cursor
                    if not cursor:
                        break
        except Exception as error:
            raise self._failed("did not list its tools", error) from error
        if self._allow is not None:
            names = [tool.name for tool in listed]
            if missing := [name for name in self._allow if name not in names]:
                raise ConfigurationError(
                    f"The MCP server {self.label} has no tool {missing[0]!r}.",
                    hint=f"It has: {', '.join(names) or 'none'}.",
                )
            listed = [tool for tool in listed if tool.name in self._allow]
        return [self._tool(tool) for tool in listed[:MAX_TOOLS]]

    async def client(self) -> Client:
        """The open connection of this event loop.

        Raises:
            ToolServerError: it cannot be opened.
        """
        loop = asyncio.get_running_loop()
        connection = self._connections.get(loop)
        if connection is None or connection.ended:
            connection = self._connections[loop] = _Connection(self._open)
        try:
            with anyio.fail_after(self._connect_timeout):
                return await connection.client()
        except Exception as error:
            self._connections.pop(loop, None)
            await connection.aclose()
            raise self._failed("cannot be reached", error) from error

    def lost(self) -> None:
        """The connection is broken: the next call makes a new one."""
        if connection := self._connections.pop(asyncio.get_running_loop(), None):
            connection.stop()

    async def aclose(self) -> None:
        """Close the connection of this event loop; a subprocess ends. The object may be used again."""
        if connection := self._connections.pop(asyncio.get_running_loop(), None):
            await connection.aclose()

    def _open(self) -> Client:
        from mcp import Client, StdioServerParameters

        if self._url is None:
            program, *args = self._command
            parameters = StdioServerParameters(command=program, args=args, env=self._env, cwd=self._cwd)
            server: Any = _quiet(parameters)
        elif isinstance(self._url, str) and self._headers:
            import httpx2
            from mcp.client.streamable_http import streamable_http_client

            http = httpx2.AsyncClient(headers=self._headers, timeout=httpx2.Timeout(30.0, read=300.0))
            server = streamable_http_client(self._url, http_client=http)
        else:
            server = self._url
        return Client(server)

    def _tool(self, listed: Any) -> MCPTool:
        name = _NAME.sub("_", f"{self._prefix}{listed.name}")[:64]
        parameters: dict[str, Any] = dict(listed.input_schema or {"type": "object", "properties": {}})
        if len(to_json(parameters, fallback=str)) > MAX_SCHEMA_BYTES:
            raise ToolServerError(
                f"Tool {listed.name!r} of the MCP server {self.label} has a schema of more than "
                f"{MAX_SCHEMA_BYTES:,} bytes.",
                hint="Leave it out with allow=[...].",
            )
        read_only = bool(listed.annotations and listed.annotations.read_only_hint)
        options = self._options
        if not read_only:
            # A server's own word for its results is no reason to trust them: `trusted` stays the user's.
            options = ToolOptions(
                timeout=options.timeout, approve=options.approve, trusted=options.trusted, has_effects=True
            )
        spec = ToolSpec(name, (listed.description or listed.title or "")[:MAX_DESCRIPTION_CHARS], parameters)
        return MCPTool(self, listed.name, spec, options)

    def _failed(self, what: str, error: BaseException) -> WeaverError:
        if isinstance(error, WeaverError):
            return error
        if isinstance(error, TimeoutError):
            reason = f"no answer within {self._connect_timeout:g} s"
        else:
            reason = _words(error)
        return ToolServerError(
            f"The MCP server {self.label} {what}: {reason}.",
            hint="Check its command or URL; start it by hand to see what it prints.",
        )


class MCPTool:
    """One tool of an MCP server.

    Attributes:
        remote_name: the server's own name of it.
    """

    def __init__(self, server: MCPServer, remote_name: str, spec: ToolSpec, options: ToolOptions) -> None:
        self._server = server
        self.remote_name = remote_name
        self.spec = spec
        self.options = options

    def __repr__(self) -> str:
        return f"<tool {self.remote_name!r} of {self._server!r}>"

    async def call(self, arguments: str, context: Context[Any]) -> str:  # noqa: ARG002 - `Tool`
        """Call it on the server.

        Raises:
            ToolError: the arguments are not a JSON object, the server reports an error, or it is gone.
        """
        from mcp import MCPError

        try:
            values = from_json(arguments or "{}")
        except ValueError as error:
            raise InvalidToolArgumentsError(
                f"The arguments of tool {self.spec.name!r} are not valid JSON: {error}."
            ) from None
        if not is_object(values):
            raise InvalidToolArgumentsError(
                f"The arguments of tool {self.spec.name!r} must be a JSON object."
            )
        client = await self._server.client()
        try:
            result = await client.call_tool(self.remote_name, values)
        except MCPError as error:
            if error.code == _connection_closed():
                self._server.lost()
            raise ToolError(f"Tool {self.spec.name!r} failed: {_words(error)}.") from error
        except (OSError, RuntimeError, anyio.ClosedResourceError, anyio.BrokenResourceError) as error:
            self._server.lost()
            raise ToolError(f"Tool {self.spec.name!r} failed: {_words(error)}.") from error
        if result.is_error:
            raise ToolError(f"Tool {self.spec.name!r} failed: {_text_of(result)}")
        return _with_media(result) or _text_of(result)


@asynccontextmanager
async def _quiet(parameters: StdioServerParameters) -> AsyncGenerator[Any, None]:
    """A subprocess whose log does not run into the terminal that weaver's own progress is on."""
    from mcp import stdio_client

    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:  # noqa: ASYNC230 - never blocks
        async with stdio_client(parameters, errlog=nowhere) as streams:
            yield streams


class _Connection:
    """A client whose context is entered and left by one task, as its cancel scopes require."""

    def __init__(self, open_: Any) -> None:
        self._open = open_
        self._stop = asyncio.Event()
        self._ready: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self._task = asyncio.get_running_loop().create_task(self._serve(), name="weaver-mcp")

    @property
    def ended(self) -> bool:
        return self._task.done() or self._stop.is_set()

    async def client(self) -> Client:
        return await asyncio.shield(self._ready)

    def stop(self) -> None:
        self._stop.set()

    async def aclose(self) -> None:
        self._stop.set()
        if not self._ready.done():
            self._task.cancel()
        await asyncio.wait([self._task])

    async def _serve(self) -> None:
        try:
            async with self._open() as client:
                if not self._ready.done():
                    self._ready.set_result(client)
                await self._stop.wait()
        except BaseException as error:
            if not self._ready.done():
                self._ready.set_exception(
                    error if isinstance(error, Exception) else ConnectionError("closed")
                )
                self._ready.exception()  # seen, also when nobody waits any more
            if isinstance(error, asyncio.CancelledError) and not self._stop.is_set():
                raise


def _with_media(result: Any) -> str | None:
    """The result with its images, sound and files; None where it has none, or one that is damaged."""
    parts: list[Part] = []
    for item in result.content:
        kind = _MEDIA.get(item.type)
        try:
            if kind is not None and item.data:
                parts.append(kind(url=f"data:{item.mime_type};base64,{item.data}"))
            elif item.type == "resource" and (blob := getattr(item.resource, "blob", None)):
                media_type = item.resource.mime_type or "application/octet-stream"
                name = str(item.resource.uri).rpartition("/")[2]
                parts.append(FilePart(url=f"data:{media_type};base64,{blob}", name=name))
            else:
                parts.append(TextPart(_text_of(SimpleNamespace(content=[item], structured_content=None))))
        except InvalidTaskError:
            return None
    return result_of(parts) if any(isinstance(part, MediaPart) for part in parts) else None


def _text_of(result: Any) -> str:
    """Return what a model reads of a result: its texts, else its structured content; other parts by name."""
    parts: list[str] = []
    for part in result.content:
        if part.type == "text":
            parts.append(part.text)
        elif part.type == "resource" and (text := getattr(part.resource, "text", None)) is not None:
            parts.append(text)
        elif part.type == "resource_link":
            parts.append(f"[{part.uri}]")
        elif data := getattr(part, "data", ""):
            size = len(base64.b64decode(data, validate=False)) if len(data) < 2**26 else len(data)
            parts.append(f"[{part.type}, {getattr(part, 'mime_type', 'unknown type')}, {size:,} bytes]")
        else:
            parts.append(f"[{part.type}]")
    if not parts and result.structured_content is not None:
        return to_json(result.structured_content, fallback=str).decode()
    return "\n".join(parts)


def _words(error: BaseException) -> str:
    """The innermost reason of an error, also out of groups, in one short line."""
    while is_group(error):
        error = error.exceptions[0]
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:300].rstrip(".")


def _connection_closed() -> int:
    from mcp.types import CONNECTION_CLOSED

    return int(CONNECTION_CLOSED)
