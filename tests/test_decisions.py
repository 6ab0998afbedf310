"""The journal of decisions: bounded, numbered, and in words that an operator would use."""

import logging

import pytest

from swapd.decisions import REMEMBERED, Decisions
from swapd.ids import ModelId, Run
from swapd.schedule.events import ModelBroke, ModelReady, ModelStopped, ModelStuck
from swapd.schedule.motives import Asked, MakeRoom, Outdated, Unused, Unwell
from swapd.schedule.reasons import BackingOff, Cancelled, ModelUnloaded, QueueFull
from tests.fakes import BROKEN
from tests.stories import BOOM

A, B = ModelId("a"), ModelId("b")
ONE = Run(1)


async def test_only_the_newest_are_kept(autojump_clock):
    """Thousands are served every hour; a daemon that runs for months must not grow."""
    decisions = Decisions()
    for _ in range(REMEMBERED + 5):
        decisions.reloaded()
    kept = decisions.since(0)
    assert [one.seq for one in kept] == list(range(6, REMEMBERED + 6))


@pytest.mark.parametrize(
    ("seq", "wanted"), [(-7, [1, 2, 3]), (0, [1, 2, 3]), (1, [2, 3]), (3, []), (99, [])]
)
async def test_what_is_known_already_is_not_told_again(seq, wanted, autojump_clock):
    """Who follows the journal asks with the last number that it has."""
    decisions = Decisions()
    assert decisions.since(seq) == []
    for _ in range(3):
        decisions.reloaded()
    assert [one.seq for one in decisions.since(seq)] == wanted


async def test_who_reads_too_late_sees_that_something_is_missing(autojump_clock):
    """The numbers say so; there is no other sign."""
    decisions = Decisions()
    for _ in range(REMEMBERED + 5):
        decisions.reloaded()
    assert decisions.since(2)[0].seq == 6
    assert decisions.since(REMEMBERED)[0].seq == REMEMBERED + 1


@pytest.mark.parametrize(
    ("tell", "kind", "text", "more"),
    [
        (lambda to: to.loading(A, ONE, "r-1"), "load", "loading a for r-1", "run request"),
        (lambda to: to.loading(A, ONE, None), "load", "loading a anew", "run"),
        (
            lambda to: to.stopping(A, ONE, MakeRoom(B, 12.4)),
            *("evict", "evicted a (idle 12 s) for b: next in the queue", "run for"),
        ),
        (
            lambda to: to.stopping(A, ONE, MakeRoom(B, None)),
            *("evict", "evicted a (still loading) for b: next in the queue", "run for"),
        ),
        (
            lambda to: to.stopping(A, ONE, Unused(300.0)),
            *("idle", "unloading a: idle for 300 s", "run"),
        ),
        (
            lambda to: to.stopping(A, ONE, Asked()),
            *("unload", "unloading a: somebody asked for it", "run"),
        ),
        (
            lambda to: to.stopping(A, ONE, Outdated()),
            *("reload", "stopping a: its definition has changed, or is gone", "run"),
        ),
        (
            lambda to: to.stopping(A, ONE, Unwell()),
            *("failed", "stopping a: it does not answer its health check", "run"),
        ),
        (lambda to: to.heard(ModelReady(ONE), A), "ready", "a is ready", "run"),
        (
            lambda to: to.heard(ModelBroke(ONE, BROKEN), A),
            *("failed", "a failed: exited with code 1", "run"),
        ),
        (
            lambda to: to.heard(ModelStuck(ONE, "process 7 survived SIGKILL"), A),
            *("failed", "a will not die: process 7 survived SIGKILL", "run"),
        ),
        (lambda to: to.heard(ModelStopped(ONE), A), "stopped", "a is gone", "run"),
        (
            lambda to: to.granted(A, ONE, "r-1", 2.04),
            *("grant", "r-1 may use a after 2.0 s", "run request"),
        ),
        (
            lambda to: to.refused(A, "r-1", QueueFull(3)),
            *("refuse", "refused r-1: queue full", "request"),
        ),
        (
            lambda to: to.refused(A, "r-1", BackingOff(A, BOOM)),
            *("refuse", f"refused r-1: backing off, a: {BOOM.text}", "request"),
        ),
        (
            lambda to: to.revoked(A, "r-1", ModelUnloaded(A)),
            *("cancel", "cut r-1: model unloaded, a", "request"),
        ),
        (lambda to: to.revoked(A, "r-1", Cancelled()), "cancel", "cut r-1: cancelled", "request"),
        (
            lambda to: to.left(A, "r-1", 7.0),
            *("cancel", "r-1 left the queue after 7.0 s", "request"),
        ),
    ],
)
async def test_each_is_told_in_words_and_as_data(tell, kind, text, more, autojump_clock):
    """People read the one; programs must not have to take it apart."""
    decisions = Decisions()
    tell(decisions)
    [told] = decisions.since(0)
    assert (told.seq, told.model, told.kind, told.text) == (1, A, kind, text)
    wanted = {"run": ONE, "request": "r-1", "for": B}
    assert told.more == {name: wanted[name] for name in more.split()}


async def test_a_reload_is_of_no_model(autojump_clock):
    """Those that it ends have decisions of their own."""
    decisions = Decisions()
    decisions.reloaded()
    [told] = decisions.since(0)
    assert (told.kind, told.model, told.more) == ("reload", None, {})


async def test_the_log_hears_of_models_and_not_of_every_grant(autojump_clock, caplog):
    """A line for each of thousands would bury the one that matters, which is a warning."""
    caplog.set_level("INFO")
    decisions = Decisions()
    decisions.granted(A, ONE, "r-1", 0.0)
    decisions.left(A, "r-2", 0.0)
    decisions.heard(ModelReady(ONE), A)
    decisions.heard(ModelBroke(ONE, BROKEN), A)
    assert [(one.levelno, one.message) for one in caplog.records] == [
        (logging.INFO, "a is ready"),
        (logging.WARNING, "a failed: exited with code 1"),
    ]
