"""Rows U1 to U19, Y1 to Y8, Z1 to Z16 and R19 to R21: the machine.

Y8 is in `tests/config/rows`, Y9 to Y18 are where the figures for Prometheus are tested.
"""

import attrs
import pytest
import trio

from swapd.config.settings import Performance
from swapd.manage.machine import gpu_told
from swapd.watch import hardware_host
from swapd.watch.drm import Drm
from swapd.watch.gpus import Gpus
from swapd.watch.hardware import NotSound, detect, validate
from swapd.watch.hardware_gpu import Record, gfx, merged, of_drm, of_kfd, of_nvidia, told
from swapd.watch.machine import Machine
from swapd.watch.nvidia import Nvidia, architecture
from swapd.watch.samples import GpuSample
from tests.machines import (
    FAILED,
    MIB,
    SOUND,
    FakeGpu,
    FakeNvml,
    Watched,
    amd,
    at_once,
    changed,
    look,
    write,
)

# What llama-swap reads and swapd does not, with the reason.
NOT_OURS = (
    ("U2", "a line of nvidia-smi that is cut; NVML answers with values"),
    ("U3", "a line of nvidia-smi that is cut; NVML answers with values"),
    ("U8", "tables of rocm-smi; the kernel has a file for each figure"),
    ("U9", "macOS: swapd runs on Linux"),
    ("U10", "macOS"),
    ("U12", "macOS"),
    ("U13", "Windows"),
    ("U14", "Windows"),
    ("U15", "Windows"),
    ("U17", "Windows"),
    ("U18", "Windows"),
    ("U19", "Windows"),
    ("Y3", "loggers are found by their modules' names"),
    ("Y4", "nobody follows the samples; who wants them asks"),
    ("Z14", "macOS"),
    ("Z15", "a size as macOS writes it"),
    ("Z16", "Windows"),
)


def of_nvml(gpu: FakeGpu) -> GpuSample:
    """Look at one GPU of NVIDIA's."""
    nvidia = Nvidia(FakeNvml(gpu))
    nvidia.open()
    [sample] = nvidia.samples(7.0, pytest.fail)
    return sample


U1 = GpuSample(
    *(7.0, 0, "NVIDIA GeForce RTX 3080", "GPU-12345678-1234-1234-1234-123456789abc"),
    temp_c=65,
    util_pct=80.0,
    mem_util_pct=80.0,
    mem_used_mb=8192,
    mem_total_mb=10240,
    fan_pct=75.0,
    power_w=250.0,
)
MUTE = FakeGpu(
    *("X", "U"),
    used=MIB,
    total=2 * MIB,
    temperature=FAILED,
    busy=FAILED,
    fan=FAILED,
    milliwatts=FAILED,
)
U5 = GpuSample(7.0, 0, "X", "U", mem_used_mb=1, mem_total_mb=2, mem_util_pct=50.0)


@pytest.mark.parametrize(
    ("gpu", "sample"),
    [
        pytest.param(FakeGpu(), U1, id="U1"),
        pytest.param(
            FakeGpu(used=0, total=0),
            attrs.evolve(U1, mem_util_pct=0.0, mem_used_mb=0, mem_total_mb=0),
            id="U4",
        ),
        pytest.param(
            MUTE,
            U5,
            id="U5",
        ),
    ],
)
def test_gpus_of_nvidia(gpu, sample):
    """The figures of nvidia-smi, from the library that it asks, too."""
    assert of_nvml(gpu) == sample


U6 = GpuSample(
    *(7.0, 0, "card0"),
    temp_c=38,
    vram_temp_c=39,
    util_pct=3.0,
    mem_util_pct=50.0,
    mem_used_mb=16384,
    mem_total_mb=32768,
    fan_pct=20.0,
    power_w=15.0,
)


@pytest.mark.parametrize(
    ("more", "sample"),
    [
        pytest.param({}, U6, id="U6"),
        pytest.param({"product_name": "\n"}, U6, id="U7"),
        pytest.param(
            {"mem_info_vram_total": "0\n"},
            attrs.evolve(U6, mem_util_pct=0.0, mem_total_mb=0),
            id="U11",
        ),
    ],
)
def test_gpus_of_amd(more, sample, tmp_path):
    """The figures of rocm-smi, from the files that it reads, too."""
    drm = Drm(write(tmp_path, amd(more=more)))
    drm.open()
    assert drm.samples(7.0, pytest.fail) == [sample]


