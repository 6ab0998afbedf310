"""The record of requests over HTTP; what it filters by is in tests/rows/test_activity.py."""

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from swapd.manage import activity as pages
from swapd.watch.captures import Capture
from swapd.watch.recorder import Recorder
from swapd.watch.store import open_store
from swapd.watch.tokens import Tokens
from tests.records import activity, client_of, recording

ACTIVITY = "/api/metrics/activity"
STATS = "/api/metrics/stats"

CHAT = activity(
    "m1",
    at=1782000002.75,
    request="r-7",
    content_type="application/json",
    tokens=Tokens(12, 7, 4, -1, -1, -1.0, 42.5),
    duration_ms=950,
    metadata={"fifo_priority": "0"},
    queued=0.25,
    loading=0.5,
    first_byte=0.1234,
    bytes=99,
)


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    """Have one in memory."""
    with recording() as made:
        yield made


@pytest.fixture
def client(recorder: Recorder) -> Any:
    """Have a client of its pages."""
    return client_of(pages.blueprint(recorder))


@pytest.fixture
def _berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_utc")
async def test_a_row_has_llama_swaps_keys_and_then_ours(recorder, client, autojump_clock):
    """Byte by byte, as its clients have seen it."""
    recorder.record(CHAT, Capture("/v1/chat/completions"))
    reply = await client.get(ACTIVITY)
    assert reply.content_type == "application/json"
    assert (await reply.get_data()).decode() == (
        '{"data":[{"id":1,"timestamp":"2026-06-21T00:00:02Z","model":"m1",'
        '"req_path":"/v1/chat/completions","resp_content_type":"application/json",'
        '"resp_status_code":200,"tokens":{"cache_tokens":4,"draft_tokens":-1,'
        '"draft_acc_tokens":-1,"input_tokens":12,"output_tokens":7,"prompt_per_second":-1,'
        '"tokens_per_second":42.5},"duration_ms":950,"has_capture":true,'
        '"metadata":{"fifo_priority":"0"},"request":"r-7","outcome":"ok","queue_s":0.25,'
        '"load_s":0.5,"first_byte_s":0.123,"resp_bytes":99}],'
        '"page":1,"limit":25,"total":1,"total_pages":1}\n'
    )


async def test_what_went_wrong_is_said(recorder, client, autojump_clock):
    """And only then is there a key for it."""
    recorder.record(activity(status=502, error="boom", outcome="upstream_error"))
    recorder.record(activity())
    rows = (await (await client.get(ACTIVITY)).get_json())["data"]
    assert [row.get("error_msg") for row in rows] == [None, "boom"]
    assert [("metadata" in row, row["first_byte_s"]) for row in rows] == [(False, None)] * 2


async def test_what_llama_swap_did_not_write_down_is_null(recorder, client, autojump_clock):
    """0 seconds in the queue would be a claim."""
    recorder.record(activity(request="", status=500, outcome="ok"))
    await client.get(ACTIVITY)
    recorder._store._connection.execute("DELETE FROM swapd_activity")
    row = (await (await client.get(ACTIVITY)).get_json())["data"][0]
    told = {key: row[key] for key in ("request", "queue_s", "load_s", "resp_bytes", "outcome")}
    unknown = dict.fromkeys(("request", "queue_s", "load_s", "resp_bytes"))
    assert told == {**unknown, "outcome": "upstream_error"}


@pytest.mark.usefixtures("_berlin")
async def test_times_are_local_and_say_so(recorder, client, autojump_clock):
    """As in llama-swap."""
    recorder.record(CHAT)
    row = (await (await client.get(ACTIVITY)).get_json())["data"][0]
    assert row["timestamp"] == "2026-06-21T02:00:02+02:00"


@pytest.mark.usefixtures("_berlin")
@pytest.mark.parametrize("at", [-1e30, 1e18, 253402300799])
async def test_a_time_that_cannot_be_told_is_told_as_one_that_can(
    at, recorder, client, autojump_clock
):
    """One row of a broken clock must not cost all the others."""
    recorder.record(activity(at=at))
    for accept in ("application/json", "text/plain"):
        assert (await client.get(ACTIVITY, headers={"Accept": accept})).status_code == 200


@pytest.mark.usefixtures("_utc")
async def test_people_get_a_table(recorder, client, autojump_clock):
    """Without a browser."""
    text = {"Accept": "text/plain"}
    nothing = await client.get(ACTIVITY, headers=text)
    assert (await nothing.get_data()) == b"nothing was recorded\n"
    recorder.record(CHAT)
    recorder.record(activity("other", 0, tokens=Tokens(-1, -1, -1, tokens_per_second=-1)))
    reply = await client.get(ACTIVITY, headers=text)
    lines = (await reply.get_data()).decode().splitlines()
    assert [re.sub(" +", " ", line) for line in lines] == [
        " ".join(pages.HEADINGS),
        "2 1970-01-01 00:00:00 other 200 ok - - - - 0.0 s 0.0 s 0.0 s",
        "1 2026-06-21 00:00:02 m1 200 ok 12 7 4 42.5/s 0.2 s 0.5 s 0.9 s",
    ]


async def test_numbers_are_summed_up(recorder, client, autojump_clock):
    """Of all requests, or of those of a model."""
    for speed in (100, 200):
        tokens = Tokens(input=5, output=8, cached=-1, prompt_per_second=speed)
        recorder.record(activity("m1", tokens=tokens))
    recorder.record(activity("m2"))
    reply = await client.get(f"{STATS}?model=%20m1%20")
    assert (await reply.get_data()).decode() == (
        '{"total_requests":2,"total_input_tokens":10,"total_output_tokens":16,'
        '"total_cache_tokens":0,"prompt_histogram":{"bins":[1,0,0,0,1],"min":100,"max":200,'
        '"binSize":20,"p50":150,"p95":195,"p99":199},"gen_histogram":null}\n'
    )
    for query in ("", "?model=", "?model=%20"):
        assert (await (await client.get(STATS + query)).get_json())["total_requests"] == 3


@pytest.mark.parametrize("path", [ACTIVITY, STATS])
async def test_a_store_that_fails_is_a_clear_refusal(path, tmp_path, autojump_clock):
    """Whoever reads it knows where to look."""
    store = open_store(str(tmp_path / "activity.db"), most=0, days=0)
    store._connection.execute("DROP TABLE activity")
    with recording(store) as recorder:
        reply = await client_of(pages.blueprint(recorder)).get(path)
        error = (await reply.get_json())["error"]
        assert (reply.status_code, error["code"]) == (503, "service_unavailable")
        assert error["message"] == (
            "cannot read the record of requests: no such table: activity;"
            " try again, or look at store.path"
        )
