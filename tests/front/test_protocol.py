"""What hypercorn's protocol does in our way: what is no request is refused in an envelope."""

import pytest

from swapd.front.serve import LARGEST_HEAD
from tests.house import open_house

HOST = b"Host: x\r\n"


@pytest.mark.parametrize(
    ("raw", "status", "says"),
    [
        (b"nonsense\r\n\r\n", 400, "cannot be read as HTTP/1.1"),
        (b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400, "in two ways"),
        (b"GET /" + b"x" * LARGEST_HEAD, 431, f"longer than {LARGEST_HEAD} bytes"),
    ],
)
async def test_what_is_no_request_is_told_why(raw, status, says, autojump_clock):
    """Whoever wrote the client finds the mistake, and it is known for swapd's own answer."""
    async with open_house("a") as house:
        caller = house.call()
        await caller.raw(raw)
        reply = await caller.reply()
        assert (reply.status, reply.code, reply.complete) == (status, "invalid_request", True)
        assert says in reply.json()["error"]["message"]
        assert reply.headers["connection"] == "close"
        assert await caller.stream.receive_some() == b""
