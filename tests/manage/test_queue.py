"""The queue over HTTP: who waits for what, ending that, and what one more would lead to."""

import json
from collections.abc import Mapping
from typing import Any

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from swapd.config.kinds import SchedulerKind
from swapd.config.settings import Origin, Peer, Settings
from swapd.ids import ModelId
from swapd.manage.entries import HEADINGS
from swapd.manage.queue import LONGEST_WAIT
from tests import stories
from tests.fakes import Asked
from tests.house import Caller, House, Reply, open_house

CHAT = "/v1/chat/completions"
QUEUE = "/api/queue"
A = ModelId("a")
# What a flight is opened with, by whoever needs no relay for it.
ASIDE: Mapping[str, Any] = {
    "method": "GET",
    "path": "/upstream/a/ws",
    "client": "10.0.0.8",
    "model": "a",
}

NONE = {"kind": "none", "text": "none"}


def settings(*, fifo: bool = False, max_queue: int = 1000) -> Settings:
    """Make a world with an alias and a peer."""
    a = attrs.evolve(stories.model("a"), aliases=("short",))
    return attrs.evolve(
        stories.settings([a, "b"], max_queue=max_queue),
        peers={"far": Peer("far", Origin("http", "10.0.0.9", 80), ("remote",))},
        scheduler=SchedulerKind.FIFO if fifo else SchedulerKind.SERIAL,
    )


@pytest.fixture(params=[False, True], ids=["serial", "fifo"])
def both(request) -> Settings:
    return settings(fifo=request.param)


async def asking(house: House, model: str = "a") -> tuple[Caller, str]:
    """Begin a request; answer with its client, and with its name."""
    caller = house.call()
    await caller.send(CHAT, {"model": model})
    await wait_all_tasks_blocked()
    return caller, list(house.flights)[-1].id


async def silent(asked: Asked) -> None:
    """Never say a word."""
    await asked.gone()


async def slow(asked: Asked) -> None:
    """Answer after ten seconds."""
    await trio.sleep(10)
    await asked.answer()


async def queue(house: House) -> list[dict[str, Any]]:
    reply = await house.get(QUEUE)
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    entries: list[dict[str, Any]] = reply.json()["requests"]
    return entries


async def delete(house: House, name: str) -> Reply:
    return await house.get(f"{QUEUE}/{name}", method="DELETE")


# All of it


async def test_a_request_is_followed_through_a_swap(autojump_clock):
    """Drain, stop, load and grant: each says what it waits for, and since when."""
    async with open_house(settings=settings()) as house:
        assert await queue(house) == []
        house.upstream.handler = slow
        _, first = await asking(house)
        assert await queue(house) == [
            {
                "id": first,
                "model": "a",
                "client": "10.0.0.7",
                "age_s": 0.0,
                "position": 1,
                "phase": "loading",
                "reason": {
                    "kind": "loading",
                    "model": "a",
                    "elapsed_s": 0.0,
                    "expected_s": None,
                    "text": "loading a: 0 s",
                },
                "eta_s": None,
            }
        ]
        await trio.sleep(3)
        _, second = await asking(house, "b")
        await asking(house, "b")
        await trio.sleep(2)
        served, waiting, behind = await queue(house)
        assert served == {
            "id": first,
            "model": "a",
            "client": "10.0.0.7",
            "age_s": 5.0,
            "position": 0,
            "phase": "granted",
            "reason": NONE,
            "eta_s": 0.0,
        }
        assert waiting["reason"] == {
            "kind": "draining",
            "model": "a",
            "in_flight": 1,
            "oldest_s": 4.0,
            "text": "draining a: 1 in flight, oldest 4 s",
        }
        assert (waiting["id"], waiting["age_s"], waiting["position"]) == (second, 2.0, 1)
        assert (behind["position"], behind["phase"]) == (2, "waiting")
        assert behind["reason"] == {"kind": "behind", "requests": 2, "text": "behind 2 requests"}
        await trio.sleep(6.2)
        assert (await queue(house))[0]["reason"]["kind"] == "stopping"
        await trio.sleep(0.5)
        assert (await queue(house))[0]["phase"] == "loading"


