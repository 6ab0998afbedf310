"""What people see of what servers say."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from swapd.terminal import words
from swapd.terminal.words import cut, lasting, say_exactly, size, table, visible, width


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("qwen", "qwen"),
        ("模型 é", "模型 é"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\nready", "a\\nready"),
        ("a\rb\tc\x00", "a\\rb\\tc\\x00"),
        ("\x9b31m", "\\x9b31m"),
        ("a\u202eb", "a\\u202eb"),
        ("\U000e0041", "\\U000e0041"),
        ("\ud800", "\\ud800"),
    ],
)
def test_nothing_but_letters_reaches_a_terminal(text, shown):
    """A model's name must not clear the screen, forge a line, or turn one round."""
    assert visible(text) == shown


def test_columns_are_as_wide_as_they_look():
    """Names in other scripts must not push the rest of their line aside."""
    assert (width("qwen"), width("模型"), width("e\u0301")) == (4, 4, 1)
    assert table(("A", "B"), [("模型", "x"), ("a", "y")]) == ["A     B", "模型  x", "a     y"]


def test_a_cell_cannot_break_its_table():
    """One model, one line."""
    assert table(("A", "B"), [("a\nb", "\x1b[H")]) == ["A     B", "a\\nb  \\x1b[H"]


@pytest.mark.parametrize(
    ("text", "columns", "left"),
    [("qwen", 4, "qwen"), ("qwen", 3, "qw…"), ("模型a", 4, "模…"), ("ab", 1, "…"), ("ab", 0, "")],
)
def test_what_does_not_fit_is_shown_to_be_cut(text, columns, left):
    """A line one column too wide would be two."""
    assert cut(text, columns) == left
    assert width(left) <= columns


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((None, "-"), (0, "0.0 s"), (9.94, "9.9 s"), (42.4, "42 s"), (119, "119 s")),
        *((600, "10 min"), (7200, "2 h"), (864_000, "10 d")),
    ],
)
def test_durations_are_as_exact_as_anybody_cares(seconds, text):
    """In the unit in which one would say it."""
    assert lasting(seconds) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        *((None, "-"), (0, "0.0 KiB"), (2048, "2.0 KiB"), (512 * 2**20, "512 MiB")),
        *((2**33, "8.0 GiB"), (2**60, "1048576 TiB")),
    ],
)
def test_sizes_are_in_units_of_1024(amount, text):
    """As the makers of cards count them."""
    assert size(amount) == text


def test_instants_are_in_local_time_and_timers_count_down():
    """A clock on the wall is what they are compared with."""
    now = datetime.now().astimezone().replace(hour=12, minute=0, second=30, microsecond=0)
    told = now.astimezone(UTC).isoformat().replace("+00:00", "Z")
    assert words.since(told, now) == "12:00:30"
    assert words.since(told, now + timedelta(days=2)) == now.strftime("%Y-%m-%d 12:00")
    assert words.until(told, now - timedelta(seconds=90)) == "90 s"
    assert words.until(told, now + timedelta(seconds=90)) == "0.0 s"


@pytest.mark.parametrize("text", ["", "soon", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_an_instant_at_the_end_of_time_is_no_traceback(text):
    """A model that is kept for ever has one."""
    now = datetime.now().astimezone()
    assert words.since(text, now)
    assert words.until(text, now)
    assert (words.since(None, now), words.until(None, now)) == ("-", "-")


def test_json_is_what_the_endpoint_said(capsysbinary):
    """Byte for byte on a pipe, where a script reads; and the line is ended."""
    say_exactly(b'{"a":"\xc2\x9b",\n "b":1}')
    assert capsysbinary.readouterr().out == b'{"a":"\xc2\x9b",\n "b":1}\n'


def test_json_on_a_terminal_means_the_same_and_does_no_harm(capsysbinary, monkeypatch):
    """JSON allows letters raw that some terminals take for orders."""
    said = '{\n"a": "\x9b2J \u202e \U000e0041 模"}\n'
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    say_exactly(said.encode())
    shown = capsysbinary.readouterr().out.decode()
    assert json.loads(shown) == json.loads(said)
    assert shown == '{\n"a": "\\u009b2J \\u202e \\udb40\\udc41 模"}\n'


def test_complaints_are_one_line(capsys):
    """Whatever is quoted in them."""
    words.complain("no\nswapd: fine")
    assert capsys.readouterr().err == "swapd: no\\nswapd: fine\n"
