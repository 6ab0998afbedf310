"""What a tap hears of the answers that pass it, and what it keeps meanwhile."""

import gzip
import json
import os
import random
import sys
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from http import HTTPStatus
from http.client import HTTPConnection
from itertools import pairwise
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from swapd.watch.tap import (
    BLOCK,
    EDGE,
    LONGEST_LINE,
    LONGEST_MESSAGE,
    WHOLE,
    Found,
    Tap,
    error_message,
)
from swapd.watch.tokens import Tokens

ROOT = Path(__file__).parents[2]

JSON = "application/json"
EVENTS = "text/event-stream"
SOUND = "audio/mpeg"

NONE = Tokens()
SEVEN = Tokens(7, 0, -1, -1, -1, -1.0, -1.0)

USAGE = b'"usage":{"prompt_tokens":7}'

# A chunk of a chat, as llama.cpp writes them.
DELTA = b'data: {"choices":[{"delta":{"content":" word"}}],"object":"chat.completion.chunk"}\n\n'
DONE = b"data: [DONE]\n\n"

# What llama.cpp is asked for: five tokens, in its own words and in others'.
CHAT = {"messages": [{"role": "user", "content": "hello there"}], "max_tokens": 5}
PROMPT = {"prompt": "the river", "max_tokens": 5}
INFILL = {"input_prefix": "the", "input_suffix": "river", "n_predict": 5}
RESPOND = {"input": "hello there", "max_output_tokens": 5}

PATIENCE = 20.0


def listen(
    *pieces: bytes, kind: str = JSON, path: str = "/v1/x", encoding: str = "", keep: int = 0
) -> Found:
    """Let an answer pass."""
    tap = Tap(path=path, content_type=kind, encoding=encoding, keep=keep)
    for piece in pieces:
        tap.feed(piece)
    return tap.found()


def cut(body: bytes, places: list[int]) -> list[bytes]:
    """Cut it there."""
    edges = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    return [body[start:end] for start, end in pairwise(edges)]


def event(document: bytes) -> bytes:
    """Write an event."""
    return b"data: " + document + b"\n\n"


def long_line(size: int) -> bytes:
    """Write an event of so many bytes, without its line break, that says 7."""
    line = b'data: {"response":{"text":"%b",' + USAGE + b"}}"
    return line % (b"x" * (size + 2 - len(line)))


# Streams


def test_a_long_stream_is_heard_from_its_first_event_to_its_last():
    """Anthropic says at the beginning what was read, and at the end what was written."""
    start = event(b'{"message":{"usage":{"input_tokens":25,"output_tokens":1}}}')
    end = event(b'{"usage":{"output_tokens":900}}')
    found = listen(start, *([DELTA] * 2000), end, DONE, kind=EVENTS)
    assert found.tokens == Tokens(25, 900, -1, -1, -1, -1.0, -1.0)
    assert (found.body, found.kept, found.truncated) == (None, b"", True)


@pytest.mark.parametrize("null", [b'"usage":null', b'"usage": null', b'"usage" :  null'])
def test_events_that_say_nothing_yet_change_nothing(null):
    """OpenAI's streams carry a null in every chunk but the last."""
    silent = event(b'{"choices":[],%b}' % null)
    said = event(b"{%b}" % USAGE)
    assert listen(said, *([silent] * 2000), kind=EVENTS).tokens == SEVEN
    assert listen(*([silent] * 2000), kind=EVENTS).tokens == NONE


@pytest.mark.parametrize("size", [100, BLOCK, WHOLE - 1, WHOLE + 1, WHOLE + 100, LONGEST_LINE])
def test_a_line_may_be_long(size):
    """The last event of OpenAI's responses holds all that was said before."""
    line = long_line(size)
    assert len(line) == size
    for body in (line, line + b"\n", DELTA + line + b"\n\n" + DELTA):
        assert listen(body, kind=EVENTS).tokens == SEVEN
        assert listen(*cut(body, [*range(0, size, 5000)]), kind=EVENTS).tokens == SEVEN


