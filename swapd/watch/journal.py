"""What models write, kept for whoever asks later: a bounded ring for each.

Rule 1: writing never blocks and never grows: the oldest bytes go.
Rule 2: bytes are kept as they came; only a reader makes lines and characters of them.
"""

import logging
from collections import deque

import attrs

from swapd.ids import ModelId

log = logging.getLogger(__name__)

# llama-swap's history size, in bytes.
RING = 102_400

# A longer line, in characters, is cut for people; a progress bar may be one line of megabytes.
LONGEST_LINE = 500


@attrs.define
class RunOutput:
    """What one run of one model has written."""

    model: ModelId
    _pieces: deque[bytes] = attrs.field(factory=deque)
    _size: int = 0

    def write(self, data: bytes) -> None:
        """Keep it, and forget the oldest beyond the ring."""
        data = data[-RING:]
        self._pieces.append(data)
        self._size += len(data)
        while self._size > RING:
            self._forget(self._size - RING)
        if log.isEnabledFor(logging.DEBUG):
            for line in lines(data):
                log.debug("%s: %s", self.model, line)

    def last_lines(self, count: int) -> tuple[str, ...]:
        """Answer with the last lines that are not blank, oldest first."""
        return tuple(lines(b"".join(self._pieces))[-count:])

    def _forget(self, excess: int) -> None:
        oldest = self._pieces.popleft()
        self._size -= len(oldest)
        if len(oldest) > excess:
            kept = oldest[excess:]
            self._pieces.appendleft(kept)
            self._size += len(kept)


def lines(data: bytes) -> list[str]:
    """Make lines for people: no blank ones, no control characters, none too long.

    A carriage return overwrites what stood before it, as on a terminal.
    """
    text = data.decode(errors="replace")
    shown = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return [_printable(line)[:LONGEST_LINE] for line in shown if line.strip()]


def _printable(line: str) -> str:
    return "".join(char if char.isprintable() or char == "\t" else "\ufffd" for char in line)
