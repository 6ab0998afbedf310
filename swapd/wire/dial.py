"""Reaching a model: one connection, by whatever address its origin names.

Rule 1: a resolver is a thread, so literal addresses and `localhost` are reached without one.
Rule 2: an attempt that failed or was cancelled leaves nothing open.
"""

import errno
import functools
import ipaddress
import math
import socket
import ssl
from collections.abc import Callable
from contextlib import ExitStack

import trio

from swapd.config.settings import Origin, Timeouts
from swapd.wire.exchange import USUAL, UpstreamUnreached
from swapd.wire.line import Line, shut, why

# Loopback drops nothing: where this is too short somebody listens, and the backlog is full.
ANSWERS_TIMEOUT = 1.0

# The kernel knows no longer pause between two probes, nor a shorter one.
_PROBES = (1, 32767)

_LOCALHOST = ("127.0.0.1", "::1")
_NOBODY = (errno.ECONNREFUSED, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.ENETUNREACH)


async def connect(origin: Origin, timeouts: Timeouts = USUAL) -> trio.abc.Stream:
    """Open a connection to a model or a peer, or raise `UpstreamUnreached`."""
    late = f"no connection within {timeouts.connect:g} s"
    try:
        with trio.fail_after(_bound(timeouts.connect)):
            stream = await _reach(origin, timeouts.keepalive)
        if origin.scheme == "https":
            late = f"no TLS handshake within {timeouts.tls_handshake:g} s"
            with trio.fail_after(_bound(timeouts.tls_handshake)):
                stream = await _secure(stream, origin)
        return stream
    except trio.TooSlowError:
        raise UpstreamUnreached(f"cannot reach {origin}: {late}") from None
    except (OSError, UnicodeError, trio.BrokenResourceError) as gone:
        raise UpstreamUnreached(f"cannot reach {origin}: {_reason(gone)}") from gone


async def answers(origin: Origin) -> bool:
    """Tell whether anybody accepts connections there; what is no clear no is a yes.

    Raises OSError when there is no file descriptor left to find out with.
    Always False for an address of another machine: what listens there cannot be ours to guard.
    """
    for address in _on_this_machine(origin.host):
        if await _accepts(address, origin.port):
            return True
    return False


def _bound(seconds: float) -> float:
    return seconds if seconds > 0 else math.inf


async def _reach(origin: Origin, keepalive: float) -> trio.abc.Stream:
    addresses = _without_resolver(origin.host)
    if not addresses:
        return await _resolve(origin, keepalive)
    for address in addresses[:-1]:
        try:
            return await _open(address, origin.port, keepalive)
        except OSError:
            continue
    return await _open(addresses[-1], origin.port, keepalive)


async def _resolve(origin: Origin, keepalive: float) -> trio.SocketStream:
    with ExitStack() as undo:
        stream = await trio.open_tcp_stream(origin.host, origin.port)
        undo.callback(shut, stream)
        _keep_alive(stream.setsockopt, keepalive)
        undo.pop_all()
    return stream


async def _open(address: str, port: int, keepalive: float) -> Line:
    with ExitStack() as undo:
        raw = undo.enter_context(_socket(address))
        await trio.socket.from_stdlib_socket(raw).connect((address, port))
        _keep_alive(raw.setsockopt, keepalive)
        undo.pop_all()
    return Line(raw)


def _keep_alive(set_option: Callable[[int, int, int], None], every: float) -> None:
    """Have the kernel ask now and then whether the other side is still there."""
    if every > 0:
        pause = min(max(round(every), _PROBES[0]), _PROBES[1])
        set_option(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        set_option(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, pause)
        set_option(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, pause)


async def _secure(plain: trio.abc.Stream, origin: Origin) -> trio.abc.Stream:
    with ExitStack() as undo:
        undo.callback(shut, plain)
        # Not `https_compatible`: what ends with its connection must not be cut unnoticed.
        secured = trio.SSLStream(plain, _tls(), server_hostname=origin.host)
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


def _reason(gone: BaseException) -> str:
    """Tell an operator what it is about whom; a verdict on a certificate does not say so."""
    refused = isinstance(gone.__cause__, ssl.SSLCertVerificationError)
    return f"its certificate is not accepted: {why(gone)}" if refused else why(gone)


@functools.cache
def _tls() -> ssl.SSLContext:
    """Trust the system's authorities, or those that SSL_CERT_FILE and SSL_CERT_DIR name."""
    context = ssl.create_default_context()
    # From 3.13 on this is set, and refuses most certificates that people made for themselves.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
