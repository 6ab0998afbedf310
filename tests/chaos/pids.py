"""Processes of models, found and told by their numbers; they may be gone at any time."""

import os
import signal
from contextlib import suppress
from pathlib import Path


def send(pids: list[int], number: signal.Signals) -> int:
    """Signal those that are there; answer how many."""
    count = 0
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
            count += 1
    return count


def named(pids: list[int]) -> str:
    """Say whose processes these are."""
    names = []
    for pid in pids:
        with suppress(OSError, ValueError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            names.append(f"{pid} :{words[words.index(b'--port') + 1].decode()}")
    return ", ".join(names) or "nobody"


def leads(pid: int) -> bool:
    """Whether it is the first of its group."""
    with suppress(ProcessLookupError):
        return os.getpgid(pid) == pid
    return False
