"""Hours of pretend time: the real engine and scheduler, fake models, and everybody at random.

Clients come, hold on, leave at any moment, stall and come back; models fail, crash, fall silent,
ignore signals and survive them; operators unload and reset, and edit the configuration. Through
all of an hour these must hold:

* nothing is started beside what it may not run beside, survivors of SIGKILL included;
* no more requests than allowed hold a living model at a time;
* every turn is granted, refused or left; and every order to unload is answered;
* what can be asked of the engine always has an answer, and all who wait have a place;

and when everybody has left and everything is unloaded:

* nothing runs, and no ticket, order, timer or task is left anywhere;
* the journal has no gaps, and tells of each run that it was loaded, why it ended, and that it did.

`SWAPD_SEEDS=1000` makes it an evening's work. A seed always leads to the same hour.
"""

import os
import random
from collections import Counter, defaultdict

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from swapd.config.kinds import SchedulerKind
from swapd.config.settings import Model, Settings
from swapd.decisions import Decision
from swapd.engine import Engine
from swapd.ids import ModelId
from swapd.schedule.choose import choose
from swapd.schedule.events import ResetAsked
from swapd.schedule.fifo import AT_A_TIME, Fifo
from swapd.schedule.serial import Serial
from swapd.turns import LoadedModel, Refused, Turn
from swapd.wire.pool import Pool
from tests.fakes import FakeModels
from tests.shapes import GROUPS, MATRICES, Router, fifo_editions, may_join
from tests.worlds import editions

SEEDS = int(os.environ.get("SWAPD_SEEDS", "12"))

HOUR = 3600.0

# Longer than whatever may still be on its way when nobody is left: a back-off, a stubborn process.
EVENING = 400.0

GHOST = ModelId("ghost")

# What a run may end for, in the journal.
WHY = {"evict", "unload", "idle", "reload", "failed"}


@pytest.mark.parametrize("seed", range(SEEDS))
def test_an_hour_keeps_every_promise_and_leaves_nothing(seed, monkeypatch):
    """Whatever clients, models and operators do; the number is all that it takes to see again."""
    live(seed, monkeypatch)


def test_a_seed_is_the_same_hour_again(monkeypatch):
    """Else what it has found could not be looked into."""
    first, second = (live(3, monkeypatch) for _ in range(2))
    assert [attrs.astuple(one) for one in first] == [attrs.astuple(one) for one in second]
    assert len(first) > 1000


def live(seed: int, monkeypatch: pytest.MonkeyPatch) -> list[Decision]:
    """Live one hour; answer with its journal."""
    # Tasks take their steps in an order of trio's own, which its dice change now and then.
    monkeypatch.setattr(trio._core._run, "_ALLOW_DETERMINISTIC_SCHEDULING", True)
    monkeypatch.setattr(trio._core._run, "_r", random.Random(seed))
    return trio.run(_live, random.Random(seed), clock=MockClock(autojump_threshold=0))


async def _live(dice: random.Random) -> list[Decision]:
    hour = Hour(dice)
    async with trio.open_nursery() as nursery:
        await nursery.start(hour.engine.run)
        async with trio.open_nursery() as hour.operators:
            async with trio.open_nursery() as hour.clients:
                await hour.pass_by()
                await hour.end()
            with trio.fail_after(EVENING):
                assert await hour.engine.unload() is None
            await trio.sleep(EVENING)
            assert not hour.operators.child_tasks, "an order was not answered"
        await hour.look()
        hour.check_left(nursery)
        nursery.cancel_scope.cancel()
    hour.check_turns()
    hour.check_journal()
    return hour.journal


class Machine(FakeModels):
    """Fake models of which more than once some can survive SIGKILL for a while."""

    def let_go(self) -> None:
        super().let_go()
        self._killed = trio.Event()


def some_editions(dice: random.Random) -> list[Settings]:
    """Make what the configuration says over time."""
    ttl, max_queue = dice.choice([0.0, 20.0]), dice.choice([3, 30])
    routers: list[Router] = [*GROUPS.values(), *MATRICES.values()]
    made = editions(ttl=ttl, max_queue=max_queue)
    if dice.random() < 0.75:
        router, other = dice.sample(routers, 2)
        made = fifo_editions(router, other, ttl=ttl, max_queue=max_queue)
    interval = dice.choice([0.0, 15.0])
    return [
        attrs.evolve(
            one,
            models={
                name: attrs.evolve(model, liveness_interval=interval, unload_timeout=4.0)
                for name, model in one.models.items()
            },
        )
        for one in made
    ]


