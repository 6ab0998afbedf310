"""Changing a JSON object, and nothing of it but what was asked for."""

import copy
import json
import math
from collections.abc import Sequence
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swapd.config.values import Value
from swapd.proxy.editing import MOST_PADDING, MOST_VALUES, Document, Step, steps_of
from swapd.proxy.naming import BadBody

# Few, so that paths meet what is there, also twice.
NAMES = ("a", "b", "7", "0", "-1", "a.b", "x*", "\\", ":a", "\u00e4")

names = st.sampled_from(NAMES)
numbers = st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | st.text(max_size=5)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=10,
)
texts = st.builds(
    json.dumps, values, ensure_ascii=st.booleans(), indent=st.none() | st.integers(0, 2)
)
gaps = st.text(" \t\r\n", max_size=3)


@attrs.frozen
class Member:
    """A member of an object as it stands there, its value apart."""

    key: str
    before: str
    value: str
    after: str

    def __str__(self) -> str:
        return f"{self.before}{self.value}{self.after}"


@st.composite
def members(draw: st.DrawFn) -> Member:
    """Write a member, spaced at will."""
    key = draw(names)
    spelled = json.dumps(key, ensure_ascii=draw(st.booleans()))
    before = f"{draw(gaps)}{spelled}{draw(gaps)}:{draw(gaps)}"
    return Member(key, before, draw(texts), draw(gaps))


different_members = st.lists(members(), max_size=6, unique_by=lambda member: member.key)
objects = st.dictionaries(names, values, max_size=4)


def quoted(name: str) -> str:
    """Write a name so that a path means it literally, as a name."""
    return ":" + "".join(f"\\{letter}" for letter in name)


def changed(text: str, path: str, value: Value) -> str:
    """Set one value."""
    document = Document(text)
    document.set(path, value)
    assert document.changed == (document.render() != text)
    return document.render()


def without(text: str, path: str) -> str:
    """Delete one value."""
    document = Document(text)
    document.delete(path)
    assert document.changed == (document.render() != text)
    return document.render()


@pytest.mark.parametrize(
    ("path", "value", "result"),
    [
        (
            "chat_template_kwargs.enable_thinking",
            False,
            '{"model":"a","chat_template_kwargs":{"enable_thinking":false}}',
        ),
        ("top_p", 0.9, '{"model":"a","top_p":0.9}'),
        ("n", None, '{"model":"a","n":null}'),
        (r"a\.b", 1, '{"model":"a","a.b":1}'),
        ("model", "b", '{"model":"b"}'),
        ("l.0", 1, '{"model":"a","l":[1]}'),
        ("l.2", 1, '{"model":"a","l":[null,null,1]}'),
        ("l.-1", 1, '{"model":"a","l":[1]}'),
        ("l.1.x", 1, '{"model":"a","l":[null,{"x":1}]}'),
        ("l.-1.-1", 1, '{"model":"a","l":[[1]]}'),
        ("l.:1", 1, '{"model":"a","l":{"1":1}}'),
        ("l.:-1", 1, '{"model":"a","l":{"-1":1}}'),
        (r"l.\:1", 1, '{"model":"a","l":{":1":1}}'),
        ("l.1x", 1, '{"model":"a","l":{"1x":1}}'),
        ("l.+1", 1, '{"model":"a","l":{"+1":1}}'),
        ("l.1234567890", 1, '{"model":"a","l":{"1234567890":1}}'),
        ("l.\u0661", 1, '{"model":"a","l":{"\\u0661":1}}'),
        ("0", 1, '{"model":"a","0":1}'),
        ("-1", 1, '{"model":"a","-1":1}'),
        (r"\*\?\#\|\@\\\m", 1, '{"model":"a","*?#|@\\\\m":1}'),
        ("a b\n", 1, '{"model":"a","a b\\n":1}'),
    ],
)
def test_what_is_missing_is_made_at_the_end(path: str, value: Value, result: str) -> None:
    """The reference's measured table, and what follows from it."""
    assert changed('{"model":"a"}', path, value) == result


