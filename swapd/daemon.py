"""The nursery tree and the stop sequence, from top to bottom. Knows everybody, decides nothing.

root
├─ engine.run         the scheduler's loop, its timers, and a task for each run of a model
├─ manager.run        shows the service manager that the loop goes on, and what there is
├─ front.run          a task for each connection; one more where admins have a door of their own
├─ reloader.run       takes up a changed configuration, when a signal or the next asks for it
├─ loads.run          a task for each load that somebody asked for and does not wait for
├─ keeper.run         writes down what was measured, now and then
├─ recorder.run       writes down what requests were finished
├─ machine.run        looks at the machine, every few seconds
├─ hardware.run       looks once what the machine is
├─ live.run           tells those who follow what happens
├─ watch              looks at the files, if it is to
└─ here               waits for a signal, then stops everything, in order

Rule 1: whatever lies outside is in the `World` that it is given, so that a simulation runs this
very tree.
"""

import logging
import math
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

import attrs
import trio
from trio_util import move_on_when

from swapd import __version__
from swapd.config.load import Loaded
from swapd.config.settings import Model, Origin, Settings
from swapd.engine import Engine
from swapd.flights import Flights
from swapd.front.gateway import Gateway, make_gateway
from swapd.front.serve import Front
from swapd.keeping import Keeper
from swapd.loads import Loads, newly_preloaded
from swapd.manage.app import make_app
from swapd.manage.live import Live
from swapd.models.child import KILL_PATIENCE
from swapd.models.supervisor import Supervise
from swapd.profiles import Profiles
from swapd.proxy.peers import Peers
from swapd.proxy.relay import Relay
from swapd.reload import READ_PATIENCE, Read, Reloader, tell_remarks, watch
from swapd.schedule.choose import choose
from swapd.schedule.measures import Measures
from swapd.service import Manager
from swapd.watch.logs import LEVELS, Logs
from swapd.watch.recorder import Recorder
from swapd.watch.watching import Watching
from swapd.watchers import unharmed, watch_over
from swapd.wire.pool import Pool

log = logging.getLogger(__name__)

# How long requests that have their model may go on after the first signal to stop.
DRAIN = 30.0

# How long those that are cut then have to hear of it.
LAST_WORDS = 1.0

# The largest request body, in bytes.
MAX_BODY = 64 * 1024 * 1024


class Door(Protocol):
    """A way in for clients."""

    @property
    def where(self) -> str:
        """What a client connects to, for people."""

    @property
    def wide(self) -> bool:
        """Whether others than this machine can reach it."""

    @property
    def admin(self) -> bool:
        """Whether it is there for admins. With such a door they come in nowhere else."""

    async def run(self, app: Gateway, *, task_status: trio.TaskStatus[Front]) -> None:
        """Have the application answer whoever comes in, until cancelled."""


@attrs.frozen
class World:
    """The machine that a daemon runs on, and all that it does there."""

    supervise: Supervise
    """Lives one run of one model."""
    read: Read
    """Reads the configuration anew."""
    doors: Sequence[Door]
    """Where clients come in."""
    open_pool: Callable[[Origin], Pool] = Pool
    """Opens the way to a model or a peer."""
    read_ahead: Callable[[Model | None], None] = lambda model: None
    """Has the files of a model read that will be started before long, or of none."""
    look: Callable[[], Awaitable[object]] | None = None
    """Looks at the files of the configuration, for changes; None for nobody looking."""
    saw: object = None
    """What it saw before they were read."""
    state: Path | None = None
    """Where what was measured is kept; None for nowhere."""
    end_by_force: Callable[[float], None] = lambda seconds: None
    """Ends a stop that takes longer than so many seconds."""
    manager: Manager = attrs.field(factory=Manager)
    """Is told where the daemon stands."""


