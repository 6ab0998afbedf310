"""What a client may ask of the record of requests, read as llama-swap reads it.

Rule 1: blank is as good as absent, and white space around a value is none of it.
Rule 2: the sentences are llama-swap's, which its pages show as they are.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs
from quart import request

from swapd.manage.parameters import Parameter
from swapd.watch.activity import LIMIT, SORTS, Query

MOST_ROWS = 999

# What a number may be in llama-swap's language, and in SQLite.
_LARGEST = 2**63 - 1

_INTEGER = re.compile(r"[+-]?[0-9]{1,25}")
_DATE = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8})([.,][0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})")

_BLANK = {"type": "string", "pattern": r"^\s*$"}

ORDERS = ("asc", "desc")


class Mistake(Exception):
    """What a query cannot mean."""


@attrs.frozen
class Text:
    """Any text."""

    why: str
    many: bool = False
    form: str = "TEXT"

    @property
    def schema(self) -> Mapping[str, Any]:
        text = {"type": "string"}
        return {"type": "array", "items": text} if self.many else text

    def read(self, word: str) -> str:
        return word


@attrs.frozen
class Whole:
    """A whole number that is not below 1."""

    why: str
    most: int = _LARGEST
    form: str = "NUMBER"

    @property
    def schema(self) -> Mapping[str, Any]:
        number = {"type": "integer", "minimum": 1, "maximum": self.most}
        return {"anyOf": [number, _BLANK]}

    def read(self, word: str) -> int | None:
        number = _integer(word)
        return number if number is not None and 1 <= number <= self.most else None


@attrs.frozen
class Word:
    """One of a few words; `any_case` for those that may be shouted."""

    why: str
    words: tuple[str, ...]
    any_case: bool = False

    @property
    def form(self) -> str:
        return "|".join(self.words)

    @property
    def schema(self) -> Mapping[str, Any]:
        if not self.any_case:
            return {"anyOf": [{"enum": list(self.words)}, _BLANK]}
        each = ["".join(f"[{char}{char.upper()}]" for char in word) for word in self.words]
        return {"anyOf": [{"type": "string", "pattern": f"^({'|'.join(each)})$"}, _BLANK]}

    def read(self, word: str) -> str | None:
        word = word.lower() if self.any_case else word
        return word if word in self.words else None


@attrs.frozen
class Date:
    """A date with a time and its offset."""

    why: str
    form: str = "RFC3339"

    @property
    def schema(self) -> Mapping[str, Any]:
        return {"anyOf": [{"type": "string", "format": "date-time"}, _BLANK]}

    def read(self, word: str) -> int | None:
        """Read it as Unix time; fractions of a second do not count."""
        found = _DATE.fullmatch(word)
        if found is None:
            return None
        try:
            moment = datetime.fromisoformat(found[1] + found[3].replace("Z", "+00:00"))
        except ValueError:
            return None
        return int(moment.timestamp())


MODEL = Text("count only the requests for the model of this id")

PARAMETERS: Mapping[str, Parameter] = {
    "model": Text("list only the requests for the models of these ids", many=True),
    "start": Date("list only what was over at this time or later"),
    "end": Date("list only what was over at this time or earlier"),
    "min_id": Whole("list only the row of this number and later ones"),
    "max_id": Whole("list only the row of this number and earlier ones"),
    "limit": Whole(f"list so many rows, instead of {LIMIT}", most=MOST_ROWS),
    "page": Whole("list the rows of this page, instead of the first"),
    "sort": Word("sort by this, instead of id", tuple(SORTS)),
    "order": Word("list the least first, or the greatest as else", ORDERS, any_case=True),
}

_MISTAKES = {
    "start": "invalid 'start' timestamp, use RFC3339 format",
    "end": "invalid 'end' timestamp, use RFC3339 format",
    "min_id": "min_id must be >= 1",
    "max_id": "max_id must be >= 1",
    "limit": f"limit must be between 1 and {MOST_ROWS}",
    "page": "page must be >= 1",
    "sort": "invalid sort column",
    "order": "order must be asc or desc",
}


def read_rows() -> Query:
    """Read which rows the client wants; raise `Mistake`, saying what cannot be meant."""
    found = {name: _read(name) for name in _MISTAKES}
    start, end, min_id, max_id = (found[name] for name in ("start", "end", "min_id", "max_id"))
    if start is not None and end is not None and start > end:
        raise Mistake("start must be before end")
    if min_id is not None and max_id is not None and min_id > max_id:
        raise Mistake("min_id must be <= max_id")
    return Query(
        models=tuple(request.args.getlist("model")),
        start=start,
        end=end,
        min_id=min_id,
        max_id=max_id,
        sort=found["sort"] or "id",
        ascending=found["order"] == "asc",
        limit=found["limit"] or LIMIT,
        page=found["page"] or 1,
    )


def _read(name: str) -> Any:
    word = request.args.get(name, "").strip()
    if not word:
        return None
    value = PARAMETERS[name].read(word)
    if value is None:
        # Only this one has a sentence for what is no number at all.
        unreadable = name == "limit" and _integer(word) is None
        raise Mistake("invalid limit" if unreadable else _MISTAKES[name])
    return value


def _integer(word: str) -> int | None:
    number = int(word) if _INTEGER.fullmatch(word) else _LARGEST + 1
    return number if abs(number) <= _LARGEST else None
