"""What a request's trace says of its end."""

from typing import Any

import pytest

from swapd.watch.trace import Trace


def trace(**known: Any) -> Trace:
    """Make a trace of which this is known."""
    made = Trace("r-1", method="POST", path="/", protocol="1.1", headers=[], address="-", agent="")
    for name, value in known.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("known", "outcome"),
    [
        ({"status": 200, "whole": True}, "ok"),
        ({"status": 204, "whole": True}, "ok"),
        ({"status": 302, "whole": True}, "ok"),
        ({"status": 404, "whole": True}, "upstream_error"),
        ({"status": 200}, "client_gone"),
        ({}, "client_gone"),
        ({"status": 429, "whole": True, "refused": "queue_full"}, "queue_full"),
        ({"status": 200, "refused": "upstream_cut"}, "upstream_cut"),
    ],
)
async def test_the_outcome_is_whose_doing_the_end_was(known, outcome, autojump_clock):
    """An operator sorts by this: clients, models, or us."""
    assert trace(**known).outcome == outcome


async def test_the_first_byte_counts_from_when_the_model_had_the_request(autojump_clock):
    """The wait in the queue is told apart from the model's own time."""
    assert trace(sent=10.0, first=12.5).first_byte == 2.5
    assert trace(sent=10.0).first_byte is None
    assert trace(first=12.5).first_byte is None


async def test_a_status_for_the_log_is_always_there(autojump_clock):
    """Who left before there was one has nginx's."""
    assert trace().told_status == 499
    assert trace(status=200).told_status == 200