async def test_a_turn_of_another_model_has_an_end(autojump_clock):
    """Under fifo, whoever waits sees when the others will be held back for it."""
    async with open_house(settings=settings(fifo=True)) as house:
        house.upstream.handler = silent
        await asking(house)
        await trio.sleep(3)
        await asking(house, "b")
        await trio.sleep(5)
        _, waiting = await queue(house)
        assert waiting["reason"] == {
            "kind": "turn",
            "model": "a",
            "ends_in_s": 25.0,
            "in_flight": 1,
            "text": "turn of a: 1 in flight, ends in 25 s at most",
        }


async def test_what_was_measured_is_foreseen(both, autojump_clock):
    """A load of a second was seen; so the next one takes a second."""
    async with open_house(settings=both) as house:
        await house.post(CHAT, {"model": "a"})
        await house.get("/unload")
        await asking(house)
        await trio.sleep(0.25)
        [entry] = await queue(house)
        assert entry["eta_s"] == 0.75
        assert entry["reason"]["expected_s"] == 1.0


async def test_a_load_without_a_request_stands_there_too(autojump_clock):
    """It holds its place like any; there is no client to name."""
    async with open_house("a") as house:
        name = (await house.get("/api/models/load/a", method="POST")).json()["id"]
        [entry] = await queue(house)
        assert (entry["id"], entry["client"]) == (name, None)


@pytest.mark.parametrize("fifo", [False, True], ids=["serial", "fifo"])
async def test_a_long_queue_is_told_whole_and_in_order(fifo, autojump_clock):
    """However long: nobody is left out, and nobody is told twice."""
    count = 2003
    async with open_house(settings=settings(fifo=fifo, max_queue=count)) as house:
        house.models.load = 1000
        for _ in range(count):
            house.nursery.start_soon(_wait_for_a, house)
        await wait_all_tasks_blocked()
        entries = await queue(house)
        assert [entry["position"] for entry in entries] == list(range(1, count + 1))
        assert len({entry["id"] for entry in entries}) == count
        table = (await house.get(QUEUE, accept="text/plain")).body.decode().splitlines()
        assert len(table) == count + 1
        house.nursery.cancel_scope.cancel()


async def _wait_for_a(house: House) -> None:
    with house.engine.turn(A, revoke=lambda reason: None, name=house.flights.next_id()) as turn:
        await turn.granted()


async def test_the_table_has_a_row_for_each(autojump_clock):
    """Under its headings; and an empty queue is said to be one."""
    async with open_house("a") as house:
        empty = await house.get(QUEUE, accept="text/plain")
        assert empty.body == b"the queue is empty\n"
        _, name = await asking(house)
        reply = await house.get(QUEUE, accept="text/plain")
        headings, row = reply.body.decode().splitlines()
        assert headings.split() == list(HEADINGS)
        assert row.split(maxsplit=8) == [
            *(name, "a", "10.0.0.7", "0.0", "s", "1", "loading", "-", "loading a: 0 s")
        ]
        assert headings.index("REASON") == row.index("loading a")


# One of them


async def test_one_is_told_as_in_the_list(both, autojump_clock):
    """Whoever knows its own id need not read ten thousand others."""
    async with open_house(settings=both) as house:
        house.upstream.handler = silent
        await asking(house)
        _, name = await asking(house, "b")
        reply = await house.get(f"{QUEUE}/{name}")
        assert reply.json() == (await queue(house))[1]
        assert (reply.status, reply.headers["content-type"]) == (200, "application/json")


