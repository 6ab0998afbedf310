"""Which model a request means, and how another name is put in its place."""

import json
import struct

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swapd.proxy.naming import BadBody, find_model, replace_model


@attrs.frozen
class Written:
    """A request's body, and where in it the model's name stands."""

    before: str
    name: str
    spelled: str
    after: str

    @property
    def body(self) -> bytes:
        return (self.before + self.spelled + self.after).encode()


# A member's value, or a value of a member's value: anything, and often enough a "model".
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | st.text()
keys = st.sampled_from(["model", "Model", "models", "messages", ""]) | st.text()
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
    """Write an object with one top-level "model" and any other members, spaced at will."""
    others = st.lists(st.tuples(keys.filter(lambda key: key != "model"), texts), max_size=3)

    def member(key: str, value: str) -> str:
        return f"{draw(gaps)}{draw(spellings(key))}{draw(gaps)}:{draw(gaps)}{value}{draw(gaps)}"

    name = draw(st.text(min_size=1))
    spelled = draw(spellings(name))
    ahead, behind = draw(others), draw(others)
    start, end = member("model", "|").rsplit("|", 1)
    before = "".join(f"{member(*other)}," for other in ahead)
    after = "".join(f",{member(*other)}" for other in behind)
    return Written(f"{draw(gaps)}{{{before}{start}", name, spelled, f"{end}{after}}}{draw(gaps)}")


@given(bodies())
@settings(max_examples=200, deadline=None)
def test_the_one_model_at_the_top_is_found(written):
    """Wherever it stands, however it is spelled, and whatever else is called so deeper down."""
    assert find_model(written.body) == written.name


@given(bodies(), st.text(min_size=1))
@settings(max_examples=200, deadline=None)
def test_replacing_changes_nothing_but_the_name(written, other):
    """Rule 1: a client's 1.0 stays 1.0, and its escapes and white space stay where they are."""
    replaced = replace_model(written.body, other)
    assert replaced == (written.before + json.dumps(other) + written.after).encode()
    assert find_model(replaced) == other


@pytest.mark.parametrize(
    ("body", "replaced"),
    [
        (b'{"model":"a"}', b'{"model":"new"}'),
        (b' \r\n\t{ "model"\n:\t"a" } \n', b' \r\n\t{ "model"\n:\t"new" } \n'),
        (rb'{"mod\u0065l":"a"}', rb'{"mod\u0065l":"new"}'),
        (rb'{"model":"\u0061"}', b'{"model":"new"}'),
        (b'{"x":{"model":"no"},"model":"a"}', b'{"x":{"model":"no"},"model":"new"}'),
        (
            b'{"x":"\\"model\\":\\"no\\"","model":"a"}',
            b'{"x":"\\"model\\":\\"no\\"","model":"new"}',
        ),
        (b'{"x":[[{"model":"no"}]],"model":"a"}', b'{"x":[[{"model":"no"}]],"model":"new"}'),
        (b'{"model":"a","x":1.50E+3}', b'{"model":"new","x":1.50E+3}'),
        (b'{"seed":%d,"model":"a"}' % 10**400, b'{"seed":%d,"model":"new"}' % 10**400),
        (b'{"x":1e999,"model":"a"}', b'{"x":1e999,"model":"new"}'),
        ('{"x":"\u00e4\U0001f600","model":"a"}'.encode(), None),
        (b'{"x":' + b"[" * 200 + b"]" * 200 + b',"model":"a"}', None),
    ],
)
def test_odd_bodies_are_read_and_rewritten_all_the_same(body, replaced):
    """Clients write JSON in every way there is."""
    assert find_model(body) == "a"
    assert replace_model(body, "new") == (replaced or body.replace(b'"a"', b'"new"'))


def test_any_name_can_be_put_in():
    """What the model's server calls it is the operator's text, not JSON."""
    for name in ('a"b', "a\\b", "\u00e4\n", "\U0001f600", "\x00"):
        assert find_model(replace_model(b'{"model":"a","y":[1]}', name)) == name


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not JSON: Expecting value at line 1 column 1"),
        (b'{"model":"a"', "not JSON"),
        (b'{"model":"a"}}', "not JSON: Extra data at line 1 column 14"),
        (b'{"model":"a",}', "not JSON"),
        (b"{'model':'a'}", "not JSON"),
        (b'{"model":"a\n"}', "not JSON: Invalid control character"),
        (b'\xef\xbb\xbf{"model":"a"}', "not JSON"),
        ('{"model":"a"}'.encode("utf-16"), "not UTF-8: byte 0 is wrong"),
        (b'{"model":"\xed\xa0\x80"}', "not UTF-8"),
        (b"null", "must be a JSON object, not null"),
        (b"true", "must be a JSON object, not true or false"),
        (b"7", "must be a JSON object, not a number"),
        (b'"model"', "must be a JSON object, not a string"),
        (b'[{"model":"a"}]', "must be a JSON object, not a list"),
        (b"{}", '"model" is missing'),
        (b'{"Model":"a"}', '"model" is missing'),
        (b'{"x":{"model":"a"}}', '"model" is missing'),
        (b'{"model":""}', '"model" is empty'),
        (b'{"model":null}', "must be a string, not null"),
        (b'{"model":false}', "must be a string, not true or false"),
        (b'{"model":1.5}', "must be a string, not a number"),
        (b'{"model":{"a":1}}', "must be a string, not an object"),
        (b'{"model":["a"]}', "must be a string, not a list"),
        (b'{"model":"a","model":"a"}', '"model" stands twice'),
        (rb'{"model":"a","mod\u0065l":"b"}', '"model" stands twice'),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"model":"a","x":' + b'{"y":' * 100_000, "nested too deeply"),
        (b'{"model":"a","x":' + b"9" * 5000 + b"}", "not usable JSON"),
    ],
)
def test_a_body_that_could_be_read_in_two_ways_is_refused_in_one_sentence(body, says):
    """Rule 2: what we route by is what the model will see, or nothing is sent at all."""
    with pytest.raises(BadBody) as bad:
        find_model(body)
    assert says in str(bad.value)
    assert "\n" not in str(bad.value)


def test_a_body_of_countless_values_is_refused_before_it_is_read():
    """Reading it would hold up everybody for seconds; a long text of that size is no trouble."""
    bomb = b'{"model":"a","x":[' + b"[]," * 1_000_000 + b"[]]}"
    with pytest.raises(BadBody, match="more than 2000000"):
        find_model(bomb)
    assert find_model(b'{"model":"a","x":"' + b"word, " * 1_000_000 + b'"}') == "a"
