"""The nursery tree and the stop sequence, from top to bottom. Knows everybody, decides nothing.

root
├─ engine.run         the scheduler's loop, its timers, and a task for each run of a model
├─ front.run          a task for each connection
├─ reloader.run       takes up a changed configuration, when a signal or the next asks for it
├─ loads.run          a task for each load that somebody asked for and does not wait for
├─ keeper.run         writes down what was measured, now and then
├─ recorder.run       writes down what requests were finished
├─ machine.run        looks at the machine, every few seconds
├─ hardware.run       looks once what the machine is
├─ live.run           tells those who follow what happens
├─ watch              looks at the files, if it is to
└─ here               waits for a signal, then stops everything, in order
"""

import ctypes
import logging
import os
import signal
import socket
import ssl
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import attrs
import trio
from trio_util import move_on_when

from swapd import __version__
from swapd.config.load import Loaded
from swapd.config.settings import Model, Origin, Settings
from swapd.engine import Engine
from swapd.flights import Flights
from swapd.front.gateway import make_gateway
from swapd.front.listen import Address, open_listener, url
from swapd.front.serve import Front, server_tls
from swapd.keeping import Keeper
from swapd.loads import Loads, newly_preloaded
from swapd.manage.app import make_app
from swapd.manage.live import Live
from swapd.models.child import KILL_PATIENCE
from swapd.models.prefetch import Prefetcher
from swapd.models.supervisor import Supervisor
from swapd.models.warden import Warden, open_warden
from swapd.profiles import Profiles
from swapd.proxy.peers import Peers
from swapd.proxy.relay import Relay
from swapd.reload import Reloader, tell_remarks, watch
from swapd.schedule.choose import choose
from swapd.schedule.measures import Measures
from swapd.watch.logs import LEVELS, Logs
from swapd.watch.opening import AUTO, open_logs
from swapd.watch.recorder import Recorder
from swapd.watch.watching import Watching
from swapd.watchers import open_recorder, unharmed, watch_over
from swapd.wire import pool
from swapd.wire.dial import answers
from swapd.wire.exchange import UpstreamGone
from swapd.wire.headers import target

log = logging.getLogger(__name__)

T = TypeVar("T")

# How long requests that have their model may go on after the first signal to stop.
DRAIN = 30.0

# How long those that are cut then have to hear of it.
LAST_WORDS = 1.0

# How long after all of its bounds a stop that hangs is ended by force; the warden does the rest.
HARD_EXIT = 5.0

# How long the thread that reads a changed configuration may keep the interpreter from everybody
# else; a tenth of Python's own, for every token waits for it.
HAND_OVER = 0.0005

EX_SOFTWARE = 70

# Where the log goes, whatever Python has made of it.
STDOUT = 1

# What is allocated in pieces of at least this many bytes is given back when it is freed: large
# bodies come and go, and glibc would learn from them to keep ever larger ones.
GIVE_BACK = 1024 * 1024
_M_MMAP_THRESHOLD = -3


@attrs.frozen
class Options:
    """How to serve, apart from what the configuration says."""

    listen: Address = attrs.field(factory=Address)
    certificate: str | None = None
    key: str | None = None
    """Paths of the TLS certificate chain and its key; both or neither."""
    max_body: int = 64 * 1024 * 1024
    drain: float = DRAIN
    look: Callable[[], object] | None = None
    """Looks at the files of the configuration, for changes; None for nobody looking."""
    saw: object = None
    """What it saw before they were read."""
    state: Path | None = None
    """Where what was measured is kept; None for nowhere."""
    log_format: str = AUTO
    """The word of a `Form`, or `AUTO` for what suits whoever reads standard output."""


def serve(
    loaded: Loaded,
    options: Options,
    *,
    read: Callable[[Loaded], Loaded],
) -> None:
    """Serve until told to stop. Raises `CannotListen`, `BadTls` or `CannotStore`.

    `read` reads the configuration anew.
    """
    sys.setswitchinterval(HAND_OVER)
    _give_memory_back()
    tls = None
    if options.certificate is not None and options.key is not None:
        tls = server_tls(options.certificate, options.key)
    settings = loaded.settings
    with (
        open_logs(settings, options.log_format, fd=STDOUT, environment=os.environ) as logs,
        open_listener(options.listen) as listener,
        closing(open_recorder(settings)) as recorder,
        open_warden() as warden,
    ):
        trio.run(_run, loaded, options, read, listener, tls, warden, logs, recorder)


