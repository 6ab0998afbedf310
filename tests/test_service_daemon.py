"""A whole daemon and its service manager: what is said, in which order, and what is taken over."""

import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import attrs
import pytest
import trio

from swapd import __version__
from tests.daemons import ROOT, Daemon, pretend, serving

pytestmark = pytest.mark.real

# What is said now and then, and may be anywhere between the rest.
NOW_AND_THEN = (b"STATUS=", b"WATCHDOG=1")

# Signs of life every tenth of a second.
WATCHDOG = {"WATCHDOG_USEC": "200000"}

# Before the record of requests is opened, which may take its time.
OPENING = b"EXTEND_TIMEOUT_USEC=300000000"

# As long as ten of them.
SILENT = 1.0


@attrs.define
class Hearing:
    """A pretend service manager's ear."""

    sock: trio.socket.SocketType

    @property
    def address(self) -> dict[str, str]:
        """What the daemon is told of it."""
        return {"NOTIFY_SOCKET": str(self.sock.getsockname())}

    async def any(self) -> bytes:
        """Hear the next message."""
        return await self.sock.recv(4096)

    async def next(self) -> dict[str, str]:
        """Hear the next message that says where the daemon stands."""
        while (message := await self.any()).startswith(NOW_AND_THEN) or message == OPENING:
            pass
        return dict(line.split("=", 1) for line in message.decode().split("\n"))

    async def hears(self, wanted: bytes) -> None:
        """Wait for a message that begins so."""
        while not (await self.any()).startswith(wanted):
            pass

    async def hears_nothing(self) -> None:
        """See that nothing is said, once what was said before has been heard."""
        with trio.move_on_after(0):
            while True:
                await self.any()
        with trio.move_on_after(SILENT) as silence:
            await self.any()
        assert silence.cancelled_caught


@asynccontextmanager
async def hearing(folder: Path) -> AsyncIterator[Hearing]:
    """Listen like a service manager."""
    with trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_DGRAM) as sock:
        await sock.bind(str(folder / "notify"))
        yield Hearing(sock)


def environment(pid: int) -> list[bytes]:
    """Tell what a process was started with."""
    return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


async def test_it_is_ready_when_it_listens_and_says_when_it_stops(tmp_path):
    """What is started after it may connect at once, and nobody waits for what is gone."""
    async with hearing(tmp_path) as manager:
        async with serving(tmp_path, pretend("a"), env=manager.address) as daemon:
            assert await manager.next() == {"READY": "1", "STATUS": "no model; 0 waiting"}
            await daemon.chat("a")
            await daemon.end(signal.SIGTERM)
        told = await manager.next()
        assert list(told) == ["STOPPING", "STATUS", "EXTEND_TIMEOUT_USEC"]
        await manager.hears_nothing()


