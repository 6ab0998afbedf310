"""Reaching a model: one connection, by whatever address its origin names.

Rule 1: a resolver is a thread, so literal addresses and `localhost` are reached without one.
Rule 2: an attempt that failed or was cancelled leaves nothing open.
"""

import errno
import functools
import ipaddress
import socket
import ssl
from contextlib import ExitStack

import trio

from swapd.config.settings import Origin
from swapd.wire.exchange import UpstreamUnreached
from swapd.wire.line import Line, shut, why

# With TLS it includes the handshake. A model on this machine accepts or refuses at once.
CONNECT_TIMEOUT = 30.0

# Loopback drops nothing: where this is too short somebody listens, and the backlog is full.
ANSWERS_TIMEOUT = 1.0

_LOCALHOST = ("127.0.0.1", "::1")
_NOBODY = (errno.ECONNREFUSED, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.ENETUNREACH)


async def connect(origin: Origin) -> trio.abc.Stream:
    """Open a connection to a model, or raise `UpstreamUnreached`."""
    try:
        with trio.fail_after(CONNECT_TIMEOUT):
            stream = await _reach(origin)
            return await _secure(stream, origin) if origin.scheme == "https" else stream
    except trio.TooSlowError:
        late = f"no connection within {CONNECT_TIMEOUT:g} s"
        raise UpstreamUnreached(f"cannot reach {origin}: {late}") from None
    except (OSError, UnicodeError, trio.BrokenResourceError) as gone:
        raise UpstreamUnreached(f"cannot reach {origin}: {why(gone)}") from gone


async def answers(origin: Origin) -> bool:
    """Tell whether anybody accepts connections there; what is no clear no is a yes.

    Raises OSError when there is no file descriptor left to find out with.
    Always False for an address of another machine: what listens there cannot be ours to guard.
    """
    for address in _on_this_machine(origin.host):
        if await _accepts(address, origin.port):
            return True
    return False


async def _reach(origin: Origin) -> trio.abc.Stream:
    addresses = _without_resolver(origin.host)
    if not addresses:
        return await trio.open_tcp_stream(origin.host, origin.port)
    for address in addresses[:-1]:
        try:
            return await _open(address, origin.port)
        except OSError:
            continue
    return await _open(addresses[-1], origin.port)


async def _open(address: str, port: int) -> Line:
    with ExitStack() as undo:
        raw = undo.enter_context(_socket(address))
        await trio.socket.from_stdlib_socket(raw).connect((address, port))
        undo.pop_all()
    return Line(raw)


async def _secure(plain: trio.abc.Stream, origin: Origin) -> trio.abc.Stream:
    # Not `https_compatible`: an answer that ends with its connection must not be cut unnoticed.
    secured = trio.SSLStream(plain, _tls(), server_hostname=origin.host)
    with ExitStack() as undo:
        undo.callback(shut, plain)
        await secured.do_handshake()
        undo.pop_all()
    return secured


async def _accepts(address: str, port: int) -> bool:
    with trio.move_on_after(ANSWERS_TIMEOUT):
        try:
            with _socket(address) as raw:
                await trio.socket.from_stdlib_socket(raw).connect((address, port))
                # Linux may connect a socket to itself where nobody listens.
                return bool(raw.getsockname() != raw.getpeername())
        except OSError as no:
            if no.errno in (errno.EMFILE, errno.ENFILE):
                raise
            return no.errno not in _NOBODY
    return True


def _socket(address: str) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)


def _without_resolver(host: str) -> tuple[str, ...]:
    """Name the addresses that a host stands for, if that is plain."""
    if host.lower() == "localhost":
        return _LOCALHOST
    return (host,) if _literal(host) else ()


def _on_this_machine(host: str) -> tuple[str, ...]:
    """Name the addresses at which a server told to use this host would be found here."""
    address = _literal(host)
    if host.lower() == "localhost" or (address and address.is_unspecified):
        return _LOCALHOST
    return (host,) if address and address.is_loopback else ()


def _literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


@functools.cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()
