"""Every bound, at the bound: so many pass, one more is refused, and nobody else notices.

What is bounded where only one module is concerned (queues of followers, captures, descriptors)
has its tests there as well; here a whole swapd is asked.
"""

import resource
import ssl
import statistics
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from swapd.config.kinds import SchedulerKind
from swapd.config.settings import Settings
from swapd.front.connection import FALTERING, KEEP_ALIVE
from swapd.front.crowd import MOST_GOODBYES
from swapd.front.listen import Address, open_listener
from swapd.front.serve import GOODBYE, LARGEST_HEAD, Front, server_tls
from swapd.manage.app import LARGEST_BODY
from swapd.manage.streaming import MOST_FOLLOWERS
from swapd.proxy.body import LINGER, SLOWEST_UPLOAD, STALLED_UPLOAD
from swapd.watch.captures import Capture, Captures
from tests import stories
from tests.daemons import Daemon, make_certificate, pretend, serving
from tests.fakes import Asked
from tests.house import Caller, House, open_house

CHAT = "/v1/chat/completions"
POST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
MOST = 3

Ask = Callable[[House], Awaitable[Caller]]


# Numbers of clients


@attrs.frozen
class Limit:
    """A bound on how many there may be of something."""

    status: int
    code: str
    ask: Ask
    """Come as one more, in a world where `MOST` may."""
    most: int = MOST
    before: Ask | None = None
    settings: Settings = attrs.field(factory=lambda: stories.settings(["a", "b"]))
    ends: bool = True
    """Whether an answer is whole some time."""


async def chat(house: House, model: str = "a") -> Caller:
    caller = house.call()
    await caller.send(CHAT, {"model": model})
    return caller


async def crowded(house: House) -> Caller:
    house.front.crowd.most = MOST
    return await chat(house)


async def occupy(house: House) -> Caller:
    return await chat(house, "b")


def follow(path: str) -> Ask:
    async def ask(house: House) -> Caller:
        caller = house.call()
        await caller.send(path)
        return caller

    return ask


def queue(kind: SchedulerKind) -> Settings:
    return attrs.evolve(stories.settings(["a", "b"], max_queue=MOST), scheduler=kind)


LIMITS = {
    "connections": Limit(503, "service_unavailable", crowded),
    "queue of serial": Limit(
        429, "queue_full", chat, before=occupy, settings=queue(SchedulerKind.SERIAL)
    ),
    "queue of fifo": Limit(
        429, "queue_full", chat, before=occupy, settings=queue(SchedulerKind.FIFO)
    ),
    "requests of a model": Limit(
        429,
        "concurrency_limit",
        chat,
        settings=attrs.evolve(
            stories.settings([stories.model("a", limit=MOST)]), scheduler=SchedulerKind.FIFO
        ),
    ),
    "followers of events": Limit(
        503, "too_many_followers", follow("/api/events"), MOST_FOLLOWERS, ends=False
    ),
    "followers of a log": Limit(
        503, "too_many_followers", follow("/logs/stream"), MOST_FOLLOWERS, ends=False
    ),
}


@pytest.mark.parametrize("limit", LIMITS.values(), ids=LIMITS)
async def test_one_more_is_refused_and_nothing_else_is_lost(limit, autojump_clock):
    """It is told when to come back, and who was here first is answered in full."""
    go = trio.Event()

    async def slow(asked: Asked) -> None:
        await go.wait()
        await asked.answer(b"whole")

    async def come(house: House) -> Caller:
        caller: Caller = await limit.ask(house)
        await trio.sleep(1)  # The model is loaded, and the last of a stream's pieces is read.
        return caller

    async with open_house(settings=limit.settings) as house:
        house.upstream.handler = slow
        first = [] if limit.before is None else [await limit.before(house)]
        await trio.sleep(1)
        here = [await come(house) for _ in range(limit.most)]
        refused = await (await come(house)).reply()
        assert (refused.status, refused.code, refused.complete) == (limit.status, limit.code, True)
        assert int(refused.headers["retry-after"]) >= 1
        await here.pop(0).leave()
        await trio.sleep(1)
        here.append(await come(house))
        assert (await (await come(house)).reply()).status == limit.status
        go.set()
        for caller in [*first, *here]:
            if limit.ends:
                reply = await caller.reply()
                assert (reply.status, reply.body, reply.complete) == (200, b"whole", True)
            else:
                assert (await caller.head()).status_code == 200


