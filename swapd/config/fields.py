"""What one field of a configuration accepts.

Rule 1: a text field takes any scalar; a whole number may be written as a float, whose fraction is
dropped, but never as text; a boolean may be spelled yes, no, on, off, y or n.
Rule 2: whatever is refused is a `Mistake` that says what was expected and what was found.
"""

from enum import Enum
from typing import TypeVar

from swapd.config.durations import Duration, parse_duration
from swapd.config.values import Value, plain, shown, text_of

TRUE = frozenset(("y", "Y", "yes", "Yes", "YES", "on", "On", "ON"))
FALSE = frozenset(("n", "N", "no", "No", "NO", "off", "Off", "OFF"))
_BEYOND = 2**63

Word = TypeVar("Word", bound=Enum)


class Mistake(Exception):
    """What is wrong with one value; where it stands is noted on the way out."""


def text(value: Value) -> str:
    """Accept any scalar as text."""
    if value is None or isinstance(value, (list, dict)):
        raise Mistake(f"expected text, got {shown(value)}")
    return text_of(value)


def whole_number(value: Value) -> int:
    """Accept a whole number of 64 bits, or a float that is cut down to one."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Mistake(f"expected a whole number, got {shown(value)}{_instead(value)}")
    if not -_BEYOND <= value < _BEYOND:  # infinite, or not a number at all, or too large
        raise Mistake(f"expected a whole number of 64 bits, got {shown(value)}")
    return int(value)


def _instead(value: Value) -> str:
    """Say how to write what was probably meant."""
    if isinstance(value, str) and type(plain(value)) in (int, float):
        return ": write it without quotes"
    length = parse_duration(value) if isinstance(value, str) else None
    return f": times are in seconds, here {length.seconds:g}" if length else ""


def boolean(value: Value, *, expected: str = "true or false") -> bool:
    """Accept true, false and the words for them."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in TRUE | FALSE:
        return value in TRUE
    raise Mistake(f"expected {expected}, got {shown(value)}")


def duration(value: Value) -> Duration:
    """Accept a length of time with its unit; a number alone could be anything."""
    if isinstance(value, str) and (found := parse_duration(value)):
        return found
    raise Mistake(f"expected a duration such as 30s or 1m30s, got {shown(value)}")


def word(value: Value, words: type[Word]) -> Word:
    """Accept one of the words of an enumeration, spelled exactly."""
    named = {str(one.value): one for one in words}
    if found := named.get(text(value)):
        return found
    raise Mistake(f"expected one of {', '.join(named)}, got {shown(value)}")
