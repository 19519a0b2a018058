"""Large values: kept once, compressed, under the hash of what they say."""

from __future__ import annotations

import hashlib
import sqlite3
import zlib

MAX_INLINE = 1_024
"""Characters of JSON that stand in an entry itself."""


def pack(text: str) -> bytes:
    """``text``, compressed."""
    return zlib.compress(text.encode("utf-8", "surrogatepass"), 1)


def packed_hash(text: str) -> str:
    """The name under which ``text`` is kept."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def unpack(body: bytes | None, name: str | None = None) -> str:
    """The text of `pack`.

    Args:
        name: its hash, which is then checked.

    Raises:
        ValueError: it is missing or damaged.
    """
    if body is None:
        raise ValueError("its content is missing")
    try:
        text = zlib.decompress(body).decode("utf-8", "surrogatepass")
    except zlib.error as error:
        raise ValueError(f"its content cannot be unpacked ({error})") from error
    if name is not None and packed_hash(text) != name:
        raise ValueError("its content has another hash")
    return text


def collect(db: sqlite3.Connection) -> None:
    """Delete content that no entry refers to."""
    db.execute("DELETE FROM contents WHERE hash NOT IN (SELECT ref FROM entries WHERE ref IS NOT NULL)")