@pytest.mark.parametrize(
    ("text", "path", "result"),
    [
        ('{"model":"a","x":5}', "x.y", '{"model":"a","x":{"y":1}}'),
        ('{"x":null,"z":0}', "x.y.z", '{"x":{"y":{"z":1}},"z":0}'),
        ('{"x":"[]"}', "x.0", '{"x":[1]}'),
        ('{"t":7,"t":8}', "t", '{"t":1}'),
        ('{"t":{},"t":{}}', "t.x", '{"t":{"x":1},"t":{}}'),
        (r'{"\u0074":7}', "t", r'{"\u0074":1}'),
        (r'{"\ud800":7}', "t", r'{"\ud800":7,"t":1}'),
        ('{"o":{"p":1.0,"q":[ ]}}', "o.q", '{"o":{"p":1.0,"q":1}}'),
        ('{"o":{"7":0}}', "o.7", '{"o":{"7":1}}'),
        ('{"o":{"-1":0}}', "o.-1", '{"o":{"-1":1}}'),
        ('{"l":[0, 2 ,3]}', "l.1", '{"l":[0, 1 ,3]}'),
        ('{"l":[0, 2]}', "l.-1", '{"l":[0, 2,1]}'),
        ('{"l":[0]}', "l.3", '{"l":[0,null,null,1]}'),
        ('{"l":[ ]}', "l.0", '{"l":[1 ]}'),
        ('{"l":[{"a":0},5]}', "l.0.a", '{"l":[{"a":1},5]}'),
        ('{"l":[{"a":0},5]}', "l.1.a", '{"l":[{"a":0},{"a":1}]}'),
        ('{"l":[0]}', "l.-1.a", '{"l":[0,{"a":1}]}'),
        (" {} ", "a", ' {"a":1} '),
        ("{ }", "a", '{"a":1 }'),
        ('{\n  "b": 2\n}\n', "a", '{\n  "b": 2,"a":1\n}\n'),
        ('{"b":1E2,"s":"\\u00e4\u00e4"}', "a", '{"b":1E2,"s":"\\u00e4\u00e4","a":1}'),
    ],
)
def test_what_is_there_is_changed_where_it_stands(text: str, path: str, result: str) -> None:
    """All else of a request is the client's own text, and stays that."""
    assert changed(text, path, 1) == result


@pytest.mark.parametrize(
    ("text", "path", "result"),
    [
        ('{"model":"a"}', "missing", '{"model":"a"}'),
        ('{"t":1,"t":2}', "t", "{}"),
        ('{"o":{"p":1,"q":2}}', "o.p", '{"o":{"q":2}}'),
        ('{"o":{"p":1}}', "o.p", '{"o":{}}'),
        ('{"o":{"p":1}}', "o", "{}"),
        ('{"o":{"p":1}}', "o.q", '{"o":{"p":1}}'),
        ('{"o":{"p":1}}', "o.p.q", '{"o":{"p":1}}'),
        ('{"o":{"p":1}}', "q.p", '{"o":{"p":1}}'),
        ('{"o.p":1,"o":2}', r"o\.p", '{"o":2}'),
        ('{"l":[0,1,2]}', "l.1", '{"l":[0,2]}'),
        ('{"l":[0,1,2]}', "l.-1", '{"l":[0,1]}'),
        ('{"l":[0,1,2]}', "l.3", '{"l":[0,1,2]}'),
        ('{"l":[0,1,2]}', "l.x", '{"l":[0,1,2]}'),
        ('{"l":[0,1,2]}', "l.:1", '{"l":[0,1,2]}'),
        ('{"l":[]}', "l.-1", '{"l":[]}'),
        ('{"l":[[7]]}', "l.-1.0", '{"l":[[7]]}'),
        ('{ "a" : 1 , "b" : 2 }', "a", '{ "b" : 2 }'),
        ('{ "a" : 1 , "b" : 2 }', "b", '{ "a" : 1  }'),
        ('{\n  "a": 1,\n  "b": 2\n}', "b", '{\n  "a": 1\n}'),
    ],
)
def test_only_what_a_path_leads_to_is_deleted(text: str, path: str, result: str) -> None:
    """A comma too many, or a second member gone, and the model answers something else."""
    assert without(text, path) == result


