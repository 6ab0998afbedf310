"""Where the daemon is asked for: a URL, or a socket's path. Pure.

Rule 1: a key never stands in there: addresses are shown by `ps`, and kept in a shell's history.
"""

from collections.abc import Mapping
from typing import NamedTuple, Self
from urllib.parse import quote, urlsplit

DEFAULT = "http://127.0.0.1:8080"

# The variables that say where, and with which key.
URL = "SWAPD_URL"
KEY = "SWAPD_API_KEY"

_PORTS = {"http": 80, "https": 443}


class BadWhere(Exception):
    """An address, or a key, that nothing can be asked with."""


class Where(NamedTuple):
    """One place to ask."""

    text: str
    """As it was given."""
    scheme: str
    """`http`, `https` or `unix`."""
    host: str
    """For `unix` the path of the socket."""
    port: int = 0
    prefix: str = ""
    """What a proxy wants in front of every path."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an address; raises BadWhere."""
        scheme, _, path = text.partition(":")
        if scheme == "unix":
            if not path:
                raise BadWhere("unix: needs a path, as in unix:/run/swapd.sock")
            return cls(text, scheme, path)
        try:
            url = urlsplit(text)
            port = url.port
        except ValueError as wrong:
            raise BadWhere(f"cannot use {text!r}: {wrong}") from wrong
        if url.scheme not in _PORTS or not url.hostname or url.query or url.fragment:
            example = "http://HOST:PORT, https://HOST:PORT or unix:/path"
            raise BadWhere(f"expected {example}, got {text!r}")
        if url.username is not None:
            raise BadWhere(f"expected no name and key in the address; the key belongs in ${KEY}")
        prefix = quote(url.path.rstrip("/"), safe="/%")
        return cls(
            text, url.scheme, url.hostname, _PORTS[url.scheme] if port is None else port, prefix
        )


def where(given: str | None, environment: Mapping[str, str]) -> Where:
    """Find the daemon: as it is given, else as the environment says, else where it is usually."""
    return Where.parse(given or environment.get(URL) or DEFAULT)


def key(environment: Mapping[str, str]) -> str:
    """Find the key; "" for none. Raises BadWhere for one that no header can carry."""
    found = environment.get(KEY, "").strip()
    if not (found.isascii() and found.isprintable()):
        raise BadWhere(f"cannot use the key in ${KEY}: it has letters that no header may have")
    return found
