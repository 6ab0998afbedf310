"""One run of one model, as a straight line: spawn, probe, ready, watch, gone.

Being cancelled is how a run is ended; the way out is the same for an unload, an eviction, a crash
and a failed start, and leads through `child.py`.
"""

import math
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import NoReturn, Protocol

import attrs
import trio
from trio_util import move_on_when

from swapd.config.settings import Model, Origin
from swapd.ids import ModelId
from swapd.models.child import Child, Command, open_child
from swapd.models.group import CannotStart, Group, Start
from swapd.models.notices import NOTIFY_SOCKET, Notices, OpenNotices, open_notices
from swapd.models.probe import LIVENESS_PATIENCE, READY, Ask, Used, keep_asking, until_ready
from swapd.models.warden import Warden
from swapd.schedule.reasons import Cause

# How much of what a model wrote is told to whoever waited for it.
LAST_LINES = 20


class Output(Protocol):
    """Where one run's output goes."""

    def write(self, data: bytes) -> None:
        """Take what the process wrote; never blocks."""

    def last_lines(self, count: int) -> tuple[str, ...]:
        """Answer with the last lines, oldest first."""

    def end(self) -> None:
        """Know that there will be no more."""


@attrs.define
class Grace:
    """How long a run that is to end has until SIGKILL: given before, and only shortened after."""

    seconds: float | None = None
    """From SIGTERM, in place of the model's own; of no use once the end has begun."""
    _latest: float = math.inf
    """On the run's clock: what has been promised to those in a hurry."""
    _patience: trio.CancelScope | None = None
    """The wait for the end, once that has begun."""

    def hurry(self, seconds: float) -> None:
        """Have SIGKILL come within so many seconds from now, whether the end has begun or not."""
        self._latest = min(self._latest, trio.current_time() + seconds)
        if self._patience is not None:
            self._patience.deadline = min(self._patience.deadline, self._latest)

    def begin(self, own: float) -> trio.CancelScope:
        """Answer with a scope that is over when SIGKILL is due; `own` are the model's seconds."""
        due = trio.current_time() + (own if self.seconds is None else self.seconds)
        self._patience = trio.CancelScope(deadline=min(due, self._latest))
        return self._patience


class Life(Used, Protocol):
    """Who is told what becomes of the run; all of it synchronous."""

    grace: Grace
    """Begun when the process is asked to end."""

    def spawned(self, pid: int) -> None:
        """The process runs; `pid` is its leader's and its group's number."""

    def says(self, status: str) -> None:
        """The model says what it is doing, in words for people; "" is nothing any more."""

    def ready(self) -> None:
        """The model answers its health check, or says so itself."""

    def broke(self, cause: Cause) -> None:
        """The start failed, or the process ended unasked; the sweep follows."""

    def stuck(self, why: str, gone: Callable[[], Awaitable[None]]) -> None:
        """Something of it survived SIGKILL; `gone` waits until it is gone after all."""


Supervise = Callable[[Model, Life], Awaitable[None]]
"""One run of one model: returns, or is cancelled, when it is verified gone."""


@attrs.frozen
class Supervisor:
    """What a run needs of the world; called with a model, it lives one run of it."""

    warden: Warden
    open_output: Callable[[ModelId], Output]
    ask: Callable[[Origin, str], Awaitable[int | None]]
    """Ask a path there once: the status, or None when nothing answers."""
    answers: Callable[[Origin], Awaitable[bool]]
    """Whether anybody accepts connections at an address of this machine; may raise OSError."""
    liveness_patience: float = LIVENESS_PATIENCE
    """Seconds that a loaded model may take to answer its health check."""
    start: Start = Group
    """How processes are started."""
    open_notices: OpenNotices = open_notices
    """How they are heard when they speak of themselves."""

    async def __call__(self, model: Model, life: Life) -> None:
        """Live one run to its end: returns, or is cancelled, when nothing of it is left."""
        if (unfit := await self._port_unfit(model)) is not None:
            life.broke(unfit)
            return
        output = self.open_output(model.id)
        try:
            with self.open_notices() as notices:
                await self._run(model, life, output, notices)
        except CannotStart as problem:
            life.broke(Cause(str(problem)))
        finally:
            output.end()

    async def _run(self, model: Model, life: Life, output: Output, notices: Notices) -> None:
        async with open_child(
            self._command(model, life, notices),
            output=output.write,
            stuck=life.stuck,
            warden=self.warden,
            start=self.start,
            beside=partial(notices.listen, life.says),
        ) as child:
            life.spawned(child.group.pid)
            cause = await self._become_ready(model, child, notices)
            if cause is None:
                life.ready()
                async with move_on_when(child.exited.wait):
                    await self._watch(model, life)
                cause = exit_cause(child.exit_status)
            life.broke(attrs.evolve(cause, last_lines=output.last_lines(LAST_LINES)))

    def _command(self, model: Model, life: Life, notices: Notices) -> Command:
        own = {} if notices.address is None else {NOTIFY_SOCKET: notices.address}
        # After ours, so that who wants silence, or has a listener of their own, can say so.
        for entry in model.env:
            name, _, value = entry.partition("=")
            own[name] = value
        return Command(
            argv=model.argv,
            env=self.warden.mark(os.environ, own),
            stop_argv=model.stop_argv,
            patience=partial(life.grace.begin, model.unload_timeout),
            released=partial(self._released, model.origin),
        )

    async def _port_unfit(self, model: Model) -> Cause | None:
        """Say why the model cannot be started on its port: a stranger's 200 must never count."""
        port = model.origin.port
        try:
            taken = await self.answers(model.origin)
        except OSError as problem:
            return Cause(f"cannot look at port {port}: {problem.strerror}")
        return Cause(f"port {port} is taken (models.{model.id}.proxy)") if taken else None

    async def _released(self, origin: Origin) -> bool:
        try:
            return not await self.answers(origin)
        except OSError:
            return False  # Nothing left to look with is no proof.

    async def _become_ready(self, model: Model, child: Child, notices: Notices) -> Cause | None:
        """Wait for readiness; answer with what came instead, if something did."""
        ready = model.check_endpoint is None
        if model.check_endpoint is not None:
            ask = partial(self.ask, model.origin, model.check_endpoint)
            with trio.move_on_after(model.health_timeout):
                async with move_on_when(child.exited.wait):
                    async with move_on_when(notices.ready.wait):
                        await until_ready(ask)
                        ready = True
                    if not ready:
                        # Some say so before anybody can reach them.
                        await until_ready(partial(self._reached, model.origin, ask))
                        ready = True
        if child.exited.is_set():
            return exit_cause(child.exit_status)
        return None if ready else Cause(f"not healthy after {model.health_timeout:g} s")

    async def _reached(self, origin: Origin, ask: Ask) -> int | None:
        """Take any answer for a good one, and being let in, where that can be seen from here."""
        with suppress(OSError):
            if await self.answers(origin):
                return READY
        return READY if await ask() is not None else None

    async def _watch(self, model: Model, life: Life) -> NoReturn:
        """Look after a loaded model for as long as it lives."""
        if model.check_endpoint is not None and model.liveness_interval > 0:
            ask = partial(self.ask, model.origin, model.check_endpoint)
            interval, patience = model.liveness_interval, self.liveness_patience
            await keep_asking(ask, life, interval=interval, patience=patience)
        await trio.sleep_forever()


def exit_cause(status: int | None) -> Cause:
    """Put an exit status into words: a code, or minus a signal."""
    assert status is not None
    if status < 0:
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = f"signal {-status}"
        return Cause(f"killed by {name}", signal=-status)
    return Cause(f"exited with code {status}", exit_code=status)
