"""Looks in threads."""

import threading

import pytest
import trio

from swapd.watch.looking import CannotLook, OneAtATime, in_a_thread


def test_a_second_look_does_not_wait_for_one_that_hangs():
    """Each would take a thread, and there are not so many."""
    looking = OneAtATime("the GPUs", patience=0.01)
    with looking.now(), pytest.raises(CannotLook, match="the GPUs: the look before"):  # noqa: SIM117
        with looking.now():
            raise AssertionError
    with looking.now():
        pass


def test_a_look_that_failed_has_ended():
    """The next may be better."""
    looking = OneAtATime("the GPUs", patience=0.01)
    with pytest.raises(ProcessLookupError), looking.now():
        raise ProcessLookupError
    with looking.now():
        pass


async def test_who_stops_waiting_leaves_the_thread_behind():
    """A daemon that is told to stop must not wait for a driver."""
    stuck = threading.Event()
    with trio.fail_after(5):
        with trio.move_on_after(0.01) as waiting:
            await in_a_thread(stuck.wait)
        assert waiting.cancelled_caught
    stuck.set()
    assert await in_a_thread(lambda: 3) == 3
