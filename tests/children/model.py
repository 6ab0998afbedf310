"""A pretend model server: a small program that behaves, or misbehaves, as its flags say.

Rule 1: the standard library only, and little of it: tests start this program hundreds of times.
Rule 2: every fact a test may wait for is one line on stdout, flushed: `listening on PORT`,
`request PATH`, `client gone`, `grandchild PID`, `ending in S s`.
Rule 3: it keeps to HTTP/1.1 where no flag says otherwise: a proxy's fault is never its own.

Routes: `GET /health`, `/pid`, `/env/NAME`, `/served`. Everything else echoes the request as JSON:
a body that is too large for that by its SHA-256 alone.
A JSON body may ask for more: `stream`, `chunks`, `interval`, `sleep`, `status`, `size`.
"""

import argparse
import contextlib
import hashlib
import json
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, NoReturn

STARTED = time.monotonic()

# Written in one go as long as it fits: parts of a pipe's writes below PIPE_BUF never mix.
FLOOD = b"".join(b"flood %04d %s\n" % (n, b"x" * 50) for n in range(60))

PIECE = 65536

# A larger body is not echoed.
ECHOED = 1_000_000


class ClientGone(Exception):
    """The other side hung up while an answer was under way."""


class Request:
    """One request, read whole."""

    def __init__(self, method: str, target: str, version: str, headers: dict[str, str]) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.body = b""
        wish = headers.get("connection", "").lower()
        self.keep = "close" not in wish if version == "HTTP/1.1" else "keep-alive" in wish

    def asked(self) -> dict[str, Any]:
        """Read what the body asks of this server; nothing where it is not a JSON object."""
        try:
            wish = json.loads(self.body)
        except ValueError:
            return {}
        return wish if isinstance(wish, dict) else {}


