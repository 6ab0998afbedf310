"""Reading a model's files into the page cache before the model is started.

While somebody is served and the next in the queue wants another model, a second process reads the
files that the other model's command names. It keeps nothing of them. The kernel does, and the
start that follows finds in memory what it would have waited for.

Rule 1: the file is also the program that runs in the second process, with the standard library
alone and none of swapd. Not a thread: it would hold the interpreter's lock while others wait.
Rule 2: the daemon looks at no file. On a network disk that is dead a look can take for ever.
Rule 3: reading ahead is a favour. It comes after everybody else, takes only memory that nobody
uses, and what goes wrong with it is told and forgotten.
"""

import ctypes
import logging
import os
import re
import select
import stat
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swapd.config.settings import Model
    from swapd.models.warden import Warden

log = logging.getLogger(__name__)

# Read at a time: large enough for the disk, small enough to end soon after being told.
BLOCK = 1024 * 1024

# How much is read between two looks at the memory, which others use meanwhile.
LOOK = 64 * BLOCK

# One part in so many of the memory is left alone, whoever it belongs to.
SPARE = 20


class Prefetcher:
    """Has the files of one model at a time read ahead. It never raises and never waits."""

    def __init__(self, *, warden: "Warden") -> None:
        self._warden = warden
        self._reader: subprocess.Popen[bytes] | None = None
        self._words: tuple[str, ...] = ()
        # Told to end and not reaped yet; nobody waits for them.
        self._leaving: list[subprocess.Popen[bytes]] = []

    def read(self, model: "Model | None") -> None:
        """Read the files of a model from now on, or of none."""
        if model is None:
            self.end()
        else:
            self.begin(model)

    def begin(self, model: "Model") -> None:
        """Read this model's files from now on, and no others'."""
        words = candidates(model)
        if words == self._words and self._reader is not None and self._reader.poll() is None:
            return
        self.end()
        if not words:
            return
        try:
            self._reader = self._start()
            self._words = words
            _tell(self._reader, words)
        except (OSError, ValueError, subprocess.SubprocessError) as problem:
            log.warning("cannot read the files of %s ahead: %s", model.id, problem)
            self.end()
        else:
            log.debug("reading the files of %s ahead", model.id)

    def end(self) -> None:
        """Read no more. What has been read stays in the page cache."""
        if self._reader is not None:
            assert self._reader.stdin is not None
            self._reader.stdin.close()
            # Not by the closing alone: it may be in the middle of a slow read.
            self._reader.kill()
            self._leaving.append(self._reader)
            self._reader = None
        self._leaving = [each for each in self._leaving if each.poll() is None]

    def _start(self) -> subprocess.Popen[bytes]:
        # A group and not a session of its own: where the kernel shares out time by sessions, its
        # low priority would count for nothing beside ours.
        return subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            env=self._warden.mark(os.environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            bufsize=0,
            process_group=0,
        )


def candidates(model: "Model") -> tuple[str, ...]:
    """List what may be a file of the model, each once; whether it is one is not looked at."""
    if model.prefetch is None:
        return ()
    words: list[str] = []
    # Without the program itself, which is no model.
    for word in model.argv[1:]:
        option, _, value = word.partition("=")
        words.append(value if option.startswith("-") else word)
    words += model.prefetch
    return tuple(dict.fromkeys(word for word in words if word and "\0" not in word))


def _tell(reader: subprocess.Popen[bytes], words: tuple[str, ...]) -> None:
    """Say over the pipe what to read: what is in `ps` could be read by anybody."""
    said = b"".join(os.fsencode(word) + b"\0" for word in words) + b"\0"
    assert reader.stdin is not None
    # What the pipe does not take at once would have to be waited for.
    os.set_blocking(reader.stdin.fileno(), False)
    if reader.stdin.write(said) != len(said):
        raise ValueError("the command is too long")


# The program in the second process

# The system call that sets the I/O priority, for which there is no function, by machine.
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30, "riscv64": 30}
_THIS_PROCESS = (1, 0)
_IDLE_CLASS = 3 << 13

# A model in several files names the first; llama.cpp finds the others by their names.
_SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf", re.DOTALL)


def main() -> None:
    """Read what stdin names, until that is done or stdin closes."""
    step_back()
    with suppress(EOFError):
        read_ahead(files_of(_listen()), room=room, ended=_closed)


