"""A log: what was written lately, and those who read on as it is written.

Rule 1: writing never blocks and never fails, whoever follows.
Rule 2: what goes into one goes into those downstream of it; a write of nothing is nothing.
Rule 3: whoever asks for the history right after it began to follow misses nothing and has nothing
twice: nothing is written in between, unless it waits.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from swapd.watch.follower import Follower
from swapd.watch.ring import Ring


class Monitor:
    """One log."""

    def __init__(self, *downstream: "Monitor") -> None:
        self._downstream = downstream
        self._ring = Ring()
        self._followers: dict[Follower, None] = {}
        self._closed = False

    def write(self, data: bytes | bytearray) -> None:
        """Keep it, and hand it on."""
        if not data:
            return
        data = bytes(data)
        self._ring.write(data)
        for follower in self._followers:
            follower.put(data)
        for monitor in self._downstream:
            monitor.write(data)

    def history(self) -> bytes:
        """Answer with what was written lately."""
        return self._ring.history()

    def clear(self) -> None:
        """Forget what was written."""
        self._ring.clear()

    @property
    def followers(self) -> int:
        """How many read along."""
        return len(self._followers)

    @contextmanager
    def follow(self) -> Iterator[Follower]:
        """Read along from now on. Leaving by any door ends it."""
        follower = Follower()
        if self._closed:
            follower.close()
        self._followers[follower] = None
        try:
            yield follower
        finally:
            del self._followers[follower]
            follower.close()

    def close(self) -> None:
        """End everybody's following, now and later; what is written is still kept."""
        self._closed = True
        for follower in self._followers:
            follower.close()
