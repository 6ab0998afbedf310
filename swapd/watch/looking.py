"""Looking at hardware from threads, where anything may hang.

Rule 1: one look at a time. Whoever comes while another hangs is told so, and takes no thread
for long.
Rule 2: a thread that hangs is left behind, and holds nobody.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

import trio

# Many times what a look takes that does not hang.
PATIENCE = 1.0

T = TypeVar("T")


class CannotLook(Exception):
    """What is looked at does not say anything, now or ever; the text says why."""


class OneAtATime:
    """Lets in one look at a time; `what` is what they look at."""

    def __init__(self, what: str, *, patience: float = PATIENCE) -> None:
        self._what = what
        self._patience = patience
        self._looking = threading.Lock()

    @contextmanager
    def now(self) -> Iterator[None]:
        """Look now. Blocks for a moment; raises `CannotLook` if the look before has not ended."""
        if not self._looking.acquire(timeout=self._patience):
            raise CannotLook(f"cannot look at {self._what}: the look before has not ended")
        try:
            yield
        finally:
            self._looking.release()


class InThread(Protocol):
    """Has work done where it may block."""

    async def __call__(self, work: Callable[[], T], /) -> T: ...


async def in_a_thread(work: Callable[[], T], /) -> T:
    """Have work done in a thread, which is left alone with it when nobody waits any more."""
    # Not waited for to the end: a driver that hangs must not hold the daemon.
    return await trio.to_thread.run_sync(work, abandon_on_cancel=True)
