"""Websockets through the whole house: wsproto speaks as the client, and as the model's server.

The rows R060 to R062 of the reference's routing tables are here, too.
"""

import shlex
import sys
from collections import deque
from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import lockstep_stream_pair, memory_stream_pair, wait_all_tasks_blocked
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Message,
    Ping,
    Pong,
    Request,
    TextMessage,
)
from wsproto.extensions import PerMessageDeflate

from swapd.config.load import loaded_from
from swapd.config.settings import Origin, Peer, Settings
from swapd.config.source import parse
from swapd.front.connection import Tunnel
from swapd.proxy.sockets import DEAF_MODEL, splice
from swapd.wire import upgrade
from tests import stories
from tests.daemons import PATIENCE, serving
from tests.fakes import Asked
from tests.house import House, Reply, open_house

SOCKET = "/upstream/a/ws"
UPGRADE = {
    "Connection": "keep-alive, Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}

CHAT = "/v1/chat/completions"

MEGABYTE = 1_000_000


@attrs.define
class Side:
    """One side of a websocket."""

    stream: trio.abc.Stream
    _spoken: WSConnection
    _heard: deque[Event] = attrs.field(factory=deque)

    async def say(self, *events: Event) -> None:
        """Send these in one write."""
        await self.stream.send_all(b"".join(self._spoken.send(event) for event in events))

    async def hear(self) -> Event | None:
        """Wait for what comes next; None is the end of the connection."""
        while not self._heard:
            try:
                data = bytes(await self.stream.receive_some())
            except trio.BrokenResourceError:
                return None
            if not data:
                return None
            self._spoken.receive_data(data)
            self._heard.extend(self._spoken.events())
        return self._heard.popleft()

    async def message(self) -> bytes:
        """Wait for a whole binary message, in however many pieces."""
        whole = b""
        while isinstance(part := await self.hear(), Message):
            whole += part.data
            if part.message_finished:
                break
        return whole

    async def leave(self) -> None:
        """Vanish without a word."""
        await trio.aclose_forcefully(self.stream)


@attrs.define
class Sockets:
    """The model's server: takes up every websocket that it is asked for."""

    accept: AcceptConnection = attrs.field(factory=AcceptConnection)
    taken: list[Side] = attrs.field(factory=list)

    async def __call__(self, asked: Asked) -> None:
        """Handle one request."""
        if "upgrade" not in asked.headers:
            await asked.answer(b"plain")
            return
        spoken = WSConnection(ConnectionType.SERVER)
        headers = [(name.encode(), value.encode()) for name, value in asked.headers.items()]
        spoken.initiate_upgrade_connection(headers, asked.target)
        assert [type(event) for event in spoken.events()] == [Request]
        side = Side(asked.stream, spoken)
        await side.say(self.accept)
        self.taken.append(side)
        await trio.sleep_forever()


async def shaken(stream: trio.abc.Stream, request: Request) -> tuple[Side, Event | None]:
    """Answer with the client's side, and what became of its wish."""
    client = Side(stream, WSConnection(ConnectionType.CLIENT))
    await client.say(request)
    return client, await client.hear()


async def open_socket(
    house: House, path: str = SOCKET, *, stalling: bool = False
) -> tuple[Side, Side]:
    """Open a websocket; answer with both of its sides."""
    model = house.upstream.handler = Sockets()
    stream = house.call(stalling=stalling).stream
    client, answer = await shaken(stream, Request(host="swapd", target=path))
    assert isinstance(answer, AcceptConnection)
    return client, model.taken[0]


async def asked_for(house: House, path: str) -> Reply:
    """Ask for a websocket that does not come about, and for something else after it."""
    caller = house.call()
    await caller.send(path, headers=UPGRADE)
    reply = await caller.reply()
    await caller.send("/health")
    assert (await caller.reply()).body == b"OK"
    await caller.leave()
    return reply


def ignoring(*models: str, ttl: float = 0.0) -> Settings:
    """Make settings of models that do not count their websockets."""
    return stories.settings(
        attrs.evolve(stories.model(each, ttl=ttl), ignore_websockets=True) for each in models
    )


# What goes through


@pytest.mark.parametrize(
    ("path", "forwarded"),
    [
        ("/upstream/a/ws?x=%2F", "/ws?x=%2F"),
        ("/comfyui/ws?clientId=1", "/ws?clientId=1"),
        ("/props?model=a", "/props?model=a"),
        ("/v1/audio/voices?model=a&x", "/v1/audio/voices?model=a&x"),
        ("/sdapi/v1/loras?model=a", "/sdapi/v1/loras?model=a"),
    ],
)
async def test_every_path_that_is_asked_with_get_may_become_a_websocket(
    path, forwarded, autojump_clock
):
    """Those that llama-swap tunnels."""
    async with open_house("a", "comfyui_auto") as house:
        if path.startswith("/comfyui"):
            assert (await house.get("/comfyui/")).status == 200
        client, model = await open_socket(house, path)
        assert house.upstream.asked[-1].target == forwarded
        await client.say(TextMessage("hello"))
        assert await model.hear() == TextMessage("hello")


@pytest.mark.parametrize("from_model", [False, True], ids=["to-the-model", "to-the-client"])
@pytest.mark.parametrize(
    "event",
    [
        pytest.param(TextMessage("gr\u00fc\u00dfe"), id="text"),
        pytest.param(TextMessage(""), id="empty text"),
        pytest.param(BytesMessage(b"\x00\xff"), id="binary"),
        pytest.param(BytesMessage(b""), id="empty binary"),
        pytest.param(TextMessage("half", message_finished=False), id="a part"),
        pytest.param(Ping(b"payload"), id="ping"),
        pytest.param(Ping(b""), id="empty ping"),
        pytest.param(Pong(b"unasked"), id="pong"),
        pytest.param(CloseConnection(1000, "bye"), id="close"),
        pytest.param(CloseConnection(1011, "out of memory"), id="close for an error"),
        pytest.param(CloseConnection(4999, ""), id="close with a code of their own"),
    ],
)
async def test_frames_arrive_as_they_were_sent(event, from_model, autojump_clock):
    """An empty frame is no end, a ping is answered by whom it is for, a code means what it did."""
    async with open_house("a") as house:
        client, model = await open_socket(house)
        speaker, hearer = (model, client) if from_model else (client, model)
        await speaker.say(event)
        assert await hearer.hear() == event
        if isinstance(event, Ping | CloseConnection):
            await hearer.say(event.response())
            assert await speaker.hear() == event.response()


@pytest.mark.parametrize("from_model", [False, True], ids=["by-the-client", "by-the-model"])
async def test_a_close_in_order_ends_the_connections_of_both(from_model, autojump_clock):
    """Its last words have arrived by then."""
    async with open_house("a", "b") as house:
        client, model = await open_socket(house)
        speaker, hearer = (model, client) if from_model else (client, model)
        await speaker.say(CloseConnection(1000))
        assert await hearer.hear() == CloseConnection(1000, "")
        await hearer.say(CloseConnection(1000))
        await model.stream.aclose()
        if not from_model:
            assert isinstance(await client.hear(), CloseConnection)
        assert await client.hear() is None
        assert (await house.post(CHAT, {"model": "b"})).status == 200


async def test_large_messages_pass_both_ways_at_once(autojump_clock):
    """Neither direction waits for the other."""
    async with open_house("a") as house:
        client, model = await open_socket(house)
        got: dict[str, bytes] = {}

        async def hear(name: str, side: Side) -> None:
            got[name] = await side.message()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.say, BytesMessage(b"c" * MEGABYTE))
            nursery.start_soon(model.say, BytesMessage(b"m" * MEGABYTE))
            nursery.start_soon(hear, "client", client)
            nursery.start_soon(hear, "model", model)
        assert got == {"client": b"m" * MEGABYTE, "model": b"c" * MEGABYTE}


