"""What Prometheus is told of the machine; the rows are in `tests/rows/test_prometheus.py`."""

import attrs

from swapd.watch.gauges import GPU, gauges
from swapd.watch.samples import GpuSample, SystemSample


@attrs.define
class Measured:
    """A machine that was measured before."""

    systems: list[SystemSample] = attrs.field(factory=list)
    gpus: list[GpuSample] = attrs.field(factory=list)

    def system(self, after: float | None) -> list[SystemSample]:
        return [sample for sample in self.systems if after is None or sample.at > after]

    def gpu(self, after: float | None) -> list[GpuSample]:
        return [sample for sample in self.gpus if after is None or sample.at > after]


def test_only_the_newest_of_the_machine_counts():
    """Prometheus keeps the past by itself."""
    text = gauges(Measured([SystemSample(1.0, cores=(10.0,)), SystemSample(2.0, cores=(30.0,))]))
    assert 'llamaswap_cpu_util_percent{core="0"} 30\n' in text
    assert text.count("llamaswap_cpu_util_percent{") == 1


def test_a_machine_without_a_gpu_has_no_such_families():
    """And one whose cores nobody counted has none of those."""
    text = gauges(Measured([SystemSample(1.0)]))
    assert "llamaswap_memory_total_bytes 0\n" in text
    assert "gpu" not in text
    assert "cpu" not in text


def test_a_gpu_is_told_of_without_a_sample_of_the_machine():
    """Each is measured by itself, and one may fail."""
    text = gauges(Measured(gpus=[GpuSample(1.0, 0)]))
    assert text.count("# TYPE ") == len(GPU)


def test_gpus_of_both_kinds_stand_in_one_family():
    """One that tells its uuid and one that has none."""
    text = gauges(Measured(gpus=[GpuSample(1.0, 1, "B"), GpuSample(1.0, 0, "A", "GPU-1")]))
    assert (
        "# HELP llamaswap_gpu_util_percent GPU utilization percent (0-100)\n"
        "# TYPE llamaswap_gpu_util_percent gauge\n"
        'llamaswap_gpu_util_percent{id="0",name="A",uuid="GPU-1"} 0\n'
        'llamaswap_gpu_util_percent{id="1",name="B"} 0\n'
    ) in text
