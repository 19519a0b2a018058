"""``weaver serve``."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from weaver._cli.support.facade import weaver_from
from weaver._cli.support.flags import settings_flags, settings_from
from weaver._cli.support.guard import debug_option
from weaver._cli.support.interrupt import run_async
from weaver._cli.support.telemetry import telemetry

if TYPE_CHECKING:
    from weaver._serving.service import Service

GET_SERVE = 'pip install "weaver-reasoning[serve]"'


@click.command()
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port; 0 takes a free one.  [default: 8320]")
@click.option(
    "--workflow",
    "workflows",
    multiple=True,
    metavar="FILE",
    help="Serve a workflow as the model workflow/NAME. May be repeated.",
)
@click.option(
    "--progress",
    type=click.Choice(["off", "titles", "full"]),
    help="How much of a run is streamed as reasoning.  [default: titles]",
)
@click.option(
    "--print-config",
    metavar="CLIENT",
    help="Print the configuration of a client and exit: open-webui, librechat, continue, aider, openai, "
    "litellm, langchain, vercel, claude.",
)
@settings_flags
@click.option("-y", "--yes", is_flag=True, help="Agree to download the embedded model without being asked.")
@debug_option
def serve(
    host: str | None,
    port: int | None,
    workflows: tuple[str, ...],
    progress: str | None,
    print_config: str | None,
    yes: bool,
    **options: Any,
) -> int:
    """Serve every strategy and workflow to programs that speak OpenAI's protocol.

    Chat Completions and Responses are under http://HOST:PORT/v1, and every strategy is a model there
    (weaver/adaptive, weaver/direct, ...). Deadline and budgets given here hold for every request; a request
    can only tighten them. Keys come from WEAVER_SERVE_KEYS, the rest from the table [serve] of weaver.toml.
    """
    from weaver.errors import ConfigurationError

    if find_spec("starlette") is None or find_spec("uvicorn") is None:
        raise ConfigurationError("weaver serve needs the extra 'serve'.", hint=f"Get it with: {GET_SERVE}")
    from weaver._serving.client_config import client_config
    from weaver._serving.config import ServeConfig
    from weaver._serving.keys import VARIABLE, keys_from

    config = ServeConfig.load(
        host=host,
        port=port,
        progress=progress,
        workflows=tuple(str(Path(file).absolute()) for file in workflows) or None,
    )
    if print_config is not None:
        has_keys = bool(keys_from(os.environ.get(VARIABLE, "")))
        click.echo(client_config(print_config, config, has_keys=has_keys), nl=False)
        return 0
    from weaver._serving.server import serve as serve_http

    settings = settings_from(options)

    def ready(url: str, service: Service) -> None:
        names = [offer.id for offer in service.offers.all]
        who = (
            f"{len(service.clients.all)} keys" if service.clients.need_keys else "no keys: this machine only"
        )
        click.echo(f"Serving {len(names)} models at {url} ({who})", err=True)
        click.echo(f"  {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}", err=True)

    async def until_stopped() -> None:
        await serve_http(weaver_from(settings, yes=yes), config, on_ready=ready)

    with telemetry():
        run_async(until_stopped)
    return 0
