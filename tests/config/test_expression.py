"""Expressions of the matrix: reading them, their order, and what fits into them."""

import itertools
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swapd.config.expression import (
    DEEPEST,
    All,
    Either,
    Expression,
    Leaf,
    Node,
    TooHard,
    can_contain,
    compile_sets,
)
from swapd.ids import ModelId

Family = list[frozenset[str]]


def anything(name: str) -> ModelId | None:
    """Take every name for a model's, except those that begin with `no`."""
    return None if name.startswith("no") else ModelId(name)


def compiled(**sets: str) -> tuple[Expression, ...]:
    """Compile sets that have no flaw."""
    expressions, flaws = compile_sets(sets, anything)
    assert flaws == ()
    return expressions


def family(text: str, **others: str) -> Family:
    """Write out what an expression stands for."""
    found = {one.name: one for one in compiled(it=text, **others)}
    return written_out(found["it"].node)


def written_out(node: Node) -> Family:
    """Write out what nodes stand for, left operands outermost; for small ones only."""
    match node:
        case Leaf(model):
            return [frozenset([model])]
        case Either(parts):
            return [one for part in parts for one in written_out(part)]
        case All(parts):
            choices = itertools.product(*(written_out(part) for part in parts))
            return [frozenset().union(*choice) for choice in choices]


def sets(*models: str) -> Family:
    """Spell sets of models with one letter each."""
    return [frozenset(one) for one in models]


def flaws(**texts: str) -> list[tuple[str, str]]:
    """Compile sets that have flaws."""
    expressions, found = compile_sets(texts, anything)
    assert expressions == ()
    return [(flaw.name, flaw.message) for flaw in found]


def fits(text: str, *models: str, **others: str) -> bool:
    """Say whether models fit into a set, or into one of several."""
    return can_contain(compiled(it=text, **others), frozenset(map(ModelId, models)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a", sets("a"), id="R105"),
        pytest.param("a & b", sets("ab"), id="R106"),
        pytest.param("a | b | c", sets("a", "b", "c"), id="R107"),
        pytest.param("(a | b) & (c | d)", sets("ac", "ad", "bc", "bd"), id="R108"),
        pytest.param("a | b & c", sets("a", "bc"), id="R109"),  # & binds tighter
        ("a & b | c", sets("ab", "c")),
        ("a & (b | c)", sets("ab", "ac")),
        ("a & b & c", sets("abc")),
        pytest.param("a & a", sets("a"), id="R110"),
        pytest.param("((a))", sets("a"), id="R123"),
        ("a&b|c&d", sets("ab", "cd")),
        (" \t\na\u2003 &\u00a0b ", sets("ab")),
        ("(a|(b&(c|d)))", sets("a", "bc", "bd")),
    ],
)
def test_and_joins_and_or_offers(text: str, expected: Family) -> None:
    """Rule 1; the order of alternatives breaks ties between them."""
    assert family(text) == expected


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("abc", id="R100"),
        pytest.param("model-name.v2", id="R101"),
        pytest.param("modèle", id="R124"),
        *("a", "-", ".", "_x", "7", "模型", "٣"),
    ],
)
def test_a_name_is_letters_digits_and_a_few_signs(name: str) -> None:
    """Other ids are given through vars."""
    assert written_out(compiled(it=f"{name}&x")[0].node) == [frozenset([name, "x"])]


LLMS = {"llms": "g | q | m", "tts": "+llms & v"}


@pytest.mark.parametrize(
    ("text", "others", "expected"),
    [
        pytest.param("(a | +base) & b", {"base": "c | d"}, sets("ab", "cb", "db"), id="R102"),
        pytest.param("+tts & e", LLMS, sets("gve", "qve", "mve"), id="R111"),
        ("a|+llms", LLMS, sets("a", "g", "q", "m")),
        ("(+llms)&+llms", {"llms": "g|q"}, sets("g", "gq", "qg", "q")),
    ],
)
def test_a_reference_stands_for_the_expression_of_that_name(
    text: str, others: Mapping[str, str], expected: Family
) -> None:
    """Sets are built from others; as one operand, whatever their own operators."""
    assert family(text, **others) == expected


