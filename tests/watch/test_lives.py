"""What becomes of runs, counted from the journal."""

import pytest
from prometheus_client import CollectorRegistry

from swapd.watch.lives import CAUSES, RESULTS, Lives


class Story:
    """Tells the journal's entries, and answers with what was counted."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.lives = Lives(self.registry)

    def tell(self, *entries: tuple[str, float], model: str = "a", run: int = 1) -> "Story":
        """Tell what happened to a run: the kind, and when."""
        for kind, at in entries:
            self.lives.decided(kind, model, run, at)
        return self

    def counted(self, name: str, **labels: str) -> float | None:
        """Answer with a series; None where there is none."""
        return self.registry.get_sample_value(f"swapd_{name}", {"model": "a", **labels})

    def ends(self) -> dict[str, float | None]:
        """Answer with the causes that were counted."""
        causes = {cause: self.counted("swaps_total", cause=cause) for cause in CAUSES}
        return {cause: count for cause, count in causes.items() if count}

    def loads(self) -> dict[str, float | None]:
        """Answer with how loads went."""
        results = {result: self.counted("loads_total", result=result) for result in RESULTS}
        return {result: count for result, count in results.items() if count}


def test_a_load_takes_until_it_is_ready_and_a_stop_until_nothing_is_left():
    """The two halves of a swap, which is where the time goes."""
    story = Story().tell(("load", 10), ("ready", 22.5), ("evict", 60), ("stopped", 63))
    assert story.counted("load_seconds_sum") == 12.5
    assert story.counted("stop_seconds_sum") == 3
    assert (story.loads(), story.ends()) == ({"ready": 1}, {"evict": 1})
    assert story.counted("evictions_total") == 1


@pytest.mark.parametrize("cause", CAUSES)
def test_every_end_has_its_cause(cause):
    """Who sees many evictions mends the configuration; who sees failures, the model."""
    story = Story().tell(("load", 0), ("ready", 1), (cause, 5), ("stopped", 6))
    assert (story.ends(), story.loads()) == ({cause: 1}, {"ready": 1})
    assert story.counted("evictions_total") == (cause == "evict")


@pytest.mark.parametrize(
    ("cause", "result"),
    [
        ("failed", "failed"),
        ("unload", "cancelled"),
        ("evict", "cancelled"),
        ("reload", "cancelled"),
    ],
)
def test_a_load_that_came_to_nothing_is_told_from_one_that_failed(cause, result):
    """A model that was told to go is not to blame. And how long it took says nothing of a load."""
    story = Story().tell(("load", 0), (cause, 5), ("stopped", 6))
    assert (story.loads(), story.ends()) == ({result: 1}, {cause: 1})
    assert story.counted("load_seconds_count") is None


def test_what_is_said_of_a_run_that_is_ending_changes_nothing():
    """It may break or be stuck on its way out; it was ended once, and for one thing."""
    story = Story().tell(("load", 0), ("unload", 1), ("ready", 2), ("failed", 3), ("evict", 4))
    story.tell(("stopped", 9))
    assert (story.loads(), story.ends()) == ({"cancelled": 1}, {"unload": 1})
    assert story.counted("stop_seconds_sum") == 8


def test_runs_of_one_model_are_told_apart():
    """News of an earlier one must not end a later."""
    story = Story().tell(("load", 0), ("ready", 1), ("failed", 2), ("stopped", 3))
    story.tell(("load", 10), run=2).tell(("failed", 11), ("stopped", 12)).tell(
        ("ready", 14), run=2
    )
    assert story.loads() == {"ready": 2}
    assert story.counted("load_seconds_sum") == 5


def test_entries_without_a_run_and_of_runs_unknown_are_nothing():
    """Grants and refusals stand in the same journal, and so does a reload."""
    story = Story().tell(("ready", 1), ("evict", 2), ("stopped", 3), run=7)
    for kind in ("reload", "refuse", "cancel", "grant", "load"):
        story.lives.decided(kind, None if kind == "reload" else "a", None, 1.0)
    assert (story.loads(), story.ends()) == ({}, {})


def test_counters_are_there_before_the_first_event():
    """Prometheus does not see a first event that brings its own series."""
    story = Story()
    story.lives.prepare("a")
    story.lives.prepare("a")
    assert {story.counted("swaps_total", cause=cause) for cause in CAUSES} == {0}
    assert {story.counted("loads_total", result=result) for result in RESULTS} == {0}
    assert story.counted("evictions_total") == 0
    assert story.counted("load_seconds_count") is None
