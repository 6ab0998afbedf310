"""Rows G21, I1 to I9, L2, L17, Q14 and R23: what people who look on are told.

I6 and I7, cancelling a request, are in `tests/manage/test_requests.py`; I5, a queue that is full,
is in `tests/manage/test_listening.py`. I9 is the web page's business.
"""

from typing import Any

import pytest
import trio

from swapd.config.settings import Settings
from swapd.ids import ModelId
from tests.config.rows.loading import loaded
from tests.scenes import Client, Scene, open_scene, read, told

WORLD = """
models:
  real: M
  hidden: {M, unlisted: true}
  shared: {M, capabilities: {in: [text, image], out: [text], context: 8192}}
peers:
  remote: {proxy: 'http://strix.example:8090', models: [remote-model]}
  cuda: {proxy: 'http://cuda.example:8090', models: [shared]}
  strix: {proxy: 'http://strix.example:8091', models: [shared]}
profiles:
  coding:
    pins: {public: real, none: null}
ui: {activity: {session_id: [X-Trace-ID]}}
"""


def settings() -> Settings:
    """Load the world of the reference's tables."""
    return loaded(WORLD).settings


async def models(scene: Scene) -> dict[str, Any]:
    """Hear of the models, by their ids."""
    with scene.live.follow() as listener:
        [listed] = [said for kind, said in await told(listener) if kind == "modelStatus"]
    return {one["id"]: one for one in listed}


@pytest.mark.parametrize("row", ["G21"])
async def test_the_first_second(row, nursery, autojump_clock):
    """A page that has just been opened can show everything."""
    async with open_scene(settings()) as scene:
        client = Client()
        nursery.start_soon(client.ask, scene.live)
        await trio.sleep(1)
        for kind in ("modelStatus", "inflight", "uiConfig", "profileChanged", "logData"):
            assert f'"type":"{kind}"'.encode() in client.body
        assert b"X-Trace-ID" in client.body
        client.left.set()


@pytest.mark.parametrize("row", ["Q14"])
async def test_pins_are_no_models(row, autojump_clock):
    """A profile changes what names stand for, not what there is."""
    async with open_scene(settings()) as scene:
        scene.profiles.choose("coding", scene.engine.settings)
        listed = await models(scene)
    assert {"real", "hidden", "remote/remote-model"} < set(listed)
    assert {"public", "none", "coding"}.isdisjoint(listed)
    assert (listed["hidden"]["unlisted"], listed["remote/remote-model"]["peerID"]) == (
        True,
        "remote",
    )


@pytest.mark.parametrize("row", ["L2"])
async def test_one_name_in_three_places(row, autojump_clock):
    """Each is a model of its own, under its full name."""
    async with open_scene(settings()) as scene:
        listed = await models(scene)
    assert [name for name in listed if "shared" in name] == [
        *("shared", "cuda/shared", "strix/shared")
    ]


@pytest.mark.parametrize("row", ["L17"])
async def test_what_models_can_do(row, autojump_clock):
    """Left out where nothing is said."""
    async with open_scene(settings()) as scene:
        listed = await models(scene)
    assert listed["shared"]["capabilities"] == {"vision": True}
    assert listed["shared"]["context_length"] == 8192
    assert {"capabilities", "context_length"}.isdisjoint(listed["real"])


@pytest.mark.parametrize("row", ["R23"])
async def test_a_preload(row, autojump_clock):
    """Told when it is over, with what came of it."""
    async with open_scene(settings()) as scene:
        with scene.live.follow() as listener:
            scene.loads.preload([ModelId("real")])
            events = await told(listener, 10)
    found = [said for kind, said in events if kind == "preload"]
    assert found == [{"model": "real", "success": True}]


