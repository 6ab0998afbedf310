"""What a text, a number, a boolean and a name accept."""

import math
from collections.abc import Callable

import pytest

from swapd.config import fields
from swapd.config.fields import Mistake
from swapd.config.kinds import LogTarget, SchedulerKind
from swapd.config.values import Value


@pytest.mark.parametrize(("value", "text"), [(12, "12"), (True, "true"), (1.5, "1.5"), ("", "")])
def test_a_text_field_takes_any_scalar(value: Value, text: str) -> None:
    """C044: nobody should have to quote an alias that is a number."""
    assert fields.text(value) == text


@pytest.mark.parametrize(("value", "number"), [(5, 5), (1.5, 1), (-1.9, -1), (1e3, 1000)])
def test_a_whole_number_may_be_a_float(value: Value, number: int) -> None:
    """C026: the fraction is dropped, towards zero."""
    assert fields.whole_number(value) == number


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        *((word, True) for word in (True, "y", "Y", "yes", "Yes", "YES", "on", "On", "ON")),
        *((word, False) for word in (False, "n", "N", "no", "No", "NO", "off", "Off", "OFF")),
    ],
)
def test_a_boolean_has_many_words(word: Value, meant: bool) -> None:
    """C033, C236: quoted or not, they mean the same."""
    assert fields.boolean(word) is meant


def test_names_are_found_by_their_spelling() -> None:
    """C018: in another case it is another word."""
    assert fields.word("both", LogTarget) is LogTarget.BOTH
    assert fields.word("serial", SchedulerKind) is SchedulerKind.SERIAL


def test_a_duration_needs_its_unit() -> None:
    """C069: a number alone could be seconds, minutes or milliseconds."""
    assert fields.duration("1m30s").seconds == 90


def _target(value: Value) -> LogTarget:
    return fields.word(value, LogTarget)


def _scheduler(value: Value) -> SchedulerKind:
    return fields.word(value, SchedulerKind)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (fields.text, None, "expected text, got null"),
        (fields.text, ["a"], "expected text, got a list"),
        (fields.whole_number, "6000", 'a whole number, got "6000": write it without quotes'),
        (fields.whole_number, "5m", 'got "5m": times are in seconds, here 300'),
        (fields.whole_number, True, "expected a whole number, got true"),
        (fields.whole_number, math.inf, "expected a whole number of 64 bits, got +Inf"),
        (fields.whole_number, math.nan, "expected a whole number of 64 bits, got NaN"),
        (fields.whole_number, 2**63, "of 64 bits"),
        (fields.boolean, "true", 'expected true or false, got "true"'),
        (fields.boolean, 1, "expected true or false, got 1"),
        (fields.duration, 6, "expected a duration such as 30s or 1m30s, got 6"),
        (fields.duration, "1d", 'got "1d"'),
        (_target, "Proxy", 'expected one of proxy, upstream, both, none, got "Proxy"'),
        (_scheduler, "lifo", 'expected one of serial, fifo, got "lifo"'),
    ],
)
def test_a_refusal_says_what_was_expected_and_found(
    field: Callable[[Value], object], value: Value, message: str
) -> None:
    """C008, C034: the message is all that the operator gets."""
    with pytest.raises(Mistake) as refused:
        field(value)
    assert message in str(refused.value)
