"""What people are told of waits: a line for each kind."""

import pytest

from swapd.ids import ModelId
from swapd.schedule.standing import (
    BackOff,
    Behind,
    Draining,
    Loading,
    Nothing,
    Stage,
    Stopping,
    TurnOf,
    Wait,
)

A = ModelId("a")


@pytest.mark.parametrize(
    ("wait", "text"),
    [
        (Behind(1), "behind 1 request"),
        (Behind(0), "behind 0 requests"),
        (Behind(12), "behind 12 requests"),
        (Draining(A, 2, 34.6), "draining a: 2 in flight, oldest 35 s"),
        (Stopping(A, 3.2), "stopping a: 3 s"),
        (Loading(A, 4.0, None), "loading a: 4 s"),
        (Loading(A, 4.0, 21.4), "loading a: 4 s of about 21 s"),
        (TurnOf(A, 3, 18.0), "turn of a: 3 in flight, ends in 18 s at most"),
        (TurnOf(A, 1, None), "turn of a: 1 in flight, has no end"),
        (BackOff(A, 7.0), "back-off of a"),
        (Nothing(), "none"),
    ],
    ids=str,
)
def test_each_wait_says_in_a_line_what_it_waits_for(wait: Wait, text: str) -> None:
    """Rule 2: it stands in the API, in a stream's comments and on the page alike."""
    assert wait.text == text


def test_stages_are_called_as_the_api_calls_them():
    """Clients compare the words."""
    assert {stage.value for stage in Stage} == {"waiting", "loading", "granted"}