async def test_a_hangup_is_answered_by_a_reload_and_its_end(tmp_path):
    """`systemctl reload` waits for both, and goes by the time of the first."""
    async with (
        hearing(tmp_path) as manager,
        serving(tmp_path, pretend("a"), env=manager.address) as daemon,
    ):
        await manager.next()
        before = time.monotonic_ns() // 1000
        daemon.process.send_signal(signal.SIGHUP)
        begun = await manager.next()
        assert begun["RELOADING"] == "1"
        assert before <= int(begun["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
        assert await manager.next() == {"READY": "1", "STATUS": "no model; 0 waiting"}


async def test_a_reload_that_fails_ends_as_well_and_says_so(tmp_path):
    """The daemon goes on as it was, which is ready; whoever looks sees why nothing changed."""
    async with (
        hearing(tmp_path) as manager,
        serving(tmp_path, pretend("a"), env=manager.address) as daemon,
    ):
        await manager.next()
        daemon.config.write_text("models: 5")
        daemon.process.send_signal(signal.SIGHUP)
        assert (await manager.next())["RELOADING"] == "1"
        told = await manager.next()
        assert told["READY"] == "1"
        assert "the last reload failed" in told["STATUS"]
        daemon.configure(pretend("a"))
        await daemon.reload(dry_run=True)
        await daemon.reload()
        assert (await manager.next())["RELOADING"] == "1"
        assert "failed" not in (await manager.next())["STATUS"]


async def test_signs_of_life_come_while_it_lives(tmp_path):
    """A daemon that stands still is started again, also one that only sleeps deeply."""
    async with hearing(tmp_path) as manager:
        env = {**manager.address, **WATCHDOG}
        async with serving(tmp_path, pretend("a"), env=env) as daemon:
            for _ in range(3):
                await manager.hears(b"WATCHDOG=1")
            daemon.process.send_signal(signal.SIGSTOP)
            await _stands_still(daemon)
            await manager.hears_nothing()
            daemon.process.send_signal(signal.SIGCONT)
            await manager.hears(b"WATCHDOG=1")


async def test_a_stop_that_takes_long_asks_for_the_time(tmp_path):
    """A stream may end in peace, and is cut when somebody insists; signs of life go on."""
    async with hearing(tmp_path) as manager:
        env = {**manager.address, **WATCHDOG}
        async with serving(tmp_path, pretend("a"), env=env) as daemon:
            await manager.next()
            await daemon.stream("a")
            daemon.process.send_signal(signal.SIGTERM)
            told = await manager.next()
            assert (told["STOPPING"], told["EXTEND_TIMEOUT_USEC"]) == ("1", "20000000")
            await manager.hears(b"WATCHDOG=1")
            assert list(await manager.next()) == ["EXTEND_TIMEOUT_USEC"]
            await daemon.end(signal.SIGTERM)


async def test_no_child_is_told_what_is_for_us(tmp_path):
    """A model that says READY=1 there would speak for the daemon, and a watchdog would be its."""
    async with hearing(tmp_path) as manager:
        env = {**manager.address, **WATCHDOG, "LISTEN_FDS": "1", "LISTEN_PID": "1"}
        async with serving(tmp_path, pretend("a"), env=env) as daemon:
            await daemon.chat("a")
            ours = {f"{name}={value}".encode() for name, value in env.items()}
            others = [pid for pid in daemon.left() if pid != daemon.process.pid]
            assert await daemon.pid_of("a") in others
            assert len(others) > 1  # The warden, too.
            for pid in others:
                assert not ours & set(environment(pid))


# A service manager in the daemon's own process: it opens what is passed as descriptors 3 and 4.
PASSED = """
import os, socket
if os.environ.pop("TEST_PASSES", None):
    tcp = socket.create_server(("127.0.0.1", 0))
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(os.environ["TEST_PATH"])
    unix.listen()
    for number, one in ((103, tcp), (104, unix)):
        os.dup2(one.detach(), number)
    for number in (103, 104):
        os.dup2(number, number - 100)
        os.close(number)
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="2", LISTEN_FDNAMES="x:admin")
"""


async def test_sockets_that_were_opened_for_it_are_served(tmp_path):
    """Clients that connected before it was started are answered, and none is ever refused."""
    (tmp_path / "sitecustomize.py").write_text(PASSED)
    path = tmp_path / "admin.sock"
    env = {"PYTHONPATH": f"{tmp_path}:{ROOT}", "TEST_PASSES": "1", "TEST_PATH": str(path)}
    # Where nobody could listen: it is not even tried.
    listen = f"unix:{tmp_path}/no/such/folder"
    async with serving(tmp_path, pretend("a"), env=env, listen=listen) as daemon:
        assert daemon.address.startswith("http://127.0.0.1:")
        assert (await daemon.chat("a")).json()["name"] == "a"
        where = await daemon.log.find(f"swapd {__version__} listening on unix:")
        assert where == f"{path} for admins"
        sockets = _sockets(daemon.process.pid)
        for pid in daemon.left():
            if pid != daemon.process.pid:
                assert not {sockets[3], sockets[4]} & set(_sockets(pid).values())
    # The service manager's, who will pass it again.
    assert path.exists()


async def _stands_still(daemon: Daemon) -> None:
    """Wait until SIGSTOP has arrived."""
    while _state(daemon.process.pid) != "T":
        await trio.lowlevel.checkpoint()


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def _sockets(pid: int) -> dict[int, str]:
    """List the sockets that a process has open, by their descriptors."""
    found = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # Closed while we look.
            found[int(entry.name)] = os.readlink(entry)
    return {number: name for number, name in found.items() if name.startswith("socket:")}
