"""Lengths of time: what is one, and how long it is."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swapd.config.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5s", 5.0),
        ("1m30s", 90.0),
        ("5000ms", 5.0),
        ("1h", 3600.0),
        ("1.5h", 5400.0),
        (".5s", 0.5),
        ("1.s", 1.0),
        ("1h2m3s", 3723.0),
        ("3s2m1h", 3723.0),
        ("1m1m", 120.0),
        ("250us", 0.00025),
        ("250\N{MICRO SIGN}s", 0.00025),
        ("250\N{GREEK SMALL LETTER MU}s", 0.00025),
        ("7ns", 7e-9),
        ("-5s", -5.0),
        ("+5s", 5.0),
        ("-1m30s", -90.0),
        ("0s", 0.0),
        ("0", 0.0),
        ("+0", 0.0),
        ("-0", 0.0),
        ("2562047h", 2562047 * 3600.0),
    ],
)
def test_a_duration_is_numbers_with_units(text: str, seconds: float) -> None:
    """Whatever llama-swap reads must mean the same here."""
    found = parse_duration(text)

    assert found is not None
    assert found.text == text
    assert found.seconds == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        *("", "5", "1.5", "00", "0.0", "s", "5d", "5S", "5 s", " 5s", "5s ", "5s\n", "5s,"),
        *("1e3s", "--5s", "+-5s", "1m-30s", ".s", "1..5s", "1.5.s", "5sec", "1h30", "\u0665s"),
        *("inf", "nans", "infs", "-", "+", "1_000s", "0x5s", "\N{FULLWIDTH DIGIT FIVE}s"),
    ],
)
def test_anything_else_is_none(text: str) -> None:
    """A number alone could be seconds or nanoseconds, and a day is not always 24 hours."""
    assert parse_duration(text) is None


@pytest.mark.parametrize("text", ["2562048h", "-2562048h", "9" * 30 + "s", "1h" * 1_000_000])
def test_what_no_clock_reaches_is_no_duration(text: str) -> None:
    """It is refused where it stands, instead of failing as an endless wait; and it is so soon."""
    assert parse_duration(text) is None


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 99), st.integers(0, 999), st.integers(0, 9999), st.booleans())
def test_the_parts_add_up(hours: int, minutes: int, milliseconds: int, negative: bool) -> None:
    """The sign is the whole's, not the first part's."""
    text = f"{'-' * negative}{hours}h{minutes}m{milliseconds}ms"
    seconds = hours * 3600 + minutes * 60 + milliseconds / 1000

    found = parse_duration(text)

    assert found is not None
    assert found.text == text
    assert found.seconds == pytest.approx(-seconds if negative else seconds)


@settings(max_examples=200, deadline=None)
@given(st.text() | st.text(alphabet="0159.+-nuµmsh "))
def test_every_text_is_a_duration_as_written_or_none(text: str) -> None:
    """A key with a strange value is a mistake with a place, never a traceback."""
    found = parse_duration(text)

    assert found is None or (found.text == text and isinstance(found.seconds, float))
