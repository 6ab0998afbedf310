"""What a client that asked for a stream sees while it waits, to the second of pretend time.

The lines of `sendLoadingState` are in `tests/rows/test_loading.py`; what becomes of a stream that
we began once its model answers is in `test_client.py`.
"""

import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from swapd.config.settings import Settings
from swapd.front.connection import STALLED_READER
from swapd.ids import ModelId
from swapd.proxy.events import PING
from swapd.proxy.loading import EVERY, FIRST
from swapd.routes import ROUTES
from swapd.turns import DEATH_IS_SEEN
from tests import stories
from tests.fakes import Asked
from tests.house import Caller, House, open_house

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"
STREAM = {"model": "a", "stream": True}
DONE = b"data: [DONE]\n\n"

# The most that the most impatient clients are kept without a sign. Seconds.
LONGEST_SILENCE = 10.0


async def stream(asked: Asked) -> None:
    """Answer with a stream of one event."""
    await asked.begin_events()
    await asked.chunk(DONE)
    await asked.chunk(b"")


async def ask(
    house: House, path: str = CHAT, body: bytes | Mapping[str, Any] = STREAM, **headers: str
) -> Caller:
    """Send a request, and have the scheduler hear of it."""
    caller = house.call()
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    await caller.send(path, body, headers=fields)
    await wait_all_tasks_blocked()
    return caller


async def seen(caller: Caller) -> list[tuple[float, bytes | None]]:
    """Wait for a stream: what came, and when; b"" is a proper end and None a cut."""
    assert (await caller.head()).status_code == 200
    came = []
    piece: bytes | None = b"-"
    while piece:
        piece = await caller.piece()
        came.append((trio.current_time(), piece))
    return came


def longest_pause(came: list[tuple[float, bytes | None]]) -> float:
    """Answer with the longest that a client was kept waiting for the next sign."""
    times = [0.0, *(when for when, _ in came)]
    return max(later - earlier for earlier, later in pairwise(times))


def error_of(piece: bytes | None) -> Any:
    """Read an event that is an error, as OpenAI's clients do."""
    assert piece is not None
    return json.loads(piece.strip().removeprefix(b"event: error\n").removeprefix(b"data: "))


def talkative(*names: str) -> Settings:
    """Configure models with `sendLoadingState`."""
    models = [attrs.evolve(stories.model(name), send_loading_state=True) for name in names]
    return stories.settings(models)


both_ways = pytest.mark.parametrize(
    "settings", [stories.settings("ab"), talkative("a", "b")], ids=["comments", "lines"]
)


# When


@pytest.mark.parametrize(("path", "sign"), [(CHAT, b": "), (MESSAGES, PING)])
async def test_a_load_of_minutes_is_bridged_by_a_sign_every_few_seconds(
    path, sign, autojump_clock
):
    """Clients give up after 15 s of silence; the first sign waits for loads that take no time."""
    async with open_house("a") as house:
        house.models.load = 100.0
        house.upstream.handler = stream
        caller = await ask(house, path)
        *signs, answer, end = await seen(caller)
        assert 1 <= FIRST <= 2
        assert [when for when, _ in signs] == [FIRST + EVERY * count for count in range(11)]
        assert all(text is not None and text.startswith(sign) for _, text in signs)
        assert (answer, end) == ((100.0, DONE), (100.0, b""))


async def test_the_comments_say_how_long_it_has_been_and_what_is_going_on(autojump_clock):
    """Whoever looks at the stream with curl can tell a long queue from a slow load."""

    async def busy(asked: Asked) -> None:
        await trio.sleep(12)
        await asked.answer()

    async with open_house("a", "b") as house:
        house.upstream.handler = busy
        await ask(house, body={"model": "b"})
        await ask(house, body={"model": "b"})
        house.models.load = 20.0
        caller = await ask(house)
        said = [text.decode() for _, text in await seen(caller) if text and text[:1] == b":"]
        assert said == [
            ": 2 s: position 2 in the queue\n\n",
            ": 10 s: position 2 in the queue\n\n",
            ": 20 s: position 1 in the queue\n\n",
            ": 28 s: a is loading\n\n",
            ": 38 s: a is loading\n\n",
            ": 46 s: a is at work\n\n",
            ": 56 s: a is at work\n\n",
        ]


