"""From a model's name, or from none, to a model: which one is taken, and why."""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path, PurePath

from weaver._models.catalog import detect, registry
from weaver._models.endpoint import Endpoint, endpoint
from weaver._models.protocol import Model
from weaver._models.providers import BY_PREFIX, LITELLM_PREFIXES, NATIVE, Provider, family
from weaver._text.names import closest
from weaver.errors import ConfigurationError, UnknownNameError

LOCAL = "local"
GET_LOCAL = 'pip install "weaver-reasoning[local]"'
GET_LITELLM = 'pip install "weaver-reasoning[litellm]"'

# A path to a model file, as opposed to a name. Schemes and prefixes never begin like this.
_PATH = re.compile(r"\.{0,2}[/\\]|~|[A-Za-z]:[/\\]")


@dataclass(frozen=True, slots=True)
class Choice:
    """The model that was taken, and the reason in one short clause for people."""

    model: Model
    reason: str


async def choose(
    name: str | Model | None,
    *,
    base_url: str | None = None,
    api_key: str | None = None,
    headers: Mapping[str, str] | None = None,
    environ: Mapping[str, str] = os.environ,
    confirm: Callable[[str], bool] | None = None,
) -> Choice:
    """The model for ``name``, or the best that can be found when there is no name.

    Without a name: the server at ``base_url``, else a key in the environment, else a local server that
    answers on its usual port, else the embedded model.

    Args:
        name: in LiteLLM's naming (``openai/gpt-5-mini``, ``ollama/qwen3``, ``local/...``), the path of a
            GGUF file, or a model, which is taken as it is.
        base_url: an endpoint that speaks the OpenAI protocol; any name but ``local/...`` and a file is
            then asked for there. ``OPENAI_BASE_URL`` does the same for names of no other provider.
        api_key: beats the key in the environment.
        headers: sent with every request to the endpoint.
        environ: the environment.
        confirm: asked before the embedded model is downloaded; None: nobody can be asked.

    Raises:
        ConfigurationError: nothing usable was found, a key or a distribution is missing, or a URL is wrong.
        UnknownNameError: there is no such provider or model.
        ModelError: the endpoint had to be asked for its models and failed, or a model cannot be started.
    """
    if name is not None and not isinstance(name, str):
        return Choice(name, "given as an object")
    name = _with_slash((name or "").strip())
    opening = registry.Opening(environ, confirm, dict(headers or {}))
    own = BY_PREFIX["openai"]
    place, url = ("base_url", base_url) if base_url else ("OPENAI_BASE_URL", own.base(environ))
    if name and (local := source_of(name, elsewhere=url is not None, told=bool(base_url))) is not None:
        prefix, rest = local
        return Choice(await _source(prefix, name).open(rest, opening), f"{name} was asked for")
    if url and (base_url or _belongs_to_base(name)):
        return await _at_base(name, endpoint(url, place=place), place, api_key, opening)
    if name:
        return Choice(await _named(name, api_key, opening), f"{name} was asked for")
    if api_key:
        raise ConfigurationError(
            "A key was given, but neither a model nor a base URL to use it for.",
            hint="Say which model, for example openai/gpt-5-mini.",
        )
    choice = await find(environ)
    return Choice(await choice.open(opening), choice.reason)


def _with_slash(name: str) -> str:
    """``openai:gpt-5-mini`` as ``openai/gpt-5-mini``; tags such as ``qwen3:8b`` stay."""
    prefix, colon, rest = name.partition(":")
    is_provider = prefix in BY_PREFIX or prefix in LITELLM_PREFIXES or prefix in registry.installed()
    return f"{prefix}/{rest}" if colon and is_provider and not rest.startswith("//") else name


def source_of(name: str, *, elsewhere: bool = False, told: bool = False) -> tuple[str, str] | None:
    """(prefix, rest) when an installed source, or the plugin for model files, serves ``name``.

    Servers also use file names as ids: with a base URL (``elsewhere``; ``told`` when it came as an
    argument), what only looks like a file is the server's.
    """
    prefix, _, rest = name.partition("/")
    if prefix == LOCAL or prefix in registry.installed():
        return prefix, rest
    if told or "://" in name or prefix in BY_PREFIX or prefix in LITELLM_PREFIXES:
        return None
    if _PATH.match(name) or (name.lower().endswith(".gguf") and (not elsewhere or Path(name).is_file())):
        return LOCAL, name
    return None


def _source(prefix: str, name: str) -> registry.ModelSource:
    if prefix == LOCAL and LOCAL not in registry.installed():
        raise ConfigurationError(
            f"{name} needs the distribution weaver-reasoning-local, which is not installed.",
            hint=f"Get it with: {GET_LOCAL}",
        )
    return registry.source(prefix)


