"""A run as server-sent events: `uvicorn fastapi_sse:app`, then `curl -N 'localhost:8000/ask?question=...'`.

When the client leaves, the run is cancelled and its connections to the model are closed.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from weaver import Weaver, WeaverError

weaver = Weaver(deadline=60)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:  # noqa: ARG001 - FastAPI's signature
    async with weaver:  # connections to the model stay open between requests
        yield


app = FastAPI(lifespan=lifespan)


def sse(kind: str, data: dict[str, Any]) -> str:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n"


@app.get("/ask")
async def ask(question: str) -> StreamingResponse:
    async def answer() -> AsyncIterator[str]:
        try:
            async with weaver.stream(question) as run:
                async for event in run:
                    yield sse(type(event).__name__, event.as_dict())
        except WeaverError as error:  # the status 200 is sent already
            yield sse("error", {"message": str(error)})

    return StreamingResponse(answer(), media_type="text/event-stream")