async def test_a_load_that_takes_no_time_shows_the_models_own_answer(autojump_clock):
    """Its head, its status and its timing are worth more than a comment."""

    async def busy(asked: Asked) -> None:
        await asked.answer(status=418)

    async with open_house("a") as house:
        house.models.load = FIRST - 0.1
        house.upstream.handler = busy
        reply = await (await ask(house)).reply()
        assert (reply.status, reply.body) == (418, b"{}")
        assert "server-timing" in reply.headers


async def test_a_model_that_thinks_for_a_while_is_not_spoken_for(autojump_clock):
    """A client that did not wait for its turn gets the model's answer as it is, status and all."""

    async def slow(asked: Asked) -> None:
        await trio.sleep(EVERY - 0.1)
        await asked.answer(b'{"error": "no"}', status=400)

    async with open_house("a") as house:
        house.upstream.handler = slow
        reply = await (await ask(house)).reply()
        assert (reply.status, reply.body) == (400, b'{"error": "no"}')
        assert trio.current_time() == house.models.load + EVERY - 0.1


@pytest.mark.parametrize(("path", "sign"), [(CHAT, b": "), (MESSAGES, PING)])
async def test_a_long_prompt_is_bridged_as_well(path, sign, autojump_clock):
    """A silence is a silence to a client, whoever is to blame."""

    async def slow(asked: Asked) -> None:
        await trio.sleep(30)
        await stream(asked)

    async with open_house("a") as house:
        house.upstream.handler = slow
        *signs, answer, end = await seen(await ask(house, path))
        ready = house.models.load
        assert [when for when, _ in signs] == [ready + EVERY * count for count in (1, 2, 3)]
        assert all(text is not None and text.startswith(sign) for _, text in signs)
        assert (answer, end) == ((ready + 30, DONE), (ready + 30, b""))


async def test_a_head_of_ours_is_whole_when_the_models_comes_at_the_same_time(autojump_clock):
    """Else the client would have the body of one answer and the head of none."""

    async def slow(asked: Asked) -> None:
        await trio.sleep(EVERY)
        await stream(asked)

    async with open_house("a") as house:
        house.upstream.handler = slow
        caller = await ask(house)
        reply = await caller.reply()
        assert (reply.status, reply.complete) == (200, True)
        assert reply.body.endswith(DONE)


@both_ways
@pytest.mark.parametrize("load", [1.6, 10.4, 19.4, 19.5])
async def test_a_stream_that_was_begun_is_kept_alive_until_the_model_answers(
    settings, load, autojump_clock
):
    """Rule 2: the grant is no sign for the client; a long prompt comes right behind a load."""

    async def slow(asked: Asked) -> None:
        await trio.sleep(60)
        await stream(asked)

    async with open_house(settings=settings) as house:
        house.models.load = load
        house.upstream.handler = slow
        *came, _ = await seen(await ask(house))
        assert longest_pause(came) <= LONGEST_SILENCE
        assert came[-1] == (load + 60, DONE)


async def test_a_model_that_has_just_died_is_waited_for_in_the_same_stream(autojump_clock):
    """Its client sees one stream over two loads, and no longer silence than otherwise."""
    async with open_house("a") as house:
        house.models.load = 10.4
        house.upstream.handler = stream
        house.upstream.reachable = False

        async def die() -> None:
            await trio.sleep(10.4 + DEATH_IS_SEEN - 0.1)
            house.models.crash("a")
            house.upstream.reachable = True

        house.nursery.start_soon(die)
        *signs, answer, end = await seen(await ask(house))
        assert house.loads() == "a a"
        assert longest_pause(signs) <= LONGEST_SILENCE
        assert (answer[1], end[1]) == (DONE, b"")


# Who


@pytest.mark.parametrize(
    "path", [path for path, route in ROUTES.items() if route.methods[-1:] == ("POST",)]
)
async def test_only_answers_that_are_streams_of_events_are_begun(path, autojump_clock):
    """`/v1/audio/speech` streams bare audio, in which a comment would be noise."""
    async with open_house("a") as house:
        house.models.load = 100.0
        reply = await (await ask(house, path)).reply()
        assert (b": 2 s: a is loading" in reply.body or PING in reply.body) == ROUTES[path].events
        assert ("server-timing" in reply.headers) != ROUTES[path].events


