"""What passes between us and a service manager, in systemd's words: sd_notify and LISTEN_FDS.

Rule 1: saying something never waits and never fails; without a manager nothing is said.
Rule 2: where we stand is said again until it is taken, in order; a status may be lost.
Rule 3: that we live is said only after a `pulse` came back, which proves that work goes on.
Rule 4: what is meant for us leaves the environment, so that no process of ours takes it for its
own.
"""

import logging
import os
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager

import attrs
import trio

from swapd.models.warden import LISTEN, NOTIFY

log = logging.getLogger(__name__)

Pulse = Callable[[], Awaitable[None]]
"""Returns when the scheduler's loop has taken one more event."""

# How often the status is looked at, and more time asked for. Seconds.
BEAT = 5.0

# How much time is asked for at once, while more is due: three beats may be late, not a fourth.
EXTENSION = 4 * BEAT

# Signs of life do not come faster, whatever is wished for. Seconds.
SHORTEST_PAUSE = 0.01

# Nobody reads more of a status than a line.
LONGEST_STATUS = 200

# How many messages may wait for a manager that takes none; the oldest matter least.
MOST_UNSAID = 16

# What a socket for those who manage is called, in `FileDescriptorName=` of its unit.
ADMIN = "admin"

# The first descriptor that is passed, after the three that everybody has.
FIRST_PASSED = 3

# Of the largest number there, 2**64 - 1.
_DIGITS = 20


class BadHandover(Exception):
    """What the service manager passed to us cannot be listened on."""


