"""The order in which llama-swap goes through mappings, where it matters which comes first.

Its YAML library sorts keys as people would: `s9` before `s10`.
"""

import functools
from collections.abc import Mapping
from itertools import takewhile
from typing import TypeVar

Entry = TypeVar("Entry")

_DIGITS = frozenset("0123456789")


def naturally(mapping: Mapping[str, Entry]) -> list[tuple[str, Entry]]:
    """List a mapping's entries in the natural order of their keys."""
    by_key = functools.cmp_to_key(_compare)
    return sorted(mapping.items(), key=lambda entry: by_key(entry[0]))


def _compare(one: str, two: str) -> int:
    """Say which comes first: letters by their code points, numbers by their size.

    Of a letter and something else the letter comes first behind a digit, else the other.
    """
    alike = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(one, two, strict=False))))
    if alike == min(len(one), len(two)):
        return len(one) - len(two)
    after_digit = alike > 0 and one[alike - 1].isdigit()
    left, right = one[alike], two[alike]
    if left.isalpha() and right.isalpha():
        return -1 if left < right else 1
    if left.isalpha() or right.isalpha():
        return -1 if left.isalpha() == after_digit else 1
    # A zero counts only within a number that has begun before it.
    within = after_digit and "0" in (left, right) and _begun(one[:alike])
    numbers = [_number(text[alike:], within=within) for text in (one, two)]
    if numbers[0] != numbers[1]:
        return -1 if numbers[0] < numbers[1] else 1
    return -1 if left < right else 1


def _begun(text: str) -> bool:
    digits = takewhile(_DIGITS.__contains__, reversed(text))
    return any(digit != "0" for digit in digits)


def _number(text: str, *, within: bool) -> tuple[int, str, int]:
    """The number at the beginning, so that larger is more, and then how many digits it has."""
    digits = "".join(takewhile(_DIGITS.__contains__, text))
    number = f"{'1' if within else ''}{digits}".lstrip("0")
    return len(number), number, len(digits)
