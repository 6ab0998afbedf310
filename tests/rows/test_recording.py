"""Rows M1 to M15, P19 to P23, Q12, S10, S11, R2, G6 to G8: what is recorded of which requests.

From client to record: relay, tap and recorder are real, and only the model is pretended.
"""

import gzip
import json
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

import attrs
import pytest
import trio

from swapd.config.kinds import SchedulerKind
from swapd.config.settings import Settings
from swapd.watch.activity import Query
from tests import stories
from tests.config.rows.loading import loaded
from tests.fakes import Asked
from tests.house import House, open_house

CHAT = "/v1/chat/completions"

USAGE = b'{"usage":{"prompt_tokens":1,"completion_tokens":2}}'
JSON = b"Content-Type: application/json\r\n"

WORLD = """
models:
  a: {M, filters: {setParamsByID: {variant: {thinking: true}}}}
selectors:
  public: {strategy: pin, targets: [variant]}
profiles:
  coding: {pins: {llm-code: public, real: a}}
peers:
  remote: {proxy: 'http://strix.example:8090', models: [far]}
routing: {scheduler: {use: fifo, settings: {fifo: {priority: {a: 7}}}}}
"""


async def rows(house: House) -> list[dict[str, Any]]:
    """List what was recorded, oldest first."""
    reply = await house.get("/api/metrics/activity?order=asc&limit=100")
    assert reply.status == 200, reply.body
    found: list[dict[str, Any]] = reply.json()["data"]
    return found


async def captured(house: House, number: int) -> dict[str, Any] | None:
    """Answer with what was captured of a request, if anything was."""
    reply = await house.get(f"/api/captures/{number}")
    return dict(reply.json()) if reply.status == 200 else None


def answers(house: House, body: bytes, *, status: int = 200, extra: bytes = JSON) -> None:
    """Have the model answer everything like this."""

    async def handler(asked: Asked) -> None:
        await asked.answer(body, status=status, extra=extra)

    house.upstream.handler = handler


def without_captures(settings: Settings) -> Settings:
    return attrs.evolve(settings, capture_buffer=0)


async def test_r2_m12_a_request_has_one_row_with_everything(autojump_clock):
    """M12, R002: one row, complete, and nothing in flight afterwards."""
    async with open_house(settings=loaded(WORLD).settings) as house:
        answers(house, USAGE)
        reply = await house.post(CHAT, {"model": "a"})
        [row] = await rows(house)
        assert row["tokens"]["input_tokens"] == 1
        assert row["tokens"]["output_tokens"] == 2
        assert (row["model"], row["req_path"]) == ("a", CHAT)
        assert (row["resp_status_code"], row["resp_content_type"]) == (200, "application/json")
        assert row["metadata"] == {"fifo_priority": "7"}
        assert (row["request"], row["outcome"]) == (reply.headers["x-swapd-request"], "ok")
        assert row["load_s"] == pytest.approx(1.0, abs=0.01)
        assert row["resp_bytes"] == len(USAGE)
        assert row["has_capture"]
        assert "error_msg" not in row
        assert not list(house.flights)


async def test_m1_metadata_comes_with_the_row_and_captures_can_be_off(autojump_clock):
    """M1: what the way through swapd added is told, and nothing is kept against the will."""
    async with open_house(settings=without_captures(loaded(WORLD).settings)) as house:
        answers(house, USAGE)
        await house.post(CHAT, {"model": "public"})
        [row] = await rows(house)
        assert row["metadata"] == {"fifo_priority": "7", "selector": "public"}
        assert row["has_capture"] is False
        assert await captured(house, row["id"]) is None


@pytest.mark.parametrize(
    ("row_id", "status", "body", "said"),
    [
        ("M2", 502, b'{"error":{"message":"model unavailable"}}', "model unavailable"),
        ("M3", 502, b"<html>upstream down</html>", "502 Bad Gateway"),
        ("M11", 499, b"", "HTTP 499"),
        ("E10", 404, b'{"detail":[{"msg":"x"}]}', "404 Not Found"),
    ],
)
async def test_what_a_model_refuses_is_told_and_captured(
    row_id, status, body, said, autojump_clock
):
    """M2, M3, M11: the reason stands in the row, and the request can be looked at."""
    async with open_house("a") as house:
        answers(house, body, status=status)
        await house.post(CHAT, {"model": "a"})
        [row] = await rows(house)
        assert (row["resp_status_code"], row["error_msg"]) == (status, said)
        assert row["outcome"] == "upstream_error"
        capture = await captured(house, row["id"])
        assert capture is not None
        assert capture["req_body"]
        assert capture["resp_headers"]["Content-Type"] == "application/json"
        assert capture["resp_body"] is None