async def _run(
    loaded: Loaded,
    options: Options,
    read: Callable[[Loaded], Loaded],
    listener: socket.socket,
    tls: ssl.SSLContext | None,
    warden: Warden,
    logs: Logs,
    recorder: Recorder,
) -> None:
    supervisor = Supervisor(warden=warden, open_output=logs.run_output, ask=_ask, answers=answers)
    measures = Measures()
    prefetcher = Prefetcher(warden=warden)
    engine = Engine(
        loaded.settings,
        choose(loaded.settings, measures),
        supervise=supervisor,
        open_pool=_open_pool,
        read_ahead=prefetcher.read,
    )
    keeper = Keeper(options.state, measures, lambda: engine.settings.models)
    keeper.recall()
    flights, profiles, peers = Flights(), Profiles(), Peers()
    loads = Loads(engine, flights)
    watching = watch_over(engine, logs, recorder)
    live = Live(engine, flights, profiles, logs, recorder, loads)
    reloader = Reloader(
        loaded,
        read=partial(_in_thread, read),
        adopt=partial(_adopt, engine, loads, watching),
        running=engine.running,
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
    gateway = make_gateway(relay, profiles, manage, watching, max_body=options.max_body)
    front = Front(gateway, tls)
    tell_remarks(loaded)
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async with trio.open_nursery() as root:
            await root.start(engine.run)
            await root.start(reloader.run)
            await root.start(loads.run)
            await root.start(keeper.run)
            for watcher in (recorder, watching.machine, watching.hardware, live):
                await root.start(unharmed, watcher.run)
            await root.start(front.run, listener)
            if options.look is not None:
                look = partial(_in_thread, options.look)
                root.start_soon(partial(watch, look, reloader.ask, known=options.saw))
            loads.preload(loaded.settings.preload)
            logs.announce(f"swapd {__version__} listening on {url(listener, tls=tls is not None)}")
            if not options.listen.is_loopback and not loaded.settings.api_keys:
                log.warning("everybody on the network can use this; there are no keys")
            await _told_to_stop(signals, on_hangup=reloader.ask)
            live.close()
            logs.close()
            await _stop(engine, front, signals, drain=options.drain, last_words=logs.flush)
            peers.close()
            prefetcher.end()
            keeper.save()
            root.cancel_scope.cancel()


def _give_memory_back() -> None:
    with suppress(AttributeError, OSError):  # Another C library has other ways.
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, GIVE_BACK)


async def _told_to_stop(signals: AsyncIterator[int], *, on_hangup: Callable[[], None]) -> None:
    async for number in signals:
        if number != signal.SIGHUP:
            return
        on_hangup()


def _deaf() -> None:
    """What a hangup means to a daemon that stops: it takes up nothing new."""


async def _in_thread(call: Callable[..., T], *args: object) -> T:
    # Disks can be slow, and configurations long; requests must not wait for either.
    return await trio.to_thread.run_sync(call, *args, abandon_on_cancel=True)


async def _adopt(engine: Engine, loads: Loads, watching: Watching, settings: Settings) -> None:
    watching.adopt(settings)
    logging.getLogger().setLevel(LEVELS[settings.log_level])
    wanted = newly_preloaded(engine.settings, settings)
    await engine.adopt(settings)
    loads.preload(wanted)


async def _stop(
    engine: Engine,
    front: Front,
    signals: AsyncIterator[int],
    *,
    drain: float,
    last_words: Callable[[float], None],
) -> None:
    """Go down in order, every stage bounded; a second signal skips the drain."""
    unload, kill = engine.longest_unload(), 2 * KILL_PATIENCE
    _exit_hard_after(drain + unload + kill + LAST_WORDS + HARD_EXIT, last_words)
    log.info("stopping; requests that are being served may finish, a second signal cuts them")
    engine.stop()
    await front.stop_accepting()
    with trio.move_on_after(drain):
        async with move_on_when(partial(_told_to_stop, signals, on_hangup=_deaf)):
            with trio.move_on_after(LAST_WORDS):
                await front.drained()
            front.cut_followers()
            await front.drained()
    with trio.move_on_after(unload):
        await engine.unload()
    # Now also those that somebody gave longer than they have by themselves.
    with trio.move_on_after(kill):
        await engine.unload(seconds=0)
    with trio.move_on_after(LAST_WORDS):
        await front.drained()
    front.cut()
    log.info("stopped")


def _exit_hard_after(seconds: float, last_words: Callable[[float], None]) -> None:
    # A thread, because what may hang is the loop that everything else runs in.
    def exit_hard() -> None:
        log.error("the stop hangs; leaving the rest to the warden")
        last_words(LAST_WORDS)
        os._exit(EX_SOFTWARE)

    timer = threading.Timer(seconds, exit_hard)
    timer.daemon = True
    timer.start()


def _open_pool(model: Model) -> pool.Pool:
    return pool.Pool(model.origin)


async def _ask(origin: Origin, endpoint: str) -> int | None:
    """Ask a model's health endpoint once, for the supervisor, which knows no HTTP."""
    path, _, query = endpoint.partition("?")
    try:
        return await pool.ask(origin, target(origin, path.encode(), query.encode()).decode())
    except UpstreamGone:
        return None
