r"""From the text of a command to its arguments.

Not a shell: no variables, globs, pipes or redirections. Not `shlex` either, which refuses a quote
that is left open and takes a carriage return for a space.

Rule 1: lines come first and know nothing of quotes. A line that begins with `#` is dropped; a line
that ends in a backslash is trimmed and has a space in its place.
Rule 2: arguments are separated by space, tab and newline, and by nothing else.
Rule 3: single quotes keep everything. In double quotes a backslash is special before `$`, a
backtick, `"`, another backslash and a newline, which vanishes with it; elsewhere it stays.
Rule 4: outside quotes a backslash makes the next character ordinary; before a newline or the end
it vanishes. A quote left open ends with the text.
"""

from enum import Enum

_SEPARATORS = frozenset(" \t\n")
_ESCAPED_IN_DOUBLE = frozenset('$`"\\')


class _Inside(Enum):
    NOTHING = ""
    SINGLE = "'"
    DOUBLE = '"'


def strip_comments(text: str) -> str:
    """Drop the lines that begin with `#`; the others keep their indentation, blank ones too."""
    return "\n".join(line for line in text.split("\n") if not line.strip().startswith("#"))


def split(text: str) -> tuple[str, ...]:
    """Split a command into arguments; none at all for an empty one."""
    return _arguments(_joined(text))


def _joined(text: str) -> str:
    lines = []
    for line in strip_comments(text).split("\n"):
        trimmed = line.strip()
        lines.append(f"{trimmed[:-1]} " if trimmed.endswith("\\") else line)
    return "\n".join(lines)


def _arguments(text: str) -> tuple[str, ...]:
    arguments: list[str] = []
    word: list[str] | None = None  # None between arguments, so that '' is an argument
    inside = _Inside.NOTHING
    characters = iter(text)
    for char in characters:
        if inside is _Inside.NOTHING and char in _SEPARATORS:
            if word is not None:
                arguments.append("".join(word))
            word = None
            continue
        if char == "\\" and inside is not _Inside.SINGLE:
            if not (char := _escaped(next(characters, ""), inside)):
                continue  # it vanishes, and alone it does not make an argument
        elif inside is _Inside.NOTHING and char in ("'", '"'):
            char, inside = "", _Inside(char)
        elif inside is not _Inside.NOTHING and char == inside.value:
            char, inside = "", _Inside.NOTHING
        word = [] if word is None else word
        word.append(char)
    if word is not None:
        arguments.append("".join(word))
    return tuple(arguments)


def _escaped(char: str, inside: _Inside) -> str:
    if char == "\n":
        return ""
    if inside is _Inside.NOTHING or char in _ESCAPED_IN_DOUBLE:
        return char
    return f"\\{char}"