def test_a_line_without_end_is_forgotten():
    """Memory is bounded, and the line behind it is read again."""
    line = long_line(LONGEST_LINE + 1)
    last = event(b'{"usage":{"completion_tokens":3}}')
    for body in (line, DELTA + line + b"\n"):
        assert listen(body, kind=EVENTS).tokens == NONE
        assert listen(*cut(body, [*range(0, len(body), 5000)]), kind=EVENTS).tokens == NONE
        heard = listen(*cut(body + b"\n" + last, [*range(0, len(body), 5000)]), kind=EVENTS)
        assert heard.tokens == Tokens(0, 3, -1, -1, -1, -1.0, -1.0)


@pytest.mark.parametrize("kind", ["text/event-stream; charset=utf-8", "Text/Event-Stream"])
def test_a_stream_is_known_by_its_type(kind):
    """Media types are written in any case."""
    assert listen(event(b"{%b}" % USAGE), kind=kind).tokens == SEVEN


# Documents


@pytest.mark.parametrize(
    "form",
    [
        b'{%(usage)b,"data":"%(data)b"}',
        b'{"object":"list",%(usage)b,"data":"%(data)b","model":"m"}',
        b' {\n"data":"%(data)b",%(usage)b}\n',
    ],
    ids=["first", "early", "last"],
)
def test_a_large_document_is_read_at_its_ends(form):
    """Embeddings and pictures are megabytes; what they took stands beside them."""
    whole = form % {b"usage": USAGE, b"data": b"x" * 10 * WHOLE}
    found = listen(*cut(whole, [*range(0, len(whole), 1000)]))
    assert found.tokens == SEVEN
    assert (found.body, found.truncated) == (None, True)


def test_its_end_says_more_than_its_beginning():
    """What comes last was written when all was known."""
    body = b'{"usage":{"prompt_tokens":99},"data":"%b",%b}' % (b"x" * WHOLE, USAGE)
    assert listen(body).tokens == SEVEN


def test_two_ends_make_no_whole():
    """What was between them is gone, and a part that reaches into it is not known."""
    part = b'","usage":{"prompt_tokens":7'
    begun = b'{"data":"' + b"x" * (EDGE - 9 - len(part)) + part
    behind = b'},"data":"' + b"x" * (EDGE - 12) + b'"}'
    assert listen(begun + b"000" + b" " * 100 + behind).tokens == NONE


@pytest.mark.parametrize(
    "body",
    [b'[{"data":"%b",%b}]', b'{"data":"%b",%b,"model":', b'{"data":"%b",%b} x', b'"%b" %b'],
    ids=["a-list", "cut-short", "garbage-behind", "a-text"],
)
def test_a_large_document_must_at_least_look_like_one(body):
    """What a small one does not say, a large one says no more."""
    small, large = (body % (b"x" * size, USAGE) for size in (10, 2 * WHOLE))
    assert listen(small).tokens == listen(large).tokens == NONE


def test_a_large_infill_is_read_at_its_end():
    """It is a list there, and its last element has the timings."""
    timings = b'"timings":{"prompt_n":7,"predicted_n":2}'
    body = b'[{"timings":{"prompt_n":1}},{"content":"%b",%b}]' % (b"x" * WHOLE, timings)
    said = Tokens(7, 2, -1, -1, -1, 0.0, 0.0)
    assert listen(body, path="/infill").tokens == said
    assert listen(body, path="/v1/completions").tokens == NONE
    assert listen(body[1:-1].partition(b",")[2], path="/infill").tokens == said


@pytest.mark.parametrize("kind", [SOUND, "image/png", "Video/mp4", "application/octet-stream"])
def test_sound_and_pictures_are_not_searched(kind):
    """They may hold any bytes, and are large."""
    found = listen(b"{%b}" % USAGE, kind=kind)
    assert (found.tokens, found.body, found.truncated) == (NONE, None, True)


# What is kept