@attrs.define
class Hour:
    """One hour, by the dice."""

    dice: random.Random
    editions: list[Settings] = attrs.field(init=False)
    models: Machine = attrs.field(factory=Machine)
    engine: Engine = attrs.field(init=False)
    clients: trio.Nursery = attrs.field(init=False)
    operators: trio.Nursery = attrs.field(init=False)
    started: list[tuple[float, ModelId]] = attrs.field(factory=list)
    came: int = 0
    outcomes: dict[str, str] = attrs.field(factory=dict)
    holding: dict[str, LoadedModel] = attrs.field(factory=dict)
    journal: list[Decision] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.editions = some_editions(self.dice)
        self.engine = Engine(
            self.editions[0],
            choose(self.editions[0]),
            supervise=self.models,
            open_pool=self.begin,
        )
        self.models.load, self.models.stop = self.dice.choice([(1.0, 0.5), (8.0, 2.0), (0.0, 0.0)])

    # What happens

    async def pass_by(self) -> None:
        """Do one thing after the other until the hour is over; in bursts, and with long pauses."""
        acts = {
            self.come: 30,
            self.unload: 2,
            self.reset: 1,
            self.reload: 1,
            self.crash: 2,
            self.toggle_broken: 1,
            self.toggle_deaf: 1,
            self.toggle_stubborn: 1,
            self.toggle_unkillable: 1,
            self.let_go: 3,
        }
        while trio.current_time() < HOUR:
            [act] = self.dice.choices([*acts], [*acts.values()])
            act()
            if self.dice.random() < 0.6:
                await trio.sleep(self.dice.choice([0.0, 0.1, 1.0, 3.0, 10.0, 40.0]))
                await self.look()

    async def end(self) -> None:
        """Have everybody leave, after the daemon has been told to stop or before."""
        if self.dice.random() < 0.5:
            self.engine.stop()
            await trio.sleep(self.dice.choice([0.0, 1.0, 30.0]))
            await self.look()
        self.clients.cancel_scope.cancel()
        self.let_go()
        await wait_all_tasks_blocked()

    def come(self) -> None:
        self.came += 1
        dice = self.dice
        self.clients.start_soon(
            self.visit,
            f"r-{self.came}",
            dice.choice([*self.editions[0].models, *self.engine.settings.models, GHOST]),
            dice.random() < 0.9,
            dice.choice([None, None, None, 0.0, 5.0, -1.0]),
            dice.choice([0.0, 0.5, 2.0, 2.0, 10.0]),
            dice.choice([0.0, 0.5, 2.0, 60.0, 600.0, 600.0]),
            dice.choice(["leaves", "leaves", "comes back", "comes back late", "stalls"]),
        )

    async def visit(
        self,
        name: str,
        model: ModelId,
        loads: bool,
        keep_alive: float | None,
        seconds: float,
        patience: float,
        then: str,
    ) -> None:
        self.outcomes[name] = "left"
        with trio.CancelScope() as request, trio.move_on_after(patience):
            turn = self.engine.turn(
                model,
                revoke=lambda reason: None if then == "stalls" else request.cancel(),
                name=name,
                loads=loads,
                keep_alive=keep_alive,
            )
            with turn:
                try:
                    await self.use(turn, seconds, stalls=then == "stalls")
                    if then == "comes back late":
                        await trio.sleep(self.dice.choice([0.1, 1.0, 3.0]))
                    if then.startswith("comes back") and await turn.again():
                        await self.use(turn, seconds, stalls=False)
                except Refused:
                    self.outcomes[name] = "refused"

    async def use(self, turn: Turn, seconds: float, *, stalls: bool) -> None:
        loaded = self.holding[turn.name] = await turn.granted()
        self.outcomes[turn.name] = "granted"
        try:
            with trio.move_on_after(seconds):
                if stalls:
                    await trio.sleep_forever()
                await loaded.ended.wait()
        finally:
            del self.holding[turn.name]

    def unload(self) -> None:
        names = [*self.editions[0].models]
        some = self.dice.sample(names, self.dice.choice([0, 1, 1, 2]))
        drain, keep = self.dice.random() < 0.5, self.dice.random() < 0.5
        seconds = self.dice.choice([None, 0.0, 3.0, 100.0])
        patience = self.dice.choice([0.0, 1.0, HOUR, HOUR])

        async def order() -> None:
            with trio.move_on_after(patience):
                await self.engine.unload(some, drain=drain, keep=keep, seconds=seconds)

        self.operators.start_soon(order)

    def reset(self) -> None:
        self.engine.post(ResetAsked(self.any_model()))

    def reload(self) -> None:
        self.operators.start_soon(self.engine.adopt, self.dice.choice(self.editions))

    def crash(self) -> None:
        if self.models.running:
            self.models.crash(self.dice.choice(sorted(self.models.running)))

    def toggle_broken(self) -> None:
        self.models.broken ^= {self.any_model()}

    def toggle_deaf(self) -> None:
        self.models.deaf ^= {self.any_model()}

    def toggle_stubborn(self) -> None:
        self.models.stubborn ^= {self.any_model()}

    def toggle_unkillable(self) -> None:
        self.models.unkillable ^= {self.any_model()}

    def let_go(self) -> None:
        self.models.unkillable.clear()
        self.models.let_go()

    def any_model(self) -> ModelId:
        return self.dice.choice([*self.editions[0].models])

    # What must hold

    def begin(self, model: Model) -> Pool:
        """Look at what is started, in the moment in which that is decided."""
        self.started.append((trio.current_time(), model.id))
        settings, there = self.engine.settings, [*self.engine.running()]
        assert model is settings.models[model.id]
        assert model.id not in there
        if settings.scheduler is SchedulerKind.FIFO:
            assert may_join(settings, model.id, there), f"{model.id} is started beside {there}"
        else:
            assert not there, f"{model.id} is started beside {there}"
        return Pool(model.origin)

    async def look(self) -> None:
        """Wait until all has been said, and look at everything that can be seen from outside."""
        await wait_all_tasks_blocked()
        last = self.journal[-1].seq if self.journal else 0
        self.journal += self.engine.decisions.since(last)
        self.check_held()
        queue = list(self.engine.ask.queue())
        places = [standing.position for standing, _ in queue if standing.position]
        assert places == list(range(1, len(places) + 1))
        waiting = [ticket for ticket, turn in self.engine._turns.items() if not turn.decided]
        assert {*waiting} == {turn.ticket for standing, turn in queue if standing.position}
        model = self.dice.choice([*self.engine.settings.models])
        self.engine.ask.plan(model)
        self.engine.ask.model(model)

    def check_held(self) -> None:
        """Of a model that lives no more hold it than may."""
        alive = [one.model.id for one in self.holding.values() if not one.ended.is_set()]
        if self.engine.settings.scheduler is SchedulerKind.SERIAL:
            assert len(alive) <= 1, alive
            assert self.models.most <= 1
        for model, count in Counter(alive).items():
            assert count <= AT_A_TIME, f"{count} hold {model}"

    def check_turns(self) -> None:
        """Every turn has come to its end, and the journal has heard of it."""
        assert len(self.outcomes) == self.came
        told = defaultdict[str, list[str]](list)
        for one in self.journal:
            if "request" in one.more and one.kind != "load":
                told[one.more["request"]].append(one.kind)
        for name, outcome in self.outcomes.items():
            kinds = told[name]
            assert kinds, f"nothing is told of {name}, which {outcome}"
            assert "refuse" in kinds or outcome != "refused", (name, kinds)
            assert "grant" in kinds or outcome != "granted", (name, kinds)
            assert kinds.count("refuse") <= 1, (name, kinds)
            assert kinds.count("grant") <= 2, (name, kinds)

    def check_left(self, nursery: trio.Nursery) -> None:
        """Nobody and nothing is left."""
        engine, desk = self.engine, scheduler_of(self.engine)._desk
        assert not self.models.running
        assert not self.holding
        assert not engine._turns
        assert not engine._orders
        assert not engine._adoptions
        assert not engine.running()
        assert engine._timers._alarms == {}
        assert engine._timers.nursery.child_tasks == frozenset()
        assert engine._inbox.statistics().current_buffer_used == 0
        assert len(nursery.child_tasks) == 1
        tickets = (desk.waiting, desk.lines, desk.modest, desk.granted, desk.revoked)
        assert not any(tickets)
        assert not any((desk.runs, desk.failures, desk.orders))
        scheduler = scheduler_of(engine)
        assert not (isinstance(scheduler, Fifo) and scheduler._swaps.under_way)

    def check_journal(self) -> None:
        """The numbers have no gap, and each run is accounted for."""
        assert [one.seq for one in self.journal] == list(range(1, len(self.journal) + 1))
        loads = [(one.at, one.model) for one in self.journal if one.kind == "load"]
        # Those of one moment begin in any order.
        assert sorted(loads) == sorted(self.started)
        runs = defaultdict[int, list[str]](list)
        for one in self.journal:
            if "run" in one.more and one.kind != "grant":
                runs[one.more["run"]].append(one.kind)
        assert sorted(runs) == list(range(1, len(loads) + 1))
        for run, kinds in runs.items():
            assert (kinds[0], kinds[-1]) == ("load", "stopped"), (run, kinds)
            assert kinds.count("load") == kinds.count("stopped") == 1, (run, kinds)
            assert kinds.count("ready") <= 1, (run, kinds)
            assert WHY & {*kinds}, (run, kinds)


def scheduler_of(engine: Engine) -> Serial | Fifo:
    scheduler = engine._scheduler
    assert isinstance(scheduler, Serial | Fifo)
    return scheduler
