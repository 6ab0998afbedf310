"""Filling in `${env.NAME}` and `${credential.NAME}`, in the text of a file, before it is YAML.

As llama-swap does it, so that a reference may stand anywhere: for a number, in a key, in a list
without quotes.

Rule 1: a backslash and a double quote in a value are escaped, as YAML's double quotes want it;
nothing else is. A value of several lines is refused.
Rule 2: a reference within a variable is filled in, once; one within that is a mistake, and so is
one within a credential, which is somebody else's text.
Rule 3: a reference that cannot be filled in stays as it is. Only who has read the YAML can say
whether it stands in a comment and matters to nobody.
Rule 4: places stay those of the file as it is on disk.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping

import attrs

from swapd.config.credentials import Credentials, NoCredential
from swapd.config.nodes import Spot

# What a file may come to with everything filled in, in characters.
LONGEST = 4_000_000

# What a credential may be called is looked at later: "${credential.a/b}" is meant to be one.
_REFERENCE = re.compile(r"\$\{(env\.[a-zA-Z_][a-zA-Z0-9_]*|credential\.[^{}\s\"']*)\}")
# YAML counts lines by all of these.
LINE_END = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_NO_LINE = re.compile("[\n\r\x85\u2028\u2029\0]")
# What YAML reads as the very text that it is, also without quotes and in a list in brackets.
_PLAIN = re.compile(r"(?!(?:null|Null|NULL)\Z)[A-Za-z0-9_./+][A-Za-z0-9_./+=@~-]*")


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
    """The variables that were filled in, and their values; no credentials."""
    _why: Mapping[str, str]
    _insertions: Mapping[int, list[_Insertion]]

    def left_in(self, text: str) -> Iterator[str]:
        """Say what is wrong with the references that are left in a part of the text."""
        for name in dict.fromkeys(_REFERENCE.findall(text) if "${" in text else ()):
            yield self._why.get(name, _missing(name))

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


def fill_in(
    text: str, environ: Mapping[str, str], credentials: Credentials | None = None
) -> FilledIn:
    """Put the values of environment variables, and credentials, into the text of a file."""
    values = _Values(environ, credentials or Credentials({}))
    pieces: list[str] = []
    flaws: list[Flaw] = []
    why: dict[str, str] = {}
    insertions: dict[int, list[_Insertion]] = {}
    length = copied = 0
    spots = _Spots(text)
    for found in _REFERENCE.finditer(text):
        spot = spots.of(found.start())
        try:
            value = values.of(found[1], quoted=_quoted(text, found.start()))
        except _Unusable as wrong:
            why[found[1]] = str(wrong)
            flaws.append(Flaw(str(wrong), spot))
            continue
        pieces += (text[copied : found.start()], value)
        length += found.start() - copied + len(value)
        copied = found.end()
        if length > LONGEST:
            raise TooLong
        line = insertions.setdefault(spot[0], [])
        shift = line[-1].end - line[-1].ended if line else 0
        begin, ended = spot[1] + shift, spot[1] + len(found[0])
        line.append(_Insertion(begin, begin + len(value), spot[1], ended))
    filled = "".join([*pieces, text[copied:]])
    return FilledIn(filled, tuple(flaws), values.used, why, insertions)


def _quoted(text: str, position: int) -> bool:
    return position > 0 and text[position - 1] in "\"'"


class _Unusable(Exception):
    """A value that cannot be put into a file."""


@attrs.define
class _Values:
    """What references stand for, as it is put into a file."""

    _environ: Mapping[str, str]
    _credentials: Credentials
    used: dict[str, str] = attrs.field(factory=dict)
    """Variables that could be filled in."""

    def of(self, name: str, *, quoted: bool) -> str:
        """Find the value of a reference, and what it speaks of itself; raise `_Unusable`."""
        value = self._found(name)
        length = len(value)

        def inner(found: re.Match[str]) -> str:
            nonlocal length
            below = self._found(found[1], within=name)
            length += len(below)
            if length > LONGEST:
                raise TooLong
            return _escaped(found[1], below)

        filled = _escaped(name, value)
        if _kind(name) == "credential":
            if _REFERENCE.search(value):
                raise _Unusable(f"{_called(name)} speaks of something else to fill in")
            if not value.strip():
                raise _Unusable(f"{_called(name)} is empty")
            if not (quoted or _PLAIN.fullmatch(value)):
                # Read as a comment or an anchor, a key would vanish, and the lock with it.
                raise _Unusable(f"{_called(name)} has to stand in double quotes")
            return filled
        filled = _REFERENCE.sub(inner, filled)
        self.used[_bare(name)] = value
        return filled

    def _found(self, name: str, *, within: str = "") -> str:
        ending = f", which the value of {_bare(within)} speaks of" if within else ""
        if _kind(name) == "credential":
            try:
                value = self._credentials.find(_bare(name))
            except NoCredential as wrong:
                raise _Unusable(f"{wrong}{ending}") from wrong
        elif _bare(name) in self._environ:
            value = self._environ[_bare(name)]
        else:
            raise _Unusable(f"{_missing(name)}{ending}")
        if within and _REFERENCE.search(value):
            raise _Unusable(f"{_called(within)} speaks of others that speak of others")
        return value


def _kind(name: str) -> str:
    return name.partition(".")[0]


def _bare(name: str) -> str:
    return name.partition(".")[2]


def _missing(name: str) -> str:
    return f"{_called(name)} is not {'there' if _kind(name) == 'credential' else 'set'}"


def _called(name: str) -> str:
    words = "credential" if _kind(name) == "credential" else "environment variable"
    return f"{words} {_bare(name)}"


def _escaped(name: str, value: str) -> str:
    if _NO_LINE.search(value):
        raise _Unusable(f"{_called(name)} contains newlines or a NUL: no YAML takes it")
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
