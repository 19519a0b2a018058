"""``weaver schema``."""

from __future__ import annotations

import click

from weaver._cli.support.guard import debug_option


@click.command()
@debug_option
def schema() -> None:
    """Print the JSON Schema of workflow files, for editors."""
    from weaver._workflows.format.extension import add_installed, installed_keys
    from weaver._workflows.format.json_schema import schema_text

    add_installed(installed_keys())
    click.echo(schema_text(), nl=False)
