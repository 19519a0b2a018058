"""``weaver models``."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import click

from weaver._cli.support.guard import debug_option, tell_error
from weaver._cli.support.interrupt import run_async
from weaver._display.words import printable
from weaver._environment import plugins
from weaver._models.catalog import detect, registry, resolve
from weaver._models.endpoint import endpoint
from weaver._models.providers import BY_PREFIX, LITELLM_PREFIXES, Provider
from weaver.errors import ConfigurationError, UnknownNameError


@dataclass(frozen=True, slots=True)
class Usable:
    """A model that could be used now.

    Args:
        source: where it comes from: a variable, a server, a distribution.
        name: what to type after ``--model``.
        base_url: what to type after ``--base-url``, or ``""`` when it is not needed.
        note: one line about it.
    """

    source: str
    name: str
    base_url: str = ""
    note: str = ""


@click.command()
@click.argument("place", required=False, metavar="[PROVIDER|URL]")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@debug_option
def models(place: str | None, as_json: bool) -> int:
    """List the models that can be used here, source by source.

    With a PROVIDER (openai, groq, ollama, ...) or the URL of a server: ask that one for all its models.
    """
    if place is None:
        usable_models = run_async(lambda: usable(os.environ))
    else:
        usable_models = run_async(lambda: listed_at(place, os.environ))
    if as_json:
        click.echo(json.dumps([asdict(model) for model in usable_models], indent=2))
    elif usable_models:
        click.echo(drawn(usable_models))
    else:
        click.echo("No model can be used yet. `weaver doctor` says how to get one.", err=True)
    return 0 if usable_models else 1


async def usable(environ: Mapping[str, str]) -> list[Usable]:
    """All models that can be used without further ado, by source.

    Raises:
        ConfigurationError: a variable that says where to look is wrong.
    """
    choices = [
        Usable(key.variable, key.model or "", note="and every other model of this provider")
        for key in detect.keys(environ)
        if not key.needs_litellm or resolve.litellm_installed()
    ]
    for server in await detect.servers(environ):
        provider = BY_PREFIX.get(server.prefix)
        usual = provider is not None and _same_place(server.url, provider.url)
        choices += [
            Usable(
                f"{server.kind} at {server.url}",
                f"{server.prefix if usual else 'openai'}/{model}",
                "" if usual else server.url,
            )
            for model in server.models
        ]
    for prefix, point in registry.installed().items():
        try:
            offers = registry.offers(prefix, environ)
        except ConfigurationError as error:  # the others can be used all the same
            tell_error(error)
            continue
        choices += [Usable(plugins.owner(point), offer.name, note=offer.note) for offer in offers]
    return choices


async def listed_at(place: str, environ: Mapping[str, str]) -> list[Usable]:
    """All models that one provider or server lists.

    Args:
        place: a provider's prefix or a base URL.
        environ: for the provider's key and base URL.

    Raises:
        UnknownNameError: no such provider.
        ConfigurationError: the provider has no list, or its key is missing.
        ModelError: it cannot be asked.
    """
    if "://" in place:
        at = endpoint(place, place="URL")
        key = BY_PREFIX["openai"].key(environ)
        listed = await detect.list_models(at, api_key=key)
        return [Usable(at.url, f"openai/{item.id}", at.url) for item in listed]
    prefix = place.removesuffix("/")
    if prefix in registry.installed():
        offers = registry.offers(prefix, environ)
        return [Usable(prefix, offer.name, note=offer.note) for offer in offers]
    provider = BY_PREFIX.get(prefix)
    if provider is None:
        if prefix in LITELLM_PREFIXES:
            raise ConfigurationError(
                f"{prefix} is reached through litellm, which does not list its models.",
                hint="See the provider's documentation, and write --model " + prefix + "/MODEL.",
            )
        raise UnknownNameError("model provider", prefix, [*BY_PREFIX, *registry.installed()])
    at = resolve.endpoint_of(provider, environ)
    listed = await detect.list_models(at, api_key=_key(provider, environ), model=prefix)
    ids = [item.id.removeprefix("models/") if prefix == "gemini" else item.id for item in listed]
    return [Usable(f"{prefix} at {at.url}", f"{prefix}/{model}") for model in sorted(ids)]


def drawn(found: list[Usable]) -> str:
    """The list for people."""
    lines: list[str] = []
    source = ""
    for model in found:
        if model.source != source:
            source = model.source
            lines += ["", click.style(printable(source), bold=True)]
        command = f"--base-url {model.base_url} " if model.base_url else ""
        note = f"  ({printable(model.note)})" if model.note else ""
        lines.append(f"  {command}--model {printable(model.name)}{note}")
    return "\n".join(lines[1:])


def _key(provider: Provider, environ: Mapping[str, str]) -> str | None:
    key = provider.key(environ)
    if key is None and provider.hosted and provider.base(environ) is None:
        raise ConfigurationError(
            f"{provider.prefix} needs a key, and {provider.keys[0]} is not set.",
            hint=f"Set it: export {provider.keys[0]}=...",
        )
    return key


def _same_place(url: str, other: str) -> bool:
    return url.replace("127.0.0.1", "localhost") == other.replace("127.0.0.1", "localhost")
