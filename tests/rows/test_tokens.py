"""What answers say of their tokens: the reference's tables, row by row.

M1 to M4, M7 and M12 to M15 are about what is recorded, and N6 to N11 about what is asked of a
model; they are where those are.
"""

import gzip
import json
import zlib
from http import HTTPStatus
from typing import Any

import pytest

from swapd.watch.tap import Found, Tap, error_message
from swapd.watch.tokens import Tokens

JSON = "application/json"
EVENTS = "text/event-stream"

TIMED = {"prompt_n": 20, "predicted_n": 50}
DRAFTED = {**TIMED, "draft_n": 30, "draft_n_accepted": 12}
OURS = {"prompt_tokens": 42, "completion_tokens": 128}

NONE = Tokens()


def said(
    numbers: tuple[int, int, int],
    draft: tuple[int, int] = (-1, -1),
    *,
    prompt: float = -1.0,
    output: float = -1.0,
    ms: int = 0,
) -> Tokens:
    """Write it as the reference does: input, output, cached, accepted of drafted, speeds."""
    return Tokens(*numbers, draft[1], draft[0], prompt, output, ms)


def listen(
    body: bytes, content_type: str = JSON, *, path: str = "/v1/x", encoding: str = ""
) -> Found:
    """Let it pass."""
    tap = Tap(path=path, content_type=content_type, encoding=encoding, keep=0)
    tap.feed(body)
    return tap.found()


def close(tokens: Tokens) -> Any:
    """Compare speeds as people do."""
    return pytest.approx(tuple_of(tokens), abs=0.001)


def tuple_of(tokens: Tokens) -> tuple[float, ...]:
    return (
        *(tokens.input, tokens.output, tokens.cached, tokens.draft, tokens.draft_accepted),
        *(tokens.prompt_per_second, tokens.tokens_per_second, tokens.model_ms),
    )


