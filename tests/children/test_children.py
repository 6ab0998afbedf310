"""The contract of the pretend model server, on which the tests of every room rely."""

import hashlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from subprocess import PIPE, STDOUT

import pytest
import trio

pytestmark = pytest.mark.real

PROGRAM = Path(__file__).with_name("model.py")

# A start takes 0.05 s; this is for a machine with other things to do.
PATIENCE = 15.0


async def test_it_is_healthy_and_says_who_it_is() -> None:
    """The plain case: what every other test starts from."""
    async with open_model() as model:
        assert await model.ask("GET /health") == (200, '{"status": "ok"}')
        assert await model.ask("GET /pid") == (200, str(model.process.pid))
        assert await model.ask("GET /env/COLOUR") == (200, "blue")
        assert (await model.ask("GET /env/NOT_SET"))[0] == 404


async def test_it_echoes_what_it_was_sent() -> None:
    """A test of the proxy sees here what really went over the wire."""
    async with open_model("--name", "qwen") as model:
        status, text = await model.ask("POST /v1/chat?a=1", '{"say": "ä"}', "X-Colour: blue")

    echo = json.loads(text)
    assert (status, echo["name"], echo["path"]) == (200, "qwen", "/v1/chat?a=1")
    assert (echo["body"], echo["headers"]["x-colour"]) == ('{"say": "ä"}', "blue")
    assert (echo["method"], echo["served"]) == ("POST", 1)


async def test_a_chunked_body_is_read() -> None:
    """A proxy may send one that it got without a length."""
    head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    async with open_model() as model, model.open_connection() as connection:
        await connection.send_all(head.encode() + b"3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n")
        _, text = await read_answer(connection)

    assert json.loads(text)["body"] == "abcdefg"


async def test_it_says_that_it_is_ready_where_it_is_told_to() -> None:
    """As services do, to whoever started it, and whatever its health check says."""
    with trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_DGRAM) as ear:
        name = f"swapd-tests-{os.getpid()}"
        await ear.bind(f"\0{name}")
        flags = ("--notify", "up", "--never-healthy")
        async with open_model(*flags, NOTIFY_SOCKET=f"@{name}") as model:
            assert await ear.recv(100) == b"READY=1\nSTATUS=up"
            assert (await model.ask("GET /health"))[0] == 503


async def test_a_large_body_is_told_by_its_sum() -> None:
    """Whether an upload arrived unharmed must not take a second upload to find out."""
    body = "ä" * 1_000_000
    async with open_model() as model:
        _, text = await model.ask("POST /", body)

    echo = json.loads(text)
    assert echo["sha256"] == hashlib.sha256(body.encode()).hexdigest()
    assert "body" not in echo


