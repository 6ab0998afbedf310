"""What an ASGI scope says of a request, besides what everybody reads from it."""

import re
from typing import Any

from swapd.watch.trace import Trace
from swapd.wire.headers import first

Scope = Any

# Addresses with and without ports, names, and what proxies call whom they do not name.
_ADDRESS = re.compile(rb"[0-9A-Za-z._:%\[\]-]{1,100}")


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
            forwarded = _address_in(value.partition(b",")[0])
        elif size == 9 and not real and field.lower() == b"x-real-ip":
            real = _address_in(value)
    return Trace(
        name,
        method=scope["method"],
        path=scope["path"],
        protocol=scope["http_version"],
        headers=scope["headers"],
        address=forwarded or real or address(scope) or "-",
        agent=agent,
    )


def _address_in(value: bytes) -> str:
    """Answer with an address; empty for what is none, and would only be made up to be read."""
    text = value.strip()
    return text.decode() if _ADDRESS.fullmatch(text) else ""
