"""Rows E1 to E14 and R280 to R283: how a refusal is written. Our codes say more than theirs."""

import json

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from swapd import refusals
from swapd.config.load import Loaded
from swapd.envelope import Reader, Refusal
from swapd.schedule.reasons import QueueFull
from tests import stories
from tests.house import open_house

CHAT = "/v1/chat/completions"
GHOST = 'model "ghost" not found; GET /v1/models lists those there are'

BOTH_PLANES = pytest.mark.parametrize(
    "path",
    [
        pytest.param(CHAT, id="data-plane"),
        pytest.param("/api/models/unload/ghost", id="control-plane"),
    ],
)


@pytest.mark.parametrize(
    ("accept", "kind", "body"),
    [
        pytest.param("text/plain", "text/plain", f"swapd: {GHOST}", id="E3"),
        pytest.param(
            "text/html,application/xhtml+xml,*/*;q=0.8",
            "text/html",
            "<html><body><h1>swapd</h1><p>"
            "model &#34;ghost&#34; not found; GET /v1/models lists those there are"
            "</p></body></html>",
            id="E4",
        ),
        pytest.param("text/html, text/plain", "text/plain", f"swapd: {GHOST}", id="E14"),
    ],
)
@BOTH_PLANES
async def test_people_get_to_read_text(path, accept, kind, body, autojump_clock):
    """A browser that shows JSON is a puzzle to whoever only clicked a link."""
    async with open_house("a") as house:
        reply = await house.post(path, {"model": "ghost"}, accept=accept)
        assert (reply.status, reply.headers["content-type"]) == (404, kind)
        assert reply.body.decode() == body


@pytest.mark.parametrize("headers", [{}, {"accept": "*/*"}], ids=["E1-R281-ours", "E1-ours-any"])
@BOTH_PLANES
async def test_everybody_else_reads_openais_envelope(path, headers, autojump_clock):
    """E1 and R281; the code is `model_not_found`, where theirs is `not_found` for everything."""
    async with open_house("a") as house:
        reply = await house.post(path, {"model": "ghost"}, **headers)
        assert (reply.status, reply.headers["content-type"]) == (404, "application/json")
        assert reply.json() == {
            "src": "swapd",
            "error": {
                "message": GHOST,
                "type": "invalid_request_error",
                "param": None,
                "code": "model_not_found",
            },
        }


def test_e2_the_message_is_kept():
    """E2: the sentence is all that a person gets."""
    refusal = Refusal(400, "invalid_request", "could not read request body")
    assert ("Content-Type", "application/json") in refusal.headers()
    error = json.loads(refusal.body())["error"]
    assert error["message"] == "could not read request body"
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        pytest.param(status, kind, id=f"E5-R280-{status}")
        for kind, statuses in (
            ("invalid_request_error", (400, 404, 405, 408, 409, 413, 418, 422, 499)),
            ("authentication_error", (401, 403)),
            ("rate_limit_error", (429,)),
            ("server_error", (500, 502, 503, 504, 505, 507)),
        )
        for status in statuses
    ],
)
def test_the_type_follows_the_status(status, kind):
    """Clients retry by it."""
    assert Refusal(status, "x", "y").envelope()["error"]["type"] == kind


def test_e6_r282_the_type_is_the_status_whatever_the_code():
    """E6, R282: a code may be as fine as it likes."""
    error = Refusal(429, "custom", "y").envelope()["error"]
    assert (error["code"], error["type"]) == ("custom", "rate_limit_error")


def test_e7_ours_there_is_no_message_that_cannot_be_written():
    """E7: what llama-swap has a fixed body for does not happen here."""
    for text in ("\ud800", "\x00\x1b\x7f", "\u2028", "x" * 1_000_000):
        error = json.loads(Refusal(500, "internal_error", text).body())["error"]
        assert (error["message"], error["type"]) == (text, "server_error")


async def test_e8_r283_d12_a_full_queue_says_when_to_come_back(autojump_clock):
    """E8, R283: the seconds are computed, and so differ from turn to turn."""
    settings = stories.settings(["a"], max_queue=1)
    async with open_house(settings=settings) as house, trio.open_nursery() as nursery:
        house.models.load = 20.0
        await house.post(CHAT, {"model": "a"})
        house.models.load = 1.0
        await house.engine.unload()
        for _ in range(2):
            nursery.start_soon(house.post, CHAT, {"model": "a"})
            await wait_all_tasks_blocked()
        reply = await house.post(CHAT, {"model": "a"})
        assert (reply.status, reply.code) == (429, "queue_full")
        assert reply.json()["error"]["type"] == "rate_limit_error"
        # One turn of twenty seconds, with the weight of a fifth, beside the second of the start.
        assert reply.headers["retry-after"] == "5"


def test_e9_r283_seconds_and_message_are_those_given():
    """E9, R283: the renderer adds nothing of its own."""
    refusal = Refusal(429, "queue_full", "slow down", retry_after=30)
    assert ("Retry-After", "30") in refusal.headers()
    assert refusal.envelope()["error"]["message"] == "slow down"


@pytest.mark.parametrize("accept", ["text/html", "text/plain"], ids=["E10", "E10-plain"])
def test_too_many_requests_is_for_programs(accept):
    """E10: whoever is told to slow down is one, whatever it says it reads."""
    refusal = refusals.of_reason(QueueFull(1))
    assert ("Content-Type", "application/json") in refusal.headers(Reader(accept))
    assert json.loads(refusal.body(Reader(accept)))["error"]["code"] == "queue_full"


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        pytest.param(CHAT, {}, "no model id could be identified", id="E11-no-model"),
        pytest.param(CHAT, {"model": "nope/m"}, '"nope/m" not found', id="E11-no-peer"),
        pytest.param("/upstream/ghost/x", {}, "model not found", id="E11-no-router"),
        pytest.param("/comfyui/", {}, "comfyui_auto not found", id="E11-no-local"),
    ],
)
async def test_what_nobody_serves_is_a_404(path, body, says, autojump_clock):
    """Whoever would have had to serve it; what is there can be listed."""
    async with open_house("a") as house:
        reply = await house.post(path, body)
        assert (reply.status, reply.code) == (404, "model_not_found")
        assert says in reply.json()["error"]["message"]
        assert reply.json()["error"]["type"] == "invalid_request_error"


async def test_e12_ours_a_bug_of_ours_is_in_the_log_and_not_in_the_answer(autojump_clock, caplog):
    """E12: a client can do nothing with it, and should know nothing of our insides."""

    async def read(before: Loaded) -> Loaded:
        raise ValueError("boom")

    async with open_house("a", read=read) as house:
        reply = await house.get("/api/config/reload", method="POST")
        assert (reply.status, reply.code) == (500, "internal_error")
        assert reply.json()["error"]["type"] == "server_error"
        assert b"boom" not in reply.body
    assert "boom" in caplog.text


async def test_e13_a_page_shows_a_name_and_does_not_run_it(autojump_clock):
    """E13: what a client calls a model comes back in the page."""
    async with open_house("a") as house:
        reply = await house.post(CHAT, {"model": "<b>"}, accept="text/html")
        assert b"&lt;b&gt;" in reply.body
        assert b"<b>" not in reply.body
