"""One request for a model, from every side, in pretend time and over memory streams."""

import json
import math

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from swapd.config.settings import Model, Origin
from swapd.engine import FORGET_STALLED
from swapd.front.connection import STALLED_READER
from swapd.ids import ModelId
from swapd.proxy.body import LINGER, STALLED_UPLOAD
from swapd.turns import DEATH_FOLLOWS
from tests import stories
from tests.fakes import Asked, echo
from tests.house import House, open_house
from tests.shapes import fifo_settings, group

CHAT = "/v1/chat/completions"

ALONE = {"all": group("a")}


async def in_turn(house: House, model: str):
    """Answer with a caller whose stream from `model` has begun, and the upstream's side of it."""
    got: list[Asked] = []

    async def stream(asked: Asked) -> None:
        got.append(asked)
        await asked.begin_events()
        await asked.chunk(b"data: 1\n\n")
        await asked.gone()

    house.upstream.handler = stream
    caller = house.call()
    await caller.send(CHAT, {"model": model})
    await caller.head()
    assert await caller.piece() == b"data: 1\n\n"
    return caller, got[0]


async def test_a_request_loads_its_model_and_gets_its_answer(autojump_clock):
    """The whole point."""
    async with open_house("a", "b") as house:
        reply = await house.post(CHAT, {"model": "a", "messages": []})
        assert reply.status == 200
        assert reply.json()["body"] == '{"model": "a", "messages": []}'
        assert house.loads() == "a"


async def test_two_models_are_served_one_after_the_other(autojump_clock):
    """Never two in memory, in exact order of arrival."""
    async with open_house("a", "b") as house:
        async with trio.open_nursery() as nursery:
            for model in "abab":
                nursery.start_soon(house.post, CHAT, {"model": model})
                await wait_all_tasks_blocked()
        assert house.loads() == "a b a b"
        assert house.models.most == 1


async def test_the_body_reaches_the_model_byte_for_byte(autojump_clock):
    """What is not rewritten keeps its white space, its order and its escapes."""
    body = b' {"x": 1.50,\r\n "model" : "a", "u": "\\u00e9\xc3\xa9"} '
    async with open_house("a") as house:
        await house.post(CHAT, body)
        assert house.upstream.asked[0].body == body


async def test_use_model_name_replaces_only_the_name(autojump_clock):
    """The model's server knows itself by another name."""
    model = attrs.evolve(stories.model("a"), use_model_name="org/real")
    settings = attrs.evolve(stories.settings([]), models={ModelId("a"): model})
    async with open_house(settings=settings) as house:
        await house.post(CHAT, b'{"x":[{"model":"no"}],  "model" : "a" ,"y":2}')
        wanted = b'{"x":[{"model":"no"}],  "model" : "org/real" ,"y":2}'
        assert house.upstream.asked[0].body == wanted
        assert house.upstream.asked[0].headers["content-length"] == str(len(wanted))


async def test_status_headers_and_body_come_back_as_they_were(autojump_clock):
    """Nothing of a model's answer is lost; what swapd adds stands behind it."""

    async def teapot(asked: Asked) -> None:
        await asked.answer(b"\x00\xffno", status=418, extra=b"X-Odd:  Two  Words\r\nDate: d\r\n")

    async with open_house("a") as house:
        house.upstream.handler = teapot
        caller = house.call()
        await caller.send(CHAT, {"model": "a"})
        head = await caller.head()
        assert head.status_code == 418
        assert list(head.headers.raw_items())[:-2] == [
            (b"Content-Length", b"4"),
            (b"X-Odd", b"Two  Words"),
            (b"Date", b"d"),
        ]
        names = [name for name, _ in head.headers]
        assert names[-2:] == [b"x-swapd-request", b"server-timing"]
        assert await caller.piece() == b"\x00\xffno"
        assert await caller.piece() == b""