async def run(
    loaded: Loaded,
    world: World,
    signals: AsyncIterator[int],
    *,
    logs: Logs,
    recorder: Recorder,
    drain: float = DRAIN,
    max_body: int = MAX_BODY,
) -> None:
    """Serve until one of the signals says to stop, and return when everything is gone.

    `drain` is in seconds, `max_body` in bytes.
    """
    measures = Measures()
    engine = Engine(
        loaded.settings,
        choose(loaded.settings, measures),
        supervise=world.supervise,
        open_pool=lambda model: world.open_pool(model.origin),
        read_ahead=world.read_ahead,
    )
    keeper = Keeper(world.state, measures, lambda: engine.settings.models)
    keeper.recall()
    flights, profiles, peers = Flights(), Profiles(), Peers(world.open_pool)
    loads = Loads(engine, flights)
    watching = watch_over(engine, logs, recorder)
    live = Live(engine, flights, profiles, logs, recorder, loads)
    reloader = Reloader(
        loaded,
        read=world.read,
        adopt=partial(_adopt, engine, loads, watching, world.doors),
        running=engine.running,
        began=partial(world.manager.reloading, READ_PATIENCE),
        ended=partial(_reloaded, world.manager),
    )
    manage = make_app(
        *(engine, reloader),
        profiles=profiles,
        flights=flights,
        loads=loads,
        watching=watching,
        live=live,
    )
    relay = Relay(engine, flights, peers)
    tell_remarks(loaded)
    async with trio.open_nursery() as root:
        await root.start(engine.run)
        await root.start(world.manager.run, engine.pulse, partial(_standing, engine))
        await root.start(reloader.run)
        await root.start(loads.run)
        await root.start(keeper.run)
        for watcher in (recorder, watching.machine, watching.hardware, live):
            await root.start(unharmed, watcher.run)
        gateway = partial(make_gateway, relay, profiles, manage, watching, max_body=max_body)
        apart = any(door.admin for door in world.doors)
        fronts = [
            await root.start(door.run, gateway(admin=door.admin or not apart))
            for door in world.doors
        ]
        if world.look is not None:
            root.start_soon(partial(watch, world.look, reloader.ask, known=world.saw))
        loads.preload(loaded.settings.preload)
        for door in world.doors:
            whom = " for admins" if door.admin else ""
            logs.announce(f"swapd {__version__} listening on {door.where}{whom}")
        _warn_if_open(world.doors, loaded.settings)
        world.manager.ready()
        await _told_to_stop(signals, on_hangup=reloader.ask)
        bound = drain + engine.longest_unload() + 2 * KILL_PATIENCE + LAST_WORDS
        world.manager.stopping("stopping; requests that are being served may finish", bound)
        live.close()
        logs.close()
        world.end_by_force(bound)
        await _stop(engine, fronts, signals, drain=drain)
        peers.close()
        keeper.save()
        root.cancel_scope.cancel()


async def _told_to_stop(signals: AsyncIterator[int], *, on_hangup: Callable[[], None]) -> None:
    async for number in signals:
        if number != signal.SIGHUP:
            return
        on_hangup()


def _deaf() -> None:
    """What a hangup means to a daemon that stops: it takes up nothing new."""


def _reloaded(manager: Manager, good: bool) -> None:
    manager.ready("" if good else "the last reload failed: see the log")


def _standing(engine: Engine) -> str:
    """Say in a line what there is."""
    running = engine.ask.states(engine.running())
    models = ", ".join(f"{model} {state}" for model, state in sorted(running.items()))
    waiting, _ = engine.ask.waiting()
    return f"{models or 'no model'}; {waiting} waiting"


async def _adopt(
    engine: Engine, loads: Loads, watching: Watching, doors: Sequence[Door], settings: Settings
) -> None:
    if engine.settings.api_keys and not settings.api_keys:
        log.warning("there are no keys any more: whoever can connect may do everything")
        _warn_if_open(doors, settings)
    watching.adopt(settings)
    logging.getLogger().setLevel(LEVELS[settings.log_level])
    wanted = newly_preloaded(engine.settings, settings)
    await engine.adopt(settings)
    loads.preload(wanted)


def _warn_if_open(doors: Sequence[Door], settings: Settings) -> None:
    if any(door.wide for door in doors) and not settings.api_keys:
        log.warning(
            "everybody on the network can use this, unload models and read logs: there are no "
            "keys; set apiKeys, or listen on 127.0.0.1"
        )


async def _stop(
    engine: Engine, fronts: Sequence[Front], signals: AsyncIterator[int], *, drain: float
) -> None:
    """Go down in order, every stage bounded; a second signal skips the drain."""
    log.info("stopping; requests that are being served may finish, a second signal cuts them")
    engine.stop()
    for front in fronts:
        await front.stop_accepting()
    with trio.move_on_after(drain):
        async with move_on_when(partial(_told_to_stop, signals, on_hangup=_deaf)):
            await _drained(fronts, within=LAST_WORDS)
            for front in fronts:
                front.cut_followers()
            await _drained(fronts)
    with trio.move_on_after(engine.longest_unload()):
        await engine.unload()
    # Now also those that somebody gave longer than they have by themselves.
    with trio.move_on_after(2 * KILL_PATIENCE):
        await engine.unload(seconds=0)
    await _drained(fronts, within=LAST_WORDS)
    for front in fronts:
        front.cut()
    log.info("stopped")


async def _drained(fronts: Sequence[Front], *, within: float = math.inf) -> None:
    """Wait until nobody is connected, or so many seconds."""
    with trio.move_on_after(within):
        for front in fronts:
            await front.drained()
