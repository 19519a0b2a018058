"""``weaver doctor``."""

from __future__ import annotations

import json
import os
import platform
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Literal

import click

from weaver._cli.support.guard import debug_option
from weaver._cli.support.interrupt import run_async
from weaver._display.words import printable
from weaver._json_reading.json_types import is_array
from weaver._models.catalog import detect, registry, resolve
from weaver._models.endpoint import endpoint
from weaver._models.endpoint_memory import Fact, memory
from weaver._models.providers import BY_PREFIX
from weaver._settings.settings import Settings
from weaver.errors import ConfigurationError, ModelError, WeaverError

State = Literal["ok", "missing", "problem"]

_SIGNS: Mapping[State, tuple[str, str]] = {
    "ok": ("ok", "green"),
    "missing": ("--", "yellow"),
    "problem": ("!!", "red"),
}
# (title, distribution, what it is for, how to get it)
_EXTRAS = (
    ("embedded model", "weaver-reasoning-local", "a small model without key or server", "local"),
    ("litellm", "litellm", "providers that do not speak the OpenAI protocol", "litellm"),
    ("OTLP export", "opentelemetry-exporter-otlp-proto-http", "traces in Jaeger and others", "otlp"),
    ("uvloop", "uvloop", "a faster event loop", "uvloop"),
    ("mathematics", "math-verify", "comparing formulas of different threads", "math"),
)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Args:
        group: heading.
        name: what was looked at.
        state: ``ok``; ``missing``, which may be on purpose; ``problem``, which should be mended.
        found: what was found, never the value of a secret.
        hint: what to do about it.
    """

    group: str
    name: str
    state: State
    found: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What `weaver doctor` tells.

    Args:
        model: name of the model that a run would take, or None.
        reason: why that one, or why none.
        hint: what to do when there is none.
    """

    model: str | None
    reason: str
    hint: str
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """True if a run has a model and nothing is broken."""
        return self.model is not None and all(check.state != "problem" for check in self.checks)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--forget",
    metavar="[URL]",
    is_flag=False,
    flag_value="",
    help="First forget what was learned about the endpoint at URL, or about all endpoints.",
)
@debug_option
def doctor(as_json: bool, forget: str | None) -> int:
    """Show what is reachable, what is missing and how to get it.

    Exit code: 0 when a question could be answered, 1 when not or when something is broken.
    """
    if forget is not None:
        endpoint_facts = memory()
        number = endpoint_facts.forget(endpoint=forget.strip().rstrip("/") or None)
        endpoint_facts.flush()
        click.echo(f"Forgot {number} {'fact' if number == 1 else 'facts'} about endpoints.", err=True)
    checks = run_async(lambda: diagnose(os.environ))
    if as_json:
        click.echo(json.dumps({"ok": checks.ok, **asdict(checks)}, indent=2))
    else:
        click.echo(drawn(checks))
    return 0 if checks.ok else 1


async def diagnose(environ: Mapping[str, str], cwd: Path | None = None) -> Diagnosis:
    """Look at everything; nothing is changed, downloaded or sent but requests for lists of models."""
    checks: list[Check] = list(_versions())
    settings, checked = _settings(environ, cwd)
    checks += checked
    servers: list[detect.Server] = []
    try:
        servers = await detect.servers(environ)
    except ConfigurationError as error:
        checks.append(Check("Servers", "where to look", "problem", error.message, error.hint))
    checks += _keys(environ)
    checks += await _base_url(settings, environ)
    checks += [_server(server) for server in servers]
    checks += [_learned(fact) for fact in memory(environ).all()]
    checks += _sources(environ)
    checks += _extras(environ)
    checks.append(_home(environ))
    model, reason, hint = await _taken(settings, environ, servers)
    return Diagnosis(model, reason, hint, tuple(checks))