async def test_a_stream_is_passed_on_piece_by_piece(autojump_clock):
    """Every token is with the client before the next one is made."""
    tell_next = trio.Event()

    async def stream(asked: Asked) -> None:
        await asked.begin_events()
        await asked.chunk(b"data: 1\n\n")
        await tell_next.wait()
        await asked.chunk(b"data: 2\n\n")
        await asked.chunk(b"")

    async with open_house("a") as house:
        house.upstream.handler = stream
        caller = house.call()
        await caller.send(CHAT, {"model": "a", "stream": True})
        head = await caller.head()
        assert dict(head.headers)[b"x-accel-buffering"] == b"no"
        assert await caller.piece() == b"data: 1\n\n"
        tell_next.set()
        assert await caller.piece() == b"data: 2\n\n"
        assert await caller.piece() == b""


@pytest.mark.parametrize(
    ("asked", "forwarded"),
    [
        ("/v1/messages/count_tokens", "/v1/messages/count_tokens"),
        ("/infill", "/infill"),
        ("/v/chat/completions?x=1", "/chat/completions?x=1"),
        ("/audioapi/v1/tasks/run", "/v1/tasks/run"),
    ],
)
async def test_paths_are_forwarded_as_the_reference_says(asked, forwarded, autojump_clock):
    """Versionless servers get their path without the prefix; queries stay."""
    async with open_house("a") as house:
        await house.post(asked, {"model": "a"})
        assert house.upstream.asked[0].target == forwarded


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{", "not JSON"),
        (b'{"model":', "not JSON"),
        (b"[1]", "must be a JSON object, not a list"),
        (b'"a"', "not a string"),
        (b'{"model": 5}', "must be a string, not a number"),
        (b'{"model": null}', "must be a string, not null"),
        (b'{"model": "a", "model": "b"}', "twice"),
        (b'{"model": "\xff"}', "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
async def test_a_body_that_is_no_json_object_is_refused_with_the_reason(
    body, says, autojump_clock
):
    """Bad input says whose fault it is, and costs nobody a load."""
    async with open_house("a") as house:
        reply = await house.post(CHAT, body, content_type="application/json")
        assert (reply.status, reply.code) == (400, "invalid_request")
        assert says in reply.json()["error"]["message"]
        assert house.loads() == ""


async def test_an_unknown_model_is_refused_at_once_while_another_is_busy(autojump_clock):
    """S2: a typo needs no turn to be found."""
    async with open_house("a") as house:
        caller, _ = await in_turn(house, "a")
        before = trio.current_time()
        reply = await house.post(CHAT, {"model": "ghost"})
        assert (reply.status, reply.code) == (404, "model_not_found")
        assert trio.current_time() == before
        await caller.leave()


async def test_another_method_is_refused_with_the_one_there_is(autojump_clock):
    """405 names what would work."""
    async with open_house("a") as house:
        reply = await house.get(CHAT)
        assert (reply.status, reply.headers["allow"]) == (405, "POST")


async def test_a_body_announced_too_large_is_refused_and_the_connection_stays(autojump_clock):
    """The client reads its 413 although it is still sending, and may ask again."""
    async with open_house("a", max_body=100) as house:
        caller = house.call()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(caller.send, CHAT, b"x" * 2_000_000)
            reply = await caller.reply()
        assert (reply.status, reply.code, reply.complete) == (413, "body_too_large", True)
        await caller.send(CHAT, {"model": "a"})
        assert (await caller.reply()).status == 200


async def test_a_chunked_body_that_grows_too_large_is_refused(autojump_clock):
    """A bound that only looks at Content-Length would be none."""
    async with open_house("a", max_body=100) as house:
        caller = house.call()
        await caller.raw(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"64\r\n" + b"x" * 100 + b"\r\n1\r\nx\r\n0\r\n\r\n"
        )
        answer = b"".join([await caller.stream.receive_some() for _ in range(1)])
        assert answer.startswith(b"HTTP/1.1 413 ")


async def test_a_half_sent_body_holds_up_nobody_and_is_refused_in_the_end(autojump_clock):
    """A client that stalls in its upload has no place in the queue yet."""
    async with open_house("a") as house:
        stalled = house.call()
        await stalled.raw(
            b'POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{"mo'
        )
        assert (await house.post(CHAT, {"model": "a"})).status == 200
        with trio.fail_after(STALLED_UPLOAD + LINGER + 1):
            assert (await stalled.stream.receive_some()).startswith(b"HTTP/1.1 408 ")


async def test_a_failed_load_is_told_with_its_cause_and_last_words(autojump_clock):
    """The client learns what the model's own log says; the queue goes on."""
    async with open_house("a", "b") as house:
        house.models.broken.add(ModelId("a"))
        reply = await house.post(CHAT, {"model": "a"})
        assert (reply.status, reply.code) == (502, "load_failed")
        assert reply.json()["error"]["cause"]["exit_code"] == 1
        assert "boom" in reply.json()["error"]["message"]
        assert (await house.post(CHAT, {"model": "b"})).status == 200


async def test_a_model_that_keeps_failing_is_left_alone_for_a_while(autojump_clock):
    """The third caller is told at once, with the time to come back."""
    async with open_house("a") as house:
        house.models.broken.add(ModelId("a"))
        await house.post(CHAT, {"model": "a"})
        await house.post(CHAT, {"model": "a"})
        before = trio.current_time()
        reply = await house.post(CHAT, {"model": "a"})
        assert (reply.status, reply.code) == (503, "back_off")
        assert trio.current_time() == before
        house.models.broken.clear()
        await trio.sleep(float(reply.headers["retry-after"]))
        assert (await house.post(CHAT, {"model": "a"})).status == 200


async def test_a_loaded_model_that_cannot_be_reached_is_a_502(autojump_clock):
    """D7: with the cause, not an empty page."""
    async with open_house("a") as house:
        house.upstream.reachable = False
        reply = await house.post(CHAT, {"model": "a"})
        assert (reply.status, reply.code) == (502, "upstream_unreachable")
        assert "connection refused" in reply.json()["error"]["message"]


async def test_a_request_to_a_model_that_has_just_died_waits_for_a_new_one(autojump_clock):
    """Its connections end before its exit is noticed; nobody's request is lost in between."""

    async def once(asked: Asked) -> None:
        await asked.answer(extra=b"Connection: close\r\n")

    async with open_house("a") as house:
        house.upstream.handler = once
        await house.post(CHAT, {"model": "a"})
        house.upstream.reachable = False
        async with trio.open_nursery() as nursery:
            replies: list[int] = []

            async def ask() -> None:
                replies.append((await house.post(CHAT, {"model": "a"})).status)

            nursery.start_soon(ask)
            await trio.sleep(0.5)
            house.models.crash("a")
            house.upstream.reachable = True
        assert replies == [200]
        assert house.loads() == "a a"


@pytest.mark.parametrize("begun", [False, True], ids=["before-the-head", "in-a-stream"])
async def test_a_model_that_dies_costs_only_whom_it_served(begun, autojump_clock):
    """Until its exit is noticed its connections are accepted and reset; the next must not see."""

    async def cut(asked: Asked) -> None:
        await trio.aclose_forcefully(asked.stream)

    async with open_house("a") as house:

        async def die(asked: Asked) -> None:
            house.upstream.handler = cut
            if begun:
                await asked.begin_events()
            await cut(asked)
            await trio.sleep(DEATH_FOLLOWS / 2)
            house.models.crash("a")
            house.upstream.handler = echo

        house.upstream.handler = die
        served, next_one = house.call(), house.call()
        for caller in (served, next_one):
            await caller.send(CHAT, {"model": "a"})
            await wait_all_tasks_blocked()
        reply = await served.reply()
        assert (reply.status, reply.complete) == ((200, False) if begun else (502, True))
        assert (await next_one.reply()).status == 200
        assert house.loads() == "a a"


@pytest.mark.parametrize("dies", [True, False], ids=["model-dies", "model-lives"])
async def test_an_answer_without_a_length_is_whole_only_if_its_model_lives(dies, autojump_clock):
    """The end of its connection says both: that it is over, and that the model has died."""
    async with open_house("a") as house:

        async def go_on_until_the_end(asked: Asked) -> None:
            await asked.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhalf")
            await trio.aclose_forcefully(asked.stream)
            await trio.sleep(DEATH_FOLLOWS / 2)
            if dies:
                house.models.crash("a")

        house.upstream.handler = go_on_until_the_end
        reply = await house.post(CHAT, {"model": "a"})
        assert (reply.status, reply.body) == (200, b"half")
        assert reply.complete == (not dies)


async def test_a_head_without_a_length_waits_for_no_death(autojump_clock):
    """It has no body that could be cut: the turn goes on to the next at once."""
    async with open_house("a") as house:

        async def head_only(asked: Asked) -> None:
            await asked.send(b"HTTP/1.1 200 OK\r\n\r\n")

        await house.post(CHAT, {"model": "a"})
        house.upstream.handler = head_only
        before = trio.current_time()
        reply = await house.get("/upstream/a/x", method="HEAD")
        assert (reply.status, trio.current_time()) == (200, before)


async def test_hanging_up_on_a_model_that_may_have_died_gives_the_turn_back(autojump_clock):
    """Who has left keeps nothing from the others, not even for a moment."""
    async with open_house("a", "b") as house:

        async def cut(asked: Asked) -> None:
            house.upstream.handler = echo
            await trio.aclose_forcefully(asked.stream)

        house.upstream.handler = cut
        caller = house.call()
        await caller.send(CHAT, {"model": "a"})
        await trio.sleep(house.models.load + DEATH_FOLLOWS / 2)
        assert [standing.position for standing, _ in house.engine.ask.queue()] == [0]
        await caller.leave()
        before = trio.current_time()
        assert (await house.post(CHAT, {"model": "b"})).status == 200
        waited = house.models.stop + house.models.load
        assert trio.current_time() - before == pytest.approx(waited)


async def test_what_a_model_worked_on_when_it_died_is_not_asked_of_its_next_run(autojump_clock):
    """It has been seen, though on a connection that was used before: it may be what it died of."""
    async with open_house("a") as house:
        await house.post(CHAT, {"model": "a"})

        async def die(asked: Asked) -> None:
            await trio.sleep(5)
            house.upstream.handler = echo
            house.models.crash("a")
            house.upstream.reachable = False
            await trio.aclose_forcefully(asked.stream)
            await trio.sleep(0.5)
            house.upstream.reachable = True

        house.upstream.handler = die
        reply = await house.post(CHAT, {"model": "a"})
        assert house.upstream.connections == 1
        assert (reply.status, reply.code) == (502, "upstream_unreachable")
        assert len(house.upstream.asked) == 2
        assert house.loads() == "a"


async def test_a_full_queue_refuses_with_a_time_to_come_back(autojump_clock):
    """S13: bounded, with a status that clients know."""
    settings = stories.settings(["a"], max_queue=1)
    async with open_house(settings=settings) as house, trio.open_nursery() as nursery:
        nursery.start_soon(house.post, CHAT, {"model": "a"})
        await wait_all_tasks_blocked()
        reply = await house.post(CHAT, {"model": "a"})
        assert (reply.status, reply.code) == (429, "queue_full")
        assert int(reply.headers["retry-after"]) >= 1


# Cut short


async def test_a_stream_cut_by_the_model_never_looks_complete(autojump_clock):
    """D6: an error event, and no proper end."""

    async def die(asked: Asked) -> None:
        await asked.begin_events()
        await asked.chunk(b"data: 1\n\n")
        await trio.aclose_forcefully(asked.stream)

    async with open_house("a") as house:
        house.upstream.handler = die
        reply = await house.post(CHAT, {"model": "a"})
        assert not reply.complete
        first, error = [part for part in reply.body.split(b"\n\n") if part]
        assert first == b"data: 1"
        assert json.loads(error.removeprefix(b"data: "))["error"]["code"] == "upstream_cut"


async def test_a_body_cut_by_the_model_never_looks_complete(autojump_clock):
    """Nothing is put into a body that is no event stream; it just has no end."""

    async def die(asked: Asked) -> None:
        await asked.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
        await trio.aclose_forcefully(asked.stream)

    async with open_house("a") as house:
        house.upstream.handler = die
        reply = await house.post(CHAT, {"model": "a"})
        assert (reply.body, reply.complete) == (b"12345", False)


async def test_a_cut_answer_to_http_1_0_is_reset(autojump_clock):
    """Where the end of the connection is the end of the answer, it has to be a bad one."""

    async def die(asked: Asked) -> None:
        await asked.begin_events()
        await asked.chunk(b"data: 1\n\n")
        await trio.aclose_forcefully(asked.stream)

    async with open_house("a") as house:
        house.upstream.handler = die
        caller = house.call()
        await caller.raw(
            b"POST /v1/chat/completions HTTP/1.0\r\nHost: x\r\nContent-Length: 13\r\n\r\n"
            b'{"model":"a"}'
        )
        while await caller.stream.receive_some():
            pass
        assert caller.resets == ["reset"]


async def test_a_client_of_http_1_0_needs_no_host(autojump_clock):
    """The model's server, which speaks HTTP/1.1, would refuse the request without one."""
    async with open_house("a") as house:
        caller = house.call()
        await caller.raw(
            b'POST /v1/chat/completions HTTP/1.0\r\nContent-Length: 13\r\n\r\n{"model":"a"}'
        )
        while await caller.stream.receive_some():
            pass
        assert house.upstream.asked[0].headers["host"] == "127.0.0.1:9"


async def test_an_answer_before_any_head_is_an_error_not_a_cut(autojump_clock):
    """Garbage instead of a head leaves room for a proper status."""

    async def babble(asked: Asked) -> None:
        await asked.send(b"nonsense\r\n\r\n")

    async with open_house("a") as house:
        house.upstream.handler = babble
        reply = await house.post(CHAT, {"model": "a"})
        assert (reply.status, reply.code) == (502, "upstream_unreachable")


async def test_unloading_a_serving_model_ends_its_stream_visibly(autojump_clock):
    """S9: after the head, the connection is aborted, with an error event first."""
    async with open_house("a") as house:
        caller, _ = await in_turn(house, "a")
        assert await house.engine.unload([ModelId("a")]) is None
        event = await caller.piece()
        assert event is not None
        assert b"model_unloaded" in event
        assert await caller.piece() is None
        assert not house.models.running


async def test_unloading_before_the_head_is_a_503(autojump_clock):
    """S9: nothing was sent yet, so it can be said properly."""

    async def never(asked: Asked) -> None:
        await asked.gone()

    async with open_house("a") as house:
        house.upstream.handler = never
        caller = house.call()
        await caller.send(CHAT, {"model": "a"})
        await trio.sleep(5)
        await house.engine.unload()
        reply = await caller.reply()
        assert (reply.status, reply.code) == (503, "model_unloaded")


# Hanging up


async def test_hanging_up_in_the_queue_never_loads(autojump_clock):
    """S7 over a real connection."""
    async with open_house("a", "b") as house:
        first, _ = await in_turn(house, "a")
        second = house.call()
        await second.send(CHAT, {"model": "b"})
        await wait_all_tasks_blocked()
        await second.leave()
        await wait_all_tasks_blocked()
        await first.leave()
        await trio.sleep(60)
        assert house.loads() == "a"


async def test_hanging_up_in_a_load_cancels_it_when_another_waits(autojump_clock):
    """S8 over a real connection."""
    async with open_house("a", "b") as house:
        first = house.call()
        await first.send(CHAT, {"model": "a"})
        await wait_all_tasks_blocked()
        await first.leave()
        await wait_all_tasks_blocked()
        before = trio.current_time()
        await house.post(CHAT, {"model": "b"})
        assert trio.current_time() - before == house.models.stop + house.models.load


async def test_hanging_up_in_a_stream_reaches_the_model_at_once(autojump_clock):
    """llama.cpp stops generating when its connection closes; nobody pays for unread tokens."""
    async with open_house("a") as house:
        caller, asked = await in_turn(house, "a")
        before = trio.current_time()
        await caller.leave()
        await asked.left.wait()
        assert trio.current_time() == before


async def test_hanging_up_behind_pipelined_junk_is_noticed_too(autojump_clock):
    """A stray line break behind the request parks hypercorn's reader; ours reads on."""
    async with open_house("a", "b") as house:
        first, _ = await in_turn(house, "a")
        second = house.call()
        body = b'{"model":"b"}'
        await second.raw(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\n\r\n"
            + body
            + b"\r\n"
        )
        await wait_all_tasks_blocked()
        await second.leave()
        await wait_all_tasks_blocked()
        await first.leave()
        await trio.sleep(60)
        assert house.loads() == "a"


def moved(model: Model) -> Model:
    """Have the model answer at another port, under a path."""
    origin = Origin("http", "127.0.0.1", 10, path="/new")
    return attrs.evolve(model, origin=origin, proxy=str(origin))


async def test_who_waits_through_a_reload_is_sent_to_where_the_model_is_now(autojump_clock):
    """What it was resolved to is no more; who is being served is not disturbed."""
    async with open_house("a") as house:
        first, upstream = await in_turn(house, "a")
        house.upstream.handler = echo
        second = house.call()
        await second.send(f"{CHAT}?x=1", {"model": "a"})
        await wait_all_tasks_blocked()
        await house.engine.adopt(stories.settings([moved(stories.model("a"))]))
        await trio.sleep(60)
        assert house.loads() == "a"
        await upstream.chunk(b"data: 2\n\n")
        assert await first.piece() == b"data: 2\n\n"
        await first.leave()
        reply = await second.reply()
        assert house.loads() == "a a"
        assert (reply.status, reply.json()["target"]) == (200, f"/new{CHAT}?x=1")


async def test_who_waits_for_a_model_that_a_reload_removes_is_told_so(autojump_clock):
    """In the words for a model that never was."""
    async with open_house("a", "b") as house:
        await in_turn(house, "b")
        waiting = house.call()
        await waiting.send(CHAT, {"model": "a"})
        await wait_all_tasks_blocked()
        await house.engine.adopt(stories.settings(["b"]))
        reply = await waiting.reply()
        assert (reply.status, reply.code) == (404, "model_not_found")
        assert house.loads() == "b"


async def endless(asked: Asked) -> None:
    """Stream until the other side leaves."""
    await asked.begin_events()
    await asked.chunk(b"data: 1\n\n")
    await asked.gone()


async def test_a_stalled_reader_does_not_hold_up_the_others(autojump_clock):
    """An unloaded model's turn ends, although its client does not read."""
    async with open_house("a", "b") as house:
        house.upstream.handler = endless
        stalled = house.call(stalling=True)
        await stalled.send(CHAT, {"model": "a"})
        await trio.sleep(5)
        house.upstream.handler = echo
        before = trio.current_time()
        await house.engine.unload([ModelId("a")])
        assert (await house.post(CHAT, {"model": "b"})).status == 200
        waited = house.models.stop + FORGET_STALLED + house.models.load
        assert trio.current_time() - before == pytest.approx(waited)


async def test_a_stalled_reader_is_let_go_in_the_end(autojump_clock):
    """Its turn with a living model is bounded as well."""
    async with open_house("a", "b") as house:
        house.upstream.handler = endless
        stalled = house.call(stalling=True)
        await stalled.send(CHAT, {"model": "a"})
        await trio.sleep(house.models.load + 1)
        house.upstream.handler = echo
        before = trio.current_time()
        assert (await house.post(CHAT, {"model": "b"})).status == 200
        waited = STALLED_READER - 1 + house.models.stop + house.models.load
        assert trio.current_time() - before == pytest.approx(waited)


async def test_a_reader_that_stalls_over_a_whole_answer_keeps_only_its_connection(autojump_clock):
    """What has come from the model completely needs the model no more."""
    async with open_house("a", "b") as house:
        stalled = house.call(stalling=True)
        await stalled.send(CHAT, {"model": "a"})
        await trio.sleep(house.models.load)
        before = trio.current_time()
        assert (await house.post(CHAT, {"model": "b"})).status == 200
        assert trio.current_time() - before == house.models.stop + house.models.load


async def test_a_failure_that_only_we_know_of_is_in_the_log(autojump_clock, caplog):
    """By the name that the client has."""
    async with open_house("a") as house:
        house.upstream.reachable = False
        with caplog.at_level("WARNING"):
            reply = await house.post(CHAT, {"model": "a"})
        assert (reply.status, reply.code) == (502, "upstream_unreachable")
        [line] = [record.getMessage() for record in caplog.records]
        assert line.startswith(f"request {reply.headers['x-swapd-request']}: a did not answer:")


async def test_an_answer_without_content_has_no_length(autojump_clock):
    """RFC 9110, 8.6: some clients would wait for it."""

    async def odd(asked: Asked) -> None:
        await asked.send(b"HTTP/1.1 204 X\r\nContent-Length: 5\r\nX-Odd: 1\r\n\r\n")

    async with open_house("a") as house:
        house.upstream.handler = odd
        reply = await house.post(CHAT, {"model": "a"})
        assert (reply.status, reply.headers.get("content-length")) == (204, None)
        assert reply.headers["x-odd"] == "1"


# How long a model is kept

KEPT = {
    "serial": stories.settings(["a"], ttl=300),
    "fifo": fifo_settings(ALONE, names="a", ttl=300),
}


@pytest.mark.parametrize("settings", KEPT.values(), ids=KEPT)
@pytest.mark.parametrize(
    ("text", "seconds"), [("0", 0.0), ("5", 5.0), ("0.5", 0.5), (None, 300.0), ("-1", math.inf)]
)
async def test_a_request_says_how_long_its_model_is_kept(settings, text, seconds, autojump_clock):
    """Afterwards: what it says while it is served changes nothing."""
    async with open_house(settings=settings) as house:
        headers = {} if text is None else {"x_swapd_keep_alive": text}
        assert (await house.post(CHAT, {"model": "a"}, **headers)).status == 200
        await trio.sleep(min(seconds, 10_000.0))
        assert house.models.running
        await trio.sleep(house.models.stop + 0.1)
        assert bool(house.models.running) == math.isinf(seconds)
        assert house.loads() == "a"


@pytest.mark.parametrize("settings", KEPT.values(), ids=KEPT)
async def test_of_several_the_last_that_leaves_says_how_long(settings, autojump_clock):
    """Whoever was there last has used the model last; not who came last, and not the longest."""

    async def answer(asked: Asked) -> None:
        await trio.sleep(float(asked.headers.get("x-hold", "0")))
        await asked.answer()

    async with open_house(settings=settings) as house, trio.open_nursery() as nursery:
        house.upstream.handler = answer

        async def ask(keep_alive: str, hold: str) -> None:
            fields = {"x_swapd_keep_alive": keep_alive, "x_hold": hold}
            assert (await house.post(CHAT, {"model": "a"}, **fields)).status == 200

        async with trio.open_nursery() as clients:
            for keep_alive, hold in (("77", "1"), ("5", "20"), ("-1", "2")):
                clients.start_soon(ask, keep_alive, hold)
                await wait_all_tasks_blocked()
        # One after the other under serial, where the last that came leaves last.
        serial = settings is KEPT["serial"]
        await trio.sleep(5 + house.models.stop + 1)
        assert bool(house.models.running) == serial
        nursery.cancel_scope.cancel()


async def test_a_client_that_hangs_up_has_its_say_too(autojump_clock):
    """It was the last that used the model, however it left."""
    async with open_house(settings=KEPT["serial"]) as house:
        house.upstream.handler = Asked.gone
        caller = house.call()
        await caller.send(CHAT, {"model": "a"}, headers={"X-Swapd-Keep-Alive": "0"})
        await trio.sleep(10)
        await caller.leave()
        await trio.sleep(house.models.stop + 0.1)
        assert not house.models.running


@pytest.mark.parametrize("path", [CHAT, "/upstream/a/v1/chat/completions"])
async def test_a_slip_of_the_pen_is_said_before_anything_is_loaded(path, autojump_clock):
    """With what would have been right."""
    async with open_house("a") as house:
        reply = await house.post(path, {"model": "a"}, x_swapd_keep_alive="5m")
        assert (reply.status, reply.code) == (400, "invalid_request")
        assert reply.json()["error"]["message"] == (
            'X-Swapd-Keep-Alive: expected seconds, 0 or -1, got "5m"'
        )
        assert house.loads() == ""


async def test_one_more_than_may_is_refused_as_json(autojump_clock):
    """A program has to slow down, whatever it says it reads."""

    async def hold(asked: Asked) -> None:
        await trio.sleep(20)
        await asked.answer()

    settings = fifo_settings(ALONE, names="a", limits={"a": 1})
    async with open_house(settings=settings) as house:
        house.upstream.handler = hold
        caller = house.call()
        await caller.send(CHAT, {"model": "a"})
        await trio.sleep(5)
        for accept in ("text/html", "text/plain", "*/*"):
            reply = await house.post(CHAT, {"model": "a"}, accept=accept)
            assert (reply.status, reply.code) == (429, "concurrency_limit")
            assert reply.headers["content-type"] == "application/json"
            assert int(reply.headers["retry-after"]) >= 1
        assert (await caller.reply()).status == 200
        assert (await house.post(CHAT, {"model": "a"})).status == 200
