"""Looking at processor, memory and network."""

import psutil
import pytest

from swapd.watch.looking import CannotLook
from swapd.watch.system import Spent, System, busy


def test_this_machine_has_something_to_show():
    """What psutil says is understood."""
    system = System(clock=lambda: 1000.00049)
    system.look()
    sample = system.look()
    assert sample.at == 1000.0
    assert len(sample.cores) == psutil.cpu_count()
    assert all(0 <= core <= 100 for core in sample.cores)
    assert sample.mem_total_mb >= sample.mem_used_mb > 0
    assert sample.mem_total_mb >= sample.mem_free_mb > 0
    assert "lo" not in [each.name for each in sample.net]


@pytest.mark.parametrize(
    ("before", "now", "cores"),
    [
        pytest.param([Spent(1, 10)], [Spent(6, 20)], (50.0,), id="half of the time"),
        pytest.param([Spent(1, 10)], [Spent(1, 10)], (0.0,), id="at the same moment"),
        pytest.param([Spent(5, 10)], [Spent(4, 20)], (0.0,), id="a counter that went backwards"),
        pytest.param([Spent(0, 10)], [Spent(10, 20)] * 2, (0.0, 0.0), id="a core came back"),
        pytest.param([], [Spent(10, 20)], (0.0,), id="the first look"),
    ],
)
def test_cores_are_busy_for_the_time_between_two_looks(before, now, cores):
    """What they did since the machine was started says nothing about now."""
    assert busy(before, now) == cores


def failing(*_: object, **__: object) -> None:
    raise OSError("no /proc")


@pytest.mark.parametrize("name", ["cpu_times", "virtual_memory"])
def test_without_processor_or_memory_there_is_no_sample(name, monkeypatch):
    """From llama-swap."""
    monkeypatch.setattr(psutil, name, failing)
    with pytest.raises(CannotLook, match="no /proc"):
        System().look()


def test_what_else_cannot_be_read_is_nothing(monkeypatch):
    """From llama-swap: containers often hide one or the other."""
    for name in ("swap_memory", "getloadavg", "net_io_counters"):
        monkeypatch.setattr(psutil, name, failing)
    sample = System().look()
    assert (sample.swap_total_mb, sample.swap_used_mb) == (0, 0)
    assert sample.load == (0.0, 0.0, 0.0)
    assert sample.net == ()
