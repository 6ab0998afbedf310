"""Reading numbers that somebody else wrote."""

import json
import math
import sqlite3
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swapd.watch.tokens import (
    LARGEST_PART,
    MOST,
    MOST_TRIES,
    Account,
    Tokens,
    of_document,
    parts_in,
    read_json,
    speaks,
)

NONE = Tokens()

# All keys that mean something, so that random documents meet them.
KEYS = st.sampled_from(
    [
        *("usage", "timings", "metrics", "response", "message", "speculative_decoding"),
        *("prompt_tokens", "output_tokens", "prompt_tokens_details", "cached_tokens"),
        *("prompt_n", "predicted_n", "cache_n", "draft_n", "draft_n_accepted", "prompt_ms"),
        *("predicted_ms", "prompt_per_second", "predicted_per_second", "mean_itl_ms"),
        *("time_to_first_token_ms", "num_draft_tokens", "num_accepted_draft_tokens"),
    ]
)

NUMBERS = st.sampled_from(
    [
        *("0", "-0.0", "7", "-1", "12.9", "1e3", "1e400", "-1e400", "5e-324", "1e308"),
        *("9223372036854775807", "9223372036854775808", "-9223372036854775809", "9" * 400),
        *("9" * 5000, "-" + "9" * 5000, "null", "true", '"12"', '"1e400"', '"nan"', '""'),
    ]
)


def objects(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Write objects as text, for what no Python value stands for."""
    members = st.tuples(KEYS, inner).map(lambda member: f'"{member[0]}":{member[1]}')
    return st.lists(members, max_size=6).map(lambda written: "{" + ",".join(written) + "}")


DOCUMENTS = objects(st.recursive(NUMBERS, objects, max_leaves=12))


def usage(**said: Any) -> Tokens:
    """Read a document with this usage."""
    return of_document(json.dumps({"usage": said}).encode(), infill=False)


@pytest.mark.parametrize(
    ("written", "count"),
    [
        *(("12", 12), ('"12"', 12), ("12.9", 12), ('"12.9"', 12), ("1e3", 1000), ("null", 0)),
        *(("true", 1), ('"true"', 0), ('"twelve"', 0), ('""', 0), ("[3]", 0), ("{}", 0)),
        *((str(MOST), MOST), (str(MOST + 1), MOST), ("9" * 5000, 0), (f'"{"9" * 5000}"', 0)),
        *((str(10**200), MOST), ("1e400", 0), ('"1e400"', 0), ('"nan"', 0), ('"1_0"', 0)),
        *(("-4", 0), (str(-(10**30)), 0), ('"\\ud800"', 0), ('"\u0661\u0662"', 0)),
    ],
)
def test_counts_are_read_leniently_and_bounded(written, count):
    """Servers write numbers as text and as floats; some write nonsense."""
    text = b'{"usage":{"prompt_tokens":%b}}' % written.encode()
    assert of_document(text, infill=False).input == count


@pytest.mark.parametrize("number", ["1e400", "-1e400", "9" * 5000, '"1e400"'])
def test_what_is_no_number_is_an_unknown_one(number):
    """Neither SQLite's averages nor JSON survive an infinity."""
    timings = '"prompt_n":%s,"predicted_per_second":%s,"prompt_ms":%s,"cache_n":%s' % (
        (number,) * 4
    )
    tokens = of_document(f'{{"timings":{{{timings}}}}}'.encode(), infill=False)
    assert tokens == Tokens(-1, 0, -1, -1, -1, 0.0, -1.0, 0)


def test_a_first_token_in_no_time_is_no_division_by_zero():
    """The smallest float that there is, divided once more, is 0."""
    text = b'{"usage":{"prompt_tokens":5},"metrics":{"time_to_first_token_ms":5e-324}}'
    assert of_document(text, infill=False).prompt_per_second == -1


@settings(max_examples=150, deadline=None)
@given(st.lists(DOCUMENTS, max_size=4))
def test_every_number_fits_sqlite_and_json(documents):
    """A row that cannot be written would be lost, and one that breaks a sum breaks them all."""
    account = Account()
    for document in documents:
        account.event(read_json(document.encode()))
    whole = of_document(documents[0].encode(), infill=True) if documents else NONE
    with sqlite3.connect(":memory:") as database:
        for tokens in (account.tokens(), whole):
            numbers = attrs.astuple(tokens)
            assert all(math.isfinite(number) for number in numbers)
            assert [type(number) for number in numbers] == [int] * 5 + [float] * 2 + [int]
            assert database.execute("SELECT ?,?,?,?,?,?,?,?", numbers).fetchone() == numbers
            assert json.loads(json.dumps(numbers, allow_nan=False)) == list(numbers)
    database.close()


@settings(max_examples=300, deadline=None)
@given(st.binary() | st.text().map(str.encode) | DOCUMENTS.map(str.encode))
def test_garbage_is_not_worth_an_exception(text):
    """It comes from a model's server, at the end of somebody's request."""
    read_json(text)
    of_document(text, infill=True)
    of_document(b'{"usage":' + text, infill=False)
    parts_in(b'"usage":' + text)


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 100_000,
        b'{"usage":' * 100_000,
        b'{"usage":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        b'{"usage":NaN}',
        b'{"usage":{"prompt_tokens":Infinity}}',
        b'\xef\xbb\xbf{"usage":{"prompt_tokens":1}}',
        b'{"usage":{"prompt_tokens":1}}\x00',
        b"{'usage':{'prompt_tokens':1}}",
    ],
    ids=["lists", "objects", "nested", "NaN", "Infinity", "mark", "zero", "quotes"],
)
def test_what_is_not_json_says_nothing(text):
    """Deeper than the interpreter's stack is not worth reading either."""
    assert of_document(text, infill=False) == NONE