def _belongs_to_base(name: str) -> bool:
    """Return True if OPENAI_BASE_URL is meant for ``name``: it names no other provider that we know."""
    prefix, slash, _ = name.partition("/")
    return not slash or prefix == "openai" or (prefix not in BY_PREFIX and prefix not in LITELLM_PREFIXES)


def litellm_installed() -> bool:
    """Return True if litellm can be imported; it is not imported to find out."""
    try:
        return find_spec("litellm") is not None
    except ValueError:  # a fake module without a spec is in sys.modules
        return False


async def _at_base(
    name: str, at: Endpoint, place: str, api_key: str | None, opening: registry.Opening
) -> Choice:
    """A model at an explicit endpoint; the first that can hold a chat when there is no name."""
    environ, headers = opening.environ, dict(opening.headers)
    prefix, slash, rest = name.partition("/")
    provider = BY_PREFIX.get(prefix) if slash else None
    # Names of servers of the user's own carry the prefix for us only; others may be part of the id.
    model_id = rest if provider and (prefix == "openai" or not provider.hosted) else name
    owner = next((p for p in NATIVE if p.hosted and _host(p) == at.host), None)
    if at.authorization is None:
        # A provider's own key for its own host: OpenAI's must not be sent to another provider.
        keyed = owner or (provider if provider and not provider.hosted else None)
        api_key = api_key or (keyed.key(environ) if keyed else None)
        if not api_key and (owner is None or owner.prefix == "openai"):
            api_key = BY_PREFIX["openai"].key(environ)
            headers = {**_account(environ), **headers}
    reason = f"{place} is set" if place.isupper() else f"{place} was given"
    if not model_id and owner is not None and owner.default:
        model_id, reason = owner.default, f"{reason}; the default model of {owner.prefix}"
    elif not model_id:
        listed = await detect.list_models(at, api_key=api_key, headers=headers)
        model_id = detect.first_chat_model(listed, at)
        reason = f"{reason}, and {_short(model_id)} is the first model of the server there"
    telemetry = owner.telemetry if owner else "openai"
    model = _openai(name or f"openai/{_short(model_id)}", model_id, at, api_key, telemetry, headers)
    return Choice(model, reason)


async def _named(name: str, api_key: str | None, opening: registry.Opening) -> Model:
    """The model of a provider."""
    prefix, slash, rest = name.partition("/")
    if not slash:
        known_family = family(name)
        if known_family is None:
            raise _unknown(name)
        prefix, rest = known_family, name
        name = f"{known_family}/{name}"
    if not rest.strip():
        raise ConfigurationError(
            f"The model name {name!r} has no model after the provider.", hint="For example openai/gpt-5-mini."
        )
    if (provider := BY_PREFIX.get(prefix)) is not None:
        return _native(name, rest, provider, api_key, opening)
    if not litellm_installed():
        if prefix in LITELLM_PREFIXES:
            raise ConfigurationError(
                f"{name} is reached through litellm, which is not installed.",
                hint=f"Get it with: {GET_LITELLM}",
            )
        raise _unknown(name)
    from weaver._models.litellm.model import LiteLLMModel, load

    if prefix not in LITELLM_PREFIXES:  # our list is of yesterday; litellm's own takes seconds to load
        providers = {str(getattr(provider, "value", provider)) for provider in (await load()).provider_list}
        if prefix not in providers:
            raise _unknown(name)
    return LiteLLMModel(name, api_key=api_key, headers=opening.headers)


def endpoint_of(provider: Provider, environ: Mapping[str, str]) -> Endpoint:
    """Return where a provider is: its own address, or the one that the environment gives instead.

    Raises:
        ConfigurationError: the environment's is not a URL.
    """
    variable = next((v for v in provider.bases if environ.get(v, "").strip()), None)
    if variable is None:
        return endpoint(provider.url, place=provider.prefix)
    return endpoint(environ[variable], place=variable, port=11434 if variable == "OLLAMA_HOST" else None)


def _native(
    name: str, model_id: str, provider: Provider, api_key: str | None, opening: registry.Opening
) -> Model:
    environ = opening.environ
    at = endpoint_of(provider, environ)
    key = api_key or provider.key(environ)
    if key is None and provider.hosted and provider.base(environ) is None:
        raise ConfigurationError(
            f"{name} needs a key, and {provider.keys[0]} is not set.",
            hint=f"Set it (export {provider.keys[0]}=...), or choose another model: `weaver models`.",
        )
    if provider.prefix == "fireworks_ai" and "/" not in model_id:
        model_id = f"accounts/fireworks/models/{model_id}"
    account = _account(environ) if provider.prefix == "openai" else {}
    return _openai(name, model_id, at, key, provider.telemetry, {**account, **opening.headers})


