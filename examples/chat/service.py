"""A chat service: FastAPI, server-sent events, sessions, images, MCP servers, an approval, a guardrail."""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import BaseModel

from weaver import (
    Context,
    Hook,
    ImagePart,
    RefusedError,
    RunStream,
    Task,
    Weaver,
    WeaverError,
    events,
    mcp,
    tool,
)

HERE = Path(__file__).parent


class Trip(BaseModel):
    """What /trip answers with."""

    city: str
    days: int
    highlights: list[str]


class Question(BaseModel):
    """What a client sends: an image is base64."""

    text: str
    session: str = "guest"
    image: str | None = None


class NoPasswords(Hook):
    """A guardrail: refuses before anything is sent."""

    def check_input(self, task: Task, context: Context[Any]) -> None:  # noqa: ARG002 - the hook's signature
        if "password" in task.question.lower():
            raise RefusedError("Questions about passwords are not answered here.")


@tool(approve=True, has_effects=True)
def book(city: str, nights: int) -> str:
    """Book a hotel."""
    return f"booked {nights} nights in {city}"


weaver = Weaver(
    model=os.environ.get("CHAT_MODEL"),
    base_url=os.environ.get("CHAT_BASE_URL"),
    instructions="You are a travel assistant. Answer in metric units.",
    tools=[
        book,
        mcp(command=[sys.executable, str(HERE / "weather_server.py")], prefix="weather_"),
        mcp(command=[sys.executable, str(HERE / "prices_server.py")], prefix="prices_"),
    ],
    hooks=[NoPasswords()],
    sessions=os.environ.get("CHAT_SESSIONS", "chat.sqlite"),
    deadline=60,
    max_total_tokens=20_000,
    approval_timeout=30,
)
waiting: dict[str, RunStream[Any]] = {}
"""Runs that wait for an approval, by their session."""


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
    """Keep connections and MCP servers open as long as the service runs."""
    async with weaver:
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/")
def page() -> FileResponse:
    return FileResponse(HERE / "page.html")


@app.post("/chat")
async def chat(question: Question) -> StreamingResponse:
    """Answer as server-sent events. A client that leaves cancels the run."""
    asked: list[str | ImagePart] = [question.text]
    if question.image:
        asked.append(ImagePart(data=base64.b64decode(question.image), media_type="image/png"))

    async def lines() -> AsyncIterator[str]:
        async with weaver.stream(asked, session=question.session) as run:
            async for event in run:
                if isinstance(event, events.ApprovalAsked):
                    waiting[question.session] = run
                yield f"data: {json.dumps(event.as_dict())}\n\n"

    return StreamingResponse(lines(), media_type="text/event-stream")


@app.post("/approvals/{session}")
async def approve(session: str, call: str, agreed: bool) -> None:
    if (run := waiting.pop(session, None)) is None:
        raise HTTPException(404, "nothing waits for an approval")
    run.approve(call) if agreed else run.deny(call, "the user said no")


@app.post("/trip")
async def trip(question: Question) -> Trip:
    """A typed answer, in its own budget."""
    try:
        return (await weaver.run(question.text, output=Trip, max_total_tokens=5_000)).output
    except WeaverError as error:
        raise HTTPException(422 if isinstance(error, RefusedError) else 502, error.message) from error
