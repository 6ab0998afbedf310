"""Whole daemons for tests: a real process, real sockets, and an account of what is left.

    async with serving(tmp_path, pretend("a")) as daemon:
        reply = await daemon.chat("a")

Rule 1: whatever a test does, nothing outlives it; what a daemon leaves behind fails the test.
Rule 2: a test waits for facts: a line of the log, an answer, a process that has ended.
"""

import json
import os
import re
import secrets
import shlex
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs
import trio

from tests.house import Caller, Reply
from tests.processes import CHILD, Lines, alive, dead

ROOT = Path(__file__).parents[1]

# A pretend server like CHILD, which answers in the shapes of those whose API it is.
RECORDED = CHILD.with_name("recorded.py")

CHAT = "/v1/chat/completions"

# A start takes half a second; this is for a machine with other things to do.
PATIENCE = 25.0

# Carried by the daemon and by everything that it starts, so that nothing can hide.
MARK = "SWAPD_TEST_MARK"

# What the log puts in front of a message.
STAMP = re.compile(rb"<\d>")

# All there is, a line each.
LOGGED: Mapping[str, Any] = {"logToStdout": "both"}

# What it says when it listens, wherever.
LISTENING = re.compile(rb"swapd \d+\.\d+\.\d+ listening on (\S+)")

# One event, and then nothing more until somebody ends it.
ENDLESS: Mapping[str, Any] = {"stream": True, "chunks": 2, "interval": 1000}


Configured = tuple[str, Mapping[str, Any]]


