"""What an ASGI scope says of a request, besides what everybody reads from it."""

from typing import Any

from swapd.wire.headers import first

Scope = Any


def header(scope: Scope, wanted: bytes) -> bytes | None:
    """Answer with the first value of a header, by its name in small letters."""
    return first(scope["headers"], wanted)


def announced(scope: Scope) -> int | None:
    """Answer with the Content-Length that the client announced, if it did."""
    length = header(scope, b"content-length")
    return None if length is None else int(length)


def address(scope: Scope) -> str | None:
    """Answer with the client's address, if it has one."""
    client = scope["client"]
    return client[0] if client else None
