"""What a configuration tree is made of, and how its scalars read and print.

Rule 1: a tree holds only text, whole numbers, floats, booleans, null, lists and mappings.
Rule 2: `yes`, `no`, `on` and `off` are text, and so are dates; a field that wants a boolean
accepts the words itself (`decode.py`).
Rule 3: keys are text. One that YAML takes for something else keeps its spelling as a `BareKey`.
"""

import json
import math
import re
from decimal import Decimal
from typing import TypeAlias

Scalar: TypeAlias = str | int | float | bool | None
Value: TypeAlias = "Scalar | list[Value] | dict[str, Value]"
Tree: TypeAlias = "dict[str, Value]"

_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_BOOLEANS = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"([-+]?)(?:0b([01_]+)|0o([0-7_]+)|0x([0-9a-fA-F_]+)|([0-9][0-9_]*))")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?")
_INFINITY = re.compile(r"([-+]?)\.(?:inf|Inf|INF)")
_NANS = frozenset((".nan", ".NaN", ".NAN"))

_TAGS: dict[str, tuple[type, ...]] = {
    "null": (type(None),),
    "bool": (bool,),
    "int": (int,),
    "float": (float, int),
}

# Longer than any number of 64 bits in any base; what is longer is a float or text.
_LONGEST_INTEGER = 80
# What a message quotes of a long value.
_QUOTED = 60


class BareKey(str):
    """A mapping key that YAML read as a number, a boolean or null; spelled as in the file."""

    __slots__ = ()


def plain(text: str) -> Scalar:
    """Read a scalar that stands without quotes and without a tag."""
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    number = _integer(text)
    return _float(text) if number is None else number


def tagged(text: str, tag: str) -> Scalar:
    """Read a scalar that has a tag, given without YAML's prefix."""
    if tag in ("!", "str"):
        return text
    if tag not in _TAGS:
        raise ValueError(f"tag {tag} is not supported")
    value = plain(text)
    if type(value) not in _TAGS[tag]:
        raise ValueError(f"{quoted(text)} does not fit its tag !!{tag}")
    return float(value) if tag == "float" and isinstance(value, int) else value


def text_of(value: str | int | float | bool) -> str:
    """Print a scalar into a text field or into the middle of a text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return _float_text(value) if isinstance(value, float) else str(value)


def quoted(text: str) -> str:
    """Show a text in a message: on one line, and not all of it if it is long."""
    return json.dumps(text if len(text) <= _QUOTED else f"{text[:_QUOTED]}…", ensure_ascii=False)


def shown(value: Value) -> str:
    """Say in a message what was found: `"abc"`, `1.5`, `null`, `a list`."""
    match value:
        case None:
            return "null"
        case str():
            return quoted(value)
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case _:
            return text_of(value)


def _integer(text: str) -> int | None:
    if len(text) > _LONGEST_INTEGER or not (found := _INTEGER.fullmatch(text)):
        return None
    sign, *spellings = found.groups()
    for digits, base in zip(spellings, (2, 8, 16, 10), strict=True):
        if digits is not None and (digits := digits.replace("_", "")):
            number = int(f"{sign}{digits}", base)
            return number if -(2**63) <= number < 2**64 else None
    return None


def _float(text: str) -> float | str:
    if infinity := _INFINITY.fullmatch(text):
        return -math.inf if infinity[1] == "-" else math.inf
    if text in _NANS:
        return math.nan
    if not _FLOAT.fullmatch(text):
        return text
    number = float(text.replace("_", ""))
    return text if math.isinf(number) else number


def _float_text(value: float) -> str:
    """Print the shortest digits that read back as the same number.

    Plain notation from 0.0001 up to below a million, an exponent of two digits or more beyond.
    """
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    exact = Decimal(repr(value)).normalize()
    exponent = exact.adjusted()
    if not value or -4 <= exponent <= 5:
        return f"{exact:f}"
    first, *rest = (str(digit) for digit in exact.as_tuple().digits)
    sign = "-" if value < 0 else ""
    return f"{sign}{first}{'.' if rest else ''}{''.join(rest)}e{exponent:+03d}"
