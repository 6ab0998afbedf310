"""Reading what is asked of the record; its sentences are in tests/rows/test_activity.py."""

import re

import pytest
from jsonschema import Draft202012Validator

from swapd.manage.rowquery import PARAMETERS

READ = [
    ("min_id", "1", 1),
    ("min_id", "+7", 7),
    ("min_id", "007", 7),
    ("min_id", "9223372036854775807", 2**63 - 1),
    ("min_id", "9223372036854775808", None),
    ("min_id", "1_0", None),
    ("min_id", "\u0661", None),
    ("limit", "999", 999),
    ("limit", "1000", None),
    ("sort", "gen_speed", "gen_speed"),
    ("sort", "GEN_SPEED", None),
    ("order", "Desc", "desc"),
    ("start", "1970-01-01T00:00:01Z", 1),
    ("start", "1970-01-01T00:00:01.999999999Z", 1),
    ("start", "1970-01-01T00:00:01,5Z", 1),
    ("start", "1970-01-01T01:00:01+01:00", 1),
    ("start", "1969-12-31T23:59:59Z", -1),
    ("start", "1970-01-01 00:00:01Z", None),
    ("start", "1970-01-01T00:00:01", None),
    ("start", "1970-01-01T00:00:61Z", None),
    ("start", "0000-01-01T00:00:01Z", None),
    ("start", "19700101T000001Z", None),
]


@pytest.mark.parametrize(("name", "word", "value"), READ)
def test_a_word_is_read_as_llama_swap_reads_it(name, word, value):
    """Numbers as in its language, and dates as in RFC 3339, nothing else that Python would."""
    assert PARAMETERS[name].read(word) == value


@pytest.mark.parametrize(("name", "word"), [(name, word) for name, word, value in READ if value])
def test_what_is_read_is_described(name, word):
    """A client made from the description must not be told that it may not ask."""
    number = int(word) if re.fullmatch(r"[+-]?\d+", word) else word
    Draft202012Validator(PARAMETERS[name].schema).validate(number)