@both_ways
@pytest.mark.parametrize("body", [{"model": "a"}, {"model": "a", "stream": False}])
async def test_who_asked_for_no_stream_gets_nothing_but_the_answer(settings, body, autojump_clock):
    """It is read as one JSON text; the smallest comment would spoil it."""
    async with open_house(settings=settings) as house:
        house.models.load = 300.0
        reply = await (await ask(house, body=body)).reply()
        assert json.loads(reply.json()["body"]) == body
        assert trio.current_time() == 300.0


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (
            b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\na\r\n'
            b'--x\r\nContent-Disposition: form-data; name="stream"\r\n\r\ntrue\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
        ),
        (b"model=a&stream=true", "application/x-www-form-urlencoded"),
    ],
)
async def test_a_form_may_ask_for_a_stream_too(body, content_type, autojump_clock):
    """Transcriptions are streamed as well, and their models loaded."""
    async with open_house("a") as house:
        house.models.load = 100.0
        path = "/v1/audio/transcriptions"
        reply = await (await ask(house, path, body, content_type=content_type)).reply()
        assert reply.body.startswith(b": 2 s: a is loading")


@both_ways
async def test_a_request_for_a_loaded_model_that_is_busy_gets_comments(settings, autojump_clock):
    """There is no loading to be shown, but it waits all the same."""

    async def busy(asked: Asked) -> None:
        await trio.sleep(30)
        await stream(asked)

    async with open_house(settings=settings) as house:
        await house.post(CHAT, {"model": "a"})
        began = trio.current_time()
        house.upstream.handler = busy
        await ask(house, body={"model": "a"})
        caller = await ask(house)
        came = await seen(caller)
        assert came[0] == (began + FIRST, b": 2 s: position 1 in the queue\n\n")


# Refused


@both_ways
@pytest.mark.parametrize("path", [CHAT, MESSAGES])
@pytest.mark.parametrize(
    ("status", "code"),
    [(404, "model_not_found"), (429, "queue_full"), (503, "back_off"), (503, "shutting_down")],
)
async def test_a_refusal_at_once_keeps_its_status(settings, path, status, code, autojump_clock):
    """Rule 1: clients and balancers go by the status, and nothing had been begun."""
    settings = attrs.evolve(settings, serial=attrs.evolve(settings.serial, max_queue=1))
    async with open_house(settings=settings) as house:
        model = "ghost" if code == "model_not_found" else "a"
        match code:
            case "queue_full":
                await ask(house, body={"model": "b"})
            case "back_off":
                house.models.broken.add(ModelId("a"))
                await house.post(CHAT, {"model": "a"})
                await house.post(CHAT, {"model": "a"})
            case "shutting_down":
                house.engine.stop()
            case _:
                assert code == "model_not_found"
        before = trio.current_time()
        reply = await (await ask(house, path, {"model": model, "stream": True})).reply()
        assert (reply.status, reply.code) == (status, code)
        assert reply.headers["content-type"] == "application/json"
        assert trio.current_time() == before


async def test_a_refusal_before_the_first_sign_keeps_its_status_too(autojump_clock):
    """Most loads that fail fail fast."""
    async with open_house("a") as house:
        house.models.broken.add(ModelId("a"))
        reply = await (await ask(house)).reply()
        assert (reply.status, reply.code) == (502, "load_failed")


async def fail_the_load(house: House) -> None:
    house.models.broken.add(ModelId("a"))


async def unload(house: House) -> None:
    await house.engine.unload([ModelId("a")])


async def cancel(house: House) -> None:
    flight = next(flight for flight in house.flights if flight.model == "a")
    await house.get(f"/api/inflight/{flight.id}/cancel", method="POST")


async def stop(house: House) -> None:
    house.engine.stop()


async def remove(house: House) -> None:
    await house.engine.adopt(stories.settings("b"))


