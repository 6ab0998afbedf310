"""Where clients find us: the listening sockets.

We own them, not hypercorn, so that what must hold for every connection is set here once.
"""

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address

import attrs

# How many connections may wait to be accepted.
BACKLOG = 1024

# A client whose machine has vanished says no goodbye. Asked after this much silence, then as often
# as that, it is given up two minutes later, and whatever it held is free. Seconds, and times.
SILENCE, BETWEEN, TIMES = 60, 15, 4

# Who may connect to a private unix socket, which takes the right to write.
PRIVATE = 0o660


class CannotListen(Exception):
    """The address cannot be listened on."""


class BadAddress(ValueError):
    """The text is no address."""


@attrs.frozen
class Address:
    """A parsed `--listen`: a host and port, or the path of a unix socket."""

    host: str = "127.0.0.1"
    port: int = 8080
    path: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read `HOST:PORT`, `[IPv6]:PORT`, `:PORT` (every interface) or `unix:/path`."""
        if text.startswith("unix:"):
            path = text.removeprefix("unix:")
            if not path:
                raise BadAddress("unix: needs a path, as in unix:/run/swapd.sock")
            return cls(path=path)
        host, colon, port = text.rpartition(":")
        bare = host.removeprefix("[").removesuffix("]")
        good_port = colon and port.isdecimal() and int(port) <= 65535
        if not good_port or (":" in bare and bare == host):
            raise BadAddress(
                f"cannot listen on {text!r}: expected HOST:PORT, [IPV6]:PORT or unix:/path"
            )
        return cls(bare, int(port))

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.path is not None or self.host.lower() == "localhost":
            return True
        try:
            address = ip_address(self.host)
            return (getattr(address, "ipv4_mapped", None) or address).is_loopback
        except ValueError:
            return False  # A name is anybody's, even `127.example`.


@contextmanager
def open_listener(address: Address, *, private: bool = False) -> Iterator[socket.socket]:
    """Listen there; raise `CannotListen`. Leaving closes the socket and removes a unix path.

    A private unix socket is for its owner and its group, and for nobody else.
    """
    with contextlib.ExitStack() as opened:
        if address.path is not None:
            yield _listen_unix(address.path, opened, private=private)
        else:
            yield _listen_tcp(address, opened)


def adopt_listener(sock: socket.socket) -> None:
    """Have a socket that was opened for us behave like our own."""
    if sock.family is not socket.AF_UNIX:
        _ask_the_silent(sock)


def address_of(sock: socket.socket) -> Address:
    """Say where a socket listens."""
    where = sock.getsockname()
    if sock.family is socket.AF_UNIX:
        return Address(path=os.fsdecode(where))
    return Address(where[0], where[1])


def url(sock: socket.socket, *, tls: bool) -> str:
    """Say where a client finds the socket."""
    where = sock.getsockname()
    if sock.family is socket.AF_UNIX:
        return f"unix:{os.fsdecode(where)}"
    host = f"[{where[0]}]" if sock.family is socket.AF_INET6 else where[0]
    return f"{'https' if tls else 'http'}://{host}:{where[1]}"


def _listen_tcp(address: Address, opened: contextlib.ExitStack) -> socket.socket:
    try:
        found = socket.getaddrinfo(
            address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except socket.gaierror as problem:
        raise CannotListen(f"cannot listen on {address.host}: {problem.strerror}") from problem
    # A name may have addresses of both families; clients try IPv4 in any case.
    family, kind, proto, _, where = min(found, key=lambda info: info[0] != socket.AF_INET)
    sock = opened.enter_context(socket.socket(family, kind, proto))
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _ask_the_silent(sock)
        sock.bind(where)
        sock.listen(BACKLOG)
    except OSError as problem:
        text = f"cannot listen on {address.host or '*'}:{address.port}: {problem.strerror}"
        raise CannotListen(text) from problem
    return sock


def _ask_the_silent(sock: socket.socket) -> None:
    # What is accepted here inherits these.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, SILENCE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, BETWEEN)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, TIMES)


def _listen_unix(path: str, opened: contextlib.ExitStack, *, private: bool) -> socket.socket:
    sock = opened.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    try:
        _remove_stale(path)
        if private:
            # Before there is a path, which takes it over, less what the umask forbids.
            os.fchmod(sock.fileno(), PRIVATE)
        sock.bind(path)
        if private:
            os.chmod(path, PRIVATE)
        sock.listen(BACKLOG)
        opened.callback(_unlink, path, _identity(path))
    except OSError as problem:
        why = problem.strerror or problem
        raise CannotListen(f"cannot listen on unix:{path}: {why}") from problem
    return sock


def _remove_stale(path: str) -> None:
    """Remove a socket file that nobody listens on any more; anything else is left alone."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise OSError(errno.EEXIST, "the path exists and is no socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
            try:
                caller.connect(path)
            except ConnectionRefusedError:
                os.unlink(path)
            else:
                raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def _unlink(path: str, ours: tuple[int, int]) -> None:
    """Remove our socket file, unless a successor has put its own there."""
    with contextlib.suppress(FileNotFoundError):
        if _identity(path) == ours:
            os.unlink(path)


def _identity(path: str) -> tuple[int, int]:
    # With its time, because the number of a file that was removed is given to the next.
    found = os.stat(path)
    return found.st_ino, found.st_mtime_ns
