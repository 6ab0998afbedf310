"""Filling in `${env.NAME}`, in the text of a file, before it is read as YAML.

As llama-swap does it, so that a reference may stand anywhere: for a number, in a key, in a list
without quotes.

Rule 1: a backslash and a double quote in a value are escaped, as YAML's double quotes want it;
nothing else is. A value of several lines is refused.
Rule 2: a reference within a value is filled in, once; one within that is a mistake.
Rule 3: a reference that cannot be filled in stays as it is. Only who has read the YAML can say
whether it stands in a comment and matters to nobody.
Rule 4: places stay those of the file as it is on disk.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping

import attrs

from swapd.config.nodes import Spot

# What a file may come to with everything filled in, in characters.
LONGEST = 4_000_000

_REFERENCE = re.compile(r"\$\{env\.([a-zA-Z_][a-zA-Z0-9_]*)\}")
# YAML counts lines by all of these.
LINE_END = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_NO_LINE = re.compile("[\n\r\x85\u2028\u2029\0]")


@attrs.frozen
class Flaw:
    """A reference that cannot be filled in, and where it stands."""

    message: str
    spot: Spot


@attrs.frozen
class _Insertion:
    """A value in its line: columns from 1, in the new line and in the old one."""

    begin: int
    end: int
    began: int
    ended: int


@attrs.frozen
class FilledIn:
    """A text with its values, and the way back to where things stood."""

    text: str
    flaws: tuple[Flaw, ...]
    """References that stay; those in comments among them."""
    used: Mapping[str, str]
    """The variables that were filled in, and their values."""
    _why: Mapping[str, str]
    _insertions: Mapping[int, list[_Insertion]]

    def left_in(self, text: str) -> Iterator[str]:
        """Say what is wrong with the references that are left in a part of the text."""
        for name in dict.fromkeys(_REFERENCE.findall(text) if "${env." in text else ()):
            yield self._why.get(name, _not_set(name))

    def original(self, spot: Spot) -> Spot:
        """Tell where something stood before the values came in."""
        line, column = spot
        if not (insertions := self._insertions.get(line)):
            return spot
        before = bisect_right(insertions, column, key=lambda one: one.begin)
        if not before:
            return spot
        one = insertions[before - 1]
        return line, one.began if column < one.end else column + one.ended - one.end


class TooLong(Exception):
    """The text grows beyond `LONGEST`."""


def fill_in(text: str, environ: Mapping[str, str]) -> FilledIn:
    """Put the values of environment variables into the text of a file."""
    pieces: list[str] = []
    flaws: list[Flaw] = []
    why: dict[str, str] = {}
    used: dict[str, str] = {}
    insertions: dict[int, list[_Insertion]] = {}
    length = copied = 0
    spots = _Spots(text)
    for found in _REFERENCE.finditer(text):
        spot = spots.of(found.start())
        try:
            value = _value(found[1], environ)
        except _Unusable as wrong:
            why[found[1]] = str(wrong)
            flaws.append(Flaw(str(wrong), spot))
            continue
        used[found[1]] = environ[found[1]]
        pieces += (text[copied : found.start()], value)
        length += found.start() - copied + len(value)
        copied = found.end()
        if length > LONGEST:
            raise TooLong
        line = insertions.setdefault(spot[0], [])
        shift = line[-1].end - line[-1].ended if line else 0
        begin, ended = spot[1] + shift, spot[1] + len(found[0])
        line.append(_Insertion(begin, begin + len(value), spot[1], ended))
    return FilledIn("".join([*pieces, text[copied:]]), tuple(flaws), used, why, insertions)


class _Unusable(Exception):
    """A value that cannot be put into a file."""


def _value(name: str, environ: Mapping[str, str]) -> str:
    if (value := environ.get(name)) is None:
        raise _Unusable(_not_set(name))

    length = len(value)

    def inner(found: re.Match[str]) -> str:
        nonlocal length
        below = environ.get(found[1])
        if below is None:
            raise _Unusable(f"{_not_set(found[1])}, which the value of {name} speaks of")
        if _REFERENCE.search(below):
            raise _Unusable(f"environment variable {name} speaks of others that speak of others")
        length += len(below)
        if length > LONGEST:
            raise TooLong
        return _escaped(found[1], below)

    return _REFERENCE.sub(inner, _escaped(name, value))


def _not_set(name: str) -> str:
    return f"environment variable {name} is not set"


def _escaped(name: str, value: str) -> str:
    if _NO_LINE.search(value):
        raise _Unusable(
            f"environment variable {name} contains newlines or a NUL: no YAML takes it"
        )
    return value.replace("\\", "\\\\").replace('"', '\\"')


class _Spots:
    """Lines and columns of positions that are asked for in ascending order."""

    def __init__(self, text: str) -> None:
        self._ends = LINE_END.finditer(text)
        self._next = next(self._ends, None)
        self._line = 1
        self._begin = 0

    def of(self, position: int) -> Spot:
        while self._next is not None and self._next.end() <= position:
            self._line += 1
            self._begin = self._next.end()
            self._next = next(self._ends, None)
        return self._line, position - self._begin + 1