def test_a_set_and_a_model_may_share_a_name() -> None:
    """The plus says which is meant."""
    assert family("+a & a", a="b") == sets("ab")


def test_a_name_means_what_the_caller_says() -> None:
    """A var stands for a model."""
    (found,), _ = compile_sets({"s": "g & v"}, lambda name: ModelId(f"model/{name}"))

    assert written_out(found.node) == [frozenset(["model/g", "model/v"])]


def test_an_expression_remembers_how_it_was_written() -> None:
    """The log shows it when a model is unloaded for it."""
    (found,) = compiled(it="  a   &b ")

    assert (found.name, found.text) == ("it", "a   &b")
    assert found == Expression("it", "a   &b", Leaf(ModelId("other")))


def test_what_is_referred_to_goes_first() -> None:
    """R149: otherwise the order stays, which breaks ties between sets."""
    assert [one.name for one in compiled(z="a", top="+mid|+base", base="b", mid="+base")] == [
        *("z", "base", "mid", "top")
    ]
    assert [one.name for one in compiled(b="x", a="y", c="z")] == ["b", "a", "c"]
    assert [one.name for one in compiled(a="+c", b="x", c="y")] == ["c", "a", "b"]
    assert [one.name for one in compiled(a="+d & +c", c="x", d="y")] == ["d", "c", "a"]


def test_expressions_are_shared_not_copied() -> None:
    """Rule 2: twenty doublings would be a million nodes."""
    doubled = {f"s{n}": f"+s{n - 1} & +s{n - 1} | +s{n - 1}" for n in range(1, 200)}

    found = compiled(s0="a | b", **doubled)

    assert can_contain(found, frozenset([ModelId("a"), ModelId("b")]))
    assert not can_contain(found, frozenset([ModelId("a"), ModelId("c")]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "empty expression", id="R113-ours"),
        pytest.param(" \t", "empty expression", id="R113-blank-ours"),
        pytest.param("(a", "missing closing parenthesis", id="R114"),
        ("(a b)", "missing closing parenthesis"),
        ("((a)", "missing closing parenthesis"),
        pytest.param("a)", 'unexpected ")" after the expression', id="R115-ours"),
        pytest.param("a b", 'unexpected "b" after the expression', id="R121-two-ours"),
        ("a (b)", 'unexpected "(" after the expression'),
        ("a +b", 'unexpected "b" after the expression'),
        pytest.param("()", 'unexpected ")"', id="R115-nothing-ours"),
        pytest.param("a && b", 'unexpected "&"', id="R121-ours"),
        ("a || b", 'unexpected "|"'),
        pytest.param("| a", 'unexpected "|"', id="R121-start-ours"),
        ("a & | b", 'unexpected "|"'),
        pytest.param("a &", "unexpected end", id="R121-end-ours"),
        ("(", "unexpected end"),
        pytest.param("+", "a set's name must follow + at position 1", id="R103-ours"),
        ("a & + b", "a set's name must follow + at position 5"),
        pytest.param("+ a", "a set's name must follow + at position 1", id="R120-ours"),
        ("++a", "a set's name must follow + at position 1"),
        pytest.param("a @ b", 'unexpected character "@" at position 2', id="R104"),
        pytest.param("a:b", 'unexpected character ":" at position 1', id="R122-ours"),
        ("  a:b", 'unexpected character ":" at position 1'),  # of the trimmed text
        ("!a", 'unexpected character "!" at position 0'),
        ("é\N{GRINNING FACE}", 'unexpected character "\N{GRINNING FACE}" at position 1'),
        ('a"', 'unexpected character "\\"" at position 1'),
        pytest.param("nobody", 'unknown var or model "nobody"', id="R116"),
        ("a & (b | nobody)", 'unknown var or model "nobody"'),
        pytest.param("+gone", 'there is no set "gone"', id="R117-ours"),
        pytest.param("+it", 'circular reference: "it" contains itself', id="R119-ours"),
    ],
)
def test_a_flaw_says_what_and_where(text: str, message: str) -> None:
    """The operator has one line of text and one line about it."""
    assert flaws(it=text) == [("it", message)]