def test_letters_that_are_none_do_no_harm():
    """A model may be cut in the middle of one, and the numbers are still there."""
    text = b'{"text":"\xff\xfe","usage":{"prompt_tokens":1}}'
    assert of_document(text, infill=False).input == 1


def test_a_null_does_not_take_away_what_usage_says():
    """Servers that write out every field they know have `timings` for others."""
    text = b'{"usage":{"prompt_tokens":5},"timings":null,"metrics":null}'
    assert of_document(text, infill=False) == Tokens(5, 0, -1, -1, -1, -1.0, -1.0)
    assert of_document(b'{"timings":null}', infill=False) == NONE


def test_an_event_that_is_no_object_is_none():
    """`data: 5` is a valid event of somebody else's."""
    account = Account()
    for event in (None, 5, "usage", [{"usage": {"prompt_tokens": 1}}], {"response": 5}):
        account.event(event)
    assert account.tokens() == NONE


def test_later_events_say_it_better():
    """Anthropic counts on while it streams, and does not repeat what it said at first."""
    account = Account()
    account.event({"message": {"usage": {"input_tokens": 9, "cache_read_input_tokens": 2}}})
    account.event({"usage": {"output_tokens": 3}})
    account.event({"usage": {"output_tokens": 4}, "timings": None})
    assert account.tokens() == Tokens(9, 4, 2, -1, -1, -1.0, -1.0)


# Finding parts


def test_a_part_is_found_without_reading_what_it_is_in():
    """Megabytes of embeddings say nothing about tokens."""
    text = b'0.1,0.2]}],"usage" : {"prompt_tokens":8},"metrics":{"mean_itl_ms":1},"x":'
    assert parts_in(text) == {"usage": {"prompt_tokens": 8}, "metrics": {"mean_itl_ms": 1}}


@pytest.mark.parametrize(
    "behind",
    [
        rb',"text":"he said \"usage\":{\"prompt_tokens\":99}"',
        b',"parameters":{"usage":{"type":"string"}}',
        b',"text":"usage"',
        b',"usage":null',
        b',"usage":{"prompt_tokens":9',
    ],
    ids=["quoted", "a-tool", "a-word", "null", "cut"],
)
def test_what_only_looks_like_a_part_is_passed_over(behind):
    """People ask models about exactly such texts."""
    assert parts_in(b'"usage":{"prompt_tokens":8}' + behind) == {"usage": {"prompt_tokens": 8}}


def test_a_search_comes_to_an_end():
    """Each attempt reads some thousand bytes; whoever writes a million keys gets few of them."""
    key = b'"usage":{"x":'
    assert parts_in(b'"usage":{"prompt_tokens":8}' + key * MOST_TRIES) == {}
    assert parts_in(b'"timings":{"x":"%b"}' % (b"x" * LARGEST_PART)) == {}


def test_most_texts_need_no_reading():
    """A token's event has none of the words, and there are a hundred of them a second."""
    assert not speaks(b'data: {"choices":[{"delta":{"content":"the usage of timings"}}]}')
    assert speaks(b'{"usage":1}')
    assert speaks(b'{"timings":1}')
    assert speaks(b'{"metrics":1}')
