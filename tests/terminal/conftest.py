"""What the commands meet: a server with answers as a test wants them, and a terminal."""

import os
import pty
import select
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import create_server

import attrs
import pytest

ROOT = Path(__file__).parents[2]

PATIENCE = 20.0

# How a shell's terminal is read: by lines, which are shown.
LINES = termios.ICANON | termios.ECHO

JSON = "application/json"
TEXT = "text/plain"


@attrs.define
class Asked:
    """What a command asked."""

    method: str
    path: str
    headers: dict[str, str]


@attrs.define
class Pretender:
    """A server that says what it is told to."""

    url: str
    answers: dict[str, tuple[int, str, bytes]] = attrs.field(factory=dict)
    """By method and path, as `GET /api/queue`."""
    asked: list[Asked] = attrs.field(factory=list)

    def says(self, what: str, body: str | bytes, status: int = 200, kind: str = JSON) -> None:
        """Have it answer."""
        self.answers[what] = (status, kind, body.encode() if isinstance(body, str) else body)

    @property
    def told(self) -> list[str]:
        """What it was asked, in order."""
        return [f"{each.method} {each.path}" for each in self.asked]


@pytest.fixture
def server(monkeypatch) -> Iterator[Pretender]:
    """Run one, where the commands look for it by themselves."""
    pretender = Pretender("")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            pretender.asked.append(Asked(self.command, self.path, headers))
            answer = pretender.answers.get(f"{self.command} {self.path}")
            status, kind, body = answer or (404, "text/html", b"<h1>not here</h1>")
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *words: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *client: object) -> None:
            """Say nothing of who has hung up: that is what some tests are about."""

    with Server(("127.0.0.1", 0), Handler) as http:
        serving = threading.Thread(target=http.serve_forever, args=(0.01,))
        serving.start()
        pretender.url = f"http://127.0.0.1:{http.server_port}"
        monkeypatch.setenv("SWAPD_URL", pretender.url)
        monkeypatch.delenv("SWAPD_API_KEY", raising=False)
        yield pretender
        http.shutdown()
        serving.join()


@contextmanager
def saying(data: bytes, *, hang: bool = False) -> Iterator[str]:
    """Run a server that says this to the one who comes, whatever he asks; its URL.

    It hangs up afterwards, or with `hang` says no more.
    """
    over = threading.Event()
    with create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(data)
                if hang:
                    over.wait(20)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            over.set()
            thread.join()


@attrs.define
class Terminal:
    """A terminal with the program on it."""

    fd: int
    pid: int
    shown: bytes = b""

    def find(self, text: bytes) -> None:
        """Wait until this was shown, and forget what was before it."""
        enough = time.monotonic() + PATIENCE
        while text not in self.shown:
            left = max(0.0, enough - time.monotonic())
            assert select.select((self.fd,), (), (), left)[0], self.shown
            piece = os.read(self.fd, 4096)
            assert piece, self.shown
            self.shown += piece
        self.shown = self.shown.partition(text)[2]

    def modes(self) -> int:
        """How lines are read, as the shell would find it."""
        return int(termios.tcgetattr(self.fd)[3]) & LINES

    def ended(self) -> int:
        """Wait for the end; below 0 it was a signal."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@contextmanager
def on_a_terminal(*argv: str) -> Iterator[Terminal]:
    """Run Python on a terminal of its own."""
    pid, fd = pty.fork()
    if pid == 0:
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        os.execve(sys.executable, [sys.executable, *argv], env)
    try:
        yield Terminal(fd, pid)
    finally:
        os.close(fd)
