"""Exit codes are a contract with scripts."""

from swapd.terminal.endings import INTERRUPTED, CannotTell, NobodyThere, Refused


def test_every_ending_has_its_number():
    """`swapd status || start-it` must not start a second daemon because one was slow."""
    assert (Refused.code, NobodyThere.code, CannotTell.code, INTERRUPTED) == (1, 3, 4, 130)