def drawn(found: Diagnosis) -> str:
    """The diagnosis for people."""
    lines: list[str] = []
    group = ""
    width = 0
    for check in found.checks:
        if check.group != group:
            group = check.group
            width = max(len(other.name) for other in found.checks if other.group == group)
            lines += ["", click.style(group, bold=True)]
        sign, colour = _SIGNS[check.state]
        lines.append(
            f"  {click.style(sign, fg=colour)} {printable(check.name):{width}}  {printable(check.found)}"
        )
        if check.hint and check.state != "ok":
            lines.append(f"     {'':{width}}  {printable(check.hint)}")
    verdict = click.style("A run would take", bold=True)
    if found.model is None:
        lines += ["", f"{click.style('No model:', fg='red', bold=True)} {printable(found.reason)}"]
        if found.hint:
            lines.append(f"  {printable(found.hint)}")
    else:
        lines += ["", f"{verdict} {printable(found.model)}: {printable(found.reason)}."]
    return "\n".join(lines[1:])


def _versions() -> list[Check]:
    return [
        Check("Versions", "weaver", "ok", version_of("weaver-reasoning")),
        Check("Versions", "python", "ok", f"{platform.python_version()} on {platform.platform()}"),
    ]


def _settings(environ: Mapping[str, str], cwd: Path | None) -> tuple[Settings | None, list[Check]]:
    try:
        settings = Settings.load(environ, cwd)
    except ConfigurationError as error:
        return None, [Check("Settings", "settings", "problem", error.message, error.hint)]
    names = sorted(settings.model_fields_set - {"api_key", "headers"})
    summary = ", ".join(f"{name}={getattr(settings, name)}" for name in names if name != "base_url")
    return settings, [Check("Settings", "settings", "ok", summary)] if summary else []


def _keys(environ: Mapping[str, str]) -> list[Check]:
    checks = [
        Check(
            "Keys",
            key.variable,
            "missing" if key.needs_litellm and not resolve.litellm_installed() else "ok",
            "set" + (f", default model {key.model}" if key.model else ""),
            f"Needs litellm: {resolve.GET_LITELLM}",
        )
        for key in detect.keys(environ)
    ]
    none = Check("Keys", "API keys", "missing", "none is set", "For example: export OPENAI_API_KEY=...")
    return checks or [none]


async def _base_url(settings: Settings | None, environ: Mapping[str, str]) -> list[Check]:
    """The explicit endpoint, if there is one."""
    own = BY_PREFIX["openai"]
    configured_url = settings.base_url if settings else None
    place, url = ("base_url", configured_url) if configured_url else ("OPENAI_BASE_URL", own.base(environ))
    if not url:
        return []
    try:
        at = endpoint(url, place=place)
        key = settings.api_key.get_secret_value() if settings and settings.api_key else own.key(environ)
        listed = await detect.list_models(
            at,
            api_key=key,
            headers=settings.own_headers if settings else None,
            seconds=5.0,
            model=place,
        )
    except WeaverError as error:
        state: State = "missing" if isinstance(error, ModelError) and error.retriable else "problem"
        return [Check("Servers", place, state, error.message, error.hint)]
    return [Check("Servers", place, "ok", f"{at.url} lists {_some([item.id for item in listed])}")]


def _server(server: detect.Server) -> Check:
    if server.usable:
        return Check("Servers", server.kind, "ok", f"{server.url} has {_some(list(server.models))}")
    return Check("Servers", server.kind, "missing", f"{server.url}: {server.problem}")


def _learned(fact: Fact) -> Check:
    """Return what earlier runs learned about an endpoint."""
    words = ", ".join(
        f"{name.replace('_', ' ')}: {', '.join(map(str, value)) if is_array(value) else value}"
        for name, value in fact.facts.items()
        if name != "server"
    )
    hours = max(0.0, time.time() - fact.at) / 3600
    when = f"{hours:.0f} h ago" if hours < 48 else f"{hours / 24:.0f} days ago"
    when = "less than an hour ago" if hours < 1 else when
    name = f"{fact.endpoint} {fact.model or 'all models'}"
    return Check("Learned about endpoints", name, "ok", f"{fact.namespace}: {words[:300]} ({when})")


def _sources(environ: Mapping[str, str]) -> list[Check]:
    """Models from installed distributions, the embedded one above all."""
    checks: list[Check] = []
    for prefix in registry.installed():
        try:
            offers = registry.offers(prefix, environ)
        except WeaverError as error:
            checks.append(Check("Models on this machine", prefix, "problem", error.message, error.hint))
            continue
        checks += [
            Check(
                "Models on this machine",
                offer.name,
                "ok" if offer.ready else "missing",
                offer.note,
                f"weaver local pull {offer.name.partition('/')[2]}" if prefix == resolve.LOCAL else "",
            )
            for offer in offers
        ]
    return checks


