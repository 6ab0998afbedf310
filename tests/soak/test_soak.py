"""The soak: its arithmetic, what it asks and writes, and a short one with a real daemon."""

import random
import sys
from collections import Counter

import pytest

from tests.soak.mix import MODELS, crashes, jobs, model_of
from tests.soak.page import section
from tests.soak.run import Plan, Soaked, soak
from tests.soak.samples import BOUNDS, MEMORY, TASKS
from tests.soak.sections import SOAK, section_of, with_section
from tests.soak.verdict import Bound, judge, slope

# An interpreter's memory: it breathes by half a megabyte.
_NOISE = [random.Random(1).uniform(-0.5, 0.5) for _ in range(40)]

GROWING = {
    "by 100 KB a sample, within noise": [80 + 0.1 * at + _NOISE[at] for at in range(40)],
    "in one step": [80 + 4 * (at >= 20) + _NOISE[at] for at in range(40)],
    "late": [80 + max(0, at - 28) + _NOISE[at] for at in range(40)],
    "early": [80 + min(at, 12) + _NOISE[at] for at in range(40)],
}

FLAT = {
    "noise": [80 + each for each in _NOISE],
    "one value": [80.0] * 40,
    "a peak in the middle": [80 + 10 * (at == 20) for at in range(40)],
    "shrinking": [80 - 0.5 * at for at in range(40)],
    "a little": [80 + 0.02 * at for at in range(40)],
}


@pytest.mark.parametrize("values", GROWING.values(), ids=GROWING)
def test_what_grows_is_found(values):
    """A leak that the soak misses is the one that an operator finds."""
    [verdict] = judge({MEMORY: values}, BOUNDS)

    assert not verdict.flat


@pytest.mark.parametrize("values", FLAT.values(), ids=FLAT)
def test_what_only_moves_is_flat(values):
    """A proof that fails by chance is soon ignored."""
    [verdict] = judge({MEMORY: values}, BOUNDS)

    assert verdict.flat


@pytest.mark.parametrize("name", ["open files", "sockets", "processes", TASKS])
def test_one_more_kept_every_tenth_sample_is_found(name):
    """One file for every two hundred swaps is a limit reached in a month."""
    [leaking] = judge({name: [30 + at // 10 for at in range(40)]}, BOUNDS)
    [resting] = judge({name: [30 + at % 2 for at in range(40)]}, BOUNDS)

    assert (leaking.flat, resting.flat) == (False, True)


def test_a_share_counts_where_it_is_less():
    """Two megabytes are a lot of a small daemon."""
    values = [40.0] * 10 + [41.5] * 10
    bounds = {"small": Bound(3.0, share=0.03), "plain": Bound(3.0)}

    small, plain = judge({"small": values, "plain": values}, bounds)

    assert (round(small.allowed, 6), round(plain.allowed, 6)) == (1.2, 3.0)
    assert (small.flat, plain.flat) == (False, True)


def test_the_line_is_that_of_least_squares():
    """All that is said of growth rests on it."""
    assert slope([1, 3, 5, 7]) == pytest.approx(2)
    assert slope([0, 1, 0, 1]) == pytest.approx(0.2)


def test_too_few_samples_are_no_verdict():
    """Three points are flat or not by chance."""
    with pytest.raises(ValueError, match="cannot judge memory, MB by 3 samples"):
        judge({MEMORY: [80, 81, 82]}, BOUNDS)


def test_every_round_is_another_models():
    """A round of the same model again would be no swap."""
    assert all(model_of(number) != model_of(number + 1) for number in range(len(MODELS) + 1))


def test_twenty_rounds_have_all_jobs_there_are():
    """What is never asked never leaks."""
    rounds = [jobs(number, 100) for number in range(20)]
    asked = Counter(job for todo in rounds for job in todo)

    assert {len(todo) for todo in rounds} == {100}
    assert sum(map(crashes, range(20))) == 1
    seldom = {"upload": 2, "reload": 1, "unload": 1, "pages": 10, "socket": 7, "glance": 4}
    failing = {"broken": 20, "unknown": 20, "not json": 20, "hang up": 40, "leave": 20}
    assert asked == {"json": 1615, "stream": 240, **failing, **seldom}
    assert jobs(3, 100) == rounds[3] != rounds[4]


PAGE = "# Results\n\nwords\n\n## Shapes\n\nof load\n\n### more\n\nof them\n"


def test_a_section_is_put_at_the_end_and_then_in_its_place():
    """Results of one program must survive the other's."""
    once = with_section(PAGE, "## Soak\n\none\n")
    assert once == f"{PAGE}\n## Soak\n\none\n"
    assert with_section(once, "## Soak\n\ntwo\n") == f"{PAGE}\n## Soak\n\ntwo\n"

    other = with_section(once, "## Shapes\n\nnone\n")
    assert other == "# Results\n\nwords\n\n## Shapes\n\nnone\n\n## Soak\n\none\n"
    assert section_of(other, SOAK) == "## Soak\n\none\n"
    assert section_of(PAGE, SOAK) == ""
    assert with_section("", "## Soak\n\none\n") == "## Soak\n\none\n"


def test_the_section_says_what_grows_and_what_is_left():
    """Who reads only the table must see it."""
    soaked = Soaked(
        {MEMORY: [80.0] * 8, TASKS: [60.0 + at for at in range(8)]},
        Counter(json=9, crash=1),
        {"swapd_swaps_total": 2000.0},
        seconds=12.3,
        status=70,
        left=[7],
    )
    text = section(
        Plan(10, 1, 8, 0.1), soaked, judge(soaked.series, BOUNDS), where="2030-01-01, 2 cores"
    )

    assert text.startswith("## Soak\n\n2030-01-01, 2 cores, 12 s\n")
    assert "2,000 swaps. The jobs:\n9 json, 1 crash.\n" in text
    assert (
        "| memory, MB            | 80    | 80    | 80    | 80   | +0.00  | < 2.40 | flat  |"
        in text
    )
    assert (
        "| tasks                 | 60.50 | 66.50 | 60    | 67   | +6.00  | < 1.00 | GROWS |"
        in text
    )
    assert text.endswith("At the end it exited with 70; 1 processes were left.\n")
    assert section_of(text, SOAK) == text
    assert not soaked.is_clean


@pytest.mark.real
def test_a_short_soak_leaves_nothing_behind(tmp_path):
    """The long one takes minutes, which nobody should spend on a broken program."""
    plan = Plan(requests=1000, swaps=20, samples=8, warm=0.1)
    told: list[str] = []

    soaked = soak(plan, tmp_path, told.append, daemon=f"{sys.executable} -m swapd")

    assert soaked.is_clean, soaked
    assert soaked.done.total() >= plan.requests
    assert soaked.told["swapd_swaps_total"] >= plan.swaps
    assert len(told) == plan.samples
    assert {len(values) for values in soaked.series.values()} == {plan.samples}
    # Memory has not settled after so little.
    del soaked.series[MEMORY]
    growing = [verdict for verdict in judge(soaked.series, BOUNDS) if not verdict.flat]
    assert growing == []
