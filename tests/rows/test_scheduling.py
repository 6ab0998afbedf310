"""Rows R050 to R068, R081 to R089, R157 to R160, and P012 to P015, P044, P045: whose turn it is.

Through a whole swapd. R060 to R062 are in `tests/proxy/test_sockets.py`; R080, R088, R089 and the
table of the matrix, which are about who must leave for whom, in `tests/schedule`.
"""

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from swapd.config.settings import Settings
from swapd.ids import ModelId
from tests import stories
from tests.fakes import Asked
from tests.house import Caller, House, open_house
from tests.shapes import Router, fifo_settings, group, matrix

CHAT = "/v1/chat/completions"
A, B, C = ModelId("a"), ModelId("b"), ModelId("c")

ALL_AT_ONCE = {"all": group("abc", swap=False)}
ALONE = {"all": group("abc")}


def patient(router: Router = ALL_AT_ONCE, **patience: float) -> Settings:
    """Make settings of fifo; models that are named are given so many seconds to end."""
    settings = fifo_settings(router, names="abc")
    models = {
        name: attrs.evolve(model, unload_timeout=patience.get(name, 10.0))
        for name, model in settings.models.items()
    }
    return attrs.evolve(settings, models=models)


async def load(house: House, names: str) -> None:
    """Have these models loaded, one after the other."""
    for name in names:
        assert (await house.post(CHAT, {"model": name})).status == 200


async def ask(house: House, name: str, *, stream: bool = False) -> Caller:
    """Send a request, and come back when it has found its place."""
    caller = house.call()
    await caller.send(CHAT, {"model": name, "stream": stream})
    await wait_all_tasks_blocked()
    return caller


async def hold(asked: Asked) -> None:
    """Answer after ten seconds."""
    await trio.sleep(10)
    await asked.answer()


async def gone_after(house: House, *, seconds: float | None) -> dict[str, float]:
    """Unload everything; say after how many seconds each model was gone."""
    began = trio.current_time()
    assert await house.engine.unload(seconds=seconds) is None
    told = house.engine.decisions.since(0)
    return {str(one.model): one.at - began for one in told if one.kind == "stopped"}


@pytest.mark.parametrize("slow", [pytest.param(60.0, id="R050")])
async def test_what_runs_is_what_is_loaded_or_on_its_way(slow, autojump_clock):
    """A model that is being loaded takes memory already."""
    async with open_house(settings=patient()) as house:
        await load(house, "a")
        house.models.load = slow
        caller = await ask(house, "b")
        running = (await house.get("/running")).json()["running"]
        assert [(one["model"], one["state"]) for one in running] == [
            ("a", "ready"),
            ("b", "starting"),
        ]
        await caller.leave()


@pytest.mark.parametrize(
    ("named", "left"),
    [pytest.param((), set(), id="R051"), pytest.param((A,), {C}, id="R052")],
)
async def test_what_is_named_is_unloaded(named, left, autojump_clock):
    """And nothing else; nothing named is everything."""
    async with open_house(settings=patient()) as house:
        await load(house, "ac")
        assert await house.engine.unload(named, seconds=1) is None
        assert house.models.running == left


@pytest.mark.parametrize(
    ("patience", "asked", "wanted"),
    [
        pytest.param({"a": 45, "c": 25}, None, {"a": 45, "c": 25}, id="R054"),
        # Theirs begins with the shortest and ends one after the other.
        pytest.param(
            {"a": 45, "b": 25, "c": 10}, None, {"c": 10, "b": 25, "a": 45}, id="R055-ours"
        ),
        pytest.param({"a": 10, "b": 10}, None, {"a": 10, "b": 10}, id="R056"),
        pytest.param({"a": 45}, 1, {"a": 1}, id="R057"),
        pytest.param({"a": 45, "b": 25, "c": 10}, 1, {"a": 1, "b": 1, "c": 1}, id="R058"),
    ],
)
async def test_each_model_is_given_its_own_time_to_end(patience, asked, wanted, autojump_clock):
    """All stops begin at once; what was asked for goes before what is configured."""
    async with open_house(settings=patient(**patience)) as house:
        await load(house, "".join(patience))
        house.models.stubborn = {*map(ModelId, patience)}
        assert await gone_after(house, seconds=asked) == wanted
        told = [str(one.model) for one in house.engine.decisions.since(0) if one.kind == "unload"]
        assert sorted(told) == sorted(patience)


async def test_r053_one_model_is_given_its_own_time(autojump_clock):
    """R053: not the longest of all, and not a common one."""
    async with open_house(settings=patient(a=45, c=25)) as house:
        await load(house, "ac")
        house.models.stubborn = {A, C}
        began = trio.current_time()
        assert (await house.get("/api/models/unload/a", method="POST")).status == 200
        assert trio.current_time() - began == 45
        assert house.models.running == {C}


async def test_r059_a_request_starts_its_model_once(autojump_clock):
    """R059: one start, one answer."""
    async with open_house(settings=patient()) as house:
        await load(house, "a")
        assert (house.loads(), len(house.upstream.asked)) == ("a", 1)


