"""An activity as a row, and back, whatever is in it."""

from math import inf, nan

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapd.watch.activity import Query
from swapd.watch.rows import characters, condition
from swapd.watch.tokens import Tokens
from tests.records import activity, add, memory

TEXTS = st.text(st.characters(codec=None, categories=("Cs", "Ll", "Cc")), max_size=5)
NUMBERS = st.integers()
FLOATS = st.floats()


def test_what_is_written_is_what_is_read():
    """Every field, by a value that no other has."""
    one = activity(
        "m",
        at=5,
        content_type="a/b",
        status=429,
        tokens=Tokens(1, 2, 3, 4, 5, 6.5, 7.5),
        duration_ms=8,
        error="boom",
        metadata={"selector": "s", "ü": "\U0001f600"},
        outcome="queue_full",
        queued=9.5,
        loading=10.5,
        first_byte=11.5,
        bytes=12,
    )
    with memory(one) as store:
        assert store.page(Query()).rows[0].activity == one


@given(TEXTS, TEXTS, NUMBERS, NUMBERS, FLOATS, FLOATS)
def test_no_activity_stops_the_others(text, other, number, count, speed, duration):
    """One that could not be written would be tried again for ever, with all that follow it."""
    odd = activity(
        text,
        at=duration,
        request=other,
        error=text,
        metadata={text: other},
        tokens=attrs.evolve(Tokens(), input=number, tokens_per_second=speed),
        status=count,
        bytes=number,
        queued=duration,
        first_byte=speed,
    )
    with memory(odd, activity("after")) as store:
        assert [row.activity.model for row in store.page(Query()).rows] == ["after", text_of(text)]
        store.stats()


def text_of(text: str) -> str:
    """Take away what is no character."""
    return characters(text)


def test_what_is_no_character_is_marked():
    """JSON can name a model by half of a pair."""
    assert characters("a\ud800b") == "a?b"


@pytest.mark.parametrize(
    ("status", "outcome"), [(200, "ok"), (302, "ok"), (400, "upstream_error")]
)
def test_a_row_of_llama_swaps_ended_as_its_status_says(status, outcome):
    """It knows no more of it."""
    with memory(activity()) as store:
        connection = store._connection
        connection.execute("DELETE FROM swapd_activity")
        connection.execute("UPDATE activity SET resp_status_code = ?", (status,))
        found = store.page(Query()).rows[0].activity
        assert (found.outcome, found.ours, found.first_byte) == (outcome, False, None)


@pytest.mark.parametrize(
    "change",
    [
        "metadata_json = '[1]'",
        "metadata_json = '{'",
        "metadata_json = '{\"a\":1}'",
        "input_tokens = 'many'",
        "tokens_per_second = 9e999",
        "tokens_per_second = 'fast'",
        "model_id = CAST(x'ff' AS TEXT)",
        "ts_created = 9223372036854775807",
    ],
)
def test_an_odd_row_of_somebody_else_is_shown_as_far_as_it_goes(change):
    """Llama-swap stores a name's bytes as they came, and anybody can edit a file."""
    with memory(activity()) as store:
        store._connection.execute(f"UPDATE activity SET {change}")
        assert store.page(Query()).total == 1
        assert len(store.page(Query()).rows) == 1
        store.stats()


@pytest.mark.parametrize("speed", [nan, inf, -inf])
def test_a_speed_that_is_none_is_not_known(speed):
    """NaN is NULL to SQLite, and neither is JSON."""
    with memory(activity(tokens=Tokens(tokens_per_second=speed))) as store:
        assert store.page(Query()).rows[0].activity.tokens.tokens_per_second == -1


def test_names_are_values_and_no_part_of_the_statement():
    """Whatever a client asks for stays what it asks for."""
    name = "'; DROP TABLE activity; --"
    where, values = condition(Query(models=(name,)))
    assert "DROP" not in where
    assert values == (name,)
    with memory(activity(name)) as store:
        add(store, [activity()])
        assert store.page(Query(models=(name,))).total == 1


def test_bounds_beyond_sqlite_are_its_own():
    """Else a number of twenty digits would be an error."""
    with memory(activity()) as store:
        assert store.page(Query(min_id=-(10**30), max_id=10**30)).total == 1