def test_all_flaws_are_told_at_once() -> None:
    """Each with its set; a set that is not understood is there all the same."""
    assert flaws(ok="a", one="a &", two="+one | +ok | +gone | +gone", three="nobody") == [
        ("one", "unexpected end"),
        ("three", 'unknown var or model "nobody"'),
        ("two", 'there is no set "gone"'),
    ]


@pytest.mark.parametrize(
    "texts",
    [
        pytest.param({"a": "+b", "b": "+a"}, id="R118"),
        {"x": "m", "a": "m & +x & +b", "b": "+c | m", "c": "(+x | +a)"},
        {"d": "+a", "a": "+b", "b": "+c", "c": "+a", "e": "+d"},
    ],
)
def test_a_circle_names_one_of_it(texts: dict[str, str]) -> None:
    """Not one that only leads into it."""
    ((name, message),) = flaws(**texts)

    assert name in ("a", "b", "c")
    assert message == f'circular reference: "{name}" contains itself'


def test_no_sets_are_no_expressions() -> None:
    """That a matrix needs one is a rule of its own."""
    assert compile_sets({}, anything) == ((), ())
    assert not can_contain((), frozenset([ModelId("a")]))


@pytest.mark.parametrize("backwards", [False, True])
def test_a_chain_of_references_may_be_long(backwards: bool) -> None:
    """Rule 3: Python's own depth is a thousand; a file of a megabyte holds more sets."""
    chain = [("s0", "m0"), *((f"s{n}", f"+s{n - 1} & m{n}") for n in range(1, 3000))]
    if backwards:
        chain.reverse()

    found = compiled(**dict(chain))

    assert [one.name for one in found] == [f"s{n}" for n in range(3000)]
    assert can_contain(found, frozenset(ModelId(f"m{n}") for n in (0, 1500, 2999)))
    assert not can_contain(found, frozenset([ModelId("m0"), ModelId("other")]))


def test_a_long_circle_is_found() -> None:
    """Rule 3: with no more depth than a short one."""
    circle = {f"s{n}": f"+s{(n + 1) % 3000}" for n in range(3000)}

    ((name, message),) = flaws(**circle)

    assert name in circle
    assert "circular" in message


def test_parentheses_may_be_deep_and_no_deeper() -> None:
    """Rule 3: a bound in words, rather than Python's."""
    deep, deeper = DEEPEST, DEEPEST + 1

    assert family("(" * deep + "a" + ")" * deep) == sets("a")
    told = [("it", f"parentheses deeper than {DEEPEST}")]
    assert flaws(it="(" * deeper + "a" + ")" * deeper) == told
    assert flaws(it="(" * 100_000) == told
    assert len(family("|".join(["(a)"] * 1000))) == 1000


@pytest.mark.parametrize("sign", ["&", "|"])
def test_an_expression_may_be_long(sign: str) -> None:
    """Rule 3: breadth costs no depth."""
    text = sign.join(f"m{n}" for n in range(4000))

    assert fits(text, "m0")
    assert fits(text, "m0", "m3999") == (sign == "&")


@pytest.mark.parametrize("text", ["a b " * 20_000, "&" * 100_000, "+" * 100_000, ")" * 100_000])
def test_nonsense_ends_soon(text: str) -> None:
    """Rule 3: and with one line, however long it is."""
    ((_, message),) = flaws(it=text)

    assert len(message) < 200


