"""The run's clock, and the one on the wall."""

import time
from datetime import UTC, datetime

import pytest
import trio

from swapd.manage.instants import Instants, seconds

# 2026-01-02 03:04:05 in UTC.
MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("at", "date"),
    [
        (0.0, "2026-01-02T03:04:05.000Z"),
        (-5.0, "2026-01-02T03:04:00.000Z"),
        (0.25, "2026-01-02T03:04:05.250Z"),
        (86400.0, "2026-01-03T03:04:05.000Z"),
        (None, None),
        (1e15, "9999-12-31T23:59:59.000Z"),
    ],
)
def test_a_date_is_rfc_3339_in_utc_with_milliseconds(at, date):
    """Always all of them, so that dates sort as text; and a model may be kept beyond all dates."""
    assert Instants(MOMENT).date(at) == date


def test_the_time_of_day_is_local(monkeypatch):
    """It is laid beside the log, which is in local time."""
    monkeypatch.setenv("TZ", "UTC-2")
    time.tzset()
    try:
        assert Instants(MOMENT).time_of_day(0.0) == "05:04:05"
    finally:
        monkeypatch.undo()
        time.tzset()


async def test_the_present_is_the_same_on_both_clocks(autojump_clock):
    """Else everything that is told would be off by the same."""
    await trio.sleep(1000)
    instants = Instants.now()
    assert abs(trio.current_time() + instants.ahead - time.time()) < 1


@pytest.mark.parametrize(("exact", "told"), [(None, None), (1.23456, 1.235), (2.0, 2.0), (0, 0)])
def test_durations_are_told_in_milliseconds(exact, told):
    """A dozen more digits say nothing."""
    assert seconds(exact) == told