@pytest.mark.parametrize(
    "path",
    [
        *("", ".", "a.", ".a", "a..b", ":", "a.:", "\\", "a\\"),
        *("x*", "*", "a?", "l.#", "l.#.x", "a|b", "@this", "a.@x", "a.b*c"),
        *("l.x", "l.:0", f"l.{MOST_PADDING + 4}", f"new.{MOST_PADDING + 1}"),
        *("l.999999999", "new.a.999999999.b"),
    ],
)
def test_a_path_that_leads_nowhere_changes_nothing(path: str) -> None:
    """A slip in the configuration must not make every request an error, or a gigabyte long."""
    text = '{"a":{"b":1},"x*":1,"l":[0,1,2],"":1}'
    assert changed(text, path, 5) == text
    assert without(text, path) == text


def test_a_list_can_be_padded_up_to_the_bound() -> None:
    """The bound is for mistakes, not for lists."""
    text = changed('{"l":[0]}', f"l.{MOST_PADDING + 1}", 1)
    assert json.loads(text)["l"] == [0, *[None] * MOST_PADDING, 1]
    text = changed("{}", f"l.{MOST_PADDING}", 1)
    assert json.loads(text)["l"] == [*[None] * MOST_PADDING, 1]


def test_a_path_is_taken_apart_once() -> None:
    """What a part means in a list and what it means in an object are both needed."""
    assert steps_of(r"a.7.:7.-1.x\.y") == (
        Step("a", None),
        Step("7", 7),
        Step("7", None),
        Step("-1", -1),
        Step("x.y", None),
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (0.7, "0.7"),
        (1000.0, "1000"),
        (1e300, "1e+300"),
        (2**64 - 1, "18446744073709551615"),
        (math.inf, "null"),
        ({"a": [math.nan, 1.0, -2.5]}, '{"a":[null,1,-2.5]}'),
        ({"b": 1, "a": {"x": [True, None]}}, '{"b":1,"a":{"x":[true,null]}}'),
        ('"\\\n', r'"\"\\\n"'),
        ("\u00e4\U0001f600", r'"\u00e4\ud83d\ude00"'),
        ("\ud800", r'"\ud800"'),
        ({"\udc00": "\udc00"}, r'{"\udc00":"\udc00"}'),
        ([], "[]"),
        ({}, "{}"),
    ],
)
def test_any_value_of_a_configuration_becomes_json(value: Value, text: str) -> None:
    """Half a surrogate pair cannot be sent, and infinity is a word that most readers refuse."""
    assert changed("{}", "x", value) == f'{{"x":{text}}}'


def test_changes_see_what_the_ones_before_them_left() -> None:
    """A configuration sets several parts of one object."""
    document = Document('{"o":{"keep":1.0}}')
    document.set("o.a", 1)
    document.set("n.a", {"deep": [1]})
    document.set("n.a.deep.-1", 2)
    document.delete("o.keep")
    document.set("o.b", 2)
    document.delete("n.a.deep.0")
    assert document.render() == '{"o":{"a":1,"b":2},"n":{"a":{"deep":[2]}}}'
    document.set("o", 3)
    document.set("n.a", {"deep": [2]})
    assert document.render() == '{"o":3,"n":{"a":{"deep":[2]}}}'


