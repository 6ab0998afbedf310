"""The memory of cards by process, over trees of files."""

import pytest

from swapd.watch.fdinfo import by_pid, size_in
from tests.machines import write

RENDER = "->/dev/dri/renderD128"


def client(number: int, kib: int, place: str = "0000:03:00.0") -> str:
    """Write what amdgpu says of a client."""
    return (
        f"pos:\t0\ndrm-driver:\tamdgpu\ndrm-client-id:\t{number}\ndrm-pdev:\t{place}\n"
        f"drm-memory-vram:\t{kib} KiB\ndrm-memory-gtt: \t4 KiB\n"
    )


def process(pid: int, *clients: str) -> dict[str, str]:
    """Make a process that has each of these open, and a log."""
    files = {f"proc/{pid}/fd/0": "->/var/log/x", f"proc/{pid}/fdinfo/0": client(99, 999)}
    for number, text in enumerate(clients, 3):
        files[f"proc/{pid}/fd/{number}"] = RENDER
        files[f"proc/{pid}/fdinfo/{number}"] = text
    return files


def test_a_client_counts_once_whoever_has_it(tmp_path):
    """Descriptors are doubled, and a child is born with those of its parent."""
    root = write(
        tmp_path,
        {
            **process(9, client(1, 8), client(1, 8), client(2, 1)),
            **process(10, client(1, 8), client(3, 2)),
            **process(11, client(3, 5, place="0000:04:00.0")),
            **process(12),
            "proc/self/x": "",
        },
    )
    assert by_pid(root, None) == {9: 9 * 1024, 10: 2 * 1024, 11: 5 * 1024}
    assert by_pid(root, {10, 77}) == {10: 10 * 1024}


@pytest.mark.parametrize(
    ("text", "size"),
    [
        pytest.param("drm-memory-vram:\t3 MiB", 3 * 2**20, id="amdgpu"),
        pytest.param("drm-total-local0:\t5 KiB\ndrm-total-system0:\t9 KiB", 5120, id="i915"),
        pytest.param(
            "drm-total-vram0:\t5 KiB\ndrm-resident-vram0:\t4 KiB\ndrm-resident-vram1:\t7",
            4103,
            id="xe: what is there, on each tile",
        ),
        pytest.param(
            "drm-total-vram:\t9 KiB\ndrm-memory-vram:\t5 KiB\ndrm-resident-vram:\t5 KiB",
            5120,
            id="amdgpu says it twice",
        ),
        pytest.param("drm-shared-vram:\t9 KiB\ndrm-memory-gtt:\t9 KiB", 0, id="not the card's"),
        pytest.param("", 0, id="nothing"),
    ],
)
def test_only_what_lies_on_the_card_counts(text, size):
    """What lies in the machine's memory is counted there."""
    assert size_in(text) == size


def test_what_is_computed_with_is_not_counted_twice(tmp_path):
    """AMD's driver for computing counts for itself what that for drawing may count, too."""
    kfd = "sys/class/kfd/kfd/proc"
    root = write(
        tmp_path,
        {
            **process(9, client(1, 8)),
            f"{kfd}/9/vram_51": "4096\n",
            f"{kfd}/9/vram_52": "8192\n",
            f"{kfd}/9/pasid": "32770\n",
            f"{kfd}/10/vram_51": "1\n",
            f"{kfd}/11/vram_51": "none\n",
        },
    )
    assert by_pid(root, None) == {9: 12288, 10: 1}
    assert by_pid(root, [9]) == {9: 12288}


def test_where_there_is_nothing_nobody_has_any(tmp_path):
    """A machine without /proc is no failure."""
    assert by_pid(tmp_path, None) == {}
