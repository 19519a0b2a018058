"""Every hosted provider through litellm, which is imported when the first call needs it.

litellm takes seconds to import and its first call half a second more; both happen in a worker thread.
"""

from __future__ import annotations

import itertools
import os
import re
import threading
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from types import TracebackType
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread

from weaver._json_reading.json_types import is_object
from weaver._models.cache_marks import marked, takes_marks
from weaver._models.endpoint import endpoint
from weaver._models.http.aiohttp_client import AiohttpClient
from weaver._models.http.clients import PerLoop
from weaver._models.layers.call_log import current_call
from weaver._models.litellm.chunks import Chunks
from weaver._models.litellm.errors import model_error
from weaver._models.openai.chunks.reader import ChunkReader, ServerSaidError
from weaver._models.openai.dialect import Dialect
from weaver._models.openai.errors.http_errors import Failures
from weaver._models.openai.negotiation import Learned, Negotiation
from weaver._models.openai.request import fields_of
from weaver._models.protocol import Capabilities, Delta, Prices, Request, Stream, UsageReport
from weaver._models.providers import family
from weaver.errors import ConfigurationError, ModelError

_INSTALL = 'pip install "weaver-reasoning[litellm]"'
# Providers by the names of the GenAI conventions, where litellm's differ.
_PROVIDERS = {
    "azure": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "vertex_ai": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
_lock = threading.Lock()
_ready: Any = None
_sessions = itertools.count(1)


class LiteLLMModel:
    """A `Model` through litellm.

    Args:
        name: in litellm's naming (``anthropic/claude-haiku-4-5``).
        api_key: None leaves it to the variables that litellm reads.
        base_url: another address of the provider (litellm's ``api_base``).
        headers: sent with every request.
        prices: None takes them from litellm's own list, which comes with the package.
        capabilities: None takes them from litellm's own list.
        idle_timeout: seconds without a byte from the provider before the call is given up.

    Raises:
        ConfigurationError: litellm is not installed, or the base URL is none.
    """

    def __init__(
        self,
        name: str,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        headers: Mapping[str, str] | None = None,
        prices: Prices | None = None,
        capabilities: Capabilities | None = None,
        idle_timeout: float = 300.0,
    ) -> None:
        if find_spec("litellm") is None:
            raise ConfigurationError(
                f"Model {name!r} is reached through litellm, which is not installed.", hint=f"Run: {_INSTALL}"
            )
        prefix, slash, _ = name.partition("/")
        company = prefix if slash else family(name) or "litellm"
        self.name = name
        self.provider = _PROVIDERS.get(company, company)
        self.endpoint = "" if base_url is None else endpoint(base_url, place="base_url").url
        self._base_url = base_url
        self._api_key = api_key
        self._headers = dict(headers or {})
        self._given_prices = prices
        self._given = capabilities
        self._idle_timeout = idle_timeout
        self._dialect = Dialect()
        self._learned = Learned(self.endpoint or f"litellm:{company}", name, self._dialect)
        self._clients = PerLoop(partial(AiohttpClient, connect_timeout=10.0, idle_timeout=idle_timeout))
        self._session: tuple[object, float] | None = None

    def __repr__(self) -> str:
        return f"LiteLLMModel({self.name!r})"

    @property
    def prices(self) -> Prices | None:
        """The prices that were set, else those of litellm's list once litellm is loaded."""
        if self._given_prices is not None or _ready is None:
            return self._given_prices
        return _prices(self._entry())

    async def capabilities(self) -> Capabilities:
        """Return those that were set, else those of litellm's list. Loads the prices, too."""
        litellm = await load()
        if self._given is not None:
            return self._given
        entry = self._entry()
        try:
            takes = litellm.get_supported_openai_params(model=self.name) or ()
        except Exception:  # noqa: BLE001 - a list of features is not worth an error
            takes = ()
        limit = entry.get("max_input_tokens")
        return Capabilities(
            json_schema=bool(entry.get("supports_response_schema")),
            json_object="response_format" in takes,
            tools=bool(entry.get("supports_function_calling")) or "tools" in takes,
            logprobs="logprobs" in takes,
            prefill=bool(entry.get("supports_assistant_prefill")),
            context=limit if isinstance(limit, int) else None,
            vision=_takes(entry, "supports_vision"),
            audio=_takes(entry, "supports_audio_input"),
            files=_takes(entry, "supports_pdf_input") or None,  # the list is incomplete
        )

    def stream(self, request: Request) -> AbstractAsyncContextManager[Stream]:
        """Open a stream; see `weaver._models.protocol.Model`."""
        return _Opening(self, request)

    async def aclose(self) -> None:
        """Close pooled connections of the running event loop. The model may be used again."""
        self._session = None
        await self._clients.aclose()

    async def opened(self, request: Request) -> LiteLLMStream:
        """Send ``request`` and wait for the first delta."""
        litellm = await load()
        session = (await self._clients.get()).session
        if self._session is None or self._session[0] is not session:
            # litellm keeps clients by their parameters, the timeout among them, and would go on using
            # one whose session is closed. A session with its own timeout gets its own client.
            self._session = session, self._idle_timeout + next(_sessions) / 1000
        ask = litellm.acompletion if request.prompt is None else litellm.atext_completion
        self._learned.recall()
        tries = Negotiation(
            self.name, self._dialect, partial(fields_of, request, self._dialect), self._learned
        )
        while True:
            failed: ModelError | None = None
            stream: LiteLLMStream | None = None
            try:
                fields = marked(tries.fields()) if takes_marks(self.name) else tries.fields()
                arguments = self._arguments(request, fields, session, self._session[1])
                stream = LiteLLMStream(self, await ask(**arguments))
                await stream.begin()
            except ModelError as error:
                failed = error
            except Exception as error:  # noqa: BLE001 - litellm raises whatever its providers' packages raise
                failed = self.failed(error, begun=False)
            finally:
                if stream is not None and not stream.begun:
                    await stream.aclose()
            if failed is None and stream is not None:
                tries.accepted()
                return stream
            if failed is not None and not tries.goes_on(failed):
                raise failed  # and not in the handler: litellm's exceptions carry the request's headers

    def failed(self, error: Exception, *, begun: bool) -> ModelError:
        """Our error for litellm's."""
        secrets = [v for k, v in os.environ.items() if _SECRET.search(k)]
        place = self.endpoint or f"{self.provider} (through litellm)"
        failures = Failures(self.name, place, [self._api_key or "", *self._headers.values(), *secrets])
        if isinstance(error, ServerSaidError):
            return failures.in_stream(error.body, begun=begun)
        return model_error(error, failures, begun=begun)

    def _arguments(
        self, request: Request, fields: Mapping[str, Any], session: object, timeout: float
    ) -> dict[str, Any]:
        arguments = dict(fields)
        if request.prefill:
            del arguments["continue_final_message"], arguments["add_generation_prompt"]
            arguments["messages"][-1]["prefix"] = True
        return {
            **arguments,
            "model": self.name,
            "api_key": self._api_key,
            "api_base": self._base_url,
            "extra_headers": {**self._headers, **request.headers} or None,
            "timeout": timeout,
            "shared_session": session,
            # Retries and logging are ours; the application's own use of litellm stays as it is.
            "num_retries": 0,
            "max_retries": 0,
            "no-log": True,
            "_skip_mcp_handler": True,  # it needs a package that does not come with litellm
        }

    def _entry(self) -> Mapping[str, Any]:
        catalog = _ready.model_cost
        entry = catalog.get(self.name) or catalog.get(self.name.partition("/")[2])
        return entry if is_object(entry) else {}


class LiteLLMStream:
    """An iterator of deltas over litellm's chunks."""

    __slots__ = ("_begun", "_chunks", "_ended", "_failure", "_log", "_model", "_reader")

    def __init__(self, model: LiteLLMModel, chunks: Any) -> None:
        self._model = model
        self._chunks = Chunks(chunks)
        self._reader = ChunkReader()
        self._begun = False
        self._ended = False
        self._failure: ModelError | None = None
        self._log = current_call.get()

    def __aiter__(self) -> LiteLLMStream:
        return self

    async def __anext__(self) -> Delta:
        while not self._reader.deltas:
            if self._failure is not None:
                raise self._failure
            if self._ended:
                raise StopAsyncIteration
            await self._read()
        delta = self._reader.deltas.popleft()
        if isinstance(delta, UsageReport) and not self._chunks.reports_usage:
            return UsageReport(replace(delta.usage, estimated=True))
        return delta

    @property
    def begun(self) -> bool:
        """True if the first delta has come, or the end."""
        return self._begun

    async def begin(self) -> None:
        """Wait for the first delta."""
        while not self._reader.deltas and self._failure is None:
            await self._read()
        if not self._reader.deltas and self._failure is not None:
            raise self._failure
        self._begun = True

    async def aclose(self) -> None:
        """Close the connection. litellm closes one only when it is told to."""
        self._ended = True
        if self._log is not None:
            self._log.tokens = self._reader.tokens
        with anyio.move_on_after(1, shield=True):
            await self._chunks.aclose()
            for _ in range(3):  # litellm starts small tasks at the end of a stream: let them end with it
                await anyio.lowlevel.checkpoint()

    async def _read(self) -> None:
        try:
            self._reader.take(await self._chunks.__anext__())
        except StopAsyncIteration:
            if not self._chunks.has_any:
                nothing = ValueError("its answer has no chunks; is it a page, or an error with HTTP 200?")
                self._failure = self._model.failed(nothing, begun=False)
                return
            self._ended = True
            self._reader.close()
        except Exception as error:  # noqa: BLE001 - see LiteLLMModel.opened
            self._failure = self._model.failed(error, begun=self._begun or bool(self._reader.deltas))


class _Opening:
    __slots__ = ("_model", "_request", "_stream")

    def __init__(self, model: LiteLLMModel, request: Request) -> None:
        self._model = model
        self._request = request
        self._stream: LiteLLMStream | None = None

    async def __aenter__(self) -> Stream:
        self._stream = stream = await self._model.opened(self._request)
        return stream

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            await self._stream.aclose()


async def load() -> Any:
    """litellm, imported and warmed up in a worker thread the first time.

    Cancelling gives up waiting, not the import.
    """
    if _ready is None:
        await anyio.to_thread.run_sync(_import, abandon_on_cancel=True)
    return _ready


def _import() -> None:
    global _ready  # noqa: PLW0603 - a module that is imported once
    with _lock:
        if _ready is not None:
            return
        # Otherwise it fetches its price list from the network on import.
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        # It gives up on a stream that repeats itself, and caps calls in flight without a word.
        os.environ.setdefault("REPEATED_STREAMING_CHUNK_LIMIT", str(10**9))
        os.environ.setdefault("AIOHTTP_CONNECTOR_LIMIT", "0")
        os.environ.setdefault("AIOHTTP_CONNECTOR_LIMIT_PER_HOST", "0")
        import litellm

        litellm.suppress_debug_info = True  # it prints advice to the terminal
        _warm_up(litellm)
        _ready = litellm


def _warm_up(litellm: Any) -> None:
    """Have the first call's imports and set-up done here, in the worker thread. Nothing is sent."""
    import asyncio
    import socket

    async def call(**options: Any) -> None:
        try:
            chunks = await litellm.acompletion(
                model="openai/warm-up",
                messages=[{"role": "user", "content": "x"}],
                api_key="none",
                stream=True,
                num_retries=0,
                max_retries=0,
                **{"no-log": True},
                **options,
            )
            async for _ in chunks:
                pass
            await chunks.aclose()
        except Exception:  # noqa: BLE001 - only its side effects count
            pass

    async def calls() -> None:
        client = AiohttpClient(connect_timeout=1.0, idle_timeout=1.0)
        await call(mock_response="x")
        with socket.socket() as taken:  # a port of this machine that nobody listens on
            taken.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
            await call(api_base=url, shared_session=client.session)
        await client.aclose()

    asyncio.run(calls())


def _takes(entry: Mapping[str, Any], feature: str) -> bool | None:
    """Return True if a model has a feature; one that the list describes has those that stand there."""
    if feature in entry:
        return bool(entry[feature])
    return False if any(name.startswith("supports_") for name in entry) else None


def _prices(entry: Mapping[str, Any]) -> Prices | None:
    each_in, each_out = entry.get("input_cost_per_token"), entry.get("output_cost_per_token")
    cached = entry.get("cache_read_input_token_cost")
    if not isinstance(each_in, int | float) or not isinstance(each_out, int | float):
        return None
    written = entry.get("cache_creation_input_token_cost")
    read, wrote = (each * 1e6 if isinstance(each, int | float) else None for each in (cached, written))
    return Prices(each_in * 1e6, each_out * 1e6, read, wrote)
