"""What a daemon is given of the machine: sockets, processes, threads, signals, and its log."""

import ctypes
import logging
import os
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import attrs
import trio

from swapd import daemon
from swapd.config.load import Loaded
from swapd.config.settings import Origin, Settings
from swapd.daemon import LAST_WORDS, World
from swapd.front.crowd import Crowd, ask_for_descriptors
from swapd.front.gateway import Gateway
from swapd.front.listen import Address, address_of, adopt_listener, open_listener, url
from swapd.front.serve import Front, server_tls
from swapd.models.prefetch import Prefetcher
from swapd.models.supervisor import Supervisor
from swapd.models.warden import open_warden
from swapd.service import ADMIN, Manager, inherited, open_manager
from swapd.watch.logs import Logs
from swapd.watch.opening import AUTO, open_logs
from swapd.watch.recorder import Recorder
from swapd.watchers import open_recorder
from swapd.wire import pool
from swapd.wire.dial import answers
from swapd.wire.exchange import UpstreamGone
from swapd.wire.headers import target

log = logging.getLogger(__name__)

T = TypeVar("T")

# How long after all of its bounds a stop that hangs is ended by force; the warden does the rest.
HARD_EXIT = 5.0

# How long the thread that reads a changed configuration may keep the interpreter from everybody
# else; a tenth of Python's own, for every token waits for it.
HAND_OVER = 0.0005

# How many may be connected at admins' own door: more than all who may follow what happens, so that
# there is always room to ask and to unload.
MOST_ADMINS = 320

# What a service manager is asked for before the record of requests is opened. Seconds.
LONGEST_OPENING = 300.0

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
    admin_listen: Address | None = None
    """Where admins come in, and only there; None for where everybody does."""
    certificate: str | None = None
    key: str | None = None
    """Paths of the TLS certificate chain and its key; both or neither."""
    max_body: int = daemon.MAX_BODY
    drain: float = daemon.DRAIN
    look: Callable[[], object] | None = None
    """Looks at the files of the configuration, for changes; None for nobody looking."""
    saw: object = None
    """What it saw before they were read."""
    state: Path | None = None
    """Where what was measured is kept; None for nowhere."""
    log_format: str = AUTO
    """The word of a `Form`, or `AUTO` for what suits whoever reads standard output."""


@attrs.frozen
class Entrance:
    """A listening socket."""

    listener: socket.socket
    wide: bool
    """Whether others than this machine can reach it."""
    tls: ssl.SSLContext | None = None
    crowd: Crowd = attrs.field(factory=Crowd)
    """Those who are connected, here or at another door of the kind."""
    admin: bool = False
    """Whether it is there for admins."""

    @property
    def where(self) -> str:
        """What a client connects to."""
        return url(self.listener, tls=self.tls is not None)

    async def run(
        self,
        app: Gateway,
        *,
        task_status: trio.TaskStatus[Front] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Have the application answer whoever connects, until cancelled."""
        front = Front(app, self.tls, self.crowd)
        async with trio.open_nursery() as nursery:
            await nursery.start(front.run, self.listener)
            task_status.started(front)


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
    ask_for_descriptors()
    _give_memory_back()
    tls = None
    if options.certificate is not None and options.key is not None:
        tls = server_tls(options.certificate, options.key)
    settings = loaded.settings
    with (
        open_logs(settings, options.log_format, fd=STDOUT, environment=os.environ) as logs,
        # First of all that starts a process: what is meant for us leaves the environment.
        open_manager(os.environ) as manager,
        open_doors(options, tls) as doors,
        closing(_open_record(settings, manager)) as recorder,
        open_warden() as warden,
    ):
        prefetcher = Prefetcher(warden=warden)
        world = World(
            supervise=Supervisor(
                warden=warden, open_output=logs.run_output, ask=_ask, answers=answers
            ),
            read=partial(_in_thread, read),
            doors=doors,
            read_ahead=prefetcher.read,
            look=None if options.look is None else partial(_in_thread, options.look),
            saw=options.saw,
            state=options.state,
            end_by_force=partial(_exit_hard_after, logs.flush),
            manager=manager,
        )
        trio.run(_run, loaded, world, options, logs, recorder)
        prefetcher.end()


@contextmanager
def open_doors(options: Options, tls: ssl.SSLContext | None) -> Iterator[list[Entrance]]:
    """Listen where we are told to, or on what the service manager has opened for that."""
    with ExitStack() as opened:
        passed = inherited(os.environ)
        for one in passed:
            opened.callback(one.socket.close)
        doors, clients = [], Crowd()
        for admin, address in ((False, options.listen), (True, options.admin_listen)):
            given = [one.socket for one in passed if (one.name == ADMIN) == admin]
            for sock in given:
                adopt_listener(sock)
            if not given and address is not None:
                given = [opened.enter_context(open_listener(address, private=admin))]
            crowd = Crowd(MOST_ADMINS, clients) if admin else clients
            for sock in given:
                at = address_of(sock)
                # Nobody can listen in on a unix socket, and our own commands speak plainly there.
                plain = admin and at.path is not None
                doors.append(
                    Entrance(sock, not at.is_loopback, None if plain else tls, crowd, admin)
                )
        yield doors


def _open_record(settings: Settings, manager: Manager) -> Recorder:
    # A large file of an earlier version is rewritten first.
    manager.extend(LONGEST_OPENING)
    return open_recorder(settings)


async def _run(
    loaded: Loaded, world: World, options: Options, logs: Logs, recorder: Recorder
) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        await daemon.run(
            *(loaded, world, signals),
            logs=logs,
            recorder=recorder,
            drain=options.drain,
            max_body=options.max_body,
        )


def _give_memory_back() -> None:
    with suppress(AttributeError, OSError):  # Another C library has other ways.
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, GIVE_BACK)


async def _in_thread(call: Callable[..., T], *args: object) -> T:
    # Disks can be slow, and configurations long; requests must not wait for either.
    return await trio.to_thread.run_sync(call, *args, abandon_on_cancel=True)


def _exit_hard_after(last_words: Callable[[float], None], seconds: float) -> None:
    # A thread, because what may hang is the loop that everything else runs in.
    def exit_hard() -> None:
        log.error("the stop hangs; leaving the rest to the warden")
        last_words(LAST_WORDS)
        os._exit(EX_SOFTWARE)

    timer = threading.Timer(seconds + HARD_EXIT, exit_hard)
    timer.daemon = True
    timer.start()


async def _ask(origin: Origin, endpoint: str) -> int | None:
    """Ask a model's health endpoint once, for the supervisor, which knows no HTTP."""
    path, _, query = endpoint.partition("?")
    try:
        return await pool.ask(origin, target(origin, path.encode(), query.encode()).decode())
    except UpstreamGone:
        return None
