"""Which model a form (multipart/form-data) means, and where in it that stands.

Rule 1: pure; fed pieces that may be cut anywhere, it keeps only what is not yet understood.
Rule 2: nothing is changed or put together anew: who renames the model changes those bytes alone.
Rule 3: what two readers could take for two different forms is refused in one sentence, be it that
one of them would end a line, a quotation or a part where the other does not.
"""

import re
from collections.abc import Iterator
from enum import Enum

import attrs

# The fields that are read. Their values are short; a file may be of any size.
READ = (b"model", b"stream")
LONGEST_VALUE = 4096

# A part's headers: three short lines, as a rule.
LONGEST_HEAD = 16 * 1024

# How often the boundary may appear: no client sends that many parts, and with the longest heads
# they cost a second of reading.
MOST_BOUNDARIES = 1000

# Encodings that are none, for a value that is read as it stands.
PLAIN = (b"7bit", b"8bit", b"binary")

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_PARAMETER = re.compile(rb'[ \t]*;[ \t]*(%b)=(?:(%b)|"([^"]*)")' % (_TOKEN, _TOKEN))
_HEADER = re.compile(rb"(%b):([^\r\n\0]*)" % _TOKEN)

# RFC 2046, 5.1.1.
_BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")

# What behind a boundary makes it part of another word, which can be in any file.
_LONGER = re.compile(rb"[^ \t\r\n-]|-[^-]")


class BadForm(Exception):
    """The form cannot be read in one way only."""


@attrs.frozen
class Form:
    """What a form says of the model it is for."""

    model: str
    """"" if it does not say."""
    stream: bool
    places: tuple[tuple[int, int], ...]
    """Where in the form's bytes the model's name begins and ends."""


def boundary_of(content_type: bytes) -> bytes:
    """Answer with the boundary that a Content-Type announces; raise `BadForm`."""
    kind, parameters = _value(content_type, "Content-Type")
    if kind != b"multipart/form-data":
        raise BadForm("the Content-Type is not that of a form (multipart/form-data)")
    boundary = parameters.get(b"boundary")
    if not boundary:
        raise BadForm("the form's Content-Type names no boundary")
    if _BOUNDARY.fullmatch(boundary) is None:
        raise BadForm("the form's boundary is longer than 70 characters or has odd ones")
    return boundary


class FormScanner:
    """Reads a form while it comes."""

    def __init__(self, boundary: bytes) -> None:
        self._boundary = b"--" + boundary
        # A boundary is preceded by a line break; the first may do without.
        self._held = bytearray(b"\r\n")
        self._offset = -2
        """Where in the form what is held begins."""
        self._looked = 2
        """Up to where in what is held no boundary begins."""
        self._begun = -2
        """Where in the form the content that is being read begins."""
        self._step = _Step.PREAMBLE
        self._field: bytes | None = None
        """Which of the fields that matter is being read."""
        self._found: dict[bytes, tuple[int, bytes]] = {}
        self._boundaries = 0

    def feed(self, piece: bytes) -> None:
        """Read on; raise `BadForm`."""
        self._held += piece
        self._read(over=False)

    def end(self) -> Form:
        """Answer with what was read, now that nothing more comes; raise `BadForm`."""
        self._read(over=True)
        if self._step is not _Step.EPILOGUE:
            raise BadForm("the form never ends: the boundary that closes it is missing")
        begin, model = self._found.get(b"model", (0, b""))
        places = ((begin, begin + len(model)),) if b"model" in self._found else ()
        _, stream = self._found.get(b"stream", (0, b""))
        return Form(_text(b"model", model), _text(b"stream", stream) == "true", places)

    def _read(self, *, over: bool) -> None:
        while self._head() if self._step is _Step.HEAD else self._content(over=over):
            pass
        if self._step is not _Step.HEAD and self._field is None:
            self._forget(self._looked - 2)  # A line break may belong to a boundary.

    def _head(self) -> bool:
        """Read a part's headers, between two line breaks, if they are there."""
        end = self._held.find(b"\r\n\r\n")
        if (end if end >= 0 else len(self._held) - 3) > LONGEST_HEAD:
            raise BadForm(f"the head of a part of the form is longer than {LONGEST_HEAD} bytes")
        if end < 0:
            return False
        self._field = _field(bytes(self._held[2:end]))
        if self._field in self._found:
            raise BadForm(f'the field "{self._field.decode()}" stands twice in the form')
        self._forget(end + 2)
        self._begun = self._offset + 2
        self._looked = 2
        self._step = _Step.PART
        return True

    def _content(self, *, over: bool) -> bool:
        """Read up to the next boundary, if it is there."""
        while (at := self._held.find(self._boundary, self._looked)) >= 0:
            self._looked = at
            behind = at + len(self._boundary)
            line = _line(
                bytes(self._held[at - 2 : at]), bytes(self._held[behind : behind + 4]), over=over
            )
            if line is _Line.UNKNOWN:
                break
            self._looked = behind
            self._boundaries += 1
            if self._boundaries > MOST_BOUNDARIES:
                raise BadForm(f"the form has its boundary more than {MOST_BOUNDARIES} times")
            if line is not _Line.NONE:
                self._end_part(at - 2)
                self._forget(behind)
                self._looked = 2
                self._step = _Step.HEAD if line is _Line.NEXT else _Step.EPILOGUE
                return True
        else:
            self._looked = max(self._looked, len(self._held) - len(self._boundary) + 1)
        self._bound(self._looked - 2)
        return False

    def _end_part(self, end: int) -> None:
        if self._step is _Step.EPILOGUE:
            raise BadForm("the form goes on behind the boundary that closes it")
        if self._offset + end < self._begun:
            raise BadForm("a part of the form ends before the empty line behind its head")
        self._bound(end)
        if self._field is not None:
            begin = self._begun - self._offset
            self._found[self._field] = (self._begun, bytes(self._held[begin:end]))
            self._field = None

    def _bound(self, end: int) -> None:
        if self._field is not None and self._offset + end - self._begun > LONGEST_VALUE:
            raise BadForm(
                f'the field "{self._field.decode()}" is longer than {LONGEST_VALUE} bytes'
            )

    def _forget(self, count: int) -> None:
        del self._held[:count]
        self._offset += count
        self._looked -= count


