"""Reading a request's body, within limits of size and time."""

from __future__ import annotations

import json

import anyio
from starlette.requests import ClientDisconnect, Request

from weaver._serving.http.errors import ApiError, invalid
from weaver._serving.http.fields import Fields


async def read_fields(request: Request, *, most_bytes: int, seconds: float) -> Fields:
    """The JSON object in the body.

    Raises:
        ApiError: 400 no JSON object, 408 too slow, 413 too large.
        ClientDisconnect: the client has left.
    """
    return parsed(await read_body(request, most_bytes=most_bytes, seconds=seconds))


def parsed(body: bytes) -> Fields:
    """The JSON object in ``body``.

    Raises:
        ApiError: it is none.
    """
    try:
        return Fields(json.loads(body))
    except (ValueError, RecursionError):
        raise invalid("The body is not valid JSON.") from None


async def read_body(request: Request, *, most_bytes: int, seconds: float) -> bytes:
    """The body.

    Raises:
        ApiError: 408 or 413; the rest of the body is not read.
        ClientDisconnect: the client has left.
    """
    too_large = ApiError(
        413, f"The body has more than {most_bytes:,} bytes (max_body of the server).", code="body_too_large"
    )
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > most_bytes:
        raise too_large
    pieces: list[bytes] = []
    size = 0
    with anyio.move_on_after(seconds) as scope:
        async for piece in request.stream():
            size += len(piece)
            if size > most_bytes:
                raise too_large
            pieces.append(piece)
    if scope.cancelled_caught:
        raise ApiError(408, f"The body did not arrive within {seconds:g} s.", code="body_timeout")
    return b"".join(pieces)


__all__ = ["ClientDisconnect", "parsed", "read_body", "read_fields"]
