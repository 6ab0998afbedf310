"""Which address is tried, who is believed there, what is said of all others, and what stays open:
nothing.
"""

import os
import shlex
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from swapd.config.settings import Origin, Timeouts
from swapd.wire import dial
from swapd.wire.dial import answers, connect
from swapd.wire.exchange import Request, UpstreamGone, UpstreamUnreached
from swapd.wire.line import Line, shut
from swapd.wire.pool import Pool

GET = Request("GET", b"/v1/models", [(b"Host", b"h")], b"")
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

# openssl's own configuration says things about certificates that differ from system to system.
NO_CONFIG = "[req]\ndistinguished_name = name\n[name]\n"

NEW_KEY = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"


class Resolver(trio.abc.HostnameResolver):
    """A resolver that knows only `here.example`, or never answers."""

    def __init__(self, *, silent: bool) -> None:
        self._silent = silent

    async def getaddrinfo(  # type: ignore[override]
        self, host: bytes | None, port: int, *_: object, **__: object
    ) -> list[object]:
        if self._silent:
            await trio.sleep_forever()
        if host == b"here.example":
            return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port))]
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


@pytest.mark.parametrize("bound", [30.0, 0.5])
async def test_a_connection_is_waited_for_as_long_as_configured(
    autojump_clock: MockClock, bound: float
) -> None:
    """A request must not hang on a host that swallows packets, nor on one that nobody resolves."""
    begun = trio.current_time()
    late = f"cannot reach http://box.example:80: no connection within {bound:g} s"
    with resolving(silent=True), pytest.raises(UpstreamUnreached) as gone:
        await connect(Origin("http", "box.example", 80), Timeouts(connect=bound))
    assert str(gone.value) == late
    assert trio.current_time() - begun == pytest.approx(bound)


@pytest.mark.parametrize("none", [0.0, -1.0])
async def test_without_a_bound_a_connection_is_waited_for(
    autojump_clock: MockClock, none: float
) -> None:
    """0 is no limit; what a file can say beside it must not be an instant refusal."""
    with resolving(silent=True), trio.move_on_after(10_000) as hanging_up:
        await connect(Origin("http", "box.example", 80), Timeouts(connect=none))
    assert hanging_up.cancelled_caught


@pytest.mark.parametrize("host", ["127.0.0.1", "here.example"])
@pytest.mark.parametrize(
    ("keepalive", "probes"), [(30.0, 30), (0.3, 1), (1e9, 32767), (0.0, None)]
)
@pytest.mark.real
async def test_the_kernel_asks_whether_a_peer_is_still_there(
    host: str, keepalive: float, probes: int | None
) -> None:
    """A model may think for an hour; a router on the way forgets a silent connection."""
    with listening() as there, resolving(silent=False):
        stream = await connect(Origin("http", host, there.port), Timeouts(keepalive=keepalive))
        assert isinstance(stream, Line | trio.SocketStream)
        raw = stream._raw if isinstance(stream, Line) else stream.socket
        assert bool(raw.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)) == bool(probes)
        if probes:
            assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == probes
            assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == probes
        shut(stream)


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
async def test_a_handshake_has_a_bound_of_its_own(autojump_clock: MockClock) -> None:
    """Whoever accepts and says nothing must not hold a request, nor a descriptor."""
    with listening() as there:
        before = descriptors()
        origin = Origin("https", "127.0.0.1", there.port)
        with pytest.raises(UpstreamUnreached, match=r"no TLS handshake within 7 s$"):
            await connect(origin, Timeouts(connect=1, tls_handshake=7))
        assert trio.current_time() == pytest.approx(7)
        assert descriptors() == before


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


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an authority, a certificate by it for 127.0.0.1 only, and one that vouches for itself.

    They say no more than they have to, as those do that people make for their own networks.
    """
    folder = tmp_path_factory.mktemp("tls")
    (folder / "none.cnf").write_text(NO_CONFIG)
    for what in (
        "-subj /CN=authority -addext basicConstraints=critical,CA:TRUE"
        " -keyout authority.key -out authority.pem",
        "-subj /CN=box -addext subjectAltName=IP:127.0.0.1"
        " -CA authority.pem -CAkey authority.key -keyout box.key -out box.pem",
        "-subj /CN=box -addext subjectAltName=IP:127.0.0.1 -keyout own.key -out own.pem",
    ):
        command = f"openssl req -x509 -config none.cnf {NEW_KEY} {what}"
        subprocess.run(shlex.split(command), cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def unread() -> Iterator[None]:
    """Have the authorities read again: a daemon does that once in its life."""
    dial._tls.cache_clear()
    yield
    dial._tls.cache_clear()


@asynccontextmanager
async def serving(certificate: Path, met: list[object]) -> AsyncIterator[int]:
    """Answer every request over TLS, at the port that this gives."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))

    async def answer(stream: trio.SSLStream[trio.SocketStream]) -> None:
        with suppress(trio.BrokenResourceError):
            while await stream.receive_some():
                if stream not in met:
                    met.append(stream)
                await stream.send_all(PLAIN)

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            [plain] = await trio.open_tcp_listeners(0, host="127.0.0.1")
            port = plain.socket.getsockname()[1]
            nursery.start_soon(trio.serve_listeners, answer, [trio.SSLListener(plain, context)])
            yield port
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("trusted", "certificate"), [("authority.pem", "box.pem"), ("own.pem", "own.pem")]
)
@pytest.mark.usefixtures("unread")
@pytest.mark.real
async def test_a_peer_is_believed_that_an_authority_of_ours_vouches_for(
    made: Path, monkeypatch: pytest.MonkeyPatch, trusted: str, certificate: str
) -> None:
    """Peers stand in people's own networks, where no public authority knows them."""
    monkeypatch.setenv("SSL_CERT_FILE", str(made / trusted))
    met: list[object] = []
    async with serving(made / certificate, met) as port:
        pool = Pool(Origin("https", "127.0.0.1", port))
        for _ in range(3):
            async with pool.exchange(GET) as answer:
                assert await answer.read() == b"hello"
        assert repr(pool) == f"<Pool https://127.0.0.1:{port}, 1 idle>"
        pool.close()
    assert len(met) == 1


@pytest.mark.parametrize(
    ("host", "trusted", "why"),
    [
        ("127.0.0.1", "", "unable to get local issuer certificate"),
        ("127.0.0.1", "own.pem", "unable to get local issuer certificate"),
        ("localhost", "authority.pem", "Hostname mismatch, certificate is not valid for"),
    ],
)
@pytest.mark.usefixtures("unread")
@pytest.mark.real
async def test_any_other_is_refused_by_name(
    made: Path, monkeypatch: pytest.MonkeyPatch, host: str, trusted: str, why: str
) -> None:
    """The key for a peer must not go to whoever sits on its address, and the text says why."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(made / trusted))
    met: list[object] = []
    async with serving(made / "box.pem", met) as port:
        origin = Origin("https", host, port)
        with pytest.raises(UpstreamUnreached) as refused:
            await Pool(origin).exchange(GET).__aenter__()
    text = f"cannot reach {origin}: its certificate is not accepted: {why}"
    assert str(refused.value).startswith(text)
    assert not met