@pytest.mark.parametrize("name", [pytest.param("a", id="R063"), pytest.param("b", id="R063-b")])
@pytest.mark.parametrize("settings", [stories.settings("ab"), patient()], ids=["serial", "fifo"])
async def test_who_comes_during_a_stop_is_served_after_it(name, settings, autojump_clock):
    """Nothing is started on top of a process that goes, and nobody waits for one for ever."""
    async with open_house(settings=settings) as house:
        await load(house, "a")
        house.models.stop = 5.0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(house.engine.unload)
            await trio.sleep(1)
            assert (await house.post(CHAT, {"model": name})).status == 200
        assert house.loads() == f"a {name}"


@pytest.mark.parametrize("settings", [stories.settings("ab"), patient()], ids=["serial", "fifo"])
async def test_r064_who_leaves_takes_no_load_from_others(settings, autojump_clock):
    """R064: the second is served when the load is done that was begun for the first."""
    async with open_house(settings=settings) as house:
        house.models.load = 8.0
        first, second = await ask(house, "a"), await ask(house, "a")
        await trio.sleep(4)
        await first.leave()
        assert (await second.reply()).status == 200
        assert trio.current_time() == 8.0
        assert house.loads() == "a"


async def test_r065_an_unknown_model_is_not_found(autojump_clock):
    """R065: at once, and nothing is started."""
    async with open_house(settings=patient()) as house:
        reply = await house.post(CHAT, {"model": "ghost"})
        assert (reply.status, reply.code, house.loads()) == (404, "model_not_found", "")


@pytest.mark.parametrize("accept", ["text/event-stream", "text/html"])
async def test_r066_one_more_than_may_is_refused_before_any_line(accept, autojump_clock):
    """R066: JSON for whoever asks, in no stream, and when to come back."""
    settings = fifo_settings(ALONE, names="abc", limits={"a": 2})
    talkative = attrs.evolve(settings.models[A], send_loading_state=True)
    settings = attrs.evolve(settings, models={**settings.models, A: talkative})
    async with open_house(settings=settings) as house:
        house.upstream.handler = hold
        serving = await ask(house, "b")
        await trio.sleep(2)
        waiting = [await ask(house, "a", stream=True) for _ in range(2)]
        third = await house.post(CHAT, {"model": "a", "stream": True}, accept=accept)
        assert (third.status, third.headers["content-type"]) == (429, "application/json")
        assert third.json()["error"]["type"] == "rate_limit_error"
        assert third.code == "concurrency_limit"
        assert int(third.headers["retry-after"]) >= 1
        assert b"loading" not in third.body
        assert (await serving.reply()).status == 200
        assert [(await caller.reply()).status for caller in waiting] == [200, 200]


async def test_r067_a_stop_ends_each_model_once_and_admits_nobody(autojump_clock):
    """R067: and a second stop is the first."""
    async with open_house(settings=patient()) as house:
        await load(house, "ab")
        for _ in range(2):
            house.engine.stop()
            assert await house.engine.unload(seconds=1) is None
            reply = await house.post(CHAT, {"model": "a"})
            assert (reply.status, reply.code) == (503, "shutting_down")
        stops = [one.model for one in house.engine.decisions.since(0) if one.kind == "stopped"]
        assert sorted(map(str, stops)) == ["a", "b"]


@pytest.mark.parametrize(
    ("connection", "status"),
    [pytest.param("keep-alive, Upgrade", 409, id="R068"), ("keep-alive", 200)],
)
async def test_a_websocket_is_known_by_one_word_of_many(connection, status, autojump_clock):
    """Proxies and browsers say more than that in this header."""
    model = attrs.evolve(stories.model("a"), ignore_websockets=True)
    async with open_house(settings=stories.settings([model])) as house:
        fields = {"connection": connection, "upgrade": "websocket"}
        assert (await house.get("/upstream/a/ws", **fields)).status == status


# Groups and the matrix

SIDE_BY_SIDE = {"g": group("ab", swap=False, exclusive=False)}


@pytest.mark.parametrize(
    ("router", "running"),
    [
        pytest.param({"g": group("ab")}, {B}, id="R081"),
        pytest.param(SIDE_BY_SIDE, {A, B}, id="R082"),
        pytest.param({"g1": group("a"), "g2": group("b")}, {B}, id="R083"),
        pytest.param(
            {
                "persist": group("a", exclusive=False, persistent=True),
                "other": group("b"),
            },
            {A, B},
            id="R086",
        ),
        # Not what anybody would expect, but what configurations are written for.
        pytest.param({"g1": group("a"), "g2": group("b", exclusive=False)}, {A, B}, id="R087"),
        pytest.param(matrix({"a": "a", "b": "b"}), {B}, id="R157"),
        pytest.param(matrix({"ab": "a & b"}), {A, B}, id="R158"),
    ],
)
async def test_a_model_goes_for_another_as_configured(router, running, autojump_clock):
    """One request for each, one after the other."""
    async with open_house(settings=fifo_settings(router, names="ab")) as house:
        await load(house, "ab")
        assert house.models.running == running
        assert house.loads() == "a b"
        stops = [one.model for one in house.engine.decisions.since(0) if one.kind == "evict"]
        assert {*stops} == {A, B} - running


