"""Rows Y9 to Y18 and R18: the machine's measurements for Prometheus.

R18 and the page's side of Y17 stand in `tests/manage/test_metrics.py`.
"""

import attrs
import pytest

from swapd.watch.gauges import gauges
from swapd.watch.samples import GpuSample, Interface, SystemSample

MACHINE = SystemSample(
    1.0,
    cores=(10.5, 20.0),
    mem_total_mb=8192,
    mem_used_mb=4096,
    mem_free_mb=4096,
    swap_total_mb=2048,
    swap_used_mb=512,
    load=(1.5, 1.2, 0.9),
    net=(Interface("eth0", 1000, 2000),),
)

RTX = GpuSample(
    1.0,
    0,
    "NVIDIA RTX 4090",
    "GPU-1234",
    temp_c=75,
    util_pct=85.5,
    power_w=300.5,
    mem_total_mb=8192,
)
LABELS = 'id="0",name="NVIDIA RTX 4090",uuid="GPU-1234"'


@attrs.define
class Measured:
    """A machine that was measured before."""

    systems: list[SystemSample] = attrs.field(factory=list)
    gpus: list[GpuSample] = attrs.field(factory=list)

    def system(self, after: float | None) -> list[SystemSample]:
        return self.systems

    def gpu(self, after: float | None) -> list[GpuSample]:
        return self.gpus


def lines(*gpus: GpuSample, system: SystemSample | None = None) -> list[str]:
    """Write what was measured, and answer with the lines."""
    return gauges(Measured([system] if system else [], list(gpus))).splitlines()


def temperatures(*gpus: GpuSample) -> list[str]:
    return [line for line in lines(*gpus) if line.startswith("llamaswap_gpu_temperature_celsius{")]


@pytest.mark.parametrize(
    ("name", "written"),
    [
        pytest.param('with"quote', r"with\"quote", id="Y9-quote"),
        pytest.param("with\\backslash", r"with\\backslash", id="Y9-backslash"),
        pytest.param("with\nnewline", r"with\nnewline", id="Y9-newline"),
    ],
)
def test_labels_are_escaped(name, written):
    """Whatever a driver calls its card, the rest can still be read."""
    assert temperatures(GpuSample(1.0, 0, name, temp_c=5)) == [
        f'llamaswap_gpu_temperature_celsius{{id="0",name="{written}"}} 5'
    ]


@pytest.mark.parametrize(
    "gpus",
    [
        pytest.param([(1.0, 60), (2.0, 70)], id="Y10"),
        pytest.param([(2.0, 70), (1.0, 60)], id="Y10-in another order"),
        pytest.param([(2.0, 70), (2.0, 60)], id="Y10-at one time"),
    ],
)
def test_the_newest_sample_of_a_gpu_is_shown(gpus):
    """One series is one value."""
    samples = [GpuSample(at, 0, "A", temp_c=temperature) for at, temperature in gpus]
    assert temperatures(*samples) == ['llamaswap_gpu_temperature_celsius{id="0",name="A"} 70']


@pytest.mark.parametrize("numbers", [pytest.param((2, 0, 1), id="Y11")])
def test_gpus_are_sorted_by_number(numbers):
    """Drivers list them as they please."""
    found = temperatures(*(GpuSample(1.0, number, "A") for number in numbers))
    assert [line.partition('id="')[2][0] for line in found] == ["0", "1", "2"]


@pytest.mark.parametrize(
    "line",
    [
        pytest.param('llamaswap_cpu_util_percent{core="0"} 10.5', id="Y12-core"),
        pytest.param('llamaswap_cpu_util_percent{core="1"} 20', id="Y12-second core"),
        pytest.param("llamaswap_memory_total_bytes 8589934592", id="Y12-memory"),
        pytest.param("llamaswap_memory_used_bytes 4294967296", id="Y12-used"),
        pytest.param("llamaswap_memory_free_bytes 4294967296", id="Y12-free"),
        pytest.param("llamaswap_swap_total_bytes 2147483648", id="Y12-swap"),
        pytest.param("llamaswap_swap_used_bytes 536870912", id="Y12-swap used"),
        pytest.param('llamaswap_load_average{interval="1m"} 1.5', id="Y12-load"),
        pytest.param('llamaswap_load_average{interval="5m"} 1.2', id="Y12-load of five"),
        pytest.param('llamaswap_load_average{interval="15m"} 0.9', id="Y12-load of fifteen"),
        pytest.param(
            'llamaswap_network_bytes_total{interface="eth0",direction="recv"} 1000',
            id="Y12-received",
        ),
        pytest.param(
            'llamaswap_network_bytes_total{interface="eth0",direction="sent"} 2000', id="Y12-sent"
        ),
        pytest.param("# TYPE llamaswap_network_bytes_total counter", id="Y12-counter"),
        pytest.param(
            "# HELP llamaswap_network_bytes_total Total network bytes transferred", id="Y12-help"
        ),
    ],
)
def test_the_machine_is_told_in_llama_swaps_words(line):
    """Dashboards that were made for it go on working."""
    assert line in lines(system=MACHINE)


@pytest.mark.parametrize("net", [pytest.param((), id="Y13")])
def test_without_interfaces_there_is_no_such_family(net):
    """As in llama-swap: a family's head stands before values only."""
    assert "network" not in "\n".join(lines(system=attrs.evolve(MACHINE, net=net)))


@pytest.mark.parametrize(
    ("gpu", "line"),
    [
        pytest.param(RTX, f"temperature_celsius{{{LABELS}}} 75", id="Y14-temperature"),
        pytest.param(RTX, f"util_percent{{{LABELS}}} 85.5", id="Y14-utilization"),
        pytest.param(RTX, f"power_draw_watts{{{LABELS}}} 300.5", id="Y14-power"),
        pytest.param(RTX, f"vram_temperature_celsius{{{LABELS}}} 0", id="Y14-memory temperature"),
        pytest.param(
            attrs.evolve(RTX, vram_temp_c=85), f"vram_temperature_celsius{{{LABELS}}} 85", id="Y15"
        ),
        pytest.param(
            attrs.evolve(RTX, uuid=""),
            'temperature_celsius{id="0",name="NVIDIA RTX 4090"} 75',
            id="Y16",
        ),
        pytest.param(RTX, f"memory_total_bytes{{{LABELS}}} 8.589934592e+09", id="Y18"),
    ],
)
def test_gpus_are_told_in_llama_swaps_words(gpu, line):
    """The same, to the letter."""
    assert f"llamaswap_gpu_{line}" in lines(gpu)


@pytest.mark.parametrize("nothing", [pytest.param([], id="Y17-ours")])
def test_what_was_never_measured_is_not_there(nothing):
    """A 0 would be a measurement. What we count ourselves is on the page all the same."""
    assert lines(*nothing) == []
