"""What a client that asked for a stream sees while it waits for its model.

Most clients give up on a stream that says nothing for a while. So one that waits is begun early:
with lines about the loading where `sendLoadingState` asks for them, else with comments.

Rule 1: nothing is begun before the scheduler's first word: a refusal keeps its status. Nor is it
soon after the model has the request: its own status and headers are worth more than a comment.
Rule 2: once begun, it is kept alive until the model answers, whatever is waited for meanwhile.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import attrs
import trio

from swapd.proxy import events
from swapd.proxy.client import ToClient
from swapd.schedule.phase import Phase
from swapd.turns import LoadedModel, Turn
from swapd.wire.exchange import UploadLost, UpstreamGone

T = TypeVar("T")

# A client that is served within this sees the model's own answer from its head on. Seconds.
FIRST = 1.5

# The most impatient clients give up after 15 s of silence. Seconds.
EVERY = 9.0

# llama-swap's pace: a dot, or a line. Seconds.
TICK = 0.75

# How often the lines say how long it has been. Seconds.
REMARK = 6.0

RULER = "━━━━━"


@attrs.define
class Waiting:
    """One client's wait; `phase` says where its model stands."""

    answer: ToClient
    turn: Turn
    phase: Callable[[], Phase]
    lines: bool
    """Whether it wants to see the loading."""
    _told: float = 0.0
    """When it was last told something, on the run's clock."""

    async def granted(self) -> LoadedModel:
        """Wait for the turn as `Turn.granted` does, and meanwhile for the client to be told."""
        if self.answer.begun:  # It waits for the second time.
            return await self._commented()
        if self.lines:
            await self.turn.heard()
            if not self.turn.decided and self.phase() is not Phase.READY:
                return await self._narrated()
        with trio.move_on_after(FIRST):
            return await self.turn.granted()
        await self.answer.begin()
        await self._tell(self._sign())
        return await self._commented()

    async def meanwhile(self, call: Callable[[], Awaitable[T]]) -> T:
        """Do something for a client that waits on; raises what it raises."""
        if not self.answer.begun:
            self._told = trio.current_time()
        failed: UpstreamGone | UploadLost | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._comment_on)
            try:
                got = await call()
            except (UpstreamGone, UploadLost) as failure:
                failed = failure
            nursery.cancel_scope.cancel()
        if failed is not None:
            raise failed
        return got

    async def _commented(self) -> LoadedModel:
        while True:
            with trio.move_on_at(self._told + EVERY):
                return await self.turn.granted()
            await self._tell(self._sign())

    async def _comment_on(self) -> None:
        while True:
            await trio.sleep_until(self._told + EVERY)
            # The head must not be cut off when the model's answer comes; a stalled reader ends it.
            with trio.CancelScope(shield=True):
                if not self.answer.begun:
                    await self.answer.begin()
                await self._tell(self._sign())

    async def _narrated(self) -> LoadedModel:
        await self.answer.begin()
        await self._line(RULER)
        await self._line(f"swapd loading model: {self.turn.model}")
        place: int | None = None
        remarked = trio.current_time()
        while True:
            with trio.move_on_after(TICK):
                loaded = await self.turn.granted()
                break
            if place != self.turn.place:
                place = self.turn.place
                await self._text(f"\nQueue position: #{place} ")
            elif trio.current_time() - remarked >= REMARK:
                await self._text(f"\n{self._state()} ")
            else:
                await self._text(".")
                continue
            remarked = trio.current_time()
        await self._text("\n")
        for line in (f"Done! ({self._waited():.2f}s)", RULER, " "):
            await self._line(line)
        return loaded

    async def _line(self, text: str) -> None:
        await self._text(text)
        await self._text("\n")

    async def _text(self, text: str) -> None:
        await self._tell(events.reasoning(text))

    async def _tell(self, event: bytes) -> None:
        await self.answer.event(event)
        # Every pause counts from here: a load and a long prompt behind it are one silence to a
        # client, wherever in between it was granted.
        self._told = trio.current_time()

    def _sign(self) -> bytes:
        return events.PING if self.answer.reader.anthropic else events.comment(self._state())

    def _state(self) -> str:
        """Say how long it has been, and what is going on."""
        place = self.turn.place
        if self.turn.run is not None:
            doing = f"{self.turn.model} is at work"
        elif self.phase() is Phase.STARTING:
            doing = f"{self.turn.model} is loading"
        else:
            doing = f"position {place} in the queue" if place else "in the queue"
        return f"{self._waited():.0f} s: {doing}"

    def _waited(self) -> float:
        return trio.current_time() - self.turn.opened
