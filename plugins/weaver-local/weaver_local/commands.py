"""``weaver local``: fetch, list, remove and serve small models on this machine."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from weaver.errors import ConfigurationError, DownloadError, ModelConnectionError

if TYPE_CHECKING:
    from weaver_local.manifest import Entry


@click.group()
def local() -> None:
    """Small models on this machine: no key, no server to start.

    The default model is there to try the machinery; it follows simple instructions and is often wrong.
    """


@local.command()
@click.argument("name", required=False)
def pull(name: str | None) -> None:
    """Fetch a model, or go on with a download that broke off. NAME: as `weaver local list` shows it."""
    from weaver_local.fetch import fetch, is_there
    from weaver_local.report import report

    entry, folder = _entry(name)
    if is_there(entry, folder):
        click.echo(f"{entry.name} is already there: {folder / entry.file}")
        return
    click.echo(f"{entry.name}: {entry.megabytes}, licence {entry.licence}. {entry.about}", err=True)
    try:
        with report(entry.name, entry.size) as progress:
            path = fetch(entry, folder, progress)
    except KeyboardInterrupt:
        click.echo("What was fetched is kept; the same command goes on from there.", err=True)
        raise
    click.echo(f"{entry.name} is ready: {path}")


@local.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_models(as_json: bool) -> None:
    """List the models that can be used as local/NAME."""
    from weaver_local.source import models_folder, source

    offers = source.offers(os.environ)
    if as_json:
        rows: list[dict[str, Any]] = [dataclasses.asdict(offer) for offer in offers]
        click.echo(json.dumps({"folder": str(models_folder()), "models": rows}, indent=2))
        return
    width = max((len(offer.name) for offer in offers), default=0)
    for offer in offers:
        click.echo(f"{offer.name:{width}}  {offer.note}")
    click.echo(f"Models are kept in {models_folder()}", err=True)


@local.command()
@click.argument("name")
def rm(name: str) -> None:
    """Delete a model's file and what is left of unfinished downloads of it."""
    from weaver_local.fetch import remove
    from weaver_local.source import models_folder

    folder = models_folder()
    name = name.removeprefix("local/")
    own = folder / f"{name}.gguf"
    file = own.name if Path(name).name == name and own.is_file() else _entry(name)[0].file
    try:
        freed = remove(file, folder)
    except OSError as error:
        raise DownloadError(f"{folder / file} cannot be deleted: {error.strerror or error}.") from None
    click.echo(f"{name}: {freed / 1e6:,.0f} MB freed." if freed else f"{name} was not there.")


@local.command()
@click.argument("model", required=False, metavar="[NAME|FILE.gguf]")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="0: any free one."
)
@click.option("--slots", type=click.IntRange(1, 256), help="Requests worked on at once. Default: 4.")
@click.option("--context", type=click.IntRange(256, 1 << 20), help="Tokens that each slot has.")
@click.option(
    "--api-key",
    envvar="WEAVER_LOCAL_API_KEY",
    metavar="KEY",
    help="Key that requests must carry; better given as WEAVER_LOCAL_API_KEY. Default: none.",
)
@click.option("-y", "--yes", is_flag=True, help="Agree to download the model without being asked.")
def serve(
    model: str | None,
    *,
    host: str,
    port: int,
    slots: int | None,
    context: int | None,
    api_key: str | None,
    yes: bool,
) -> int:
    """Serve a model over the OpenAI protocol until Ctrl-C."""
    from weaver.models import Endpoint, Opening
    from weaver_local.engine import Options, alive, start, stop_all
    from weaver_local.fetch import fetch, is_there
    from weaver_local.report import report
    from weaver_local.source import ask, find

    if not Endpoint("", host).loopback and not api_key:
        raise ConfigurationError(
            f"--host {host} can be reached from other machines, and there is no key.",
            hint="Set WEAVER_LOCAL_API_KEY, or keep to 127.0.0.1.",
        )
    entry, path = find((model or "").removeprefix("local/"), os.environ)
    if entry is not None and not is_there(entry, path.parent):
        ask(entry, path.parent, Opening(os.environ, _confirm(yes=yes)))
        with report(entry.name, entry.size) as progress:
            fetch(entry, path.parent, progress)
    options = Options.from_environment(os.environ, entry.context if entry else None)
    options = dataclasses.replace(
        options,
        host=host,
        port=port,
        key=api_key or "",
        slots=slots or options.slots,
        context=context or options.context,
    )
    _check_free(host, port)
    stop = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, end)
    try:
        click.echo(f"Loading {path.name} ...", err=True)
        running = start(path, options).result()
        click.echo(
            f"{path.name} is served at {running.url} with {running.slots} slots of "
            f"{running.context:,} tokens. Ctrl-C ends it."
        )
        click.echo(f"  weaver run --base-url {running.url} {_key_hint(api_key)}QUESTION", err=True)
        while not stop.wait(0.5):
            if not alive(path, options):
                raise ModelConnectionError(f"The server for {path.name} ended unexpectedly.", model=path.name)
    except KeyboardInterrupt:
        click.echo("Stopped.", err=True)
    finally:
        stop_all()
    return 0


def _confirm(*, yes: bool) -> Callable[[str], bool] | None:
    if yes:
        return lambda _: True
    asks = sys.stdin.isatty() and sys.stderr.isatty()
    return (lambda question: click.confirm(question, default=True, err=True)) if asks else None


def _key_hint(api_key: str | None) -> str:
    return "(with OPENAI_API_KEY set to the key) " if api_key else ""


def _check_free(host: str, port: int) -> None:
    """llama.cpp would only say that it failed."""
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        if os.name != "nt":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigurationError(
                f"Cannot listen on {host}, port {port}: {error.strerror or error}.",
                hint="Give another --port; 0 takes any free one.",
            ) from None


def _entry(name: str | None) -> tuple[Entry, Path]:
    from weaver.options import home
    from weaver_local.manifest import entries
    from weaver_local.source import models_folder, unknown

    known = entries(home())
    folder = models_folder()
    wanted = (name or known[0].name).removeprefix("local/")
    for entry in known:
        if wanted.lower() in {entry.name.lower(), entry.file.lower()}:
            return entry, folder
    raise unknown(wanted, known, folder)
