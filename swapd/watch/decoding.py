"""Unpacking compressed answers, piece by piece, to read along.

Rule 1: what the client gets is never touched; only a copy comes here.
Rule 2: a small answer may unpack to any size, so there is an end to it: `MOST`, after which the
rest is not looked at.
Rule 3: that an answer is cut short is no mistake of its packing; what came of it is read.

What neither `zlib` nor an installed library unpacks is left as it is, and then says nothing.
"""

import importlib
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import attrs

# Far beyond any chat; a piece may unpack to all of it, and everybody waits for that.
MOST = 8 * 1024 * 1024

# Nobody packs an answer more often; every layer costs a library's memory.
MOST_CODINGS = 4

# One packet behind the other is how some pack block by block; 64 KiB in each is usual.
MOST_PACKETS = 1000

# What RFC 9659 lets a server ask of its readers, in bytes.
ZSTD_WINDOW = 8 * 1024 * 1024

# Four bytes may unpack to 128 KiB, and the library knows no bound but the size of its input.
ZSTD_SLICE = 256

# The window that zlib is told: as large as it gets, and in whose wrapping.
_GZIP, _ZLIB, _RAW = 31, 15, -15


class CannotDecode(Exception):
    """The answer is not what its `Content-Encoding` says."""


class Coding(Protocol):
    """One coding, unpacked piece by piece."""

    def feed(self, data: bytes, room: int) -> bytes:
        """Unpack up to so many bytes, or a little more; beyond that nobody will ask again."""


@attrs.define
class Decoder:
    """Undoes one or several codings."""

    _layers: "list[_Layer]"

    @property
    def truncated(self) -> bool:
        """Say whether the rest is not looked at any more."""
        return any(layer.room <= 0 for layer in self._layers)

    def feed(self, piece: bytes) -> bytes:
        """Answer with what this piece unpacks to, or raise `CannotDecode`."""
        if self.truncated:
            return b""
        for layer in self._layers:
            piece = layer.feed(piece)
        return piece


def decoder_for(
    encoding: str, known: Mapping[str, Callable[[], Coding]] | None = None
) -> Decoder | None:
    """Open what undoes this `Content-Encoding`; None leaves everything as it is."""
    openers = CODINGS if known is None else known
    names = [name.strip().lower() for name in encoding.split(",")]
    names = [name for name in names if name not in ("", "identity")]
    if not names or len(names) > MOST_CODINGS or not openers.keys() >= set(names):
        return None
    # The last one named was put on last.
    return Decoder([_Layer(name, openers[name]()) for name in reversed(names)])


@attrs.define
class _Layer:
    _name: str
    _coding: Coding
    room: int = MOST

    def feed(self, data: bytes) -> bytes:
        try:
            unpacked = self._coding.feed(data, self.room)
        except _WRONG as wrong:
            raise CannotDecode(f"{self._name}: {_words(wrong)}") from wrong
        self.room -= len(unpacked)
        return unpacked


class _Gzip:
    """RFC 1952: one packet or several, one behind the other."""

    def __init__(self) -> None:
        self._packet = zlib.decompressobj(_GZIP)
        self._packets = 1

    def feed(self, data: bytes, room: int) -> bytes:
        unpacked: list[bytes] = []
        while data and room > 0:
            if self._packet.eof:
                # Some pad their last packet.
                data = data.lstrip(b"\0")
                if not data:
                    break
                if self._packets == MOST_PACKETS:
                    raise zlib.error("too many packets")
                self._packet = zlib.decompressobj(_GZIP)
                self._packets += 1
            unpacked.append(self._packet.decompress(data, room))
            room -= len(unpacked[-1])
            data = self._packet.unused_data
        return b"".join(unpacked)


class _Deflate:
    """RFC 9110's deflate, which is zlib's format, or the bare stream that some send instead."""

    def __init__(self) -> None:
        self._head = b""
        self._stream: Any = None

    def feed(self, data: bytes, room: int) -> bytes:
        if self._stream is None:
            self._head += data
            if len(self._head) < 2:
                return b""
            data = self._head
            first, second = data[:2]
            # A bare stream may begin with an 8 too, but only one that nobody writes.
            wrapped = first & 0x0F == 8 and (first << 8 | second) % 31 == 0
            self._stream = zlib.decompressobj(_ZLIB if wrapped else _RAW)
        return b"" if self._stream.eof else bytes(self._stream.decompress(data, room))


class _Brotli:
    """RFC 7932."""

    def __init__(self) -> None:
        self._stream = brotli.Decompressor()

    def feed(self, data: bytes, room: int) -> bytes:
        if self._stream.is_finished():
            return b""
        return bytes(self._stream.process(data, output_buffer_limit=room))


class _Zstd:
    """RFC 8878."""

    def __init__(self) -> None:
        reader = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW)
        self._stream = reader.decompressobj(read_across_frames=True)

    def feed(self, data: bytes, room: int) -> bytes:
        unpacked: list[bytes] = []
        for start in range(0, len(data), ZSTD_SLICE):
            if room <= 0:
                break
            unpacked.append(self._stream.decompress(data[start : start + ZSTD_SLICE]))
            room -= len(unpacked[-1])
        return b"".join(unpacked)


def _words(wrong: Exception) -> str:
    """Say it in a few words, like Go's gzip where that has its own."""
    said = str(wrong).rpartition(": ")[2]
    return "invalid header" if said == "incorrect header check" else said


def _library(name: str, needs: str) -> Any:
    """Import a library that has this attribute; None if there is none."""
    try:
        library = importlib.import_module(name)
    except ImportError:
        return None
    return library if hasattr(library, needs) else None


# Before 1.2 nothing bounds what it unpacks to. It has no attribute of its own for that.
brotli = _library("brotli", "Decompressor")
if brotli is not None and not hasattr(brotli.Decompressor, "can_accept_more_data"):
    brotli = None
zstandard = _library("zstandard", "ZstdDecompressor")

_WRONG: tuple[type[Exception], ...] = (
    zlib.error,
    *([brotli.error] if brotli is not None else []),
    *([zstandard.ZstdError] if zstandard is not None else []),
)

CODINGS: dict[str, Callable[[], Coding]] = {
    "gzip": _Gzip,
    "x-gzip": _Gzip,
    "deflate": _Deflate,
    **({"br": _Brotli} if brotli is not None else {}),
    **({"zstd": _Zstd} if zstandard is not None else {}),
}
