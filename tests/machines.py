"""Pretend hardware: the driver's library of NVIDIA, trees of files as the kernel has them, and
a machine that is watched in pretend time.
"""

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import attrs
import pynvml
import trio
from quart_trio import QuartTrio

from swapd.config.settings import Performance
from swapd.manage.machine import blueprint
from swapd.watch.gpus import Gpus
from swapd.watch.hardware import Hardware
from swapd.watch.machine import Machine
from swapd.watch.nvidia import Nvidia
from swapd.watch.samples import GpuSample, Interface, SystemSample

T = TypeVar("T")

ON = Performance()

NOT_SUPPORTED = pynvml.NVML_ERROR_NOT_SUPPORTED
LOST = pynvml.NVML_ERROR_GPU_IS_LOST

MIB = 2**20

# The first sample of the tests below is of this second.
BEGAN = 1785758400.0

GPU: dict[str, Any] = {
    "index": 0,
    "kind": "gpu",
    "vendor": None,
    "model": None,
    "architecture": None,
    "memory": {"kind": "unknown", "capacity_bytes": None},
    "driver": {"name": None, "version": None},
    "power_limit_watts": None,
}

SOUND: dict[str, Any] = {
    "schema_version": 1,
    "captured_at": "2026-08-03T12:00:00Z",
    "capture": {
        "scope": "inference_host",
        "method": "detected",
        "detector": {"name": "swapd", "version": "1"},
    },
    "architecture": {"name": "x86_64", "raw_name": None},
    "operating_system": {"family": "linux", "name": None, "version": None, "kernel": None},
    "environment": {"kind": "unknown", "name": None, "version": None},
    "cpu": {
        "vendor": None,
        "model": None,
        "socket_count": None,
        "physical_core_count": None,
        "logical_thread_count": None,
    },
    "memory": {"capacity_bytes": 1},
    "accelerators": [GPU],
}


@attrs.define
class FakeGpu:
    """One GPU of NVIDIA; a figure may be an error of NVML's instead."""

    name: Any = "NVIDIA GeForce RTX 3080"
    uuid: Any = "GPU-12345678-1234-1234-1234-123456789abc"
    pci: Any = "00000000:01:00.0"
    temperature: Any = 65
    memory_temperature: Any = 0
    busy: Any = 80
    used: Any = 8192 * MIB
    total: int = 10240 * MIB
    fan: Any = 75
    milliwatts: Any = 250_000
    limit: Any = 450_000
    architecture: Any = pynvml.NVML_DEVICE_ARCH_ADA
    capability: Any = (8, 9)
    computing: Any = attrs.field(factory=dict)
    """Bytes by process."""
    drawing: Any = attrs.field(factory=dict)
    broken: int | None = None
    """The error with which it answers whatever it is asked."""


class Failed(int):
    """An error instead of a figure."""


class FakeNvml:
    """What is used of `pynvml`, over pretend GPUs."""

    NVML_TEMPERATURE_GPU = pynvml.NVML_TEMPERATURE_GPU
    NVML_FI_DEV_MEMORY_TEMP = pynvml.NVML_FI_DEV_MEMORY_TEMP
    NVML_SUCCESS = pynvml.NVML_SUCCESS
    nvmlMemory_v2 = pynvml.nvmlMemory_v2

    def __init__(
        self, *gpus: FakeGpu, start: int = 0, driver: Any = "570.124.06", old: bool = False
    ) -> None:
        self.gpus = gpus
        self.driver = driver
        self.users = 0
        self._start = start
        self._old = old

    def nvmlInit(self) -> None:
        self._raise(self._start)
        self.users += 1

    def nvmlShutdown(self) -> None:
        self.users -= 1

    def nvmlDeviceGetCount(self) -> int:
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> FakeGpu:
        return self.gpus[index]

    def nvmlSystemGetDriverVersion(self) -> Any:
        return self.driver

    def nvmlDeviceGetName(self, handle: FakeGpu) -> Any:
        return self._told(handle, handle.name)

    def nvmlDeviceGetUUID(self, handle: FakeGpu) -> Any:
        return self._told(handle, handle.uuid)

    def nvmlDeviceGetPciInfo(self, handle: FakeGpu) -> Any:
        return SimpleNamespace(busId=self._told(handle, handle.pci))

    def nvmlDeviceGetTemperature(self, handle: FakeGpu, sensor: int) -> Any:
        return self._told(handle, handle.temperature)

    def nvmlDeviceGetFieldValues(self, handle: FakeGpu, fieldIds: list[int]) -> Any:
        self._told(handle, 0)
        told = handle.memory_temperature
        status = told if isinstance(told, Failed) else 0
        return [SimpleNamespace(nvmlReturn=status, value=SimpleNamespace(uiVal=int(told)))]

    def nvmlDeviceGetUtilizationRates(self, handle: FakeGpu) -> Any:
        return SimpleNamespace(gpu=self._told(handle, handle.busy))

    def nvmlDeviceGetMemoryInfo(self, handle: FakeGpu, version: Any = None) -> Any:
        if version and self._old:
            self._raise(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)
        used = self._told(handle, handle.used)
        return SimpleNamespace(used=used, total=handle.total)

    def nvmlDeviceGetFanSpeed(self, handle: FakeGpu) -> Any:
        return self._told(handle, handle.fan)

    def nvmlDeviceGetPowerUsage(self, handle: FakeGpu) -> Any:
        return self._told(handle, handle.milliwatts)

    def nvmlDeviceGetPowerManagementLimit(self, handle: FakeGpu) -> Any:
        return self._told(handle, handle.limit)

    def nvmlDeviceGetArchitecture(self, device: FakeGpu) -> Any:
        return self._told(device, device.architecture)

    def nvmlDeviceGetCudaComputeCapability(self, handle: FakeGpu) -> Any:
        return self._told(handle, handle.capability)

    def nvmlDeviceGetComputeRunningProcesses(self, handle: FakeGpu) -> Any:
        return _processes(self._told(handle, handle.computing))

    def nvmlDeviceGetGraphicsRunningProcesses(self, handle: FakeGpu) -> Any:
        return _processes(self._told(handle, handle.drawing))

    def _told(self, gpu: FakeGpu, value: Any) -> Any:
        self._raise(gpu.broken or 0)
        if isinstance(value, Failed):
            self._raise(value)
        return value

    def _raise(self, code: int) -> None:
        if code:
            raise pynvml.NVMLError(int(code))