async def test_g11_a_websocket_has_a_line_in_the_log_and_no_more(autojump_clock, caplog):
    """G11, N10: what it was switched to is told; its bytes are its own."""
    caplog.set_level("INFO")
    async with open_house("a") as house:
        client, _ = await open_socket(house)
        await client.leave()
        await wait_all_tasks_blocked()
        [line] = [text for text in caplog.messages if text.startswith("Request ")]
        assert f'"GET {SOCKET} HTTP/1.1" 101 0 ' in line


async def test_what_the_sides_agree_on_is_theirs(autojump_clock):
    """Subprotocols and extensions: compressed frames mean nothing to anybody in between."""
    async with open_house("a") as house:
        model = house.upstream.handler = Sockets(
            AcceptConnection("b", [PerMessageDeflate()], [(b"X-Model", b"yes")])
        )
        wish = Request(
            *("swapd", "/props?model=a", [PerMessageDeflate()]),
            extra_headers=[(b"Origin", b"http://page")],
            subprotocols=["a", "b"],
        )
        client, answer = await shaken(house.call().stream, wish)
        assert isinstance(answer, AcceptConnection)
        assert (answer.subprotocol, len(answer.extensions)) == ("b", 1)
        names = {name for name, _ in answer.extra_headers}
        assert {b"x-model", b"x-swapd-request"} <= names
        seen = house.upstream.asked[0].headers
        assert (seen["sec-websocket-protocol"], seen["origin"]) == ("a, b", "http://page")
        for speaker, hearer in ((client, model.taken[0]), (model.taken[0], client)):
            await speaker.say(TextMessage("again and " * 100))
            assert await hearer.hear() == TextMessage("again and " * 100)


