"""Where models stand, over HTTP."""

import os
import re
from datetime import datetime
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from swapd.config.load import Loaded
from swapd.config.settings import Model, Settings
from swapd.ids import ModelId
from swapd.manage.standings import HEADINGS
from swapd.schedule.reasons import Cause
from tests import fakes, stories
from tests.fakes import FIRST_PID, Asked
from tests.house import House, open_house

CHAT = "/v1/chat/completions"
MODELS = "/api/models"
A, B = ModelId("a"), ModelId("b")

DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")

STOPPED = {
    "state": "stopped",
    "pid": None,
    "status_text": None,
    "run": None,
    "since": None,
    "requests": 0,
    "idle_unload_at": None,
    "load_s": None,
    "service_s": None,
    "rss_bytes": None,
    "gpu_bytes": None,
    "failure": None,
}


def settings(*models: Model) -> Settings:
    return attrs.evolve(stories.settings([]), models={model.id: model for model in models})


async def about(house: House, name: str = "a") -> dict[str, Any]:
    reply = await house.get(f"{MODELS}/{name}")
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    record: dict[str, Any] = reply.json()
    return record


async def silent(asked: Asked) -> None:
    """Never say a word."""
    await asked.gone()


async def later(clock: MockClock, seconds: float) -> None:
    """Let time pass; by itself it would, while a thread counts memory."""
    await wait_all_tasks_blocked()
    clock.jump(seconds)
    await wait_all_tasks_blocked()


async def test_what_a_model_says_of_itself_is_told_while_it_runs(autojump_clock):
    """Without what is a secret, as everything that it writes."""
    async with open_house("a") as house:
        house.models.words[A] = "loading, --api-key hunter2"
        await house.post(CHAT, {"model": "a"})
        said = (await about(house))["status_text"]
        assert said.startswith("loading, --api-key ")
        assert "hunter2" not in said
        await house.get("/unload")
        assert (await about(house))["status_text"] is None


async def test_a_model_is_followed_through_its_life(mock_clock):
    """Stopped, starting, ready, stopping, stopped; and what was measured stays."""
    async with open_house("a") as house:
        house.upstream.handler = silent
        assert await about(house) == {"id": "a", **STOPPED}
        caller = house.call()
        await caller.send(CHAT, {"model": "a"})
        await later(mock_clock, 0.5)
        record = await about(house)
        assert (record["state"], record["pid"], record["run"]) == ("starting", FIRST_PID, 1)
        assert DATE.fullmatch(record["since"])
        assert (record["requests"], record["load_s"]) == (0, None)
        await later(mock_clock, 0.5)
        record = await about(house)
        assert (record["state"], record["requests"], record["load_s"]) == ("ready", 1, 1.0)
        await later(mock_clock, 7)
        await caller.leave()
        house.nursery.start_soon(house.get, "/unload")
        await wait_all_tasks_blocked()
        record = await about(house)
        assert (record["state"], record["requests"], record["pid"]) == ("stopping", 0, FIRST_PID)
        await later(mock_clock, house.models.stop)
        assert await about(house) == {"id": "a", **STOPPED, "load_s": 1.0, "service_s": 7.0}


async def test_an_idle_model_says_when_it_goes(mock_clock):
    """And one that is used does not."""
    model = stories.model("a", ttl=300.0)
    async with open_house(settings=settings(model)) as house:
        house.upstream.handler = silent
        caller = house.call()
        await caller.send(CHAT, {"model": "a"})
        await later(mock_clock, house.models.load)
        assert (await about(house))["idle_unload_at"] is None
        await caller.leave()
        await later(mock_clock, 100)
        record = await about(house)
        since, until = map(datetime.fromisoformat, (record["since"], record["idle_unload_at"]))
        assert round((until - since).total_seconds()) == 300
        await later(mock_clock, 200)
        record = await about(house)
        assert (record["state"], record["idle_unload_at"]) == ("stopping", None)
        await later(mock_clock, house.models.stop)


async def test_a_model_can_be_named_by_an_alias(autojump_clock):
    """Slashes and all."""
    model = attrs.evolve(stories.model("org/a"), aliases=("nick",))
    async with open_house(settings=settings(model)) as house:
        for name in ("org/a", "org%2Fa", "nick"):
            assert (await about(house, name))["id"] == "org/a"


@pytest.mark.parametrize("name", ["ghost", "loads/a", "ghost/load"])
async def test_an_unknown_model_is_a_404(name, autojump_clock):
    """Nothing is known of it."""
    async with open_house("a") as house:
        reply = await house.get(f"{MODELS}/{name}")
        assert (reply.status, reply.code) == (404, "model_not_found")


@pytest.mark.parametrize("path", ["load/a", "unload/a", "reset/a", "unload"])
async def test_orders_are_not_asked_for_with_get(path, autojump_clock):
    """The paths of orders look like those of models; whoever mistakes the method is told so."""
    async with open_house("a") as house:
        reply = await house.get(f"{MODELS}/{path}")
        assert (reply.status, reply.code) == (405, "method_not_allowed")
        assert reply.headers["allow"] == "OPTIONS, POST"