@attrs.define
class Daemon:
    """A running `swapd serve`."""

    process: trio.Process
    address: str
    """Where it says that it listens."""
    log: Lines
    """Its messages without their priority, and what models write, each line with its name."""
    mark: str
    trust: Path | None
    config: Path
    """Its configuration."""
    common: Mapping[str, Any]
    """What stands there beside the models."""
    headers: Mapping[str, str]
    """With a key, where it wants one."""
    errors: bytes = b""
    """What it wrote to standard error, which should be nothing."""
    logged: trio.Event = attrs.field(factory=trio.Event)
    """Set when nobody can write to the log any more."""
    callers: list[Caller] = attrs.field(factory=list)

    # Asking

    async def call(self) -> Caller:
        """Connect a client."""
        return self._caller(await self._connect())

    async def direct(self, model: str) -> Caller:
        """Connect a client to the model itself, which has to be loaded."""
        [port] = [
            int(running["proxy"].rpartition(":")[2])
            for running in (await self.get("/running")).json()["running"]
            if running["model"] == model
        ]
        return self._caller(await trio.open_tcp_stream("127.0.0.1", port))

    async def get(self, path: str, *, method: str = "GET") -> Reply:
        """Ask once, on a connection of its own."""
        caller = await self.call()
        await caller.send(path, method=method, headers=self.headers)
        reply = await caller.reply()
        await caller.leave()
        return reply

    async def chat(self, model: str) -> Reply:
        """Have the model answer once."""
        caller = await self.call()
        await caller.send(CHAT, {"model": model}, headers=self.headers)
        reply = await caller.reply()
        await caller.leave()
        return reply

    async def stream(self, model: str, **wish: float) -> Caller:
        """Answer with a caller that has had the first event, of a stream without an end."""
        caller = await self.call()
        await caller.send(CHAT, {"model": model, **ENDLESS, **wish}, headers=self.headers)
        assert (await caller.head()).status_code == 200
        assert await caller.piece() == b'data: {"n": 0}\n\n'
        return caller

    async def queue(self, model: str) -> Caller:
        """Send a request, and come back when it has its place in the queue."""
        caller = await self.call()
        await caller.send("/health")
        await caller.reply()
        await caller.send(CHAT, {"model": model}, headers=self.headers)
        await self.settled()
        return caller

    async def settled(self) -> None:
        """Come back when all that was sent or closed before has been noticed.

        Nothing says so; but sockets are read in the order in which they become readable, and two
        connections, each accepted, read and answered afterwards, take many more steps.
        """
        for _ in range(2):
            await self.get("/health")

    async def refuses_connections(self) -> None:
        """Wait until nobody can connect any more."""
        with suppress(OSError):
            while True:
                await (await self.call()).leave()

    async def pid_of(self, model: str) -> int:
        """Ask the model itself for its process id."""
        caller = await self.direct(model)
        await caller.send("/pid")
        return int((await caller.reply()).body)

    # Configuring

    def configure(self, *models: Configured) -> None:
        """Write another configuration, in one step."""
        write_config(self.config, {**self.common, "models": dict(models)})

    async def reload(self, *, dry_run: bool = False) -> Any:
        """Have it taken up; answer with what that did."""
        query = "?dry_run=1" if dry_run else ""
        reply = await self.get(f"/api/config/reload{query}", method="POST")
        assert reply.status == 200, reply.body
        return reply.json()

    # Ending

    async def end(self, number: signal.Signals) -> None:
        """Have it stop in order, with all of its log."""
        self.process.send_signal(number)
        assert await self.ended() == 0

    async def ended(self) -> int:
        """Wait for the end of the daemon and of its log; answer with the exit code."""
        code = await self.process.wait()
        await self.logged.wait()
        return code

    def told(self, *words: str) -> list[str]:
        """Answer with the messages that begin with one of these words."""
        messages = self.log.data.decode().splitlines()
        return [message for message in messages if message.split(maxsplit=1)[0] in words]

    def left(self) -> list[int]:
        """List every living process that the daemon is, has started, or has made start."""
        wanted = f"{MARK}={self.mark}".encode()
        found = []
        for name in filter(str.isdecimal, os.listdir("/proc")):
            # A process that ends while we look is not there any more, which is the answer.
            with suppress(OSError):
                if wanted in Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                    found.append(int(name))
        return list(filter(alive, found))

    def memory(self, what: str) -> int:
        """Answer with the daemon's resident bytes (`VmRSS`), or the most there were (`VmHWM`)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition(f"{what}:")[2].split()[0]) * 1024

    async def _connect(self) -> trio.abc.Stream:
        scheme, _, rest = self.address.partition(":")
        if scheme == "unix":
            return await trio.open_unix_socket(rest)
        host, _, port = rest.removeprefix("//").rpartition(":")
        plain = await trio.open_tcp_stream(host, int(port))
        if scheme == "http":
            return plain
        context = ssl.create_default_context(cafile=self.trust)
        return trio.SSLStream(plain, context, server_hostname=host, https_compatible=True)

    def _caller(self, stream: trio.abc.Stream) -> Caller:
        caller = Caller(stream, [])
        self.callers.append(caller)
        return caller


def pretend(name: str, *flags: str, **options: object) -> Configured:
    """Configure a pretend model server, on a port of its own or that of its `proxy`."""
    proxy = str(options.get("proxy", "http://127.0.0.1:${PORT}"))
    port = proxy.rpartition(":")[2]
    argv = (sys.executable, "-I", "-S", str(CHILD), "--name", name, "--port", port, *flags)
    return name, {"cmd": shlex.join(argv), "proxy": proxy, **options}


def recorded(name: str, *flags: str, **options: object) -> Configured:
    """Configure a pretend model server that answers in the shapes of OpenAI and Anthropic."""
    argv = (sys.executable, "-I", "-S", str(RECORDED), "--port", "${PORT}", *flags)
    return name, {"cmd": shlex.join(argv), **options}


def llama(name: str, *flags: str, **options: object) -> Configured:
    """Configure a tiny model behind llama.cpp's own server."""
    argv = (sys.executable, "-m", "swapd.demo", name, "--port", "${PORT}", *flags)
    return name, {"cmd": shlex.join(argv), **options}