@pytest.mark.parametrize(
    "router",
    [
        pytest.param(
            {"g1": group("a", exclusive=False), "g2": group("b", exclusive=False)}, id="R084"
        ),
        pytest.param(matrix({"ab": "a & b"}), id="R159"),
    ],
)
async def test_models_that_get_along_are_loaded_beside_each_other(router, autojump_clock):
    """Two loads take no longer than one, and end none."""
    async with open_house(settings=fifo_settings(router, names="ab")) as house:
        callers = [await ask(house, name) for name in "ab"]
        assert [(await caller.reply()).status for caller in callers] == [200, 200]
        assert trio.current_time() == house.models.load
        assert house.models.running == {A, B}


@pytest.mark.parametrize(
    "router",
    [
        pytest.param({"g": group("ab")}, id="R085"),
        pytest.param(matrix({"a": "a", "b": "b"}), id="R160"),
    ],
)
async def test_a_load_is_not_undone_before_it_was_of_use(router, autojump_clock):
    """Who comes a moment later waits until the first has been served."""
    async with open_house(settings=fifo_settings(router, names="ab")) as house:
        house.upstream.handler = hold
        callers = [await ask(house, name) for name in "ab"]
        assert (await callers[0].reply()).status == 200
        assert trio.current_time() == house.models.load + 10
        assert (await callers[1].reply()).status == 200
        assert (house.loads(), house.models.most) == ("a b", 1)


# Idle models


def idle(ttl: float, *, scheduler: str, sockets: bool = False) -> Settings:
    """Make settings with one model that is kept for `ttl` seconds."""
    model = attrs.evolve(stories.model("a", ttl=ttl), ignore_websockets=sockets)
    if scheduler == "serial":
        return stories.settings([model])
    return attrs.evolve(fifo_settings(ALONE, names="a"), models={A: model})


SCHEDULERS = pytest.mark.parametrize("scheduler", ["serial", "fifo"])


@SCHEDULERS
@pytest.mark.parametrize(
    ("ttl", "later", "running"),
    [
        pytest.param(1, 1.4, {A}, id="P012-not-yet"),
        pytest.param(1, 1.6, set(), id="P012"),
        pytest.param(0, 100_000, {A}, id="P015"),
    ],
)
async def test_an_idle_model_goes_in_time(ttl, later, running, scheduler, autojump_clock):
    """Its `ttl` after its answer, and its stop; 0 is never."""
    async with open_house(settings=idle(ttl, scheduler=scheduler)) as house:
        await load(house, "a")
        await trio.sleep(later)
        assert house.models.running == running


@SCHEDULERS
async def test_p013_a_model_that_is_used_stays(scheduler, autojump_clock):
    """P013: every request begins its time anew."""
    async with open_house(settings=idle(1, scheduler=scheduler)) as house:
        for _ in range(150):
            await load(house, "a")
            await trio.sleep(0.9)
        assert house.loads() == "a"


@SCHEDULERS
async def test_p014_a_socket_that_does_not_count_keeps_no_model(scheduler, autojump_clock):
    """P014: its model goes, and the socket lives as long as its two ends want."""

    async def switch(asked: Asked) -> None:
        await asked.send(b"HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        await asked.gone()

    async with open_house(settings=idle(1, scheduler=scheduler, sockets=True)) as house:
        await load(house, "a")
        house.upstream.handler = switch
        caller = house.call()
        fields = {"Connection": "Upgrade", "Upgrade": "websocket"}
        await caller.send("/upstream/a/ws", headers=fields)
        assert (await caller.stream.receive_some()).startswith(b"HTTP/1.1 101")
        await trio.sleep(1.6)
        assert not house.models.running
        [socket] = [asked for asked in house.upstream.asked if asked.target == "/ws"]
        assert not socket.left.is_set()
        await caller.leave()
        await socket.left.wait()


@SCHEDULERS
async def test_p044_d16_a_model_that_nobody_used_goes_after_its_time(scheduler, autojump_clock):
    """P044-D16: it counts from when the model was ready; theirs goes after a second."""
    async with open_house(settings=idle(60, scheduler=scheduler)) as house:
        house.models.load = 30.0
        reply = await house.get("/api/models/load/a?wait=1", method="POST")
        assert (reply.status, trio.current_time()) == (200, 30.0)
        await trio.sleep(60)
        assert house.models.running == {A}
        await trio.sleep(house.models.stop + 0.1)
        assert not house.models.running


@SCHEDULERS
async def test_p045_a_long_answer_is_finished(scheduler, autojump_clock):
    """P045: and the time counts from its end."""
    async with open_house(settings=idle(1, scheduler=scheduler)) as house:
        house.upstream.handler = hold
        await load(house, "a")
        assert trio.current_time() == 11
        await trio.sleep(0.9)
        assert house.models.running == {A}
        await trio.sleep(0.7)
        assert not house.models.running
