"""Real processes for the tests: where the pretend model server is, and what is left of things."""

import os
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import trio

from swapd.config.settings import Model, Origin
from swapd.ids import ModelId

CHILD = Path(__file__).parent / "children" / "model.py"


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def child_argv(port: int, *flags: str) -> tuple[str, ...]:
    """Write the command of a pretend model server."""
    return (sys.executable, "-I", "-S", str(CHILD), "--port", str(port), *flags)


def real_model(name: str, *flags: str, **changes: object) -> Model:
    """Configure a pretend model server as a model, on a port of its own."""
    port = free_port()
    argv = child_argv(port, "--name", name, *flags)
    origin = Origin("http", "127.0.0.1", port)
    settings: Mapping[str, object] = {
        "cmd": " ".join(argv),
        "argv": argv,
        "origin": origin,
        "proxy": str(origin),
        "unload_timeout": 5.0,
        "health_timeout": 20.0,
    }
    return Model(ModelId(name), **{**settings, **changes})  # type: ignore[arg-type]


def alive(pid: int) -> bool:
    """Whether a process lives, and does not merely wait to be reaped."""
    with suppress(OSError):
        stat = Path(f"/proc/{pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] not in "ZXx"
    return False


async def dead(*pids: int) -> None:
    """Wait until none of these processes lives."""
    for pid in pids:
        with suppress(OSError):
            handle = os.pidfd_open(pid)
            try:
                await trio.lowlevel.wait_readable(handle)
            finally:
                os.close(handle)


class Lines:
    """Collects a child's output, and waits for facts in it."""

    def __init__(self) -> None:
        self.data = b""
        self._news = trio.Event()

    def write(self, data: bytes) -> None:
        """Take output, as a run's log does."""
        self.data += data
        self._news.set()
        self._news = trio.Event()

    def last_lines(self, count: int) -> tuple[str, ...]:
        """Answer with the last lines."""
        return tuple(self.data.decode().splitlines()[-count:])

    def end(self) -> None:
        """Know that there will be no more; nothing waits for that."""

    async def find(self, start: str) -> str:
        """Wait for a line that starts so, and answer with the rest of it."""
        while True:
            for line in self.data.decode().splitlines():
                if line.startswith(start):
                    return line.removeprefix(start).strip()
            await self._news.wait()