@pytest.mark.parametrize(
    ("turns", "most", "share"),
    [
        pytest.param(1500, 3000, 50.0, id="U16"),
        pytest.param(3000, 3000, 100.0, id="U16-all"),
        pytest.param(4000, 3000, 100.0, id="U16-more"),
        pytest.param(1500, 0, 0.0, id="U16-of-nothing"),
        pytest.param(0, 3000, 0.0, id="U16-none"),
    ],
)
def test_fans(turns, most, share, tmp_path):
    """A fan without its most has no share of it."""
    place = "hwmon/hwmon4"
    files = {"pwm1": "", "fan1_input": f"{turns}\n", "fan1_max": f"{most}\n"}
    drm = Drm(write(tmp_path, amd(more={f"{place}/{name}": files[name] for name in files})))
    drm.open()
    assert drm.samples(7.0, pytest.fail)[0].fan_pct == share


@pytest.mark.parametrize(
    ("every", "taken"),
    [
        pytest.param(0.0, 10, id="Y1-0"),
        pytest.param(0.001, 10, id="Y1"),
        pytest.param(0.5, 2, id="Y2"),
    ],
)
async def test_intervals(every, taken, nursery, autojump_clock):
    """Looking without a pause would be all that the machine does."""
    machine = Machine(Performance(every=every), Gpus([]), look=look, in_thread=at_once)
    await nursery.start(machine.run)
    await trio.sleep(1.05)
    assert len(machine.system()) == taken


@pytest.mark.parametrize("seconds", [pytest.param(0.35, id="Y5-Y6-Y7")])
async def test_samples(seconds, nursery, autojump_clock):
    """None at first; then some, of which nobody can take any away; and none after the end."""
    gpus = Gpus([Nvidia(FakeNvml(FakeGpu()))])
    machine = Machine(Performance(every=0.1), gpus, look=look, in_thread=at_once)
    assert (machine.system(), machine.gpu()) == ([], [])
    with trio.move_on_after(seconds):
        await machine.run()
    assert len(machine.system()) == 3
    machine.system().clear()
    machine.gpu().clear()
    await trio.sleep(1)
    assert (len(machine.system()), len(machine.gpu())) == (3, 3)


@pytest.mark.parametrize(
    ("machine", "name", "raw"),
    [
        pytest.param("amd64", "x86_64", "amd64", id="Z1-amd64"),
        pytest.param("arm64", "arm64", None, id="Z1-arm64"),
        pytest.param("arm", "armv7", "arm", id="Z1-arm"),
        pytest.param("mips64", "other", "mips64", id="Z1-mips64"),
    ],
)
def test_architectures(machine, name, raw):
    """The raw name is there where it was changed."""
    assert hardware_host.architecture(machine) == {"name": name, "raw_name": raw}


@pytest.mark.parametrize("cores", [pytest.param((16, 8), id="Z2-Z3")])
def test_snapshots(cores):
    """A minimal one will do; one with more cores than threads will not."""
    validate(SOUND)
    cpu = {**SOUND["cpu"], "physical_core_count": cores[0], "logical_thread_count": cores[1]}
    with pytest.raises(NotSound):
        validate(changed("cpu", cpu))


def test_z4_what_two_know_of_one_gpu_is_put_together():
    """Z4: and where it is stays with us."""
    [record] = merged(
        [
            Record("0000:01:00.0", vendor="NVIDIA", memory_kind="dedicated", memory=5),
            Record("0000:01:00.0", model="RTX"),
        ]
    )
    shown = told(0, record)
    assert (shown["index"], shown["vendor"], shown["model"]) == (0, "NVIDIA", "RTX")
    assert shown["memory"] == {"kind": "dedicated", "capacity_bytes": 5}
    assert "0000:01:00.0" not in str(shown)


def test_z5_gpus_are_sorted_by_their_place():
    """Z5: the first kind of memory that is known counts, and the first size."""
    nvidia, radeon = merged(
        [
            Record("0000:65:00.0", architecture="gfx1151", memory_kind="unified"),
            Record("0000:01:00.0", vendor="NVIDIA"),
            Record(
                "0000:65:00.0", model="Radeon 8060S", memory_kind="dedicated", memory=32 * 2**30
            ),
        ]
    )
    assert nvidia.vendor == "NVIDIA"
    assert attrs.astuple(radeon)[2:6] == ("Radeon 8060S", "gfx1151", "unified", 32 * 2**30)


def test_z6_this_machine_can_be_described():
    """Z6: whatever it is."""
    validate(detect())


@pytest.mark.parametrize(
    "gpu",
    [
        pytest.param(
            FakeGpu("NVIDIA GeForce RTX 4090", "GPU-abc", used=0, total=24564 * MIB), id="Z7"
        )
    ],
)
def test_descriptions_of_nvidia(gpu):
    """Sizes in bytes, limits in watts."""
    [record] = of_nvidia(Nvidia(FakeNvml(gpu)))
    assert (record.identity, record.model) == ("0000:01:00.0", "NVIDIA GeForce RTX 4090")
    assert (record.memory, record.power_limit) == (24564 * MIB, 450.0)
    assert (record.driver, record.driver_version) == ("NVIDIA", "570.124.06")