@pytest.mark.parametrize("path", ["/api/events", "/logs/stream"])
async def test_a_follower_that_leaves_at_any_moment_leaves_its_place(path, autojump_clock):
    """Also while it is being let in."""
    async with open_house("a") as house:
        for passes in range(3 * MOST_FOLLOWERS):
            caller = house.call()
            await caller.send(path)
            for _ in range(passes % 8):
                await trio.lowlevel.checkpoint()
            await caller.leave()
        await wait_all_tasks_blocked()
        last = house.call()
        await last.send(path)
        assert (await last.head()).status_code == 200


async def test_who_asks_for_the_head_of_a_stream_takes_no_place(autojump_clock):
    """It follows nothing."""
    async with open_house("a") as house:
        for _ in range(MOST_FOLLOWERS + 1):
            assert (await house.get("/api/events", method="HEAD")).status == 200


# Room for clients


async def test_the_client_that_is_silent_longest_makes_room(autojump_clock):
    """However many do nothing: who asks is answered, and so is who asked before."""
    async with open_house("a") as house:
        house.front.crowd.most = MOST
        silent = []
        for begun in (b"", b"GET /health HT", b""):
            caller = house.call()
            await caller.raw(begun)
            await trio.sleep(1)
            silent.append(caller)
        await silent[0].send("/health")
        assert (await silent[0].reply()).status == 200
        for gone in (1, 2):
            assert (await house.get("/health")).status == 200
            assert await silent[gone].stream.receive_some() == b""
            await chat(house)
            await trio.sleep(1)
        await silent[0].send("/health")
        assert (await silent[0].reply()).status == 200


async def test_half_a_request_is_no_way_to_keep_a_place(autojump_clock):
    """Who goes on sending it stays; who has stopped in the middle goes, and who sends drops."""
    whole = announced(8 * SLOWEST_UPLOAD)
    async with open_house("a") as house:
        house.front.crowd.most = 3
        sending, stopped, dripping = (house.call() for _ in range(3))
        for caller in (sending, stopped, dripping):
            await caller.raw(whole[:-7000])
        for number in range(8):
            await trio.sleep(FALTERING / 2)
            await dripping.raw(b"x")
            await sending.raw(whole[-7000:][number * 700 :][:700])
        for gone in (stopped, dripping):
            assert (await house.get("/health")).status == 200
            assert await gone.stream.receive_some() == b""
            await wait_all_tasks_blocked()  # Who was answered has left its place.
            await chat(house)
            await wait_all_tasks_blocked()
        assert (await house.get("/health")).status == 503
        await sending.raw(whole[-1400:])
        assert (await sending.reply()).status == 200


async def test_a_multitude_that_is_turned_away_costs_little(autojump_clock):
    """A few are waited for until they have read why; the others are not even told."""
    async with open_house("a") as house:
        house.front.crowd.most = 0
        told: list[bytes] = []

        async def read(caller: Caller) -> None:
            got = b""
            while piece := await caller.stream.receive_some():
                got += piece
            told.append(got[:12])

        async with trio.open_nursery() as reading:
            for _ in range(3 * MOST_GOODBYES):
                reading.start_soon(read, house.call())
        assert told.count(b"HTTP/1.1 503") == MOST_GOODBYES
        assert told.count(b"") == 2 * MOST_GOODBYES
        assert trio.current_time() == pytest.approx(GOODBYE)
        assert (await house.get("/health")).status == 503


# Sizes


def headed(size: int) -> bytes:
    head = b"GET /health HTTP/1.1\r\nHost: x\r\nX: %b\r\n\r\n"
    return head % (b"x" * (size - len(head) + 2))


def announced(size: int) -> bytes:
    return POST + b"Content-Length: %d\r\n\r\n%b" % (size, sized(size))


def chunked(size: int) -> bytes:
    chunk = b"%x\r\n%b\r\n" % (size - 1, sized(size)[:-1])
    return POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunk + b"1\r\n}\r\n0\r\n\r\n"


def to_a_page(size: int) -> bytes:
    line = b"POST /api/plan HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
    return line % size + sized(size)


def sized(size: int) -> bytes:
    body = b'{"model":"a","x":"%b"}'
    return body % (b"x" * (size - len(body) + 2))


