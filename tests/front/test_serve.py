"""Running hypercorn: keep-alive, idle connections, draining; in pretend time."""

import subprocess

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from swapd.front.connection import KEEP_ALIVE
from swapd.front.serve import BadTls, server_tls
from tests.fakes import Asked
from tests.house import open_house

CHAT = "/v1/chat/completions"


async def test_a_connection_carries_many_requests(autojump_clock):
    """Models and managing, one after the other, on one connection."""
    async with open_house("a") as house:
        caller = house.call()
        for _ in range(3):
            await caller.send(CHAT, {"model": "a"})
            assert (await caller.reply()).status == 200
            await caller.send("/health")
            assert (await caller.reply()).body == b"OK"


async def test_an_idle_connection_is_closed_in_the_end(autojump_clock):
    """Later than common clients close theirs, so that no request is lost on the way."""
    async with open_house("a") as house:
        caller = house.call()
        await caller.send("/health")
        await caller.reply()
        before = trio.current_time()
        assert await caller.stream.receive_some() == b""
        assert trio.current_time() - before == pytest.approx(KEEP_ALIVE)


async def test_a_half_sent_head_is_closed_in_the_end(autojump_clock):
    """A client that never finishes asking holds nothing but its own connection."""
    async with open_house("a") as house:
        caller = house.call()
        await caller.raw(b"POST /v1/chat/completions HTT")
        assert (await house.post(CHAT, {"model": "a"})).status == 200
        assert await caller.stream.receive_some() == b""
        assert trio.current_time() <= KEEP_ALIVE + 10


@pytest.mark.parametrize(
    "junk",
    [b"PRI * HTTP/2.0\r\n\r\nSM", b"nonsense\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01"],
)
async def test_junk_is_answered_or_cut_and_harms_nobody(junk, autojump_clock):
    """Port scanners and TLS on the plain port are part of life."""
    async with open_house("a") as house:
        caller = house.call()
        await caller.raw(junk + b"\r\n\r\n")
        await wait_all_tasks_blocked()
        await caller.leave()
        assert (await house.get("/health")).status == 200


async def test_stopping_closes_what_is_idle_and_finishes_the_rest(autojump_clock):
    """The drain waits for requests, not for connections."""
    go = trio.Event()

    async def slow(asked: Asked) -> None:
        await go.wait()
        await asked.answer(b"done")

    async with open_house("a") as house:
        house.upstream.handler = slow
        idle = house.call()
        await idle.send("/health")
        await idle.reply()
        busy = house.call()
        await busy.send(CHAT, {"model": "a"})
        await trio.sleep(5)
        await house.front.stop_accepting()
        assert await idle.stream.receive_some() == b""
        go.set()
        assert (await busy.reply()).body == b"done"
        with trio.fail_after(1):
            await house.front.drained()


async def test_stopping_does_not_wait_for_half_an_upload(autojump_clock):
    """It has no turn yet, and would only be refused."""
    async with open_house("a") as house:
        caller = house.call()
        await caller.raw(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"
        )
        await wait_all_tasks_blocked()
        await house.front.stop_accepting()
        with trio.fail_after(1):
            await house.front.drained()


async def test_stopping_ends_a_websocket(autojump_clock):
    """It would never end by itself, and its client knows how to come back."""

    async def switch(asked: Asked) -> None:
        await asked.send(
            b"HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello"
        )
        await asked.gone()

    async with open_house("a") as house:
        house.upstream.handler = switch
        caller = house.call()
        await caller.raw(
            b"GET /upstream/a/ HTTP/1.1\r\nHost: x\r\n"
            b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        got = b""
        while not got.endswith(b"hello"):
            got += await caller.stream.receive_some()
        await house.front.stop_accepting()
        with trio.fail_after(1):
            await house.front.drained()


async def test_nothing_is_left_of_a_connection(autojump_clock):
    """No task, no callback, no descriptor outlives its client."""
    async with open_house("a") as house:
        caller = house.call()
        await caller.send(CHAT, {"model": "a"})
        await caller.reply()
        await caller.leave()
        with trio.fail_after(1):
            await house.front.drained()


def test_tls_files_that_are_no_use_raise_what_the_cli_expects(tmp_path):
    """It says which exit code that is."""
    with pytest.raises(BadTls, match="No such file"):
        server_tls(str(tmp_path / "none.pem"), str(tmp_path / "none.key"))


@pytest.mark.real
def test_a_key_with_a_passphrase_is_refused_without_asking(tmp_path):
    """A service has no terminal; OpenSSL would wait at one for ever."""
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "cert.pem")
    make = "openssl req -x509 -newkey rsa:2048 -passout pass:secret -days 1 -subj /CN=localhost"
    files = ["-keyout", key, "-out", certificate]
    subprocess.run([*make.split(), *files], check=True, capture_output=True)
    with pytest.raises(BadTls, match="passphrase"):
        server_tls(certificate, key)
