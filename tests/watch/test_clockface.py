"""The forms of time that `logTimeFormat` may name, to the letter as Go writes them."""

import time

import pytest

from swapd.config.kinds import TIME_FORMATS
from swapd.watch import clockface
from swapd.watch.clockface import FORMS, stamp, utc

# Monday, 2 January 2006, 15:04:05.678901 in Denver, where it is 7 hours earlier than in UTC.
REFERENCE = 1136239445.678901


@pytest.fixture
def zone(monkeypatch):
    """Let this machine be somewhere else."""

    def move(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()
        clockface._second.cache_clear()

    yield move
    monkeypatch.undo()
    time.tzset()
    clockface._second.cache_clear()


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("ansic", "Mon Jan  2 15:04:05 2006"),
        ("unixdate", "Mon Jan  2 15:04:05 MST 2006"),
        ("rubydate", "Mon Jan 02 15:04:05 -0700 2006"),
        ("rfc822", "02 Jan 06 15:04 MST"),
        ("rfc822z", "02 Jan 06 15:04 -0700"),
        ("rfc850", "Monday, 02-Jan-06 15:04:05 MST"),
        ("rfc1123", "Mon, 02 Jan 2006 15:04:05 MST"),
        ("rfc1123z", "Mon, 02 Jan 2006 15:04:05 -0700"),
        ("rfc3339", "2006-01-02T15:04:05-07:00"),
        ("rfc3339nano", "2006-01-02T15:04:05.678901-07:00"),
        ("kitchen", "3:04PM"),
        ("stamp", "Jan  2 15:04:05"),
        ("stampmilli", "Jan  2 15:04:05.678"),
        ("stampmicro", "Jan  2 15:04:05.678901"),
        ("stampnano", "Jan  2 15:04:05.678901000"),
        (" RFC3339\n", "2006-01-02T15:04:05-07:00"),
        ("Kitchen", "3:04PM"),
        ("", ""),
        ("%H:%M", ""),
        ("iso8601", ""),
    ],
)
def test_each_form_is_written_as_go_writes_it(form, expected, zone):
    """Whoever parses llama-swap's log parses ours; what is no form is no time."""
    zone("MST7")
    assert stamp(form, REFERENCE) == expected


def test_every_form_that_a_file_may_name_is_here():
    """`swapd check` warns of the others."""
    assert set(FORMS) == set(TIME_FORMATS)


@pytest.mark.parametrize(
    ("zone_name", "at", "form", "expected"),
    [
        ("UTC0", 1136239445.0, "rfc3339", "2006-01-02T22:04:05Z"),
        ("UTC0", 1136239445.0, "rfc3339nano", "2006-01-02T22:04:05Z"),
        ("UTC0", 1136239445.5, "rfc3339nano", "2006-01-02T22:04:05.5Z"),
        ("UTC0", 1136239445.5, "stampmicro", "Jan  2 22:04:05.500000"),
        ("UTC0", 1700000000.001, "stampmilli", "Nov 14 22:13:20.001"),
        ("UTC0", 1136160000.0, "kitchen", "12:00AM"),
        ("UTC0", 1136203200.0, "kitchen", "12:00PM"),
        ("<+0545>-5:45", 1136239445.0, "rfc1123z", "Tue, 03 Jan 2006 03:49:05 +0545"),
        ("<-0330>3:30", 1136239445.0, "rfc3339", "2006-01-02T18:34:05-03:30"),
    ],
)
def test_the_edges_of_zones_and_fractions(zone_name, at, form, expected, zone):
    """UTC is Z, half hours count, midnight is twelve, and zeros go only where they may."""
    zone(zone_name)
    assert stamp(form, at) == expected


def test_names_are_english_wherever_it_runs(zone, monkeypatch):
    """A log that changes its language with the machine cannot be searched."""
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    zone("UTC0")
    assert stamp("rfc850", 1714899600.0) == "Sunday, 05-May-24 09:00:00 UTC"


def test_the_time_for_programs_is_utc_with_milliseconds(zone):
    """Wherever this machine is."""
    zone("MST7")
    assert utc(REFERENCE) == "2006-01-02T22:04:05.678Z"
    assert utc(1700000000.9999999) == "2023-11-14T22:13:21.000Z"


def test_two_thousand_lines_a_second_cost_little():
    """The stamp must not be what a busy log spends its time on."""
    began = time.perf_counter()
    for number in range(20_000):
        stamp("rfc3339nano", REFERENCE + number / 2000)
    assert time.perf_counter() - began < 1
