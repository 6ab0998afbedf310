"""What an ASGI scope says of a request, besides what everybody reads from it."""

from typing import Any

from swapd.watch.trace import Trace
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


def traced(scope: Scope, name: str = "") -> Trace:
    """Begin to note what becomes of a request; `name` is what the queue calls it, if it may wait.

    Whom it is from is what the proxies before us say, as in llama-swap's access log.
    """
    forwarded = real = agent = ""
    for field, value in scope["headers"]:
        # By length first: this is done for every header of every request.
        size = len(field)
        if size == 10 and not agent and field.lower() == b"user-agent":
            agent = value.decode("latin-1")
        elif size == 15 and not forwarded and field.lower() == b"x-forwarded-for":
            forwarded = value.decode("latin-1").partition(",")[0].strip()
        elif size == 9 and not real and field.lower() == b"x-real-ip":
            real = value.decode("latin-1").strip()
    return Trace(
        name,
        method=scope["method"],
        path=scope["path"],
        protocol=scope["http_version"],
        headers=scope["headers"],
        address=forwarded or real or address(scope) or "-",
        agent=agent,
    )
