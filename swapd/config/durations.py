"""Lengths of time as text: `5s`, `1m30s`, `500ms`, `1.5h`, with a sign if need be.

As Go's time.ParseDuration, which llama-swap uses: a number alone is none, and neither is a day.
"""

import re

import attrs

_MICRO = ("us", "µs", "μs")
_UNITS = dict.fromkeys(_MICRO, 1e-6) | {"ns": 1e-9, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
PART = r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)"
"""A number and its unit, as a regular expression; a duration is one or more of them."""

_PART = re.compile(PART)
_WHOLE = re.compile(rf"([-+]?)((?:{PART})+)")

# 64 bits of nanoseconds, Go's limit: some 292 years. Longer than this nothing is written.
_LONGEST_TEXT = 100
_LONGEST = 2**63 / 1e9


@attrs.frozen
class Duration:
    """A length of time, as it was written and in seconds."""

    text: str
    seconds: float


def parse_duration(text: str) -> Duration | None:
    """Read a duration; None if it is none."""
    if text in ("0", "+0", "-0"):
        return Duration(text, 0.0)
    if len(text) > _LONGEST_TEXT or not (found := _WHOLE.fullmatch(text)):
        return None
    parts = _PART.findall(found[2])
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if seconds >= _LONGEST:
        return None
    return Duration(text, -seconds if found[1] == "-" else seconds)
