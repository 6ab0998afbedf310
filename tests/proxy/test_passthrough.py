"""Requests below a model's name: what the reference's rows do not show."""

import os
from typing import Any

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from swapd.config.settings import Filters, Origin, Peer, Settings
from swapd.proxy.spool import SPOOLED, Spooled
from tests import stories
from tests.fakes import Asked
from tests.house import House, open_house

CHAT = "/v1/chat/completions"

PLAIN = "/upstream/a/x"


def settings(**fields: Any) -> Settings:
    """Make settings of a model that has something of its own, and of a peer."""
    model = attrs.evolve(stories.model("a"), **fields)
    peers = {"p": Peer("p", Origin("http", "10.0.0.9", 80), ("x", "org/y"))}
    return attrs.evolve(stories.settings([model, "b"]), peers=peers)


async def test_nothing_of_a_request_is_rewritten(autojump_clock):
    """Whoever asks a model's server by its path knows what they want of it."""
    body = b'{"model": "a", "temperature": 2, "stream": true}'
    changed = settings(
        use_model_name="other",
        filters=Filters(("temperature",), {"top_p": 0.5}, {"a": {"x": 1}}),
        send_loading_state=True,
    )
    async with open_house(settings=changed) as house:
        reply = await house.post("/upstream/a/v1/chat/completions", body)
        assert reply.json()["body"] == body.decode()


@pytest.mark.parametrize(
    ("path", "body", "becomes"),
    [
        ("p/x", b'{"model": "p/x", "y": 1}', b'{"model": "x", "y": 1}'),
        ("p%2Fx", b'{"model": "p/x", "y": 1}', b'{"model": "x", "y": 1}'),
        ("x", b'{"model": "x"}', b'{"model": "x"}'),
        ("p/org/y", b'{"model":"p/org/y"}', b'{"model":"org/y"}'),
        ("p/x", b'{"model": "p/org/y"}', b'{"model": "p/org/y"}'),
        ("p/x", b'{"model": 5}', b'{"model": 5}'),
        ("p/x", b'{"mod', b'{"mod'),
        ("p/x", b"\xff", b"\xff"),
        ("p/x", b"[1]", b"[1]"),
        ("p/x", b"", b""),
    ],
)
async def test_only_a_peers_own_name_is_put_into_its_request(path, body, becomes, autojump_clock):
    """The peer does not know what it is called here; everything else is its own business."""

    async def answer(asked: Asked) -> None:
        await asked.answer()

    async with open_house(settings=settings()) as house:
        house.upstream.handler = answer
        assert (await house.post(f"/upstream/{path}/v1/x", body)).status == 200
        assert house.upstream.asked[0].body == becomes
        assert house.upstream.asked[0].headers["content-length"] == str(len(becomes))


async def test_a_large_body_arrives_whole_and_its_file_is_let_go(autojump_clock):
    """Also that of a request which nobody serves."""
    sizes: list[int] = []

    async def answer(asked: Asked) -> None:
        sizes.append(len(asked.body))
        await asked.answer()

    async with open_house("a", max_body=4 * SPOOLED) as house:
        house.upstream.handler = answer
        before = os.listdir("/proc/self/fd")
        for path, status in ((PLAIN, 200), ("/upstream/a", 308), ("/upstream/ghost/", 404)):
            caller = house.call()
            await caller.send(path, b"x" * (2 * SPOOLED), method="PUT")
            assert (await caller.reply()).status == status
            await caller.leave()
        assert sizes == [2 * SPOOLED]
        assert os.listdir("/proc/self/fd") == before


async def test_a_body_that_is_too_large_is_refused_before_its_model_is_looked_for(autojump_clock):
    """With what it is refused for, which the client gets to read."""
    async with open_house("a", max_body=100) as house:
        for path in (PLAIN, "/upstream/ghost/x", "/comfyui/x"):
            reply = await house.post(path, b"x" * 101)
            assert (reply.status, reply.code) == (413, "body_too_large")
        assert house.loads() == ""


@pytest.mark.parametrize("accept", ["", "text/plain", "text/html"])
async def test_a_path_that_is_no_text_is_a_404(accept, autojump_clock):
    """What cannot be decoded can still be told."""
    async with open_house("a") as house:
        for path in ("/upstream/%FF/x", "/upstream/%ED%A0%80", "/upstream/%00%0d%0a/"):
            assert (await house.get(path, accept=accept)).status == 404


async def test_a_request_has_its_turn_as_any_other(autojump_clock):
    """Whoever hangs up costs the next one no swap; whoever stays is served in order."""
    async with open_house("a", "b") as house, trio.open_nursery() as nursery:
        first = await _streaming(house)
        second = house.call()
        await second.send("/upstream/b/x")
        await wait_all_tasks_blocked()
        nursery.start_soon(house.get, PLAIN)
        await wait_all_tasks_blocked()
        await second.leave()
        await wait_all_tasks_blocked()
        await first.leave()
        await trio.sleep(60)
        assert house.loads() == "a"
        assert [asked.target for asked in house.upstream.asked] == ["/events", "/x"]


async def test_a_stream_says_nothing_while_its_model_loads(autojump_clock):
    """Nobody knows whether the client takes comments for events here."""
    async with open_house("a") as house:
        house.models.load = 100.0
        caller = house.call()
        await caller.send(PLAIN, b'{"model": "a", "stream": true}')
        with trio.move_on_after(99) as waiting:
            await caller.head()
        assert waiting.cancelled_caught
        assert (await caller.reply()).status == 200


