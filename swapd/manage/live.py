"""What happens, told to everybody who follows it, as it happens.

Rule 1: one task makes every frame, once, and puts it into each follower's queue; whoever reports
something only leaves a note. So what a frame says is how things stand after all of it was done.
Rule 2: what happens within a beat is told together: each thing once, as it is then.
Rule 3: while nobody follows, nothing is made, nothing is noted, and the logs are not followed.
Rule 4: who comes is told how things stand at the moment from which on it is told what happens.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

import attrs
import trio
from trio_util import AsyncValue

from swapd.decisions import Decision
from swapd.engine import Engine
from swapd.flights import Flight, Flights
from swapd.ids import ModelId
from swapd.loads import Loads
from swapd.manage import frames
from swapd.manage.frames import Frame
from swapd.manage.instants import Instants
from swapd.manage.listening import Listener
from swapd.manage.tails import Tail
from swapd.profiles import Profiles
from swapd.schedule.phase import Phase
from swapd.watch.monitor import Monitor
from swapd.watch.recorder import Recorder
from swapd.watch.trace import Trace

# How long what happens is collected before more of it is told. Seconds.
BEAT = 0.05

# How often people are told how much of an answer has been sent, as by llama-swap. Seconds.
COUNTING = 0.25

# Of how many new records people are told in a beat: who hears of the newest asks for all.
MOST_ROWS = 100

# Decisions about requests: no model stands elsewhere after them.
ABOUT_REQUESTS = frozenset(("grant", "refuse", "cancel"))


class BothLogs(Protocol):
    """The two logs that people are shown."""

    @property
    def proxy(self) -> Monitor:
        """Our own."""

    @property
    def upstream(self) -> Monitor:
        """What all models write."""


@attrs.define
class _Notes:
    """What is still to be told."""

    models: bool = False
    reloaded: bool = False
    profile: bool = False
    changed: dict[str, Trace] = attrs.field(factory=dict)
    over: list[str] = attrs.field(factory=list)
    rows: deque[int] = attrs.field(factory=lambda: deque(maxlen=MOST_ROWS))
    preloads: list[tuple[ModelId, bool]] = attrs.field(factory=list)


@attrs.define(eq=False)
class Live:
    """Tells its followers what the others do."""

    engine: Engine
    flights: Flights
    profiles: Profiles
    logs: BothLogs
    recorder: Recorder
    loads: Loads
    _newcomers: list[Listener] = attrs.field(factory=list)
    _followers: dict[Listener, None] = attrs.field(factory=dict)
    _followed: AsyncValue[bool] = attrs.field(factory=lambda: AsyncValue(False))
    _woken: trio.Event = attrs.field(factory=trio.Event)
    _closed: bool = False
    _notes: _Notes = attrs.field(factory=_Notes)
    _answering: dict[str, float] = attrs.field(factory=dict)
    """Requests whose answers are under way, and when each was told of last."""
    _ui: Frame | None = None
    _profile: Frame | None = None
    _standing: Frame | None = None
    """All that is in flight, as of the last news."""

    def __attrs_post_init__(self) -> None:
        self.engine.decisions.heard_by.append(self._decided)
        self.flights.heard_by.append(self._flew)
        self.profiles.heard_by.append(self._switched)
        self.recorder.heard.append(self._recorded)
        self.loads.heard_by.append(self._preloaded)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Tell those who follow, until cancelled."""
        task_status.started()
        while True:
            await self._followed.wait_value(True)
            with self.logs.proxy.follow() as proxy, self.logs.upstream.follow() as upstream:
                tails = (
                    Tail("proxy", self.logs.proxy, proxy),
                    Tail("upstream", self.logs.upstream, upstream),
                )
                async with trio.open_nursery() as listening:
                    for tail in tails:
                        listening.start_soon(tail.run, self._wake)
                    await self._tell(tails)
                    listening.cancel_scope.cancel()

    @contextmanager
    def follow(self) -> Iterator[Listener]:
        """Be told how things stand, and then what happens."""
        listener = Listener(self._snapshot)
        if self._closed:
            listener.close()
        self._newcomers.append(listener)
        self._followed.value = True
        self._woken.set()
        try:
            yield listener
        finally:
            listener.close()
            self._followers.pop(listener, None)
            if listener in self._newcomers:
                self._newcomers.remove(listener)
            if not self._followers and not self._newcomers:
                self._followed.value = False
                self._woken.set()
                self._notes = _Notes()
                self._answering.clear()

    def close(self) -> None:
        """End everybody's following, now and later."""
        self._closed = True
        for listener in (*self._newcomers, *self._followers):
            listener.close()

    # What the others report

    def _wake(self) -> None:
        self._woken.set()

    def _decided(self, decision: Decision) -> None:
        if self._followed.value and decision.kind not in ABOUT_REQUESTS:
            self._notes.models = True
            self._notes.reloaded |= decision.kind == "reload"
            self._woken.set()

    def _switched(self) -> None:
        if self._followed.value:
            self._notes.models = self._notes.profile = True
            self._woken.set()

    def _recorded(self, row: int) -> None:
        if self._followed.value:
            self._notes.rows.append(row)
            self._woken.set()

    def _preloaded(self, model: ModelId, success: bool) -> None:
        if self._followed.value:
            self._notes.preloads.append((model, success))
            self._woken.set()

    def _flew(self, what: str, flight: Flight) -> None:
        if not self._followed.value:
            return
        trace = flight.trace
        if trace is None or not trace.shown:
            return
        if what != "over" or trace.bytes != trace.counted:
            self._notes.changed[flight.id] = trace
        if what == "head":
            self._answering[flight.id] = -math.inf
        elif what == "over":
            self._answering.pop(flight.id, None)
            self._notes.over.append(flight.id)
        self._woken.set()

    # Telling

    async def _tell(self, tails: Iterable[Tail]) -> None:
        """Tell what there is to tell, at most once a beat, until nobody follows."""
        while self._followed.value:
            if not self._answering:
                await self._woken.wait()
            self._woken = trio.Event()
            for frame in self._news(tails):
                for listener in self._followers:
                    listener.put(frame)
            self._welcome(tails)
            await trio.sleep(BEAT)

    def _news(self, tails: Iterable[Tail]) -> list[Frame]:
        notes, self._notes, self._standing = self._notes, _Notes(), None
        newest = (tail.news(at_once=bool(self._newcomers)) for tail in tails)
        told = [frame for frame in newest if frame is not None]
        if notes.profile or notes.reloaded:
            before, self._profile = self._profile, self._active()
            told += [self._profile] if notes.profile or before != self._profile else []
        if notes.models:
            told.append(self._models())
        if notes.reloaded:
            before, self._ui = self._ui, frames.ui_config(self.engine.settings)
            told += [self._ui] if before != self._ui else []
        told += self._counted(notes)
        told += [frames.remove(name) for name in notes.over]
        told += [frames.activity(row) for row in notes.rows]
        told += [frames.preloaded(model, success=success) for model, success in notes.preloads]
        return told

    def _welcome(self, tails: Iterable[Tail]) -> None:
        """Tell those who came how things stand; the order is llama-swap's."""
        if not self._newcomers:
            return
        if not self._followers:
            begun = (trace.name for trace in self._shown() if trace.status)
            self._answering = dict.fromkeys(begun, -math.inf)
        self._ui, self._profile = frames.ui_config(self.engine.settings), self._active()
        histories = (tail.history() for tail in tails)
        standing = (*histories, self._models(), self._ui, self._profile, self._snapshot())
        for listener in self._newcomers:
            listener.begin(standing)
        self._followers |= dict.fromkeys(self._newcomers)
        self._newcomers.clear()

    def _counted(self, notes: _Notes) -> Iterator[Frame]:
        """Tell of the requests that changed, and of those of which more was sent."""
        now, instants = trio.current_time(), Instants.now()
        for name, told in self._answering.items():
            flight = self.flights.of(name)
            trace = None if flight is None else flight.trace
            due = now - told >= COUNTING
            if trace is not None and trace.bytes != trace.counted and due:
                notes.changed[name] = trace
        for name, trace in notes.changed.items():
            trace.counted = trace.bytes
            if name in self._answering:
                self._answering[name] = now
            yield frames.upsert(frames.in_flight(trace, instants, now))

    def _snapshot(self) -> Frame:
        # One for all who want one before the next news: with thousands in flight it takes long.
        if self._standing is None:
            now, instants = trio.current_time(), Instants.now()
            requests = [frames.in_flight(trace, instants, now) for trace in self._shown()]
            self._standing = frames.snapshot(requests)
        return self._standing

    def _shown(self) -> Iterator[Trace]:
        traces = (flight.trace for flight in self.flights)
        return (trace for trace in traces if trace is not None and trace.shown)

    def _models(self) -> Frame:
        return frames.model_status(self.engine.settings, self._phase)

    def _phase(self, model: ModelId) -> Phase:
        return self.engine.ask.model(model).shown

    def _active(self) -> Frame:
        profile = self.profiles.active(self.engine.settings)
        return frames.profile_changed(None if profile is None else profile.id)
