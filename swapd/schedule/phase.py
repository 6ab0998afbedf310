"""The life of one run of a model, as a table.

Rule 1: the desk moves a run only along these arrows; anything else is a bug and asserts.
Rule 2: there is no arrow from a process to "stopped": a run that ends by itself is cleared away
first (`STOPPING`), because its children may outlive it.
"""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final


class Phase(Enum):
    """Where a model stands; the values are what the API says."""

    STOPPED = "stopped"
    """No process, nothing left of its group, its port refuses connections."""
    STARTING = "starting"
    """Spawned, not yet healthy."""
    READY = "ready"
    """Healthy; requests may be granted."""
    STOPPING = "stopping"
    """Told to end, or ended by itself and being cleared away."""
    FAILED = "failed"
    """Would not die, not even of SIGKILL; nothing is loaded on top of it."""


NEXT: Final[Mapping[Phase, frozenset[Phase]]] = MappingProxyType(
    {
        Phase.STOPPED: frozenset({Phase.STARTING}),
        Phase.STARTING: frozenset({Phase.READY, Phase.STOPPING}),
        Phase.READY: frozenset({Phase.STOPPING}),
        Phase.STOPPING: frozenset({Phase.STOPPED, Phase.FAILED}),
        Phase.FAILED: frozenset({Phase.STOPPED}),
    }
)


def diagram() -> str:
    """Draw the table as the lines that `DESIGN.md` shows."""
    arrows = (
        (phase.value, ", ".join(after.value for after in Phase if after in NEXT[phase]))
        for phase in Phase
    )
    return "\n".join(f"{source:<9} -> {targets}" for source, targets in arrows)