@pytest.mark.parametrize("minor", [pytest.param(6, id="Z8")])
def test_compute_capabilities(minor):
    """An architecture that the driver knows stays what it is."""
    assert [architecture(6, 1), architecture(8, minor)] == ["Pascal", "Ampere"]
    named = FakeGpu(capability=(6, 1))
    [record] = of_nvidia(Nvidia(FakeNvml(named)))
    assert record.architecture == "Ada Lovelace"


@pytest.mark.parametrize("total", [pytest.param(8 * 2**30, id="Z9")])
def test_limits(total):
    """The smallest counts, and `max` is none."""
    assert hardware_host.limited(total, limits=["max\n", "2147483648\n", ""]) == 2**31


ZONES = """Node 0, zone      DMA
  pages free     3840
        present  393216
Node 0, zone   Normal
  pages free     1
        present  33161216
  pagesets
Node 0, zone   Device
        present  1000000
"""


@pytest.mark.parametrize("zones", [pytest.param(ZONES, id="Z10")])
def test_zones(zones):
    """What the kernel keeps for itself is memory of the machine, too."""
    assert hardware_host.present(zones, page=4096) == 128 * 2**30


@pytest.mark.parametrize("version", [pytest.param(110501, id="Z11")])
def test_nodes_for_computing(version, tmp_path):
    """They are known by the card that draws."""
    render = "sys/class/drm/renderD128/device"
    files = {
        "sys/class/kfd/kfd/topology/nodes/0/properties": "gfx_target_version 0\n",
        "sys/class/kfd/kfd/topology/nodes/1/properties": (
            f"cpu_cores_count 0\ngfx_target_version {version}\ndrm_render_minor 128\n"
        ),
        f"{render}/vendor": "0x1002\n",
        f"{render}/uevent": "DRIVER=amdgpu\nPCI_SLOT_NAME=0000:65:00.0\n",
        "dev/dri/renderD128": "",
    }
    [record] = of_kfd(write(tmp_path, files))
    assert (record.identity, record.architecture) == ("0000:65:00.0", "gfx1151")


@pytest.mark.parametrize(
    ("version", "name"),
    [
        pytest.param(0, None, id="Z12-0"),
        pytest.param(90010, "gfx90a", id="Z12-90010"),
        pytest.param(110000, "gfx1100", id="Z12-110000"),
        pytest.param(110501, "gfx1151", id="Z12-110501"),
        pytest.param(111000, None, id="Z12-minor"),
        pytest.param(110016, None, id="Z12-step"),
    ],
)
def test_names_of_amd(version, name):
    """The last digit is a hexadecimal one."""
    assert gfx(version) == name


@pytest.mark.parametrize("model", [pytest.param("Radeon RX 7900 XTX", id="Z13")])
def test_descriptions_of_amd(model, tmp_path):
    """From the kernel's files instead of rocm-smi's table."""
    files = amd(more={"product_name": f"{model}\n", "drm/renderD128/dev": ""})
    [record] = of_drm(write(tmp_path, {**files, "dev/dri/renderD128": ""}))
    assert (record.model, record.identity) == (model, "0000:03:00.0")


@pytest.mark.parametrize("disabled", [pytest.param(True, id="R19")])
async def test_watching_that_is_off(disabled, autojump_clock):
    """The page of the reference's own web page looks for this."""
    watched = Watched(Performance(disabled=disabled))
    assert await watched.get("/api/performance") == (503, {"enabled": False})


@pytest.mark.parametrize("path", [pytest.param("/api/version", id="R20")])
async def test_versions(path, autojump_clock):
    """Three strings."""
    status, version = await Watched().get(path)
    assert status == 200
    assert sorted(version) == ["build_date", "commit", "version"]
    assert all(isinstance(word, str) for word in version.values())


@pytest.mark.parametrize("path", [pytest.param("/api/hardware", id="R21")])
async def test_descriptions_of_the_machine(path, autojump_clock):
    """There, or not there at all."""
    watched = Watched()
    status, refusal = await watched.get(path)
    assert (status, refusal["error"]["message"]) == (503, "hardware detection unavailable")
    await watched.hardware.run()
    status, snapshot = await watched.get(path)
    assert (status, isinstance(snapshot["accelerators"], list)) == (200, True)


def test_rows_that_are_not_ours_have_a_reason():
    """Else nobody knows whether they were forgotten."""
    assert all(reason for _, reason in NOT_OURS)
    assert len({row for row, _ in NOT_OURS}) == len(NOT_OURS)


def test_a_gpu_that_tells_nothing_is_told_in_full():
    """Readers expect every key."""
    assert list(gpu_told(GpuSample(0.0, 0)).values())[1:] == [0, "", "", *[0] * 8]