async def test_m4_without_captures_a_failure_is_a_row_all_the_same(autojump_clock):
    """M4."""
    async with open_house(settings=without_captures(stories.settings(["a"]))) as house:
        answers(house, b'{"error":"boom"}', status=500)
        await house.post(CHAT, {"model": "a"})
        [row] = await rows(house)
        assert (row["error_msg"], row["has_capture"]) == ("boom", False)


async def test_m5_what_cannot_be_unpacked_is_said_and_not_captured(autojump_clock):
    """M5: the client got its bytes; only the numbers are missing, with the reason."""
    async with open_house("a") as house:
        answers(house, b"not-really-gzip", extra=JSON + b"Content-Encoding: gzip\r\n")
        reply = await house.post(CHAT, {"model": "a"})
        assert reply.body == b"not-really-gzip"
        [row] = await rows(house)
        assert row["error_msg"].startswith("response decompression failed: gzip: invalid header")
        assert (row["outcome"], row["has_capture"]) == ("ok", False)


async def test_a_compressed_answer_is_counted_and_left_as_it_is(autojump_clock):
    """D25, D36: the client gets the model's bytes, and the record what they say."""
    async with open_house("a") as house:
        packed = gzip.compress(USAGE)
        answers(house, packed, extra=JSON + b"Content-Encoding: gzip\r\n")
        reply = await house.post(CHAT, {"model": "a"})
        assert reply.body == packed
        [row] = await rows(house)
        assert row["tokens"]["output_tokens"] == 2
        capture = await captured(house, row["id"])
        assert capture is not None
        assert "Content-Encoding" not in capture["resp_headers"]


async def test_m7_speech_is_not_captured_but_its_headers_are(autojump_clock):
    """M7: nobody looks at bytes of sound."""
    async with open_house("a") as house:
        answers(house, b"\0\1\2", extra=b"Content-Type: audio/mpeg\r\n")
        await house.post("/upstream/a/v1/audio/speech", {"model": "x"})
        [row] = await rows(house)
        assert row["req_path"] == "/v1/audio/speech"
        capture = await captured(house, row["id"])
        assert capture is not None
        assert capture["resp_headers"]["Content-Type"] == "audio/mpeg"
        assert capture["resp_body"] is None


async def test_m8_an_empty_answer_is_a_row_of_zeros(autojump_clock):
    """M8."""
    async with open_house("a") as house:
        answers(house, b"")
        await house.post(CHAT, {"model": "a"})
        [row] = await rows(house)
        assert set(row["tokens"].values()) == {0}
        assert not row["has_capture"]


@pytest.mark.parametrize(
    ("status", "body", "tokens"),
    [pytest.param(201, USAGE, 2, id="M9-D23"), pytest.param(204, b"", 0, id="M10-D23")],
)
async def test_every_success_is_one(status, body, tokens, autojump_clock):
    """D23: 201 and 204 are no failures."""
    async with open_house("a") as house:

        async def handler(asked: Asked) -> None:
            if status == 204:
                await asked.send(b"HTTP/1.1 204 X\r\n\r\n")
            else:
                await asked.answer(body, status=status, extra=JSON)

        house.upstream.handler = handler
        await house.post(CHAT, {"model": "a"})
        [row] = await rows(house)
        assert (row["resp_status_code"], row["outcome"]) == (status, "ok")
        assert "error_msg" not in row
        assert row["tokens"]["output_tokens"] == tokens


async def test_m13_a_model_that_nobody_has_is_recorded_by_the_name_that_was_asked(
    autojump_clock,
):
    """M13: a typo in a client's settings shows in the table."""
    async with open_house("a") as house:
        await house.post(CHAT, {"model": "ghost"})
        [row] = await rows(house)
        assert (row["model"], row["resp_status_code"]) == ("ghost", 404)
        assert row["outcome"] == "model_not_found"
        assert "ghost" in row["error_msg"]
        assert "metadata" not in row


