"""Reading ahead: what is read, when it stops, and that nothing of it is left."""

import os
import resource
import subprocess
import sys
import textwrap
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from swapd.models import prefetch
from swapd.models.prefetch import (
    BLOCK,
    LOOK,
    Prefetcher,
    candidates,
    files_of,
    read_ahead,
    room,
    shards,
)
from swapd.models.warden import MARK, open_warden
from tests.bench.prefetch import cached
from tests.processes import dead, real_model

ROOT = Path(__file__).parents[2]

# A file so large that whoever reads it has been ended before.
ENDLESS = 1 << 40

# The number of the system call that asks for the I/O priority.
IOPRIO_GET = {"x86_64": 252, "aarch64": 31, "riscv64": 31}


def model(*argv: str, prefetch: tuple[str, ...] | None = (), name: str = "a"):
    return real_model(name, argv=("/bin/server", *argv), prefetch=prefetch)


# What is read


@pytest.mark.parametrize(
    ("argv", "more", "words"),
    [
        (("-m", "/a.gguf", "--port", "1"), (), ("/a.gguf", "1")),
        (("--model=/a.gguf",), (), ("/a.gguf",)),
        (("--model=/a=b.gguf",), (), ("/a=b.gguf",)),
        (("/a=b.gguf",), (), ("/a=b.gguf",)),
        (("/a", "--draft=/a"), ("/b", "/a"), ("/a", "/b")),
        (("", "--model=", "/a\0b"), ("",), ()),
        ((), (), ()),
        (("/a.gguf",), None, ()),
    ],
)
def test_what_may_be_a_file_is_said_without_a_look_at_it(argv, more, words):
    """A look at a dead network disk would stop everybody; the reader can wait."""
    assert candidates(model(*argv, prefetch=more)) == words


@pytest.mark.parametrize(
    ("path", "all_of_them"),
    [
        ("/a.gguf", ["/a.gguf"]),
        ("/a-00001-of-00002.gguf", ["/a-00001-of-00002.gguf", "/a-00002-of-00002.gguf"]),
        ("/a-00002-of-00002.gguf", ["/a-00001-of-00002.gguf", "/a-00002-of-00002.gguf"]),
        ("/a-00001-of-00001.gguf", ["/a-00001-of-00001.gguf"]),
        ("/a-00001-of-00002.bin", ["/a-00001-of-00002.bin"]),
        ("/a-1-of-2.gguf", ["/a-1-of-2.gguf"]),
    ],
)
def test_one_shard_stands_for_all(path, all_of_them):
    """A command names the first file of several, and the model reads all of them."""
    assert shards(path) == all_of_them


def test_only_regular_files_are_read_and_each_once(tmp_path):
    """A pipe would wait for its writer, and a name of the same file costs only time."""
    (tmp_path / "model").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "model")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    words = [str(tmp_path / name) for name in ("pipe", "folder", "missing", "link", "model")]
    assert list(files_of([*words, "--port", "5800", "x" * 5000])) == [str(tmp_path / "link")]


def test_a_missing_shard_keeps_nobody_from_the_others(tmp_path):
    """A download that goes on is no reason to leave what is there."""
    for number in (1, 3):
        (tmp_path / f"m-0000{number}-of-00003.gguf").write_bytes(b"x")
    first, last = (str(tmp_path / f"m-0000{number}-of-00003.gguf") for number in (1, 3))
    assert list(files_of([first])) == [first, last]


# How much is read


def file(folder: Path, name: str, size: int) -> str:
    """Make a file with nothing in it that takes no place on the disk."""
    path = folder / name
    path.touch()
    os.truncate(path, size)
    return str(path)


def test_all_is_read_where_there_is_room(tmp_path):
    """Also what is shorter than a block, and what cannot be opened in between."""
    files = [file(tmp_path, "a", 2 * BLOCK + 5), str(tmp_path / "gone"), file(tmp_path, "b", 3)]
    assert read_ahead(files, room=lambda: LOOK, ended=lambda: False) == 2 * BLOCK + 8


def test_the_room_is_never_exceeded(tmp_path):
    """What would push out something that is in use is not read."""
    files = [file(tmp_path, "a", 2 * BLOCK), file(tmp_path, "b", 2 * BLOCK)]
    assert read_ahead(files, room=lambda: 3 * BLOCK + 1, ended=lambda: False) == 3 * BLOCK
    assert read_ahead(files, room=lambda: -BLOCK, ended=lambda: False) == 0