async def test_a_peers_websocket_is_a_websocket(autojump_clock):
    """With the peer's key and without ours; nobody waits for a turn."""
    peer = Peer("p", Origin("http", "10.0.0.9", 80), ("x",), api_key="of-the-peer")
    chosen = attrs.evolve(stories.settings(["a"]), peers={"p": peer})
    async with open_house(settings=chosen) as house:
        client, model = await open_socket(house, "/upstream/p/x/ws")
        assert house.upstream.asked[0].headers["authorization"] == "Bearer of-the-peer"
        await client.say(Ping(b"1"))
        assert await model.hear() == Ping(b"1")
        assert (await house.post(CHAT, {"model": "a"})).status == 200


# What does not become one


async def test_a_model_that_refuses_is_heard_in_its_own_words(autojump_clock):
    """A missing login of the model's own is for the client to see."""

    async def refuse(asked: Asked) -> None:
        await asked.answer(b"not you", status=403, extra=b"X-Why: because\r\n")

    async with open_house("a") as house:
        house.upstream.handler = refuse
        reply = await asked_for(house, SOCKET)
        assert (reply.status, reply.body, reply.headers["x-why"]) == (403, b"not you", "because")


@pytest.mark.parametrize("fields", [b"Connection: Upgrade\r\nUpgrade: h2c\r\n", b""])
async def test_a_switch_to_something_else_is_a_502(fields, autojump_clock):
    """Nobody here could say what the bytes would mean."""

    async def switch(asked: Asked) -> None:
        await asked.send(b"HTTP/1.1 101 Switching Protocols\r\n" + fields + b"\r\n")

    async with open_house("a") as house:
        house.upstream.handler = switch
        reply = await asked_for(house, SOCKET)
        assert (reply.status, reply.code) == (502, "upstream_unreachable")


async def test_a_websocket_for_nobody_is_a_404(autojump_clock):
    """Refused as any other request, and the client may go on asking."""
    async with open_house("a") as house:
        assert (await asked_for(house, "/upstream/ghost/ws")).status == 404
        assert (await asked_for(house, "/props?model=ghost")).status == 404
        assert house.loads() == ""


# How one ends


async def test_a_model_that_dies_ends_its_clients_connection(autojump_clock):
    """And its turn, whatever the client does about it."""
    async with open_house("a", "b") as house:
        client, model = await open_socket(house)
        await model.leave()
        house.models.crash("a")
        assert await client.hear() is None
        assert (await house.post(CHAT, {"model": "b"})).status == 200


