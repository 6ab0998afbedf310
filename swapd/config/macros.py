"""Macros: what they are called, what they may stand for, and filling them in.

Rule 1: macros are filled in from the last of their order to the first, each once; so a macro's
value may speak of macros before it, and nothing can run in circles.
Rule 2: a text that is nothing but `${NAME}` becomes the macro's value with its type.
Rule 3: what does not look like `${NAME}` is left alone: it belongs to whatever the command starts.
"""

import re
from collections.abc import Iterable, Iterator

import attrs

from swapd.config.problems import KeyPath, Problem
from swapd.config.values import Value, shown, text_of

# More than any command line that Linux starts; macros of macros could fill any memory.
LONGEST_TEXT = 1_000_000
LONGEST_NAME = 63

# What swapd fills in itself.
RESERVED = frozenset(("PORT", "MODEL_ID", "PID"))

_NAME = re.compile(r"[a-zA-Z0-9_-]+")
_REFERENCE = re.compile(r"\$\{([a-zA-Z0-9_-]+)\}")


@attrs.frozen
class Macro:
    """A name and what it stands for."""

    name: str
    value: str | int | float | bool

    @property
    def reference(self) -> str:
        """Spell how a text asks for it."""
        return f"${{{self.name}}}"


class TooLong(Exception):
    """A text grew beyond `LONGEST_TEXT`."""

    def __init__(self) -> None:
        super().__init__(f"grows beyond {LONGEST_TEXT} characters when macros are filled in")


def declared(value: Value, path: KeyPath) -> tuple[tuple[Macro, ...], tuple[Problem, ...]]:
    """Read a `macros` block as far as it goes, and say what does not."""
    if value is None:
        return (), ()
    if not isinstance(value, dict):
        return (), (Problem(path, f"expected a mapping, got {shown(value)}"),)
    macros: list[Macro] = []
    problems: list[Problem] = []
    for name, below in value.items():
        if wrong := _wrong_name(name):
            problems.append(Problem(path, wrong, name))
        elif below is None or isinstance(below, (list, dict)):
            wrong = f"a macro must be text, a number or a boolean, not {shown(below)}"
            problems.append(Problem((*path, name), wrong))
        elif isinstance(below, str) and Macro(name, below).reference in below:
            problems.append(Problem((*path, name), "a macro cannot contain itself"))
        else:
            macros.append(Macro(name, below))
    return tuple(macros), tuple(problems)


class Macros:
    """Macros in their order, on top of others: a namesake takes the place of the one below."""

    def __init__(
        self,
        macros: Iterable[Macro] = (),
        *,
        over: "Macros | None" = None,
        first: Macro | None = None,
    ) -> None:
        """`first` comes before all others, and so may speak of none."""
        self._over = over
        self._length: int = over._length if over else 0
        self._own = {} if first is None else {first.name: (-1, first)}
        for macro in macros:
            below = self.find(macro.name)
            self._own[macro.name] = (self._length if below is None else below[0], macro)
            self._length += below is None

    def find(self, name: str) -> tuple[int, Macro] | None:
        """Find a macro and its place in the order."""
        return self._own.get(name) or (self._over.find(name) if self._over else None)

    def last_in(self, text: str, *, before: int) -> tuple[int, Macro] | None:
        """Find the last macro, before a place in the order, that a text asks for."""
        asked = (self.find(name) for name in set(_REFERENCE.findall(text)))
        known = [found for found in asked if found is not None and found[0] < before]
        return max(known, key=lambda found: found[0], default=None)

    def __len__(self) -> int:
        return self._length


def substitute(value: Value, macros: Macros) -> Value:
    """Fill in macros throughout a value; keys stay. May raise `TooLong`."""
    match value:
        case str():
            return substitute_text(value, macros)
        case dict():
            return {key: substitute(below, macros) for key, below in value.items()}
        case list():
            return [substitute(below, macros) for below in value]
        case _:
            return value


def substitute_text(text: str, macros: Macros) -> str | int | float | bool:
    """Fill in macros in one text. May raise `TooLong`."""
    place = len(macros)
    while "${" in text and (found := macros.last_in(text, before=place)):
        place, macro = found
        if text != macro.reference:
            text = _replaced(text, macro)
        elif isinstance(macro.value, str):
            text = macro.value
        else:
            return macro.value
    return text


def unknown(
    value: Value, path: KeyPath, macros: Macros, *, known: frozenset[str] = frozenset()
) -> Iterator[Problem]:
    """Tell of every reference that is left after filling in, except to `known` names."""
    match value:
        case str():
            for message in unknown_in(value, macros, known=known):
                yield Problem(path, message)
        case dict():
            for key, below in value.items():
                yield from unknown(below, (*path, key), macros, known=known)
        case list():
            for position, below in enumerate(value):
                yield from unknown(below, (*path, position), macros, known=known)
        case _:
            return


def unknown_in(text: str, macros: Macros, *, known: frozenset[str] = frozenset()) -> Iterator[str]:
    """Say what is wrong with the references that are left in a text."""
    for name in dict.fromkeys(_REFERENCE.findall(text)):
        if name in known:
            continue
        why = {
            "PORT": "it is known inside a model whose cmd uses ${PORT}",
            "MODEL_ID": "it is known inside a model only",
            "PID": "it is known in cmdStop only",
        }.get(name)
        if macros.find(name) is not None:
            why = "a macro can use only those declared before it"
        yield f"unknown macro ${{{name}}}" + (f": {why}" if why else "")


def _wrong_name(name: str) -> str | None:
    if len(name) > LONGEST_NAME:
        return f"a macro's name must not be longer than {LONGEST_NAME} characters"
    if not _NAME.fullmatch(name):
        return "a macro's name must be of letters, digits, _ and -: invalid characters"
    if name in RESERVED:
        return f"the macro name {name} is reserved: swapd fills it in itself"
    return None


def _replaced(text: str, macro: Macro) -> str:
    count = text.count(macro.reference)
    filling = text_of(macro.value)
    if len(text) + count * (len(filling) - len(macro.reference)) > LONGEST_TEXT:
        raise TooLong
    return text.replace(macro.reference, filling)
