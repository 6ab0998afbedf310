"""Which model a request means, and whether it wants a stream.

Rows of the reference's tables are found by their numbers; a `-D…` behind one names the difference
on purpose.
"""

import json
import struct

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swapd.proxy.naming import BadBody, Named, find, looks_like_object


@attrs.frozen
class Written:
    """A request's body, and what it names."""

    body: bytes
    name: str
    stream: bool


# A member's value, or a value of a member's value: anything, and often enough a "model".
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | st.text()
keys = st.sampled_from(["model", "Model", "stream", "messages", ""]) | st.text()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)
texts = st.builds(
    json.dumps, values, ensure_ascii=st.booleans(), indent=st.none() | st.integers(0, 2)
)
gaps = st.text(" \t\r\n", max_size=3)


@st.composite
def spellings(draw: st.DrawFn, word: str) -> str:
    """Spell a word as JSON: plain, in ASCII, or every character escaped."""
    hard = "".join(
        f"\\u{unit:04X}" for (unit,) in struct.iter_unpack(">H", word.encode("utf-16-be"))
    )
    plain = json.dumps(word, ensure_ascii=False)
    return draw(st.sampled_from([plain, json.dumps(word), f'"{hard}"']))


@st.composite
def bodies(draw: st.DrawFn) -> Written:
    """Write an object with one "model" and one "stream" at its top, spaced at will."""
    others = st.tuples(keys.filter(lambda key: key not in ("model", "stream")), texts)
    name = draw(st.text())
    stream = draw(st.booleans())
    own = [("model", draw(spellings(name))), ("stream", json.dumps(stream))]
    members = draw(st.permutations(draw(st.lists(others, max_size=5)) + own))
    written = ",".join(
        f"{draw(gaps)}{draw(spellings(key))}{draw(gaps)}:{draw(gaps)}{value}{draw(gaps)}"
        for key, value in members
    )
    return Written(f"{draw(gaps)}{{{written}}}{draw(gaps)}".encode(), name, stream)


@given(bodies())
@settings(max_examples=200, deadline=None)
def test_what_stands_at_the_top_is_found(written: Written) -> None:
    """Wherever it stands, however it is spelled, and whatever else is called so deeper down."""
    assert find(written.body) == Named(written.name, written.stream)


@pytest.mark.parametrize(
    ("body", "found"),
    [
        pytest.param(b'{"model":"llama3","stream":true}', Named("llama3", True), id="X6"),
        pytest.param(b'{"model":"author/model-7b"}', Named("author/model-7b", False), id="X7"),
        pytest.param(b'{"model":""}', Named("", False), id="X8"),
        pytest.param(b'{"stream":true}', Named("", True), id="X9"),
        pytest.param(b"{}", Named("", False), id="X28"),
        (b'{"Model":"a","Stream":true}', Named("", False)),
        (b'{"x":{"model":"a","stream":true}}', Named("", False)),
        (b'{"messages":[{"model":"no"}],"model":"yes"}', Named("yes", False)),
        (rb'{"model":"caf\u00e9"}', Named("caf\u00e9", False)),
        (b' \r\n\t{ "model"\n:\t"a" } \n', Named("a", False)),
        (rb'{"mod\u0065l":"\u0061","str\u0065am":true}', Named("a", True)),
        (b'{"x":"\\"model\\":\\"no\\"","model":"a"}', Named("a", False)),
        (b'{"seed":%d,"model":"a"}' % 10**400, Named("a", False)),
        (b'{"x":1e999,"model":"a"}', Named("a", False)),
        ('{"x":"\u00e4\U0001f600","model":"a"}'.encode(), Named("a", False)),
        (b'{"x":' + b"[" * 200 + b"]" * 200 + b',"model":"a"}', Named("a", False)),
    ],
)
def test_odd_bodies_are_read_all_the_same(body: bytes, found: Named) -> None:
    """Clients write JSON in every way there is, and naming no model is not a broken body."""
    assert find(body) == found


