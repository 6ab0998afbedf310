"""Stories: what is told to a scheduler, and what it must want done in answer.

    story = Story(serial("a", "b"))
    story.tell(arrived(1, "a")).expect(place(1, 1), start("a", 1))

    story = loaded(fifo("a", "b", evict={"b": "a"}), "a")
    story.tell(arrived(1, "a")).expect(grant(1, 1))

Events and effects are written with plain numbers and names; the small functions below give them
their types. A story that goes wrong prints everything told so far beside what was answered.
"""

from collections.abc import Iterable, Mapping

import attrs

from swapd.config.load import Loaded
from swapd.config.settings import FifoSettings, Model, Origin, SerialSettings, Settings
from swapd.ids import ModelId, Order, Run, Ticket
from swapd.schedule import effects, events
from swapd.schedule.choose import Scheduler
from swapd.schedule.effects import Effect
from swapd.schedule.events import Event
from swapd.schedule.eviction import Eviction
from swapd.schedule.fifo import Fifo
from swapd.schedule.phase import Phase
from swapd.schedule.reasons import Cause, Reason, Unkillable
from swapd.schedule.serial import Serial

BOOM = Cause("exited with code 1", exit_code=1, last_lines=("boom",))


@attrs.define
class Story:
    """Tell a scheduler events, and compare what it wants done."""

    scheduler: Scheduler
    now: float = 0.0
    answer: list[Effect] = attrs.field(factory=list)
    _told: list[tuple[Event, list[Effect]]] = attrs.field(factory=list)

    def tell(self, event: Event) -> "Story":
        """Hand over one event and keep the answer."""
        self.answer = self.scheduler.handle(event, self.now)
        self._told.append((event, self.answer))
        return self

    def after(self, seconds: float) -> "Story":
        """Let time pass; nothing hears of it before the next event."""
        self.now += seconds
        return self

    def expect(self, *wanted: Effect) -> "Story":
        """Check that the last answer is exactly this, in this order."""
        assert self.answer == list(wanted), f"wanted {list(wanted)}\n\n{self}"
        return self

    def so_far(self, *wanted: type) -> list[Effect]:
        """Collect every effect of these kinds since the beginning."""
        return [effect for _, answer in self._told for effect in answer if type(effect) in wanted]

    def __str__(self) -> str:
        rows = (f"{event!s:<60} {answer}" for event, answer in self._told)
        return "\n".join(["the story so far:", *rows, repr(self.scheduler)])


def model(
    name: str,
    *,
    cmd: str | None = None,
    ttl: float = 0.0,
    limit: int = 0,
    prefetch: tuple[str, ...] | None = None,
) -> Model:
    """Make a model that nobody will ever start; another `cmd` makes another definition."""
    origin = Origin("http", "127.0.0.1", 9)
    argv = (cmd or name,)
    made = Model(ModelId(name), cmd=argv[0], argv=argv, origin=origin, proxy=str(origin), ttl=ttl)
    return attrs.evolve(made, concurrency_limit=limit, prefetch=prefetch)


def settings(
    models: Iterable[str | Model], *, ttl: float = 0.0, max_queue: int = 1000
) -> Settings:
    """Make settings with models of these names, or with these models."""
    made = [model(each, ttl=ttl) if isinstance(each, str) else each for each in models]
    return Settings(
        models={each.id: each for each in made},
        serial=SerialSettings(max_queue),
        fifo=FifoSettings(max_queue=max_queue),
    )


async def unchanged(before: Loaded) -> Loaded:
    """Read a configuration that nobody has touched."""
    return before


def serial(*models: str | Model, ttl: float = 0.0, max_queue: int = 1000) -> Serial:
    """Make a serial scheduler for these models, all stopped."""
    return Serial(settings(models, ttl=ttl, max_queue=max_queue))


def fifo(
    *models: str | Model,
    evict: Mapping[str, str] | None = None,
    priority: Mapping[str, int] | None = None,
    ttl: float = 0.0,
    max_queue: int = 1000,
    max_turn: float = 30.0,
) -> Fifo:
    """Make a fifo scheduler for these models, all stopped.

    `evict={"b": "a c"}`: for b, a and c must go; without it, nothing goes for anything.
    """
    ranks = {ModelId(name): rank for name, rank in (priority or {}).items()}
    made = settings(models, ttl=ttl, max_queue=max_queue)
    made = attrs.evolve(made, fifo=FifoSettings(ranks, max_queue, max_turn))
    return Fifo(made, eviction=lambda _: evictions(evict or {}))