def step_back() -> None:
    """Give everybody else precedence, on the processor and on the disk."""
    os.nice(19)
    # Not everywhere, and on a machine without it the niceness has to do.
    with suppress(OSError, AttributeError, KeyError):
        number = _IOPRIO_SET[os.uname().machine]
        ctypes.CDLL(None).syscall(number, *_THIS_PROCESS, _IDLE_CLASS)


def files_of(words: Iterable[str]) -> Iterator[str]:
    """Find the regular files among the words and the shards that belong to them, each once."""
    seen = set()
    for word in words:
        for path in shards(word):
            # Nothing else is opened: a pipe would wait, and a device might act.
            file = _regular(path)
            if file is not None and file not in seen:
                seen.add(file)
                yield path


def shards(path: str) -> list[str]:
    """List all files of the model that this is one file of; mostly it is the only one."""
    found = _SHARD.fullmatch(path)
    if found is None:
        return [path]
    name, count = found[1], found[3]
    return [f"{name}-{number:05}-of-{count}.gguf" for number in range(1, int(count) + 1)]


def read_ahead(files: Iterable[str], *, room: Callable[[], int], ended: Callable[[], bool]) -> int:
    """Read until all is read, the room is used up or it is ended; answer with how much."""
    block = bytearray(BLOCK)
    done, allowed, look = 0, 0, 0
    for path in files:
        # One that cannot be read costs the others nothing; the model will say what is wrong.
        with suppress(OSError), open(path, "rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
            while not ended():
                if done >= look:
                    allowed, look = room(), done + LOOK
                # What is cached already counts too: it must not make way for what comes last.
                if done + BLOCK > allowed:
                    return done
                size = file.readinto(block)
                if not size:
                    break
                done += size
        if ended():
            return done
    return done


def room(root: str = "/") -> int:
    """Answer how much of files memory can hold for us, with what it holds of them already.

    Memory that is available may hold files that running models have mapped; those stay.
    """
    try:
        memory = _numbers(f"{root}/proc/meminfo")
    except OSError:
        return 0
    free = memory["MemAvailable"] - memory["Mapped"] - memory["MemTotal"] // SPARE
    return min([free * 1024, *_rooms_of_groups(root)])


def _rooms_of_groups(root: str) -> list[int]:
    """Answer the same for each control group (v2) above us that has a limit."""
    rooms = []
    folder = _group(root)
    while True:
        place = f"{root}/sys/fs/cgroup{folder}"
        for limit in ("memory.max", "memory.high"):
            # The topmost has no limits, and "max" is no number.
            with suppress(OSError, ValueError), open(f"{place}/{limit}") as text:
                most = int(text.read())
                rooms.append(most - most // SPARE - _used(place))
        if folder == "/":
            return rooms
        folder = os.path.dirname(folder)


def _group(root: str) -> str:
    with suppress(OSError), open(f"{root}/proc/self/cgroup") as lines:
        for line in lines:
            if line.startswith("0::/"):
                return line.removeprefix("0::").rstrip("\n")
    return "/"


def _used(place: str) -> int:
    """Answer what a control group uses and cannot give back: all but files that nobody maps."""
    with open(f"{place}/memory.current") as text:
        current = int(text.read())
    parts = _numbers(f"{place}/memory.stat")
    return current - parts["active_file"] - parts["inactive_file"] + parts["file_mapped"]


def _numbers(path: str) -> dict[str, int]:
    with open(path) as lines:
        return {name.rstrip(":"): int(number) for name, number, *_ in map(str.split, lines)}


def _regular(path: str) -> tuple[int, int] | None:
    """Answer what tells a regular file from all others, by whatever name; None for no such."""
    with suppress(OSError):
        found = os.stat(path)
        if stat.S_ISREG(found.st_mode):
            return found.st_dev, found.st_ino
    return None


def _listen() -> list[str]:
    """Take the list from stdin: each word ends with a NUL, and an empty one ends the list."""
    said = b""
    while not said.endswith(b"\0\0"):
        part = os.read(0, BLOCK)
        if not part:
            raise EOFError
        said += part
    return [os.fsdecode(word) for word in said.split(b"\0") if word]


def _closed() -> bool:
    # Nothing is said after the list: what can be read is the end.
    return bool(select.select([0], [], [], 0)[0])


if __name__ == "__main__":
    main()