async def test_a_client_that_vanishes_is_noticed_by_its_model(autojump_clock):
    """And its turn is given back at once."""
    async with open_house("a", "b") as house:
        client, model = await open_socket(house)
        before = trio.current_time()
        await client.leave()
        assert await model.hear() is None
        assert trio.current_time() == before
        assert (await house.post(CHAT, {"model": "b"})).status == 200


async def test_the_last_words_of_a_client_reach_its_model(autojump_clock):
    """What it said before it left was said."""
    async with open_house("a") as house:
        client, model = await open_socket(house)
        await client.say(TextMessage("one"), CloseConnection(1001))
        await client.leave()
        assert await model.hear() == TextMessage("one")
        assert await model.hear() == CloseConnection(1001, "")
        assert await model.hear() is None


async def test_the_last_words_of_a_model_reach_a_client_that_still_talks(autojump_clock):
    """That nobody listens to the client any more does not mean that it has heard everything."""
    async with open_house("a") as house:
        client, model = await open_socket(house, stalling=True)
        await model.say(BytesMessage(b"m" * MEGABYTE))
        await model.leave()
        await wait_all_tasks_blocked()
        await client.say(Ping(b"are you there"))
        await wait_all_tasks_blocked()
        assert await client.message() == b"m" * MEGABYTE
        assert await client.hear() is None


async def test_a_model_that_has_gone_deaf_does_not_hold_the_queue_for_ever(autojump_clock):
    """Its client has left, and that stands behind what the model does not read."""
    deaf, _ = lockstep_stream_pair()
    ours, theirs = memory_stream_pair()
    await theirs.send_all(b"hello")
    await theirs.aclose()

    async def receive() -> bytes:
        return bytes(await ours.receive_some())

    async def send(data: bytes) -> None:
        pass

    await splice(Tunnel(receive, send), b"", upgrade.Tunnel(deaf, Origin("http", "h", 80)))
    assert trio.current_time() == DEAF_MODEL


@pytest.mark.parametrize("how", ["unload", "cancel"])
async def test_who_ends_a_request_ends_its_websocket(how, autojump_clock):
    """Both sides see it, and the queue goes on."""
    async with open_house("a", "b") as house:
        client, model = await open_socket(house)
        [flight] = house.flights
        paths = {"unload": "/api/models/unload/a", "cancel": f"/api/inflight/{flight.id}/cancel"}
        assert (await house.get(paths[how], method="POST")).status == 200
        assert await client.hear() is None
        assert await model.hear() is None
        assert list(house.flights) == []
        assert house.models.running == (set() if how == "unload" else {"a"})
        assert (await house.post(CHAT, {"model": "b"})).status == 200


# What it counts for


@pytest.mark.parametrize("path", [SOCKET, "/props?model=a"], ids=["R061-upstream", "R061-props"])
async def test_a_websocket_loads_its_model_and_has_its_turn(path, autojump_clock):
    """Until it ends, no other model is loaded; then who waits is served."""
    async with open_house("a", "b") as house, trio.open_nursery() as nursery:
        client, _ = await open_socket(house, path)
        assert house.loads() == "a"
        nursery.start_soon(house.post, CHAT, {"model": "b"})
        await trio.sleep(1000)
        assert house.loads() == "a"
        await client.leave()
        await trio.sleep(10)
        assert house.loads() == "a b"


async def test_an_open_websocket_keeps_its_model_from_being_idle(autojump_clock):
    """It may be silent for hours, and is in use all the same."""
    async with open_house(settings=stories.settings(["a"], ttl=10.0)) as house:
        client, _ = await open_socket(house)
        await trio.sleep(1000)
        assert house.models.running == {"a"}
        await client.leave()
        await trio.sleep(20)
        assert not house.models.running


@pytest.mark.parametrize("path", [SOCKET, "/props?model=a"], ids=["R060-upstream", "R060-props"])
async def test_an_ignored_websocket_starts_nothing(path, autojump_clock):
    """R060: a page that has been left open would load its model again and again."""
    async with open_house(settings=ignoring("a")) as house, trio.open_nursery() as nursery:
        why = "model a is not loaded; ignored websocket requests cannot start it"
        stopped = await asked_for(house, path)
        assert (stopped.status, stopped.code) == (409, "conflict")
        assert stopped.json()["error"]["message"] == why
        assert house.loads() == ""
        house.models.load = 5.0
        nursery.start_soon(house.post, CHAT, {"model": "a"})
        await trio.sleep(1)
        assert (await asked_for(house, path)).status == 409
        assert house.upstream.asked == []


