"""Processor, memory, system and what it runs in, over trees of files."""

import pytest

from swapd.watch import hardware_host
from tests.machines import write

CPUINFO = "flags\t\t: fpu sse\n"
GUEST = "flags\t\t: fpu hypervisor\n"
DMI = "sys/class/dmi/id"


@pytest.mark.parametrize(
    ("machine", "told"),
    [
        ("x86_64", {"name": "x86_64", "raw_name": None}),
        ("aarch64", {"name": "arm64", "raw_name": "aarch64"}),
        ("armv7l", {"name": "armv7", "raw_name": "armv7l"}),
        ("riscv64", {"name": "riscv64", "raw_name": None}),
        ("loongarch64", {"name": "other", "raw_name": "loongarch64"}),
    ],
)
def test_the_kernel_has_other_names_for_machines(machine, told):
    """The raw one is there where it was changed."""
    assert hardware_host.architecture(machine) == told


@pytest.mark.parametrize(
    ("text", "name", "version"),
    [
        ('ID=ubuntu\nVERSION_ID="24.04"\n', "ubuntu", "24.04"),
        ("NAME='Arch'\nID=arch\n", "arch", None),
        ("ID=unknown\nVERSION_ID=n/a\n", None, None),
        ("", None, None),
    ],
)
def test_the_system_is_named_as_it_names_itself(text, name, version, tmp_path):
    """Words that say nothing are null."""
    told = hardware_host.operating_system(write(tmp_path, {"etc/os-release": text}), "6.8.0")
    assert told == {"family": "linux", "name": name, "version": version, "kernel": "6.8.0"}


def test_a_processor_is_counted(tmp_path):
    """Sockets are those that differ; the first name that is one counts."""
    core = "processor\t: 0\nvendor_id\t: {}\nmodel name\t: Ryzen\nphysical id\t: {}\n\n"
    text = core.format("", 0) + core.format("AuthenticAMD", 0) + core.format("AuthenticAMD", 1)
    root = write(tmp_path, {"proc/cpuinfo": text})
    assert hardware_host.cpu(root, logical=3, physical=2) == {
        "vendor": "AuthenticAMD",
        "model": "Ryzen",
        "socket_count": 2,
        "physical_core_count": 2,
        "logical_thread_count": 3,
    }


def test_more_cores_than_threads_are_not_believed(tmp_path):
    """In a container that has few of them; and nothing is known of a processor without files."""
    assert hardware_host.cpu(tmp_path, logical=2, physical=8) == {
        "vendor": None,
        "model": None,
        "socket_count": None,
        "physical_core_count": None,
        "logical_thread_count": 2,
    }


@pytest.mark.parametrize(
    ("files", "size"),
    [
        ({}, None),
        ({"proc/meminfo": "MemTotal: 1024 kB\n"}, 2**20),
        ({"proc/meminfo": "MemTotal: 1024 kB\n", "sys/fs/cgroup/memory.max": "max\n"}, 2**20),
        ({"proc/meminfo": "MemTotal: 1024 kB\n", "sys/fs/cgroup/memory.max": "4096\n"}, 4096),
        (
            {
                "proc/meminfo": "MemTotal: 1024 kB\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            },
            2**20,
        ),
    ],
)
def test_memory_is_what_may_be_used_of_it(files, size, tmp_path):
    """A container's limit counts."""
    assert hardware_host.memory(write(tmp_path, files)) == size


@pytest.mark.parametrize(
    ("files", "kind", "name"),
    [
        pytest.param({}, "unknown", None, id="nothing known"),
        pytest.param({"proc/cpuinfo": CPUINFO}, "native", None, id="native"),
        pytest.param({"proc/cpuinfo": GUEST}, "virtual_machine", None, id="some guest"),
        pytest.param(
            {"proc/cpuinfo": GUEST, f"{DMI}/sys_vendor": "QEMU", f"{DMI}/product_name": "KVM"},
            *("virtual_machine", "KVM"),
            id="kvm",
        ),
        pytest.param(
            {
                f"{DMI}/sys_vendor": "Microsoft Corporation\n",
                f"{DMI}/product_name": "Virtual Machine\n",
            },
            *("virtual_machine", "Hyper-V"),
            id="hyper-v",
        ),
        pytest.param(
            {
                "proc/cpuinfo": CPUINFO,
                f"{DMI}/sys_vendor": "Microsoft Corporation\n",
                f"{DMI}/product_name": "Surface\n",
            },
            *("native", None),
            id="a notebook of theirs",
        ),
        pytest.param(
            {"proc/cpuinfo": GUEST, ".dockerenv": ""}, "container", "Docker", id="in a guest"
        ),
        pytest.param({"run/.containerenv": ""}, "container", "Podman", id="podman"),
        pytest.param(
            {"run/systemd/container": "systemd-nspawn\n"},
            *("container", "systemd-nspawn"),
            id="systemd says so",
        ),
        pytest.param(
            {"proc/1/environ": "A=b\0container=lxc\0"}, "container", "LXC", id="its variables"
        ),
        pytest.param(
            {"proc/1/cgroup": "4:memory:/docker/0123\n"}, "container", "Docker", id="its groups"
        ),
        pytest.param(
            {"proc/version": "Linux 5.15-microsoft-standard-WSL2", ".dockerenv": ""},
            *("wsl", "WSL"),
            id="wsl, before all else",
        ),
    ],
)
def test_a_system_runs_in_something(files, kind, name, tmp_path):
    """The innermost counts, except for Windows, whose drivers are others."""
    root = write(tmp_path, files)
    told = hardware_host.environment(root, hardware_host.kernel(root))
    assert told == {"kind": kind, "name": name, "version": None}