@pytest.mark.parametrize("body", [b"{}", b"{", b""])
async def test_m14_without_a_model_there_is_no_row(body, autojump_clock):
    """M14: whose row would it be."""
    async with open_house("a") as house:
        assert (await house.post(CHAT, body)).status in (400, 404)
        assert await rows(house) == []


async def test_m15_who_is_turned_away_has_a_row(autojump_clock):
    """M15: 429, as the client was told."""
    settings = attrs.evolve(stories.settings(["a"]), scheduler=SchedulerKind.FIFO)
    limited = {own: attrs.evolve(one, concurrency_limit=1) for own, one in settings.models.items()}
    async with open_house(settings=attrs.evolve(settings, models=limited)) as house:

        async def handler(asked: Asked) -> None:
            await trio.sleep(5)
            await asked.answer(USAGE)

        house.upstream.handler = handler
        first = house.call()
        await first.send(CHAT, {"model": "a"})
        await trio.sleep(2)
        assert (await house.post(CHAT, {"model": "a"})).status == 429
        await first.reply()
        row = next(row for row in await rows(house) if row["resp_status_code"] == 429)
        assert row["outcome"] == "concurrency_limit"
        assert "fifo_priority" not in row.get("metadata", {})


async def test_without_a_key_there_is_no_row(autojump_clock):
    """Strangers leave no trace in the table; they could fill it."""
    settings = attrs.evolve(stories.settings(["a"]), api_keys=("sk-a",))
    async with open_house(settings=settings) as house:
        assert (await house.post(CHAT, {"model": "a"})).status == 401
        page = await house.watching.recorder.page(Query())
        assert page.total == 0


@pytest.mark.parametrize(
    ("row_id", "method", "path", "expected"),
    [
        ("P19", "POST", f"/upstream/a{CHAT}", CHAT),
        ("P20", "POST", "/upstream/a/probe", None),
        ("P21", "GET", f"/upstream/a{CHAT}", None),
        ("R-GET", "GET", "/props?model=a", None),
        ("props", "POST", "/upstream/a/props", "/props"),
        ("versionless", "POST", "/v/chat/completions", "/chat/completions"),
    ],
)
async def test_only_inference_that_is_posted_is_recorded(
    row_id, method, path, expected, autojump_clock
):
    """P19 to P21: pages of a model's own server are nobody's inference."""
    async with open_house("a") as house:
        answers(house, USAGE)
        caller = house.call()
        await caller.send(path, {"model": "a"} if method == "POST" else None, method=method)
        assert (await caller.reply()).status == 200
        assert [row["req_path"] for row in await rows(house)] == ([expected] if expected else [])


async def test_p20_p22_only_inference_is_shown_in_flight(autojump_clock):
    """P20, P22: a page of the model's own server is not among the requests."""
    async with open_house("a") as house:
        seen: list[tuple[str, bool]] = []

        async def handler(asked: Asked) -> None:
            [flight] = house.flights
            assert flight.trace is not None
            seen.append((flight.trace.route, flight.trace.shown))
            await asked.answer()

        house.upstream.handler = handler
        await house.get("/upstream/a/props")
        await house.post("/upstream/a/probe", {})
        assert seen == [("/props", True), ("/probe", False)]


@pytest.mark.parametrize(
    ("row_id", "path", "asked"),
    [
        ("Q12", f"/upstream/real{CHAT}", "real"),
        ("S10", CHAT, "public"),
        ("S11", CHAT, "llm-code"),
    ],
)
async def test_the_row_names_what_served_it(row_id, path, asked, autojump_clock):
    """Q12, S10, S11: through profile and selector to the model."""
    async with open_house(settings=loaded(WORLD).settings) as house:
        answers(house, USAGE)
        await house_uses(house, "coding")
        await house.post(path, {"model": asked})
        [row] = await rows(house)
        assert row["model"] == "a"
        through = row["metadata"].get("selector")
        assert through == (None if row_id == "Q12" else "public")


async def house_uses(house: House, profile: str) -> None:
    """Switch a profile on."""
    caller = house.call()
    await caller.send("/api/profiles/active", {"name": profile}, method="PUT")
    assert (await caller.reply()).status == 200


