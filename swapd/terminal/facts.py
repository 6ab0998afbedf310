"""Reading what the daemon says. Pure.

Rule 1: nothing is taken for what it should be: another server, or another version, may have said
it. What is missing is not known; what is of another kind ends the command.
"""

import json
from typing import Self

from swapd.terminal.endings import CannotTell

LARGEST = 2**63


class Record:
    """An object of an answer."""

    def __init__(self, value: object) -> None:
        if not isinstance(value, dict):
            raise _strange("an object")
        self._value = value

    @classmethod
    def read(cls, body: bytes) -> Self:
        """Read an answer; raises CannotTell if it is no JSON object."""
        try:
            return cls(json.loads(body))
        # No text, no JSON, a number of thousands of digits, or lists in lists in lists.
        except (ValueError, RecursionError) as wrong:
            raise _strange("JSON") from wrong

    def __contains__(self, name: str) -> bool:
        return name in self._value

    def text(self, name: str) -> str | None:
        """Answer with a text, or None."""
        value = self._value.get(name)
        if value is None or isinstance(value, str):
            return value
        raise _strange(f"a text as {name}")

    def number(self, name: str) -> float | None:
        """Answer with a number, or None."""
        value = self._value.get(name)
        if value is None:
            return None
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise _strange(f"a number as {name}")
        # No measure of ours is larger; neither what is no number nor what is endless is smaller.
        if abs(value) < LARGEST:
            return float(value)
        raise _strange(f"a number as {name}")

    def record(self, name: str) -> "Record | None":
        """Answer with an object, or None."""
        value = self._value.get(name)
        return None if value is None else Record(value)

    def records(self, name: str) -> list["Record"]:
        """Answer with the objects of a list; none of them where there is no list."""
        return [Record(each) for each in self._list(name)]

    def numbers(self, name: str) -> list[float]:
        """Answer with the numbers of a list."""
        found = (Record({name: each}).number(name) for each in self._list(name))
        return [each for each in found if each is not None]

    def texts(self, name: str) -> tuple[str, ...]:
        """Answer with the texts of a list."""
        found = (Record({name: each}).text(name) for each in self._list(name))
        return tuple(each for each in found if each is not None)

    def _list(self, name: str) -> list[object]:
        value = self._value.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise _strange(f"a list as {name}")
        return value


def listed(body: bytes, name: str) -> list[Record]:
    """Read an answer that is a list under one name, which has to be there."""
    answer = Record.read(body)
    if name not in answer:
        raise _strange(f"a list as {name}")
    return answer.records(name)


def _strange(expected: str) -> CannotTell:
    return CannotTell(f"cannot read the answer: expected {expected}; is it a swapd?")
