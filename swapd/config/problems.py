"""What is wrong with a configuration, and where.

Rule 1: a step that finds a mistake says so with a `Problem` and goes on; none stops at the first.
Rule 2: a problem knows its path, not its place; only who has read the files can tell the place.
Rule 3: a problem prints as one line, `file:line:col: models.qwen.ttl: expected ...`; what more
people and editors are shown is made in `report.py`.
"""

import json
import re
from collections.abc import Iterable

import attrs

KeyPath = tuple[str | int, ...]
"""The keys and list positions that lead to a value, outermost first."""

# Anything else in a key could be taken for the path's own punctuation, and is quoted.
_BARE_KEY = re.compile(r"[^\s.\[\]\"'\x00-\x1f\x7f]+")


@attrs.frozen
class Problem:
    """One mistake, by the path of the value that has it."""

    path: KeyPath
    message: str
    key: str | None = None
    """The key inside `path` that is at fault, where it is the key and not its value."""

    @property
    def subject(self) -> KeyPath:
        """Name the value or the key that the problem is about."""
        return self.path if self.key is None else (*self.path, self.key)


@attrs.frozen(order=True)
class Place:
    """Where in which file; counted from 1, and 0 for the file as a whole."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@attrs.frozen
class Located:
    """A problem and its place; no place when no file is to blame."""

    problem: Problem
    place: Place | None = None

    def __str__(self) -> str:
        return self.line()

    def line(self, kind: str = "") -> str:
        """Write both in one line; `kind` stands between place and path, for what is no error."""
        told = (str(self.place or ""), kind, spelled(self.problem.path), self.problem.message)
        return ": ".join(part for part in told if part)


class ConfigError(Exception):
    """A configuration that cannot be used, with everything that is wrong with it."""

    def __init__(self, problems: Iterable[Located]) -> None:
        self.problems = tuple(sorted(problems, key=by_place))
        super().__init__("\n".join(str(located) for located in self.problems))


def spelled(path: KeyPath) -> str:
    """Write a path as an operator would: `models.qwen.env[0]`, odd keys in quotes."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            shown = step if _BARE_KEY.fullmatch(step) else json.dumps(step, ensure_ascii=False)
            text += f".{shown}" if text else shown
    return text


def by_place(located: Located) -> tuple[Place, str, str]:
    """Order problems as a reader of the files meets them."""
    place = located.place or Place("")
    return place, spelled(located.problem.path), located.problem.message
