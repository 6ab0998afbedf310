"""The unit files, as systemd itself reads them: no word that it does not know, and no hole."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

CONFIGS = ROOT / "configs"

# Ten times what `systemd-analyze security` says of the unit: what GPUs, compilers at run time, the
# network and a fixed user cost. A line that is lost makes it more.
EXPOSURE = 18

# The first systemd that knows Type=notify-reload.
NOTIFY_RELOAD = 253

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here"),
]


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Ask systemd about units, and answer with all that it said."""
    return subprocess.run(
        ["systemd-analyze", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )


def version() -> int:
    """Say which systemd this is."""
    found = re.search(r"\d+", analyze("--version").stdout)
    assert found is not None
    return int(found[0])


@pytest.fixture
def units(tmp_path: Path) -> tuple[Path, Path]:
    """Copy the units, with a program that is here, and with what an older systemd knows."""
    service = (CONFIGS / "swapd.service").read_text()
    program = tmp_path / "swapd"
    program.symlink_to(sys.executable)
    assert service.count("/usr/local/bin/swapd ") == 2
    service = service.replace("/usr/local/bin/swapd ", f"{program} ")
    if version() < NOTIFY_RELOAD:
        service = service.replace("Type=notify-reload", "Type=notify")
    (tmp_path / "swapd.service").write_text(service)
    (tmp_path / "swapd.socket").write_text((CONFIGS / "swapd.socket").read_text())
    return tmp_path / "swapd.service", tmp_path / "swapd.socket"


def test_systemd_understands_every_line(units):
    """A word that it does not know is ignored with a warning that nobody sees."""
    done = analyze("verify", *units)
    assert (done.stdout, done.returncode) == ("", 0)


def test_a_wrong_line_would_be_told(units):
    """Else the test before says nothing."""
    service, _ = units
    service.write_text(service.read_text().replace("KillMode=mixed", "KillMode=mixd"))
    assert "mixd" in analyze("verify", service).stdout


def test_the_rest_of_the_machine_is_kept_from_models(units):
    """What strangers write is read by servers with mistakes of their own."""
    service, _ = units
    arguments = ("security", "--offline=true", "--no-pager", f"--threshold={EXPOSURE}")
    done = analyze(*arguments, service)
    assert done.returncode == 0, done.stdout


def test_what_gpus_need_is_not_taken_away():
    """A unit that looks safer and starts no model is switched off by the first who has one."""
    lines = (CONFIGS / "swapd.service").read_text().splitlines()
    told = [line for line in lines if line and not line.startswith("#")]
    for name in ("PrivateDevices", "MemoryDenyWriteExecute", "PrivateUsers", "PrivateNetwork"):
        assert not [line for line in told if line.startswith(f"{name}=")]
    devices = [line.split("=")[1] for line in told if line.startswith("DeviceAllow=")]
    assert devices == ["char-nvidia* rw", "char-kfd rw", "char-drm rw", "char-accel rw"]


@pytest.mark.parametrize("prefix", ["ExecStart=", "ExecStartPre="])
def test_the_commands_are_swapds_own(prefix, tmp_path):
    """A flag that is renamed must not be found out by whoever updates."""
    [line] = [
        line
        for line in (CONFIGS / "swapd.service").read_text().splitlines()
        if line.startswith(prefix)
    ]
    _, *arguments = line.removeprefix(prefix).replace("/etc/swapd", str(tmp_path)).split()
    command = [sys.executable, "-m", "swapd", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT)
    # There is no such file, which is all that is wrong.
    assert done.returncode == 78
    assert done.stderr.startswith(f"{tmp_path}/swapd.yaml: cannot read this file")
