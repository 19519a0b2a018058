"""``weaver version``."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of

import click

from weaver import __version__

_PARTS = (
    "aiohttp",
    "pydantic",
    "opentelemetry-sdk",
    "litellm",
    "uvloop",
    "xllamacpp",
    "weaver-reasoning-local",
)


@click.command()
def version() -> None:
    """Show the versions of weaver and what it runs on."""
    click.echo(f"weaver {__version__}")
    click.echo(f"python {platform.python_version()} ({sys.platform}, {platform.machine()})")
    for part in _PARTS:
        try:
            click.echo(f"{part} {version_of(part)}")
        except PackageNotFoundError:
            continue
