"""Any endpoint that speaks OpenAI's protocol: chat completions and raw completions, streamed.

llama.cpp, vLLM, SGLang, Ollama, LM Studio, OpenAI, OpenRouter and many others, directly over HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from types import TracebackType
from typing import Any

from weaver._models.endpoint import endpoint
from weaver._models.http.clients import PerLoop, accepts, open_client
from weaver._models.http.errors import ConnectTimeoutError, TransportError
from weaver._models.http.proxies import proxy_for
from weaver._models.http.response import Response, whole_body
from weaver._models.layers.call_log import current_call
from weaver._models.openai.errors.http_errors import Failures
from weaver._models.openai.errors.rate_headers import allowances_in
from weaver._models.openai.negotiation import Learned, Negotiation
from weaver._models.openai.probe import Probe
from weaver._models.openai.request import encoded, fields_of
from weaver._models.openai.stream import OpenAIStream
from weaver._models.protocol import Capabilities, Prices, Request, Stream
from weaver.errors import ConfigurationError, MissingCapabilityError, ModelError

_ERROR_BODY = 64 * 1024
# Azure's own gateways take a key in their own header, the older ones only there.
_AZURE = (".azure.com", ".azure-api.net")
_PROBE_SECONDS = 3.0
_PROBE_BYTES = 8 * 2**20


class OpenAIModel:
    """A `Model` at an OpenAI-compatible endpoint.

    Args:
        name: as the user wrote it (``openai/gpt-5-mini``).
        base_url: for most servers it ends in ``/v1``; that is added when there is no path at all.
        api_key: sent as a bearer token; None sends none.
        model_id: what the server calls the model; by default ``name`` without a leading ``openai/``.
        provider: for traces.
        headers: sent with every request.
        prices: to compute costs; None takes those that the server names, else those of the extra `prices`.
        capabilities: None asks the server once, when they are first needed.
        connect_timeout: seconds for opening a TCP connection.
        idle_timeout: seconds without a single byte from the server before the call is given up.
        max_bytes: most bytes that one answer may have on the wire.

    Raises:
        ConfigurationError: an argument that cannot be used.
    """

    def __init__(
        self,
        name: str,
        *,
        base_url: str,
        api_key: str | None = None,
        model_id: str | None = None,
        provider: str = "openai",
        headers: Mapping[str, str] | None = None,
        prices: Prices | None = None,
        capabilities: Capabilities | None = None,
        connect_timeout: float = 10.0,
        idle_timeout: float = 300.0,
        max_bytes: int = 64 * 2**20,
    ) -> None:
        place = endpoint(base_url, place="base_url")
        self.name = name
        self.provider = provider
        self.endpoint = place.url
        self.model_id = model_id or name.removeprefix("openai/")
        all_headers = {**place.headers, **(headers or {})}
        if api_key and place.host.endswith(_AZURE):
            all_headers.setdefault("api-key", api_key.strip())
        self._headers = _headers(api_key, all_headers)
        secrets = (api_key or "", *all_headers.values(), *place.query_values)
        self._failures = Failures(name, place.url, secrets)
        self._proxy = proxy_for(place.url)
        self._clients = PerLoop(
            partial(open_client, self._proxy, connect_timeout=connect_timeout, idle_timeout=idle_timeout)
        )
        self._idle_timeout = idle_timeout
        self._max_bytes = max_bytes
        self._chat_url = place.at("/chat/completions")
        self._completions_url = place.at("/completions")
        self._models_url = place.at("/models")
        self._prices = prices
        self._probe = Probe(self.model_id, place, capabilities, self._get)
        self._learned = Learned(place.url, self.model_id, self._probe.dialect)

    def __repr__(self) -> str:
        return f"OpenAIModel({self.name!r}, base_url={self.endpoint!r})"

    @property
    def prices(self) -> Prices | None:
        """The prices that were set, else those that the server or the extra `prices` lists."""
        return self._prices or self._probe.prices

    async def capabilities(self) -> Capabilities:
        """Return those that were set, else ask the server once. Looks for the prices, too."""
        known = await self._probe.capabilities()
        if self._prices is None:
            await self._probe.find_prices()
        return known

    def stream(self, request: Request) -> AbstractAsyncContextManager[Stream]:
        """Open a stream; see `weaver._models.protocol.Model`.

        Raises:
            ModelError: see the error tree; on entering, or `StreamInterruptedError` while iterating.
            MissingCapabilityError: on entering: the server is known to lack what the request needs.
            ConfigurationError: on entering: the request contradicts itself.
        """
        return _Opening(self._open, request)  # pyright: ignore[reportReturnType]  # it returns a coroutine

    async def ping(self) -> None:
        """Ask for the head of the list of models; see `weaver._models.protocol.CanPing`."""
        client = await self._clients.get()
        response = await client.send("HEAD", self._models_url, self._headers)
        response.abort()

    async def aclose(self) -> None:
        """Close pooled connections of the running event loop. The model may be used again."""
        await self._probe.aclose()
        await self._clients.aclose()

    async def _open(self, request: Request, keep: _Keep) -> Stream:
        probe = self._probe
        if probe.known is None and (request.stop or request.prefill or (request.prompt and request.output)):
            await probe.capabilities()  # what these need differs from server to server
        if probe.known is not None and (request.prefill or request.prompt is not None):
            self._check(request, probe.known)
        if self._prices is None and not probe.are_prices_sought:
            await probe.find_prices()
        self._learned.recall()
        tries = Negotiation(
            self.name, self._probe.dialect, partial(fields_of, request, self._probe.dialect), self._learned
        )
        while True:
            failed: ModelError
            try:
                stream = await self._begin(request, tries.fields())
                keep(stream)
            except ModelError as error:
                failed = error
            else:
                tries.accepted()
                return stream
            if not tries.goes_on(failed):
                raise failed  # and not in the handler: the error has nothing to do with those before

    async def _begin(self, request: Request, fields: Mapping[str, Any]) -> OpenAIStream:
        response = await self._send(request, fields)
        self._learned.met(response.headers.get("Server", ""))
        if (log := current_call.get()) is not None:
            log.allowances = allowances_in(response.headers)
        stream = OpenAIStream(
            response,
            self._failures,
            max_bytes=self._max_bytes,
            idle_timeout=self._idle_timeout,
        )
        try:
            await stream.begin()
        except BaseException:
            stream.close()
            raise
        return stream

    async def _send(self, request: Request, fields: Mapping[str, Any]) -> Response:
        client = await self._clients.get()
        url = self._chat_url if request.prompt is None else self._completions_url
        body = encoded(self.model_id, fields)
        try:
            response = await client.send("POST", url, self._headers_for(request), body)
        except TransportError as error:
            failed = self._failures.connection(error)
            waited = isinstance(error, ConnectTimeoutError)
            if waited and url.startswith("https:") and self._proxy is None and await accepts(url):
                failed = self._failures.without_tls()
        else:
            if response.status == 200:
                return response
            if (log := current_call.get()) is not None:
                log.abort = None
            failed = await self._refusal(response)
        # Raised here and not in a handler: what went wrong on the way is of no use to whoever reads this.
        raise failed

    def _headers_for(self, request: Request) -> Mapping[str, str]:
        if not request.headers and not self._probe.dialect.llama_cpp:
            return self._headers
        headers = _merged(self._headers, request.headers)
        if self._probe.dialect.llama_cpp:
            headers["Connection"] = "close"  # it closes after each stream although it promises not to
        return headers

    async def _refusal(self, response: Response) -> ModelError:
        body = bytearray()
        try:
            while len(body) < _ERROR_BODY and (read := await response.read(_ERROR_BODY)):
                body += read
        except TransportError as error:
            return self._failures.connection(error)
        finally:
            response.abort()
        return self._failures.status(response.status, response.headers, bytes(body[:_ERROR_BODY]))

    def _check(self, request: Request, can: Capabilities) -> None:
        if request.prompt is not None and not can.completions:
            missing = "raw completions"
        elif request.prefill and not can.prefill:
            missing = "to continue an unfinished message"
        else:
            return
        raise MissingCapabilityError(
            f"Model {self.name!r}: {self.endpoint} is not known to offer {missing}.",
            hint="Choose another strategy or model, or pass capabilities= if the server can.",
        )

    async def _get(self, url: str) -> bytes | None:
        """Fetch something small for the probe; None when that fails."""
        try:
            client = await self._clients.get()
            async with asyncio.timeout(_PROBE_SECONDS):
                response = await client.send("GET", url, self._headers)
                body = await whole_body(response, most=_PROBE_BYTES)
        except (TransportError, OSError):
            return None
        return body if response.status == 200 else None


_Keep = Callable[[OpenAIStream], None]


class _Opening:
    """One call: entering sends it and waits for the first delta, leaving closes the connection."""

    __slots__ = ("_open", "_request", "_stream")

    def __init__(
        self, open_: Callable[[Request, _Keep], Coroutine[Any, Any, Stream]], request: Request
    ) -> None:
        self._open = open_
        self._request = request
        self._stream: OpenAIStream | None = None

    def __aenter__(self) -> Coroutine[Any, Any, Stream]:
        return self._open(self._request, self._keep)

    def _keep(self, stream: OpenAIStream) -> None:
        self._stream = stream

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            self._stream.close()


def _headers(api_key: str | None, extra: Mapping[str, str]) -> dict[str, str]:
    headers = {
        "Content-Type": "application/json",
        "Accept": "text/event-stream, application/json",
        "Accept-Encoding": "identity",  # compression would hold tokens back
        "User-Agent": "weaver",
    }
    if api_key is not None and api_key.strip():
        headers["Authorization"] = f"Bearer {api_key.strip()}"
    headers = _merged(headers, extra)
    for name, value in headers.items():
        if not (value.isprintable() and value.isascii()):
            label = "API key" if name == "Authorization" else f"header {name!r}"
            raise ConfigurationError(
                f"The {label} holds a character that cannot be sent.",
                hint="Look for line breaks or typographic characters in it.",
            )
    return headers


def _merged(headers: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """``headers`` with ``more`` in place of those with the same name, in whatever case."""
    names = {name.lower() for name in more}
    return {**{name: value for name, value in headers.items() if name.lower() not in names}, **more}
