"""Rows D1 to D28, H1 to H7, K1 to K15 and R22: the record of requests, and captures.

K1 is about an encoding that we have none of: a capture comes out as it went in. K15 is about
threads, and only one touches ours. D19 prunes by what the store was opened with.
"""

import json
from base64 import b64decode
from contextlib import ExitStack
from random import Random

import pytest

from swapd.manage import activity as activity_pages
from swapd.manage import captures as capture_pages
from swapd.manage.rowquery import PARAMETERS
from swapd.watch.activity import Query
from swapd.watch.captures import Capture, Captures, Mask, mask, redacted
from swapd.watch.histogram import Histogram, bin_count
from swapd.watch.store import open_store
from swapd.watch.tokens import Tokens
from tests.records import activity, add, client_of, five, ids, memory, recording

ACTIVITY = "/api/metrics/activity"


# The store


def test_a_page_has_the_newest_rows_and_counts_all_of_them():
    """D1 and D2."""
    rows = [activity(model, at) for at, model in enumerate(("m1", "m2"), 100)]
    rows.append(activity("m1", 102, metadata={"client": "web", "trace": "abc"}))
    with memory(*rows) as store:
        page = store.page(Query(limit=2))
        assert (page.total, page.pages) == (3, 2)
        assert [row.activity for row in page.rows] == rows[:0:-1]
        assert store.page(Query(models=("m1",))).total == 2


@pytest.mark.parametrize(
    ("query", "found"),
    [
        pytest.param({"start": 1002}, [5, 4, 3], id="D3"),
        pytest.param({"end": 1001}, [2, 1], id="D4"),
        pytest.param({"start": 1001, "end": 1003}, [4, 3, 2], id="D5"),
        pytest.param({"start": 9000}, [], id="D6"),
        pytest.param({"min_id": 4}, [5, 4], id="D7"),
        pytest.param({"max_id": 2}, [2, 1], id="D8"),
        pytest.param({"min_id": 2, "max_id": 4}, [4, 3, 2], id="D9"),
        pytest.param({"min_id": 3, "max_id": 3}, [3], id="D10"),
        pytest.param({"models": ("m1",)}, [5, 3, 1], id="D11-one"),
        pytest.param({"models": ("m1", "m2")}, [5, 4, 3, 2, 1], id="D11-both"),
        pytest.param({"models": ("m2", "", "  ")}, [4, 2], id="D12"),
        pytest.param({"models": ("", "  ")}, [5, 4, 3, 2, 1], id="D13"),
        pytest.param({"models": ("nope",)}, [], id="D14"),
        pytest.param({"sort": "bogus"}, [5, 4, 3, 2, 1], id="D17"),
    ],
)
def test_rows_are_found_by_what_is_asked_of_them(query, found):
    """Bounds are inclusive, and all of them must hold."""
    with memory(*five()) as store:
        assert ids(store, **query) == found


def test_totals_are_of_what_was_asked_for():
    """D15."""
    with memory(*five()) as store:
        query = Query(models=("m1",), start=1001, min_id=2, max_id=5, limit=1)
        page = store.page(query)
        assert (page.total, page.pages, page.rows[0].id) == (2, 2, 5)


@pytest.mark.parametrize(("ascending", "found"), [(True, [10, 20, 30]), (False, [30, 20, 10])])
def test_rows_are_sorted_by_a_column(ascending, found):
    """D16."""
    rows = [activity(tokens=Tokens(output=count)) for count in (30, 10, 20)]
    with memory(*rows) as store:
        page = store.page(Query(sort="generated", ascending=ascending))
        assert [row.activity.tokens.output for row in page.rows] == found