@pytest.mark.parametrize(
    ("document", "tokens"),
    [
        pytest.param(
            {
                "usage": {
                    "prompt_tokens": 12,
                    "completion_tokens": 7,
                    "prompt_tokens_details": {"cached_tokens": 4},
                }
            },
            said((12, 7, 4)),
            id="T1",
        ),
        pytest.param(
            {
                "timings": {
                    **TIMED,
                    "prompt_per_second": 100.0,
                    "predicted_per_second": 40.0,
                    "prompt_ms": 200,
                    "predicted_ms": 1250,
                    "cache_n": 8,
                }
            },
            said((20, 50, 8), prompt=100, output=40, ms=1450),
            id="T2",
        ),
        pytest.param(
            {
                "usage": {
                    "prompt_tokens": 28,
                    "completion_tokens": 50,
                    "prompt_tokens_details": {"cached_tokens": 8},
                },
                "timings": {**TIMED, "prompt_ms": 200.7, "predicted_ms": 1250.6},
            },
            said((20, 50, 8), prompt=0, output=0, ms=1451),
            id="T3",
        ),
        pytest.param(
            {"timings": DRAFTED}, said((20, 50, -1), (12, 30), prompt=0, output=0), id="T4"
        ),
        pytest.param(
            {"timings": {**TIMED, "draft_n": 30}}, said((20, 50, -1), prompt=0, output=0), id="T5"
        ),
        pytest.param({"timings": {}}, said((0, 0, -1), prompt=0, output=0), id="T6"),
        pytest.param(
            {"timings": DRAFTED, "metrics": {"speculative_decoding": {}}},
            said((20, 50, -1), (12, 30), prompt=0, output=0),
            id="T7",
        ),
        pytest.param(
            {
                "usage": {**OURS, "prompt_tokens_details": {"cached_tokens": 20}},
                "metrics": {
                    "time_to_first_token_ms": 85.2,
                    "generation_time_ms": 1240.5,
                    "queue_time_ms": 12.3,
                    "mean_itl_ms": 9.1,
                    "tokens_per_second": 103.2,
                },
            },
            said((42, 128, 20), prompt=258.216, output=109.890),
            id="T8",
        ),
        pytest.param(
            {
                "usage": OURS,
                "metrics": {
                    "mean_itl_ms": 9.1,
                    "speculative_decoding": {
                        "num_accepted_draft_tokens": 14,
                        "num_draft_tokens": 20,
                    },
                },
            },
            said((42, 128, -1), (14, 20), output=109.890),
            id="T9",
        ),
        pytest.param(
            {"usage": OURS, "metrics": {"speculative_decoding": {"num_draft_tokens": 20}}},
            said((42, 128, -1)),
            id="T10",
        ),
        pytest.param(
            {"usage": OURS, "metrics": {"time_to_first_token_ms": 0, "mean_itl_ms": 0}},
            said((42, 128, -1)),
            id="T11",
        ),
        pytest.param({"metrics": {"mean_itl_ms": 20}}, said((0, 0, -1), output=50), id="T12"),
        pytest.param(
            {
                "usage": {
                    "prompt_tokens": 10,
                    "completion_tokens": 5,
                    "prompt_tokens_details": {"cached_tokens": 20},
                },
                "metrics": {"time_to_first_token_ms": 100},
            },
            said((10, 5, 20), prompt=-100),
            id="T13",
        ),
        pytest.param(
            {"usage": {"prompt_tokens": 8, "total_tokens": 8}}, said((8, 0, -1)), id="T14"
        ),
        pytest.param(
            {"usage": {"prompt_tokens": 50, "total_tokens": 50}, "results": [{"index": 0}]},
            said((50, 0, -1)),
            id="T15",
        ),
        pytest.param(
            {
                "usage": {
                    "input_tokens": 20,
                    "output_tokens": 9,
                    "cache_read_input_tokens": 5,
                    "cache_creation_input_tokens": 3,
                }
            },
            said((20, 9, 5)),
            id="T16",
        ),
        pytest.param(
            {
                "usage": {
                    "input_tokens": 10,
                    "output_tokens": 3,
                    "input_tokens_details": {"cached_tokens": 2},
                }
            },
            said((10, 3, 2)),
            id="T17",
        ),
        pytest.param(
            {
                "usage": {
                    "input_tokens": 99,
                    "prompt_tokens": 1,
                    "output_tokens": 98,
                    "completion_tokens": 2,
                }
            },
            said((1, 2, -1)),
            id="T18",
        ),
        pytest.param(
            {
                "usage": {
                    "prompt_tokens_details": {"cached_tokens": 7},
                    "cache_read_input_tokens": 0,
                }
            },
            said((0, 0, 0)),
            id="T19",
        ),
        pytest.param({"usage": None}, said((0, 0, -1)), id="T20-null"),
        pytest.param({"usage": {}}, said((0, 0, -1)), id="T20-empty"),
        pytest.param({"usage": "n/a"}, said((0, 0, -1)), id="T20-text"),
        pytest.param(
            {"usage": {"prompt_tokens": "12", "completion_tokens": 7.9}},
            said((12, 7, -1)),
            id="T21",
        ),
        pytest.param({"text": "hello"}, NONE, id="T22"),
        pytest.param([{"embedding": [0.1]}], NONE, id="T23"),
    ],
)
def test_a_document_says_what_it_took(document, tokens):
    """T1 to T23: every server has its own words for the same few numbers."""
    assert tuple_of(listen(json.dumps(document).encode()).tokens) == close(tokens)


def test_what_is_not_quite_json_says_nothing():
    """T24: nor would whoever asked have understood it."""
    assert listen(b'{"usage":{"prompt_tokens":1}} x').tokens == NONE
    assert listen(b' {"usage":{"prompt_tokens":1}} \n').tokens == said((1, 0, -1))


INFILLED = {"prompt_n": 5, "predicted_n": 9, "prompt_ms": 10, "predicted_ms": 20}