async def test_what_waits_for_no_turn_is_not_in_the_queue(autojump_clock):
    """A peer's request, one that goes past the queue, and one that is over, or never was."""
    async with open_house(settings=settings()) as house:
        house.upstream.handler = silent
        _, far = await asking(house, "remote")
        done = (await house.get("/api/models/load/a", method="POST")).json()["id"]
        await trio.sleep(5)
        with house.flights.open("r-0", **ASIDE):
            for name in (far, done, "r-0", "ghost", "a/b", ""):
                for method in ("GET", "DELETE"):
                    reply = await house.get(f"{QUEUE}/{name}", method=method)
                    assert (reply.status, reply.code) == (404, "not_found")
        assert [flight.id for flight in house.flights] == [far]
        assert await queue(house) == []


async def test_waiting_for_the_grant_answers_with_it(both, autojump_clock):
    """So a client knows when its stream will begin, without asking all the time."""
    async with open_house(settings=both) as house:
        house.upstream.handler = silent
        _, name = await asking(house)
        reply = await house.get(f"{QUEUE}/{name}?wait=granted")
        assert trio.current_time() == house.models.load
        assert (reply.json()["phase"], reply.json()["position"]) == ("granted", 0)
        again = await house.get(f"{QUEUE}/{name}?wait=granted")
        assert again.json() == reply.json()


async def test_waiting_for_what_takes_long_answers_with_how_it_stands(autojump_clock):
    """Proxies in between cut what is silent for longer than a minute."""
    async with open_house("a") as house:
        house.models.load = 1000
        _, name = await asking(house)
        reply = await house.get(f"{QUEUE}/{name}?wait=granted")
        assert trio.current_time() == LONGEST_WAIT
        assert (reply.json()["phase"], reply.json()["age_s"]) == ("loading", LONGEST_WAIT)


@pytest.mark.parametrize("how", ["leave", "cancel", "unload"])
async def test_waiting_for_what_will_not_come_ends(how, autojump_clock):
    """With 404, as soon as it is over."""
    async with open_house("a") as house:
        house.models.load = 1000
        caller, name = await asking(house)
        watcher = house.call()
        await watcher.send(f"{QUEUE}/{name}?wait=granted")
        await trio.sleep(5)
        if how == "leave":
            await caller.leave()
        elif how == "cancel":
            await delete(house, name)
        else:
            house.nursery.start_soon(house.get, "/unload")
        reply = await watcher.reply()
        assert (reply.status, reply.code, trio.current_time()) == (404, "not_found", 5.0)


@pytest.mark.parametrize("query", ["?wait=1", "?wait=", "?wait=ready", "?wait=granted&x=1", "?x"])
async def test_only_the_grant_can_be_waited_for(query, autojump_clock):
    """An answer at once would be taken for the grant."""
    async with open_house("a") as house:
        _, name = await asking(house)
        reply = await house.get(f"{QUEUE}/{name}{query}")
        assert (reply.status, reply.code) == (400, "invalid_request")
        assert "wait=granted" in reply.json()["error"]["message"]


# Cancelling


async def test_a_cancelled_request_is_told_so_and_is_gone_at_once(both, autojump_clock):
    """D9: its client gets 503; nobody finds it any more, and the rest moves up."""
    async with open_house(settings=both) as house:
        house.upstream.handler = silent
        await asking(house)
        await trio.sleep(5)
        second, name = await asking(house, "b")
        _, third = await asking(house, "b")
        reply = await delete(house, name)
        assert (reply.status, reply.json()) == (200, {"msg": "ok"})
        assert (await house.get(f"{QUEUE}/{name}")).status == 404
        assert (await delete(house, name)).status == 404
        refused = await second.reply()
        assert (refused.status, refused.code) == (503, "cancelled")
        entries = await queue(house)
        assert [(entry["id"], entry["position"]) for entry in entries[1:]] == [(third, 1)]


async def test_a_request_that_is_slow_to_end_is_not_there_any_more(autojump_clock):
    """It may hold its model for a moment; but it can be cancelled only once."""
    async with open_house("a") as house:
        with (
            house.flights.open("r-0", **ASIDE) as flight,
            house.engine.turn(A, revoke=flight.end, name="r-0") as turn,
            trio.CancelScope(shield=True),  # bounded by the test's own end
        ):
            await turn.granted()
            assert [entry["id"] for entry in await queue(house)] == ["r-0"]
            assert (await delete(house, "r-0")).status == 200
            for path, method in (
                (f"{QUEUE}/r-0", "GET"),
                (f"{QUEUE}/r-0", "DELETE"),
                ("/api/inflight/r-0/cancel", "POST"),
            ):
                reply = await house.get(path, method=method)
                assert (reply.status, reply.code) == (404, "not_found")
            assert await queue(house) == []


