"""Pretend worlds of fifo: models side by side, as groups or the matrix allow.

Who may run beside whom is said here anew, by looking at everything that may be there together;
what the scheduler asks is not asked. Beside what `worlds.py` promises: a model that nothing may
run beside is alone, and of one model those are served first that came first.
"""

from collections.abc import Iterator, Mapping
from typing import assert_never

import attrs

from swapd.config.expression import All, Either, Leaf, Node, compile_sets
from swapd.config.kinds import SchedulerKind
from swapd.config.settings import FifoSettings, Group, Matrix, Model, Settings
from swapd.ids import ModelId, Run, Ticket
from swapd.schedule.fifo import AT_A_TIME
from swapd.schedule.motives import MakeRoom
from tests.stories import model
from tests.worlds import Process, Told, World

Groups = Mapping[str, Group]
Router = Groups | Matrix


def group(
    names: str, *, swap: bool = True, exclusive: bool = True, persistent: bool = False
) -> Group:
    """Make a group of models with names of one letter."""
    return Group(swap, exclusive, persistent, tuple(map(ModelId, names)))


def matrix(sets: Mapping[str, str], **costs: int) -> Matrix:
    """Make a matrix; whatever is no sign in a set is a model."""
    expressions, flaws = compile_sets(sets, ModelId)
    assert not flaws
    return Matrix(expressions, {ModelId(name): cost for name, cost in costs.items()})


GROUPS: dict[str, Groups] = {
    "one after the other": {"all": group("abcde")},
    "all at once": {"all": group("abcde", swap=False)},
    "two that keep out of each other's way": {
        "one": group("abc", exclusive=False),
        "two": group("de", exclusive=False),
    },
    "side by side, but not with others": {
        "one": group("ab", swap=False),
        "two": group("cd", swap=False),
        "rest": group("e"),
    },
    "one that stays": {
        "kept": group("a", swap=False, exclusive=False, persistent=True),
        "one": group("bc"),
        "two": group("de", exclusive=False),
    },
    "one that stays, and wants to be alone": {
        "kept": group("ab", persistent=True),
        "rest": group("cde", swap=False, exclusive=False),
    },
}

MATRICES: dict[str, Matrix] = {
    "pairs": matrix({"one": "a & b", "two": "b & c", "three": "c & d"}),
    "choices": matrix({"voice": "(a | b | c) & d", "alone": "e"}, a=5),
    "layers": matrix({"base": "a | b", "full": "+base & c & d", "odd": "e & c"}, d=3),
    "dear": matrix({"one": "a & b & c", "two": "a & d", "three": "d & e"}, a=9, d=2),
}


def fifo_settings(
    router: Router,
    *,
    names: str = "abcde",
    ttl: float = 0.0,
    max_turn: float = 30.0,
    max_queue: int = 1000,
    limits: Mapping[str, int] | None = None,
    priority: Mapping[str, int] | None = None,
    changed: str = "",
) -> Settings:
    """Make settings of fifo; models in `changed` have another `cmd`, `d` is read ahead."""
    made: list[Model] = []
    for name in names:
        fresh = model(name, cmd=f"{name} --new" if name in changed else None, ttl=ttl)
        files = ("d.gguf",) if name == "d" else None
        limit = (limits or {}).get(name, 0)
        made.append(attrs.evolve(fresh, prefetch=files, concurrency_limit=limit))
    preferred = {ModelId(name): level for name, level in (priority or {}).items()}
    return Settings(
        models={each.id: each for each in made},
        scheduler=SchedulerKind.FIFO,
        fifo=FifoSettings(preferred, max_queue, max_turn),
        matrix=router if isinstance(router, Matrix) else None,
        groups={} if isinstance(router, Matrix) else router,
    )


def fifo_editions(router: Router, other: Router, *, ttl: float, max_queue: int) -> list[Settings]:
    """Make what the configuration file says over time; the first one is where a world begins."""
    few = {"a": 2, "b": 1}
    return [
        fifo_settings(router, ttl=ttl, max_queue=max_queue),
        fifo_settings(router, ttl=ttl, max_queue=max_queue, changed="ad"),
        fifo_settings(router, ttl=ttl + 1, max_queue=max_queue, limits=few, max_turn=2),
        fifo_settings(_without(router, "ae"), names="bcd", ttl=ttl, max_queue=max_queue),
        fifo_settings(other, ttl=ttl, max_queue=max_queue, priority={"c": 2, "e": 1}),
        fifo_settings(router, ttl=ttl, max_queue=1, max_turn=0, priority={"a": -1}),
    ]


@attrs.define
class SideBySide(World):
    """A world of fifo."""

    @property
    def max_queue(self) -> int:
        return self.settings.fifo.max_queue

    def first(self, told: list[Told]) -> list[Told]:
        # Others may have moved up or down since the last event; they hear of it first.
        return told

    def check_now(self) -> None:
        there = [process.model for process in self.processes.values()]
        assert len(there) == len({*there}), f"twice: {there}"

    def check_start(self, model: ModelId, ticket: Ticket | None) -> None:
        there = [process.model for process in self.processes.values()]
        assert may_join(self.settings, model, there), f"{model} started beside {there}"
        if ticket is None:
            assert model in self.revived, f"{model} is started for nobody"
        else:
            assert self.waiting[ticket] == model
            assert ticket not in self.modest, f"{model} is started for one who loads none"

    def check_eviction(self, process: Process, why: MakeRoom) -> None:
        wanted = process.wanted and process.model in self.waiting.values()
        assert process.ready or not wanted, f"{why} ends {process}, which is waited for"

    def check_order(self, ticket: Ticket, run: Run) -> None:
        model = self.waiting[ticket]
        limit = self.settings.models[model].concurrency_limit or AT_A_TIME
        assert list(self.served.values()).count(run) < limit, f"too many for {model}"
        line = [other for other in self.waiting if self.waiting[other] == model]
        # Who would load nothing may be served by what somebody else needs gone.
        before = line[: line.index(ticket)]
        assert not before or ticket in self.modest, f"{ticket} was served before {before}"
        assert not {*before} & self.modest


def may_join(settings: Settings, model: ModelId, there: list[ModelId]) -> bool:
    """Say whether the model may be started while these run."""
    if not there:
        return True
    if settings.matrix is None:
        return all(_beside(settings.groups, model, other) for other in there)
    wanted = {model, *there}
    return any(wanted <= made for one in settings.matrix.sets for made in _combinations(one.node))


def _beside(groups: Groups, model: ModelId, other: ModelId) -> bool:
    own = [one for one in groups.values() if model in one.members]
    others = [one for one in groups.values() if other in one.members]
    if own == [] or others == []:
        return False
    if own == others:
        return not own[0].swap
    return others[0].persistent or not own[0].exclusive


def _combinations(node: Node) -> Iterator[frozenset[ModelId]]:
    match node:
        case Leaf(model):
            yield frozenset({model})
        case Either(parts):
            for part in parts:
                yield from _combinations(part)
        case All(parts):
            found = [frozenset[ModelId]()]
            for part in parts:
                found = [one | more for one in found for more in _combinations(part)]
            yield from found
        case _:
            assert_never(node)


def _without(router: Router, names: str) -> Router:
    if isinstance(router, Matrix):
        return router
    return {
        name: attrs.evolve(one, members=tuple(each for each in one.members if each not in names))
        for name, one in router.items()
    }
