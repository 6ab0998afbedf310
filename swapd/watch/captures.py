"""Requests and answers in full, of late, in memory: what was really sent.

Rule 1: at most so many bytes; the oldest go first, and what alone is larger is not kept.
Rule 2: no secret of a header gets in. Bodies are kept as they are.
Rule 3: nothing is compressed. That would cost the one thread, or the lock that it shares with
others, more for each request than the memory is worth; who wants more of them has the setting.
"""

import marshal
import re
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping
from functools import lru_cache
from typing import Any, TypeAlias

import attrs

MEGABYTE = 1024 * 1024

# What llama-swap hides, and what else clients call their keys.
SECRET = re.compile(rb"authorization|cookie|api-?key|token|secret|password|credential")

REDACTED = "[REDACTED]"

# Whom a request was sent to is no header to llama-swap.
_LEFT_OUT = b"host"

_ENCODING = b"content-encoding"

_TOKEN = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")


@attrs.frozen
class Mask:
    """What of a request is kept."""

    request_headers: bool = True
    request_body: bool = True
    response_headers: bool = True
    response_body: bool = True


_ALL = Mask()
_NO_ANSWER = Mask(response_body=False)
_NO_UPLOAD = Mask(request_body=False)
_ONLY_HEADERS = Mask(request_body=False, response_body=False)

MASKS: Mapping[str, Mask] = {
    "/v1/audio/speech": _NO_ANSWER,
    "/v1/audio/voices": _NO_UPLOAD,
    "/v1/audio/transcriptions": _NO_UPLOAD,
    "/v1/images/generations": _NO_ANSWER,
    "/v1/images/edits": _ONLY_HEADERS,
    "/sdapi/v1/txt2img": _NO_ANSWER,
    "/sdapi/v1/img2img": _ONLY_HEADERS,
}
"""Where sound and pictures go to and fro, which nobody reads; of all other paths all is kept."""


def mask(path: str) -> Mask:
    """Say what of a request for this path is kept."""
    return MASKS.get(path, _ALL)


@attrs.frozen
class Capture:
    """One request and its answer; None for a part that is not kept."""

    path: str
    request_headers: Mapping[str, str] | None = None
    request_body: bytes | None = None
    response_headers: Mapping[str, str] | None = None
    response_body: bytes | None = None
    truncated: tuple[str, ...] = ()
    """The parts of which only the beginning is here."""


class Captures:
    """The newest captures, by what they are of."""

    def __init__(self, most: int) -> None:
        self.most = most
        """How much is kept, in bytes."""
        self._kept: OrderedDict[Hashable, _Packed] = OrderedDict()
        self.size = 0
        """In bytes, of all."""

    @property
    def enabled(self) -> bool:
        """Tell whether anything is kept at all."""
        return self.most > 0

    def put(self, key: Hashable, capture: Capture) -> bool:
        """Keep it as the newest, in place of another of the same key; say whether it fits."""
        self.drop(key)
        packed = _packed(capture)
        size = _size(packed)
        if not self.enabled or size > self.most:
            return False
        while self.size + size > self.most:
            self.drop(next(iter(self._kept)))
        self._kept[key] = packed
        self.size += size
        return True

    def get(self, key: Hashable) -> Capture | None:
        """Look one up; None if it is not there any more."""
        packed = self._kept.get(key)
        return None if packed is None else _unpacked(packed)

    def drop(self, key: Hashable) -> None:
        """Forget one, if it is there."""
        packed = self._kept.pop(key, None)
        if packed is not None:
            self.size -= _size(packed)

    def rename(self, key: Hashable, name: Hashable) -> None:
        """Keep it under another key from now on, as the newest; nothing if it is not there."""
        packed = self._kept.pop(key, None)
        if packed is not None:
            self._kept[name] = packed

    def resize(self, most: int) -> None:
        """Keep at most so many bytes from now on; none if that is 0 or less."""
        self.most = most
        while self._kept and self.size > most:
            self.drop(next(iter(self._kept)))

    def clear(self) -> None:
        """Forget them all."""
        self._kept.clear()
        self.size = 0

    def __contains__(self, key: Hashable) -> bool:
        return key in self._kept


_Packed: TypeAlias = tuple[bytes, bytes | None, bytes | None]
"""All but the bodies as one object, for many small ones would take many times their size."""


def _packed(capture: Capture) -> _Packed:
    heads: Any = (capture.request_headers, capture.response_headers)
    known = marshal.dumps((capture.path, *heads, capture.truncated))
    return known, capture.request_body, capture.response_body


def _unpacked(packed: _Packed) -> Capture:
    known, request, response = packed
    path, asked, answered, truncated = marshal.loads(known)
    return Capture(path, asked, request, answered, response, truncated)


def _size(packed: _Packed) -> int:
    known, request, response = packed
    return len(known) - _NOTHING + len(request or b"") + len(response or b"")


def redacted(
    headers: Iterable[tuple[bytes, bytes]], *, without_encoding: bool = False
) -> dict[str, str]:
    """Answer with what may be shown of headers: the first of each name, and no secret.

    `without_encoding` is for the headers of a body that is kept decoded.
    """
    shown: dict[str, str] = {}
    for name, value in headers:
        written, lower, hidden = _as_go_writes(name)
        if lower == _LEFT_OUT or (without_encoding and lower == _ENCODING):
            continue
        if written not in shown:
            shown[written] = REDACTED if hidden else value.decode(errors="replace")
    return shown


# Clients have few names, and say them with every request.
@lru_cache(maxsize=512)
def _as_go_writes(name: bytes) -> tuple[str, bytes, bool]:
    """Write a header's name as llama-swap's language does, in small letters, and say if secret."""
    lower = name.lower()
    return _written(lower, name), lower, bool(SECRET.search(lower))


def _written(lower: bytes, name: bytes) -> str:
    # Odd ones are left alone.
    if not _TOKEN.issuperset(lower):
        return name.decode(errors="replace")
    return "-".join(word.capitalize() for word in lower.decode().split("-"))


# What nothing takes is not counted.
_NOTHING = len(_packed(Capture(""))[0])
