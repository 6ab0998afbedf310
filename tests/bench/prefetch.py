"""A model with a large file: making it, making it cold, and timing the swap to the model.

Rule 1: cold and read ahead differ in nothing but that; each measurement begins with a cold file.
Rule 2: what is cached is asked of the kernel, before and after; what is not as it should be is
no measurement.
"""

import ctypes
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from swapd.config.settings import Model
from swapd.models.prefetch import Prefetcher, room
from swapd.models.warden import open_warden
from tests.bench.callers import Address, BadAnswer, chat, open_line
from tests.bench.contestants import CannotMeasure, free_port, open_child, wait_healthy

GIBIBYTES = 2
_SIZE = GIBIBYTES << 30
_PIECE = 1 << 20
# Longer than a slow disk takes for the file, and than the stream that is waited for.
_PATIENCE = 300.0
# A kernel may evict a page here and there at any time; so much of a file is all of it.
_ALL = 0.95
# Events a second of the stream that somebody else is served.
_RATE = 20


@contextmanager
def open_large_file(folder: Path) -> Iterator[Path]:
    """Make a file that no disk can make small; leaving deletes it."""
    free = shutil.disk_usage(folder).free
    if free < 2 * _SIZE or room() < _SIZE:
        raise CannotMeasure(f"needs {2 * GIBIBYTES} GiB of disk and {GIBIBYTES} GiB of memory")
    path = folder / "large.gguf"
    try:
        with path.open("wb") as file:
            for _ in range(_SIZE // _PIECE):
                file.write(os.urandom(_PIECE))
        yield path
    finally:
        path.unlink()


def make_cold(path: Path) -> None:
    """Have the kernel forget what it has cached of a file, or say that it does not."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        deadline = time.monotonic() + 5.0
        while time.monotonic() < deadline:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            if cached(path) == 0.0:
                return
    raise CannotMeasure(f"{path} stays in the page cache; is it on a disk?")


def cached(path: Path) -> float:
    """Answer how much of a file is in the page cache, from 0 to 1."""
    size = path.stat().st_size
    pages = (ctypes.c_ubyte * -(-size // os.sysconf("SC_PAGE_SIZE")))()
    with path.open("rb") as file:
        place = _LIBC.mmap(None, size, 1, 1, file.fileno(), 0)
    if place == ctypes.c_void_p(-1).value:
        raise CannotMeasure(f"cannot map {path}")
    try:
        if _LIBC.mincore(ctypes.c_void_p(place), ctypes.c_size_t(size), pages) != 0:
            raise CannotMeasure("the kernel does not tell what is cached")
    finally:
        _LIBC.munmap(ctypes.c_void_p(place), ctypes.c_size_t(size))
    return bytes(pages).translate(_LOWEST_BIT).count(1) / len(pages)


# With the types that matter: an address does not fit into ctypes' int.
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.mmap.restype = ctypes.c_void_p
_LIBC.mmap.argtypes = [
    *(ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
]
# The other bits of what mincore says are reserved.
_LOWEST_BIT = bytes(number & 1 for number in range(256))


def bare_start(model: Model, path: Path, *, hold: float, ahead: bool) -> float:
    """Start the model's server with nobody in front of it; in seconds until it is healthy."""
    make_cold(path)
    with open_warden() as warden:
        prefetcher = Prefetcher(warden=warden)
        if ahead:
            prefetcher.begin(attrs.evolve(model, prefetch=()))
        # As long as in a queue also where nothing is read: a disk that was busy a moment ago may
        # be several times as fast as one that was not.
        time.sleep(hold)
        prefetcher.end()
    _check(cached(path), ahead=ahead)
    port = free_port()
    argv = [word.replace(str(model.origin.port), str(port)) for word in model.argv]
    began = time.perf_counter()
    with open_child(argv) as child:
        wait_healthy(("127.0.0.1", port), child)
        return time.perf_counter() - began


def queued_swap(
    address: Address, path: Path, *, serving: str, wanted: str, hold: float, ahead: bool
) -> float:
    """Queue for `wanted` while `serving` has a request for so long; in seconds.

    From the end of the one's answer to the first byte of the other's.
    """
    with open_line(address) as served, open_line(address) as waiting:
        for line in (served, waiting):
            line.settimeout(_PATIENCE)
        served.sendall(chat(serving, stream=True, chunks=int(hold * _RATE), rate=_RATE))
        heard = served.recv(65536)  # It is loaded, and keeps the other waiting.
        make_cold(path)
        waiting.sendall(chat(wanted))
        part = 0.0
        while not heard.endswith(b"0\r\n\r\n"):
            part = cached(path)
            heard = heard[-8:] + served.recv(65536)
            ended = time.perf_counter()
        answer = waiting.recv(65536)
        took = time.perf_counter() - ended
        _check(part, ahead=ahead)
        if not answer.startswith(b"HTTP/1.1 200"):
            raise BadAnswer(repr(answer[:400]))
        return took


def _check(part: float, *, ahead: bool) -> None:
    if part < _ALL if ahead else part > 0.0:
        raise CannotMeasure(f"{part:.0%} of the file was in the page cache before the start")
