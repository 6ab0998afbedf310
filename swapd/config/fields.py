"""What one field of a configuration accepts.

Rule 1: a text field takes any scalar; a whole number may be written as a float, whose fraction is
dropped, but never as text; a boolean may be spelled yes, no, on, off, y or n.
Rule 2: whatever is refused is a `Mistake` that says what was expected and what was found.
"""

from swapd.config.settings import LogLevel, SchedulerKind
from swapd.config.values import Value, shown, text_of

_TRUE = frozenset(("y", "Y", "yes", "Yes", "YES", "on", "On", "ON"))
_FALSE = frozenset(("n", "N", "no", "No", "NO", "off", "Off", "OFF"))
_BEYOND = 2**63


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
        raise Mistake(f"expected a whole number, got {shown(value)}")
    if not -_BEYOND <= value < _BEYOND:  # infinite, or not a number at all, or too large
        raise Mistake(f"expected a whole number of 64 bits, got {shown(value)}")
    return int(value)


def boolean(value: Value) -> bool:
    """Accept true, false and the words for them."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in _TRUE | _FALSE:
        return value in _TRUE
    raise Mistake(f"expected true or false, got {shown(value)}")


def log_level(value: Value) -> LogLevel:
    """Accept the name of a level in any case."""
    named = {level.value: level for level in LogLevel}
    if level := named.get(text(value).strip().lower()):
        return level
    raise Mistake(f"expected one of {', '.join(named)}, got {shown(value)}")


def scheduler(value: Value) -> SchedulerKind:
    """Accept the name of a scheduler; no name is the default."""
    named = {"": SchedulerKind.SERIAL, **{kind.value: kind for kind in SchedulerKind}}
    if kind := named.get(name := text(value)):
        return kind
    if name == "fifo":
        raise Mistake('this version has only the scheduler "serial", not "fifo"')
    raise Mistake(f'expected "serial", the only scheduler so far, got {shown(value)}')
