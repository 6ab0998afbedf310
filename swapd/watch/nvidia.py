"""NVIDIA's GPUs, as the driver's own library (NVML) tells of them. It needs no CUDA.

Rule 1: that there is no driver, or none that answers, is nothing out of the ordinary.
Rule 2: every figure may be missing by itself and is 0 then; a GPU that is gone has no sample.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from typing import Any, TypeVar

import attrs
import pynvml

from swapd.watch.looking import CannotLook
from swapd.watch.samples import GpuSample, mebibytes, percent

# Whatever is asked next would not be answered either.
GONE = (
    pynvml.NVML_ERROR_UNINITIALIZED,
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED,
    pynvml.NVML_ERROR_GPU_IS_LOST,
    pynvml.NVML_ERROR_RESET_REQUIRED,
)

# By NVML's number; what is newer than this list goes by its compute capability, or has no name.
ARCHITECTURES = {
    pynvml.NVML_DEVICE_ARCH_KEPLER: "Kepler",
    pynvml.NVML_DEVICE_ARCH_MAXWELL: "Maxwell",
    pynvml.NVML_DEVICE_ARCH_PASCAL: "Pascal",
    pynvml.NVML_DEVICE_ARCH_VOLTA: "Volta",
    pynvml.NVML_DEVICE_ARCH_TURING: "Turing",
    pynvml.NVML_DEVICE_ARCH_AMPERE: "Ampere",
    pynvml.NVML_DEVICE_ARCH_ADA: "Ada Lovelace",
    pynvml.NVML_DEVICE_ARCH_HOPPER: "Hopper",
    pynvml.NVML_DEVICE_ARCH_BLACKWELL: "Blackwell",
}

T = TypeVar("T")


@attrs.frozen
class Card:
    """What does not change about a GPU; None for what the driver does not tell."""

    name: str | None
    uuid: str | None
    pci: str | None
    memory: int | None
    """Bytes."""
    driver: str | None
    power_limit: float | None
    """Watts."""
    architecture: str | None


class Nvidia:
    """Asks NVML. `library` is for tests; it has what is used here of `pynvml`."""

    def __init__(self, library: Any = pynvml) -> None:
        self._nvml = library
        self._handles: dict[int, Any] = {}

    def open(self) -> None:
        """Find the GPUs; raise `CannotLook` if there are none."""
        try:
            self._nvml.nvmlInit()
        except pynvml.NVMLError as problem:
            raise CannotLook(f"no NVIDIA driver ({problem})") from problem
        try:
            count = self._nvml.nvmlDeviceGetCount()
        except pynvml.NVMLError as problem:
            self._shut_down()
            raise CannotLook(f"the NVIDIA driver does not answer ({problem})") from problem
        for index in range(count):
            # One that has fallen off the bus is no reason to do without the others.
            with suppress(pynvml.NVMLError):
                self._handles[index] = self._nvml.nvmlDeviceGetHandleByIndex(index)
        if not self._handles:
            self._shut_down()
            raise CannotLook("the NVIDIA driver has no GPU")

    def close(self) -> None:
        """Let go of the driver."""
        if self._handles:
            self._handles = {}
            self._shut_down()

    def samples(self, at: float, complain: Callable[[str], None]) -> list[GpuSample]:
        """Look at each GPU; complain of those that are gone."""
        found = []
        for index, handle in self._handles.items():
            try:
                found.append(self._sample(at, index, handle))
            except pynvml.NVMLError as problem:
                complain(f"NVIDIA GPU {index} does not answer: {problem}")
        return found

    def by_pid(self, pids: Collection[int] | None) -> dict[int, int]:
        """Count the bytes that processes have on these GPUs."""
        counted: dict[int, int] = {}
        for handle in self._handles.values():
            # Who computes and draws is in both lists, each time with all that it has.
            on_this: dict[int, int] = {}
            for process in self._processes(handle):
                size = process.usedGpuMemory or 0
                on_this[process.pid] = max(on_this.get(process.pid, 0), size)
            for pid, size in on_this.items():
                if pids is None or pid in pids:
                    counted[pid] = counted.get(pid, 0) + size
        return counted

    def cards(self) -> list[Card]:
        """Describe each GPU."""
        return [self._card(handle) for handle in self._handles.values()]

    def _sample(self, at: float, index: int, handle: Any) -> GpuSample:
        nvml = self._nvml
        sensor = nvml.NVML_TEMPERATURE_GPU
        used, total = self._memory(handle)
        rates = self._ask(lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu, 0)
        return GpuSample(
            at=at,
            id=index,
            name=self._ask(lambda: nvml.nvmlDeviceGetName(handle), ""),
            uuid=self._ask(lambda: nvml.nvmlDeviceGetUUID(handle), ""),
            temp_c=self._ask(lambda: nvml.nvmlDeviceGetTemperature(handle, sensor), 0),
            vram_temp_c=self._ask(lambda: self._memory_temperature(handle), 0),
            util_pct=float(rates),
            mem_util_pct=percent(used, total),
            mem_used_mb=mebibytes(used),
            mem_total_mb=mebibytes(total),
            fan_pct=float(self._ask(lambda: nvml.nvmlDeviceGetFanSpeed(handle), 0)),
            power_w=self._ask(lambda: nvml.nvmlDeviceGetPowerUsage(handle), 0) / 1000,
        )

    def _memory(self, handle: Any) -> tuple[int, int]:
        """Answer with used and total bytes; the driver's own share is no use of it."""
        nvml = self._nvml
        both = self._ask(lambda: nvml.nvmlDeviceGetMemoryInfo(handle, nvml.nvmlMemory_v2), None)
        # Older drivers know only the first version, with their share among what is used.
        both = both or self._ask(lambda: nvml.nvmlDeviceGetMemoryInfo(handle), None)
        return (0, 0) if both is None else (both.used, both.total)

    def _memory_temperature(self, handle: Any) -> int:
        nvml = self._nvml
        [field] = nvml.nvmlDeviceGetFieldValues(handle, [nvml.NVML_FI_DEV_MEMORY_TEMP])
        return int(field.value.uiVal) if field.nvmlReturn == nvml.NVML_SUCCESS else 0

    def _processes(self, handle: Any) -> Iterator[Any]:
        nvml = self._nvml
        for ask in (
            nvml.nvmlDeviceGetComputeRunningProcesses,
            nvml.nvmlDeviceGetGraphicsRunningProcesses,
        ):
            try:
                yield from ask(handle)
            except pynvml.NVMLError:
                continue

    def _card(self, handle: Any) -> Card:
        nvml = self._nvml
        _, total = self._known(lambda: self._memory(handle)) or (0, 0)
        limit = self._known(lambda: nvml.nvmlDeviceGetPowerManagementLimit(handle))
        kind = self._known(lambda: nvml.nvmlDeviceGetArchitecture(handle))
        named = ARCHITECTURES.get(-1 if kind is None else kind)
        capability = self._known(lambda: nvml.nvmlDeviceGetCudaComputeCapability(handle))
        return Card(
            name=self._known(lambda: nvml.nvmlDeviceGetName(handle)),
            uuid=self._known(lambda: nvml.nvmlDeviceGetUUID(handle)),
            pci=self._known(lambda: nvml.nvmlDeviceGetPciInfo(handle).busId),
            memory=total or None,
            driver=self._known(nvml.nvmlSystemGetDriverVersion),
            power_limit=limit / 1000 if limit else None,
            architecture=named or (capability and architecture(*capability)),
        )

    def _ask(self, question: Callable[[], T], otherwise: T) -> T:
        """Ask for a figure; raise NVML's error only if the GPU is gone."""
        try:
            return question()
        except pynvml.NVMLError as problem:
            if problem.value in GONE:
                raise
            return otherwise

    def _known(self, question: Callable[[], T]) -> T | None:
        try:
            return question()
        except pynvml.NVMLError:
            return None

    def _shut_down(self) -> None:
        # There is nothing more to be done with a driver that does not want to be let go.
        self._known(self._nvml.nvmlShutdown)


def architecture(major: int, minor: int) -> str | None:
    """Name the architecture of a compute capability; None for one that came later."""
    match major, minor:
        case 2, _:
            return "Fermi"
        case 3, 0 | 2 | 5 | 7:
            return "Kepler"
        case 5, _:
            return "Maxwell"
        case 6, _:
            return "Pascal"
        case 7, 0 | 2:
            return "Volta"
        case 7, 5:
            return "Turing"
        case 8, 0 | 6 | 7:
            return "Ampere"
        case 8, 9:
            return "Ada Lovelace"
        case 9, 0:
            return "Hopper"
        case (10, 0 | 3) | (11, 0) | (12, 0 | 1):
            return "Blackwell"
        case _:
            return None
