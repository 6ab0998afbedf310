"""Addresses: where a model answers, and what it is asked to prove that it does.

Rule 1: an address is HTTP or HTTPS with a host; whatever else parses somewhere is refused here.
Rule 2: what comes out can be put into a request as it is: paths and queries are percent-encoded.
"""

import re
from ipaddress import AddressValueError, IPv6Address
from urllib.parse import SplitResult, quote, urlsplit

from swapd.config.settings import Origin

_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[A-Za-z0-9._-]+")
_INVISIBLE = re.compile(r"[\x00-\x20\x7f]")
# What may stand in a path or a query as it is; the percent sign because it is encoded already.
_PATH = "/%:@!$&'()*+,;=~"
_QUERY = f"{_PATH}?"


class NoAddress(ValueError):
    """A text that is not a usable address."""


def parse_origin(address: str) -> Origin:
    """Read the address of a model's server."""
    if _INVISIBLE.search(address):
        raise NoAddress("it contains a space or a control character")
    parts = _split(address)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise NoAddress("it must begin with http:// or https:// and a host")
    if parts.username is not None:
        raise NoAddress("a user name is not supported")
    port = _port(parts)
    return Origin(
        scheme=parts.scheme,
        host=_host(parts),
        port=_PORTS[parts.scheme] if port is None else port,
        path=quote(parts.path, safe=_PATH).rstrip("/"),
        query=quote(parts.query, safe=_QUERY),
    )


def parse_endpoint(endpoint: str) -> str | None:
    """Read a health endpoint: a path and query, or None for `none`; of an address only these."""
    endpoint = endpoint.strip()
    if endpoint == "none":
        return None
    parts = _split(endpoint)
    path = quote(parts.path, safe=_PATH)
    query = quote(parts.query, safe=_QUERY)
    return f"/{path.removeprefix('/')}{'?' if query else ''}{query}"


def _split(address: str) -> SplitResult:
    try:
        return urlsplit(address)
    except ValueError as wrong:
        raise NoAddress("it is not an address") from wrong


def _port(parts: SplitResult) -> int | None:
    try:
        port = parts.port
    except ValueError as wrong:
        raise NoAddress("its port is not a number up to 65535") from wrong
    if port == 0:
        raise NoAddress("port 0 is none")
    return port


def _host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    try:
        bracketed = ":" in host and bool(IPv6Address(host))
    except AddressValueError:
        bracketed = False
    if not bracketed and not _HOST.fullmatch(host):
        raise NoAddress("its host is not a name or an IP address")
    return host
