"""The times in front of log lines, in the forms that `logTimeFormat` may name. Pure, but for the
time zone of this machine.

Rule 1: the names of days and months are English wherever this runs.
Rule 2: all but the fraction of a second is made once a second.
"""

import time
from collections.abc import Mapping
from functools import lru_cache

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_STAMP = "{month} {day:>2} {clock}"

FORMS: Mapping[str, str] = {
    "ansic": "{weekday:.3} {month} {day:>2} {clock} {year}",
    "unixdate": "{weekday:.3} {month} {day:>2} {clock} {zone} {year}",
    "rubydate": "{weekday:.3} {month} {day:02} {clock} {offset} {year}",
    "rfc822": "{day:02} {month} {years:02} {clock:.5} {zone}",
    "rfc822z": "{day:02} {month} {years:02} {clock:.5} {offset}",
    "rfc850": "{weekday}, {day:02}-{month}-{years:02} {clock} {zone}",
    "rfc1123": "{weekday:.3}, {day:02} {month} {year} {clock} {zone}",
    "rfc1123z": "{weekday:.3}, {day:02} {month} {year} {clock} {offset}",
    "rfc3339": "{year}-{number:02}-{day:02}T{clock}{iso}",
    "rfc3339nano": "{year}-{number:02}-{day:02}T{clock}|{iso}",
    "kitchen": "{hour}:{minute:02}{half}",
    "stamp": _STAMP,
    "stampmilli": _STAMP,
    "stampmicro": _STAMP,
    "stampnano": _STAMP,
}
"""By name; a fraction of the second stands at the bar, or else at the end."""

# How many digits of the second's fraction are told, zeros included.
_DIGITS = {"stampmilli": 3, "stampmicro": 6, "stampnano": 9}


def stamp(form: str, at: float) -> str:
    """Write an instant, given in Unix time, in the form of this name; "" where nobody has it."""
    name = form.strip().lower()
    if name not in FORMS:
        return ""
    second, micros = _parted(at)
    before, after = _second(name, second)
    if name == "rfc3339nano":
        fraction = f".{micros:06}".rstrip("0").rstrip(".")
    elif digits := _DIGITS.get(name):
        fraction = "." + f"{micros * 1000:09}"[:digits]
    else:
        return before
    return f"{before}{fraction}{after}"


def utc(at: float) -> str:
    """Write an instant, given in Unix time, for programs: RFC 3339, with milliseconds."""
    second, micros = _parted(at)
    return f"{_utc_second(second)}.{micros // 1000:03}Z"


def _parted(at: float) -> tuple[int, int]:
    # Beyond microseconds a float of today has nothing true to say.
    return divmod(round(at * 1_000_000), 1_000_000)


@lru_cache(maxsize=16)
def _second(name: str, second: int) -> tuple[str, str]:
    """Write one second: what stands before its fraction, and what behind."""
    now = time.localtime(second)
    sign = "-" if now.tm_gmtoff < 0 else "+"
    hours, minutes = divmod(abs(now.tm_gmtoff) // 60, 60)
    text = FORMS[name].format(
        weekday=_DAYS[now.tm_wday],
        month=_MONTHS[now.tm_mon - 1],
        number=now.tm_mon,
        day=now.tm_mday,
        year=now.tm_year,
        years=now.tm_year % 100,
        clock=f"{now.tm_hour:02}:{now.tm_min:02}:{now.tm_sec:02}",
        hour=now.tm_hour % 12 or 12,
        minute=now.tm_min,
        half="PM" if now.tm_hour >= 12 else "AM",
        zone=now.tm_zone,
        offset=f"{sign}{hours:02}{minutes:02}",
        iso=f"{sign}{hours:02}:{minutes:02}" if now.tm_gmtoff else "Z",
    )
    before, _, after = text.partition("|")
    return before, after


@lru_cache(maxsize=4)
def _utc_second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
