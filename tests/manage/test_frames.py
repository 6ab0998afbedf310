"""What the stream of events says, and how it is written."""

import json
from typing import Any

import attrs
import pytest

from swapd.config.kinds import Modality
from swapd.config.settings import Capabilities, Origin, Peer
from swapd.manage import frames
from swapd.manage.frames import Frame
from swapd.manage.instants import Instants
from swapd.schedule.phase import Phase
from swapd.watch.trace import Trace
from tests import stories

INSTANTS = Instants(1_000_000_000.0)


def said(told: Frame) -> Any:
    """Read a frame as browsers and the web page do: JSON in JSON in a line."""
    head, line, *rest = told.data.decode().split("\n")
    assert (head, rest) == ("event:message", ["", ""])
    event = json.loads(line.removeprefix("data:"))
    assert list(event) == ["type", "data"]
    assert event["type"] == told.kind
    return json.loads(event["data"])


def test_the_framing_is_llama_swaps_to_the_letter():
    """Scripts take such a stream apart with a regular expression."""
    assert frames.log_text("proxy", "a\n").data == (
        b"event:message\n"
        b'data:{"type":"logData","data":"{\\"data\\":\\"a\\\\n\\",\\"source\\":\\"proxy\\"}"}\n\n'
    )


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("a\r\nb\n\ndata: x\n\n", "a\r\nb\n\ndata: x\n\n"),
        ('"\\', '"\\'),
        ("\x00\x1b[31m", "\x00\x1b[31m"),
        ("größer — 😀\u2028", "größer — 😀\u2028"),
        ("half \ud83d of it", "half ? of it"),
    ],
)
def test_no_text_breaks_a_frame(text, read):
    """Models write what they like, and clients ask for models of any name."""
    assert said(frames.log_text("upstream", text)) == {"data": read, "source": "upstream"}


@pytest.mark.parametrize(
    ("told", "value"),
    [
        (frames.profile_changed("coding"), {"active": "coding"}),
        (frames.profile_changed(None), {"active": None}),
        (frames.activity(42), {"id": 42}),
        (frames.preloaded("a", success=True), {"model": "a", "success": True}),
        (frames.remove("r-7"), {"operation": "remove", "id": "r-7"}),
        (frames.dropped("proxy", 7), {"data": "\n— 7 bytes dropped —\n", "source": "proxy"}),
        pytest.param(frames.snapshot([]), {"operation": "snapshot"}, id="I8"),
    ],
)
def test_small_ones(told, value):
    """As llama-swap has them; the web page goes by these keys."""
    assert said(told) == value


def test_models_are_ours_by_id_and_then_those_of_peers():
    """L2: also what is unlisted, and none of it twice; the keys in the order of the reference."""
    peers = {
        "strix": Peer("strix", Origin("http", "127.0.0.1", 1), ("shared",)),
        "cuda": Peer("cuda", Origin("http", "127.0.0.1", 2), ("shared",)),
    }
    hidden = attrs.evolve(stories.model("Z"), unlisted=True, name=" Zed ", description="last")
    settings = attrs.evolve(stories.settings(["shared", hidden]), peers=peers)
    found = said(frames.model_status(settings, lambda model: Phase.STARTING))
    assert [each["id"] for each in found] == ["Z", "shared", "cuda/shared", "strix/shared"]
    assert list(found[0].items()) == [
        ("id", "Z"),
        ("name", "Zed"),
        ("description", "last"),
        ("state", "starting"),
        ("unlisted", True),
        ("peerID", ""),
    ]
    assert found[2] == {
        "id": "cuda/shared",
        "name": "",
        "description": "",
        "state": "",
        "unlisted": False,
        "peerID": "cuda",
    }


def test_a_model_says_what_it_can_do():
    """L17: what is not so is left out."""
    can = Capabilities(
        inputs=(Modality.TEXT, Modality.IMAGE), outputs=(Modality.TEXT,), tools=True, context=4096
    )
    able = attrs.evolve(stories.model("a"), capabilities=can, aliases=("fast",))
    settings = stories.settings([able, "b"])
    first, second = said(frames.model_status(settings, lambda model: Phase.STOPPED))
    assert {name: first[name] for name in list(first)[6:]} == {
        "aliases": ["fast"],
        "capabilities": {"vision": True, "function_calling": True},
        "context_length": 4096,
    }
    assert {"aliases", "capabilities", "context_length"}.isdisjoint(second)


def test_the_web_page_is_told_which_headers_name_a_session():
    """An empty list turns that column off."""
    settings = attrs.evolve(stories.settings(["a"]), session_headers=("X-Trace-ID",))
    assert said(frames.ui_config(settings)) == {"activity": {"session_id": ["X-Trace-ID"]}}
    settings = stories.settings(["a"])
    assert said(frames.ui_config(settings)) == {"activity": {"session_id": []}}


def traced(path: str = "/v1/chat/completions") -> Trace:
    """Make a request that somebody has sent, of which nothing more is known yet."""
    return Trace(
        "r-1f3a",
        method="POST",
        path=path,
        protocol="1.1",
        headers=[(b"user-agent", b"curl"), (b"authorization", b"Bearer secret")],
        address="203.0.113.9",
        agent="curl",
    )


async def test_a_request_is_told_with_all_that_is_known_of_it(autojump_clock):
    """I1: with whom it is from, and none of its secrets."""
    trace = traced()
    trace.model = "a"
    request = frames.in_flight(trace, INSTANTS, trace.began + 1.0005)
    assert list(request.items()) == [
        ("id", "r-1f3a"),
        ("timestamp", "2001-09-09T01:46:40.000Z"),
        ("model", "a"),
        ("req_path", "/v1/chat/completions"),
        ("method", "POST"),
        ("req_headers", {"User-Agent": "curl", "Authorization": "[REDACTED]"}),
        ("remote_ip", "203.0.113.9"),
        ("resp_headers", {}),
        ("resp_bytes", 0),
        ("elapsed_ms", 1000),
    ]
    trace.metadata["source"] = "test"
    trace.response_headers = [(b"set-cookie", b"s=1"), (b"content-encoding", b"gzip")]
    trace.bytes = 5
    request = frames.in_flight(trace, INSTANTS, trace.began - 1)
    assert request["resp_headers"] == {"Set-Cookie": "[REDACTED]", "Content-Encoding": "gzip"}
    assert (request["resp_bytes"], request["elapsed_ms"]) == (5, 0)
    assert request["metadata"] == {"source": "test"}


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/v/chat/completions", "/v/chat/completions"),
        ("/upstream/org/a/v1/chat/completions", "/v1/chat/completions"),
    ],
)
async def test_a_path_is_told_as_it_was_asked_but_for_its_model(path, shown, autojump_clock):
    """The model stands in a column of its own."""
    trace = traced(path)
    trace.route = "/v1/chat/completions"
    assert frames.in_flight(trace, INSTANTS, trace.began)["req_path"] == shown


async def test_a_name_that_is_half_a_character_is_told_all_the_same(autojump_clock):
    """JSON has such texts, and a client that sends one must not end the stream of all others."""
    trace = traced()
    trace.model = "\ud83d"
    told = frames.upsert(frames.in_flight(trace, INSTANTS, trace.began))
    assert said(told)["request"]["model"] == "?"


def test_frames_print_short():
    """A failing test that shows 100 KiB of a log helps nobody."""
    assert len(repr(frames.log_text("proxy", "x" * 1000))) < 100
