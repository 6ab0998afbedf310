"""Entries of the queue: the shape that clients rely on."""

import json
from typing import Any

import pytest

from swapd.ids import ModelId, Ticket
from swapd.manage.entries import HEADINGS, Entry, Writer, reason
from swapd.manage.instants import Instants
from swapd.schedule.standing import (
    BackOff,
    Behind,
    Draining,
    Loading,
    Nothing,
    Stage,
    Standing,
    Stopping,
    TurnOf,
    Wait,
)

A = ModelId("a")

INSTANTS = Instants(1_000_000_000.0)

WAITS: list[tuple[Wait, dict[str, Any]]] = [
    (Behind(1), {"kind": "behind", "requests": 1, "text": "behind 1 request"}),
    (Behind(12), {"kind": "behind", "requests": 12, "text": "behind 12 requests"}),
    (
        Draining(A, 2, 41.00049),
        {
            "kind": "draining",
            "model": "a",
            "in_flight": 2,
            "oldest_s": 41.0,
            "text": "draining a: 2 in flight, oldest 41 s",
        },
    ),
    (
        Stopping(A, 1.5),
        {"kind": "stopping", "model": "a", "elapsed_s": 1.5, "text": "stopping a: 2 s"},
    ),
    (
        Loading(A, 3.0, None),
        {
            "kind": "loading",
            "model": "a",
            "elapsed_s": 3.0,
            "expected_s": None,
            "text": "loading a: 3 s",
        },
    ),
    (
        TurnOf(A, 1, 7.25),
        {
            "kind": "turn",
            "model": "a",
            "ends_in_s": 7.25,
            "in_flight": 1,
            "text": "turn of a: 1 in flight, ends in 7 s at most",
        },
    ),
    (
        BackOff(A, 5.0),
        {
            "kind": "back_off",
            "model": "a",
            "until": "2001-09-09T01:46:45.000Z",
            "text": "back-off of a until 2001-09-09T01:46:45.000Z",
        },
    ),
    (Nothing(), {"kind": "none", "text": "none"}),
]


def entry(wait: Wait, *, client: str | None = "10.0.0.7", eta: float | None = None) -> Entry:
    model = ModelId('qu"en')
    standing = Standing(Ticket(1), model, 2.0, 3, Stage.WAITING, wait, eta)
    return Entry("r-1f3a", client, 2.0, standing)


@pytest.mark.parametrize(("wait", "told"), WAITS, ids=lambda each: type(each).__name__)
def test_every_wait_is_told_with_its_facts_and_a_sentence(wait, told):
    """Programs read the facts, people the sentence."""
    assert reason(wait, INSTANTS) == told


@pytest.mark.parametrize(("wait", "told"), WAITS, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("client", ["10.0.0.7", None])
@pytest.mark.parametrize(("eta", "eta_s"), [(None, None), (18.00012, 18.0), (0.0, 0.0)])
def test_an_entry_written_as_text_is_what_an_encoder_would_write(wait, told, client, eta, eta_s):
    """For speed the text is put together by hand, and a comma can be forgotten."""
    text = Writer(14.4006, INSTANTS).json(entry(wait, client=client, eta=eta))
    slow = {
        "id": "r-1f3a",
        "model": 'qu"en',
        "client": client,
        "age_s": 12.401,
        "position": 3,
        "phase": "waiting",
        "reason": told,
        "eta_s": eta_s,
    }
    assert json.loads(text) == slow
    assert list(json.loads(text)) == list(slow)


@pytest.mark.parametrize(("wait", "told"), WAITS, ids=lambda each: type(each).__name__)
def test_people_get_a_row_with_the_sentence(wait, told):
    """As many columns as there are headings, whatever is not known."""
    row = Writer(14.4, INSTANTS).row(entry(wait, client=None))
    assert len(row) == len(HEADINGS)
    assert row == ("r-1f3a", 'qu"en', "-", "12.4 s", "3", "waiting", "-", told["text"])
