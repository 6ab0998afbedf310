"""Paths that name a model, as `/upstream/<model>/<rest>` does. Pure; from llama-swap.

Rule 1: what stands behind the name is forwarded as the client escaped it.
Rule 2: of several names that fit the longest is meant.
"""

from collections.abc import Iterator
from itertools import chain
from urllib.parse import quote, unquote_to_bytes

import attrs

from swapd.config.names import Names, PeerModel
from swapd.ids import ModelId

UPSTREAM = "/upstream/"
COMFYUI = "/comfyui"

# What a name may keep unescaped in a path: what a segment may hold (RFC 3986, 3.3), and slashes.
_PLAIN = "/:@!$&'()*+,;=-._~"


@attrs.frozen
class Found:
    """A model in a path."""

    name: str
    """As it is called there."""
    target: ModelId | PeerModel
    rest: bytes
    """What stands behind the name, escaped; b"" if nothing does, not even a slash."""

    @property
    def path(self) -> str:
        """What its server is asked, decoded."""
        return text_of(self.rest) or "/"


def find(names: Names, raw: bytes) -> Found | None:
    """Find the model in what follows `/upstream/`, which is given escaped."""
    best: Found | None = None
    for name, end in _prefixes(raw, _longest(names)):
        target = names.target(name)
        if target is not None:
            best = Found(name, target, raw[end:])
    return best


def renamed(raw: bytes, old: str, new: str) -> bytes:
    """Put another name in place of the one that it begins with."""
    for name, end in _prefixes(raw, len(old)):
        if name == old:
            return escaped(new) + raw[end:]
    return raw


def escaped(name: str) -> bytes:
    """Write a name into a path."""
    return quote(name, safe=_PLAIN).encode()


def text_of(raw: bytes) -> str:
    """Decode a path, or a part of one."""
    return unquote_to_bytes(raw).decode("utf-8", "surrogateescape")


def _longest(names: Names) -> int:
    known = chain(names.ids, names.aliases, names.full, names.bare)
    return max(map(len, known), default=0)


def _prefixes(raw: bytes, longest: int) -> Iterator[tuple[str, int]]:
    """Go through what could be the name, shortest first: up to each slash, however it is written.

    Once as it is written, and once without its empty segments, which many do not mean. Only as far
    as a name can be that long: a path of many segments would take seconds.
    """
    written = meant = ""
    began = 0
    for end, after in _slashes(raw):
        segment = text_of(raw[began:end])
        written += segment
        if segment:
            meant += "/" * bool(meant) + segment
            if len(meant) > longest:
                return
            yield meant, end
            yield written, end
        written += "/"
        began = after


def _slashes(raw: bytes) -> Iterator[tuple[int, int]]:
    """Find where each slash begins and ends, and the end of it all."""
    at = 0
    while at < len(raw):
        if raw[at] == 0x2F:
            yield at, at + 1
            at += 1
        elif raw[at : at + 3].lower() == b"%2f":
            yield at, at + 3
            at += 3
        else:
            at += 1
    yield len(raw), len(raw)