def test_what_is_not_known_is_not_summed_up():
    """D18."""
    first = Tokens(cached=2, input=10, output=20, prompt_per_second=100, tokens_per_second=50)
    second = Tokens(cached=-1, input=5, output=8, prompt_per_second=200, tokens_per_second=100)
    rows = [activity(tokens=first), activity(tokens=second), activity("m2", tokens=first)]
    with memory(*rows) as store:
        stats = store.stats("m1")
        assert (stats.requests, stats.input, stats.output, stats.cached) == (2, 15, 28, 2)
        assert stats.prompt == Histogram.of([100.0, 200.0])
        assert stats.generated == Histogram.of([50.0, 100.0])
        assert store.stats("nope").prompt is None


def test_only_the_newest_rows_stay_in_memory():
    """D19."""
    with memory(*five(), most=2) as store:
        assert ids(store) == [5, 4]


def test_a_file_has_its_rows_when_it_is_opened_again(tmp_path):
    """D20 and D21."""
    path = str(tmp_path / "activity.db")
    with ExitStack() as stack:
        store = open_store(path, most=0, days=0)
        stack.callback(store.close)
        add(store, [activity(metadata={"a": "b"})])
        assert (tmp_path / "activity.db-wal").exists()
    store = open_store(path, most=0, days=0)
    assert store.page(Query()).rows[0].activity == activity(metadata={"a": "b"})
    store.close()


# Over HTTP


@pytest.mark.parametrize(
    ("query", "found"),
    [
        pytest.param("?model=m1&model=m3", [4, 3, 1], id="D22"),
        pytest.param("?model=m2", [2], id="D23-model"),
        pytest.param("?min_id=2&max_id=3", [3, 2], id="D23-between"),
        pytest.param("?min_id=4", [4], id="D23-min"),
        pytest.param("?max_id=2", [2, 1], id="D23-max"),
        pytest.param("?model=m1&min_id=2", [3], id="D23-and"),
        pytest.param("?start=1970-01-01T00:16:42Z", [4, 3], id="D24-start"),
        pytest.param("?end=1970-01-01T01:16:41%2B01:00", [2, 1], id="D24-end"),
        pytest.param(
            "?start=1970-01-01T00:16:41Z&end=1970-01-01T00:16:42.9Z", [3, 2], id="D24-between"
        ),
        pytest.param(
            "?start=1970-01-01T00:16:40Z&end=1970-01-01T00:16:43Z&model=m1", [3, 1], id="D24-model"
        ),
        pytest.param("?start=1970-01-01T00:16:40Z&min_id=3", [4, 3], id="D24-min"),
        pytest.param("?model=&min_id=%20&sort=&order=%20ASC%20", [1, 2, 3, 4], id="blank"),
        pytest.param("?limit=3&page=2", [1], id="page"),
        pytest.param(f"?page={2**62}", [], id="past-the-end"),
    ],
)
async def test_the_page_filters(query, found, autojump_clock):
    """As llama-swap's own pages ask."""
    with recording() as recorder:
        for at, model in enumerate(("m1", "m2", "m1", "m3"), 1000):
            recorder.record(activity(model, at))
        reply = await client_of(activity_pages.blueprint(recorder)).get(ACTIVITY + query)
        assert [row["id"] for row in (await reply.get_json())["data"]] == found


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("?min_id=abc", "min_id must be >= 1"),
        ("?max_id=0", "max_id must be >= 1"),
        ("?min_id=-1", "min_id must be >= 1"),
        ("?min_id=9&max_id=2", "min_id must be <= max_id"),
        ("?start=nonsense", "invalid 'start' timestamp, use RFC3339 format"),
        ("?end=2026-01-01", "invalid 'end' timestamp, use RFC3339 format"),
        ("?end=2026-13-01T00:00:00Z", "invalid 'end' timestamp, use RFC3339 format"),
        ("?start=2026-01-02T00:00:00Z&end=2026-01-01T00:00:00Z", "start must be before end"),
        ("?limit=x", "invalid limit"),
        (f"?limit={10**30}", "invalid limit"),
        ("?limit=0", "limit must be between 1 and 999"),
        ("?limit=1000", "limit must be between 1 and 999"),
        ("?page=0", "page must be >= 1"),
        ("?page=x", "page must be >= 1"),
        ("?sort=bogus", "invalid sort column"),
        ("?order=up", "order must be asc or desc"),
    ],
)
async def test_d25_what_cannot_be_meant_is_refused(query, says, autojump_clock):
    """In llama-swap's words, which its pages show."""
    with recording() as recorder:
        reply = await client_of(activity_pages.blueprint(recorder)).get(ACTIVITY + query)
        error = (await reply.get_json())["error"]
        assert (reply.status_code, error["message"]) == (400, says)


