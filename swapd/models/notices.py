"""What a model says of itself: each run has a socket of its own that its processes may write to.

They find it in `NOTIFY_SOCKET` and speak as services do to their service manager: datagrams of
lines, of which `READY=1` and `STATUS=…` are heard here and all others are none of our business.

Rule 1: the address is an abstract one. Nothing of it is on disk, nothing is left when the run is
gone, and its random name cannot be taken by somebody who was there before.
Rule 2: only this user and root are believed. An abstract address has no permissions, and its name
can be read by everybody on the machine; so the kernel tells who has sent each datagram. Of this
user every process is believed: what may kill a model and read its memory may also call it ready.
Rule 3: what is said is a stranger's text. It is bounded, made printable, and never a reason to do
anything else. Descriptors that come with it are closed; who waits for that, as a barrier, goes on.
Rule 4: who writes without end waits, not we.
"""

import logging
import os
import secrets
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import NoReturn, Protocol

import attrs
import trio

log = logging.getLogger(__name__)

# The environment variable that says where to write.
NOTIFY_SOCKET = "NOTIFY_SOCKET"

# What a service manager takes; whoever sends more than that is not heard.
LONGEST_NOTICE = 4096

# For people: as much as fits in two lines of a terminal.
LONGEST_STATUS = 160

# Reads in a row, and how long nothing more is read after them. Nobody has more to say of itself
# than that, and between two questions of the probe there may be more time.
NOTICES_IN_A_ROW = 16
BREATH = 0.01

# Process, user and group of the sender. There is room for this and nothing else, so the kernel
# closes whatever descriptors came along, instead of giving them to us.
_SENDER = struct.Struct("3i")
_ROOM = socket.CMSG_SPACE(_SENDER.size)

Tell = Callable[[str], None]
"""Called with what the model says that it does; "" if it takes that back."""


class Notices(Protocol):
    """One run's ear."""

    address: str | None
    """What `NOTIFY_SOCKET` is to be for its processes; None if they cannot be heard."""
    ready: trio.Event
    """Set when the model has said that it is ready."""

    async def listen(self, tell: Tell) -> NoReturn:
        """Take what is said, until cancelled."""


OpenNotices = Callable[[], AbstractContextManager[Notices]]


@contextmanager
def open_notices() -> Iterator[Notices]:
    """Listen for one run. Without a socket the model is asked instead, as most models are."""
    name = f"swapd-{secrets.token_hex(16)}"
    try:
        ear = _open_socket(name)
    except OSError as problem:
        log.warning("cannot hear what a model says of itself: %s", problem.strerror)
        yield _Deaf()
        return
    with ear:
        yield _Ear(f"@{name}", ear)


def _open_socket(name: str) -> socket.socket:
    ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        ear.setblocking(False)
        # Before there is an address, so that nothing comes without its sender.
        ear.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        ear.bind(f"\0{name}")
    except OSError:
        ear.close()
        raise
    return ear


@attrs.define
class _Deaf:
    """Hears nothing."""

    address: str | None = None
    ready: trio.Event = attrs.field(factory=trio.Event)

    async def listen(self, tell: Tell) -> NoReturn:
        await trio.sleep_forever()


@attrs.define
class _Ear:
    """A real socket, with what was heard there."""

    address: str | None
    _socket: socket.socket
    ready: trio.Event = attrs.field(factory=trio.Event)

    async def listen(self, tell: Tell) -> NoReturn:
        while True:
            await trio.lowlevel.wait_readable(self._socket)
            self._hear(tell)
            # Not only after a full row: what a socket holds may be less than that.
            await trio.sleep(BREATH)

    def _hear(self, tell: Tell) -> None:
        for _ in range(NOTICES_IN_A_ROW):
            try:
                notice, about, flags, _ = self._socket.recvmsg(LONGEST_NOTICE, _ROOM)
            except BlockingIOError:
                return
            if _believed(about) and not flags & socket.MSG_TRUNC:
                self._take(notice, tell)

    def _take(self, notice: bytes, tell: Tell) -> None:
        lines = notice.split(b"\n")
        if b"READY=1" in lines:
            self.ready.set()
        # One of each notice: there may be hundreds in it.
        statuses = [line for line in lines if line.startswith(b"STATUS=")]
        if statuses:
            tell(_printable(statuses[-1].removeprefix(b"STATUS=")))


def _believed(about: Sequence[tuple[int, int, bytes]]) -> bool:
    """Whether the kernel says that this user or root has sent it."""
    for level, kind, value in about:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            _, user, _ = _SENDER.unpack(value)
            return user in (0, os.geteuid())
    return False


def _printable(status: bytes) -> str:
    """Write a status so that it is one line, whatever is in it."""
    text = status.decode(errors="replace")[:LONGEST_STATUS]
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