FAILED = Failed(NOT_SUPPORTED)


def write(root: Path, files: Mapping[str, str]) -> Path:
    """Write a tree of files; a text that begins with -> is a link to what follows."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text.startswith("->"):
            path.symlink_to(text[2:])
        else:
            path.write_text(text)
    return root


def amd(number: int = 0, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Make the files of a card of AMD's, with the figures that the reference's rows have."""
    device = f"sys/class/drm/card{number}/device"
    files = {
        "vendor": "0x1002\n",
        "gpu_busy_percent": "3\n",
        "mem_info_vram_total": "34359738368\n",
        "mem_info_vram_used": "17179869184\n",
        "uevent": "DRIVER=amdgpu\nPCI_SLOT_NAME=0000:03:00.0\n",
        "hwmon/hwmon4/temp1_input": "38000\n",
        "hwmon/hwmon4/temp1_label": "edge\n",
        "hwmon/hwmon4/temp2_input": "44000\n",
        "hwmon/hwmon4/temp2_label": "junction\n",
        "hwmon/hwmon4/temp3_input": "39000\n",
        "hwmon/hwmon4/temp3_label": "mem\n",
        "hwmon/hwmon4/pwm1": "51\n",
        "hwmon/hwmon4/power1_average": "15000000\n",
    }
    return {f"{device}/{name}": text for name, text in {**files, **(more or {})}.items()}


async def at_once(work: Callable[[], T], /) -> T:
    """Work without a thread, which has no pretend time."""
    await trio.lowlevel.checkpoint()
    return work()


def look() -> SystemSample:
    """See nothing but the time."""
    return SystemSample(trio.current_time())


def changed(path: str, value: Any) -> dict[str, Any]:
    """Change one thing; the path's parts are names and places."""
    snapshot = copy.deepcopy(SOUND)
    *parts, last = path.split(".")
    inner: Any = snapshot
    for part in parts:
        inner = inner[int(part) if part.isdecimal() else part]
    inner[last] = value
    return snapshot


class Watched:
    """A machine that is watched, and its pages."""

    def __init__(self, settings: Performance = ON) -> None:
        self.began = trio.current_time()
        gpus = Gpus([Nvidia(FakeNvml(FakeGpu()))], clock=self.time)
        self.machine = Machine(settings, gpus, in_thread=at_once, look=self.look)
        self.hardware = Hardware(detect=lambda: SOUND, in_thread=at_once)
        app = QuartTrio("swapd", static_folder=None)
        app.register_blueprint(blueprint(self.machine, self.hardware))
        self.client = app.test_client()

    def time(self) -> float:
        return BEGAN + trio.current_time() - self.began

    def look(self) -> SystemSample:
        net = (Interface("eth0", 1000, 2000),)
        return SystemSample(
            round(self.time(), 3),
            (10.504, 20.0),
            8192,
            4096,
            4096,
            2048,
            512,
            (1.5, 1.2, 0.9),
            net,
        )

    async def get(self, path: str) -> tuple[int, Any]:
        response = await self.client.get(path)
        assert response.content_type == "application/json"
        return response.status_code, await response.get_json()


def _processes(sizes: Mapping[int, int | None]) -> list[Any]:
    return [SimpleNamespace(pid=pid, usedGpuMemory=size) for pid, size in sizes.items()]


@attrs.define
class Unmeasured:
    """A machine that nobody has looked at yet."""

    def system(self, after: float | None) -> list[SystemSample]:
        return []

    def gpu(self, after: float | None) -> list[GpuSample]:
        return []
