"""How many clients there is room for, and who goes when there is none.

1. while there is room, who comes is welcome;
2. else the client goes that has been silent longest: it has asked for nothing, or never to the
   end, and can come back;
3. else, everybody being served, who comes is told so and let go; those who are here stay.

Rule 1: whoever is being served is never sent away for a newcomer.
Rule 2: what a newcomer costs is bounded, also when there are thousands of them.
"""

import logging
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from heapq import nsmallest
from operator import itemgetter
from typing import Protocol

import attrs
import trio

log = logging.getLogger(__name__)

# More clients than the models of any one machine serve; silent ones cost some 15 kB each.
MOST_CONNECTIONS = 4096

# Fewer would be no service, whatever the system gives us.
FEWEST_CONNECTIONS = 16

# What one client may need at once: its connection, the model's, and the file of a large upload.
DESCRIPTORS_EACH = 3

# What all else needs: models and their output, logs, the record, listeners, those turned away.
DESCRIPTORS_OF_OURS = 256

# How many that are turned away are waited for until they have read why, and how small a part of
# all descriptors they may hold meanwhile.
MOST_GOODBYES = 64
GOODBYES_PART = 8

# How many of the silent are looked at to find one that is silent still.
LOOKED_AT = 8

# When the system gives us no more descriptors, this part of the silent goes, and one at least.
THINNED_BY = 8

# How often the log says that it is crowded. Seconds.
SAID_AGAIN = 60.0


class Guest(Protocol):
    """A client that takes up room."""

    @property
    def silent_since(self) -> float | None:
        """Since when it says nothing though it is its turn to; None where it is ours."""

    def dismiss(self) -> bool:
        """End it, unless it has asked for something meanwhile; say whether it goes."""


@attrs.define
class Crowd:
    """Those who are here."""

    most: int = attrs.field(factory=lambda: most_connections())
    others: "Crowd | None" = None
    """Who makes room when the system gives us no more descriptors and nobody here can."""
    _guests: set[Guest] = attrs.field(factory=set)
    _said: float = -SAID_AGAIN

    @contextmanager
    def place(self, guest: Guest) -> Iterator[bool]:
        """Take a place, if there is one to be had; leaving gives it back."""
        welcome = len(self._guests) < self.most or self._make_room(1)  # 1, 2
        if not welcome:
            self.complain(f"{self.most} clients are being served; others are turned away")  # 3
            yield False
            return
        self._guests.add(guest)
        try:
            yield True
        finally:
            self._guests.discard(guest)

    def thin(self) -> bool:
        """Send some of the silent away at once; say whether anybody goes."""
        if self._make_room(max(1, len(self._guests) // THINNED_BY)):
            return True
        return self.others is not None and self.others.thin()

    def complain(self, text: str) -> None:
        """Tell the operator, now and then: a flood of clients is none of lines."""
        if trio.current_time() >= self._said + SAID_AGAIN:
            self._said = trio.current_time()
            log.warning("%s", text)

    def _make_room(self, places: int) -> bool:
        found = ((guest.silent_since, guest) for guest in self._guests)
        silent = [(since, guest) for since, guest in found if since is not None]
        gone = 0
        for _, guest in nsmallest(places + LOOKED_AT, silent, key=itemgetter(0)):
            gone += guest.dismiss()
            if gone == places:
                break
        return gone > 0


def most_connections() -> int:
    """Say how many clients the system gives us descriptors for."""
    enough = (_descriptors() - DESCRIPTORS_OF_OURS) // DESCRIPTORS_EACH
    return max(FEWEST_CONNECTIONS, min(MOST_CONNECTIONS, enough))


def most_goodbyes() -> int:
    """Say how many of those who are turned away may be told so at a time."""
    return min(MOST_GOODBYES, _descriptors() // GOODBYES_PART)


def ask_for_descriptors() -> None:
    """Have as many descriptors as the most clients need, or as many of them as we may.

    Not all that we may: models inherit the number, and some programs go through all of it.
    """
    wanted = DESCRIPTORS_OF_OURS + DESCRIPTORS_EACH * MOST_CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unbounded = resource.RLIM_INFINITY
    if soft != unbounded and soft < wanted:
        soft = wanted if hard == unbounded else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _descriptors() -> int:
    """Say how many the system gives us now."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if allowed == resource.RLIM_INFINITY else allowed