@asynccontextmanager
async def serving(
    tmp_path: Path,
    *models: Configured,
    listen: str = "127.0.0.1:0",
    args: tuple[str, ...] = (),
    env: Mapping[str, str] | None = None,
    log: str = "info",
    trust: Path | None = None,
    ports: int | None = None,
    settings: Mapping[str, Any] = MappingProxyType({}),
    patience: float = PATIENCE,
) -> AsyncIterator[Daemon]:
    """Run a daemon. If the test does not end it, it is told to, and must; nothing may be left.

    `ports` is how many it may need, if there will be more models than there are. `settings` stand
    in its configuration beside the models. What it measures is kept in the test's folder, for the
    next one there. After `patience` seconds the test has failed.
    """
    config = tmp_path / "swapd.yaml"
    common = {"startPort": free_ports(ports or len(models)), **LOGGED, "logLevel": log, **settings}
    write_config(config, {**common, "models": dict(models)})
    mark = secrets.token_hex(8)
    command = [sys.executable, "-m", "swapd", "serve", "--config", str(config)]
    command += ["--log-format", "priority"]
    own = {"PYTHONPATH": str(ROOT), "STATE_DIRECTORY": str(tmp_path / "state"), MARK: mark}
    with trio.fail_after(patience):
        process = await trio.lowlevel.open_process(
            [*command, "--listen", listen, *args],
            env={**os.environ, **own, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,
        )
        keys = common.get("apiKeys")
        headers = {"x-api-key": keys[0]} if keys else {}
        daemon = Daemon(process, "", Lines(), mark, trust, config, common, headers)
        async with trio.open_nursery() as nursery:
            try:
                nursery.start_soon(_read_errors, daemon)
                daemon.address = await nursery.start(_read_log, daemon)
                yield daemon
                for caller in daemon.callers:
                    await caller.leave()
                if process.returncode is None:
                    await daemon.end(signal.SIGTERM)
                assert daemon.left() == []
                assert b"Traceback" not in daemon.log.data + daemon.errors
            finally:
                with trio.move_on_after(5, shield=True):  # a killed daemon's warden takes 2 s
                    await _kill(daemon)


async def _read_log(
    daemon: Daemon, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
) -> None:
    """Read the log to its end; started when it says where it listens."""
    assert daemon.process.stdout is not None
    rest, listens = b"", False
    async for piece in daemon.process.stdout:
        sys.stderr.write(piece.decode(errors="replace"))  # shown by pytest if the test fails
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            message = STAMP.sub(b"", line, count=1)
            if not listens and (found := LISTENING.fullmatch(message)):
                listens = True
                task_status.started(found[1].decode())
            daemon.log.write(message + b"\n")
    assert listens, "it ended before it listened"
    daemon.logged.set()


async def _read_errors(daemon: Daemon) -> None:
    """Read what is said to nobody but who started it."""
    assert daemon.process.stderr is not None
    async for piece in daemon.process.stderr:
        sys.stderr.write(piece.decode(errors="replace"))
        daemon.errors += piece


async def _kill(daemon: Daemon) -> None:
    for caller in daemon.callers:
        await caller.leave()
    daemon.process.kill()
    await daemon.process.wait()
    while left := daemon.left():
        await dead(*left)
    for pipe in (daemon.process.stdout, daemon.process.stderr):
        assert pipe is not None
        await pipe.aclose()


def write_config(config: Path, settings: Mapping[str, Any]) -> None:
    """Put a configuration in place of the one that is there, as a careful editor does."""
    draft = config.with_suffix(".draft")
    draft.write_text(json.dumps(settings))
    draft.replace(config)


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1, and its key."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
        f"-subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 -keyout {key} -out {cert}"
    )
    subprocess.run(shlex.split(command), check=True, capture_output=True)
    return cert, key


def free_ports(count: int) -> int:
    """Find so many free ports in a row, where no outgoing connection takes one by accident."""
    while True:
        first = 10_000 + secrets.randbelow(20_000)
        with ExitStack() as taken, suppress(OSError):
            for port in range(first, first + count):
                taken.enter_context(socket.create_server(("127.0.0.1", port)))
            return first
