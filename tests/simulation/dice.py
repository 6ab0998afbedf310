"""Making the story of a seed: all that the dice decide, in advance."""

import random
from typing import Any

import attrs

from tests.simulation.plan import (
    DAY,
    HONEST,
    Answer,
    Deed,
    Does,
    Ends,
    Kind,
    Life,
    Plan,
    Reads,
    Sends,
    Visit,
)

# What the dice of the first days chose from; with more to choose from they would be other days.
FIRST_DEEDS = tuple(does for does in Does if does not in (Does.HURRY, Does.PATIENT))


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
