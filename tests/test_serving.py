"""What a daemon is given of the machine; whole daemons are in test_daemon.py."""

import socket

import pytest
import trio

from swapd.front.listen import Address, open_listener
from swapd.front.serve import server_tls
from swapd.manage.streaming import MOST_FOLLOWERS
from swapd.serving import Entrance, Options, open_doors
from tests.daemons import make_certificate


@pytest.mark.real
async def test_an_entrance_is_started_when_it_listens_and_says_where():
    """What is announced must be what can be connected to."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    with open_listener(Address(port=0)) as listener:
        entrance = Entrance(listener, False)
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


@pytest.mark.real
def test_admins_have_a_door_of_their_own_that_speaks_plainly(tmp_path):
    """Our own commands speak no TLS to a socket file, and nobody can listen in there."""
    tls = server_tls(*map(str, make_certificate(tmp_path)))
    options = Options(Address(port=0), Address(path=str(tmp_path / "admin.sock")))
    with open_doors(options, tls) as (clients, admins):
        assert (clients.admin, clients.tls) == (False, tls)
        assert (admins.admin, admins.tls) == (True, None)
        assert clients.where.startswith("https://127.0.0.1:")
        assert admins.where == f"unix:{tmp_path}/admin.sock"
        assert not clients.wide
        assert not admins.wide
        assert admins.crowd.others is clients.crowd
        assert admins.crowd.most > 2 * MOST_FOLLOWERS


@pytest.mark.real
def test_whoever_can_be_reached_from_elsewhere_is_wide():
    """By the address that it really has, not by the name that was given."""
    for host, wide in (("127.1", False), ("LOCALHOST", False), ("0.0.0.0", True)):
        with open_doors(Options(Address(host, 0)), None) as [door]:
            assert door.wide == wide
