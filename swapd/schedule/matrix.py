"""Which set of the matrix a model is loaded into, and who must leave for that.

Rule 1: of all combinations with the wanted model the one wins whose missing running models cost
least; of equals the first set's, and in that the first.
Rule 2: combinations are compared by what they have of the wanted and the running models. One that
has no more of these than another is dropped at once, wherever in an expression that shows; so
nothing is ever written out.
Rule 3: the work is bounded, for everybody waits meanwhile. A part that is too hard to look
through is passed over as if it were not offered, and whoever is in nothing else runs alone.
"""

from collections.abc import Iterable, Iterator

import attrs

from swapd.config.expression import HARDEST, All, Either, Expression, Leaf, Node, TooHard
from swapd.config.settings import Matrix
from swapd.ids import ModelId

# So many comparisons are made for one question; a third of a second at worst, and only once, for
# the answer is remembered.
MOST_WORK = 5 * HARDEST

# What losing a running model costs that the matrix says nothing of.
ORDINARY_COST = 1


@attrs.frozen
class Solution:
    """Who must leave for a model, and why."""

    evict: tuple[ModelId, ...]
    """In the order of those that run."""
    target_set: tuple[ModelId, ...]
    """The models that may run side by side from then on, sorted; not all of them need to."""
    name: str = ""
    """The set of the matrix; empty if the model runs alone, or what runs is no set."""
    text: str = ""
    """How that set was written."""
    cost: int = 0
    """What those that must leave cost; 0 if there was nothing to choose from."""


def solve(
    matrix: Matrix, target: ModelId, running: tuple[ModelId, ...], *, work: int = MOST_WORK
) -> Solution:
    """Choose what `target` is loaded into while `running` run; see the rules above.

    1. It runs already: nobody leaves, and the first set with all that run is named.
    2. The cheapest combination that has it: the running models that are missing there leave.
    3. There is none, or `work` comparisons did not do to find one: everybody leaves.
    """
    question = _Question(matrix, target, running, work=work)
    if target in running:  # 1
        fitting = (one for one, choice in question.offers() if question.cost(choice) == 0)
        fits = next(fitting, None)
        name, text = (fits.name, fits.text) if fits else ("", "")
        return Solution((), tuple(sorted(running)), name, text)
    best = min(question.offers(), key=lambda offer: question.cost(offer[1]), default=None)
    if best is None:  # 3
        return Solution(running, (target,))
    one, choice = best  # 2
    return Solution(
        evict=tuple(question.missing(choice)),
        target_set=question.models(choice),
        name=one.name,
        text=one.text,
        cost=question.cost(choice),
    )


class _Question:
    """Looks for combinations with the target; one is an integer with a bit for every model."""

    def __init__(
        self, matrix: Matrix, target: ModelId, running: tuple[ModelId, ...], *, work: int
    ) -> None:
        self._matrix = matrix
        self._target = target
        self._running = running
        self._bits: dict[ModelId, int] = {}
        # All that a combination is compared by; whatever else is in it only goes along.
        self._asked = sum({self._bit(model) for model in (target, *running)})
        self._known: dict[int, tuple[int, ...]] = {}
        self._work = work

    def offers(self) -> Iterator[tuple[Expression, int]]:
        """Go through the combinations that have the target, in order."""
        # None stands before one that it refers to, so that no chain of them is ever deep; and what
        # is known before its turn is an earlier set under another name.
        for one in self._matrix.sets:
            if id(one.node) not in self._known:
                for choice in self._choices(one.node):
                    if choice & self._bit(self._target):
                        yield one, choice

    def missing(self, choice: int) -> Iterator[ModelId]:
        """Go through the running models that a combination does not have."""
        return (model for model in self._running if not choice & self._bit(model))

    def cost(self, choice: int) -> int:
        """Say what losing these costs."""
        costs = self._matrix.evict_costs
        return sum(costs.get(model, ORDINARY_COST) for model in self.missing(choice))

    def models(self, choice: int) -> tuple[ModelId, ...]:
        """Name all that a combination has."""
        return tuple(sorted(model for model, bit in self._bits.items() if choice & bit))

    def _bit(self, model: ModelId) -> int:
        return self._bits.setdefault(model, 1 << len(self._bits))

    def _choices(self, node: Node) -> tuple[int, ...]:
        found = self._known.get(id(node))
        if found is None:
            try:
                found = self._looked_through(node)
            except TooHard:
                found = ()
            self._known[id(node)] = found
        return found

    def _looked_through(self, node: Node) -> tuple[int, ...]:
        match node:
            case Leaf(model):
                return (self._bit(model),)
            case Either(parts):
                return self._largest(choice for part in parts for choice in self._choices(part))
            case All(parts):
                found: tuple[int, ...] = (0,)
                for part in parts:
                    others = self._choices(part)
                    found = self._largest(one | other for one in found for other in others)
                return found

    def _largest(self, choices: Iterable[int]) -> tuple[int, ...]:
        """Drop what has no more than another; of equals the first stays, where it stands."""
        kept: dict[int, int] = {}
        for choice in choices:
            self._work -= 1 + len(kept)
            if self._work < 0:
                raise TooHard
            seen = choice & self._asked
            if not any(seen | more == more for more in kept):
                kept = {less: one for less, one in kept.items() if less | seen != seen}
                kept[seen] = choice
        return tuple(kept.values())