@pytest.mark.parametrize("beyond", [-1, 0, 1])
@pytest.mark.parametrize(
    ("made", "most", "status", "code"),
    [
        pytest.param(headed, LARGEST_HEAD, 431, "invalid_request", id="head"),
        pytest.param(announced, 100_000, 413, "body_too_large", id="body"),
        pytest.param(chunked, 100_000, 413, "body_too_large", id="body in chunks"),
        pytest.param(to_a_page, LARGEST_BODY, 413, "body_too_large", id="body of a page"),
    ],
)
async def test_a_byte_more_is_refused(made, most, status, code, beyond, autojump_clock):
    """What is documented can be relied upon, from both sides."""
    async with open_house("a", max_body=100_000) as house:
        caller = house.call()
        await caller.raw(made(most + beyond))
        reply = await caller.reply()
        if beyond > 0:
            assert (reply.status, reply.code, reply.complete) == (status, code, True)
            assert not house.upstream.asked
        else:
            assert (reply.status, reply.complete) == (200, True)
        assert (await house.get("/health")).status == 200


@pytest.mark.parametrize("beyond", [-1, 0, 1])
def test_a_capture_that_alone_is_too_large_is_not_kept(beyond):
    """Nor does it cost another its place; what just fits takes that of all others."""
    alone = Captures(10_000)
    alone.put("", Capture("/", request_body=b""))
    captures = Captures(1000)
    captures.put("small", Capture("/x"))
    large = Capture("/", request_body=b"x" * (1000 - alone.size + beyond))
    assert captures.put("large", large) is (beyond <= 0)
    assert ("large" in captures, "small" in captures) == (beyond <= 0, beyond > 0)


# Slowness


