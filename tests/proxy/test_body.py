"""Reading a request's body, bounded in size and in time; on a pretend clock."""

import math
from typing import Any

import attrs
import pytest
import trio

from swapd.proxy.body import (
    LINGER,
    STALLED_UPLOAD,
    BadUpload,
    ClientGone,
    discard_body,
    read_body,
)

LEFT = {"type": "http.disconnect"}


@attrs.define
class Upload:
    """A client that sends these messages, one after so many seconds each, and then nothing."""

    messages: list[dict[str, Any]]
    pause: float = 0.0
    taken: int = 0

    async def receive(self) -> dict[str, Any]:
        await trio.sleep(self.pause if self.taken < len(self.messages) else math.inf)
        self.taken += 1
        return self.messages[self.taken - 1]


def upload(*pieces: bytes, whole: bool = True, pause: float = 0.0) -> Upload:
    """Send pieces; the last one ends the body if it is sent whole."""
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages[-1]["more_body"] = not whole
    return Upload(messages, pause)


@pytest.mark.parametrize(
    ("pieces", "body"),
    [((b"",), b""), ((b"abc",), b"abc"), ((b"a", b"", b"bc"), b"abc"), ((b"abc", b""), b"abc")],
)
async def test_a_body_is_read_to_its_end(pieces, body, autojump_clock):
    """However it was cut on its way."""
    assert await read_body(upload(*pieces).receive, 3, announced=None) == body


async def test_a_message_without_a_body_counts_as_its_end(autojump_clock):
    """ASGI allows both keys to be left out."""
    sent = Upload([{"type": "http.request"}])
    assert await read_body(sent.receive, 3, announced=None) == b""


async def test_a_body_announced_too_large_is_refused_before_any_of_it_is_read(autojump_clock):
    """A gigabyte is not uploaded to be told no."""
    sent = upload(b"abcd")
    with pytest.raises(BadUpload) as bad:
        await read_body(sent.receive, 3, announced=4)
    assert (bad.value.refusal.status, bad.value.refusal.code) == (413, "body_too_large")
    assert sent.taken == 0


async def test_a_body_that_grows_too_large_is_refused_at_once(autojump_clock):
    """What comes behind the limit is never kept."""
    sent = upload(b"ab", b"cd", b"ef")
    with pytest.raises(BadUpload) as bad:
        await read_body(sent.receive, 3, announced=None)
    assert bad.value.refusal.code == "body_too_large"
    assert "3 bytes" in str(bad.value)
    assert sent.taken == 2


async def test_an_upload_may_take_long_as_long_as_it_goes_on(autojump_clock):
    """A slow line is no stalled client."""
    sent = upload(*[b"x"] * 20, pause=STALLED_UPLOAD - 1)
    assert len(await read_body(sent.receive, 20, announced=20)) == 20


async def test_an_upload_that_stalls_is_refused(autojump_clock):
    """408, a minute after the last piece."""
    sent = upload(b"x", whole=False)
    with pytest.raises(BadUpload) as bad:
        await read_body(sent.receive, 20, announced=20)
    assert bad.value.refusal.status == 408
    assert trio.current_time() == STALLED_UPLOAD


async def test_a_client_that_leaves_before_the_end_is_no_error_of_ours(autojump_clock):
    """There is nobody left to be told anything."""
    sent = Upload([*upload(b"x", whole=False).messages, LEFT])
    with pytest.raises(ClientGone):
        await read_body(sent.receive, 20, announced=20)


@pytest.mark.parametrize("last", [LEFT, {"type": "http.request", "body": b"y"}])
async def test_what_is_not_wanted_is_thrown_away_until_its_end(last, autojump_clock):
    """The client gets to read its refusal, and its connection may be used again."""
    sent = Upload([*upload(*[b"x" * 65536] * 50, whole=False).messages, last])
    await discard_body(sent.receive)
    assert sent.taken == 51
    assert trio.current_time() == 0


async def test_throwing_away_has_an_end(autojump_clock):
    """A client that sends for ever is not listened to for ever."""
    await discard_body(upload(*[b"x"] * 1000, pause=0.1).receive)
    assert trio.current_time() == pytest.approx(LINGER)