async def test_a_model_may_be_called_like_an_order(autojump_clock):
    """What is configured is found."""
    async with open_house("load/a") as house:
        assert (await about(house, "load/a"))["id"] == "load/a"


async def test_a_model_that_failed_says_how_and_when_it_is_tried_again(autojump_clock):
    """D8: exit code, last lines, and the end of its back-off; until it is reset."""
    async with open_house("a") as house:
        house.models.broken.add(A)
        for attempts in (1, 2):
            await house.post(CHAT, {"model": "a"})
            await trio.sleep(house.models.stop)
            record = await about(house)
            failure = record["failure"]
            assert record == {"id": "a", **STOPPED, "state": "failed", "failure": failure}
            assert DATE.fullmatch(failure.pop("at"))
            assert (failure.pop("retry_at") is not None) is (attempts == 2)
            assert failure == {
                "text": "exited with code 1",
                "exit_code": 1,
                "signal": None,
                "attempts": attempts,
                "last_lines": ["boom"],
            }
        await house.get(f"{MODELS}/reset/a", method="POST")
        assert await about(house) == {"id": "a", **STOPPED}


async def test_last_lines_show_no_secrets(autojump_clock, monkeypatch):
    """A server that complains about its arguments tells them all."""
    lines = ("bad key of-its-own", "usage: --api-key of-the-model, sk-swapd-key, of-the-host")
    monkeypatch.setattr(fakes, "BROKEN", Cause("exited with code 1", last_lines=lines))
    model = attrs.evolve(stories.model("a"), env=("HF_TOKEN=of-its-own",))
    chosen = attrs.evolve(settings(model), api_keys=("sk-swapd-key",))

    async def read(before: Loaded) -> Loaded:
        return attrs.evolve(before, secrets=frozenset(["of-the-host"]))

    key = {"x-api-key": "sk-swapd-key"}
    async with open_house(settings=chosen, read=read, headers=key) as house:
        await house.get("/api/config/reload", method="POST")
        house.models.broken.add(A)
        await house.post(CHAT, {"model": "a"})
        failure = (await about(house))["failure"]
        assert failure["last_lines"] == ["bad key ***", "usage: --api-key *** ***, ***"]


async def test_what_will_not_die_has_failed(autojump_clock):
    """And its process is named, so that somebody can look at it."""
    async with open_house("a") as house:
        house.models.unkillable.add(A)
        await house.post(CHAT, {"model": "a"})
        await house.get("/unload")
        record = await about(house)
        assert (record["state"], record["pid"]) == ("failed", FIRST_PID)
        house.models.let_go()


async def test_a_removed_model_is_there_as_long_as_it_runs(autojump_clock):
    """It still takes memory."""
    async with open_house("a", "b") as house:
        house.upstream.handler = silent
        caller = house.call()
        await caller.send(CHAT, {"model": "a"})
        await trio.sleep(5)
        await house.engine.adopt(stories.settings(["b"]))
        assert (await about(house))["state"] == "ready"
        listed = (await house.get(MODELS)).json()["models"]
        assert [record["id"] for record in listed] == ["a", "b"]
        await caller.leave()
        await trio.sleep(5)
        assert (await house.get(f"{MODELS}/a")).status == 404


async def test_stopped_models_say_that_the_daemon_stops(autojump_clock):
    """They are not loaded any more, whatever comes."""
    async with open_house("a") as house:
        house.engine.stop()
        assert (await about(house))["state"] == "shutdown"


async def test_the_memory_of_the_whole_group_is_counted():
    """Here that of the tests themselves, which are no model; looking takes a real moment."""
    async with open_house("a") as house:
        house.models.load = house.models.stop = 0
        await house.post(CHAT, {"model": "a"})
        running = house.engine.ask._runs.of(A)
        assert running is not None
        running.life.spawned(os.getpgrp())
        assert (await about(house))["rss_bytes"] > 2**20


async def test_all_models_are_listed_by_id(autojump_clock):
    """Also those that `/v1/models` hides; people get a table."""
    hidden = attrs.evolve(stories.model("b"), unlisted=True)
    async with open_house(settings=settings(hidden, stories.model("a"))) as house:
        records = (await house.get(MODELS)).json()["models"]
        assert records == [{"id": "a", **STOPPED}, {"id": "b", **STOPPED}]
        house.models.broken.add(A)
        await house.post(CHAT, {"model": "a"})
        await trio.sleep(house.models.stop)
        await house.post(CHAT, {"model": "b"})
        reply = await house.get(MODELS, accept="text/plain")
        assert reply.headers["content-type"] == "text/plain; charset=utf-8"
        headings, first, second = reply.body.decode().splitlines()
        assert headings.split() == list(HEADINGS)
        assert first.split()[:4] == ["a", "failed", "-", "-"]
        assert "exited with code 1, " in first
        assert second.split()[:3] == ["b", "ready", str(FIRST_PID + 1)]
        assert second.split()[-1] == "-"
