"""What models write, made into lines for people.

Rule 1: a carriage return overwrites what stood before it, as on a terminal.
Rule 2: nothing that a terminal would obey gets through, and no line is endless.
"""

from collections.abc import Callable

import attrs

from swapd.watch.monitor import Monitor

# A longer line, in characters, is cut for people; a progress bar may be one line of megabytes.
LONGEST_LINE = 500

# What is not yet a whole line becomes one when it is longer, in bytes.
LONGEST_WAIT = 8 * 1024


@attrs.define(eq=False)
class RunOutput:
    """What one run of one model writes."""

    _monitor: Monitor
    """Its model's, which has what earlier runs wrote as well."""
    _tell: Callable[[bytes], None]
    """Told of every piece, and of b"" when there will be no more."""
    _written: int = 0

    def write(self, data: bytes) -> None:
        """Keep it, and hand it on."""
        self._written += len(data)
        self._monitor.write(data)
        if data:
            self._tell(data)

    def last_lines(self, count: int) -> tuple[str, ...]:
        """Answer with the last lines of this run that are not blank, oldest first."""
        history = self._monitor.history()
        return tuple(lines(history[max(0, len(history) - self._written) :])[-count:])

    def end(self) -> None:
        """Say that the run has written all that it will."""
        self._tell(b"")


class Assembly:
    """Makes whole lines of pieces, however they were cut."""

    def __init__(self) -> None:
        self._open = bytearray()
        """What may become longer yet."""

    def feed(self, data: bytes) -> list[str]:
        """Answer with the lines that are whole now; blank ones are none."""
        whole: list[str] = []
        *ended, rest = data.split(b"\n")
        for end in ended:
            self._open += end
            whole += self.flush()
        self._open += rest
        if len(self._open) > LONGEST_WAIT:
            self._overwrite()
        while len(self._open) > LONGEST_WAIT:
            whole += self._cut()
        return whole

    def flush(self) -> list[str]:
        """Take what there is for a whole line, if it is not blank."""
        whole: list[str] = []
        self._overwrite()
        while len(self._open) > LONGEST_WAIT:
            whole += self._cut()
        whole += _shown(self._open.rstrip(b"\r"))
        self._open.clear()
        return whole

    def _overwrite(self) -> None:
        # A carriage return at the end overwrites nothing yet: a line's end may follow.
        written = self._open.rstrip(b"\r")
        returned = len(written) < len(self._open)
        self._open = written.rpartition(b"\r")[2] + b"\r" * returned

    def _cut(self) -> list[str]:
        end = LONGEST_WAIT
        # Not within a character, of which up to three bytes may stand before the end.
        while self._open[end] & 0xC0 == 0x80 and end > LONGEST_WAIT - 3:
            end -= 1
        line = _shown(self._open[:end])
        del self._open[:end]
        return line


def lines(data: bytes) -> list[str]:
    """Make lines for people: no blank ones, no control characters, none too long."""
    text = data.decode(errors="replace")
    shown = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return [_printable(line)[:LONGEST_LINE] for line in shown if line.strip()]


def visible(text: str) -> str:
    """Write what would not be seen as an escape, such as line ends; all but a tab."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one == "\t" else _escaped(one) for one in text)


def _shown(line: bytes | bytearray) -> list[str]:
    text = line.decode(errors="replace")
    return [] if not text or text.isspace() else [visible(text)]


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()


def _printable(line: str) -> str:
    return "".join(char if char.isprintable() or char == "\t" else "\ufffd" for char in line)
