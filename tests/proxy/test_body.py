"""Reading a request's body, bounded in size and in time; on a pretend clock."""

import io
import math
import os
import resource
import tempfile
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from swapd.proxy.body import (
    LINGER,
    SLOWEST_UPLOAD,
    STALLED_UPLOAD,
    BadUpload,
    ClientGone,
    discard_body,
    read_body,
)
from swapd.proxy.forms import BadForm
from swapd.proxy.spool import PIECE, SPOOLED, Body, NotKept, Spliced, Spooled, replaced

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


# What comes just fast enough if it comes every so many seconds.
BEAT = STALLED_UPLOAD - 1
FAST_ENOUGH = int(BEAT * SLOWEST_UPLOAD)


async def test_an_upload_may_take_long_as_long_as_it_goes_on(autojump_clock):
    """A slow line is no stalled client."""
    sent = upload(*[b"x" * FAST_ENOUGH] * 20, pause=BEAT)
    body = await read_body(sent.receive, 20 * FAST_ENOUGH, announced=None)
    assert isinstance(body, Spooled)
    body.close()
    assert body.size == 20 * FAST_ENOUGH
    assert trio.current_time() == 20 * BEAT


@pytest.mark.parametrize(
    ("piece", "gap", "ends"),
    [
        pytest.param(b"x", BEAT, STALLED_UPLOAD, id="a byte a minute"),
        pytest.param(b"", 0.5, STALLED_UPLOAD, id="pieces of nothing"),
        pytest.param(b"x" * (SLOWEST_UPLOAD // 2), 1.0, 2 * STALLED_UPLOAD, id="half as fast"),
    ],
)
async def test_an_upload_that_drips_is_refused(piece, gap, ends, autojump_clock):
    """408: whoever sends a byte now and then would else be listened to for weeks."""
    sent = upload(*[piece] * 10_000, whole=False, pause=gap)
    with pytest.raises(BadUpload) as bad:
        await read_body(sent.receive, 10**9, announced=10**9)
    assert bad.value.refusal.status == 408
    assert trio.current_time() == pytest.approx(ends, abs=1)


@pytest.mark.parametrize(("late", "refused"), [(-0.01, False), (0.01, True)])
async def test_the_slowest_upload_is_just_fast_enough(late, refused, autojump_clock):
    """The time that a body has is a minute, and a second for each of so many bytes."""
    size = 10 * SLOWEST_UPLOAD
    sent = upload(b"x" * size, b"x")

    async def receive() -> dict[str, Any]:
        # The second piece would come in time for who only minds a minute's silence.
        await trio.sleep(STALLED_UPLOAD - 30 if sent.taken == 0 else 40 + late)
        return await sent.receive()

    if refused:
        with pytest.raises(BadUpload):
            await read_body(receive, 2 * size, announced=None)
    else:
        assert await read_body(receive, 2 * size, announced=None) == b"x" * (size + 1)


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


# Bodies on disk

LARGE = 3 * SPOOLED + 7


def files_on_disk() -> int:
    """Count the files without a name that this process has open."""
    count = 0
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # The one that lists them.
            count += os.readlink(link).endswith("(deleted)")
    return count


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Whatever happens to a body, its file is closed."""
    before = files_on_disk()
    yield
    assert files_on_disk() == before


@contextmanager
def small_disk() -> Iterator[None]:
    """Let no file grow beyond half of what is written at a time."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SPOOLED // 2, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def pieces(size: int) -> list[bytes]:
    """Make up a body of this size, no two pieces of which are the same."""
    each = [b"%08d" % number * 8192 for number in range(size // 65536 + 1)]
    return [*each[:-1], each[-1][: size % 65536]]


async def in_pieces(body: Spooled | Spliced) -> bytes:
    """Read a body as it is sent to a model."""
    whole = b""
    while piece := await body.piece(len(whole)):
        assert len(piece) <= PIECE
        whole += piece
    return whole


@pytest.mark.parametrize(
    ("size", "kind"), [(SPOOLED, bytes), (SPOOLED + 1, Spooled), (LARGE, Spooled)]
)
@pytest.mark.parametrize("cut", [True, False])
async def test_a_large_body_goes_to_disk(size, kind, cut, autojump_clock):
    """However it was cut on its way; what is not large costs no thread and no file."""
    sent = pieces(size) if cut else [b"".join(pieces(size))]
    body = await read_body(upload(*sent).receive, LARGE, announced=None)
    assert type(body) is kind
    if isinstance(body, Spooled):
        assert body.size == size
        assert await body.whole() == await in_pieces(body) == b"".join(sent)
        body.close()
    else:
        assert body == b"".join(sent)


async def test_a_body_on_disk_is_read_from_anywhere_and_again(autojump_clock):
    """A request that did not reach its model is sent once more, from its beginning."""
    sent = b"".join(pieces(LARGE))
    body = await read_body(upload(sent).receive, LARGE, announced=LARGE)
    assert isinstance(body, Spooled)
    for at in (PIECE, 0, 1, 0, LARGE - 1):
        assert await body.piece(at) == sent[at : at + PIECE]
    assert await body.piece(LARGE) == await body.piece(LARGE + 1) == b""
    body.close()
    body.close()


async def test_a_large_body_never_is_in_memory(autojump_clock):
    """Ten of them wait in a queue for minutes."""
    piece = b"x" * 65536
    sent = upload(*[piece] * 512)
    tracemalloc.start()
    try:
        body = await read_body(sent.receive, 64 * SPOOLED, announced=None)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(body, Spooled)
    assert body.size == 32 * SPOOLED
    assert peak < 2.5 * SPOOLED
    body.close()


@pytest.mark.parametrize("size", [100, LARGE])
async def test_who_looks_on_sees_every_piece_in_order(size, autojump_clock):
    """A form is read while it comes, not a second time from the disk."""
    sent = pieces(size)
    shown: list[bytes] = []
    body = await read_body(upload(*sent).receive, LARGE, announced=None, tap=shown.append)
    assert shown == sent
    if isinstance(body, Spooled):
        body.close()


@pytest.mark.parametrize("size", [100, LARGE])
async def test_who_looks_on_may_refuse(size, autojump_clock):
    """A form that cannot be read is not read to its end."""
    sent = upload(*pieces(size), whole=False)

    def tap(piece: bytes) -> None:
        if sent.taken == len(sent.messages):
            raise BadForm("no")

    with pytest.raises(BadForm, match="no"):
        await read_body(sent.receive, LARGE, announced=None, tap=tap)


async def test_what_is_beyond_the_limit_is_not_shown_to_who_looks_on(autojump_clock):
    """A body that is too large is just that, whatever else may be wrong with it."""
    shown: list[bytes] = []
    with pytest.raises(BadUpload):
        await read_body(upload(b"ab", b"cd").receive, 3, announced=None, tap=shown.append)
    assert shown == [b"ab"]


@pytest.mark.parametrize(
    ("after", "limit", "ends"),
    [
        ([LEFT], LARGE, ClientGone),
        ([], LARGE, BadUpload),
        ([{"type": "http.request", "body": b"x"}], LARGE, BadUpload),
    ],
    ids=["left", "stalled", "too large"],
)
async def test_a_large_body_that_does_not_come_whole_leaves_nothing(
    after, limit, ends, autojump_clock
):
    """Else a disk would fill up with the uploads of clients that gave up."""
    sent = Upload([*upload(*pieces(LARGE), whole=False).messages, *after])
    with pytest.raises(ends):
        await read_body(sent.receive, limit, announced=None)


async def test_a_client_that_stalls_while_its_body_is_written_is_refused(autojump_clock):
    """The patience that the disk has been given is not the client's."""
    sent = upload(b"x" * LARGE, whole=False)
    with pytest.raises(BadUpload) as bad:
        await read_body(sent.receive, LARGE, announced=None)
    assert bad.value.refusal.status == 408
    assert trio.current_time() == STALLED_UPLOAD


@pytest.mark.parametrize("taken", [5, 17, 40])
async def test_a_cancelled_upload_leaves_nothing(taken, autojump_clock):
    """Before the disk is used, as it is about to be, and after."""
    sent = upload(*pieces(LARGE), whole=False)
    with trio.CancelScope() as request:

        def tap(piece: bytes) -> None:
            if sent.taken == taken:
                request.cancel()

        await read_body(sent.receive, LARGE, announced=None, tap=tap)
    assert request.cancelled_caught


async def test_a_disk_may_be_slower_than_a_client_may_be(autojump_clock):
    """Only the client's own pauses count as a stalled upload."""
    sent = upload(*pieces(LARGE), pause=STALLED_UPLOAD - 1)
    body = await read_body(sent.receive, LARGE, announced=None)
    assert isinstance(body, Spooled)
    body.close()


async def test_a_full_disk_is_told_to_the_client_and_leaves_nothing(autojump_clock):
    """507: nothing is wrong with the request, and the operator learns where to look."""
    with small_disk(), pytest.raises(BadUpload) as bad:
        await read_body(upload(*pieces(LARGE)).receive, LARGE, announced=None)
    assert (bad.value.refusal.status, bad.value.refusal.code) == (507, "upload_failed")
    assert "on disk: File too large; TMPDIR" in str(bad.value)


async def test_a_missing_directory_is_told_to_the_client(monkeypatch, tmp_path, autojump_clock):
    """TMPDIR may name a place that was unmounted since."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(BadUpload, match="No such file or directory; TMPDIR"):
        await read_body(upload(*pieces(LARGE)).receive, LARGE, announced=None)


async def test_a_body_that_cannot_be_read_back_is_told_to_the_client():
    """A broken disk is no error in swapd, and says so in a word."""
    body = Spooled(io.FileIO("/dev/null", "wb"))
    body.size = 1
    with pytest.raises(OSError, match="Bad file descriptor"):
        await body.piece(0)
    with pytest.raises(NotKept, match="Bad file descriptor"):
        await body.whole()
    body.close()


def on_disk(data: bytes) -> tuple[Spooled, io.FileIO]:
    """Put a body on disk, and answer with its file, too."""
    number, path = tempfile.mkstemp()
    os.unlink(path)
    os.write(number, data)
    file = io.FileIO(number, "r+b")
    body = Spooled(file)
    body.size = len(data)
    return body, file


@pytest.mark.parametrize("cancelled", [True, False])
async def test_a_file_is_closed_only_when_nobody_reads_it_any_more(cancelled):
    """Its number would be another file's, and a model would be sent what is in that."""
    body, file = on_disk(b"hello")
    threads = trio.to_thread.current_default_thread_limiter()
    threads.total_tokens = 1
    read: list[bytes] = []

    async def reading() -> None:
        read.append(await body.piece(0))

    async with trio.open_nursery() as nursery, threads:
        nursery.start_soon(reading)
        await trio.testing.wait_all_tasks_blocked()
        body.close()
        assert not file.closed
        if cancelled:
            nursery.cancel_scope.cancel()
    assert file.closed
    assert read == ([] if cancelled else [b"hello"])


# Bodies with something else in their places


@st.composite
def splices(draw: st.DrawFn) -> tuple[bytes, list[tuple[int, int]], bytes]:
    """Make up a body, places in it, and what is to stand there."""
    body = draw(st.binary(max_size=30))
    edges = sorted(draw(st.lists(st.integers(0, len(body)), max_size=6)))
    return body, list(zip(edges[::2], edges[1::2], strict=False)), draw(st.binary(max_size=9))


@given(splices(), st.integers(0, 60))
@settings(max_examples=300, deadline=None)
def test_what_is_spliced_reads_as_if_it_had_been_written_so(made, at):
    """From wherever it is read, in whatever pieces, and its announced length is true."""
    body, places, value = made
    expected = b""
    end = 0
    for start, following in places:
        expected += body[end:start] + value
        end = following
    expected += body[end:]
    assert replaced(body, places, value) == expected

    async def main() -> None:
        spooled, file = on_disk(body)
        for original in (body, spooled):
            spliced = Spliced(original, places, value)
            assert spliced.size == len(expected)
            assert await in_pieces(spliced) == expected
            assert expected[at:].startswith(await spliced.piece(at))
            spliced.close()
            spliced.close()
        assert file.closed

    trio.run(main)


async def test_a_large_body_is_spliced_in_pieces(autojump_clock):
    """A form of a gigabyte is renamed without being read."""
    sent = b"".join(pieces(LARGE))
    body: Body = await read_body(upload(sent).receive, LARGE, announced=None)
    spliced = replaced(body, [(PIECE + 3, PIECE + 8)], b"y" * (PIECE + 1))
    assert isinstance(spliced, Spliced)
    assert await in_pieces(spliced) == sent[: PIECE + 3] + b"y" * (PIECE + 1) + sent[PIECE + 8 :]
    assert replaced(body, [], b"y") is body
    spliced.close()
