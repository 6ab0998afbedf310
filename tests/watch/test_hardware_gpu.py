"""GPUs, put together of what each driver knows."""

import pytest

from swapd.watch.hardware_gpu import (
    Record,
    accelerators,
    merged,
    of_drm,
    of_kfd,
    of_nvidia,
    place,
)
from swapd.watch.nvidia import Nvidia
from tests.machines import FAILED, MIB, FakeGpu, FakeNvml, amd, write

NODE = "sys/class/kfd/kfd/topology/nodes/1/properties"

CARD = {
    **amd(
        more={
            "product_name": "Radeon RX 7900 XTX\n",
            "driver": "->/sys/bus/pci/drivers/amdgpu",
            "hwmon/hwmon4/power1_cap": "327000000\n",
            "drm/renderD128/dev": "226:128\n",
        }
    ),
    "sys/class/drm/renderD128/device/vendor": "0x1002\n",
    "sys/class/drm/renderD128/device/uevent": "PCI_SLOT_NAME=0000:03:00.0\n",
    "dev/dri/renderD128": "",
}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("00000000:01:00.0", "0000:01:00.0"),
        ("0000:AF:00.1", "0000:af:00.1"),
        ("00010001:01:00.0", "0001:01:00.0"),
        ("01:00.0", None),
        ("", None),
        (None, None),
    ],
)
def test_a_place_on_the_bus_has_one_name(written, read):
    """NVML writes more digits than the kernel."""
    assert place(written) == read


def test_what_the_first_knows_counts():
    """Those that cannot be told from others stay by themselves."""
    one = Record("0000:01:00.0", vendor="AMD", memory_kind="unknown")
    two = Record("0000:01:00.0", vendor="Intel", memory_kind="dedicated", memory=5, model="X")
    nobody = Record(model="Y")
    assert merged([one, two, nobody, nobody]) == [
        *[nobody, nobody],
        Record("0000:01:00.0", vendor="AMD", memory_kind="dedicated", memory=5, model="X"),
    ]


def test_a_card_of_amd_is_known_to_two_drivers(tmp_path):
    """One for computing, with the architecture; one for drawing, with all else."""
    node = "vendor_id 4098\ndrm_render_minor 128\ngfx_target_version 110000\n"
    root = write(tmp_path, {**CARD, NODE: node})
    (root / "sys/class/drm/card0/device/driver").unlink()
    (root / "amdgpu").mkdir()
    (root / "sys/class/drm/card0/device/driver").symlink_to(root / "amdgpu")
    write(root, {"sys/module/amdgpu/version": "6.12.12\n"})
    assert accelerators(root, Nvidia(FakeNvml())) == [
        {
            "index": 0,
            "kind": "gpu",
            "vendor": "AMD",
            "model": "Radeon RX 7900 XTX",
            "architecture": "gfx1100",
            "memory": {"kind": "dedicated", "capacity_bytes": 32 * 1024 * MIB},
            "driver": {"name": "amdgpu", "version": "6.12.12"},
            "power_limit_watts": 327.0,
        }
    ]


def test_a_card_that_we_may_not_use_is_none_of_ours(tmp_path):
    """In a container that was not given it, no model runs on it."""
    root = write(tmp_path, CARD)
    (root / "dev/dri/renderD128").unlink()
    write(root, {NODE: "drm_render_minor 128\ngfx_target_version 110000\n"})
    assert [*of_drm(root), *of_kfd(root)] == []


@pytest.mark.parametrize(
    ("vendor", "name", "kind"),
    [
        ("0x8086", "Intel", "shared_system"),
        ("0x106b", "Apple", "shared_system"),
        ("0x10de", "NVIDIA", "unknown"),
    ],
)
def test_who_tells_of_no_memory_shares_that_of_the_machine(vendor, name, kind, tmp_path):
    """Except NVIDIA's, of which only their own driver tells."""
    device = "sys/class/drm/card0/device"
    files = {
        f"{device}/vendor": vendor,
        f"{device}/drm/renderD128/dev": "",
        "dev/dri/renderD128": "",
    }
    [record] = of_drm(write(tmp_path, files))
    assert (record.vendor, record.memory_kind, record.memory) == (name, kind, None)


def test_a_display_of_a_server_is_no_gpu(tmp_path):
    """Nor is whatever else has outputs."""
    device = "sys/class/drm/card0/device"
    files = {f"{device}/vendor": "0x1a03", f"{device}/drm/renderD128/dev": "", "dev/dri/x": ""}
    assert list(of_drm(write(tmp_path, files))) == []


def test_a_gpu_without_a_place_is_known_by_its_number():
    """As some clouds have them; and the driver is let go."""
    library = FakeNvml(FakeGpu(pci=FAILED, uuid="GPU-1"))
    [record] = of_nvidia(Nvidia(library))
    assert record.identity == "GPU-1"
    assert library.users == 0