async def test_a_peers_request_is_recorded_by_the_peers_name(autojump_clock):
    """It was served, though not here."""
    async with open_house(settings=loaded(WORLD).settings) as house:
        answers(house, USAGE)
        await house.post(CHAT, {"model": "remote/far"})
        [row] = await rows(house)
        assert (row["model"], row["tokens"]["input_tokens"]) == ("remote/far", 1)
        assert "fifo_priority" not in row.get("metadata", {})


async def test_who_hangs_up_is_recorded_as_gone(autojump_clock):
    """A client's impatience must not look like a model's failure."""
    async with open_house("a") as house:

        async def handler(asked: Asked) -> None:
            await asked.begin_events()
            await asked.chunk(b"data: {}\n\n")
            await asked.gone()

        house.upstream.handler = handler
        caller = house.call()
        await caller.send(CHAT, {"model": "a", "stream": True})
        await caller.head()
        await caller.leave()
        await trio.testing.wait_all_tasks_blocked()
        [row] = await rows(house)
        assert (row["outcome"], row["resp_status_code"]) == ("client_gone", 200)
        assert row["error_msg"] == "the client left before the end"


async def test_who_hangs_up_in_the_queue_is_recorded_with_the_wait(autojump_clock):
    """How long they had patience is what an operator wants to know."""
    async with open_house("a") as house:
        house.models.load = 100
        caller = house.call()
        await caller.send(CHAT, {"model": "a"})
        await trio.sleep(30)
        await caller.leave()
        await trio.testing.wait_all_tasks_blocked()
        [row] = await rows(house)
        assert (row["outcome"], row["resp_status_code"]) == ("client_gone", 499)
        assert row["load_s"] == pytest.approx(30, abs=0.1)
        assert row["queue_s"] == pytest.approx(0, abs=0.1)


async def test_a_cancelled_request_is_recorded_as_cancelled(autojump_clock):
    """Whoever cancelled it finds it again."""
    async with open_house("a") as house:
        house.models.load = 100
        caller = house.call()
        await caller.send(CHAT, {"model": "a"})
        await trio.testing.wait_all_tasks_blocked()
        [flight] = house.flights
        await house.get(f"/api/queue/{flight.id}", method="DELETE")
        assert (await caller.reply()).status == 503
        [row] = await rows(house)
        assert (row["outcome"], row["request"]) == ("cancelled", flight.id)


async def test_a_failed_load_is_recorded_with_what_the_client_was_told(autojump_clock):
    """The most useful field when debugging."""
    async with open_house("a") as house:
        house.models.broken = set(house.engine.settings.models)
        reply = await house.post(CHAT, {"model": "a"})
        [row] = await rows(house)
        said = reply.json()["error"]["message"]
        assert (row["outcome"], row["error_msg"]) == ("load_failed", said)
        assert row["load_s"] == pytest.approx(1, abs=0.01)
        assert row["queue_s"] == pytest.approx(0, abs=0.01)


async def test_an_answer_cut_short_is_recorded_as_cut(autojump_clock):
    """A part that came is no success."""
    async with open_house("a") as house:

        async def handler(asked: Asked) -> None:
            await asked.begin_events()
            await asked.chunk(b'data: {"usage":{"prompt_tokens":3}}\n\n')
            await asked.stream.aclose()

        house.upstream.handler = handler
        await house.post(CHAT, {"model": "a", "stream": True})
        [row] = await rows(house)
        assert (row["outcome"], row["resp_status_code"]) == ("upstream_cut", 200)


async def test_a_stream_that_waited_is_listened_to_as_well(autojump_clock):
    """Comments of our own before the answer must not hide its numbers."""
    async with open_house("a") as house:
        house.models.load = 30

        async def handler(asked: Asked) -> None:
            await asked.begin_events()
            await trio.sleep(0.5)
            await asked.chunk(b'data: {"timings":{"prompt_n":3,"predicted_n":4}}\n\n')
            await asked.chunk(b"")

        house.upstream.handler = handler
        await house.post(CHAT, {"model": "a", "stream": True})
        [row] = await rows(house)
        assert (row["tokens"]["input_tokens"], row["tokens"]["output_tokens"]) == (3, 4)
        assert row["first_byte_s"] == pytest.approx(0.5, abs=0.01)
        assert row["load_s"] == pytest.approx(30, abs=0.1)