def evictions(table: Mapping[str, str]) -> Eviction:
    """Make an eviction of a table: for each model, those that must go for it."""
    going = {target: set(names.split()) for target, names in table.items()}
    return lambda target, running: tuple(
        model for model in running if model in going.get(target, ())
    )


def exclusive(*models: str) -> dict[str, str]:
    """Write the table in which every one of these models goes for every other."""
    return {target: " ".join({*models} - {target}) for target in models}


def loaded(scheduler: Serial | Fifo, *models: str) -> Story:
    """Begin a story with these models loaded, as run 1 and so on; nobody has measured how long."""
    for name in models:
        facts = scheduler._desk.start(scheduler._settings.models[ModelId(name)])
        facts.move(Phase.READY, 0.0)
    return Story(scheduler)


def ready_story(model: str, *others: str, ttl: float = 0.0) -> Story:
    """Begin a story after `model` was loaded as run 1 and served ticket 100, and is idle."""
    story = Story(serial(model, *others, ttl=ttl))
    story.tell(arrived(100, model)).tell(ready(1)).tell(departed(100))
    return Story(story.scheduler)


# Events


def arrived(
    ticket: int, model: str, *, loads: bool = True, keep_alive: float | None = None
) -> Event:
    return events.Arrived(Ticket(ticket), ModelId(model), loads, keep_alive)


def departed(ticket: int) -> Event:
    return events.Departed(Ticket(ticket))


def returned(ticket: int, model: str) -> Event:
    return events.Returned(Ticket(ticket), ModelId(model))


def ready(run: int) -> Event:
    return events.ModelReady(Run(run))


def broke(run: int, cause: Cause = BOOM) -> Event:
    return events.ModelBroke(Run(run), cause)


def unanswered(run: int) -> Event:
    return events.Unanswered(Run(run))


def stuck(run: int, why: str = "pid 7 survived SIGKILL") -> Event:
    return events.ModelStuck(Run(run), why)


def stopped(run: int) -> Event:
    return events.ModelStopped(Run(run))


def idle_elapsed(run: int, turn: int) -> Event:
    return events.IdleElapsed(Run(run), turn)


def back_off_elapsed(model: str, attempt: int) -> Event:
    return events.BackOffElapsed(ModelId(model), attempt)


def turn_elapsed(run: int) -> Event:
    return events.TurnElapsed(Run(run))


def reset_asked(model: str) -> Event:
    return events.ResetAsked(ModelId(model))


def unload_asked(
    order: int,
    *models: str,
    drain: bool = False,
    keep: bool = False,
    seconds: float | None = None,
) -> events.UnloadAsked:
    named = frozenset(map(ModelId, models))
    return events.UnloadAsked(Order(order), named, drain, keep, seconds)


def drain_elapsed(order: int) -> Event:
    return events.DrainElapsed(Order(order))


def settings_changed(*models: str | Model, ttl: float = 0.0, max_queue: int = 1000) -> Event:
    return events.SettingsChanged(settings(models, ttl=ttl, max_queue=max_queue))


def stop_asked() -> Event:
    return events.StopAsked()


# Effects


def place(ticket: int, position: int) -> Effect:
    return effects.Place(Ticket(ticket), position)


def grant(ticket: int, run: int) -> Effect:
    return effects.Grant(Ticket(ticket), Run(run))


def reject(ticket: int, reason: Reason) -> Effect:
    return effects.Reject(Ticket(ticket), reason)


def revoke(ticket: int, reason: Reason) -> Effect:
    return effects.Revoke(Ticket(ticket), reason)


def start(model: str, run: int) -> Effect:
    return effects.StartModel(ModelId(model), Run(run))


def stop(run: int, *, grace: float | None = None) -> Effect:
    return effects.StopModel(Run(run), grace)


def arm_idle(run: int, seconds: float, *, turn: int) -> Effect:
    return effects.ArmIdle(Run(run), seconds, turn)


def arm_back_off(model: str, seconds: float, *, attempt: int) -> Effect:
    return effects.ArmBackOff(ModelId(model), seconds, attempt)


def arm_turn(run: int, seconds: float) -> Effect:
    return effects.ArmTurn(Run(run), seconds)


def arm_drain(order: int, seconds: float) -> Effect:
    return effects.ArmDrain(Order(order), seconds)


def prefetch(model: str) -> Effect:
    return effects.Prefetch(ModelId(model))


def unloaded(order: int, stuck: Unkillable | None = None) -> Effect:
    return effects.Unloaded(Order(order), stuck)
