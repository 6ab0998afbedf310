"""Asking a starting model whether it is ready.

Rule 1: only 200 is ready; refused, reset, 503 and anything else mean "not yet".
Rule 2: how long the whole may take is the caller's scope.
"""

from collections.abc import Awaitable, Callable

import trio

# Ask again after this share of the time waited so far: a short load loses little, a long one
# costs few questions.
SHARE_OF_THE_WAIT = 0.01
SHORTEST_PAUSE = 0.002
LONGEST_PAUSE = 0.05

READY = 200


async def until_ready(ask: Callable[[], Awaitable[int | None]]) -> None:
    """Ask at once and then again and again, until the answer is 200.

    `ask` answers the status, or None when there is no answer to be had.
    """
    begun = trio.current_time()
    # Not an Event: nobody tells us, that is why we ask.
    while await ask() != READY:  # noqa: ASYNC110
        await trio.sleep(pause(trio.current_time() - begun))


def pause(waited: float) -> float:
    """Say how many seconds to wait before the next question, after so many seconds."""
    return min(max(waited * SHARE_OF_THE_WAIT, SHORTEST_PAUSE), LONGEST_PAUSE)
