"""What models say of themselves, over real sockets: who is heard, and what is made of it."""

import os
import resource
import shutil
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from swapd.models.notices import (
    BREATH,
    LONGEST_NOTICE,
    LONGEST_STATUS,
    NOTICES_IN_A_ROW,
    Notices,
    open_notices,
)

pytestmark = pytest.mark.real

NOBODY = 65534

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root may speak as somebody else")
WITH_SYSTEMD = pytest.mark.skipif(not shutil.which("systemd-notify"), reason="not installed")

Extras = Sequence[tuple[int, int, bytes]]


@attrs.define
class Heard:
    """One run's ear, and what its statuses were."""

    notices: Notices
    statuses: list[str] = attrs.field(factory=list)

    def send(self, words: bytes, extras: Extras = ()) -> None:
        """Say something, as a process of the model does."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as mouth:
            mouth.sendmsg([words], extras, 0, place(self.notices))


def place(notices: Notices) -> str:
    """Read the address as the protocol has it."""
    assert notices.address is not None
    assert notices.address.startswith("@")
    return notices.address.replace("@", "\0", 1)


@asynccontextmanager
async def hearing() -> AsyncIterator[Heard]:
    """Listen to whoever speaks."""
    with open_notices() as notices:
        heard = Heard(notices)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(notices.listen, heard.statuses.append)
            yield heard
            nursery.cancel_scope.cancel()


def addresses() -> str:
    """List the addresses of all sockets here."""
    return Path("/proc/net/unix").read_text()


def credentials(user: int) -> Extras:
    who = struct.pack("3i", os.getpid(), user, user)
    return [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, who)]


@pytest.mark.parametrize(
    ("words", "ready", "statuses"),
    [
        (b"READY=1", True, []),
        (b"STATUS=loading 40 %", False, ["loading 40 %"]),
        (b"READY=1\nSTATUS=up\nMAINPID=1\n", True, ["up"]),
        (b"STATUS=first\nSTATUS=second", False, ["second"]),
        (b"STATUS=up\nSTATUS=", False, [""]),
        (b"STATUS=a=b", False, ["a=b"]),
        ("STATUS=größer".encode(), False, ["größer"]),
        (b"STOPPING=1\nERRNO=5\nWATCHDOG=1\nX_OWN=2", False, []),
        (b"READY=0\nREADY=11\nREADY\n READY=1\nready=1", False, []),
        (b"\xff\xfe\0\nREADY=1", True, []),
        (b"STATUS=\xff!", False, ["\ufffd!"]),
        (b"STATUS=a\r\0\x1b[2Jb", False, ["a\ufffd\ufffd\ufffd[2Jb"]),
        (f"STATUS=a{chr(0x202E)}b".encode(), False, ["a\ufffdb"]),
        (b"STATUS=" + b"x" * 1000, False, ["x" * LONGEST_STATUS]),
        (b"", False, []),
        (b"\n\n=\n", False, []),
    ],
)
async def test_only_readiness_and_a_status_are_heard(words, ready, statuses):
    """A model's words are a stranger's: some are wanted, and none may do harm."""
    async with hearing() as heard:
        heard.send(words)
        with trio.fail_after(20):
            await wait_all_tasks_blocked(0.02)
    assert heard.notices.ready.is_set() == ready
    assert heard.statuses == statuses


async def test_the_last_word_is_what_counts():
    """A load is told step by step."""
    async with hearing() as heard:
        heard.send(b"STATUS=loading")
        heard.send(b"STATUS=up\nREADY=1")
        with trio.fail_after(20):
            await heard.notices.ready.wait()
    assert heard.statuses == ["loading", "up"]


async def test_what_is_too_long_is_not_heard():
    """Half a notice might say something else than the whole."""
    async with hearing() as heard:
        heard.send(b"READY=1\n" + b"x" * LONGEST_NOTICE)
        heard.send(b"STATUS=after")
        await wait_all_tasks_blocked(0.02)
    assert not heard.notices.ready.is_set()
    assert heard.statuses == ["after"]


@ROOT_ONLY
@pytest.mark.parametrize(("user", "believed"), [(0, True), (NOBODY, False)])
async def test_others_on_the_machine_are_not_believed(user, believed):
    """An abstract address can be written to by everybody who reads its name."""
    async with hearing() as heard:
        heard.send(b"READY=1\nSTATUS=mine", credentials(user))
        await wait_all_tasks_blocked(0.02)
    assert heard.notices.ready.is_set() == believed
    assert heard.statuses == (["mine"] if believed else [])


async def test_every_run_has_an_address_of_its_own():
    """What one model says must never be taken for another's."""
    with open_notices() as one, open_notices() as other:
        assert one.address != other.address


async def test_nothing_is_left_of_it():
    """A box swaps thousands of times between restarts."""
    before = len(os.listdir("/proc/self/fd"))
    async with hearing() as heard:
        address = str(heard.notices.address)
        assert address in addresses()
    assert address not in addresses()
    assert len(os.listdir("/proc/self/fd")) == before
    with pytest.raises(ConnectionRefusedError):
        heard.send(b"READY=1")


async def test_descriptors_that_come_along_are_closed():
    """A model could use up ours; and who waits for the other end to close goes on."""
    ours, theirs = os.pipe()
    before = len(os.listdir("/proc/self/fd"))
    async with hearing() as heard:
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", theirs))
        for _ in range(3):
            heard.send(b"BARRIER=1", [rights])
        heard.send(b"STATUS=on", [rights])
        os.close(theirs)
        with trio.fail_after(20):
            await trio.lowlevel.wait_readable(ours)
        assert os.read(ours, 1) == b""
    assert heard.statuses == ["on"]
    os.close(ours)
    assert len(os.listdir("/proc/self/fd")) == before - 2


async def test_a_flood_is_taken_in_sips(autojump_clock):
    """No token may wait because a model talks of itself all the time."""
    seconds = 10

    async def talk(mouth: socket.socket) -> None:
        while True:
            try:
                mouth.send(b"STATUS=la")
            except BlockingIOError:
                await trio.sleep(BREATH / 10)

    async with hearing() as heard:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as mouth:
            mouth.setblocking(False)
            mouth.connect(place(heard.notices))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(talk, mouth)
                await trio.sleep(seconds)
                nursery.cancel_scope.cancel()
    assert 0 < len(heard.statuses) <= NOTICES_IN_A_ROW * (seconds / BREATH + 1)


async def test_without_a_descriptor_left_nobody_is_heard(caplog):
    """The model is asked then, as one that never says a word."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    os.close(lowest := os.dup(0))
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, before[1]))
        with open_notices() as notices:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
            with trio.move_on_after(0.02) as listening:
                await notices.listen(print)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert listening.cancelled_caught
    assert notices.address is None
    assert not notices.ready.is_set()
    assert caplog.messages == ["cannot hear what a model says of itself: Too many open files"]


@WITH_SYSTEMD
async def test_systemds_own_program_is_understood():
    """Scripts around servers use it; it waits until what it said has been taken."""
    async with hearing() as heard:
        with trio.fail_after(20):
            await trio.run_process(
                ["systemd-notify", "--ready", "--status=up and running"],
                env={**os.environ, "NOTIFY_SOCKET": str(heard.notices.address)},
            )
    assert heard.notices.ready.is_set()
    assert heard.statuses == ["up and running"]
