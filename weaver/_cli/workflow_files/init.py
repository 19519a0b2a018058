"""``weaver init``."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click

from weaver._cli.support.guard import debug_option
from weaver.errors import ConfigurationError

SCHEMA_FILE = "weaver-v1.schema.json"


@click.command()
@click.argument("file", default="workflow.yaml", metavar="[FILE.yaml]")
@click.option("--force", is_flag=True, help="Replace a file that is there already.")
@click.option(
    "--schema", metavar="PATH|URL", help="Use this schema in the editor instead of writing one beside it."
)
@debug_option
def init(file: str, force: bool, schema: str | None) -> None:
    """Write a commented workflow to start from, and the schema that editors complete it with."""
    from weaver._workflows.format.json_schema import schema_text
    from weaver._workflows.source.starter import starter

    path = Path(file)
    if path.suffix.lower() not in {".yaml", ".yml"}:
        raise ConfigurationError(f"{path} is no .yaml file.", hint="For example: weaver init brief.yaml")
    if path.exists() and not force:
        raise ConfigurationError(f"{path} is there already.", hint="Choose another name, or use --force.")
    beside = path.with_name(SCHEMA_FILE)
    if schema is None and not force and _other(beside):
        raise ConfigurationError(
            f"{beside} is there already, and it is another schema.",
            hint="Replace it with --force, or name the one to use with --schema.",
        )
    quoted_path = shlex.quote(str(path))
    name = re.sub(r"[^A-Za-z0-9-]+", "-", path.stem).strip("-") or "workflow"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if schema is None:
            beside.write_text(schema_text(), encoding="utf-8")
        path.write_text(starter(name, quoted_path, schema or f"./{SCHEMA_FILE}"), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror or error}.") from None
    click.echo(f"{path} is written. Next:")
    for command in ("validate", "plan", "test"):
        click.echo(f"  weaver {command} {quoted_path}")
    click.echo(f'  weaver run {quoted_path} -i topic="green tea"')


def _other(schema: Path) -> bool:
    """Return True if there is a file that is not the schema that would be written."""
    from weaver._workflows.format.json_schema import schema_text

    try:
        return schema.read_bytes() != schema_text().encode()
    except FileNotFoundError:
        return False
    except OSError:
        return True
