"""What will happen in one simulation: a story, told in advance, of which any part can be left out.

Whatever the dice decide is decided here, so that a story that fails can be made shorter and still
goes the same way: who comes, when, and what becomes of each process that is started.
"""

import random
from collections.abc import Sequence
from enum import Enum
from typing import Any

import attrs

# Nothing new begins later than this. Seconds of pretend time.
DAY = 60.0


class Kind(Enum):
    """How a model's server answers."""

    WHOLE = "whole"
    CHUNKED = "in chunks"
    EVENTS = "a stream of events"
    UNTIL_CLOSE = "as long as it is connected"
    ERROR = "status 500"
    HALF = "half of it, and closes"
    SHORT = "less than it announced, and closes"
    RESET = "half of it, and resets"
    STALL = "half of it, and then nothing"
    NOTHING = "closes without a word"
    SILENT = "never a word"
    HUGE_HEAD = "a head without end"
    GARBAGE = "what is no HTTP"
    GARBLED = "chunks that are none"


HONEST = (Kind.WHOLE, Kind.CHUNKED, Kind.EVENTS, Kind.UNTIL_CLOSE)


class Sends(Enum):
    """How a client sends its request."""

    WHOLE = "whole"
    SLOWLY = "slowly"
    HALF_HEAD = "half a head"
    HALF_BODY = "half a body"
    GARBAGE = "what is no HTTP"
    TWICE = "twice at once"
    LARGE = "a body that is too large"
    HALF_CLOSED = "whole, and says that there will be no more"


class Reads(Enum):
    """How a client reads its answer."""

    ALL = "all"
    SLOWLY = "slowly"
    NEVER = "never"


class Does(Enum):
    """What an operator, or the machine, does."""

    UNLOAD_ALL = "GET /unload"
    UNLOAD = "unload it now"
    DRAIN = "unload it when it is idle"
    KEEP = "unload it, and let the queue wait"
    RELOAD = "reload"
    HANGUP = "SIGHUP"
    BREAK_FILE = "SIGHUP, and the file is broken"
    CANCEL = "cancel the first of the queue"
    LOAD = "load it in the background"
    RESET = "forget its failures"
    LOOK = "look at everything"
    FOLLOW = "follow what happens, and never read"
    STEAL = "a stranger listens at its port"
    LEAVE_PORT = "the stranger leaves its port"
    SLOW_DISK = "the disk is slow"
    FULL_DISK = "the disk is full"
    GOOD_DISK = "the disk is well again"
    HURRY = "unload it, and kill it in a second"
    PATIENT = "unload it, and kill it in a minute"


# What the dice of the first days chose from; with more to choose from they would be other days.
FIRST_DEEDS = tuple(does for does in Does if does not in (Does.HURRY, Does.PATIENT))


@attrs.frozen
class Life:
    """What becomes of a model's process: the `nth` that is started."""

    model: str
    nth: int
    load: float = 1.0
    """Seconds until it is ready."""
    listens: bool = True
    """Whether it accepts connections before that."""
    ready: str = "answers"
    """`answers` its health check, `says` so itself, or `never`."""
    starts: bool = True
    dies: float | None = None
    """Seconds after its start."""
    refuses: float = 0.0
    """Seconds for which it accepts no connection any more before it dies."""
    status: int = 1
    deaf: bool = False
    """Whether it ignores SIGTERM."""
    stop: float = 0.5
    """Seconds from SIGTERM to its end."""
    survives: float = 0.0
    """Seconds from SIGKILL to its end."""
    child: bool = False
    """Whether it leaves a process behind that ignores SIGTERM."""
    port: float = 0.0
    """Seconds for which its port is taken when it is gone."""
    silent: float | None = None
    """Seconds after which it answers no health check any more."""
    writes: int = 0
    """Bytes of noise that it writes."""


@attrs.frozen
class Answer:
    """What a model's server makes of one request."""

    kind: Kind = Kind.WHOLE
    after: float = 0.5
    """Seconds until its first byte."""
    pieces: int = 3
    pause: float = 0.1
    """Seconds between two of them."""
    size: int = 100
    """Bytes of each."""
    hangs_up: bool = False
    """Whether the connection is closed behind a whole answer that has not said so."""


@attrs.frozen
class Visit:
    """A client, and its request."""

    name: int
    at: float
    steps: int
    """Steps of everybody's tasks after that moment."""
    model: str
    stream: bool = False
    path: str = "/v1/chat/completions"
    answer: Answer = Answer()
    sends: Sends = Sends.WHOLE
    reads: Reads = Reads.ALL
    keep: int | None = None
    """Seconds that it wants its model to be kept."""
    again: int = 0
    """How many requests follow on the same connection."""
    leaves: float = 250.0
    """Seconds after which it hangs up if it is not answered; nobody waits for ever."""
    leaves_steps: int = 0
    stays: float = 0.0
    """Seconds for which it keeps its connection when it is answered, and asks nothing."""

    def asks_once(self) -> bool:
        """Whether it sends one request."""
        return self.again == 0 and self.sends is not Sends.TWICE