@both_ways
@pytest.mark.parametrize("path", [CHAT, MESSAGES])
@pytest.mark.parametrize(
    ("happens", "code"),
    [
        (fail_the_load, "load_failed"),
        (unload, "model_unloaded"),
        (cancel, "cancelled"),
        (stop, "shutting_down"),
        (remove, "model_not_found"),
    ],
)
async def test_a_refusal_after_the_first_sign_is_an_error_event_and_a_proper_end(
    settings, path, happens, code, autojump_clock
):
    """D10: llama-swap puts bare JSON into the stream, which no client's library looks at."""
    async with open_house(settings=settings) as house:
        house.models.load = 20.0
        if happens is remove:  # A load in progress is finished before it is found to be of no use.
            await ask(house, body={"model": "b"})
        caller = await ask(house, path)
        await trio.sleep(3)
        house.nursery.start_soon(happens, house)
        *_, (_, error), (_, end) = await seen(caller)
        assert error_of(error)["error"]["code"] == code
        assert error is not None
        assert error.startswith(b"\n\nevent: error\ndata: ") == (path == MESSAGES)
        assert ("type" in error_of(error)) == (path == MESSAGES)
        assert end == b""
        assert not list(house.flights) or happens is remove


@both_ways
@pytest.mark.parametrize(("happens", "code"), [(unload, "model_unloaded"), (cancel, "cancelled")])
async def test_what_is_ended_while_the_model_thinks_ends_properly_too(
    settings, happens, code, autojump_clock
):
    """Nothing of the model's answer has gone out, so nothing of it is missing."""

    async def slow(asked: Asked) -> None:
        await asked.gone()

    async with open_house(settings=settings) as house:
        house.models.load = 5.0
        house.upstream.handler = slow
        caller = await ask(house)
        await trio.sleep(30)
        house.nursery.start_soon(happens, house)
        *_, (_, error), (_, end) = await seen(caller)
        assert error_of(error)["error"]["code"] == code
        assert end == b""
        assert house.upstream.asked[0].left.is_set()


async def test_what_failed_is_told_with_its_cause_in_the_event_too(autojump_clock):
    """The last words of the model are what the operator needs."""
    async with open_house("a") as house:
        house.models.load = 20.0
        house.models.broken.add(ModelId("a"))
        *_, (_, error), _ = await seen(await ask(house))
        assert error_of(error)["error"]["cause"]["last_lines"] == ["boom"]


# Leaving


@both_ways
async def test_a_client_that_leaves_while_it_is_told_to_wait_is_forgotten(
    settings, autojump_clock
):
    """S7: it costs nobody a load, and nobody goes on talking to it."""

    async def busy(asked: Asked) -> None:
        await asked.begin_events()
        await asked.gone()

    async with open_house(settings=settings) as house:
        house.upstream.handler = busy
        first = await ask(house, body={"model": "b"})
        second = await ask(house)
        await second.head()
        await second.leave()
        await wait_all_tasks_blocked()
        assert [flight.model for flight in house.flights] == ["b"]
        await first.leave()
        await trio.sleep(60)
        assert house.loads() == "b"
        assert house.upstream.asked == house.upstream.asked[:1]


async def test_a_client_that_leaves_before_the_models_head_reaches_the_model(autojump_clock):
    """Nobody reads what a long prompt will come to."""

    async def slow(asked: Asked) -> None:
        await asked.gone()

    async with open_house("a") as house:
        house.models.load = 5.0
        house.upstream.handler = slow
        caller = await ask(house)
        await trio.sleep(30)
        await caller.leave()
        await house.upstream.asked[0].left.wait()
        assert trio.current_time() == 30.0


async def test_a_client_that_reads_nothing_while_it_waits_holds_up_the_queue_for_a_while_only(
    autojump_clock,
):
    """What it is not told in time, it does not want to know."""
    async with open_house("a", "b") as house:
        house.models.load = 5.0
        house.upstream.handler = stream
        stalled = house.call(stalling=True)
        await stalled.send(CHAT, STREAM)
        await wait_all_tasks_blocked()
        assert (await (await ask(house, body={"model": "b"})).reply()).status == 200
        waited = FIRST + STALLED_READER + house.models.stop + house.models.load
        assert trio.current_time() == waited