def test_models_fit_if_one_set_has_them_all() -> None:
    """The targets of a spillover must be able to run at once."""
    assert fits("a & b | c", "a", "b")
    assert fits("a & b | c", "a")
    assert fits("a & b | c")
    assert not fits("a & b | c", "a", "c")
    assert not fits("a & b | c", "d")
    assert fits("a", "c", "d", other="c & d")
    assert not fits("a & b", "a", "c", other="b & c")  # two sets together are none
    assert fits("+base & c", "a", "c", base="a | b")
    assert not fits("+base & c", "a", "b", base="a | b")
    assert fits("(a | b) & (a | b)", "a", "b")


def test_a_million_sets_are_never_written_out() -> None:
    """Rule 2, R152: six groups of ten alternatives, and 70 models at once."""
    groups = " & ".join(
        f"({' | '.join(f'm{group}-{one}' for one in range(10))})" for group in range(6)
    )
    wanted = [f"m{group}-9" for group in range(6)]

    assert fits(f"t & {groups}", "t", *wanted)
    assert not fits(f"t & {groups}", "t", *wanted, "m0-8")
    many = [f"m{n}" for n in range(70)]
    assert fits(" & ".join(many), *many)
    assert not fits(" & ".join(many[1:]), *many)


def test_a_question_that_is_too_hard_is_refused() -> None:
    """Rather than to take minutes: of all pairs of two groups none is larger than another."""
    text = " & ".join(f"({' | '.join(f'm{n}-{k}' for k in range(20))})" for n in range(4))

    with pytest.raises(TooHard):
        fits(text, "other", *(f"m{n}-{k}" for n in range(4) for k in range(20)))


# An expression and what it stands for, written out beside it.
Random = tuple[str, Family]


def joined(parts: list[Random]) -> Random:
    """Join with `&`; what binds less stands in parentheses."""
    choices = itertools.product(*(of for _, of in parts))
    text = " & ".join(f"({text})" if "|" in text else text for text, _ in parts)
    return text, [frozenset().union(*choice) for choice in choices]


def offered(parts: list[Random]) -> Random:
    """Join with `|`, which needs no parentheses around anything."""
    return "|".join(text for text, _ in parts), [one for _, of in parts for one in of]


LEAVES = st.sampled_from("abcdef").map(lambda name: (name, [frozenset(name)]))
EXPRESSIONS: st.SearchStrategy[Random] = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, min_size=2, max_size=3).map(joined)
        | st.lists(inner, min_size=2, max_size=3).map(offered)
        | inner.map(lambda one: (f"( {one[0]})", one[1]))
    ),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(EXPRESSIONS)
def test_reading_gives_what_was_written(random: Random) -> None:
    """Rule 1, for expressions of any shape."""
    text, expected = random

    assert family(text) == expected


@settings(max_examples=100, deadline=None)
@given(EXPRESSIONS, EXPRESSIONS, st.sets(st.sampled_from("abcdefg"), max_size=4))
def test_looking_is_as_good_as_writing_out(one: Random, two: Random, models: set[str]) -> None:
    """Rule 2: what is left out on the way changes no answer."""
    texts: Mapping[str, str] = {"one": one[0], "two": f"+one & ({two[0]})"}
    expected = [*one[1], *(left | right for left in one[1] for right in two[1])]

    found = can_contain(compiled(**texts), frozenset(map(ModelId, models)))

    assert found == any(models <= choice for choice in expected)


@settings(max_examples=100, deadline=None)
@given(st.text() | st.text(alphabet="ab&|()+ -.no"), st.text(alphabet="ab&|()+ ", max_size=5))
def test_every_text_is_understood_or_has_a_flaw(one: str, two: str) -> None:
    """Rule 3: never a traceback, and never neither."""
    texts = {"a": one, "b": two}

    found, wrong = compile_sets(texts, anything)

    assert bool(found) != bool(wrong)
    assert {flaw.name for flaw in wrong} <= set(texts)
    assert all(flaw.message for flaw in wrong)
    assert found == () or {one.name for one in found} == set(texts)
    can_contain(found, frozenset([ModelId("a"), ModelId("b")]))