async def test_an_ignored_websocket_takes_no_turn(autojump_clock):
    """R062: another request goes before it, and takes the model away under it."""
    async with open_house(settings=ignoring("a", "b")) as house:
        await house.post(CHAT, {"model": "a"})
        client, model = await open_socket(house)
        await client.say(TextMessage("hello"))
        assert await model.hear() == TextMessage("hello")
        assert (await house.post(CHAT, {"model": "a"})).status == 200
        assert (await house.post(CHAT, {"model": "b"})).status == 200
        assert house.models.running == {"b"}
        await model.leave()  # as a process that has ended does
        assert await client.hear() is None


async def test_an_ignored_websocket_does_not_keep_its_model_from_being_idle(autojump_clock):
    """Nor would anybody want that who has it ignored."""
    async with open_house(settings=ignoring("a", ttl=10.0)) as house:
        await house.post(CHAT, {"model": "a"})
        await open_socket(house)
        await trio.sleep(20)
        assert not house.models.running


async def test_an_ignored_websocket_can_be_cancelled(autojump_clock):
    """It is a request under way, though it counts for nothing."""
    async with open_house(settings=ignoring("a")) as house:
        await house.post(CHAT, {"model": "a"})
        client, model = await open_socket(house)
        [flight] = house.flights
        assert (await house.get(f"/api/inflight/{flight.id}/cancel", method="POST")).status == 200
        assert (await client.hear(), await model.hear()) == (None, None)


async def test_comfyuis_websockets_are_ignored_unasked(autojump_clock):
    """Its pages keep one open for as long as they are; no other model would ever have a turn."""
    text = "models:\n  comfyui_auto: {cmd: 'x ${PORT}'}\n  b: {cmd: 'x ${PORT}'}\n"
    settings = loaded_from([parse(text, file="f.yaml")]).settings
    async with open_house(settings=settings) as house:
        refused = {path: await asked_for(house, path) for path in ("/comfyui/", "/comfyui/ws")}
        assert {path: reply.status for path, reply in refused.items()} == dict.fromkeys(
            refused, 409
        )
        assert house.loads() == ""
        assert (await house.get("/comfyui/")).status == 200
        await open_socket(house, "/comfyui/ws")
        assert (await house.post(CHAT, {"model": "b"})).status == 200
        assert house.models.running == {"b"}


# For real


@pytest.mark.real
async def test_a_real_websocket_through_a_real_daemon(tmp_path):
    """Real sockets buffer, cut and end as no memory stream does."""
    echo = Path(__file__).parents[1] / "children" / "echo.py"
    model = ("echo", {"cmd": f"{shlex.join([sys.executable, str(echo)])} ${{PORT}}"})
    async with serving(tmp_path, model, log="debug") as daemon:
        caller = await daemon.call()
        with trio.fail_after(PATIENCE):
            wish = Request(host="swapd", target="/upstream/echo/ws")
            client, answer = await shaken(caller.stream, wish)
            assert isinstance(answer, AcceptConnection)
            for small in (TextMessage("\u2713"), BytesMessage(b""), Ping(b"x")):
                await client.say(small)
                expected = Pong(b"x") if isinstance(small, Ping) else small
                assert await client.hear() == expected
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.say, BytesMessage(b"x" * 5 * MEGABYTE))
                assert await client.message() == b"x" * 5 * MEGABYTE
            await client.say(CloseConnection(4000, "enough"))
            assert await client.hear() == CloseConnection(4000, "enough")
            assert await client.hear() is None

            left = await daemon.call()
            client, _ = await shaken(left.stream, wish)
            await client.leave()
            await daemon.log.find("echo: client gone")

            client, _ = await shaken((await daemon.call()).stream, wish)
            await client.say(TextMessage("die"))
            assert await client.hear() is None