def test_setting_what_is_there_already_is_no_change() -> None:
    """A request that needs no change keeps its bytes."""
    document = Document('{"a":1,"o":{"b":[true]}}')
    document.set("a", 1)
    document.set("o.b.0", True)
    document.set("o", {"b": [True]})
    assert not document.changed


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('{"k":0' + ',"k":0' * MOST_VALUES + "}", "k"),
        ('{"l":[0' + ",0" * MOST_VALUES + "]}", "l.0"),
    ],
)
def test_taking_apart_what_has_countless_values_is_refused(text: str, path: str) -> None:
    """It would hold up everybody; next to the path it does not matter."""
    with pytest.raises(BadBody, match="has more than 20000 values"):
        Document(text).set(path, 1)
    assert changed(f'{{"model":"a","x":{text}}}', "model", "b") == f'{{"model":"b","x":{text}}}'


def test_what_is_too_deep_is_refused_in_a_sentence() -> None:
    """A body that was just shallow enough to be read may not be here."""
    with pytest.raises(BadBody, match="nested too deeply"):
        Document('{"a":' + "[" * 100_000 + "]" * 100_000 + "}")


@given(different_members.filter(len), gaps, gaps, gaps, values, st.data())
@settings(max_examples=200, deadline=None)
def test_every_other_member_keeps_its_text(
    members: list[Member], before: str, last: str, after: str, value: Any, data: st.DataObject
) -> None:
    """Rule 1: a client's 1.0 stays 1.0, and its escapes and white space stay where they are."""
    at = data.draw(st.integers(0, len(members) - 1))
    members[-1] = attrs.evolve(members[-1], after=last)

    def written(members: Sequence[Member]) -> str:
        return f"{before}{{{','.join(map(str, members))}}}{after}"

    text = written(members)
    path = quoted(members[at].key)
    there = changed("{}", "x", value).removeprefix('{"x":').removesuffix("}")
    new = [*members[:at], attrs.evolve(members[at], value=there), *members[at + 1 :]]
    assert changed(text, path, value) == written(new)
    rest = [*members[:at], *members[at + 1 :]]
    if at < len(rest):
        assert without(text, path) == written(rest)
    else:
        assert without(text, path) == f"{before}{{{','.join(map(str, rest))}{last}}}{after}"


@given(objects, st.lists(names, min_size=1, max_size=4), values, st.booleans())
@settings(max_examples=500, deadline=None)
def test_the_result_says_what_was_asked_for(
    content: Any, path: list[str], value: Any, deleting: bool
) -> None:
    """The same, done to a tree of values, is what must be read from the text."""
    text = json.dumps(content)
    spelled = ".".join(name if name in ("7", "0", "-1") else quoted(name) for name in path)
    expected = copy.deepcopy(content)
    if deleting:
        delete_from(expected, path)
        assert json.loads(without(text, spelled)) == expected
    else:
        set_in(expected, path, value)
        assert json.loads(changed(text, spelled, value)) == expected


def set_in(tree: Any, path: Sequence[str], value: Any) -> None:
    """Set a value in a tree, without a thought for its text."""
    name, *rest = path
    key: Any = name
    if isinstance(tree, list):
        if name not in ("7", "0", "-1"):
            return
        key = len(tree) if name == "-1" else int(name)
        tree += [None] * (key + 1 - len(tree))
    elif name not in tree:
        tree[name] = None
    if not rest:
        tree[key] = value
        return
    if not isinstance(tree[key], dict | list):
        tree[key] = [] if rest[0] in ("7", "0", "-1") else {}
    set_in(tree[key], rest, value)


def delete_from(tree: Any, path: Sequence[str]) -> None:
    """Delete a value from a tree, without a thought for its text."""
    name, *rest = path
    key: Any = name
    if isinstance(tree, list):
        if name not in ("7", "0", "-1") or (rest and name == "-1"):
            return
        key = int(name)
        if key >= len(tree) or not tree:
            return
    elif not isinstance(tree, dict) or name not in tree:
        return
    if rest:
        delete_from(tree[key], rest)
    else:
        del tree[key]
