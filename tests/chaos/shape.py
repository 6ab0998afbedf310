"""What a run is like: what its seed decides, apart from faults, and how models are configured."""

import shlex
import sys
from collections.abc import Mapping
from typing import Any

import attrs

from tests.chaos import model as pretend_model
from tests.chaos import one_slot
from tests.daemons import free_ports

# Named as often as they are asked for; one of them takes its time to go.
PRETENDED = ("plain", "plain", "plain", "slow", "slow", "forking")
LLAMAS = ("tiny-a", "tiny-b")

_ENDS = ("SIGTERM when idle", "SIGTERM when busy", "SIGKILL when busy")


@attrs.frozen
class Shape:
    """What a seed makes of a run, apart from its faults."""

    seed: int
    seconds: float
    """Of load."""
    serial: bool
    unix: bool
    end: str
    llamas: bool = True

    @classmethod
    def of(cls, seed: int, seconds: float, *, llamas: bool = True) -> "Shape":
        """Have seeds in a row differ as much as they can."""
        end = _ENDS[seed % 3]
        return cls(seed, seconds, seed % 2 == 0, seed // 2 % 2 == 1, end, llamas)

    def __str__(self) -> str:
        scheduler = "serial" if self.serial else "fifo"
        where = "unix" if self.unix else "tcp"
        return f"seed {self.seed} ({scheduler}, {where}, {self.end})"


def ports_of(shape: Shape) -> dict[str, int]:
    """Find a port for each model."""
    names = (*dict.fromkeys(PRETENDED), *(LLAMAS if shape.llamas else ()))
    first = free_ports(len(names))
    return {name: first + number for number, name in enumerate(names)}


def models_at(ports: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """Configure every model, each with a weakness or a habit of its own."""
    program = [sys.executable, "-I", "-S", pretend_model.__file__]
    llama = [sys.executable, one_slot.__file__]
    own: dict[str, tuple[list[str], dict[str, Any]]] = {
        "plain": (program, {"timeouts": {"responseHeader": 5}}),
        "forking": ([*program, "--fork"], {"livenessInterval": 1, "unloadTimeout": 1}),
        "slow": ([*program, "--slow-term", "0.3"], {"sendLoadingState": True, "ttl": 2}),
        "tiny-a": ([*llama, "tiny-a"], {}),
        "tiny-b": ([*llama, "tiny-b"], {"ttl": 3}),
    }
    models = {}
    for name, port in ports.items():
        argv, options = own[name]
        command = shlex.join([*argv, "--port", str(port)])
        models[name] = {"cmd": command, "proxy": f"http://127.0.0.1:{port}", **options}
    return models


def routing_of(shape: Shape, models: Mapping[str, object]) -> dict[str, Any]:
    """Take serial, or fifo with groups: two side by side, one alone, and llama.cpp in turns."""
    if shape.serial:
        return {}
    groups = {
        "side": {"members": ["plain", "forking"], "swap": False, "exclusive": False},
        "alone": {"members": ["slow"], "swap": True, "exclusive": True},
    }
    if shape.llamas:
        groups["turns"] = {"members": [*LLAMAS], "swap": True, "exclusive": True}
    fifo = {"use": "fifo", "settings": {"fifo": {"maxTurn": 3}}}
    return {"routing": {"scheduler": fifo, "router": {"settings": {"groups": groups}}}}
