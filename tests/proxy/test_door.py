"""Who is let in to the data plane, and how everybody else is told no.

Which keys are keys is in `tests/test_auth.py`, and how a refusal is written in
`tests/test_envelope.py`.
"""

from functools import partial
from typing import Any

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from swapd.config.settings import Settings
from swapd.proxy.body import LINGER, ClientGone
from swapd.proxy.client import ToClient
from swapd.proxy.door import Door
from tests import stories
from tests.house import House, open_house

CHAT = "/v1/chat/completions"
KEY = {"x-api-key": "sk-a"}


def guarded() -> Settings:
    """Configure a model and a key."""
    return attrs.evolve(stories.settings("a"), api_keys=("sk-a",))


def untouched(house: House) -> bool:
    """Tell whether a request has had no effect at all."""
    return not list(house.flights) and not house.upstream.asked and house.loads() == ""


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", CHAT),
        ("GET", "/props?model=a"),
        ("POST", "/upstream/a/x"),
        ("GET", "/upstream/ghost/x"),
        ("GET", "/upstream/a"),
        ("GET", "/comfyui/"),
    ],
)
@pytest.mark.parametrize("body", [b'{"model":"a"}', b'{"model":"ghost"}', b"{", b""])
async def test_without_a_key_every_request_is_told_the_same(method, path, body, autojump_clock):
    """Rule 1: which models there are is not for everybody, nor what is wrong with a body."""
    async with open_house(settings=guarded()) as house:
        caller = house.call()
        await caller.send(path, body, method=method)
        reply = await caller.reply()
        assert (reply.status, reply.code, reply.complete) == (401, "unauthorized", True)
        assert reply.headers["www-authenticate"] == 'Basic realm="swapd"'
        assert untouched(house)


async def test_with_a_key_it_is_served(autojump_clock):
    """The same connection may be used again, with the key that was forgotten."""
    async with open_house(settings=guarded()) as house:
        caller = house.call()
        await caller.send(CHAT, {"model": "a"})
        assert (await caller.reply()).status == 401
        await caller.send(CHAT, {"model": "a"}, headers=KEY)
        assert (await caller.reply()).status == 200


@pytest.mark.parametrize(
    ("path", "headers", "size", "status"),
    [
        (CHAT, {}, 3_000_000, 401),
        ("/props", KEY, 3_000_000, 405),
        (CHAT, {**KEY, "Content-Type": "multipart/form-data"}, 900_000, 400),
        (CHAT, KEY, 3_000_000, 413),
    ],
)
async def test_who_is_still_sending_gets_to_read_why_not(
    path, headers, size, status, autojump_clock
):
    """Rule 2: closing at once would reset the connection under the answer."""
    async with open_house(settings=guarded()) as house:
        caller = house.call()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(caller.send, path, b"x" * size, headers=headers))
            reply = await caller.reply()
        assert (reply.status, reply.complete) == (status, True)
        await caller.send(CHAT, {"model": "a"}, headers=KEY)
        assert (await caller.reply()).status == 200


async def test_who_never_stops_sending_is_not_listened_to_for_ever(autojump_clock):
    """What is thrown away costs a connection all the same."""
    async with open_house(settings=guarded()) as house:
        caller = house.call()
        await caller.raw(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{"
        )
        assert (await caller.stream.receive_some()).startswith(b"HTTP/1.1 401 ")
        while await caller.stream.receive_some():
            pass
        assert trio.current_time() == LINGER


async def test_who_leaves_in_the_middle_of_an_upload_leaves_nothing(autojump_clock, caplog):
    """There is nobody to be told, and nothing to be logged."""
    async with open_house("a") as house:
        caller = house.call()
        await caller.raw(
            b'POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{"mo'
        )
        await wait_all_tasks_blocked()
        await caller.leave()
        await wait_all_tasks_blocked()
        assert untouched(house)
    assert caplog.messages == []


async def test_who_has_left_is_told_nothing(autojump_clock):
    """Not even why: an answer that nobody can read would only be an error in the log."""

    async def serve(answer: ToClient) -> None:
        raise ClientGone

    async def unused(message: Any = None) -> None:
        pytest.fail(f"nobody should have been told {message}")

    state = {"client": None}
    scope: Any = {"method": "POST", "headers": [], "http_version": "1.1", "state": state}
    scope |= {"path": CHAT, "client": None}
    async with open_house("a") as house:
        await Door(house.engine, house.flights, house.watching)(scope, unused, unused, serve)


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", CHAT, "POST"),
        ("PUT", CHAT, "POST"),
        ("DELETE", "/v1/audio/voices", "GET, HEAD, POST"),
        ("POST", "/props", "GET, HEAD"),
    ],
)
async def test_a_path_has_its_methods_only(method, path, allow, autojump_clock):
    """D3: the answer names them, and a body of any kind is not looked at."""
    async with open_house("a") as house:
        caller = house.call()
        await caller.send(path, b'{"model":"a"}', method=method)
        reply = await caller.reply()
        assert (reply.status, reply.code) == (405, "method_not_allowed")
        assert reply.headers["allow"] == allow
        assert untouched(house)


@pytest.mark.parametrize(
    ("path", "accept", "begins"),
    [
        (CHAT, "*/*", b'{"src":"swapd"'),
        (CHAT, "text/html,*/*", b"<html>"),
        (CHAT, "text/plain", b"swapd: "),
        ("/v1/messages", "*/*", b'{"type":"error"'),
        ("/upstream/ghost/v1/messages", "*/*", b'{"src":"swapd"'),
    ],
)
async def test_a_refusal_is_written_for_whoever_reads_it(path, accept, begins, autojump_clock):
    """Before its body was read and after."""
    for settings, status in ((stories.settings("a"), 404), (guarded(), 401)):
        async with open_house(settings=settings) as house:
            reply = await house.post(path, {"model": "ghost"}, accept=accept)
            assert reply.status == status
            assert reply.body.startswith(begins)
