"""``weaver ui``."""

from __future__ import annotations

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
    from weaver._serving.ui.app import Desk

GET_SERVE = 'pip install "weaver-reasoning[serve]"'


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), help="Port; 0 takes a free one.  [default: 8321]")
@click.option(
    "--workflow", "workflows", multiple=True, metavar="FILE", help="Offer a workflow. May be repeated."
)
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@click.option("--new-address", is_flag=True, help="Make another secret; the old address ends to work.")
@settings_flags
@click.option("-y", "--yes", is_flag=True, help="Agree to download the embedded model without being asked.")
@debug_option
def ui(
    port: int | None,
    workflows: tuple[str, ...],
    no_browser: bool,
    new_address: bool,
    yes: bool,
    **options: Any,
) -> int:
    """Ask questions and look at runs in the browser.

    The page is served on this machine only, at an address with a secret in it. Settings given here are those
    of every run that is started there. Workflows are also those of the table [serve] of weaver.toml.
    """
    from weaver.errors import ConfigurationError

    if find_spec("starlette") is None or find_spec("uvicorn") is None or find_spec("httptools") is None:
        raise ConfigurationError("weaver ui needs the extra 'serve'.", hint=f"Get it with: {GET_SERVE}")
    from weaver._environment.paths import home
    from weaver._serving.config import ServeConfig
    from weaver._serving.ui.secret import kept_secret
    from weaver._serving.ui.server import serve_page
    from weaver._strategies.common.registry import find
    from weaver._tracing.store.retention import store_wanted
    from weaver._tracing.store.sqlite import Store

    config = ServeConfig.load(workflows=tuple(str(Path(file).absolute()) for file in workflows) or None)
    settings = settings_from(options)
    find(settings.strategy)  # a misspelt name is an error here, and not at the first question
    secret = kept_secret(home(), fresh=new_address)

    def ready(address: str, desk: Desk) -> None:
        click.echo(f"weaver ui: {address}", err=True)
        if desk.problem:
            click.echo(f"  No model yet: {desk.problem}", err=True)
        if not no_browser:
            import webbrowser

            webbrowser.open(address)

    with telemetry() as session:
        keeps = store_wanted() and session.store is not None
        store = Store() if keeps else None
        try:
            run_async(
                lambda: serve_page(
                    weaver_from(settings, yes=yes),
                    config,
                    secret=secret,
                    store=store,
                    port=port,
                    flush=lambda: session.flush(5.0),
                    on_ready=ready,
                )
            )
        finally:
            if store is not None:
                store.close()
    return 0
