"""The screen of `swapd top`, as lines."""

from datetime import datetime

import pytest

from swapd.terminal.facts import Record
from swapd.terminal.frame import Look, Machine, Size, frame, newest
from swapd.terminal.words import width

NOW = datetime(2025, 11, 23, 12, 0, 0).astimezone()


def model(name: str, state: str = "stopped") -> Record:
    return Record({"id": name, "state": state, "requests": 0})


def request(name: str, phase: str = "waiting") -> Record:
    return Record({"id": name, "model": "a", "phase": phase, "reason": {"text": "behind 1"}})


SYSTEM = Record(
    {
        "cpu_util_per_core": [10.0, 30.0],
        "mem_total_mb": 65536,
        "mem_used_mb": 1024,
        "swap_total_mb": 0,
        "load_avg_1": 1.5,
        "load_avg_5": 0.25,
        "load_avg_15": 0,
    }
)

GPU = Record(
    {
        "id": 0,
        "name": "RTX",
        "gpu_util_pct": 81.7,
        "temp_c": 66,
        "power_draw_w": 300.4,
        "mem_used_mb": 20480,
        "mem_total_mb": 24576,
    }
)


def test_a_snapshot_has_everything():
    """On a pipe nothing is cut."""
    look = Look(
        [model("a", "ready"), model("b")],
        [request("r-1", "granted"), *(request(f"r-{number}") for number in range(2, 40))],
        Machine(SYSTEM, (GPU,)),
    )
    lines = frame("http://box", look, NOW)
    assert lines[:4] == [
        "swapd http://box  12:00:00  1 of 2 models ready, 1 served, 38 waiting",
        "cores 20 % of 2  memory 1.0 GiB of 64.0 GiB  load 1.50 0.25 0.00",
        "gpu 0 RTX  82 %  memory 20.0 GiB of 24.0 GiB  66 °C  300 W",
        "",
    ]
    assert len(lines) == 4 + 3 + 1 + 40


def test_nothing_is_known_of_a_machine_that_is_not_measured():
    """Measuring can be turned off; the rest is there all the same."""
    assert frame("http://box", Look([], []), NOW)[1:] == [
        "",
        "no models are configured",
        "",
        "the queue is empty",
    ]


@pytest.mark.parametrize("lines", range(1, 60, 3))
@pytest.mark.parametrize("columns", [1, 10, 40, 200])
@pytest.mark.parametrize(("models", "requests"), [(0, 0), (3, 50), (50, 3), (50, 50)])
def test_a_frame_fits_its_screen(lines, columns, models, requests):
    """One line too many would scroll the first away, every second."""
    look = Look(
        [model(f"模型-{number}") for number in range(models)],
        [request(f"r-{number}") for number in range(requests)],
        Machine(SYSTEM, (GPU, GPU)),
    )
    drawn = frame("http://box", look, NOW, Size(columns, lines))
    assert len(drawn) <= lines
    assert max(map(width, drawn)) <= columns


def test_what_is_left_out_is_counted_and_room_is_used():
    """A short queue leaves its room to the models."""
    look = Look([model(f"m{number:02}") for number in range(50)], [request("r-1")])
    drawn = frame("http://box", look, NOW, Size(100, 24))
    assert len(drawn) == 24
    # Of 24 lines two are above, one between, and two the queue's; 19 are the models'.
    assert drawn[2 + 18] == "… and 33 more"
    assert drawn[-1].startswith("r-1")


def test_a_problem_stands_where_it_is_seen_and_does_no_harm():
    """The rest is as old as it."""
    look = Look([model("\x1b[2J")], [], problem="no daemon\nat all")
    drawn = frame("http://box", look, NOW)
    assert drawn[0] == "12:00:00  no daemon\\nat all"
    assert drawn[3].startswith("\\x1b[2J")


def test_the_newest_sample_of_each_card_is_shown():
    """A round without news leaves what was known."""
    first, second = Record({"id": 0, "temp_c": 1}), Record({"id": 0, "temp_c": 2})
    known = newest(Machine(), [SYSTEM], [first, second])
    assert known == Machine(SYSTEM, (second,))
    assert newest(known, [], []) == known