async def test_d26_nothing_is_an_empty_list(autojump_clock):
    """Not null, which pages would have to know of."""
    with recording() as recorder:
        reply = await client_of(activity_pages.blueprint(recorder)).get(ACTIVITY)
        nothing = {"data": [], "page": 1, "limit": 25, "total": 0, "total_pages": 0}
        text = json.dumps(nothing, separators=(",", ":"))
        assert (await reply.get_data()).decode() == text + "\n"


@pytest.mark.parametrize(("total", "pages"), [(1, 1), (25, 1), (26, 2)])
def test_d27_pages_are_counted(total, pages):
    """A last page may be short."""
    with memory(*[activity()] * total) as store:
        assert store.page(Query()).pages == pages


async def test_d28_only_what_has_a_capture_says_so(autojump_clock):
    """The page would offer to show it."""
    with recording() as recorder:
        recorder.record(activity())
        recorder.record(activity(), Capture("/v1/chat/completions", request_body=b"{}"))
        reply = await client_of(activity_pages.blueprint(recorder)).get(ACTIVITY)
        rows = (await reply.get_json())["data"]
        assert [(row["id"], row["has_capture"]) for row in rows] == [(2, True), (1, False)]


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_parameter_is_described(name):
    """The OpenAPI document is made of that."""
    assert PARAMETERS[name].why
    assert PARAMETERS[name].schema


# Histograms


@pytest.mark.parametrize(
    ("values", "bins", "size", "marks"),
    [
        pytest.param([10.0], (1,), 0, (10, 10, 10), id="H1"),
        pytest.param([5.0] * 3, (3,), 0, (5, 5, 5), id="H2"),
        pytest.param([100.0, 200.0], (1, 0, 0, 0, 1), 20, (150, 195, 199), id="H3"),
        pytest.param([10.0, 30.0], (1, 0, 0, 0, 1), 4, (20, 29, 29.8), id="H4"),
        pytest.param(
            [float(each) for each in range(1, 11)], (2,) * 5, 1.8, (5.5, 9.55, 9.91), id="H5"
        ),
        pytest.param([50.5, 50.5, 100.0], (2, 0, 0, 0, 1), 9.9, (50.5, 95.05, 99.01), id="H6"),
    ],
)
def test_speeds_are_distributed(values, bins, size, marks):
    """The same picture as in llama-swap."""
    histogram = Histogram.of(values)
    assert histogram is not None
    assert histogram.bins == bins
    assert histogram.bin_size == pytest.approx(size)
    assert (histogram.p50, histogram.p95, histogram.p99) == pytest.approx(marks)
    assert (histogram.min, histogram.max) == (values[0], values[-1])


@pytest.mark.parametrize(
    ("values", "bins"), [(16, 5), (17, 6), (33, 7), (64, 7), (65, 8), (1000, 11), (600_000, 20)]
)
def test_h7_more_values_make_more_bins(values, bins):
    """Up to as many as can be told apart."""
    assert bin_count(values) == bins


# Captures


def kept(size: int) -> Capture:
    """Make a capture of that many bytes."""
    return Capture("", response_body=b"x" * size)