@pytest.mark.parametrize("kind", [JSON, EVENTS, SOUND])
@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, WHOLE, WHOLE + 1])
def test_a_capture_gets_as_much_as_it_wants(kind, size):
    """And knows whether that was all."""
    body = random.Random(1).randbytes(size)
    found = listen(*cut(body, [10, 20]), kind=kind, keep=100)
    assert found.kept == body[:100]
    assert found.truncated == (size > 100)
    if size <= 100 or (kind == JSON and size <= WHOLE):
        assert found.body == body
    else:
        assert found.body is None


def test_what_is_kept_is_unpacked():
    """A person reads it, and the header that says how it was packed is not shown."""
    body = b'{"text":"%b",%b}' % (b"x" * 1000, USAGE)
    found = listen(gzip.compress(body), encoding="gzip", keep=10)
    assert found == Found(tokens=SEVEN, body=body, kept=body[:10], truncated=True)


def test_what_a_bomb_unpacks_to_is_truncated():
    """The client has it all, so it is no failure; nobody here looks at the rest of it."""
    packed = gzip.compress(b'{"text":"' + bytes(70_000_000), compresslevel=1)
    found = listen(*cut(packed, [*range(0, len(packed), 8192)]), encoding="gzip", keep=10)
    assert found == Found(kept=b'{"text":"\0', truncated=True)


def test_a_packing_that_breaks_in_the_middle_leaves_nothing():
    """What came before may be as wrong, and a capture of it would show noise."""
    packed = bytearray(gzip.compress(random.Random(1).randbytes(100_000)))
    packed[-5] ^= 1
    found = listen(*cut(bytes(packed), [*range(0, 100_000, 500)]), encoding="gzip", keep=100_000)
    assert found == Found(failed="response decompression failed: gzip: incorrect data check")


@pytest.mark.parametrize("kind", [JSON, EVENTS, SOUND])
@pytest.mark.parametrize("line_break", [b"\n", b""])
def test_memory_stays_small_whatever_passes(kind, line_break):
    """A stream may go on for hours, and a hundred of them at once."""
    piece = b"data: " + b"x" * 5000 + line_break
    tap = Tap(path="/v1/x", content_type=kind, encoding="", keep=0)
    tracemalloc.start()
    try:
        for _ in range(4000):
            tap.feed(piece[:2500])
            tap.feed(piece[2500:])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    tap.found()
    bound = LONGEST_LINE if kind == EVENTS and not line_break else 2 * WHOLE
    assert peak < bound + 2 * WHOLE


# Whatever comes


PIECES = st.lists(
    st.sampled_from(
        [
            *(DELTA, DONE, event(b"{%b}" % USAGE), event(b'{"usage":null}'), b"\r\n", b"\n"),
            event(b'{"timings":{"prompt_n":3,"predicted_n":4,"prompt_ms":1e400}}'),
            event(b'{"message":{"usage":{"input_tokens":5}},"metrics":{"mean_itl_ms":20}}'),
            *(b"data: {broken", b'"usage":', b"{", b"}", b"[", b"]", b"\xff\x00", b"," + USAGE),
            *(b'{"text":"', b'"', b"x" * BLOCK, b"x" * EDGE, long_line(WHOLE), b" " * 100),
        ]
    ),
    max_size=12,
).map(b"".join)

CUTS = st.lists(st.integers(0, 1_000_000), max_size=8)


@settings(max_examples=200, deadline=None)
@given(
    body=PIECES | st.binary(),
    places=CUTS,
    kind=st.sampled_from([JSON, EVENTS, SOUND, ""]),
    path=st.sampled_from(["/infill", "/v1/x"]),
    encoding=st.sampled_from(["", "gzip", "deflate", "br", "nonsense"]),
    keep=st.sampled_from([0, 10, 20_000, 10_000_000]),
)
def test_garbage_is_heard_the_same_however_it_is_cut(body, places, kind, path, encoding, keep):
    """A network cuts anywhere, and nothing of it may reach whoever relays the answer."""
    how: Any = {"kind": kind, "path": path, "encoding": encoding, "keep": keep}
    found = listen(body, **how)
    assert listen(*cut(body, places), **how) == found
    assert isinstance(found.error(500), str)


