"""Which address is tried, what is said when nobody is there, and what is left open: nothing."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from swapd.config.settings import Origin
from swapd.wire.dial import CONNECT_TIMEOUT, answers, connect
from swapd.wire.exchange import UpstreamGone
from swapd.wire.line import Line, shut


class Resolver(trio.abc.HostnameResolver):
    """A resolver that knows nobody, or never answers."""

    def __init__(self, *, silent: bool) -> None:
        self._silent = silent

    async def getaddrinfo(self, host: bytes | None, *_: object, **__: object) -> list[object]:  # type: ignore[override]
        if self._silent:
            await trio.sleep_forever()
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def getnameinfo(self, sockaddr: object, flags: int) -> tuple[str, str]:
        raise NotImplementedError


@contextmanager
def resolving(*, silent: bool) -> Iterator[None]:
    """Put our resolver in the place of the system's."""
    before = trio.socket.set_custom_hostname_resolver(Resolver(silent=silent))
    try:
        yield
    finally:
        trio.socket.set_custom_hostname_resolver(before)


@contextmanager
def listening(host: str = "127.0.0.1", **options: int) -> Iterator[Origin]:
    """Listen, and never accept."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family, **options) as server:  # type: ignore[arg-type]
        yield Origin("http", host, server.getsockname()[1])


@contextmanager
def clogged() -> Iterator[Origin]:
    """Listen with a backlog so full that further connections hang."""
    with listening(backlog=0) as origin, ExitStack() as open_:
        for _ in range(4):
            raw = open_.enter_context(socket.socket())
            raw.setblocking(False)
            with suppress(BlockingIOError):
                raw.connect((origin.host, origin.port))
        yield origin


def nobody(host: str = "127.0.0.1") -> Origin:
    """Find a port on which nobody listens."""
    with listening() as origin:
        return Origin("http", host, origin.port)


def descriptors() -> set[str]:
    """Tell what this process has open."""
    return set(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LocalHost", "0.0.0.0"])
@pytest.mark.real
async def test_this_machine_is_reached_without_a_resolver(host: str) -> None:
    """A resolver is a thread, and for localhost it may be a slow one."""
    with listening() as there, resolving(silent=True):
        stream = await connect(Origin("http", host, there.port))
        assert isinstance(stream, Line)
        shut(stream)


@pytest.mark.real
async def test_localhost_may_be_the_other_one() -> None:
    """Some servers listen on ::1 only."""
    with listening("::1") as there, resolving(silent=True):
        for host in ("localhost", "::1"):
            shut(await connect(Origin("http", host, there.port)))
        assert await answers(Origin("http", "localhost", there.port))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
@pytest.mark.real
async def test_a_refusal_says_who_refused(host: str) -> None:
    """The client gets this text, and the operator has to make sense of it."""
    origin = nobody(host)
    with pytest.raises(UpstreamGone) as gone:
        await connect(origin)
    assert str(gone.value) == f"cannot reach {origin}: connection refused"


async def test_a_name_that_nobody_knows_is_a_model_that_is_gone() -> None:
    """What failed is told in the same way, whatever layer it failed in."""
    with resolving(silent=False), pytest.raises(UpstreamGone) as gone:
        await connect(Origin("http", "box.example", 80))
    text = "cannot reach http://box.example:80: name or service not known"
    assert str(gone.value) == text


async def test_a_connection_is_not_waited_for_without_bound(
    autojump_clock: MockClock,
) -> None:
    """A request must not hang on a host that swallows packets."""
    with resolving(silent=True), pytest.raises(UpstreamGone, match="no connection within 30 s"):
        await connect(Origin("http", "box.example", 80))
    assert trio.current_time() == pytest.approx(CONNECT_TIMEOUT, abs=1)


@pytest.mark.real
async def test_a_cancelled_connect_leaves_nothing_open() -> None:
    """The client hung up while its model was being reached."""
    with clogged() as origin:
        before = descriptors()
        with trio.CancelScope() as hanging_up:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(connect, origin)
                nursery.start_soon(answers, origin)
                await wait_all_tasks_blocked()
                assert len(descriptors() - before) == 2
                hanging_up.cancel()
        assert descriptors() == before


@pytest.mark.real
async def test_a_server_that_speaks_no_tls_is_gone() -> None:
    """The connection was there already; it must not stay."""

    async def talk_plainly(stream: trio.SocketStream) -> None:
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        with suppress(trio.BrokenResourceError):
            while await stream.receive_some():
                pass
        nursery.cancel_scope.cancel()

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
            nursery.start_soon(trio.serve_listeners, talk_plainly, [listener])
            origin = Origin("https", "127.0.0.1", listener.socket.getsockname()[1])
            with pytest.raises(UpstreamGone, match=r"cannot reach https.*: wrong version number$"):
                await connect(origin)
            await trio.sleep_forever()


@pytest.mark.real
async def test_somebody_answers_where_somebody_listens() -> None:
    """A stranger on a model's port would pass for the model (D31)."""
    with listening() as there:
        for host in ("127.0.0.1", "localhost", "0.0.0.0"):
            assert await answers(Origin("http", host, there.port))
        assert not await answers(Origin("http", "127.0.0.2", there.port))


@pytest.mark.real
async def test_nobody_answers_where_nobody_listens() -> None:
    """A stop is over when its port refuses."""
    origin = nobody()
    before = descriptors()
    for host in ("127.0.0.1", "localhost", "0.0.0.0", "::1", "::"):
        assert not await answers(Origin("http", host, origin.port))
    assert descriptors() == before


@pytest.mark.real
async def test_a_full_backlog_is_somebody(autojump_clock: MockClock) -> None:
    """Whoever lets connections wait is there, and is not waited for long."""
    with clogged() as origin:
        assert await answers(origin)


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "box.example"])
async def test_another_machine_is_not_ours_to_guard(host: str) -> None:
    """What listens there was there before us, and nobody is asked."""
    with resolving(silent=True):
        assert not await answers(Origin("http", host, 80))
