"""What browsers ask before they ask (CORS). Pure; from llama-swap."""

import re
from collections.abc import Iterable

from swapd.wire.headers import Header, first

_TOKEN = re.compile(rb"[A-Za-z0-9!#$%&'*+\-.^_`|~]+")

_METHODS = b"GET, POST, PUT, PATCH, DELETE, OPTIONS"
_USUAL = b"Content-Type, Authorization, Accept, X-Requested-With"

# For how long a browser need not ask again. Seconds.
_AGE = b"86400"


def preflight(headers: Iterable[Header]) -> list[Header]:
    """Answer with the headers that allow what a browser is about to do; the status is 204."""
    wished = first(headers, b"access-control-request-headers")
    return [
        (b"Access-Control-Allow-Origin", b"*"),
        (b"Access-Control-Allow-Methods", _METHODS),
        (b"Access-Control-Allow-Headers", sanitized(wished) if wished else _USUAL),
        (b"Access-Control-Max-Age", _AGE),
    ]


def sanitized(names: bytes) -> bytes:
    """Keep of a list of header names those that are such."""
    return b", ".join(name for each in names.split(b",") if _TOKEN.fullmatch(name := each.strip()))