def test_memory_is_looked_at_again(tmp_path):
    """A model that grows meanwhile takes the room that we had."""
    rooms = iter([ENDLESS, LOOK])
    files = [file(tmp_path, "a", 3 * LOOK)]
    assert read_ahead(files, room=lambda: next(rooms), ended=lambda: False) == LOOK


def test_it_ends_within_a_block(tmp_path):
    """Whoever starts the model now wants the disk for it."""
    looks = iter([False, False, True, True])
    files = [file(tmp_path, "a", 5 * BLOCK), file(tmp_path, "b", 5 * BLOCK)]
    assert read_ahead(files, room=lambda: LOOK, ended=lambda: next(looks)) == 2 * BLOCK


# How much room there is


def machine(root: Path, *, available: int, mapped: int = 0, group: str | None = None) -> str:
    """Write what a kernel says of its memory, in kB of a thousand."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/meminfo").write_text(
        f"MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable: {available} kB\n"
        f"Mapped: {mapped} kB\nHugePages_Total:       0\n"
    )
    if group is not None:
        (root / "proc/self/cgroup").write_text(f"12:cpu:/x\n0::{group}\n")
    return str(root)


def control_group(root: Path, name: str, *, most: str, used: int, **parts: int) -> None:
    """Write what a control group says of its memory, in bytes."""
    folder = root / "sys/fs/cgroup" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{most}\n")
    (folder / "memory.high").write_text("max\n")
    (folder / "memory.current").write_text(f"{used}\n")
    known = {"anon": 1, "active_file": 0, "inactive_file": 0, "file_mapped": 0, **parts}
    (folder / "memory.stat").write_text("".join(f"{key} {known[key]}\n" for key in known))


def test_mapped_files_and_a_spare_part_are_left_alone(tmp_path):
    """The kernel calls available what a running model has mapped, and would take it away."""
    assert room(machine(tmp_path, available=700, mapped=300)) == (700 - 300 - 50) * 1024


def test_a_kernel_that_says_nothing_has_no_room(tmp_path):
    """Better slow than without memory."""
    assert room(str(tmp_path)) == 0


def test_every_control_group_above_us_counts(tmp_path):
    """The limit of a container or a service holds for its cache as well."""
    root = machine(tmp_path, available=900, group="/service/swapd")
    control_group(tmp_path, "service/swapd", most="max", used=70_000)
    assert room(root) == 850 * 1024
    control_group(tmp_path, "service", most="200000", used=70_000)
    assert room(root) == 190_000 - 70_000
    control_group(tmp_path, "", most="100000", used=70_000)
    assert room(root) == 95_000 - 70_000


def test_a_soft_limit_is_a_limit(tmp_path):
    """Beyond it the kernel slows everybody down."""
    root = machine(tmp_path, available=900, group="/")
    control_group(tmp_path, "", most="max", used=10_000)
    (tmp_path / "sys/fs/cgroup/memory.high").write_text("40000\n")
    assert room(root) == 38_000 - 10_000


def test_a_control_group_gives_back_files_that_nobody_maps(tmp_path):
    """Else what we read would count against us twice."""
    root = machine(tmp_path, available=900, group="/")
    control_group(
        tmp_path,
        "",
        most="100000",
        used=70_000,
        active_file=20_000,
        inactive_file=30_000,
        file_mapped=10_000,
    )
    assert room(root) == 95_000 - (70_000 - 20_000 - 30_000 + 10_000)


# The process


@pytest.fixture
def warden():
    with open_warden() as warden:
        yield warden


@pytest.fixture
async def prefetcher(warden):
    prefetcher = Prefetcher(warden=warden)
    yield prefetcher
    # No process is left to the next test.
    prefetcher.end()
    await dead(*readers())
    prefetcher.end()
    assert readers() == []


def readers() -> list[int]:
    """List our processes that read ahead, and those that nobody has reaped."""
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with suppress(OSError):
            state, parent = said_of(int(name), "stat").rpartition(")")[2].split()[:2]
            # What has ended has no command any more, and what has just been started none yet.
            command = said_of(int(name), "cmdline")
            ours = state == "Z" or not command or "prefetch.py" in command
            if int(parent) == os.getpid() and ours:
                found.append(int(name))
    return found


def said_of(pid: int, what: str) -> str:
    """Read what the kernel says of a process."""
    return Path(f"/proc/{pid}/{what}").read_text()


@pytest.mark.real
async def test_files_are_in_the_page_cache_afterwards(tmp_path, prefetcher):
    """It is all that this is for; though the kernel may evict a page at any time."""
    path = tmp_path / "model.gguf"
    path.write_bytes(os.urandom(5 * BLOCK + 1))
    forget(path)
    with trio.fail_after(20):
        prefetcher.begin(model("-m", str(path)))
        await dead(*readers())
    assert cached(path) > 0.5


@pytest.mark.real
async def test_another_model_ends_the_reading(tmp_path, prefetcher):
    """The queue has changed its mind, and so must the disk."""
    path = file(tmp_path, "endless", ENDLESS)
    prefetcher.begin(model(path))
    [first] = readers()
    prefetcher.begin(model(path, name="the same files"))
    assert readers() == [first]
    prefetcher.begin(model(path, prefetch=("/more",)))
    with trio.fail_after(20):
        await dead(first)
    [second] = set(readers()) - {first}
    prefetcher.begin(model("-m", path, prefetch=None))
    with trio.fail_after(20):
        await dead(second)


@pytest.mark.real
async def test_what_has_ended_is_reaped_the_next_time(prefetcher):
    """A zombie for every swap would fill the process table."""
    for _ in range(3):
        prefetcher.begin(model("/nowhere"))
        with trio.fail_after(20):
            await dead(*readers())
        assert len(readers()) == 1
    prefetcher.end()
    assert readers() == []


@pytest.mark.real
async def test_nothing_to_read_starts_nothing(prefetcher):
    """`prefetch: false` costs nothing at all."""
    prefetcher.begin(model("/a.gguf", prefetch=None))
    prefetcher.begin(model("--jinja"))
    assert readers() == []


@pytest.mark.real
async def test_the_reader_carries_our_mark_and_is_out_of_reach_of_ctrl_c(tmp_path, prefetcher):
    """The warden finds it by the mark, and a terminal ends only us."""
    prefetcher.begin(model(file(tmp_path, "endless", ENDLESS)))
    [pid] = readers()
    assert os.getpgid(pid) == pid
    assert f"{MARK}=" in said_of(pid, "environ")
    assert str(tmp_path) not in said_of(pid, "cmdline")


@pytest.mark.real
@pytest.mark.parametrize("words", [("/a" * 2**18,), ("/\ud800",)])
async def test_a_command_that_cannot_be_told_is_no_error(words, prefetcher, caplog):
    """A pipe that is full is not waited for."""
    prefetcher.begin(model(*words))
    assert "cannot read the files of a ahead" in caplog.text


@pytest.mark.real
async def test_no_descriptor_left_is_no_error(prefetcher, caplog):
    """The swap is slower, and takes place."""
    wanted = model("/a.gguf")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    os.close(lowest := os.dup(0))
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, before[1]))
        prefetcher.begin(wanted)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert "cannot read the files of a ahead" in caplog.text
    assert readers() == []


# The program


@pytest.mark.real
@pytest.mark.parametrize("said", [b"", b"/a", b"/a\0", b"{endless}\0\0"])
def test_it_ends_with_us(said, tmp_path):
    """Whoever has died wants nothing read, wherever in the list it died."""
    endless = file(tmp_path, "endless", ENDLESS)
    program = subprocess.Popen(
        [sys.executable, "-I", "-S", prefetch.__file__], stdin=subprocess.PIPE
    )
    program.communicate(said.replace(b"{endless}", endless.encode()), timeout=20)
    assert program.returncode == 0


@pytest.mark.real
def test_it_steps_back_behind_everybody():
    """The one who is served notices nothing of it."""
    program = f"""
        import ctypes, os
        from swapd.models.prefetch import step_back
        step_back()
        print(os.nice(0), ctypes.CDLL(None).syscall({IOPRIO_GET[os.uname().machine]}, 1, 0) >> 13)
    """
    said = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.split() == ["19", "3"]


def forget(path: Path) -> None:
    """Have the kernel drop what it has cached of a file."""
    with path.open("rb") as data:
        os.fsync(data.fileno())
        os.posix_fadvise(data.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
