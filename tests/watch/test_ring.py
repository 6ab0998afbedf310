"""The newest bytes, exactly. Rows of the reference stand in tests/rows/test_logs.py."""

import pytest

from swapd.watch.ring import Ring


@pytest.mark.parametrize("capacity", [1, 7, 64])
@pytest.mark.parametrize("size", [1, 3, 7, 8, 20, 200])
def test_it_is_always_the_end_of_what_was_written(capacity, size):
    """Wherever the oldest byte stands, and however long a write is."""
    ring = Ring(capacity)
    written = b""
    for number in range(40):
        piece = bytes((number + at) % 256 for at in range(size))
        ring.write(piece)
        written += piece
        assert ring.history() == written[-capacity:]


def test_nothing_is_held_before_the_first_write():
    """A hundred models that never run cost nothing."""
    ring = Ring()
    assert ring._kept == b""
    assert ring.capacity == 102_400


def test_what_is_answered_stays():
    """A page is sent while the model writes on."""
    ring = Ring(4)
    ring.write(b"abcdef")
    history = ring.history()
    ring.write(b"gh")
    assert (history, ring.history()) == (b"cdef", b"efgh")