class Tally:
    """What has been served so far, all connections together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.served = 0
        self.connections = 0
        self.paths: dict[str, int] = {}

    def connected(self) -> None:
        """Count a connection."""
        with self._lock:
            self.connections += 1

    def requested(self, path: str) -> None:
        """Count a request of any kind under its path."""
        with self._lock:
            self.paths[path] = self.paths.get(path, 0) + 1

    def serve(self) -> int:
        """Count a request for the model itself and return its number, from 1."""
        with self._lock:
            self.served += 1
            return self.served


def main() -> None:
    """Misbehave as told, then serve for ever."""
    flags = parse(sys.argv[1:])
    forks = flags.fork or flags.fork_ignore_term
    grandchild = fork(ignore_term=flags.fork_ignore_term) if forks else None
    obey_signals(flags)
    if grandchild is not None:
        say(f"grandchild {grandchild}")
    if flags.exit_after is not None:
        in_background(fail, flags.exit_after, flags.exit_code)
    if flags.flood:
        in_background(flood)
    time.sleep(flags.load)
    tally = Tally()
    with socket.create_server(("127.0.0.1", flags.port), backlog=256) as listener:
        say(f"listening on {listener.getsockname()[1]}")
        if flags.notify is not None:
            notify(f"READY=1\nSTATUS={flags.notify}")
        while True:
            client, _ = listener.accept()
            tally.connected()
            in_background(converse, client, flags, tally)


def parse(argv: list[str]) -> argparse.Namespace:
    """Read the flags."""
    parser = argparse.ArgumentParser(description="A pretend model server.", allow_abbrev=False)
    add = parser.add_argument
    add("--port", type=int, required=True, help="0 takes a free one and says which")
    add("--name", default="model", help="put in answers")
    add("--load", type=float, default=0.0, metavar="S", help="refuse connections until S")
    add("--warm", type=float, default=0.0, metavar="S", help="503 on /health until S")
    add("--never-healthy", action="store_true", help="503 on /health for ever")
    add("--hang", action="store_true", help="accept, never answer")
    add("--exit-after", type=float, metavar="S", help="say why on stderr and exit at S")
    add("--exit-code", type=int, default=1, metavar="N", help="the code for --exit-after")
    add("--ignore-term", action="store_true", help="ignore SIGTERM")
    add("--slow-term", type=float, metavar="S", help="take S to end after SIGTERM")
    add("--fork", action="store_true", help="leave a grandchild in the process group")
    add("--fork-ignore-term", action="store_true", help="the same, and it ignores SIGTERM")
    add("--flood", action="store_true", help="write output without end")
    add("--notify", metavar="TEXT", help="once listening, say READY=1 and STATUS=TEXT")
    add("--die-mid-stream", action="store_true", help="exit with 9 after half a stream")
    return parser.parse_args(argv)


def say(line: str, fd: int = 1) -> None:
    """Write one line at once, whoever else is writing."""
    with contextlib.suppress(OSError):  # nobody reads any more; a server goes on serving
        os.write(fd, line.encode() + b"\n")


def notify(words: str) -> None:
    """Tell whoever started us, as services do."""
    address = os.environ["NOTIFY_SOCKET"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.sendto(words.encode(), address.replace("@", "\0", 1))


# --- Misbehaviour ---------------------------------------------------------------------------


def fork(*, ignore_term: bool) -> int:
    """Start a grandchild that sleeps for ever, holding our output open; return its pid."""
    # Set before the fork: who has read `grandchild PID` may signal it at once.
    signal.signal(signal.SIGTERM, signal.SIG_IGN if ignore_term else signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        while True:
            signal.pause()
    return pid


def obey_signals(flags: argparse.Namespace) -> None:
    """End with 0 on SIGTERM, unless a flag says otherwise."""

    def end(signum: int, frame: object) -> None:
        if flags.slow_term is not None:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            say(f"ending in {flags.slow_term:g} s")
            time.sleep(flags.slow_term)
        os._exit(0)

    signal.signal(signal.SIGTERM, signal.SIG_IGN if flags.ignore_term else end)
    signal.signal(signal.SIGINT, end)


def fail(after: float, code: int) -> NoReturn:
    """Fail as a model that does not fit would."""
    time.sleep(max(0.0, STARTED + after - time.monotonic()))
    say("about to fail", fd=2)
    say("out of memory", fd=2)
    os._exit(code)


def flood() -> None:
    """Write as fast as somebody reads."""
    with contextlib.suppress(OSError):
        while True:
            os.write(1, FLOOD)


def in_background(what: Any, *args: Any) -> None:
    """Run this in a thread that does not keep the program alive."""
    threading.Thread(target=what, args=args, daemon=True).start()


# --- HTTP -----------------------------------------------------------------------------------


def converse(client: socket.socket, flags: argparse.Namespace, tally: Tally) -> None:
    """Serve one connection until either side ends it."""
    with client, client.makefile("rb") as incoming:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if flags.hang:
            while client.recv(PIECE):
                pass
            return
        try:
            while (request := read_request(client, incoming)) is not None:
                path = request.target.partition("?")[0]
                tally.requested(path)
                say(f"request {request.target}")
                answer(client, request, path, flags, tally)
                if not request.keep:
                    return
        except (ClientGone, OSError):
            say("client gone")


def read_request(client: socket.socket, incoming: Any) -> Request | None:
    """Read one request whole; None at the end of the connection."""
    try:
        line = incoming.readline()
    except OSError:
        return None  # a kept connection that is reset between requests is no news
    if not line.strip():
        return None
    method, target, version = line.decode("latin-1").split()
    headers: dict[str, str] = {}
    while line := incoming.readline().strip():
        name, _, value = line.decode("latin-1").partition(":")
        name = name.strip().lower()
        headers[name] = ", ".join(filter(None, (headers.get(name), value.strip())))
    request = Request(method, target, version, headers)
    if headers.get("expect", "").lower() == "100-continue":
        client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    if "chunked" in headers.get("transfer-encoding", "").lower():
        request.body = b"".join(read_chunks(incoming))
    else:
        request.body = read_exactly(incoming, int(headers.get("content-length", 0)))
    return request


def read_chunks(incoming: Any) -> Iterator[bytes]:
    while size := int(incoming.readline().partition(b";")[0] or b"0", 16):
        yield read_exactly(incoming, size)
        incoming.readline()
    while incoming.readline().strip():
        pass  # trailers


def read_exactly(incoming: Any, size: int) -> bytes:
    body: bytes = incoming.read(size)
    if len(body) < size:
        raise ClientGone
    return body


def answer(
    client: socket.socket,
    request: Request,
    path: str,
    flags: argparse.Namespace,
    tally: Tally,
) -> None:
    """Answer one request by its path, or as its body asks."""
    if request.method in ("GET", "HEAD"):
        if path == "/health":
            ready = not flags.never_healthy and time.monotonic() >= STARTED + flags.warm
            health = {"status": "ok"} if ready else {"error": {"message": "Loading model"}}
            return send_json(client, request, 200 if ready else 503, health)
        if path == "/pid":
            return send(client, request, 200, "text/plain", str(os.getpid()).encode())
        if path == "/served":
            counts = {"served": tally.served, "connections": tally.connections}
            return send_json(client, request, 200, {**counts, "paths": tally.paths})
        if path.startswith("/env/"):
            value = os.environ.get(path.removeprefix("/env/"))
            status = 404 if value is None else 200
            return send(client, request, status, "text/plain", (value or "").encode())
    served = tally.serve()
    asked = request.asked()
    status = int(asked.get("status", 200))
    pause(client, float(asked.get("sleep", 0)))
    if asked.get("stream") is True:
        return stream(client, asked, status, die=flags.die_mid_stream)
    if "size" in asked:
        return send(client, request, status, "text/plain", b"x" * int(asked["size"]))
    echo = {
        "name": flags.name,
        "method": request.method,
        "path": request.target,
        "headers": request.headers,
        "served": served,
    }
    if len(request.body) <= ECHOED:
        echo["body"] = request.body.decode("utf-8", "replace")
    else:
        echo["sha256"] = hashlib.sha256(request.body).hexdigest()
    return send_json(client, request, status, echo)


def stream(client: socket.socket, asked: dict[str, Any], status: int, *, die: bool) -> None:
    """Send events in chunks, for as long as somebody listens."""
    chunks = int(asked.get("chunks", 5))
    interval = float(asked.get("interval", 0))
    client.sendall(
        head(status, "text/event-stream", "Transfer-Encoding: chunked\r\nCache-Control: no-cache")
    )
    for n in range(chunks):
        if die and n == chunks // 2:
            os._exit(9)
        client.sendall(chunk(json.dumps({"n": n})))
        pause(client, interval)
    client.sendall(chunk("[DONE]") + b"0\r\n\r\n")


def chunk(event: str) -> bytes:
    data = f"data: {event}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(data), data)


def pause(client: socket.socket, seconds: float) -> None:
    """Wait, but not for a client that has hung up."""
    poll = select.poll()
    # Not POLLIN: a pipelined request would hide that its sender has left.
    poll.register(client, select.POLLRDHUP)
    if poll.poll(seconds * 1000):
        raise ClientGone


def send_json(client: socket.socket, request: Request, status: int, value: object) -> None:
    send(client, request, status, "application/json", json.dumps(value).encode())


def send(client: socket.socket, request: Request, status: int, kind: str, body: bytes) -> None:
    body_or_not = b"" if request.method == "HEAD" else body
    client.sendall(head(status, kind, f"Content-Length: {len(body)}") + body_or_not)


def head(status: int, kind: str, framing: str) -> bytes:
    reason = {200: "OK", 404: "Not Found", 503: "Service Unavailable"}.get(status, "As Asked")
    return (
        f"HTTP/1.1 {status} {reason}\r\n"
        "Server: pretend-model\r\n"
        f"Content-Type: {kind}\r\n"
        f"{framing}\r\n\r\n"
    ).encode()


if __name__ == "__main__":
    main()
