"""API keys: who may use this. For both planes; where a key is looked for is llama-swap's.

Rule 1: how long a comparison takes tells nothing about the keys: only digests are compared, in
constant time, and always all of them.
Rule 2: a key that is configured as `sha256:<64 hex digits>` is known by its digest alone, so that
the file holds no secret.
"""

import base64
import binascii
import functools
import hashlib
import hmac
from collections.abc import Iterable

import attrs

from swapd.config.settings import HASHED_KEY
from swapd.wire.headers import Header


@attrs.frozen
class Keys:
    """The keys of a configuration; with none, everybody is let in."""

    _digests: tuple[bytes, ...] = attrs.field(repr=False)

    def admit(self, headers: Iterable[Header]) -> bool:
        """Tell whether a request with these headers is let in."""
        if not self._digests:
            return True
        key = candidate(headers)
        offered = hashlib.sha256(key).digest()
        found = [hmac.compare_digest(offered, digest) for digest in self._digests]
        # Whoever hashed a variable that was not set has configured the digest of nothing.
        return any(found) and bool(key)


# A configuration has one set of keys and is asked for it with every request.
@functools.lru_cache(maxsize=8)
def keys_of(configured: tuple[str, ...]) -> Keys:
    """Make the keys out of `Settings.api_keys`."""
    return Keys(tuple(map(_digest, configured)))


def candidate(headers: Iterable[Header]) -> bytes:
    """Find the one key that a request offers: the password of `Basic`, the token of `Bearer`, or
    `x-api-key`, in this order; b"" if there is none.
    """
    offered: dict[bytes, bytes] = {}
    for name, value in headers:
        offered.setdefault(name.lower(), value)
    scheme, space, rest = offered.get(b"authorization", b"").partition(b" ")
    key = b""
    if space and scheme.lower() == b"basic":
        key = _password(rest)
    elif space and scheme.lower() == b"bearer":
        key = rest
    return key or offered.get(b"x-api-key", b"")


def is_remembered(headers: Iterable[Header]) -> bool:
    """Tell whether a request has a key that browsers add by themselves, once somebody typed it."""
    return any(
        name.lower() == b"authorization" and value.lower().startswith(b"basic ")
        for name, value in headers
    )


def _digest(configured: str) -> bytes:
    if configured.startswith(HASHED_KEY):
        return bytes.fromhex(configured.removeprefix(HASHED_KEY))
    return hashlib.sha256(configured.encode("utf-8", "surrogateescape")).digest()


def _password(encoded: bytes) -> bytes:
    try:
        decoded = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        return b""
    return decoded.partition(b":")[2]