async def test_a_reload_while_the_body_comes_counts(autojump_clock):
    """Half an upload is no claim on a model that is gone when the rest of it comes."""
    async with open_house("a") as house:
        caller = house.call()
        await caller.raw(b"POST /upstream/a/x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{")
        await wait_all_tasks_blocked()
        await house.engine.adopt(stories.settings(["b"]))
        await caller.raw(b"}")
        assert (await caller.stream.receive_some()).startswith(b"HTTP/1.1 404 ")


async def _streaming(house: House) -> Any:
    before = house.upstream.handler

    async def stream(asked: Asked) -> None:
        house.upstream.handler = before
        await asked.begin_events()
        await asked.chunk(b"data: 1\n\n")
        await asked.gone()

    house.upstream.handler = stream
    caller = house.call()
    await caller.send("/upstream/a/events")
    await caller.head()
    return caller


@pytest.mark.parametrize(
    ("path", "body", "sign"),
    [
        ("v1/chat/completions", b'{"stream": true}', b": "),
        ("v1/messages", b'{"stream": true}', b"event: ping\n"),
        ("v1/chat/completions", b'{"stream": false}', None),
        ("v1/chat/completions", b"stream", None),
        ("v1/audio/speech", b'{"stream": true}', None),
        ("tokens", b'{"stream": true}', None),
    ],
)
async def test_a_stream_is_kept_alive_here_too(path, body, sign, autojump_clock):
    """Many give the model's own path as base URL, and their clients are as impatient as others."""

    async def stream(asked: Asked) -> None:
        await asked.begin_events()
        await asked.chunk(b"data: 1\n\n")
        await asked.chunk(b"")

    async with open_house("a") as house:
        house.upstream.handler = stream
        house.models.load = 30.0
        reply = await house.post(f"/upstream/a/{path}", body)
        assert reply.body.endswith(b"data: 1\n\n")
        if sign is None:
            assert reply.body == b"data: 1\n\n"
        else:
            assert reply.body.startswith(sign)


@pytest.mark.parametrize(
    ("model", "page"), [("a", "/upstream/a/foo.js"), ("comfyui_auto", "/comfyui/api/queue")]
)
async def test_a_page_never_brings_its_model_back(model, page, autojump_clock):
    """One that polls, left open in a browser, would swap for ever."""
    chosen = attrs.evolve(stories.settings([model, "b"]), ignore_paths=(r".*\.js$",))
    async with open_house(settings=chosen) as house, trio.open_nursery() as nursery:
        go = trio.Event()

        async def slow(asked: Asked) -> None:
            await go.wait()
            await asked.answer()

        replies: dict[str, int] = {}

        async def ask(name: str, path: str, body: bytes | None) -> None:
            caller = house.call()
            await caller.send(path, body)
            replies[name] = (await caller.reply()).status

        house.upstream.handler = slow
        for name, path, body in [
            ("first", CHAT, b'{"model":"%b"}' % model.encode()),
            ("other", CHAT, b'{"model":"b"}'),
            ("page", page, None),
        ]:
            nursery.start_soon(ask, name, path, body)
            await trio.sleep(2)
        go.set()
        await trio.sleep(10)
        assert replies == {"first": 200, "other": 200, "page": 409}
        assert house.loads() == f"{model} b"


@pytest.mark.parametrize("padding", [0, 2 * SPOOLED])
async def test_a_peer_is_asked_by_its_own_name_whatever_the_size(padding, autojump_clock):
    """What is on disk is no other request."""
    async with open_house(settings=settings(), max_body=4 * SPOOLED) as house:
        house.upstream.handler = Asked.answer
        body = b'{"model": "p/x", "y": "%b"}' % (b"y" * padding)
        assert (await house.post("/upstream/p/x/v1/chat/completions", body)).status == 200
        assert house.upstream.asked[0].body == body.replace(b"p/x", b"x")


async def test_only_what_may_be_json_is_read_back_from_disk(autojump_clock, monkeypatch):
    """An upload would be in memory for as long as it waits."""
    whole = Spooled.whole
    read: list[int] = []

    async def noted(body: Spooled) -> bytes:
        read.append(body.size)
        return await whole(body)

    monkeypatch.setattr(Spooled, "whole", noted)
    form = b"--x\r\n" + b"y" * 2 * SPOOLED
    json = b'{"stream": true, "y": "%b"}' % form[5:]
    async with open_house("a", max_body=4 * SPOOLED) as house:
        house.upstream.handler = Asked.answer
        for path, body in (("v1/audio/transcriptions", form), ("v1/chat/completions", json)):
            assert (await house.post(f"/upstream/a/{path}", body)).status == 200
        assert read == [len(json)]


async def test_a_client_that_leaves_a_get_with_a_body_is_noticed(autojump_clock):
    """What it still sends must be read, or nobody sees it go."""
    async with open_house("a") as house:
        house.models.load = 1000.0
        for path in ("/upstream/a/x", "/props?model=a"):
            caller = house.call()
            head = f"GET {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n"
            await caller.raw(head.encode() + b"x" * 899_999)
            await wait_all_tasks_blocked()
            await caller.raw(b"x")
            await wait_all_tasks_blocked()
            assert [*house.flights]
            await caller.leave()
            await wait_all_tasks_blocked()
            assert not [*house.flights]