@pytest.mark.parametrize(
    ("document", "tokens"),
    [
        pytest.param(
            [{"content": "a"}, {"content": "b", "timings": INFILLED}],
            said((5, 9, -1), prompt=0, output=0, ms=30),
            id="T25",
        ),
        pytest.param(
            {"content": "b", "timings": INFILLED},
            said((5, 9, -1), prompt=0, output=0, ms=30),
            id="T26",
        ),
        pytest.param([], NONE, id="T27-empty"),
        pytest.param([{"timings": INFILLED}, {"content": "b"}], NONE, id="T27-not-the-last"),
    ],
)
def test_infill_may_answer_with_a_list(document, tokens):
    """T25 to T27: llama.cpp does so where it streams into one answer."""
    assert listen(json.dumps(document).encode(), path="/infill").tokens == tokens


def events(*payloads: Any, between: bytes = b"\n\n", space: bytes = b" ") -> bytes:
    """Write a stream of events; bytes as they are."""
    written = (
        payload if isinstance(payload, bytes) else b"data:" + space + json.dumps(payload).encode()
        for payload in payloads
    )
    return b"".join(line + between for line in written)


DONE = b"data: [DONE]"
DELTA = {"choices": [{"delta": {"content": "hi"}}]}


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        pytest.param(
            events(DELTA, {"usage": {"prompt_tokens": 15, "completion_tokens": 33}}, DONE),
            said((15, 33, -1)),
            id="T28",
        ),
        pytest.param(events(DONE), NONE, id="T29"),
        pytest.param(
            events(
                DELTA,
                {
                    "usage": {"prompt_tokens": 14, "completion_tokens": 152},
                    "metrics": {
                        "time_to_first_token_ms": 70,
                        "mean_itl_ms": 10,
                        "tokens_per_second": 24.1,
                    },
                },
                DONE,
            ),
            said((14, 152, -1), prompt=200, output=100),
            id="T30",
        ),
        pytest.param(
            events(
                {
                    "usage": {"prompt_tokens": 14, "completion_tokens": 152},
                    "metrics": {
                        "speculative_decoding": {
                            "num_accepted_draft_tokens": 14,
                            "num_draft_tokens": 20,
                        }
                    },
                }
            ),
            said((14, 152, -1), (14, 20)),
            id="T31",
        ),
        pytest.param(
            events(
                DELTA,
                {"usage": {"prompt_tokens": 15, "completion_tokens": 33}},
                between=b"\r\n\r\n",
                space=b"",
            ),
            said((15, 33, -1)),
            id="T32",
        ),
        pytest.param(
            events(
                {
                    "type": "message_start",
                    "message": {
                        "usage": {
                            "input_tokens": 25,
                            "cache_read_input_tokens": 7,
                            "output_tokens": 1,
                        }
                    },
                },
                {"type": "message_delta", "usage": {"output_tokens": 15}},
            ),
            said((25, 15, 7)),
            id="T33",
        ),
        pytest.param(
            events(
                b"event: response.completed",
                {
                    "type": "response.completed",
                    "response": {
                        "usage": {
                            "input_tokens": 11,
                            "output_tokens": 6,
                            "input_tokens_details": {"cached_tokens": 0},
                        }
                    },
                },
                between=b"\n",
            ),
            said((11, 6, 0)),
            id="T34",
        ),
        pytest.param(
            events(
                {"usage": {"prompt_tokens": 9, "completion_tokens": 1}},
                {"usage": {"prompt_tokens": 0, "completion_tokens": 5}},
            ),
            said((9, 5, -1)),
            id="T35",
        ),
        pytest.param(events({"usage": None}, {"usage": None}), NONE, id="T36"),
        pytest.param(
            events(
                b"data: {broken",
                {"timings": {"prompt_n": 2, "predicted_n": 3, "predicted_per_second": 9.5}},
            ),
            said((2, 3, -1), prompt=0, output=9.5),
            id="T37",
        ),
        pytest.param(
            events(
                {"choices": [{"delta": {"reasoning_content": "loading"}}]},
                b'{"error":{"message":"it broke"}}',
            ),
            NONE,
            id="T38",
        ),
        pytest.param(b'{"usage":{"prompt_tokens":1}}\n\n', NONE, id="T39"),
        pytest.param(b'data: {"usage":{"prompt_tokens":1}} trailing\n\n', NONE, id="T40"),
    ],
)
def test_a_stream_says_what_it_took(body, tokens):
    """T28 to T40: somewhere on its way, mostly at the end, and not always at once."""
    assert listen(body, EVENTS).tokens == tokens
    assert listen(body.rstrip(), EVENTS).tokens == tokens


