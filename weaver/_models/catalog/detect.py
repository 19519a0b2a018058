"""What can be found without being told: keys in the environment, and servers on their usual ports."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import anyio

from weaver._json_reading.json_types import is_array, is_object
from weaver._models.endpoint import Endpoint, endpoint
from weaver._models.providers import NATIVE, THROUGH_LITELLM
from weaver.errors import (
    AuthenticationError,
    ConfigurationError,
    ModelConnectionError,
    ModelError,
    ModelTimeoutError,
    RateLimitError,
)

SERVERS_VARIABLE = "WEAVER_SERVERS"

# How long a server on this machine may take to list its models. Only a server that listens but hangs
# costs this much; a closed port answers at once.
PROBE_SECONDS = 1.0
_MOST_BYTES = 4_000_000

# (name, base URL, prefix in LiteLLM's naming), in the order in which they are preferred.
USUAL: tuple[tuple[str, str, str], ...] = (
    ("llama.cpp", "http://127.0.0.1:8080/v1", "openai"),
    ("Ollama", "http://127.0.0.1:11434/v1", "ollama"),
    ("vLLM", "http://127.0.0.1:8000/v1", "hosted_vllm"),
    ("LM Studio", "http://127.0.0.1:1234/v1", "lm_studio"),
)
_OWNERS = {
    "llamacpp": ("llama.cpp", "openai"),
    "vllm": ("vLLM", "hosted_vllm"),
    "sglang": ("SGLang", "openai"),
    "library": ("Ollama", "ollama"),
    "organization_owner": ("LM Studio", "lm_studio"),
}
# Models that a chat cannot be held with; servers list them among the others.
_NO_CHAT = re.compile(r"embed|rerank|whisper|tts|bge-|clip", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Key:
    """A key in the environment. Its value is not kept.

    Args:
        variable: the variable's name.
        model: model that is taken when only this key was given, in LiteLLM's naming; None: none is.
        needs_litellm: the provider is reached through litellm only.
    """

    variable: str
    model: str | None
    needs_litellm: bool = False


@dataclass(frozen=True, slots=True)
class Server:
    """What was found at one place where a local server could be.

    Args:
        kind: ``llama.cpp``, ``Ollama``, ... or ``server``.
        at: the place.
        prefix: in LiteLLM's naming, for the names of its models.
        models: ids of its models that can hold a chat, in its own order.
        problem: why it cannot be used, or ``""``.
        listening: something answered there.
    """

    kind: str
    at: Endpoint
    prefix: str
    models: tuple[str, ...] = ()
    problem: str = ""
    listening: bool = True

    @property
    def url(self) -> str:
        """Base URL without credentials."""
        return self.at.url

    @property
    def usable(self) -> bool:
        """True if it can be used right now."""
        return not self.problem


def keys(environ: Mapping[str, str]) -> list[Key]:
    """The keys of known providers in the environment, in the order in which they are tried."""
    keys_found = [
        Key(variable, provider.default and f"{provider.prefix}/{provider.default}")
        for provider in NATIVE
        if provider.hosted
        for variable in provider.keys
        if environ.get(variable, "").strip()
    ]
    others = [
        Key(variable, f"{prefix}/{model}", needs_litellm=True)
        for variable, (prefix, model) in THROUGH_LITELLM.items()
        if environ.get(variable, "").strip()
    ]
    # OpenAI's own key first, then the key that needs litellm: the order in which most people mean them.
    return [*(k for k in keys_found if k.variable == "OPENAI_API_KEY"), *others] + [
        k for k in keys_found if k.variable != "OPENAI_API_KEY"
    ]


def places(environ: Mapping[str, str]) -> list[tuple[str, Endpoint, str]]:
    """Return where local servers are looked for: (kind, endpoint, prefix).

    ``WEAVER_SERVERS`` (base URLs separated by commas; empty: nowhere) replaces the usual ports;
    ``OLLAMA_HOST`` moves Ollama's.

    Raises:
        ConfigurationError: one of these is not a URL.
    """
    if (listed := environ.get(SERVERS_VARIABLE)) is not None:
        return [
            ("server", endpoint(url, place=SERVERS_VARIABLE), "openai")
            for url in listed.split(",")
            if url.strip()
        ]
    places_found: list[tuple[str, Endpoint, str]] = []
    for kind, url, prefix in USUAL:
        at = endpoint(url, place=kind)
        if kind == "Ollama" and (moved := environ.get("OLLAMA_HOST", "").strip()):
            at = endpoint(moved, place="OLLAMA_HOST", port=11434)
        places_found.append((kind, at, prefix))
    return places_found


async def servers(environ: Mapping[str, str], *, seconds: float = PROBE_SECONDS) -> list[Server]:
    """Look at all places at once; no key is sent to any of them.

    Args:
        environ: see `places`.
        seconds: how long each place may take to answer.

    Returns:
        One entry per place, in the order of preference, those with a problem included.

    Raises:
        ConfigurationError: see `places`.
    """
    looked_at = places(environ)
    answers: list[Server | None] = [None] * len(looked_at)

    async def look(i: int) -> None:
        kind, at, prefix = looked_at[i]
        answers[i] = await _server(kind, at, prefix, seconds)

    async with anyio.create_task_group() as group:
        for i in range(len(looked_at)):
            group.start_soon(look, i)
    return [server for server in answers if server is not None]


async def _server(kind: str, at: Endpoint, prefix: str, seconds: float) -> Server:
    try:
        listed = await list_models(at, seconds=seconds)
    except ModelConnectionError:
        return Server(kind, at, prefix, problem="nothing answers there", listening=False)
    except AuthenticationError:
        return Server(kind, at, prefix, problem="asks for a key: give --base-url and OPENAI_API_KEY")
    except ModelTimeoutError:
        return Server(kind, at, prefix, problem=f"does not answer within {seconds:g} s")
    except RateLimitError:
        return Server(kind, at, prefix, problem="is busy, or still loading its model")
    except ModelError:
        return Server(kind, at, prefix, problem="answers, but does not speak the OpenAI protocol")
    owner = next((_OWNERS[item.owner] for item in listed if item.owner in _OWNERS), (kind, prefix))
    models = tuple(item.id for item in listed if not _NO_CHAT.search(item.id))
    problem = "" if models else "lists no model that can hold a chat"
    return Server(owner[0], at, owner[1], models, problem)


@dataclass(frozen=True, slots=True)
class Listed:
    """One model in a server's list."""

    id: str
    owner: str = ""


