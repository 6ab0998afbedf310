"""The machine of the last hour."""

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from swapd.config.settings import Performance
from swapd.watch.gpus import Gpus
from swapd.watch.looking import CannotLook
from swapd.watch.machine import LONGEST_LOOK, Machine
from swapd.watch.nvidia import Nvidia
from swapd.watch.samples import SystemSample
from tests.machines import LOST, FakeGpu, FakeNvml, at_once, look

T = TypeVar("T")

ON, OFF = Performance(), Performance(disabled=True)


async def never(work: Callable[[], T], /) -> T:
    await trio.sleep_forever()
    raise AssertionError


def gpus(*each: FakeGpu) -> Gpus:
    return Gpus([Nvidia(FakeNvml(*each))], clock=trio.current_time)


@pytest.fixture
async def start(nursery):
    """Start machines."""

    async def started(settings=ON, *, of=None, look=look, in_thread=at_once) -> Machine:
        machine = Machine(
            settings, gpus(FakeGpu()) if of is None else of, look=look, in_thread=in_thread
        )
        await nursery.start(machine.run)
        return machine

    return started


def times(machine: Machine, began: float) -> list[float]:
    return [round(sample.at - began, 3) for sample in machine.system()]


async def test_the_first_sample_comes_after_one_interval(start, autojump_clock):
    """Cores are counted between two looks."""
    began = trio.current_time()
    machine = await start()
    await trio.sleep(4.9)
    assert (machine.system(), machine.gpu()) == ([], [])
    await trio.sleep(10.2)
    assert times(machine, began) == [5, 10, 15]
    assert [round(each.at - began, 3) for each in machine.gpu()] == [5, 10, 15]


async def test_an_hour_is_kept_however_many_gpus_there_are(start, autojump_clock):
    """D27: one round of looks is one entry."""
    machine = await start(Performance(every=600.0), of=gpus(FakeGpu(), FakeGpu(), FakeGpu()))
    await trio.sleep(6 * 3600)
    assert len(machine.system()) == 6
    assert [each.id for each in machine.gpu()] == [0, 1, 2] * 6


async def test_only_what_came_after_is_told_to_who_knows_the_rest(start, autojump_clock):
    """Strictly after."""
    machine = await start()
    await trio.sleep(15.5)
    second = machine.system()[1].at
    assert [each.at for each in machine.system(second)] == [machine.system()[2].at]
    assert [each.at for each in machine.gpu(second)] == [machine.gpu()[2].at]
    assert machine.system(second + 100) == []


async def test_changed_settings_begin_anew(start, autojump_clock):
    """Samples of two intervals would lie about time in every chart."""
    machine = await start()
    await trio.sleep(12)
    machine.adopt(Performance(every=5.0))
    assert len(machine.system()) == 2
    machine.adopt(Performance(every=60.0))
    assert (machine.system(), machine.gpu()) == ([], [])
    await trio.sleep(121)
    assert (len(machine.system()), len(machine.gpu())) == (2, 2)


async def test_watching_may_be_turned_off_and_on_again(start, autojump_clock):
    """The driver is let go, for whoever wants to replace it."""
    library = FakeNvml(FakeGpu())
    machine = await start(of=Gpus([Nvidia(library)]))
    await trio.sleep(12)
    machine.adopt(OFF)
    await trio.sleep(12)
    assert (machine.enabled, machine.system(), machine.gpu()) == (True, [], [])
    assert library.users == 0
    machine.adopt(Performance())
    await trio.sleep(6)
    assert (len(machine.system()), len(machine.gpu()), library.users) == (1, 1, 1)


async def test_who_is_started_without_stays_without(start, autojump_clock, caplog):
    """From llama-swap: a reload does not change it."""
    library = FakeNvml(FakeGpu())
    with caplog.at_level(logging.INFO):
        machine = await start(OFF, of=Gpus([Nvidia(library)]))
    assert "performance monitoring is disabled" in caplog.messages
    machine.adopt(Performance())
    await trio.sleep(60)
    assert (machine.enabled, machine.system(), library.users) == (False, [], 0)


async def test_without_gpus_the_rest_is_watched(start, autojump_clock, caplog):
    """The normal case for many; said once."""
    with caplog.at_level(logging.INFO):
        machine = await start(of=Gpus([Nvidia(FakeNvml())]))
        await trio.sleep(60.5)
    assert (len(machine.system()), machine.gpu()) == (12, [])
    assert caplog.messages == ["GPU monitoring not available: the NVIDIA driver has no GPU"]


async def test_what_cannot_be_seen_is_said_once_and_tried_again(start, autojump_clock, caplog):
    """A line every five seconds would bury the log."""
    broken = True

    def failing() -> SystemSample:
        if broken:
            raise CannotLook("cannot look at processor and memory: no /proc")
        return look()

    gpu = FakeGpu(broken=LOST)
    machine = await start(of=gpus(gpu), look=failing)
    await trio.sleep(31)
    assert (machine.system(), machine.gpu()) == ([], [])
    assert sorted(caplog.messages) == [
        "NVIDIA GPU 0 does not answer: GPU is lost",
        "cannot look at processor and memory: no /proc",
    ]
    broken, gpu.broken = False, None
    await trio.sleep(5)
    assert (len(machine.system()), len(machine.gpu())) == (1, 1)


async def test_a_look_that_hangs_is_given_up(start, autojump_clock, caplog):
    """Rule 1: a stuck driver costs its own samples and nothing else."""
    machine = await start(in_thread=never)
    await trio.sleep(3 * LONGEST_LOOK + 1)
    assert machine.system() == []
    assert set(caplog.messages) == {"looking at the machine takes longer than 10 s"}


async def test_a_driver_that_hangs_holds_neither_samples_nor_the_daemon():
    """The thread is left behind; processor and memory are watched on."""
    stuck, asked, seen = threading.Event(), trio.Event(), trio.Event()

    class Stuck(FakeNvml):
        def nvmlDeviceGetCount(self) -> int:
            trio.from_thread.run_sync(asked.set)
            stuck.wait()
            return 0

    def noting() -> SystemSample:
        trio.from_thread.run_sync(seen.set)
        return SystemSample(0.0)

    machine = Machine(Performance(), Gpus([Nvidia(Stuck())]), look=noting)
    with trio.fail_after(10):
        async with trio.open_nursery() as daemon:
            daemon.start_soon(machine.run)
            await asked.wait()
            await seen.wait()
            daemon.cancel_scope.cancel()
    stuck.set()


async def test_a_thread_that_was_given_up_changes_nothing_any_more(start, autojump_clock):
    """What it saw belongs to settings that are gone."""
    waiting: list[trio.Event] = []

    async def slow(work: Callable[[], T], /) -> T:
        waiting.append(trio.Event())
        await waiting[-1].wait()
        return work()

    machine = await start(in_thread=slow)
    await wait_all_tasks_blocked()
    machine.adopt(Performance(every=6.0))
    for event in waiting:
        event.set()
    await wait_all_tasks_blocked()
    assert (machine.system(), machine.gpu()) == ([], [])
