"""The page that says what is true: alive, degraded, or of no use."""

import pytest
from trio.testing import wait_all_tasks_blocked

from tests.house import open_house

CHAT = "/v1/chat/completions"


async def test_a_daemon_that_has_done_nothing_yet_is_fine(autojump_clock):
    """Whoever asks right after the start must not restart it for that."""
    async with open_house("a", "b") as house:
        reply = await house.get("/api/health")
        assert reply.status == 200
        assert reply.json() == {
            "status": "ok",
            "scheduler": {"alive": True, "last_event_s": pytest.approx(0, abs=0.01)},
            "models": {"a": "stopped", "b": "stopped"},
            "problems": [],
        }


async def test_a_model_that_failed_is_a_problem_and_others_are_served(autojump_clock):
    """One broken model is no reason to take the box out of service."""
    async with open_house("a", "b") as house:
        house.models.broken = set(house.engine.settings.models) - {"b"}
        assert (await house.post(CHAT, {"model": "a"})).status == 502
        assert (await house.post(CHAT, {"model": "b"})).status == 200
        reply = await house.get("/api/health")
        told = reply.json()
        assert (reply.status, told["status"]) == (200, "degraded")
        assert told["models"] == {"a": "failed", "b": "ready"}
        assert told["problems"] == ["a failed: exited with code 1"]


async def test_what_will_not_die_is_a_reason_to_send_requests_elsewhere(autojump_clock):
    """Nothing is loaded on top of it, so nothing can be served."""
    async with open_house("a", "b") as house:
        house.models.unkillable = set(house.engine.settings.models)
        await house.post(CHAT, {"model": "a"})
        assert (await house.post(CHAT, {"model": "b"})).status == 503
        reply = await house.get("/api/health")
        assert (reply.status, reply.json()["status"]) == (503, "degraded")
        assert reply.json()["problems"] == ["a will not die; nothing is loaded on top of it"]
        house.models.let_go()


async def test_a_daemon_that_stops_says_so(autojump_clock):
    """503 is what a balancer in front of several boxes looks at."""
    async with open_house("a") as house:
        house.engine.stop()
        await wait_all_tasks_blocked()
        reply = await house.get("/api/health")
        assert reply.status == 503
        assert reply.json()["problems"] == ["swapd is being stopped"]
        assert reply.json()["scheduler"]["alive"] is False
