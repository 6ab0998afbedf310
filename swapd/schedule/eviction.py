"""Who must leave for whom: by groups, or by the matrix.

Rule 1: an eviction is pure and cheap, and says the same for the same question; whoever decides may
ask it of every waiting model after every event.
Rule 2: nobody leaves for a model's own sake: the target is never among those that must.
Rule 3: a running model that no group knows any more, because a reload removed it, always leaves.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache

from swapd.config.settings import Group, Matrix, Settings
from swapd.ids import ModelId
from swapd.schedule.matrix import solve

Eviction = Callable[[ModelId, tuple[ModelId, ...]], tuple[ModelId, ...]]
"""From a target and the models that run to those of them, in their order, that must be gone
before the target may run."""

# So many questions are remembered: some dozens of models wait beside some dozens of states.
REMEMBERED = 1024


def eviction_of(settings: Settings) -> Eviction:
    """Make the eviction that the configuration asks for."""
    if settings.matrix is not None:
        return by_matrix(settings.matrix)
    return by_groups(settings.groups)


def by_groups(groups: Mapping[str, Group]) -> Eviction:
    """Let groups say it.

    1. The target's group says whether its members take turns (`swap`).
    2. It says, too, whether others must leave for it (`exclusive`), but those of a persistent
       group stay. What their groups think of the target is not asked, so it depends on who comes
       first; llama-swap's configurations are written for that.
    """
    homes = {member: name for name, group in groups.items() for member in group.members}

    def leaves(model: ModelId, target: ModelId) -> bool:
        home, other = homes.get(target), homes.get(model)
        if home is None or other is None:
            return True
        if home == other:  # 1
            return groups[home].swap
        return groups[home].exclusive and not groups[other].persistent  # 2

    @lru_cache(REMEMBERED)
    def evict(target: ModelId, running: tuple[ModelId, ...]) -> tuple[ModelId, ...]:
        return tuple(model for model in running if model != target and leaves(model, target))

    return evict


def by_matrix(matrix: Matrix) -> Eviction:
    """Let the sets of the matrix say it."""

    @lru_cache(REMEMBERED)
    def evict(target: ModelId, running: tuple[ModelId, ...]) -> tuple[ModelId, ...]:
        return solve(matrix, target, running).evict

    return evict
