"""Problems as people and editors read them.

Rule 1: one line a problem, `file:line:col: path: message`, which editors and terminals make links
of; below it, for people, the line of the file with a caret.
Rule 2: nothing here fails: a file that has gone meanwhile has no lines to show.
"""

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from swapd.config.problems import Located, spelled

# Wider lines are cut around the caret.
WIDEST = 76

Lines = Callable[[str], Sequence[str]]
"""The lines of a file, by its name; none if it cannot be read."""


def as_text(problems: Iterable[Located], lines: Lines | None = None, *, kind: str = "") -> str:
    """Write problems for people, with the lines that they are about if `lines` has them.

    `kind` is as for `Located.line`.
    """
    written: list[str] = []
    for located in problems:
        written.append(located.line(kind))
        place = located.place
        if lines is not None and place is not None and place.line:
            found = lines(place.file)
            if place.line <= len(found):
                written += _pointed(found[place.line - 1], place.column)
    return "\n".join(written)


def as_data(problems: Iterable[Located]) -> list[dict[str, Any]]:
    """Write problems for programs: file, line, column, path and message."""
    return [
        {
            "file": located.place.file if located.place else None,
            "line": located.place.line if located.place else 0,
            "column": located.place.column if located.place else 0,
            "path": spelled(located.problem.path),
            "message": located.problem.message,
        }
        for located in problems
    ]


def _pointed(line: str, column: int) -> tuple[str, str]:
    begin = max(0, column - 1 - WIDEST // 2) if len(line) > WIDEST else 0
    shown = "".join(char if char.isprintable() else " " for char in line[begin : begin + WIDEST])
    ahead = shown[: column - 1 - begin]
    return f"    {shown.rstrip()}", f"    {' ' * sum(map(_width, ahead))}^"


def _width(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