async def test_k2_r22_a_capture_is_shown_by_its_row(autojump_clock):
    """K1, K2 and R22: as it went in, or that there is none, or that this is no number."""
    whole = Capture("/v1/x", {"A": "b"}, b"\x00\xff", {"C": "d"}, b"{}")
    with recording() as recorder:
        recorder.captures.put(42, whole)
        client = client_of(capture_pages.blueprint(recorder))
        reply = await client.get("/api/captures/42")
        told = await reply.get_json()
        assert [told["id"], told["req_path"]] == [42, "/v1/x"]
        assert b64decode(told["req_body"]) == b"\x00\xff"
        assert b64decode(told["resp_body"]) == b"{}"
        for number, status, says in (
            *(("999", 404, "capture not found"), ("abc", 400, "invalid capture ID")),
            *(("-42", 404, "capture not found"), ("1" * 30, 400, "invalid capture ID")),
        ):
            reply = await client.get(f"/api/captures/{number}")
            message = (await reply.get_json())["error"]["message"]
            assert (reply.status_code, message) == (status, says)


@pytest.mark.parametrize("most", [0, -1])
def test_k3_without_a_buffer_nothing_is_kept(most):
    """Whoever turned it off wants no bodies in memory."""
    captures = Captures(most)
    assert not captures.put(1, kept(0))
    assert captures.get(1) is None


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        pytest.param("/v1/chat/completions", (True, True, True, True), id="K4"),
        pytest.param("/v1/audio/speech", (True, True, True, False), id="K5"),
        pytest.param("/v1/audio/voices", (True, False, True, True), id="voices"),
        pytest.param("/v1/audio/transcriptions", (True, False, True, True), id="transcriptions"),
        pytest.param("/v1/images/generations", (True, True, True, False), id="generations"),
        pytest.param("/v1/images/edits", (True, False, True, False), id="edits"),
        pytest.param("/sdapi/v1/txt2img", (True, True, True, False), id="txt2img"),
        pytest.param("/sdapi/v1/img2img", (True, False, True, False), id="img2img"),
    ],
)
def test_what_is_kept_depends_on_the_path(path, parts):
    """Sound and pictures would push everything else out."""
    assert mask(path) == Mask(*parts)


def test_k6_secrets_are_not_kept():
    """Whoever may look at captures need not have the keys."""
    headers = [(b"content-type", b"a/b"), (b"AUTHORIZATION", b"Bearer x"), (b"X-Api-Key", b"x")]
    assert redacted(headers) == {
        "Content-Type": "a/b",
        "Authorization": "[REDACTED]",
        "X-Api-Key": "[REDACTED]",
    }


def test_captures_are_a_queue_of_so_many_bytes():
    """K7 to K14."""
    captures = Captures(1024)
    assert captures.put(1, Capture("", response_body=b"hello"))
    assert captures.get(1) == Capture("", response_body=b"hello")
    assert captures.get(2) is None

    assert not Captures(10).put(1, kept(20))

    captures = Captures(100)
    for key in (1, 2, 3):
        assert captures.put(key, kept(40))
    assert [key in captures for key in (1, 2, 3)] == [False, True, True]
    captures.put(2, kept(3))
    assert (captures.get(2), captures.size) == (kept(3), 43)

    captures = Captures(1000)
    captures.put(1, kept(100))
    assert captures.size == 100
    captures.put(2, kept(200))
    assert captures.size == 300
    captures.clear()
    assert (captures.size, captures.get(1)) == (0, None)

    captures = Captures(150)
    captures.put(1, kept(100))
    captures.put(2, kept(100))
    assert (captures.size, 1 in captures) == (100, False)


def test_k15_the_size_is_that_of_what_is_there():
    """A count that drifts would end in no captures, or in no memory."""
    random = Random(15)
    captures = Captures(500)
    for _ in range(1000):
        key = random.randrange(20)
        if random.random() < 0.7:
            captures.put(key, kept(random.randrange(700)))
        else:
            captures.drop(key)
        there = [captures.get(each) for each in range(20) if each in captures]
        sizes = (len(one.response_body or b"") for one in there if one)
        assert captures.size == sum(sizes) <= 500