# Statuses


def test_a_broken_packing_is_told_apart_from_an_answer_without_tokens():
    """M5, M6: what could not be read must not look like what said nothing."""
    found = listen(b"not-really-gzip", encoding="gzip")
    assert found == Found(failed="response decompression failed: gzip: invalid header")
    assert found.error(200) == found.failed
    assert found.error(502) == "response decode failed: gzip: invalid header"
    assert listen(b"plain").body == b"plain"


def test_an_empty_answer_took_nothing():
    """M8: and is no failure."""
    found = listen(b"")
    assert (found.tokens, found.body, found.error(200)) == (NONE, b"", "")


@pytest.mark.parametrize(
    ("status", "body", "tokens"),
    [
        pytest.param(201, b'{"usage":{"prompt_tokens":3}}', said((3, 0, -1)), id="M9-D23"),
        pytest.param(204, b"", NONE, id="M10-D23"),
    ],
)
def test_every_success_is_one(status, body, tokens):
    """M9, M10, D23: a server may say 201 and mean it."""
    found = listen(body)
    assert (found.tokens, found.error(status)) == (tokens, "")


def test_a_status_without_words_is_told_by_its_number():
    """M11: nginx's 499 is in no standard."""
    assert listen(b"").error(499) == "HTTP 499"


# Errors


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(b'{"error":{"message":"rate limited"}}', "rate limited", id="E1"),
        pytest.param(b'{"error":"bad request"}', "bad request", id="E2"),
        pytest.param(b'{"message":"nope"}', "nope", id="E3"),
        pytest.param(b'{"detail":"oops"}', "oops", id="E4"),
        pytest.param(b'{"error":{"code":42}}', None, id="E5"),
        pytest.param(b'{"usage":{}}', None, id="E6"),
        pytest.param(b"not-json", None, id="E7"),
        pytest.param(b'{"error":{"code":42},"message":" m "}', "m", id="E8"),
        pytest.param(b'{"error":{"message":""},"message":"second"}', "second", id="E9"),
        pytest.param(b'{"detail":[{"msg":"x"}]}', None, id="E10"),
        pytest.param(b'{"error":"%b"}' % (b"x" * 600), "x" * 500 + "...", id="E11"),
    ],
)
def test_an_error_is_told_in_its_own_words(body, message):
    """E1 to E11: or in HTTP's, where it has none that a person would read."""
    otherwise = f"404 {HTTPStatus(404).phrase}"
    assert error_message(404, body) == (message or otherwise)
    assert listen(body).error(404) == (message or otherwise)


# Encodings


def _raw(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


HELLO = b"hello world"


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        pytest.param("", HELLO, id="N1"),
        pytest.param("gzip", gzip.compress(HELLO), id="N2"),
        pytest.param("deflate", _raw(HELLO), id="N3"),
        pytest.param("deflate", zlib.compress(HELLO), id="N5-D25"),
    ],
)
def test_a_packed_answer_is_unpacked_to_read_it(encoding, body):
    """N1 to N3, N5, D25: deflate is zlib's format by the standard and often none in practice."""
    assert listen(body, encoding=encoding).body == HELLO


def test_what_nobody_here_can_unpack_is_left_alone():
    """N4: D25 unpacks brotli where its library is there, so another name stands for it."""
    assert listen(HELLO, encoding="snappy").body == HELLO