# Plans


async def plan(house: House, body: Any) -> Reply:
    return await house.post(
        "/api/plan", body if isinstance(body, bytes) else json.dumps(body).encode()
    )


async def test_a_plan_says_what_would_happen_and_nothing_does(both, autojump_clock):
    """For people before they ask, and for whoever chooses among models."""
    async with open_house(settings=both) as house:
        nothing = {"wait_s": None, "bound_s": None, "refused": None}
        reply = await plan(house, {"model": "short"})
        told = reply.json()
        assert (reply.status, told.pop("reason")["kind"]) == (200, "loading")
        assert told == {"model": "a", "evict": [], "start": "a", "position": 1, **nothing}
        assert (house.loads(), await queue(house)) == ("", [])
        await house.post(CHAT, {"model": "a"})
        told = (await plan(house, {"model": "b"})).json()
        assert (told["evict"], told["start"], told["reason"]["kind"]) == (["a"], "b", "stopping")
        told = (await plan(house, {"model": "a"})).json()
        assert (told["evict"], told["start"], told["position"]) == ([], None, 0)
        assert (told["reason"], told["wait_s"]) == (NONE, 0.0)
        assert house.loads() == "a"


async def test_a_plan_in_a_back_off_says_until_when(both, autojump_clock):
    """And what such a request would be told."""
    async with open_house(settings=both) as house:
        house.models.broken.add(A)
        for _ in range(2):
            await house.post(CHAT, {"model": "a"})
            await trio.sleep(house.models.stop)
        told = (await plan(house, {"model": "a"})).json()
        assert told["reason"]["kind"] == "back_off"
        assert told["reason"]["until"].endswith("Z")
        assert told["refused"]["code"] == "back_off"
        assert "failed to load several times" in told["refused"]["message"]
        assert (told["start"], told["evict"], told["wait_s"]) == (None, [], None)


async def test_a_plan_for_a_full_queue_says_so(autojump_clock):
    """A refusal that has nothing to do with the model waits for nothing."""
    async with open_house(settings=settings(max_queue=1)) as house:
        house.upstream.handler = silent
        await asking(house)
        await trio.sleep(5)
        await asking(house)
        told = (await plan(house, {"model": "b"})).json()
        assert (told["reason"], told["refused"]["code"]) == (NONE, "queue_full")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"model": "ghost"}, 404, "model_not_found"),
        ({"model": ""}, 404, "model_not_found"),
        ({"model": "remote"}, 404, "model_not_found"),
        ({}, 400, "invalid_request"),
        ({"model": None}, 400, "invalid_request"),
        ({"model": 7}, 400, "invalid_request"),
        (["a"], 400, "invalid_request"),
        (b"", 400, "invalid_request"),
        (b"{", 400, "invalid_request"),
        (b"\xff", 400, "invalid_request"),
        (b"[" * 100_000, 400, "invalid_request"),
        (b"x" * 1_100_000, 413, "body_too_large"),
    ],
)
async def test_a_plan_for_nothing_is_refused(body, status, code, autojump_clock):
    """With what is wrong about it."""
    async with open_house(settings=settings()) as house:
        reply = await plan(house, body)
        assert (reply.status, reply.code) == (status, code)


async def test_a_plan_for_what_runs_elsewhere_says_so(autojump_clock):
    """It is in the list of models, so "not found" would be a riddle."""
    async with open_house(settings=settings()) as house:
        reply = await plan(house, {"model": "far/remote"})
        assert (reply.status, reply.code) == (404, "model_not_found")
        assert "runs here" in reply.body.decode()