@pytest.mark.parametrize("row", ["I1-I8"])
async def test_a_snapshot(row, autojump_clock):
    """I1: with what there is to know of each request; I8: nothing at all without any."""
    async with open_scene(settings()) as scene:
        headers = [(b"User-Agent", b"curl/8.5"), (b"Authorization", b"Bearer sk-a")]
        trace = scene.trace(headers=headers, address="203.0.113.9")
        trace.model, trace.metadata = "real", {"source": "test"}
        with scene.open(trace):
            await trio.sleep(1)
            with scene.live.follow() as listener:
                _, snapshot = (await told(listener))[-1]
        with scene.live.follow() as listener:
            assert (await told(listener))[-1] == ("inflight", {"operation": "snapshot"})
    [request] = snapshot["requests"]
    assert request.pop("timestamp").endswith("Z")
    assert request.pop("elapsed_ms") >= 1000
    assert request == {
        "id": "r-1",
        "model": "real",
        "req_path": "/v1/chat/completions",
        "method": "POST",
        "req_headers": {"User-Agent": "curl/8.5", "Authorization": "[REDACTED]"},
        "remote_ip": "203.0.113.9",
        "resp_headers": {},
        "resp_bytes": 0,
        "metadata": {"source": "test"},
    }


@pytest.mark.parametrize("row", ["I2"])
async def test_what_is_not_shown(row, autojump_clock):
    """A websocket past the queue, as one example."""
    async with open_scene(settings()) as scene:
        with scene.live.follow() as listener:
            await told(listener)
            with scene.open(scene.trace(shown=False)) as flight:
                flight.headed()
            assert await told(listener) == []


@pytest.mark.parametrize("row", ["I3"])
async def test_a_stream_that_is_held_open(row, autojump_clock):
    """Its head, and how much was sent of it, a quarter of a second later at most."""
    async with open_scene(settings()) as scene:
        with scene.live.follow() as listener:
            await told(listener)
            trace = scene.trace()
            with scene.open(trace) as flight:
                [(_, begun)] = await told(listener, 0.25)
                trace.status, trace.response_headers = 200, [(b"set-cookie", b"session=1")]
                flight.headed()
                [(_, head)] = await told(listener, 0.25)
                trace.bytes = len(b"hello")
                [(_, counted)] = await told(listener, 0.25)
            [(_, over)] = await told(listener)
    told_of = [one["request"] for one in (begun, head, counted)]
    assert [one["resp_headers"] for one in told_of] == [
        {},
        *[{"Set-Cookie": "[REDACTED]"}] * 2,
    ]
    assert [one["resp_bytes"] for one in told_of] == [0, 0, 5]
    assert over == {"operation": "remove", "id": "r-1"}


@pytest.mark.parametrize("row", ["I4"])
async def test_what_is_no_inference(row, autojump_clock):
    """Told as well, though there will be no record of it."""
    async with open_scene(settings()) as scene:
        with scene.live.follow() as listener:
            await told(listener)
            with scene.open(scene.trace("r-9", path="/props", method="GET")):
                pass
            found = [said for _, said in await told(listener)]
    assert [said["operation"] for said in found] == ["upsert", "remove"]
    assert found[0]["request"]["req_path"] == "/props"
    assert found[0]["request"]["id"] == found[1]["id"] == "r-9"


async def test_frames_are_framed_as_by_llama_swap(nursery, autojump_clock):
    """Word for word, from the worked example of the reference."""
    async with open_scene(settings()) as scene:
        client = Client()
        nursery.start_soon(client.ask, scene.live)
        await trio.sleep(1)
        client.left.set()
        frames = client.body.decode().split("\n\n")
    assert frames.pop() == ""
    assert frames[0] == (
        'event:message\ndata:{"type":"logData",'
        '"data":"{\\"data\\":\\"\\",\\"source\\":\\"proxy\\"}"}'
    )
    assert frames[-2] == (
        'event:message\ndata:{"type":"profileChanged","data":"{\\"active\\":null}"}'
    )
    assert frames[-1] == (
        'event:message\ndata:{"type":"inflight","data":"{\\"operation\\":\\"snapshot\\"}"}'
    )
    assert len(read(client.body)) == 6