@dataclass(frozen=True, slots=True)
class Found:
    """A model that was found without a name, not opened yet."""

    name: str
    reason: str
    open: Callable[[registry.Opening], Awaitable[Model]]


async def find(environ: Mapping[str, str], servers: Sequence[detect.Server] | None = None) -> Found:
    """The best model that can be found without a name.

    Args:
        environ: the environment.
        servers: what `detect.servers` found; None: they are looked at when no key is set.

    Raises:
        ConfigurationError: there is none; the message lists the ways to get one.
    """
    passed_over = ""
    for key in detect.keys(environ):
        if key.model is None:
            continue
        if key.needs_litellm and not litellm_installed():
            passed_over = f" ({key.variable} is set too, but needs litellm: {GET_LITELLM})"
            continue
        return Found(key.model, f"{key.variable} is set{passed_over}", partial(_open_named, key.model))
    for server in await detect.servers(environ) if servers is None else servers:
        if server.usable:
            name = f"{server.prefix}/{_short(server.models[0])}"
            reason = f"no key is set, and {server.kind} answers at {server.url}{passed_over}"
            return Found(name, reason, partial(_open_at, name, server))
    if LOCAL in registry.installed():
        local = registry.source(LOCAL)
        return Found(
            local.offers(environ)[0].name,
            f"it is embedded; no key is set and no local server answers{passed_over}",
            partial(local.open, ""),
        )
    raise ConfigurationError(
        "No model was named, and none was found: no key in the environment, no server on its usual port "
        f"of this machine, and the embedded model is not installed{passed_over}.",
        hint="Set a key (export OPENAI_API_KEY=...), or start a server (llama.cpp, Ollama, vLLM, LM Studio) "
        f"or give its --base-url, or install the embedded model ({GET_LOCAL}). "
        "`weaver doctor` shows what was looked at.",
    )


async def _open_named(name: str, opening: registry.Opening) -> Model:
    return await _named(name, None, opening)


async def _open_at(name: str, server: detect.Server, opening: registry.Opening) -> Model:
    return _openai(name, server.models[0], server.at, None, "openai", opening.headers)


def _account(environ: Mapping[str, str]) -> dict[str, str]:
    """OpenAI's headers for the organisation and the project that pay, as its own client sends them."""
    named = {
        "OpenAI-Organization": ("OPENAI_ORG_ID", "OPENAI_ORGANIZATION"),
        "OpenAI-Project": ("OPENAI_PROJECT_ID", "OPENAI_PROJECT"),
    }
    accounts = {
        header: next((value for name in names if (value := environ.get(name, "").strip())), "")
        for header, names in named.items()
    }
    return {header: value for header, value in accounts.items() if value}


def _openai(  # noqa: PLR0917 - one caller's worth of a constructor's arguments
    name: str,
    model_id: str,
    at: Endpoint,
    api_key: str | None,
    telemetry: str,
    headers: Mapping[str, str],
) -> Model:
    from weaver._models.openai.model import OpenAIModel

    return OpenAIModel(
        name,
        base_url=at.at(),
        api_key=None if at.authorization else api_key,
        model_id=model_id,
        provider=telemetry,
        headers={**at.headers, **headers},
    )


def _unknown(name: str) -> UnknownNameError:
    prefix, slash, _ = name.partition("/")
    prefixes = {*BY_PREFIX, *LITELLM_PREFIXES, *registry.installed(), LOCAL}
    if slash:
        return UnknownNameError("model provider", prefix, prefixes, hint=_near(prefix, prefixes))
    return UnknownNameError(
        "model",
        name,
        prefixes,
        hint=f"Write it with its provider, for example openai/{name} or ollama/{name}, or give --base-url. "
        "`weaver models` lists what can be used here.",
    )


def _near(prefix: str, known: set[str]) -> str:
    if (meant := closest(prefix, known)) is not None:
        return f"Did you mean {meant!r}?"
    return (
        "Known are for example openai, anthropic, gemini, groq, mistral, openrouter, ollama and local. "
        "Your own server is reached with --base-url."
    )


def _host(provider: Provider) -> str:
    return endpoint(provider.url, place=provider.prefix).host


def _short(model_id: str) -> str:
    """The id for people: servers that serve one file often give its whole path."""
    return PurePath(model_id).name if model_id.startswith(("/", "\\")) or "\\" in model_id else model_id
