"""Listening to a model's answer while it passes through.

Rule 1: the client comes first: what is fed is set aside, and looked at in blocks.
Rule 2: memory is bounded, whatever passes. Of a stream only its unfinished line is kept, of a
large document its two ends, of sound and pictures nothing; and what a capture wants.
Rule 3: nothing is raised, and what comes out does not depend on where the answer was cut.
"""

import http
from typing import Protocol

import attrs

from swapd.watch.decoding import CannotDecode, decoder_for
from swapd.watch.tokens import (
    Account,
    Tokens,
    of_document,
    of_parts,
    parts_in,
    read_json,
    speaks,
)

# Enough for a hundred events, so that looking at them costs each next to nothing.
BLOCK = 16 * 1024

# A larger document is read at its ends. What it says of tokens stands before or behind what it
# is large for, and reading all of it would hold up everybody.
WHOLE = 64 * 1024
EDGE = WHOLE // 2

# The last event of a stream may hold the whole answer again, and the prompt.
LONGEST_LINE = 4 * 1024 * 1024

# What some servers put into every event but the last, as they write it.
SILENT = (b'"usage":null', b'"usage": null')

# Of an error's message, in bytes.
LONGEST_MESSAGE = 500

UNREADABLE = "response decompression failed: "

_BINARY = ("audio/", "image/", "video/", "application/octet-stream")


@attrs.frozen
class Found:
    """What an answer turned out to be."""

    tokens: Tokens = attrs.field(factory=Tokens)
    body: bytes | None = None
    """All of it, unpacked, if that was kept."""
    kept: bytes = b""
    """Its beginning, unpacked, as much as was to be kept."""
    truncated: bool = False
    """Whether there was more than `kept`."""
    failed: str = ""
    """Why it could not be unpacked."""

    def error(self, status: int) -> str:
        """Say what went wrong, for the record of the request; empty if nothing did."""
        if status < 400:
            return self.failed
        if self.failed:
            return f"response decode failed: {self.failed.removeprefix(UNREADABLE)}"
        return error_message(status, self.body or b"")


class Tap:
    """Is fed an answer's body, and says in the end what was in it."""

    __slots__ = ("_decoder", "_failed", "_keep", "_kept", "_pieces", "_reader", "_seen", "_size")

    def __init__(self, *, path: str, content_type: str, encoding: str, keep: int) -> None:
        self._decoder = decoder_for(encoding)
        self._reader = _reader_for(path, content_type.lower())
        self._keep = keep
        self._kept: list[bytes] = []
        self._seen = 0
        self._pieces: list[bytes] = []
        self._size = 0
        self._failed = ""

    def feed(self, piece: bytes) -> None:
        """Take the next piece, once the client has it."""
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > BLOCK:
            self._digest()

    def found(self) -> Found:
        """Say what was in it, once, at the end."""
        self._digest()
        if self._failed:
            return Found(failed=self._failed)
        kept = b"".join(self._kept)
        cut = self._decoder is not None and self._decoder.truncated
        body = kept if len(kept) == self._seen else self._reader.whole
        return Found(
            tokens=self._reader.tokens(),
            body=None if cut else body,
            kept=kept,
            truncated=cut or len(kept) < self._seen,
        )

    def _digest(self) -> None:
        block = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        if self._failed:
            return
        if self._decoder is not None:
            try:
                block = self._decoder.feed(block)
            except CannotDecode as wrong:
                self._failed = f"{UNREADABLE}{wrong}"
                self._kept.clear()
                self._reader = _Nothing()
                return
        if self._seen < self._keep:
            self._kept.append(block[: self._keep - self._seen])
        self._seen += len(block)
        self._reader.read(block)


def error_message(status: int, body: bytes) -> str:
    """Say in a line what an answer with an error is about; there is always something to say."""
    error = read_json(body)
    if isinstance(error, dict):
        inner = error.get("error")
        nested = inner.get("message") if isinstance(inner, dict) else None
        for said in (nested, *(error.get(key) for key in ("error", "message", "detail"))):
            if isinstance(said, str) and said.strip():
                return _shortened(said.strip())
    try:
        return f"{status} {http.HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP {status}"


def _shortened(text: str) -> str:
    # Half a surrogate pair, which JSON may hold, has no bytes.
    written = text.encode("utf-8", "replace")
    if len(written) <= LONGEST_MESSAGE:
        return written.decode()
    return written[:LONGEST_MESSAGE].decode("utf-8", "ignore") + "..."


class _Reader(Protocol):
    """Looks at an answer block by block."""

    @property
    def whole(self) -> bytes | None: ...

    def read(self, block: bytes) -> None: ...

    def tokens(self) -> Tokens: ...


def _reader_for(path: str, content_type: str) -> _Reader:
    if "text/event-stream" in content_type:
        return _Events()
    if content_type.startswith(_BINARY):
        return _Nothing()
    return _Document(infill=path.startswith("/infill"))


class _Nothing:
    """Sound, pictures, and what cannot be unpacked."""

    whole: bytes | None = None

    def read(self, block: bytes) -> None:
        pass

    def tokens(self) -> Tokens:
        return Tokens()


class _Events:
    """A stream of events, each of them a line."""

    whole: bytes | None = None

    def __init__(self) -> None:
        self._account = Account()
        self._line: list[bytes] = []
        self._length = 0

    def read(self, block: bytes) -> None:
        start = block.find(b"\n") + 1
        if start == 0:
            self._begin(block)
            return
        self._begin(block[: start - 1])
        self._end_line()
        end = block.rfind(b"\n") + 1
        self._fold(block[start:end])
        self._begin(block[end:])

    def tokens(self) -> Tokens:
        self._end_line()
        return self._account.tokens()

    def _begin(self, piece: bytes) -> None:
        """Keep what has no end yet. What is too long is only counted."""
        self._length += len(piece)
        if self._length <= LONGEST_LINE:
            self._line.append(piece)
        else:
            self._line.clear()

    def _end_line(self) -> None:
        self._fold(b"".join(self._line))
        self._line.clear()
        self._length = 0

    def _fold(self, lines: bytes) -> None:
        if not speaks(lines):
            return
        for silent in SILENT:
            lines = lines.replace(silent, b'"":null')
        if speaks(lines):
            for line in lines.split(b"\n"):
                # Asked again line by line: mostly it is one of many, and reading is the price.
                if len(line) <= LONGEST_LINE and speaks(line):
                    self._fold_line(line.strip())

    def _fold_line(self, line: bytes) -> None:
        if not line.startswith(b"data:"):
            return
        data = line.removeprefix(b"data:")
        self._account.event(read_json(data) if len(data) <= WHOLE else parts_in(data))


class _Document:
    """A document, such as JSON: all of it, or from some size on its two ends."""

    def __init__(self, *, infill: bool) -> None:
        self._infill = infill
        self._text = b""
        self._cut = False

    @property
    def whole(self) -> bytes | None:
        return None if self._cut else self._text

    def read(self, block: bytes) -> None:
        self._text += block
        if len(self._text) > WHOLE:
            self._text = self._text[:EDGE] + self._text[-EDGE:]
            self._cut = True

    def tokens(self) -> Tokens:
        if not speaks(self._text):
            return Tokens()
        if not self._cut:
            return of_document(self._text, infill=self._infill)
        head, tail = self._text[:EDGE], self._text[EDGE:]
        match head.lstrip()[:1] + tail.rstrip()[-1:]:
            case b"{}":
                return of_parts({**parts_in(head), **parts_in(tail)})
            case b"[]" if self._infill:
                return of_parts({"timings": parts_in(tail).get("timings")})
        return Tokens()
