"""Parameters of a query that have a value, and what each may be.

Rule 1: whatever cannot be meant is refused; nothing is done rather than something else.
Rule 2: what the description says of a parameter is what is checked.
"""

import re
from collections.abc import Mapping
from typing import Any, Protocol

import attrs
from quart import request
from werkzeug.exceptions import BadRequest

# Beyond this, JSON's numbers are not exact everywhere.
LARGEST_NUMBER = 2**53 - 1

# Thirty years, which is for ever.
LONGEST = 1e9

_WHOLE = re.compile(r"[0-9]{1,16}")
_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


class Parameter(Protocol):
    """One parameter."""

    @property
    def why(self) -> str:
        """What it is for."""

    @property
    def form(self) -> str:
        """What it may be, for people."""

    @property
    def schema(self) -> Mapping[str, Any]:
        """What it may be, for programs."""

    def read(self, word: str) -> Any:
        """Read it; None for what it may not be."""


@attrs.frozen
class Words:
    """One of a few words."""

    why: str
    words: tuple[str, ...]

    @property
    def form(self) -> str:
        return "|".join(self.words)

    @property
    def schema(self) -> Mapping[str, Any]:
        return {"enum": list(self.words)}

    def read(self, word: str) -> str | None:
        return word if word in self.words else None


@attrs.frozen
class Number:
    """A whole number from 0."""

    why: str
    form: str = "NUMBER"

    @property
    def schema(self) -> Mapping[str, Any]:
        return {"type": "integer", "minimum": 0, "maximum": LARGEST_NUMBER}

    def read(self, word: str) -> int | None:
        # Not all that `int` takes: not "1_0", and no digits of other scripts.
        number = int(word) if _WHOLE.fullmatch(word) else -1
        return number if 0 <= number <= LARGEST_NUMBER else None


@attrs.frozen
class Seconds:
    """A duration."""

    why: str
    form: str = "SECONDS"

    @property
    def schema(self) -> Mapping[str, Any]:
        return {"type": "number", "minimum": 0, "maximum": LONGEST}

    def read(self, word: str) -> float | None:
        duration = float(word) if _DECIMAL.fullmatch(word) else -1.0
        return duration if 0 <= duration <= LONGEST else None


def read_query(parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    """Read what the query has of these; it may have each of them once, and nothing else.

    Raises `BadRequest`, naming what there may be.
    """
    found: dict[str, Any] = {}
    for name, words in request.args.lists():
        parameter = parameters.get(name)
        value = parameter.read(words[0]) if parameter and len(words) == 1 else None
        if value is None:
            forms = ", ".join(f"{each}={one.form}" for each, one in parameters.items())
            raise BadRequest(f"the parameters here are {forms}, each at most once")
        found[name] = value
    return found