@attrs.define(eq=False)
class Manager:
    """The service manager, to be told where the daemon stands.

    `tell` sends one message and answers whether it was taken; None where nobody listens.
    """

    _tell: Callable[[bytes], bool] | None = None
    watchdog: float | None = None
    """Within how many seconds it wants a sign of life, again and again; None for never."""
    _clock: Callable[[], int] = time.monotonic_ns
    _standing: Callable[[], str] = str
    _remark: str = ""
    _status: str = ""
    _until: float | None = None
    """How long the state that we are in may last, in the time of the run; None for as it is."""
    _stopping: bool = False
    _unsaid: deque[bytes] = attrs.field(factory=lambda: deque(maxlen=MOST_UNSAID))

    def ready(self, remark: str = "") -> None:
        """Say that requests are served, and whatever is to be remarked about it from now on."""
        if self._stopping:
            return
        self._until, self._remark = None, remark
        self._status = self._now()
        self._say("READY=1", *_status(self._status))

    def reloading(self, bound: float) -> None:
        """Say that the configuration is read anew, for at most so long; `ready` ends it."""
        if self._stopping:
            return
        self._status = "reloading"
        began = f"MONOTONIC_USEC={self._clock() // 1000}"
        self._say("RELOADING=1", began, *_status(self._status), *self._more(bound))

    def stopping(self, status: str, bound: float) -> None:
        """Say that this is the end, which comes within so many seconds."""
        self._stopping, self._status = True, _line(status)
        self._say("STOPPING=1", *_status(self._status), *self._more(bound))

    def status(self, text: str) -> None:
        """Say in words how things are, if they have changed."""
        if (line := _line(text)) != self._status:
            self._status = line
            self._flush()
            if not self._unsaid:
                self._try(f"STATUS={line}")

    def extend(self, seconds: float) -> None:
        """Ask for more time, once, where nothing runs yet that could ask again."""
        self._say(_extension(seconds))

    async def run(
        self,
        pulse: Pulse,
        standing: Callable[[], str],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Give signs of life, and say how things are: `standing`, in a line of words."""
        self._standing = standing
        async with trio.open_nursery() as signs:
            if self._tell is not None:
                signs.start_soon(self._go_on, pulse)
                if self.watchdog is not None:
                    signs.start_soon(self._live, pulse, self.watchdog / 2)
            task_status.started()
            await trio.sleep_forever()

    async def _live(self, pulse: Pulse, every: float) -> None:
        while True:
            await pulse()
            self._flush()
            taken = self._try("WATCHDOG=1")
            # One that is lost is made up for, or the next would come when it is too late.
            await trio.sleep(max(every if taken else min(every, BEAT) / 4, SHORTEST_PAUSE))

    async def _go_on(self, pulse: Pulse) -> None:
        while True:
            await trio.sleep(BEAT)
            await pulse()
            self._flush()
            if self._until is None:
                self.status(self._now())
            elif (left := self._until - trio.current_time()) > 0:
                self._try(_extension(min(left, EXTENSION)))

    def _now(self) -> str:
        return _line("; ".join(filter(None, (self._standing(), self._remark))))

    def _more(self, bound: float) -> Iterator[str]:
        self._until = trio.current_time() + bound
        yield _extension(min(bound, EXTENSION))

    def _say(self, *lines: str) -> None:
        self._unsaid.append(_message(lines))
        self._flush()

    def _flush(self) -> None:
        while self._unsaid and (self._tell is None or self._tell(self._unsaid[0])):
            self._unsaid.popleft()

    def _try(self, line: str) -> bool:
        return self._tell is None or self._tell(_message((line,)))


@contextmanager
def open_manager(environ: MutableMapping[str, str]) -> Iterator[Manager]:
    """Find the service manager that the environment names, and take it out of there."""
    address, within, who = (environ.pop(name, "") for name in NOTIFY)
    ours = who in ("", str(os.getpid()))
    watchdog = (_number(within) or 0) / 1e6 if ours else 0
    if not address.startswith(("/", "@")):
        if address:
            log.warning("cannot notify %s: only paths and abstract names are known", address)
        yield Manager()
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaking:
        speaking.setblocking(False)
        yield Manager(_teller(speaking, address), watchdog or None)


@attrs.frozen
class Inherited:
    """A socket that was opened for us and listens already."""

    name: str
    """`FileDescriptorName=` of its unit, such as `ADMIN`."""
    socket: socket.socket


def inherited(environ: MutableMapping[str, str]) -> tuple[Inherited, ...]:
    """Take over the sockets that the service manager opened for us; raise `BadHandover`."""
    said, who, _, names = (environ.pop(name, "") for name in LISTEN)
    if who != str(os.getpid()):
        return ()  # None, or for whoever started us.
    if (count := _number(said)) is None:
        raise BadHandover(f"cannot listen: LISTEN_FDS={said!r} is no number")
    known = names.split(":")
    taken: list[Inherited] = []
    try:
        for number in range(count):
            name = known[number] if number < len(known) and known[number] else "unknown"
            taken.append(Inherited(name, _passed(FIRST_PASSED + number, name)))
    except BadHandover:
        for one in taken:
            one.socket.close()
        raise
    return tuple(taken)


def _passed(descriptor: int, name: str) -> socket.socket:
    whose = f"cannot listen on descriptor {descriptor} ({name}), which we were passed"
    try:
        os.set_inheritable(descriptor, False)
        passed = socket.socket(fileno=descriptor)
    except OSError as problem:
        raise BadHandover(f"{whose}: {problem.strerror}") from problem
    stream = passed.family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX) and (
        passed.type == socket.SOCK_STREAM
    )
    if stream and passed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return passed
    passed.close()
    raise BadHandover(f"{whose}: not a listening stream (ListenStream= and Accept=no make one)")


def _teller(speaking: socket.socket, address: str) -> Callable[[bytes], bool]:
    where = address.replace("@", "\0", 1) if address.startswith("@") else address

    def tell(message: bytes) -> bool:
        try:
            speaking.sendto(message, where)
        except BlockingIOError:
            return False
        except OSError as gone:
            log.debug("the service manager does not hear: %s", gone)
        return True

    return tell


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _DIGITS else None


def _message(lines: tuple[str, ...]) -> bytes:
    return "\n".join(lines).encode(errors="replace")


def _status(line: str) -> tuple[str, ...]:
    return (f"STATUS={line}",) if line else ()


def _extension(seconds: float) -> str:
    return f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}"


def _line(text: str) -> str:
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    return line if len(line) <= LONGEST_STATUS else f"{line[: LONGEST_STATUS - 1]}…"