@attrs.frozen
class Deed:
    """Something that is not a request for a model."""

    at: float
    steps: int
    does: Does
    model: str = ""
    edition: int = 0


@attrs.frozen
class Ends:
    """How the day ends."""

    at: float | None = None
    """When it is told to stop, in the middle of everything; None for in the evening."""
    steps: int = 0
    again: float | None = None
    """Seconds until it is told once more."""


@attrs.frozen
class Plan:
    """One day."""

    seed: int
    house: tuple[int, int, float, int]
    """Which configurations there are: two of the routers, the `ttl`, the queue's bound."""
    visits: tuple[Visit, ...] = ()
    lives: tuple[Life, ...] = ()
    deeds: tuple[Deed, ...] = ()
    ends: Ends = Ends()

    def __str__(self) -> str:
        parts: Sequence[object] = (*self.visits, *self.lives, *self.deeds, self.ends)
        return "\n".join(
            [f"seed {self.seed}, house {self.house}", *(f"  {_told(part)}" for part in parts)]
        )

    def __len__(self) -> int:
        return len(self.visits) + len(self.lives) + len(self.deeds)


def make(seed: int, routers: int) -> Plan:
    """Make the story of a seed; `routers` is how many ways there are to say who fits with whom."""
    dice = random.Random(seed)
    names = "abc" if (serial := dice.random() < 0.5) else "abcde"
    first, other = (0, 0) if serial else dice.sample(range(1, routers), 2)
    house = (first, other, dice.choice([0.0, 5.0, 20.0]), dice.choice([2, 30, 30]))
    # Some days are calm, so that what goes wrong on them is wrong indeed.
    trouble = dice.choice([0.0, 0.2, 0.5])
    visits = [_visit(dice, number, names, trouble) for number in range(dice.randint(2, 12))]
    lives = [_life(dice, name, nth, trouble) for name in names for nth in range(3)]
    deeds = [_deed(dice, names) for _ in range(dice.choice([0, 0, 1, 3, 6]))]
    ends = Ends()
    if dice.random() < 0.4:
        ends = Ends(_moment(dice), _steps(dice), dice.choice([None, 0.0, 0.5, 5.0]))
    ordinary = [Life(life.model, life.nth) for life in lives]
    strange = [life for life, usual in zip(lives, ordinary, strict=True) if life != usual]
    plan = Plan(seed, house, tuple(visits), tuple(strange), tuple(deeds), ends)
    # Dice of their own, so that what was found before is still found under its number.
    return _more(random.Random(f"more of {seed}"), plan, names)


def _more(dice: random.Random, plan: Plan, names: str) -> Plan:
    """Add who stays, who is in a hurry, and at times a model that does not start, or a crowd."""
    visits = [
        attrs.evolve(
            visit,
            stays=dice.choice([0.0, 0.0, 0.0, 20.0, 150.0]),
            answer=attrs.evolve(visit.answer, hangs_up=dice.random() < 0.2),
        )
        for visit in plan.visits
    ]
    lives = [
        attrs.evolve(life, refuses=dice.choice([0.0, 0.05, 0.5])) if life.dies else life
        for life in plan.lives
    ]
    deeds = [*plan.deeds]
    if deeds and dice.random() < 0.3:
        model = dice.choice(names)
        deeds.append(Deed(_moment(dice), _steps(dice), Does.PATIENT, model))
        if dice.random() < 0.5:
            deeds.append(Deed(deeds[-1].at, 1 + _steps(dice), Does.HURRY, model))
        lives = [life for life in lives if (life.model, life.nth) != (model, 0)]
        lives.append(Life(model, 0, deaf=True))
    if dice.random() < 0.1:
        lives = [life for life in lives if life.model != "a"]
        lives += [Life("a", nth, starts=False) for nth in range(3)]
        first = len(visits)
        whens = (0.0, 2.0, 4.0, 6.0, 30.0)
        visits += [Visit(number, at, 0, "a") for number, at in enumerate(whens, start=first)]
    if dice.random() < 0.15:  # It is granted while it dies, and its next life takes long.
        lives = [life for life in lives if life.model != "b"]
        lives += [Life("b", 0, dies=2.0, refuses=0.5), Life("b", 1, load=4.0)]
        first = len(visits)
        visits += [Visit(number, at, 0, "b") for number, at in enumerate((0.0, 1.6), start=first)]
    if dice.random() < 0.15:  # It dies, and who was served reads nothing.
        lives = [life for life in lives if life.model != "c"]
        lives.append(Life("c", 0, dies=3.0))
        large = Answer(Kind.CHUNKED, pieces=8, size=30000)
        visits.append(Visit(len(visits), 0.0, 0, "c", answer=large, reads=Reads.NEVER))
    if dice.random() < 0.08:
        at, answer = dice.choice([0.0, 3.0]), Answer(after=dice.choice([0.5, 3.0]))
        first = len(visits)
        visits += [Visit(number, at, 0, "b", answer=answer) for number in range(first, first + 13)]
    return attrs.evolve(plan, visits=tuple(visits), lives=tuple(lives), deeds=tuple(deeds))


