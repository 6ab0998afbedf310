"""What is asked in which round: mostly small answers, and now and then everything else. Pure.

Rule 1: a round is one model's; the next one is another's, so each round is a swap.
Rule 2: the same round is the same jobs in every run.
"""

import random
from math import ceil

# Three, so that a model that comes back has been gone for a whole round.
MODELS = ("a", "b", "c")

# Of every hundred jobs.
_SHARES = {"stream": 12, "broken": 1, "unknown": 1, "not json": 1, "hang up": 2, "leave": 1}

# One in a round, every so many rounds, from this one on. All of them come up in twenty rounds.
_EVERY = {
    "pages": (2, 0),
    "socket": (3, 1),
    "glance": (5, 2),
    "upload": (10, 4),
    "reload": (20, 10),
    "unload": (20, 7),
}

# Alone, after the others of its round: what a crash takes with it is another proof's.
_CRASH = (20, 17)


def model_of(number: int) -> str:
    """Say whose round this is, counted from 0."""
    return MODELS[number % len(MODELS)]


def jobs(number: int, count: int) -> list[str]:
    """List what is to be done in a round, side by side, in this order."""
    wanted = [job for job, share in _SHARES.items() for _ in range(ceil(share * count / 100))]
    wanted += [job for job, every in _EVERY.items() if _is_due(number, *every)]
    wanted += ["json"] * (count - len(wanted))
    random.Random(number).shuffle(wanted)
    return wanted


def crashes(number: int) -> bool:
    """Say whether the model is to die at the end of a round."""
    return _is_due(number, *_CRASH)


def _is_due(number: int, every: int, first: int) -> bool:
    return number % every == first