@pytest.mark.parametrize(
    ("value", "stream"),
    [
        *(
            pytest.param(value, True, id=f"X24: {value}")
            for value in ("true", "1", "0.5", '"true"', '"TRUE"', '"1"')
        ),
        *(pytest.param(value, False, id=f"X25: {value}") for value in ('"yes"', "null")),
        *((value, True) for value in ('"True"', '"t"', '"T"', "-1", "1e-3")),
        *((value, False) for value in ("false", "0", "0.0", "-0", '"false"', '"0"', '""')),
        *((value, False) for value in ('" true"', '"tRUE"', "[]", "[true]", "{}", '{"a":1}')),
        ('true,"stream":false', True),
        ('false,"stream":true', False),
    ],
)
def test_a_stream_is_asked_for_in_as_many_ways_as_in_llama_swap(value: str, stream: bool) -> None:
    """Only a stream may be sent news while its model loads; others would take it for an answer."""
    assert find(f'{{"model":"a","stream":{value}}}'.encode()) == Named("a", stream)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not JSON: Expecting value at line 1 column 1"),
        (b" \n", "not JSON: Expecting value at line 2 column 1"),
        pytest.param(b"not-json", "not JSON: Expecting value", id="X10-D5"),
        pytest.param(b'{"model":"x", garbage', "not JSON", id="X21-D5"),
        (b'{"model":"a"', "not JSON"),
        (b'{"model":"a"}}', "not JSON: Extra data at line 1 column 14"),
        (b'{"model":"a"} \n {}', "not JSON: Extra data at line 2 column 2"),
        (b'{"model":"a",}', "not JSON"),
        (b"{'model':'a'}", "not JSON"),
        (b'{"model":"a\n"}', "not JSON: Invalid control character"),
        (b'\xef\xbb\xbf{"model":"a"}', "not JSON: it begins with a byte order mark"),
        ('{"model":"a"}'.encode("utf-16"), "not UTF-8: byte 0 is wrong"),
        (b'{"model":"\xed\xa0\x80"}', "not UTF-8"),
        (b"null", "must be a JSON object, not null"),
        (b"true", "must be a JSON object, not true or false"),
        (b"7", "must be a JSON object, not a number"),
        (b'"model"', "must be a JSON object, not a string"),
        pytest.param(b'[{"model":"z"}]', "must be a JSON object, not a list", id="X22-D5"),
        (b"[]", "must be a JSON object, not a list"),
        pytest.param(b'{"model":5}', "must be a string, not a number", id="X20-D5: 5"),
        pytest.param(b'{"model":null}', "must be a string, not null", id="X20-D5: null"),
        pytest.param(b'{"model":true}', "must be a string, not true or false", id="X20-D5: true"),
        (b'{"model":{"a":1}}', "must be a string, not an object"),
        (b'{"model":["a"]}', "must be a string, not a list"),
        (b'{"model":{}}', "must be a string, not an object"),
        (b'{"model":[]}', "must be a string, not a list"),
        pytest.param(b'{"model":"a","model":"b"}', '"model" stands twice', id="X23-D5"),
        pytest.param(b'{"model":"a","model":"z"}', '"model" stands twice', id="W10-D5"),
        (b'{"model":"","model":""}', '"model" stands twice'),
        (rb'{"model":"a","mod\u0065l":"b"}', '"model" stands twice'),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"model":"a","x":' + b'{"y":' * 100_000, "nested too deeply"),
        (b'{"model":"a","x":' + b"9" * 5000 + b"}", "not usable JSON"),
    ],
)
def test_a_body_that_could_be_read_in_two_ways_is_refused_in_one_sentence(
    body: bytes, says: str
) -> None:
    """Rule 1: what we route by is what the model will see, or nothing is sent at all."""
    with pytest.raises(BadBody) as bad:
        find(body)
    assert says in str(bad.value)
    assert "\n" not in str(bad.value)


def test_a_body_of_countless_values_is_refused_before_it_is_read() -> None:
    """Reading it would hold up everybody for seconds; a long text of that size is no trouble."""
    bomb = b'{"model":"a","x":[' + b"[]," * 1_000_000 + b"[]]}"
    with pytest.raises(BadBody, match="more than 600000"):
        find(bomb)
    assert find(b'{"model":"a","x":"' + b"word, " * 500_000 + b'"}').model == "a"


@pytest.mark.parametrize(
    ("body", "looks"),
    [
        (b'{"model":"a"}', True),
        (b' \r\n\t{"model":"a"}', True),
        (b'\xef\xbb\xbf{"model":"a"}', True),
        (b'\xef\xbb\xbf \n{"model":"a"}', True),
        (b"{", True),
        (b"", False),
        (b" \n", False),
        (b'[{"model":"a"}]', False),
        (b"model=a", False),
        (b"a={}", False),
        (b"--x\r\n{}", False),
        (b"\x0b{}", False),
        (b"\xff\xfe{\x00", False),
    ],
)
def test_an_object_is_recognized_by_how_it_begins(body: bytes, looks: bool) -> None:
    """D4: curl calls JSON a form unless it is told better."""
    assert looks_like_object(body) == looks