@pytest.mark.parametrize(
    "before", [b"", b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, x\r\n\r\n"]
)
@pytest.mark.parametrize("drop", [b"x", b"X: y\r\n"], ids=["bytes", "fields"])
@pytest.mark.parametrize("every", [0.5, KEEP_ALIVE - 5])
async def test_a_head_that_drips_is_cut(before, drop, every, autojump_clock):
    """A byte now and then keeps nobody: the whole of a head has its time."""
    async with open_house("a") as house:
        caller = house.call()
        await caller.raw(before + b"GET /health HTTP/1.1\r\nHost: x\r\n" + drop)

        async def drip() -> None:
            with suppress(trio.BrokenResourceError):  # Cut in that very moment.
                while True:
                    await trio.sleep(every)
                    await caller.raw(drop)

        async with trio.open_nursery() as dripping:
            dripping.start_soon(drip)
            with trio.fail_after(KEEP_ALIVE + 1):
                while await caller.stream.receive_some():
                    pass
            dripping.cancel_scope.cancel()
        assert trio.current_time() == pytest.approx(KEEP_ALIVE)


@pytest.mark.parametrize(
    "begun",
    [
        pytest.param(POST + b"Content-Length: 99999\r\n\r\n{", id="announced"),
        pytest.param(POST + b"Transfer-Encoding: chunked\r\n\r\nffff\r\n{", id="in a chunk"),
        pytest.param(POST + b"Transfer-Encoding: chunked\r\n\r\n1;x=", id="before a chunk"),
        pytest.param(
            announced(100).replace(b"/v1/chat/completions", b"/upstream/a/x", 1)[:-50],
            id="passed through",
        ),
        pytest.param(to_a_page(99_999)[:90], id="of a page"),
    ],
)
@pytest.mark.parametrize("drops", [True, False], ids=["drips", "stalls"])
async def test_a_body_that_drips_is_refused(begun, drops, autojump_clock):
    """408 after a minute, whether it is for a model or for us."""
    async with open_house("a", max_body=200_000) as house:
        caller = house.call()
        await caller.raw(begun)

        async def drip() -> None:
            while drops:
                await trio.sleep(STALLED_UPLOAD - 1)
                await caller.raw(b"x")

        async with trio.open_nursery() as dripping:
            dripping.start_soon(drip)
            with trio.fail_after(STALLED_UPLOAD + LINGER + 1):
                reply = await caller.reply()
            dripping.cancel_scope.cancel()
        assert (reply.status, reply.code, reply.complete) == (408, "invalid_request", True)
        assert trio.current_time() >= STALLED_UPLOAD
        assert not house.upstream.asked


async def test_a_slow_line_is_none_that_drips(autojump_clock):
    """A picture over a modem takes its minutes, and is answered."""
    size = 20 * int(SLOWEST_UPLOAD) * 10
    whole = announced(size)
    async with open_house("a") as house:
        caller = house.call()
        for at in range(0, len(whole), 20 * SLOWEST_UPLOAD):
            await caller.raw(whole[at : at + 20 * SLOWEST_UPLOAD])
            await trio.sleep(20)
        assert (await caller.reply()).status == 200
        assert trio.current_time() >= 200


# A flood

FLOOD = 2000

# What somebody who watches us may wait at most, while others flood us. Seconds.
PROMPT = 0.2


# Nothing, half a head, and half a body, which is harder to tell from a client that is slow.
BEGINNINGS = (b"", b"GET /health HTT", POST + b"Content-Length: 9\r\n\r\n{")


@asynccontextmanager
async def flooded(
    daemon: Daemon, beginnings: tuple[bytes, ...]
) -> AsyncIterator[list[trio.abc.Stream]]:
    """Connect many that say nothing, or begin to and never end; a few at a time."""
    streams: list[trio.abc.Stream] = []
    port = int(daemon.address.rpartition(":")[2])

    async def connect(numbers: range) -> None:
        for number in numbers:
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            streams.append(stream)
            if beginning := beginnings[number % len(beginnings)]:
                await stream.send_all(beginning)

    try:
        async with trio.open_nursery() as connecting:
            for start in range(20):
                connecting.start_soon(connect, range(start, FLOOD, 20))
        yield streams
    finally:
        for stream in streams:
            await trio.aclose_forcefully(stream)


async def waits(daemon: Daemon, times: int) -> list[float]:
    """Ask for `/health` again and again, and say how long each took, from the connecting on."""
    found = []
    for _ in range(times):
        before = trio.current_time()
        assert (await daemon.get("/health")).status == 200
        found.append(trio.current_time() - before)
    return sorted(found)


@pytest.fixture
def descriptors() -> None:
    """Have enough of them to flood anybody."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < FLOOD + 200:
        if hard < FLOOD + 200:
            pytest.skip("too few descriptors for a flood")
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@pytest.mark.real
@pytest.mark.parametrize(
    ("allowed", "beginnings"),
    [
        pytest.param(None, BEGINNINGS, id="with room for all"),
        pytest.param(300, BEGINNINGS[:2], id="with 300 descriptors"),
    ],
)
async def test_a_flood_keeps_nobody_from_being_answered(
    allowed, beginnings, tmp_path, descriptors
):
    """Neither who looks whether we live, nor who asks a model."""
    async with serving(tmp_path, pretend("a"), patience=60) as daemon:
        if allowed is not None:
            resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (allowed, allowed))
        assert (await daemon.chat("a")).status == 200
        async with flooded(daemon, beginnings):
            (first,) = await waits(daemon, 1)
            standing = await waits(daemon, 50)
            assert (await daemon.chat("a")).status == 200
        # The first stood in line behind those who had come at once; see BACKLOG.
        assert first < 5 * PROMPT
        assert standing[-1] < PROMPT, statistics.median(standing)


@pytest.mark.real
async def test_who_says_nothing_makes_room_in_the_middle_of_a_tls_handshake_too(tmp_path):
    """It has no request yet, and would keep a place for as long as a handshake may take."""

    async def nobody(scope: object, receive: object, send: object) -> None:
        raise AssertionError("nothing was asked")

    certificate, key = make_certificate(tmp_path)
    front = Front(nobody, server_tls(str(certificate), str(key)))
    front.crowd.most = 2
    trust = ssl.create_default_context(cafile=certificate)
    with trio.fail_after(5), open_listener(Address("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        async with trio.open_nursery() as nursery, AsyncExitStack() as opened:
            await nursery.start(front.run, listener)
            silent = [
                await opened.enter_async_context(await trio.open_tcp_stream("127.0.0.1", port))
                for _ in range(2)
            ]
            plain = await trio.open_tcp_stream("127.0.0.1", port)
            await opened.enter_async_context(plain)
            await trio.SSLStream(plain, trust, server_hostname="127.0.0.1").do_handshake()
            assert await silent[0].receive_some() == b""
            nursery.cancel_scope.cancel()