async def test_a_connection_serves_many_requests_and_all_are_counted() -> None:
    """A pool's reuse shows in these numbers."""
    async with open_model() as model, model.open_connection() as connection:
        for _ in range(3):
            await connection.send_all(b"POST /x HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
            await read_until(connection, b"}")
        _, text = await model.ask("GET /served")

    counts = json.loads(text)
    assert (counts["served"], counts["connections"]) == (3, 2)
    assert counts["paths"] == {"/x": 3, "/served": 1}


async def test_a_body_may_ask_for_a_status_and_a_size() -> None:
    """Errors and large answers pass a proxy too."""
    async with open_model() as model:
        assert await model.ask("POST /", '{"status": 418, "size": 200000}') == (418, "x" * 200000)


async def test_a_body_may_ask_for_a_stream() -> None:
    """Events come one a chunk, and the end is said."""
    async with open_model() as model:
        status, text = await model.ask("POST /", '{"stream": true, "chunks": 2}')

    events = [line for line in text.splitlines() if line.startswith("data: ")]
    assert (status, events) == (200, ['data: {"n": 0}', 'data: {"n": 1}', "data: [DONE]"])


@pytest.mark.parametrize("wish", ['{"stream": true, "interval": 3600}', '{"sleep": 3600}'])
async def test_it_notices_a_client_that_hangs_up(wish: str) -> None:
    """The fact to wait for where a proxy must stop what nobody reads."""
    async with open_model() as model:
        async with model.open_connection() as connection:
            head = f"POST /v1/chat HTTP/1.1\r\nContent-Length: {len(wish)}\r\n\r\n"
            await connection.send_all((head + wish).encode())
            await model.says("request /v1/chat")
        await model.says("client gone")


async def test_it_may_die_in_mid_stream() -> None:
    """A stream cut short must be tellable from one that ended."""
    async with open_model("--die-mid-stream") as model:
        _, text = await model.ask("POST /", '{"stream": true, "chunks": 4}')

        assert '{"n": 1}' in text
        assert '{"n": 2}' not in text
        assert await model.process.wait() == 9


@pytest.mark.parametrize("flags", [["--never-healthy"], ["--warm", "3600"]])
async def test_it_may_be_unhealthy_and_still_answer(flags: list[str]) -> None:
    """Health is a matter of /health alone."""
    async with open_model(*flags) as model:
        assert (await model.ask("GET /health"))[0] == 503
        assert (await model.ask("POST /"))[0] == 200


async def test_it_may_hang() -> None:
    """A connection is no sign of life."""
    async with open_model("--hang") as model, model.open_connection() as connection:
        await connection.send_all(b"GET /health HTTP/1.1\r\n\r\n")
        await connection.send_eof()

        assert await connection.receive_some() == b""


async def test_it_may_fail_and_say_why() -> None:
    """The last words of a model that does not fit."""
    async with open_model("--load", "3600", "--exit-after", "0", "--exit-code", "3") as model:
        assert await model.process.wait() == 3
        await model.says("about to fail", "out of memory")


@pytest.mark.parametrize("flags", [[], ["--load", "3600"], ["--never-healthy"], ["--hang"]])
async def test_it_ends_with_0_on_sigterm(flags: list[str]) -> None:
    """Ended as told is not a crash, not even while loading."""
    async with open_model(*flags, "--fork") as model:
        await model.says("grandchild")  # said when signals are already obeyed
        model.process.terminate()

        assert await model.process.wait() == 0


async def test_it_may_take_its_time_to_end() -> None:
    """A second SIGTERM does not make it any quicker."""
    async with open_model("--slow-term", "0.05") as model:
        await model.says("listening")
        model.process.terminate()
        await model.says("ending in 0.05 s")
        model.process.terminate()

        assert await model.process.wait() == 0


async def test_it_may_ignore_sigterm() -> None:
    """What takes SIGKILL."""
    async with open_model("--ignore-term") as model:
        await model.says("listening")
        model.process.terminate()

        assert (await model.ask("GET /health"))[0] == 200


async def test_it_may_leave_a_grandchild() -> None:
    """In the model's group, and gone only when it is told so itself."""
    async with open_model("--fork") as model:
        line = await model.says("grandchild", "listening")
        grandchild = int(line.partition("grandchild ")[2].split()[0])
        assert os.getpgid(grandchild) == model.process.pid
        assert not ignores_sigterm(grandchild)

        exited = os.pidfd_open(grandchild)
        try:
            os.kill(grandchild, signal.SIGTERM)
            await trio.lowlevel.wait_readable(exited)
        finally:
            os.close(exited)


async def test_its_grandchild_may_ignore_sigterm() -> None:
    """What is left when the leader of a group ends as told."""
    async with open_model("--fork-ignore-term") as model:
        line = await model.says("grandchild", "listening")
        grandchild = int(line.partition("grandchild ")[2].split()[0])

        assert os.getpgid(grandchild) == model.process.pid
        assert ignores_sigterm(grandchild)
        assert not ignores_sigterm(model.process.pid)


async def test_it_may_flood() -> None:
    """More output than any pipe holds."""
    async with open_model("--flood") as model:
        while len(model.said) < 1_000_000:
            await model.listen()


class Model:
    """A pretend model that runs, and what it said so far."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.said = b""

    async def listen(self) -> None:
        """Wait for more of its output."""
        assert self.process.stdout is not None
        piece = await self.process.stdout.receive_some()
        assert piece, f"it ended, having said {self.said!r}"
        self.said += piece

    async def says(self, *words: str) -> str:
        """Wait until all these words are in its output."""
        while not all(word.encode() in self.said for word in words):
            await self.listen()
        while not self.said.endswith(b"\n"):
            await self.listen()
        return self.said.decode()

    @asynccontextmanager
    async def open_connection(self) -> AsyncIterator[trio.SocketStream]:
        """Connect once it listens."""
        port = (await self.says("listening on ")).partition("listening on ")[2].split()[0]
        async with await trio.open_tcp_stream("127.0.0.1", int(port)) as connection:
            yield connection

    async def ask(self, line: str, body: str = "", *headers: str) -> tuple[int, str]:
        """Send one request on a connection of its own; return status and body as sent."""
        length = len(body.encode())
        lines = [f"{line} HTTP/1.1", f"Content-Length: {length}", "Connection: close", *headers]
        async with self.open_connection() as connection:
            await connection.send_all(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
            return await read_answer(connection)


@asynccontextmanager
async def open_model(*flags: str, **env: str) -> AsyncIterator[Model]:
    """Start a pretend model in a process group of its own; kill the group in the end."""
    process = await trio.lowlevel.open_process(
        [sys.executable, str(PROGRAM), "--port", "0", *flags],
        env={**os.environ, "COLOUR": "blue", **env},
        stdout=PIPE,
        stderr=STDOUT,
        process_group=0,
    )
    assert process.stdout is not None
    try:
        with trio.fail_after(PATIENCE):
            yield Model(process)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        # It is killed, so a second is plenty.
        with trio.move_on_after(1, shield=True):
            await process.wait()
            await process.stdout.aclose()


def ignores_sigterm(pid: int) -> bool:
    """Ask the kernel."""
    status = Path(f"/proc/{pid}/status").read_text()
    ignored = int(status.partition("SigIgn:")[2].split()[0], 16)
    return bool(ignored & 1 << signal.SIGTERM - 1)


async def read_answer(connection: trio.SocketStream) -> tuple[int, str]:
    """Read until the server closes."""
    text = b"".join([piece async for piece in connection])
    head, _, body = text.partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode()


async def read_until(connection: trio.SocketStream, end: bytes) -> None:
    """Read up to these bytes."""
    text = b""
    while not text.endswith(end):
        piece = await connection.receive_some()
        assert piece, text
        text += piece
