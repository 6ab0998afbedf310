"""Asking a starting model whether it is ready, and a loaded one whether it still is.

Rule 1: only 200 is ready; refused, reset, 503 and anything else mean "not yet".
Rule 2: how long a start may take is the caller's scope; every later question is bounded here.
Rule 3: only a model that nobody uses is asked again: a server that is busy may be slow to answer,
and its users notice its end by themselves.
"""

from collections.abc import Awaitable, Callable
from typing import NoReturn, Protocol

import trio

# Ask again after this share of the time waited so far: a short load loses little, a long one
# costs few questions.
SHARE_OF_THE_WAIT = 0.01
SHORTEST_PAUSE = 0.002
LONGEST_PAUSE = 0.05

READY = 200

# Longer than memory that was swapped out takes to come back. A server that is silent for so long
# while nobody uses it will not serve the next request either.
LIVENESS_PATIENCE = 10.0

Ask = Callable[[], Awaitable[int | None]]


class Used(Protocol):
    """What is known of how a run is used, and who is told when it is of no use any more."""

    uses: int
    """How many requests it was granted so far."""

    def idle(self) -> bool:
        """Whether nobody is served by it."""

    def unanswered(self) -> None:
        """The loaded model did not answer its health check, and nobody used it meanwhile."""


async def until_ready(ask: Ask) -> None:
    """Ask at once and then again and again, until the answer is 200.

    `ask` answers the status, or None when there is no answer to be had.
    """
    begun = trio.current_time()
    # Not an Event: nobody tells us, that is why we ask.
    while await ask() != READY:  # noqa: ASYNC110
        await trio.sleep(pause(trio.current_time() - begun))


async def keep_asking(
    ask: Ask, used: Used, *, interval: float, patience: float = LIVENESS_PATIENCE
) -> NoReturn:
    """Ask a loaded model every `interval` seconds, and tell each time that it does not answer."""
    while True:
        await trio.sleep(interval)
        if not used.idle():
            continue
        before = used.uses
        with trio.move_on_after(patience) as asking:
            await until_ready(ask)
        # Not whether it is idle now: whoever came and went meanwhile may have kept it busy.
        if asking.cancelled_caught and used.uses == before:
            used.unanswered()


def pause(waited: float) -> float:
    """Say how many seconds to wait before the next question, after so many seconds."""
    return min(max(waited * SHARE_OF_THE_WAIT, SHORTEST_PAUSE), LONGEST_PAUSE)
