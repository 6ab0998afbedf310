"""Putting what the daemon says in front of people. Pure, but for the two that write.

Rule 1: nothing that a server said reaches a terminal as anything but letters: no escape moves the
cursor, no line break forges a line, no mark turns the direction of what follows.
"""

import json
import math
import re
import sys
import unicodedata
from collections.abc import Sequence
from datetime import datetime

# What stands between two columns.
GAP = "  "

# What JSON has outside of its texts, where an escape would be no JSON.
_LINES = re.compile(r"[^\n\r\t]+")

_UNITS = ("KiB", "MiB", "GiB", "TiB")


def say(text: str) -> None:
    """Write to where a script reads."""
    sys.stdout.write(text)


def complain(text: str) -> None:
    """Write a line for people, made harmless."""
    sys.stderr.write(f"swapd: {visible(text)}\n")


def say_exactly(body: bytes) -> None:
    """Write JSON as the endpoint did, ending the line; to a terminal with what is no letter
    escaped, which means the same.
    """
    text = body.decode("utf-8", "replace") if sys.stdout.isatty() else None
    if text is not None:
        body = _LINES.sub(lambda line: _json_visible(line[0]), text).encode()
    sys.stdout.flush()
    sys.stdout.buffer.write(body if body.endswith(b"\n") else body + b"\n")
    sys.stdout.flush()


def visible(text: str) -> str:
    """Escape what is no letter."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def width(text: str) -> int:
    """Count the columns that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(map(_columns, text))


def cut(text: str, columns: int) -> str:
    """Leave out what does not fit, and show that something is."""
    if width(text) <= columns:
        return text
    kept, left = "", columns - 1
    for each in text:
        left -= _columns(each)
        if left < 0:
            break
        kept += each
    return kept + "…" if columns > 0 else ""


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Write a table, each column as wide as the widest in it, made harmless."""
    cells = [headings, *([visible(cell) for cell in row] for row in rows)]
    widths = [max(map(width, column)) for column in zip(*cells, strict=True)]
    return [
        GAP.join(
            cell + " " * (wide - width(cell)) for cell, wide in zip(row, widths, strict=True)
        ).rstrip()
        for row in cells
    ]


def count(number: float | None) -> str:
    """Write a whole number; "-" for what is not known."""
    return "-" if number is None else f"{number:.0f}"


def lasting(seconds: float | None) -> str:
    """Write a duration, as exact as anybody cares for its length."""
    if seconds is None:
        return "-"
    for limit, unit, word in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            number = f"{seconds:.1f}" if seconds < 10 else f"{seconds / unit:.0f}"
            return f"{number} {word}"
    return f"{seconds / 86_400:.0f} d"


def size(amount: float | None) -> str:
    """Write an amount of memory, given in bytes."""
    if amount is None:
        return "-"
    power = max(1, min(len(_UNITS), int(math.log2(max(1, amount)) // 10)))
    number = amount / 1024**power
    return f"{number:.{1 if number < 100 else 0}f} {_UNITS[power - 1]}"


def instant(text: str | None) -> datetime | None:
    """Read an instant; None for what is none."""
    try:
        return None if text is None else datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError, OSError):
        return None


def since(text: str | None, now: datetime) -> str:
    """Write an instant in local time, with the day where that is another."""
    at = instant(text)
    if at is None:
        return text or "-"
    return at.strftime("%H:%M:%S" if at.date() == now.date() else "%Y-%m-%d %H:%M")


def until(text: str | None, now: datetime) -> str:
    """Write how long it is until an instant."""
    at = instant(text)
    return text or "-" if at is None else lasting(max(0.0, (at - now).total_seconds()))


def _escaped(each: str) -> str:
    return each.encode("unicode_escape").decode("ascii")


def _json_visible(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)


def _columns(each: str) -> int:
    if unicodedata.category(each) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(each) in "WF" else 1
