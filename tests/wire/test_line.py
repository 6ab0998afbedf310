"""The socket under every exchange."""

import socket

import pytest
import trio
from trio.testing import check_two_way_stream, memory_stream_pair, wait_all_tasks_blocked

from swapd.wire.line import Line, shut, stale, why


class Polite(Line):
    """A line that also goes round the scheduler when it sends, as trio's contract wants."""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await super().send_all(data)
        await trio.lowlevel.checkpoint()


async def lines() -> tuple[Polite, Polite]:
    """Connect two ends."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        one = socket.create_connection(listening.getsockname())
        return Polite(one), Polite(listening.accept()[0])


def connected() -> tuple[Line, socket.socket]:
    """Connect a line to a plain socket over TCP."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        raw = socket.create_connection(listening.getsockname())
        return Line(raw), listening.accept()[0]


@pytest.mark.real
async def test_a_line_is_a_stream_as_trio_wants_it() -> None:
    """All else in this room, and TLS, is written against that contract."""
    with trio.fail_after(10):
        await check_two_way_stream(lines, None)


@pytest.mark.real
async def test_a_cancelled_receive_has_taken_nothing() -> None:
    """The early answer to an upload is received by a task that is then cancelled."""
    line, other = connected()
    with other:
        other.sendall(b"answer")
        with trio.CancelScope() as cancelled:
            cancelled.cancel()
            await line.receive_some()
        assert cancelled.cancelled_caught
        assert await line.receive_some() == b"answer"
        shut(line)


@pytest.mark.real
async def test_more_than_fits_is_sent_whole_and_in_order() -> None:
    """A picture is larger than any buffer of a socket."""
    line, peer = await lines()
    whole = bytes(range(256)) * 40_000
    received = bytearray()
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(line.send_all, whole)
            await wait_all_tasks_blocked()
            while len(received) < len(whole):
                received += await peer.receive_some()
    assert received == whole
    shut(line)
    shut(peer)


@pytest.mark.real
async def test_a_pouring_peer_starves_nobody() -> None:
    """What succeeds at once must still let the others run."""
    line, other = connected()
    with other:
        other.sendall(b"x" * 100)
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                await trio.lowlevel.checkpoint()
                turns += 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(others)
            for _ in range(50):
                await line.receive_some(1)
            nursery.cancel_scope.cancel()
        assert turns > 40
    shut(line)


@pytest.mark.real
async def test_a_shut_line_lets_go_of_whoever_waits_for_it() -> None:
    """A descriptor closed under a waiting task would be another connection's next."""
    line, other = connected()
    with other, trio.fail_after(5):
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def wait() -> None:
                with pytest.raises(trio.ClosedResourceError):
                    await line.receive_some()

            await wait_all_tasks_blocked()
            shut(line)
        assert other.recv(1) == b""


@pytest.mark.real
async def test_a_reset_is_told_in_words() -> None:
    """The text reaches the client, and the operator's log."""
    line, other = connected()
    await line.send_all(b"never read")
    other.close()
    with trio.fail_after(5), pytest.raises(trio.BrokenResourceError) as broken:
        await line.receive_some()
    assert why(broken.value) == "connection reset by peer"
    shut(line)


@pytest.mark.real
async def test_what_can_be_read_is_stale() -> None:
    """An end, or bytes that nobody asked for: neither is a connection to send on."""
    line, other = connected()
    with other:
        assert not stale(line)
        other.sendall(b"x")
        assert stale(line)
    shut(line)


@pytest.mark.real
async def test_a_socket_of_trios_own_is_as_good() -> None:
    """Hosts with names are reached through trio."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        stream = await trio.open_tcp_stream(*listening.getsockname())
        other, _ = listening.accept()
    with other:
        assert not stale(stream)
        other.sendall(b"x")
        assert stale(stream)
        shut(stream)
        assert stream.socket.fileno() == -1


async def test_any_stream_can_be_shut() -> None:
    """Tests run whole daemons over streams that are no sockets."""
    ours, theirs = memory_stream_pair()
    assert not stale(ours)
    shut(ours)
    assert await theirs.receive_some() == b""
    shut(ours)


async def test_a_fault_is_told_by_its_cause() -> None:
    """What trio wraps, the operating system said better."""
    refused = OSError("all attempts failed")
    refused.__cause__ = ExceptionGroup("two", [ConnectionRefusedError(111, "Connection refused")])
    assert why(refused) == "connection refused"
    assert why(trio.BrokenResourceError()) == "the connection broke"
    assert why(trio.BrokenResourceError("Torn")) == "torn"
