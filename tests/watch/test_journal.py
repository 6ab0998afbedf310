"""What models write: bounded, and readable in the end."""

import logging

import pytest

from swapd.ids import ModelId
from swapd.watch.journal import LONGEST_LINE, RING, RunOutput, lines

A = ModelId("a")


def test_the_ring_keeps_the_newest_bytes_and_no_more():
    """A flood of output must not grow the daemon."""
    output = RunOutput(A)
    for number in range(10_000):
        output.write(b"line %06d %s\n" % (number, b"x" * 100))
    kept = b"".join(output._pieces)
    assert len(kept) == RING
    assert kept.endswith(b"line 009999 " + b"x" * 100 + b"\n")


def test_one_write_larger_than_the_ring_keeps_its_end():
    """L013: the last 102,400 bytes."""
    output = RunOutput(A)
    output.write(b"a" * 200_000 + b"end")
    assert len(b"".join(output._pieces)) == RING
    assert output.last_lines(1)[0].startswith("a")


def test_last_lines_are_whole_lines_in_order():
    """However the bytes were cut by the pipe."""
    output = RunOutput(A)
    for piece in (b"on", b"e\ntw", b"o\n\n  \nthr", b"ee"):
        output.write(piece)
    assert output.last_lines(2) == ("two", "three")
    assert output.last_lines(20) == ("one", "two", "three")


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


def test_output_goes_to_the_log_only_when_asked(caplog):
    """At debug level the operator sees what models write."""
    with caplog.at_level(logging.INFO):
        RunOutput(A).write(b"quiet\n")
    with caplog.at_level(logging.DEBUG):
        RunOutput(A).write(b"loud\n")
    assert caplog.messages == ["a: loud"]
