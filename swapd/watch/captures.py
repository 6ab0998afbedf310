"""Requests and answers in full, of late, in memory: what was really sent.

Rule 1: at most so many bytes; the oldest go first, and what alone is larger is not kept.
Rule 2: no secret of a header gets in. Bodies are kept as they are.
Rule 3: nothing is compressed. That would cost the one thread, or the lock that it shares with
others, more for each request than the memory is worth; who wants more of them has the setting.
"""

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping
from functools import lru_cache

import attrs

MEGABYTE = 1024 * 1024

SECRET = frozenset(
    (b"authorization", b"proxy-authorization", b"cookie", b"set-cookie", b"x-api-key")
)

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
    size: int = attrs.field(init=False, eq=False)
    """How many bytes it holds."""

    @size.default
    def _measured(self) -> int:
        bodies = len(self.request_body or b"") + len(self.response_body or b"")
        headers = _length(self.request_headers) + _length(self.response_headers)
        return len(self.path) + bodies + headers


class Captures:
    """The newest captures, by what they are of."""

    def __init__(self, most: int) -> None:
        self.most = most
        """How much is kept, in bytes."""
        self._kept: OrderedDict[Hashable, Capture] = OrderedDict()
        self.size = 0
        """In bytes, of all."""

    @property
    def enabled(self) -> bool:
        """Tell whether anything is kept at all."""
        return self.most > 0

    def put(self, key: Hashable, capture: Capture) -> bool:
        """Keep it as the newest, in place of another of the same key; say whether it fits."""
        self.take(key)
        size = capture.size
        if not self.enabled or size > self.most:
            return False
        while self.size + size > self.most:
            self.take(next(iter(self._kept)))
        self._kept[key] = capture
        self.size += size
        return True

    def get(self, key: Hashable) -> Capture | None:
        """Look one up; None if it is not there any more."""
        return self._kept.get(key)

    def take(self, key: Hashable) -> Capture | None:
        """Remove one, and answer with it."""
        capture = self._kept.pop(key, None)
        if capture is not None:
            self.size -= capture.size
        return capture

    def rename(self, key: Hashable, name: Hashable) -> None:
        """Keep it under another key from now on, as the newest; nothing if it is not there."""
        capture = self._kept.pop(key, None)
        if capture is not None:
            self._kept[name] = capture

    def resize(self, most: int) -> None:
        """Keep at most so many bytes from now on; none if that is 0 or less."""
        self.most = most
        while self._kept and self.size > most:
            self.take(next(iter(self._kept)))

    def clear(self) -> None:
        """Forget them all."""
        self._kept.clear()
        self.size = 0

    def __contains__(self, key: Hashable) -> bool:
        return key in self._kept


def redacted(
    headers: Iterable[tuple[bytes, bytes]], *, without_encoding: bool = False
) -> dict[str, str]:
    """Answer with what may be shown of headers: the first of each name, and no secret.

    `without_encoding` is for the headers of a body that is kept decoded.
    """
    shown: dict[str, str] = {}
    for name, value in headers:
        written, lower = _as_go_writes(name)
        if lower == _LEFT_OUT or (without_encoding and lower == _ENCODING):
            continue
        if written not in shown:
            shown[written] = REDACTED if lower in SECRET else value.decode(errors="replace")
    return shown


def _length(headers: Mapping[str, str] | None) -> int:
    return sum(map(len, headers)) + sum(map(len, headers.values())) if headers else 0


# Clients have few names, and say them with every request.
@lru_cache(maxsize=512)
def _as_go_writes(name: bytes) -> tuple[str, bytes]:
    """Write a header's name as llama-swap's language does, and in small letters."""
    lower = name.lower()
    return _written(lower, name), lower


def _written(lower: bytes, name: bytes) -> str:
    # Odd ones are left alone.
    if not _TOKEN.issuperset(lower):
        return name.decode(errors="replace")
    return "-".join(word.capitalize() for word in lower.decode().split("-"))