async def test_nothing_is_recorded_where_nobody_wants_it(autojump_clock):
    """`recordActivity: false` is for those whose requests are nobody's business."""
    settings = attrs.evolve(stories.settings(["a"]), record_activity=False)
    async with open_house(settings=settings) as house:
        answers(house, USAGE)
        await house.post(CHAT, {"model": "a"})
        assert await rows(house) == []


@pytest.mark.parametrize(
    ("row_id", "headers", "address"),
    [
        ("G6", {}, "10.0.0.7"),
        ("G7", {"X-Forwarded-For": "1.2.3.4, 5.6.7.8"}, "1.2.3.4"),
        ("G8", {"X-Real-IP": "9.9.9.9"}, "9.9.9.9"),
        ("both", {"X-Real-IP": "9.9.9.9", "X-Forwarded-For": "1.2.3.4 , 5.6.7.8"}, "1.2.3.4"),
    ],
)
async def test_a_request_is_whose_the_proxies_before_us_say(
    row_id: str, headers: Mapping[str, str], address: str, autojump_clock, caplog
):
    """G6 to G8."""
    caplog.set_level("INFO")
    async with open_house("a") as house:
        for path, body in ((CHAT, {"model": "a"}), ("/running", None)):
            caller = house.call()
            await caller.send(path, body, headers=headers)
            await caller.reply()
        await trio.testing.wait_all_tasks_blocked()
        lines = [text for text in caplog.messages if text.startswith("Request ")]
        assert [line.split()[1] for line in lines] == [address, address]


async def test_a_request_body_is_captured_as_it_went_to_the_model(autojump_clock):
    """After the filters: that is what the model's answer is to be understood by."""
    async with open_house(settings=loaded(WORLD).settings) as house:
        answers(house, USAGE)
        await house.post(CHAT, {"model": "variant"}, authorization="Bearer sk-secret")
        [row] = await rows(house)
        capture = await captured(house, row["id"])
        assert capture is not None
        body = json.loads(b64decode(capture["req_body"]))
        assert body["thinking"] is True
        assert capture["req_headers"]["Authorization"] == "[REDACTED]"


async def begun(house: House, *, status: int, body: bytes, kind: bytes) -> dict[str, Any]:
    """Answer with the row of a stream that began before the model answered with this."""
    house.models.load = 30

    async def handler(asked: Asked) -> None:
        await asked.answer(body, status=status, extra=b"Content-Type: " + kind + b"\r\n")

    house.upstream.handler = handler
    await house.post(CHAT, {"model": "a", "stream": True})
    [row] = await rows(house)
    return row


async def test_an_error_within_a_stream_that_we_began_is_one(autojump_clock):
    """Its client has had a 200 by then; the table must tell what it was."""
    async with open_house("a") as house:
        said = b'{"error":{"message":"out of memory"}}'
        row = await begun(house, status=500, body=said, kind=b"application/json")
        assert (row["outcome"], row["error_msg"]) == ("upstream_error", "out of memory")
        assert row["first_byte_s"] is not None


async def test_what_cannot_be_sent_on_within_a_stream_is_an_error(autojump_clock):
    """The client got nothing of it."""
    async with open_house("a") as house:
        house.models.load = 30

        async def handler(asked: Asked) -> None:
            await asked.answer(gzip.compress(USAGE), extra=b"Content-Encoding: gzip\r\n")

        house.upstream.handler = handler
        await house.post(CHAT, {"model": "a", "stream": True})
        [row] = await rows(house)
        assert row["outcome"] == "upstream_error"
        assert "compressed" in row["error_msg"]


async def test_a_plain_answer_within_a_stream_that_we_began_is_counted(autojump_clock):
    """A server that knows no streaming has tokens as well."""
    async with open_house("a") as house:
        row = await begun(house, status=200, body=USAGE, kind=b"application/json")
        assert (row["outcome"], row["tokens"]["output_tokens"]) == ("ok", 2)