class _Step(Enum):
    """What is being read."""

    PREAMBLE = "preamble"
    HEAD = "head"
    PART = "part"
    EPILOGUE = "epilogue"


class _Line(Enum):
    """What a boundary is, by what stands around it."""

    NONE = "a few bytes like others"
    NEXT = "a line before a part"
    LAST = "the line that closes the form"
    UNKNOWN = "more of it has to come"


def _line(before: bytes, behind: bytes, *, over: bool) -> _Line:
    if not before.endswith((b"\r", b"\n")) or _LONGER.match(behind):
        return _Line.NONE
    if before == b"\r\n":
        if behind.startswith(b"\r\n"):
            return _Line.NEXT
        if behind == b"--\r\n" or (over and behind == b"--"):
            return _Line.LAST
    if behind in (b"", b"\r", b"-", b"--", b"--\r"):
        return _Line.NONE if over else _Line.UNKNOWN
    raise BadForm("the form has its boundary on a line that is not ended, or begun, by CR LF")


def _field(head: bytes) -> bytes | None:
    """Name the field whose head this is, if it is one of those that are read."""
    disposition = None
    plain = True
    for name, value in _headers(head):
        if name == b"content-disposition":
            if disposition is not None:
                raise BadForm("a part of the form has two Content-Dispositions")
            disposition = value
        elif name == b"content-transfer-encoding":
            plain = plain and value.lower() in PLAIN
    if disposition is None:
        raise BadForm("a part of the form has no Content-Disposition")
    kind, parameters = _value(disposition, "Content-Disposition of a part")
    name = parameters.get(b"name", b"")
    if kind != b"form-data" or not name:
        raise BadForm("a part of the form has a Content-Disposition without form-data or name")
    if b"\\" in name or any(key.startswith(b"name*") for key in parameters):
        raise BadForm("a part of the form has a name that is not plain")
    if name not in READ or any(key.partition(b"*")[0] == b"filename" for key in parameters):
        return None
    if not plain:
        raise BadForm(f'the field "{name.decode()}" is encoded')
    return name


def _headers(head: bytes) -> Iterator[tuple[bytes, bytes]]:
    for line in head.split(b"\r\n") if head else []:
        header = _HEADER.fullmatch(line)
        if header is None:
            raise BadForm("the head of a part of the form has a line that is no header")
        yield header[1].lower(), header[2].strip(b" \t")


def _value(value: bytes, what: str) -> tuple[bytes, dict[bytes, bytes]]:
    """Split a header's value into its first word, in small letters, and its parameters."""
    value = value.strip(b" \t")
    kind = value.partition(b";")[0]
    parameters: dict[bytes, bytes] = {}
    at = len(kind)
    while at < len(value):
        parameter = _PARAMETER.match(value, at)
        if parameter is None or (parameter[3] or b"").endswith(b"\\"):
            raise BadForm(f"the {what} cannot be read from its character {at + 1} on")
        name = parameter[1].lower()
        if name in parameters:
            raise BadForm(f"the {what} says twice what its {name.decode()} is")
        parameters[name] = parameter[2] or parameter[3] or b""
        at = parameter.end()
    return kind.strip(b" \t").lower(), parameters


def _text(name: bytes, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as problem:
        raise BadForm(f'the field "{name.decode()}" is not UTF-8') from problem
