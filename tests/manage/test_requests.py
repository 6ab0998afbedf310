"""What is under way, over HTTP: cancelling it, and loading models without a request."""

import json

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from swapd.config.settings import Origin, Peer, Settings
from swapd.ids import ModelId
from swapd.schedule.phase import Phase
from tests import stories
from tests.fakes import BROKEN, Asked, echo
from tests.house import Caller, House, Reply, open_house

CHAT = "/v1/chat/completions"
LOAD = "/api/models/load/"
A, B = ModelId("a"), ModelId("b")


def settings() -> Settings:
    """Make a world with local models, an alias, and a peer."""
    a = attrs.evolve(stories.model("a"), aliases=("short",))
    peers = {"far": Peer("far", Origin("http", "10.0.0.9", 80), ("remote",))}
    return attrs.evolve(stories.settings([a, "b", "org/c"]), peers=peers)


async def cancel(house: House, name: str) -> Reply:
    return await house.get(f"/api/inflight/{name}/cancel", method="POST")


async def load(house: House, path: str) -> Reply:
    return await house.get(LOAD + path, method="POST")


async def asking(house: House, model: str = "a", path: str = CHAT) -> tuple[Caller, str]:
    """Begin a request; answer with its client, and with its name once it is known."""
    caller = house.call()
    await caller.send(path, {"model": model})
    await wait_all_tasks_blocked()
    return caller, list(house.flights)[-1].id


async def silent(asked: Asked) -> None:
    """Never say a word."""
    await asked.gone()


async def events(asked: Asked) -> None:
    """Begin a stream of events, and leave it there."""
    await asked.begin_events()
    await asked.chunk(b"data: 1\n\n")
    await asked.gone()


async def text(asked: Asked) -> None:
    """Begin an answer of a length, and leave it there."""
    await asked.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    await asked.gone()


def assert_cancelled(reply: Reply) -> None:
    assert (reply.status, reply.code) == (503, "cancelled")
    assert reply.headers["content-type"] == "application/json"
    assert reply.json()["error"]["type"] == "server_error"
    assert reply.complete


# Cancelling


async def test_a_cancelled_request_in_the_queue_is_told_so_and_loads_nothing(autojump_clock):
    """D9: an empty 200, which it gets from llama-swap, is no answer."""
    async with open_house("a", "b") as house:
        house.upstream.handler = silent
        first, _ = await asking(house)
        second, name = await asking(house, "b")
        reply = await cancel(house, name)
        assert (reply.status, reply.json()) == (200, {"msg": "ok"})
        reply = await second.reply()
        assert_cancelled(reply)
        assert reply.headers["x-swapd-request"] == name
        await first.leave()
        await trio.sleep(60)
        assert house.loads() == "a"


async def test_a_cancelled_request_leaves_its_load_to_the_next(autojump_clock):
    """D9, S8: what has begun is not thrown away; its client need not wait for it to end."""
    async with open_house("a") as house:
        house.models.load = 10.0
        caller, name = await asking(house)
        await trio.sleep(4)
        await cancel(house, name)
        assert_cancelled(await caller.reply())
        assert trio.current_time() == 4
        await house.post(CHAT, {"model": "a"})
        assert trio.current_time() == 10
        assert house.loads() == "a"


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("a", CHAT),
        ("a", "/upstream/a/v1/chat/completions"),
        ("remote", CHAT),
        ("remote", "/upstream/remote/v1/chat/completions"),
    ],
    ids=["model", "below-a-model", "peer", "below-a-peer"],
)
async def test_a_request_cancelled_before_its_answer_began_is_told_so(model, path, autojump_clock):
    """D9: and whoever works on it is hung up on, which ends the work."""
    async with open_house(settings=settings()) as house:
        house.upstream.handler = silent
        caller, name = await asking(house, model, path)
        await trio.sleep(5)
        [asked] = house.upstream.asked
        await cancel(house, name)
        assert_cancelled(await caller.reply())
        await asked.left.wait()
        assert trio.current_time() == 5


@pytest.mark.parametrize("model", ["a", "remote"], ids=["model", "peer"])
async def test_a_cancelled_stream_says_why_and_is_cut(model, autojump_clock):
    """D6, D9: an event that clients take for an error, and no end that looks proper."""
    async with open_house(settings=settings()) as house:
        house.upstream.handler = events
        caller, name = await asking(house, model)
        assert (await caller.head()).status_code == 200
        assert await caller.piece() == b"data: 1\n\n"
        await cancel(house, name)
        event = await caller.piece()
        assert event is not None
        assert json.loads(event.partition(b"data: ")[2])["error"]["code"] == "cancelled"
        assert await caller.piece() is None
        await house.upstream.asked[0].left.wait()


