"""What models write, as lines: whole, bounded, and readable in the end."""

import pytest

from swapd.watch.journal import (
    LONGEST_LINE,
    LONGEST_WAIT,
    Assembly,
    RunOutput,
    lines,
    visible,
)
from swapd.watch.monitor import Monitor


def run(log: Monitor) -> tuple[RunOutput, list[bytes]]:
    """Open a run's output, and what is told of it."""
    told: list[bytes] = []
    return RunOutput(log, told.append), told


def test_last_lines_are_whole_lines_in_order():
    """However the bytes were cut by the pipe."""
    output, told = run(Monitor())
    pieces = [b"on", b"e\ntw", b"o\n\n  \nthr", b"ee"]
    for piece in pieces:
        output.write(piece)
    assert output.last_lines(2) == ("two", "three")
    assert output.last_lines(20) == ("one", "two", "three")
    assert told == pieces


def test_last_lines_are_those_of_this_run_only():
    """Why the last start failed must not be told of this one."""
    log = Monitor()
    earlier, _ = run(log)
    earlier.write(b"out of memory\n")
    output, _ = run(log)
    assert output.last_lines(20) == ()
    output.write(b"loading\n")
    assert output.last_lines(20) == ("loading",)
    assert log.history() == b"out of memory\nloading\n"


def test_last_lines_of_a_flood_are_its_end():
    """What the log has forgotten is not needed for them."""
    output, _ = run(Monitor())
    for number in range(10_000):
        output.write(b"line %06d %s\n" % (number, b"x" * 100))
    assert output.last_lines(1) == (f"line 009999 {'x' * 100}",)


def test_last_lines_after_somebody_cleared_the_log_are_what_is_there():
    """There is one copy of what a model wrote."""
    log = Monitor()
    output, _ = run(log)
    output.write(b"one\n")
    log.clear()
    assert output.last_lines(20) == ()
    output.write(b"two\n")
    assert output.last_lines(20) == ("two",)


def test_the_end_of_a_run_is_told_once_and_a_write_of_nothing_is_not_it():
    """What is unfinished then becomes a line."""
    output, told = run(Monitor())
    output.write(b"")
    assert told == []
    output.end()
    assert told == [b""]


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (b"", []),
        (b"loading 1%\rloading 99%\rdone\n", ["done"]),
        (b"windows\r\nlines\r\n", ["windows", "lines"]),
        (b"caf\xc3\xa9 \xff\n", ["café \ufffd"]),
        (b"\x1b[31mred\x1b[0m\n", ["\ufffd[31mred\ufffd[0m"]),
        (b"y" * 2000, ["y" * LONGEST_LINE]),
    ],
)
def test_lines_are_made_fit_for_people(written, shown):
    """No terminal escape and no megabyte of progress bar gets into an error message."""
    assert lines(written) == shown


WRITTEN = [
    (b"one\ntwo\n", ["one", "two"]),
    (b"one\n\n \t\ntwo", ["one", "two"]),
    (b"windows\r\nlines\r\r\n", ["windows", "lines"]),
    (b"1%\r2%\r\xc3\xa9\rdone\nnext\r", ["done", "next"]),
    (b"\r\r\rx\n", ["x"]),
    ("caf\u00e9 \u4e16\n".encode(), ["caf\u00e9 \u4e16"]),
    (b"\xff\xfe\xc3(\n", ["\ufffd\ufffd\ufffd("]),
    (b"tab\tand \x1b[31mred\x00\n", ["tab\tand \\x1b[31mred\\x00"]),
]


@pytest.mark.parametrize(("written", "shown"), WRITTEN)
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_lines_are_whole_however_they_were_cut(written, shown, size):
    """A pipe knows no lines, and a character may come in two pieces."""
    assembly = Assembly()
    whole = []
    for at in range(0, len(written), size):
        whole += assembly.feed(written[at : at + size])
    assert whole + assembly.flush() == shown
    assert assembly.flush() == []


@pytest.mark.parametrize("size", [7, 65536])
def test_a_line_that_never_ends_is_told_in_parts(size):
    """Nothing grows, and no character is cut in two."""
    assembly = Assembly()
    text = "\u4e16" * 100_000
    whole = []
    data = text.encode()
    for at in range(0, len(data), size):
        whole += assembly.feed(data[at : at + size])
        assert len(assembly._open) <= LONGEST_WAIT
    whole += assembly.flush()
    assert "".join(whole) == text
    assert max(len(line.encode()) for line in whole) <= LONGEST_WAIT


def test_a_progress_bar_that_never_ends_is_its_last_state():
    """Megabytes of it, and not a line until it is over."""
    assembly = Assembly()
    for number in range(20_000):
        assert assembly.feed(b"loading %d of 20000 tensors\r" % number) == []
        assert len(assembly._open) <= LONGEST_WAIT
    assert assembly.feed(b"\n") == ["loading 19999 of 20000 tensors"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain caf\u00e9", "plain caf\u00e9"),
        ("a\n[INFO] b\r\x00\x1b[2J", "a\\n[INFO] b\\r\\x00\\x1b[2J"),
        ("a\tb", "a\tb"),
        ("\u202egnp.exe \u2028 \x85 \ud800", "\\u202egnp.exe \\u2028 \\x85 \\ud800"),
    ],
)
def test_what_would_not_be_seen_is_written_out(text, shown):
    """Neither a line nor its direction can be forged, and everything can be written as UTF-8."""
    assert visible(text) == shown
    visible(text).encode()