def _extras(environ: Mapping[str, str]) -> list[Check]:
    checks: list[Check] = []
    for title, distribution, purpose, extra in _EXTRAS:
        is_configured = extra == "otlp" and any(
            environ.get(f"OTEL_EXPORTER_OTLP_{signal}ENDPOINT", "").strip() for signal in ("", "TRACES_")
        )
        try:
            checks.append(Check("Extras", title, "ok", f"{distribution} {version_of(distribution)}"))
        except PackageNotFoundError:
            state: State = "problem" if is_configured else "missing"
            why = (
                "not installed, but OTEL_EXPORTER_OTLP_ENDPOINT is set" if is_configured else "not installed"
            )
            get = f'pip install "weaver-reasoning[{extra}]"'
            checks.append(Check("Extras", title, state, f"{why} ({purpose})", f"Get it with: {get}"))
    return checks


def _home(environ: Mapping[str, str]) -> Check:
    from weaver._environment.paths import home

    folder = home(environ)
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return Check(
            "Storage",
            "WEAVER_HOME",
            "problem",
            f"{folder} cannot be written",
            "Set WEAVER_HOME to a folder of yours.",
        )
    free = shutil.disk_usage(there).free
    new = "" if folder.exists() else " (made when first used)"
    return Check("Storage", "WEAVER_HOME", "ok", f"{folder}{new}, {free / 1e9:,.1f} GB free")


async def _taken(
    settings: Settings | None, environ: Mapping[str, str], servers: list[detect.Server]
) -> tuple[str | None, str, str]:
    """(name, reason, hint) of the model that a run would take; nothing is started or downloaded."""
    if settings is None:
        return None, "the settings are wrong.", "See above."
    name = settings.model
    base = settings.base_url or BY_PREFIX["openai"].base(environ)
    try:
        if name is None and not base:
            detected = await resolve.find(environ, servers)
            return detected.name, detected.reason + _first_fetched(detected.name, environ), ""
        is_explicit = settings.base_url is not None
        if name and (served := resolve.source_of(name, elsewhere=base is not None, told=is_explicit)):
            return _served(name, *served, environ)
        key = settings.api_key.get_secret_value() if settings.api_key else None
        choice = await resolve.choose(
            name,
            base_url=settings.base_url,
            api_key=key,
            headers=settings.own_headers,
            environ=environ,
        )
        await choice.model.aclose()
    except WeaverError as error:
        return None, error.message, error.hint
    return choice.model.name, choice.reason, ""


def _served(name: str, prefix: str, rest: str, environ: Mapping[str, str]) -> tuple[str | None, str, str]:
    """`_taken` for a model from an installed distribution: looked at, not opened."""
    if prefix == resolve.LOCAL and prefix not in registry.installed():
        return None, f"{name} needs weaver-reasoning-local.", f"Get it with: {resolve.GET_LOCAL}"
    offered = {offer.name.partition("/")[2] for offer in registry.offers(prefix, environ)}
    if not rest or rest in offered or Path(rest).expanduser().is_file():
        return name, "it is named in the settings", ""
    model_names = ", ".join(f"{prefix}/{model}" for model in sorted(offered))
    return None, f"{name} is neither a known model nor a file.", f"Known: {model_names}."


def _first_fetched(name: str, environ: Mapping[str, str]) -> str:
    """A remark when the model is not on this machine yet."""
    prefix = name.partition("/")[0]
    offers = registry.offers(prefix, environ) if prefix in registry.installed() else ()
    waiting = any(offer.name == name and not offer.ready for offer in offers)
    return "; the first run asks before it downloads it" if waiting else ""


def _some(names: list[str]) -> str:
    """The first few of many names."""
    labels = [Path(name).name if name.startswith("/") else name for name in names[:4]]
    first = ", ".join(labels)
    return f"{first} and {len(names) - 4} more" if len(names) > 4 else first or "no models"
