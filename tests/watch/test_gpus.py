"""GPUs of several makers together."""

import threading

import pytest

from swapd.watch import looking
from swapd.watch.drm import Drm
from swapd.watch.gpus import Gpus
from swapd.watch.looking import CannotLook
from swapd.watch.nvidia import Nvidia
from tests.machines import LOST, FakeGpu, FakeNvml, amd, write


def nobody(tmp_path) -> list[Nvidia | Drm]:
    return [Nvidia(FakeNvml(start=12)), Drm(tmp_path)]


def test_what_is_missing_is_said_only_if_nothing_is_there(tmp_path):
    """A machine with a GPU of AMD's needs no driver of NVIDIA's."""
    gpus = Gpus(nobody(tmp_path))
    assert gpus.open() == [
        "no NVIDIA driver (NVML Shared Library Not Found)",
        "no AMD or Intel GPU in /sys/class/drm",
    ]
    assert gpus.samples() == []
    assert gpus.by_pid() == {}
    write(tmp_path, amd())
    assert gpus.open() == []
    assert len(gpus.samples()) == 1
    assert Gpus([]).open() == ["nowhere to look for one"]


def test_all_gpus_are_seen_at_one_time_and_have_numbers_of_their_own(tmp_path):
    """Makers count from 0, each of them; who tells them apart by number must not mix them up."""
    lost = FakeGpu(broken=LOST)
    nvidia = Nvidia(FakeNvml(FakeGpu(uuid="one"), lost))
    gpus = Gpus([nvidia, Drm(write(tmp_path, {**amd(0), **amd(1)}))], clock=lambda: 5.0)
    gpus.open()
    first = gpus.samples()
    assert [(each.at, each.id, each.name[:4]) for each in first] == [
        (5.0, 0, "NVID"),
        (5.0, 1, "card"),
        (5.0, 2, "card"),
    ]
    assert list(gpus.problems) == ["NVIDIA GPU 1 does not answer: GPU is lost"]
    lost.broken = None
    assert [(each.id, each.name) for each in gpus.samples()][1:] == [
        (1, "card0"),
        (2, "card1"),
        (3, "NVIDIA GeForce RTX 3080"),
    ]
    assert list(gpus.problems) == []


def test_a_process_may_have_memory_on_cards_of_two_makers(tmp_path):
    """What it has is the sum."""
    amd_too = {
        "proc/7/fd/3": "->/dev/dri/renderD128",
        "proc/7/fdinfo/3": "drm-client-id: 1\ndrm-memory-vram: 1 KiB\n",
    }
    nvidia = Nvidia(FakeNvml(FakeGpu(computing={7: 10, 8: 5})))
    gpus = Gpus([nvidia, Drm(write(tmp_path, {**amd(), **amd_too}))])
    gpus.open()
    assert gpus.by_pid() == {7: 1034, 8: 5}
    assert gpus.by_pid({7}) == {7: 1034}


def test_whoever_opens_again_lets_go_before():
    """Else the driver would think that there are ever more of us."""
    library = FakeNvml(FakeGpu())
    gpus = Gpus([Nvidia(library)])
    gpus.open()
    gpus.open()
    assert library.users == 1
    gpus.close()
    assert library.users == 0


class Stuck(FakeNvml):
    """A driver that does not come back."""

    def __init__(self) -> None:
        super().__init__(FakeGpu())
        self.asked = threading.Event()
        self.let_go = threading.Event()

    def nvmlDeviceGetName(self, handle: FakeGpu) -> str:
        self.asked.set()
        self.let_go.wait()
        return ""


def test_nobody_waits_long_for_a_driver_that_hangs(monkeypatch):
    """Every page that shows memory would hold a thread until there are none."""
    monkeypatch.setattr(looking.OneAtATime.__init__, "__kwdefaults__", {"patience": 0.01})
    library = Stuck()
    gpus = Gpus([Nvidia(library)])
    gpus.open()
    thread = threading.Thread(target=gpus.samples)
    thread.start()
    library.asked.wait()
    for look in (gpus.samples, gpus.by_pid, gpus.open, gpus.close):
        with pytest.raises(CannotLook, match="the GPUs: the look before has not ended"):
            look()
    library.let_go.set()
    thread.join()
    assert len(gpus.samples()) == 1
