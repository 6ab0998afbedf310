"""What the machine is besides its GPUs: processor, memory, system, and what it runs in.

Rule 1: everything is read from files below a root; no program is asked.
Rule 2: a file that is not there, or may not be read, says nothing.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# What each kernel calls its machine, and whether the name was changed.
ARCHITECTURES = {
    "x86_64": "x86_64",
    "amd64": "x86_64",
    "arm64": "arm64",
    "aarch64": "arm64",
    "arm": "armv7",
    "armv7l": "armv7",
    "ppc64le": "ppc64le",
    "riscv64": "riscv64",
    "s390x": "s390x",
}

# Words that say that nothing is known.
UNKNOWN = frozenset(["", "n/a", "unknown"])

# What people call what a machine runs in; from llama-swap, but for the last three.
NAMES = {
    "docker": "Docker",
    "kvm": "KVM",
    "vmware": "VMware",
    "vbox": "VirtualBox",
    "hyperv": "Hyper-V",
    "lxc": "LXC",
    "qemu": "QEMU",
    "xen": "Xen",
    "podman": "Podman",
}

# A part of what the firmware of a virtual machine says of itself, and what that is.
FIRMWARE = (
    ("kvm", "kvm"),
    ("qemu", "qemu"),
    ("vmware", "vmware"),
    ("virtualbox", "vbox"),
    ("innotek", "vbox"),
    ("microsoft corporation virtual machine", "hyperv"),
    ("xen", "xen"),
)

# Containers, as the control groups of their first process may name them.
GROUPS = ("docker", "lxc", "podman", "containerd")

PAGE = os.sysconf("SC_PAGE_SIZE")

Told = dict[str, Any]


def architecture(machine: str) -> Told:
    """Name what the kernel calls its machine."""
    name = ARCHITECTURES.get(machine, "other")
    return {"name": name, "raw_name": None if name == machine else machine}


def operating_system(root: Path, release: str) -> Told:
    """Name the distribution and the kernel."""
    told = dict(re.findall(r"(?m)^([A-Z_]+)=(.*)$", _text(root / "etc/os-release")))
    name, version = (told.get(key, "").strip().strip("\"'") for key in ("ID", "VERSION_ID"))
    return {
        "family": "linux",
        "name": _known(name),
        "version": _known(version),
        "kernel": _known(release),
    }


def kernel(root: Path) -> str:
    """Answer with what the kernel says of itself."""
    return _text(root / "proc/version")


def cpu(root: Path, *, logical: int | None, physical: int | None) -> Told:
    """Describe the processor; its cores count only if there are no more of them than threads."""
    text = _text(root / "proc/cpuinfo")
    sockets = set(_fields(text, "physical id"))
    if physical is not None and logical is not None and physical > logical:
        physical = None
    return {
        "vendor": _first(_fields(text, "vendor_id")),
        "model": _first(_fields(text, "model name")),
        "socket_count": len(sockets) or None,
        "physical_core_count": physical,
        "logical_thread_count": logical,
    }


def memory(root: Path) -> int | None:
    """Count the bytes of memory that there are for us."""
    told = re.search(r"(?m)^MemTotal:\s+([0-9]+) kB", _text(root / "proc/meminfo"))
    total = max(int(told[1]) * 1024 if told else 0, present(_text(root / "proc/zoneinfo")))
    limits = (
        _text(root / "sys/fs/cgroup" / name)
        for name in ("memory.max", "memory/memory.limit_in_bytes")
    )
    return limited(total, limits=[*limits]) or None


def present(zones: str, page: int = PAGE) -> int:
    """Count the bytes that the machine has, by the kernel's zones of memory."""
    pages, zone = 0, ""
    for line in zones.splitlines():
        words = line.split()
        if line.startswith("Node") and "zone" in words:
            zone = words[-1]
        # What belongs to a device is no memory of the machine.
        elif zone != "Device" and len(words) == 2 and words[0] == "present":
            pages += int(words[1])
    return pages * page


def limited(total: int, *, limits: list[str]) -> int:
    """Answer with the smallest of what there is and what may be used of it."""
    words = (limit.strip() for limit in limits)
    return min([total, *(int(word) for word in words if word.isdecimal())])


def environment(root: Path, kernel: str) -> Told:
    """Say what the system runs in.

    1. The kernel is that of Windows. 2. Something says that this is a container. 3. Something
    says that this is a virtual machine. 4. The processor says that it is none. 5. Who knows.
    """
    # 1
    if re.search("microsoft|wsl", kernel, re.IGNORECASE):
        return _environment("wsl", "WSL")
    # 2
    if container := _container(root):
        return _environment("container", _name(container))
    # 3
    flags = " ".join(_fields(_text(root / "proc/cpuinfo"), "flags")).split()
    firmware = _firmware(root)
    if firmware or "hypervisor" in flags:
        return _environment("virtual_machine", _name(firmware) if firmware else None)
    # 4
    return _environment("native" if flags else "unknown", None)


def _container(root: Path) -> str:
    """Find out which container this is; empty for none."""
    if told := _text(root / "run/systemd/container").strip():
        return told
    variables = _text(root / "proc/1/environ").split("\0")
    for variable in variables:
        if variable.startswith("container=") and variable != "container=":
            return variable.removeprefix("container=")
    if (root / ".dockerenv").exists():
        return "docker"
    if (root / "run/.containerenv").exists():
        return "podman"
    groups = _text(root / "proc/1/cgroup")
    return next((name for name in GROUPS if name in groups), "")


def _firmware(root: Path) -> str:
    place = root / "sys/class/dmi/id"
    words = [_text(place / name).strip() for name in ("sys_vendor", "product_name")]
    told = " ".join(words).lower()
    return next((name for part, name in FIRMWARE if part in told), "")


def _environment(kind: str, name: str | None) -> Told:
    return {"kind": kind, "name": name, "version": None}


def _name(word: str) -> str:
    names: Mapping[str, str] = NAMES
    return names.get(word.lower(), word)


def _fields(text: str, name: str) -> list[str]:
    """Find the values of a field in /proc/cpuinfo, one for each core that has it."""
    return re.findall(rf"(?m)^{re.escape(name)}[ \t]*:[ \t]*(.*)$", text)


def _first(words: list[str]) -> str | None:
    return next((word.strip() for word in words if _known(word)), None)


def _known(word: str) -> str | None:
    return None if word.strip().lower() in UNKNOWN else word.strip()


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
