"""The secret in the address of the page, and who gets past it."""

from __future__ import annotations

import hmac
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, RedirectResponse

from weaver.errors import ConfigurationError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

FILE = "ui-secret"
LEAST_CHARS = 22
REFUSED = "Open the page at the address that `weaver ui` printed; it has a secret in it.\n"
_LOCAL = ("127.0.0.1", "localhost")


def kept_secret(folder: Path, *, fresh: bool = False) -> str:
    """Return the secret of this user, made at the first time.

    It stays the same, so that an open page finds the server again after a restart, and bookmarks work.

    Args:
        fresh: make another one; addresses with the old one are refused from then on.

    Raises:
        ConfigurationError: the file cannot be used.
    """
    path = folder / FILE
    try:
        text = "" if fresh or not path.exists() else path.read_text(encoding="ascii").strip()
        if len(text) < LEAST_CHARS or not text.replace("-", "").replace("_", "").isalnum():
            text = secrets.token_urlsafe(24)
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.unlink(missing_ok=True)
            with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
                file.write(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be used: {error}.", hint="Remove it.") from None
    return text


class SecretGuard:
    """Passes on requests to ``/SECRET/...`` of this machine's own browser pages; refuses all others.

    A page of another site cannot know the secret. It is refused by its ``Origin``, too, and a name of
    another site that was made to point to this machine by the ``Host`` header.

    Args:
        app: gets requests without the secret in their path.
        secret: the first part of every path.
        port: the one that is listened on.
    """

    def __init__(self, app: ASGIApp, secret: str, port: int) -> None:
        self._app = app
        self._secret = secret
        self._hosts = {f"{name}:{port}" for name in _LOCAL}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            return
        secret, slash, rest = str(scope["path"]).removeprefix("/").partition("/")
        if not (self._is_own(Headers(scope=scope)) and self._is_secret(secret)):
            answer: ASGIApp = PlainTextResponse(REFUSED, 403)
        elif not slash:
            answer = RedirectResponse(f"/{secret}/")
        else:
            answer = self._app
            scope = {**scope, "path": f"/{rest}", "raw_path": b"", "root_path": ""}
        await answer(scope, receive, send)

    def _is_secret(self, text: str) -> bool:
        return hmac.compare_digest(text.encode("utf-8", "replace"), self._secret.encode())

    def _is_own(self, headers: Headers) -> bool:
        host, origin = headers.get("host", "").lower(), headers.get("origin")
        site = headers.get("sec-fetch-site", "none")
        return (
            host in self._hosts
            and (origin is None or origin == f"http://{host}")
            and site in ("same-origin", "none")
        )