async def test_a_request_that_waited_twice_is_told_by_its_second_wait(autojump_clock):
    """Its model died before it had it; how long it took in the end is what its client felt."""
    async with open_house("a") as house:
        house.models.load = 10

        async def handler(asked: Asked) -> None:
            await asked.answer(USAGE, extra=JSON)

        house.upstream.handler = handler
        house.upstream.reachable = False
        caller = house.call()
        await caller.send(CHAT, {"model": "a"})
        await trio.sleep(10.5)
        house.models.crash("a")
        await trio.testing.wait_all_tasks_blocked()
        house.upstream.reachable = True
        await trio.sleep(1)
        await caller.leave()
        await trio.testing.wait_all_tasks_blocked()
        [row] = await rows(house)
        assert row["outcome"] == "client_gone"
        assert row["queue_s"] + row["load_s"] == pytest.approx(11.5, abs=0.2)


async def test_a_refused_request_leaves_nothing_to_be_told_of(autojump_clock):
    """Whoever follows would be told of it for ever."""
    async with open_house("a") as house:
        house.models.broken = set(house.engine.settings.models)
        with house.live.follow() as listener:
            await listener.receive()
            await house.post(CHAT, {"model": "a"})
            await trio.sleep(1)
            assert house.live._answering == {}


async def test_the_reserved_room_comes_back_whatever_is_recorded(autojump_clock):
    """A reload in the middle of a request must not cost captures for ever."""
    async with open_house("a") as house:

        async def handler(asked: Asked) -> None:
            await asked.begin_events()
            await asked.chunk(b"data: {}\n\n")
            await house.engine.adopt(attrs.evolve(house.engine.settings, record_activity=False))
            await asked.chunk(b"")

        house.upstream.handler = handler
        await house.post(CHAT, {"model": "a", "stream": True})
        assert house.watching._reserved == 0


async def test_a_bug_of_ours_is_not_the_clients(autojump_clock, caplog):
    """An operator must not look for it where it is not."""
    caplog.set_level("INFO")
    async with open_house("a") as house:

        def broken(*unused: object) -> None:
            raise KeyError("bug")

        house.engine.turn = broken  # type: ignore[method-assign, assignment]
        caller = house.call()
        await caller.send(CHAT, {"model": "a"})
        await caller.head()
        [row] = await rows(house)
        assert (row["outcome"], row["resp_status_code"]) == ("internal_error", 500)
        assert any(" 500 " in text and "internal_error" in text for text in caplog.messages)


async def test_only_streams_have_a_time_to_the_first_token(autojump_clock):
    """The first byte of an answer in one piece comes with its last."""
    async with open_house("a") as house:
        answers(house, USAGE)
        await house.post(CHAT, {"model": "a"})
        text = house.watching.numbers.text().decode()
        assert 'swapd_first_token_seconds_count{model="a"} 1' not in text


@pytest.mark.parametrize("forged", ['1.1.1.1 "GET /x HTTP/1.1" 200', "é", "<script>", ""])
async def test_an_address_that_is_none_is_not_believed(forged, autojump_clock, caplog):
    """Else a client could write its own line of the log."""
    caplog.set_level("INFO")
    async with open_house("a") as house:
        caller = house.call()
        await caller.raw(
            b"GET /running HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: "
            + forged.encode("latin-1")
            + b"\r\n\r\n"
        )
        await caller.head()
        await trio.testing.wait_all_tasks_blocked()
        [line] = [text for text in caplog.messages if text.startswith("Request ")]
        assert line.startswith('Request 10.0.0.7 "GET /running HTTP/1.1" 200 ')


async def test_a_name_longer_than_any_is_refused_and_not_told_again(autojump_clock, caplog):
    """Whoever may ask could fill memory, disk and log with names."""
    caplog.set_level("INFO")
    async with open_house("a") as house:
        reply = await house.post(CHAT, {"model": "x" * 1001})
        assert (reply.status, reply.code) == (400, "invalid_request")
        assert "xxx" not in reply.body.decode()
        assert await rows(house) == []
        assert not any("xxx" in text for text in caplog.messages)
        assert (await house.post(CHAT, {"model": "x" * 1000})).status == 404


async def test_the_head_of_a_page_has_no_body_in_the_log(autojump_clock, caplog):
    """Bytes are those that were sent."""
    caplog.set_level("INFO")
    async with open_house("a") as house:
        await house.get("/v1/models", method="HEAD")
        await trio.testing.wait_all_tasks_blocked()
        assert any('"HEAD /v1/models HTTP/1.1" 200 0 ' in text for text in caplog.messages)