def _moment(dice: random.Random) -> float:
    # Often the same moments, for what happens at once is what goes wrong.
    some, any_time = dice.uniform(0.0, 10.0), dice.uniform(0.0, DAY)
    return dice.choice([0.0, 0.0, 1.0, 1.0, 2.0, 5.0, some, any_time])


def _steps(dice: random.Random) -> int:
    return dice.choice([0, dice.randint(0, 12), dice.randint(0, 60)])


def _visit(dice: random.Random, number: int, names: str, trouble: float) -> Visit:
    model = dice.choice([*names, *names, *names, "ghost"])
    path = "/v1/chat/completions"
    if dice.random() < 0.2:
        path = dice.choice(["/v1/embeddings", f"/upstream/{model}/v1/completions", "/v1/messages"])
    bad = dice.random() < trouble
    answer = Answer(
        dice.choice([*Kind]) if bad else dice.choice(HONEST),
        dice.choice([0.0, 0.5, 0.5, 3.0, 20.0]),
        dice.choice([0, 1, 3, 8]),
        dice.choice([0.0, 0.1, 2.0]),
        dice.choice([10, 100, 5000, 30000]),
    )
    visit = Visit(number, _moment(dice), _steps(dice), model, dice.random() < 0.5, path, answer)
    if answer.kind in (Kind.STALL, Kind.SILENT):
        visit = attrs.evolve(visit, leaves=dice.choice([5.0, 60.0]))
    if dice.random() < 0.1:
        visit = attrs.evolve(visit, keep=dice.choice([-1, 0, 3]))
    if dice.random() < trouble:
        visit = attrs.evolve(
            visit,
            sends=dice.choice([*Sends]),
            reads=dice.choice([*Reads]),
            again=dice.choice([0, 0, 1, 2]),
        )
    if dice.random() < trouble:
        leaves = dice.choice([0.0, 0.0, 0.5, 1.0, 1.5, 3.0, dice.uniform(0.0, 10.0)])
        visit = attrs.evolve(visit, leaves=leaves, leaves_steps=_steps(dice))
    return visit


def _life(dice: random.Random, name: str, nth: int, trouble: float) -> Life:
    life = Life(name, nth)
    if dice.random() < 0.3:
        life = attrs.evolve(life, load=dice.choice([0.0, 0.3, 4.0]), stop=dice.choice([0.0, 2.0]))
    if dice.random() >= trouble:
        return life
    changes: list[dict[str, Any]] = [
        {"listens": False},
        {"ready": "never"},
        {"ready": "says"},
        {"starts": False},
        {"dies": dice.choice([0.0, 0.5, 1.0, 1.5, dice.uniform(0.0, 10.0)])},
        {"dies": dice.uniform(1.0, 5.0), "status": -9},
        {"deaf": True},
        {"deaf": True, "survives": dice.choice([1.0, 6.0, 40.0])},
        {"child": True},
        {"child": True, "dies": 2.0},
        {"port": dice.choice([0.5, 20.0])},
        {"silent": dice.choice([0.5, 5.0])},
        {"writes": dice.choice([10, 3000])},
    ]
    for change in dice.sample(changes, dice.choice([1, 1, 2, 3])):
        life = attrs.evolve(life, **change)
    return life


def _deed(dice: random.Random, names: str) -> Deed:
    does = dice.choice(FIRST_DEEDS)
    return Deed(_moment(dice), _steps(dice), does, dice.choice(names), dice.randrange(6))


def _told(part: Any) -> str:
    """Write down what is not as usual."""
    usual = {
        Life: Life("", -1),
        Visit: Visit(-1, -1.0, 0, ""),
        Deed: Deed(-1.0, 0, Does.LOOK),
        Answer: Answer(),
        Ends: Ends(),
    }[type(part)]
    told = []
    for name in (field.name for field in attrs.fields(type(part))):
        value = getattr(part, name)
        if value == getattr(usual, name) and name not in ("does", "at"):
            continue
        if isinstance(value, Answer):
            value = f"({_told(value)})"
        told.append(f"{name}={value.value if isinstance(value, Enum) else value}")
    return f"{type(part).__name__.lower()} {', '.join(told)}"