async def test_a_cancelled_answer_that_is_no_stream_of_events_is_cut(autojump_clock):
    """D6: nothing may be put into it; the missing rest is the message."""
    async with open_house("a") as house:
        house.upstream.handler = text
        caller, name = await asking(house)
        await caller.head()
        await cancel(house, name)
        assert [await caller.piece(), await caller.piece()] == [b"half", None]


async def test_a_cancelled_stream_of_anthropics_ends_in_its_kind_of_error(autojump_clock):
    """Its clients overlook an event without the name."""
    async with open_house("a") as house:
        house.upstream.handler = events
        caller, name = await asking(house, path="/v1/messages")
        await caller.head()
        await caller.piece()
        await cancel(house, name)
        event = await caller.piece()
        assert event is not None
        assert event.startswith(b"\n\nevent: error\ndata: ")


async def test_the_queue_goes_on_when_the_served_one_is_cancelled(autojump_clock):
    """That is what an operator cancels a request for."""
    async with open_house("a", "b") as house:
        house.upstream.handler = silent
        first, name = await asking(house)
        await trio.sleep(5)
        second, _ = await asking(house, "b")
        house.upstream.handler = echo
        await cancel(house, name)
        assert_cancelled(await first.reply())
        assert (await second.reply()).status == 200
        assert house.loads() == "a b"
        assert list(house.flights) == []


async def test_the_name_in_the_header_is_the_one_to_cancel_by(autojump_clock):
    """A client that knows its own request can end it from elsewhere."""
    async with open_house("a") as house:
        house.upstream.handler = events
        caller, _ = await asking(house)
        name = dict((await caller.head()).headers)[b"x-swapd-request"].decode()
        await caller.piece()
        assert (await cancel(house, name)).status == 200
        assert b"cancelled" in (await caller.piece() or b"")


async def test_what_is_over_cannot_be_cancelled(autojump_clock):
    """Nor what never was, nor what was cancelled before: 404, in the reference's words."""
    async with open_house("a") as house:
        done = (await house.post(CHAT, {"model": "a"})).headers["x-swapd-request"]
        refused = (await house.post(CHAT, {"model": "ghost"})).headers["x-swapd-request"]
        house.upstream.handler = silent
        caller, cancelled = await asking(house)
        await cancel(house, cancelled)
        await caller.reply()
        for name in (done, refused, cancelled, "r-0", "1"):
            reply = await cancel(house, name)
            assert (reply.status, reply.code) == (404, "not_found")
            assert reply.json()["error"]["message"] == f"inflight request not found: {name}"


async def test_a_client_that_has_left_needs_no_cancelling(autojump_clock):
    """Its request went with it."""
    async with open_house("a") as house:
        caller, name = await asking(house)
        await caller.leave()
        await wait_all_tasks_blocked()
        assert (await cancel(house, name)).status == 404


# Loading


async def test_a_load_goes_on_behind_its_answer(autojump_clock):
    """202 at once, with a name that it can be cancelled by."""
    async with open_house("a") as house:
        reply = await load(house, "a")
        assert trio.current_time() == 0
        assert reply.status == 202
        [flight] = house.flights
        assert reply.json() == {"id": flight.id}
        await trio.sleep(house.models.load + 1)
        assert house.engine.phase(A) is Phase.READY
        assert (await cancel(house, flight.id)).status == 404


@pytest.mark.parametrize(
    ("path", "model"), [("a", "a"), ("short", "a"), ("org/c", "org/c"), ("org%2Fc", "org/c")]
)
async def test_a_load_that_is_waited_for_answers_when_the_model_is_ready(
    path, model, autojump_clock
):
    """Named by its id or an alias; a second one finds it loaded."""
    async with open_house(settings=settings()) as house:
        for _ in range(2):
            reply = await load(house, f"{path}?wait=1")
            assert (reply.status, reply.json()) == (200, {"model": model, "state": "ready"})
            assert trio.current_time() == house.models.load
        assert house.loads() == model


@pytest.mark.parametrize("query", ["", "?wait=1"])
@pytest.mark.parametrize("name", ["ghost", "remote", "far/remote"])
async def test_only_models_of_ours_can_be_loaded(name, query, autojump_clock):
    """A peer loads its own; and nobody waits to learn of a typing mistake."""
    async with open_house(settings=settings()) as house:
        reply = await load(house, name + query)
        assert (reply.status, reply.code) == (404, "model_not_found")
        assert list(house.flights) == []


