"""Paths that name a model, as `/upstream/<model>/<rest>` does. Pure; from llama-swap.

Rule 1: what stands behind the name is forwarded as the client escaped it.
Rule 2: of several names that fit the longest is meant.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar
from urllib.parse import quote, unquote_to_bytes

import attrs

from swapd.config.names import Names, PeerModel
from swapd.ids import ModelId

Target = TypeVar("Target")

UPSTREAM = "/upstream/"
COMFYUI = "/comfyui"

# What a name may keep unescaped in a path: what a segment may hold (RFC 3986, 3.3), and slashes.
_PLAIN = "/:@!$&'()*+,;=-._~"


@attrs.frozen
class Found(Generic[Target]):
    """A name in a path."""

    name: str
    """As it is called there."""
    target: Target
    """What it stands for."""
    rest: bytes
    """What stands behind the name, escaped; b"" if nothing does, not even a slash."""

    @property
    def path(self) -> str:
        """What the model's server is asked, decoded."""
        return text_of(self.rest) or "/"


def find(names: Names, raw: bytes) -> Found[ModelId | PeerModel] | None:
    """Find the model in what follows `/upstream/`, which is given escaped."""
    return _longest(raw, names.target, names.longest)


def pinned(pins: Mapping[str, str], raw: bytes) -> Found[str] | None:
    """Find the name that a profile replaces in it."""
    return _longest(raw, pins.get, max(map(len, pins), default=0))


def renamed(found: Found[str]) -> bytes:
    """Put what a name stands for in its place."""
    return escaped(found.target) + found.rest


def escaped(name: str) -> bytes:
    """Write a name into a path."""
    return quote(name, safe=_PLAIN).encode()


def text_of(raw: bytes) -> str:
    """Decode a path, or a part of one."""
    return unquote_to_bytes(raw).decode("utf-8", "surrogateescape")


def _longest(
    raw: bytes, look_up: Callable[[str], Target | None], longest: int
) -> Found[Target] | None:
    best: Found[Target] | None = None
    for name, end in _prefixes(raw, longest):
        target = look_up(name)
        if target is not None:
            best = Found(name, target, raw[end:])
    return best


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
