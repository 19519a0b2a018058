"""``weaver mcp``."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import click

from weaver._cli.support.facade import weaver_from
from weaver._cli.support.flags import settings_flags, settings_from
from weaver._cli.support.guard import debug_option
from weaver._cli.support.telemetry import telemetry


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), help="Serve Streamable HTTP at /mcp instead of stdin.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address for --port.")
@settings_flags
@click.option("-y", "--yes", is_flag=True, help="Agree to download the embedded model without being asked.")
@debug_option
def mcp(port: int | None, host: str, yes: bool, **options: Any) -> int:
    """Serve `run`, `plan` and `compare` to MCP clients (chat programs, editors, other agents).

    Over stdin and stdout, or with --port over HTTP on this machine. Deadline and budgets given here hold for
    every request; a request can only tighten them.
    """
    from weaver._tools.mcp import GET_MCP
    from weaver.errors import ConfigurationError

    if find_spec("mcp") is None:
        raise ConfigurationError("weaver mcp needs the extra 'mcp'.", hint=f"Get it with: {GET_MCP}")
    import anyio

    from weaver._serving.mcp_server import mcp_server

    settings = settings_from(options)

    async def serve() -> None:
        async with weaver_from(settings, yes=yes) as weaver:
            server = mcp_server(weaver)
            if port is None:
                await server.run_stdio_async()
            else:
                click.echo(f"MCP at http://{host}:{port}/mcp", err=True)
                await server.run_streamable_http_async(host=host, port=port)

    with telemetry():
        anyio.run(serve)
    return 0