@settings(max_examples=100, deadline=None)
@given(body=PIECES, places=CUTS, kind=st.sampled_from([JSON, EVENTS]))
def test_packed_or_not_the_same_is_heard(body, places, kind):
    """How it was sent says nothing about what it took."""
    packed = cut(zlib.compress(body), places)
    assert listen(*packed, kind=kind, encoding="deflate") == listen(body, kind=kind)


# Errors


@pytest.mark.parametrize("letter", ["é", "€", "😀"])
def test_a_message_is_cut_between_letters(letter):
    """Half a letter is none, and 500 bytes are the most that a row has."""
    for ahead in range(4):
        body = json.dumps({"error": "x" * ahead + letter * 600}).encode()
        said = error_message(500, body)
        assert said.endswith(letter + "...")
        assert LONGEST_MESSAGE - 3 <= len(said.removesuffix("...").encode()) <= LONGEST_MESSAGE


def test_every_message_can_be_written_down():
    """JSON may hold half a letter, and neither a database nor a page takes that."""
    assert error_message(500, b'{"error":"a\\ud800b"}') == "a?b"


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b'"error"', b'{"error":[]}', b'{"error":" \\n "}', b"[" * 9999]
)
def test_there_is_always_something_to_say(body):
    """An empty line would look like no error."""
    assert error_message(503, body) == f"503 {HTTPStatus(503).phrase}"
    assert error_message(599, body) == "HTTP 599"


def test_a_huge_error_is_told_by_its_status():
    """Nobody's message is that long; a page of HTML may be."""
    found = listen(b'{"error":"%b"}' % (b"x" * WHOLE))
    assert found.error(502) == f"502 {HTTPStatus(502).phrase}"


# llama.cpp itself


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One place for the tiny models, which are made on first use."""
    pytest.importorskip("xllamacpp")
    pytest.importorskip("gguf")
    return tmp_path_factory.mktemp("models")


@asynccontextmanager
async def open_server(cache: Path, *args: str) -> AsyncIterator[int]:
    """Start a demo server; answer with its port once it serves."""
    command = [sys.executable, "-m", "swapd.demo", "tiny-a", "--port", "0", *args]
    environment = {**os.environ, "SWAPD_DEMO_CACHE": str(cache), "PYTHONPATH": str(ROOT)}
    server = await trio.lowlevel.open_process(
        command, env=environment, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL
    )
    assert server.stdout is not None
    try:
        with trio.fail_after(PATIENCE):
            line = b""
            while not line.endswith(b"\n"):
                piece = await server.stdout.receive_some()
                assert piece, f"it ended before it served, having said {line!r}"
                line += piece
        yield int(line.rpartition(b":")[2])
    finally:
        # It is killed, so a second is plenty; without it a failed test would leave a server.
        with trio.move_on_after(1, shield=True):
            server.kill()
            await server.wait()
            await server.stdout.aclose()


async def heard(port: int, path: str, wish: Mapping[str, Any]) -> tuple[Any, Tokens]:
    """Ask it; answer with its JSON, or that of its events, and what a tap heard."""
    kind, pieces = await trio.to_thread.run_sync(ask, port, path, json.dumps(wish))
    whole = b"".join(pieces)
    found = listen(*pieces, kind=kind, path=path, keep=10)
    assert found.kept == whole[:10]
    if not kind.startswith(EVENTS):
        return json.loads(whole), found.tokens
    lines = [line for line in whole.split(b"\n") if line.startswith(b"data: {")]
    return [json.loads(line[6:]) for line in lines], found.tokens


def ask(port: int, path: str, wish: str) -> tuple[str, list[bytes]]:
    """Answer with the type of an answer, and with the pieces that it came in."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
        connection.request("POST", path, wish, {"Content-Type": JSON})
        answer = connection.getresponse()
        assert answer.status == 200
        return answer.headers["Content-Type"], list(iter(answer.read1, b""))


