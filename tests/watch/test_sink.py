"""The way to standard output: never in anybody's way."""

import errno
import json
import os
import select
import threading
import time

import pytest

from swapd.ids import ModelId
from swapd.watch.printing import Form, Message, Output
from swapd.watch.sink import MOST, Sink, under_service_manager

A = ModelId("a")

# More than any of this takes.
PATIENCE = 20.0


def said(text: str) -> Message:
    """Make a message."""
    return Message(0.0, "info", text, (), f"[INFO] {text}\n".encode())


def read_all(fd: int) -> bytes:
    """Read a pipe to its end."""
    with os.fdopen(fd, "rb") as pipe:
        return pipe.read()


@pytest.mark.real
def test_what_was_put_before_the_end_is_written_in_order():
    """The last line says why the daemon is gone."""
    reading, writing = os.pipe()
    sink = Sink(writing, Form.TEXT)
    for number in range(200):
        sink.put(said(str(number)))
    sink.put(Output(0.0, A, b"raw \xff"))
    sink.close(PATIENCE)
    sink.put(said("too late"))
    os.close(writing)
    expected = b"".join(b"[INFO] %d\n" % number for number in range(200)) + b"raw \xff"
    assert read_all(reading) == expected


@pytest.mark.real
def test_what_is_put_is_written_without_anybody_asking():
    """A log that is only seen at the end is of no use."""
    reading, writing = os.pipe()
    sink = Sink(writing, Form.TEXT)
    for number in range(3):
        sink.put(said(str(number)))
        assert select.select([reading], [], [], PATIENCE)[0]
        assert os.read(reading, 1000) == b"[INFO] %d\n" % number
    sink.close(PATIENCE)
    os.close(writing)
    os.close(reading)


@pytest.mark.real
def test_a_burst_becomes_few_writes():
    """Each of them wakes whoever reads, and takes the interpreter from the tokens."""
    reading, writing = os.pipe()
    sink = Sink(writing, Form.TEXT)
    sink.put(said("first"))
    assert os.read(reading, 1000) == b"[INFO] first\n"
    for _ in range(100):
        sink.put(said("x"))
    assert select.select([reading], [], [], PATIENCE)[0]
    assert len(os.read(reading, 100_000).splitlines()) == 100
    sink.close(PATIENCE)
    os.close(writing)
    os.close(reading)


@pytest.mark.real
@pytest.mark.parametrize("form", list(Form))
def test_a_pipe_that_nobody_reads_holds_up_nobody(form):
    """100 MB, and memory is bounded; and the daemon ends in time."""
    reading, writing = os.pipe()
    sink = Sink(writing, form)
    line = b"x" * 1023 + b"\n"
    began = time.perf_counter()
    for _ in range(1600):
        sink.put(Output(0.0, A, line * 64))
    assert time.perf_counter() - began < 5
    assert sink._size <= MOST
    began = time.perf_counter()
    sink.close(0.2)
    assert time.perf_counter() - began < 5
    assert sink._thread.is_alive()
    assert sink._entries == type(sink._entries)()
    # Whatever it is writing just now is written, and then no more.
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(read_all(reading)))
    reader.start()
    sink._thread.join(PATIENCE)
    assert not sink._thread.is_alive()
    os.close(writing)
    reader.join(PATIENCE)
    assert len(got[0]) < 5 * MOST


@pytest.mark.real
def test_who_reads_at_last_sees_how_much_is_gone():
    """A line stands where the oldest were, and every other line is whole."""
    reading, writing = os.pipe()
    sink = Sink(writing, Form.JSON)
    for number in range(5000):
        sink.put(Message(0.0, "info", f"{number} {'x' * 1000}", (), b"y" * 1000))
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(read_all(reading)))
    reader.start()
    sink.close(PATIENCE)
    os.close(writing)
    reader.join(PATIENCE)
    found = [json.loads(line) for line in got[0].splitlines()]
    missing = [one["text"] for one in found if "dropped" in one["text"]]
    lost = sum(int(text.partition(" ")[0]) for text in missing)
    assert lost == (5000 - (len(found) - len(missing))) * 1000 > 0
    assert found[-1]["text"].startswith("4999 ")


@pytest.mark.real
def test_a_reader_that_is_gone_ends_it_in_silence(capfd):
    """`swapd serve | head` goes on serving."""
    reading, writing = os.pipe()
    sink = Sink(writing, Form.TEXT)
    os.close(reading)
    sink.put(said("nobody hears this"))
    sink._thread.join(PATIENCE)
    assert not sink._thread.is_alive()
    sink.put(said("nor this"))
    assert sink._size == 0
    sink.close(PATIENCE)
    os.close(writing)
    assert capfd.readouterr() == ("", "")


@pytest.mark.real
def test_a_file_that_takes_nothing_now_is_asked_again():
    """Whoever shares a terminal may have made it so that writing to it does not wait."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    sink = Sink(writing, Form.TEXT)
    sink.put(Output(0.0, A, b"x" * 500_000))
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(read_all(reading)))
    reader.start()
    sink.close(PATIENCE)
    os.close(writing)
    reader.join(PATIENCE)
    assert got == [b"x" * 500_000]


@pytest.mark.real
def test_a_full_disk_costs_lines_and_not_the_log(monkeypatch):
    """When there is room again it goes on, on a line of its own, and says what is missing."""
    disk: list[bytes] = []
    full = True
    tried = threading.Event()
    written = threading.Event()

    def write(fd: int, data: memoryview) -> int:
        if full and disk:
            tried.set()
            raise OSError(errno.ENOSPC, "No space left on device")
        disk.append(bytes(data[:10]) if full else bytes(data))
        if not full:
            written.set()
        return len(disk[-1])

    monkeypatch.setattr(os, "write", write)
    sink = Sink(1, Form.PRIORITY)
    sink.put(said("as long as it can be"))
    assert tried.wait(PATIENCE)
    full = False
    sink.put(said("on"))
    assert written.wait(PATIENCE)
    sink.close(PATIENCE)
    lines = b"".join(disk).splitlines()
    assert lines == [b"<6>as long", b"<4>14 bytes dropped", b"<6>on"]


@pytest.mark.real
def test_a_service_manager_is_known_by_the_stream_that_it_made(tmp_path):
    """Who redirects a unit's output wants no priorities in the file."""
    reading, writing = os.pipe()
    there = os.fstat(writing)
    named = {"JOURNAL_STREAM": f"{there.st_dev}:{there.st_ino}"}
    assert under_service_manager(named, writing)
    with (tmp_path / "log").open("wb") as file:
        assert not under_service_manager(named, file.fileno())
    assert not under_service_manager({}, writing)
    assert not under_service_manager({"JOURNAL_STREAM": "nonsense"}, writing)
    os.close(reading)
    os.close(writing)
    assert not under_service_manager(named, writing)
