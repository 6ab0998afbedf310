"""What a daemon is given of the machine; whole daemons are in test_daemon.py."""

import socket

import pytest
import trio

from swapd.front.listen import Address, open_listener
from swapd.serving import Entrance


@pytest.mark.real
async def test_an_entrance_is_started_when_it_listens_and_says_where():
    """What is announced must be what can be connected to."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    with open_listener(Address(port=0)) as listener:
        entrance = Entrance(listener, False, None)
        assert entrance.where == f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with trio.open_nursery() as nursery:
            front = await nursery.start(entrance.run, app)
            with socket.create_connection(listener.getsockname()):
                pass
            stream = await trio.open_tcp_stream(*listener.getsockname())
            await stream.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 204 ")
            await stream.aclose()
            await front.drained()
            nursery.cancel_scope.cancel()