def by_timings(said: Mapping[str, Any]) -> Tokens:
    """Read llama.cpp's own account."""
    return Tokens(
        *(said["prompt_n"], said["predicted_n"], said["cache_n"], -1, -1),
        *(said["prompt_per_second"], said["predicted_per_second"]),
        int(said["prompt_ms"] + said["predicted_ms"]),
    )


def by_usage(read: int, written: int, cached: int) -> Tokens:
    """Write down what it says where it has no timings."""
    return Tokens(read, written, cached, -1, -1, -1.0, -1.0)


@pytest.mark.real
async def test_llama_cpp_is_understood(cache):
    """Most models are behind it: what it says of itself, in a dozen shapes, is what we say."""
    async with open_server(cache) as port:
        for path, wish in (
            ("/v1/chat/completions", CHAT),
            ("/completion", PROMPT),
            ("/v1/completions", PROMPT),
            ("/infill", INFILL),
        ):
            answer, tokens = await heard(port, path, wish)
            assert tokens == by_timings(answer["timings"])
            assert (tokens.output, tokens.input > 0) == (5, True)
            events, tokens = await heard(port, path, {**wish, "stream": True})
            assert tokens == by_timings(events[-1]["timings"])
            assert (tokens.output, tokens.input > 0) == (5, True)


@pytest.mark.real
async def test_llama_cpp_is_understood_in_others_words(cache):
    """It speaks like OpenAI's responses and like Anthropic's messages, where it is asked to."""
    async with open_server(cache) as port:
        answer, tokens = await heard(port, "/v1/responses", RESPOND)
        used = answer["usage"]
        cached = used["input_tokens_details"]["cached_tokens"]
        assert tokens == by_usage(used["input_tokens"], 5, cached)
        events, tokens = await heard(port, "/v1/responses", {**RESPOND, "stream": True})
        assert tokens == by_timings(events[-1]["timings"])
        assert tokens.output == events[-1]["response"]["usage"]["output_tokens"] == 5

        answer, tokens = await heard(port, "/v1/messages", CHAT)
        used = answer["usage"]
        assert tokens == by_usage(used["input_tokens"], 5, used["cache_read_input_tokens"])
        events, tokens = await heard(port, "/v1/messages", {**CHAT, "stream": True})
        used = events[0]["message"]["usage"]
        assert tokens == by_usage(used["input_tokens"], 5, used["cache_read_input_tokens"])


@pytest.mark.real
async def test_llama_cpp_is_understood_where_it_writes_nothing(cache):
    """Embeddings and ranks are read and not written, and many of them are a large document."""
    async with open_server(cache, "--mode", "embed") as port:
        for texts in (2, 300):
            answer, tokens = await heard(port, "/v1/embeddings", {"input": ["red"] * texts})
            assert len(answer["data"]) == texts
            assert tokens == by_usage(answer["usage"]["prompt_tokens"], 0, -1)
            assert tokens.input >= texts
        assert len(json.dumps(answer)) > WHOLE
    async with open_server(cache, "--mode", "rerank") as port:
        ranks = {"query": "a colour", "documents": ["red", "house"]}
        answer, tokens = await heard(port, "/v1/rerank", ranks)
        assert tokens == by_usage(answer["usage"]["prompt_tokens"], 0, -1)
        assert tokens.input > 0


@pytest.mark.real
async def test_llama_cpps_refusal_is_told_in_its_words(cache):
    """Who looks for a mistake reads there what the server thought of the request."""
    async with open_server(cache) as port:
        body = await trio.to_thread.run_sync(refused, port)
    assert listen(body).error(400) == json.loads(body)["error"]["message"]


def refused(port: int) -> bytes:
    """Ask for what cannot be."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
        connection.request("POST", "/v1/chat/completions", "{}", {"Content-Type": JSON})
        answer = connection.getresponse()
        assert answer.status == 400
        return answer.read()