async def list_models(
    at: Endpoint,
    *,
    api_key: str | None = None,
    headers: Mapping[str, str] | None = None,
    seconds: float = 10.0,
    model: str = "",
) -> list[Listed]:
    """The models that a server lists under ``/models``, in its own order.

    Args:
        at: the server.
        api_key: sent as a bearer token.
        headers: sent, too.
        seconds: limit for the whole exchange.
        model: name for error messages.

    Raises:
        ModelConnectionError: nothing answers.
        ModelTimeoutError: it did not answer in time.
        AuthenticationError, BadRequestError, RateLimitError, ServerError: by its HTTP status.
        ModelProtocolError: the answer is not a list of models in JSON.
    """
    from weaver._models.http.clients import open_client
    from weaver._models.http.errors import TransportError
    from weaver._models.http.proxies import proxy_for
    from weaver._models.http.response import whole_body
    from weaver._models.openai.errors.http_errors import Failures

    own = {**at.headers, **(headers or {})}
    secrets = [secret for secret in (api_key, *own.values(), *at.query_values) if secret]
    failures = Failures(model or at.url, at.url, secrets)
    if api_key and "Authorization" not in own:
        own["Authorization"] = f"Bearer {api_key}"
    proxy = None if at.loopback else proxy_for(at.url)
    client = open_client(proxy, connect_timeout=seconds, idle_timeout=seconds)
    try:
        async with asyncio.timeout(seconds):
            response = await client.send("GET", at.at("/models"), own)
            body = await whole_body(response, most=_MOST_BYTES)
    except TransportError as error:
        raise failures.connection(error) from None
    except TimeoutError:
        raise failures.silent("did not list its models", seconds) from None
    except ValueError:
        raise failures.unreachable("a header cannot be sent") from None
    finally:
        await client.aclose()
    if response.status != 200:
        raise failures.status(response.status, response.headers, body)
    listed = _listed(body)
    if listed is None:
        raise failures.protocol("did not answer with a list of models in JSON")
    return listed


def _listed(body: bytes) -> list[Listed] | None:
    """The models in a ``/models`` answer; None when it is not one."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    items: object = content
    if is_object(content):
        items = next((content[n] for n in ("data", "models") if is_array(content.get(n))), None)
        if items is None and content.get("object") == "list":
            return []  # Ollama without any model says null
    if not is_array(items):
        return None
    entries = [{"id": item} if isinstance(item, str) else item for item in items]
    named = [item for item in entries if is_object(item) and _id_of(item)]
    if entries and not named:
        return None
    return [Listed(_id_of(item), str(item.get("owned_by") or "")) for item in named]


def _id_of(item: Mapping[str, Any]) -> str:
    return next((item[n] for n in ("id", "model") if isinstance(item.get(n), str) and item[n]), "")


def first_chat_model(listed: list[Listed], at: Endpoint) -> str:
    """The id of the first model that can hold a chat.

    Raises:
        ConfigurationError: there is none.
    """
    model = next((item.id for item in listed if not _NO_CHAT.search(item.id)), None)
    if model is None:
        raise ConfigurationError(
            f"The server at {at.url} lists no model that can hold a chat.",
            hint="Load one there, or give its name with --model.",
        )
    return model
