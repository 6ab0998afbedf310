"""The snapshot as a whole: what is shown, and what is not."""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
import trio

from swapd import __version__
from swapd.watch.hardware import LONGEST, Hardware, NotSound, detect, validate
from swapd.watch.looking import in_a_thread
from swapd.watch.nvidia import Nvidia
from tests.machines import GPU, SOUND, FakeGpu, FakeNvml, at_once, changed, write

T = TypeVar("T")


def test_little_is_enough():
    """What is not known is null."""
    validate(SOUND)
    validate(changed("architecture", {"name": "other", "raw_name": "mips64"}))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("schema_version", 2),
        ("captured_at", ""),
        ("capture.scope", "elsewhere"),
        ("capture.method", "guessed"),
        ("capture.detector.version", " "),
        ("architecture.name", "amd64"),
        ("architecture.name", "other"),
        ("operating_system.family", "plan9"),
        ("environment.kind", "cloud"),
        ("cpu.socket_count", 0),
        ("cpu.logical_thread_count", -1),
        ("memory.capacity_bytes", None),
        ("accelerators.0.index", 1),
        ("accelerators.0.kind", "tpu"),
        ("accelerators.0.memory.kind", "fast"),
        ("accelerators.0.memory.capacity_bytes", 0),
        ("accelerators.0.power_limit_watts", float("inf")),
        ("accelerators.0.power_limit_watts", -1.0),
    ],
)
def test_what_cannot_be_is_not_shown(path, value):
    """A wrong figure would be believed."""
    with pytest.raises(NotSound):
        validate(changed(path, value))


def test_a_machine_is_put_together_of_what_its_files_say(tmp_path):
    """All in one place, as the reference shows it."""
    write(
        tmp_path,
        {
            "proc/meminfo": "MemTotal:       134217728 kB\nMemFree: 1 kB\n",
            "proc/cpuinfo": "vendor_id\t: AuthenticAMD\nmodel name\t: Ryzen\nflags\t\t: fpu\n",
            "etc/os-release": 'NAME="Ubuntu"\nID=ubuntu\nVERSION_ID="24.04"\n',
        },
    )
    snapshot = detect(tmp_path, nvidia=Nvidia(FakeNvml(FakeGpu())))
    assert list(snapshot) == list(SOUND)
    assert snapshot["capture"]["detector"] == {"name": "swapd", "version": __version__}
    assert snapshot["captured_at"].endswith("Z")
    assert snapshot["operating_system"]["name"] == "ubuntu"
    assert snapshot["environment"]["kind"] == "native"
    assert snapshot["memory"] == {"capacity_bytes": 2**37}
    [gpu] = snapshot["accelerators"]
    assert list(gpu) == list(GPU)
    assert gpu["driver"] == {"name": "NVIDIA", "version": "570.124.06"}


async def test_the_snapshot_is_there_when_the_look_is_over(autojump_clock):
    """Until then there is none."""
    hardware = Hardware(detect=lambda: SOUND, in_thread=at_once)
    assert hardware.snapshot is None
    await hardware.run()
    assert hardware.snapshot == SOUND


@pytest.mark.parametrize("problem", [NotSound("memory"), OSError("gone"), ValueError("odd")])
async def test_a_failure_is_a_warning_and_nothing_more(problem, autojump_clock, caplog):
    """Nothing that the daemon does depends on it."""

    def failing() -> dict[str, Any]:
        raise problem

    hardware = Hardware(detect=failing, in_thread=at_once)
    await hardware.run()
    assert hardware.snapshot is None
    assert caplog.messages == [f"cannot say what this machine is: {problem}"]


async def test_a_look_that_hangs_is_given_up(autojump_clock, caplog):
    """And what it finds later is not shown: pages would change under those who read them."""
    stuck = threading.Event()

    async def hanging(work: Callable[[], T], /) -> T:
        with trio.move_on_after(2 * LONGEST):
            await trio.sleep_forever()
        return await in_a_thread(work)

    hardware = Hardware(detect=lambda: SOUND, in_thread=hanging)
    began = trio.current_time()
    await hardware.run()
    assert trio.current_time() - began == pytest.approx(LONGEST)
    assert hardware.snapshot is None
    assert "looking takes longer than 10 s" in caplog.text
    stuck.set()