@pytest.mark.parametrize("query", ["?wait=perhaps", "?async=1", "?wait=1&timeout=5"])
async def test_a_mistyped_wait_loads_nothing(query, autojump_clock):
    """A load may push another model out."""
    async with open_house("a") as house:
        reply = await load(house, f"a{query}")
        assert (reply.status, reply.code) == (400, "invalid_request")
        await trio.sleep(60)
        assert house.loads() == ""


async def test_a_load_that_fails_says_why_and_then_when_to_come_back(autojump_clock):
    """D8: first the cause, and while the model is left alone the cause and the time."""
    async with open_house("a") as house:
        house.models.broken.add(A)
        for _ in range(2):
            reply = await load(house, "a?wait=1")
            assert (reply.status, reply.code) == (502, "load_failed")
            assert reply.json()["error"]["cause"] == {
                **attrs.asdict(BROKEN),
                "last_lines": list(BROKEN.last_lines),
            }
            assert "retry-after" not in reply.headers
            await trio.sleep(house.models.stop)
        await trio.sleep(4 - house.models.stop)
        reply = await load(house, "a?wait=1")
        assert (reply.status, reply.code) == (503, "back_off")
        assert reply.json()["error"]["cause"]["exit_code"] == 1
        assert reply.headers["retry-after"] == "6"


async def test_a_load_in_the_background_that_fails_is_in_the_log(autojump_clock, caplog):
    """By the name that whoever asked was given; nobody waits for an answer any more."""
    caplog.set_level("INFO")
    async with open_house("a") as house:
        house.models.broken.add(A)
        name = (await load(house, "a")).json()["id"]
        await trio.sleep(60)
        assert list(house.flights) == []
    assert any(f"refused {name}: load failed, a: " in line for line in caplog.messages)


@pytest.mark.parametrize(
    ("what", "status", "code"),
    [
        ("cancel", 503, "cancelled"),
        ("unload", 503, "model_unloaded"),
        ("stop", 503, "shutting_down"),
    ],
)
async def test_a_load_that_is_ended_meanwhile_says_by_what(what, status, code, autojump_clock):
    """Whoever waits for a model must not go on as if it were there."""
    async with open_house("a") as house, trio.open_nursery() as nursery:
        caller = house.call()
        await caller.send(f"{LOAD}a?wait=1", method="POST")
        await wait_all_tasks_blocked()
        [flight] = house.flights
        if what == "cancel":
            await cancel(house, flight.id)
        elif what == "unload":
            nursery.start_soon(house.get, "/unload")
        else:
            house.engine.stop()
        reply = await caller.reply()
        assert (reply.status, reply.code) == (status, code)
        assert ("retry-after" in reply.headers) is (what == "stop")
        assert list(house.flights) == []


async def test_a_load_in_the_background_can_be_cancelled_in_the_queue(autojump_clock):
    """Then the model that would have had to go stays."""
    async with open_house("a", "b") as house:
        house.upstream.handler = silent
        first, _ = await asking(house)
        await trio.sleep(5)
        name = (await load(house, "b")).json()["id"]
        assert (await cancel(house, name)).status == 200
        await first.leave()
        await trio.sleep(60)
        assert house.loads() == "a"


async def test_a_load_has_no_privilege_in_a_full_queue(autojump_clock):
    """It waits in the same line, and is sent away from it like any."""
    async with open_house(settings=stories.settings(["a", "b"], max_queue=1)) as house:
        house.upstream.handler = silent
        await asking(house)
        await trio.sleep(5)
        await asking(house, "b")
        reply = await load(house, "b?wait=1")
        assert (reply.status, reply.code) == (429, "queue_full")
        assert int(reply.headers["retry-after"]) >= 1


async def test_who_hangs_up_on_a_load_in_progress_has_not_ended_it(autojump_clock):
    """S8: it goes on, for whoever comes next."""
    async with open_house("a") as house:
        caller = house.call()
        await caller.send(f"{LOAD}a?wait=1", method="POST")
        await wait_all_tasks_blocked()
        await caller.leave()
        await wait_all_tasks_blocked()
        assert list(house.flights) == []
        await trio.sleep(60)
        assert house.engine.phase(A) is Phase.READY


async def test_who_hangs_up_on_a_load_in_the_queue_has_ended_it(autojump_clock):
    """S7: nobody wants it any more."""
    async with open_house("a", "b") as house:
        house.upstream.handler = silent
        first, _ = await asking(house)
        await trio.sleep(5)
        caller = house.call()
        await caller.send(f"{LOAD}b?wait=1", method="POST")
        await wait_all_tasks_blocked()
        await caller.leave()
        await first.leave()
        await trio.sleep(60)
        assert house.loads() == "a"
        assert house.engine.phase(B) is Phase.STOPPED
