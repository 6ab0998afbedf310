"""What macros may be called and stand for, and filling them in."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapd.config.macros import (
    LONGEST_TEXT,
    Macro,
    Macros,
    TooLong,
    declared,
    substitute,
    unknown,
)
from swapd.config.values import Value


@pytest.mark.parametrize(
    ("macros", "text", "filled"),
    [
        pytest.param([("A", "a"), ("B", "${A}-b")], "${B}", "a-b", id="C139"),
        pytest.param([("A", "v-${B}"), ("B", "x")], "${A}", "v-${B}", id="C143"),
        pytest.param([("A", "x${B}"), ("B", "y${A}")], "${B}", "yx${B}", id="C144"),
        pytest.param([("A", 5), ("B", "${A}")], "${B}", 5, id="C150"),
        pytest.param([("A", 0.7), ("B", True)], "${A} ${B}", "0.7 true", id="C150-text"),
        pytest.param([("T", 5)], "${T}0", "50", id="C182"),
        pytest.param([("KEY", "k")], {"${KEY}": ["${KEY}"]}, {"${KEY}": ["k"]}, id="C157"),
        pytest.param([("a", 1)], "${A}$${a}", "${A}$1", id="case"),
    ],
)
def test_a_macro_may_speak_of_those_before_it(
    macros: list[tuple[str, Any]], text: Any, filled: Any
) -> None:
    """Each is filled in once, the last first; so nothing runs in circles."""
    assert substitute(text, Macros(Macro(*macro) for macro in macros)) == filled


@pytest.mark.parametrize(
    ("block", "says"),
    [
        pytest.param({"a.b": 1}, "invalid characters", id="C134"),
        pytest.param({"": 1}, "invalid characters", id="empty"),
        pytest.param({"n" * 64: 1}, "not be longer than 63 characters", id="C135"),
        pytest.param({"A": None}, "must be text, a number or a boolean, not null", id="C136-null"),
        pytest.param({"A": [1]}, "not a list", id="C136-list"),
        pytest.param({"A": "v-${A}"}, "cannot contain itself", id="C138"),
        pytest.param({"PORT": 1}, "the macro name PORT is reserved", id="C131"),
        pytest.param([1], "expected a mapping, got a list", id="C184"),
    ],
)
def test_a_declaration_that_cannot_be_used_is_refused(block: Value, says: str) -> None:
    """Whoever uses the macro later should not have to guess why nothing happens."""
    macros, (problem,) = declared(block, ("macros",))

    assert macros == ()
    assert says in problem.message


def test_what_is_declared_keeps_its_order_and_type() -> None:
    """C137: later ones may speak of earlier ones."""
    macros, problems = declared({"n" * 63: 1, "b": True, "a": "${b}", "x-y_Z": 0.5}, ("macros",))

    assert problems == ()
    assert [macro.name for macro in macros] == ["n" * 63, "b", "a", "x-y_Z"]
    assert [macro.value for macro in macros] == [1, True, "${b}", 0.5]


def test_nothing_declares_nothing() -> None:
    """C280: a block whose lines are all commented out."""
    assert declared(None, ("macros",)) == ((), ())


def test_a_namesake_is_replaced_where_it_stands() -> None:
    """C148: it can speak of what came before the common one, and of nothing later."""
    common = Macros([Macro("a", "common"), Macro("b", "${a}"), Macro("c", 3)])
    found = Macros([Macro("d", "${c}"), Macro("a", "${MODEL_ID} ${b}")], over=common)

    assert substitute("${b} ${d}", found) == "${MODEL_ID} ${b} 3"
    assert substitute("${a}", common) == "common"


def test_the_first_of_all_may_be_spoken_of_by_all() -> None:
    """C109, C141: the model's id; whatever it looks like, it is filled in last."""
    found = Macros(over=Macros([Macro("a", "-${ID}-")]), first=Macro("ID", "${a}"))

    assert substitute("${a}", found) == "-${a}-"


def test_whatever_is_left_is_told_with_its_path() -> None:
    """Each once a text, except what is known there; keys are nobody's business."""
    value: Value = {"k": ["${A} ${A} ${PID}", 5, "${B}"], "${KEY}": "${PORT}"}
    left = unknown(value, (), Macros([Macro("B", 1)]), known=frozenset(["PID"]))

    assert [(problem.path, problem.message) for problem in left] == [
        (("k", 0), "unknown macro ${A}"),
        (("k", 2), "unknown macro ${B}: a macro can use only those declared before it"),
        (
            ("${KEY}",),
            "unknown macro ${PORT}: it is known inside a model whose cmd uses ${PORT}",
        ),
    ]


def test_a_text_does_not_grow_without_end() -> None:
    """Twenty macros, each of ten of the one before, would be more than any memory holds."""
    macros = [Macro("m0", "x" * 10)]
    for number in range(1, 20):
        macros.append(Macro(f"m{number}", f"${{m{number - 1}}}" * 10))

    with pytest.raises(TooLong, match=str(LONGEST_TEXT)):
        substitute("${m19}", Macros(macros))


NAMES = st.sampled_from("abcd")


@given(
    st.lists(st.tuples(NAMES, st.text("abcd${}-", max_size=8) | st.integers(0, 9)), max_size=4),
    st.lists(st.tuples(NAMES, st.text("abcd${}-", max_size=8) | st.integers(0, 9)), max_size=4),
    st.lists(st.one_of(NAMES.map("${{{}}}".format), st.sampled_from("-$a{}")), max_size=5),
)
def test_filling_in_is_walking_from_the_last_to_the_first(
    common: list[tuple[str, Any]], own: list[tuple[str, Any]], pieces: list[str]
) -> None:
    """Rule 1, written out: every macro once, in an order that never turns."""
    order: dict[str, Any] = {}
    for name, value in [*common, *own]:
        order[name] = value
    text = "".join(pieces)
    expected: Any = text
    for name, value in reversed(order.items()):
        if isinstance(expected, str):
            reference = f"${{{name}}}"
            whole = expected == reference
            expected = value if whole else expected.replace(reference, str(value))
    below = Macros(Macro(name, value) for name, value in common)
    found = Macros((Macro(name, value) for name, value in own), over=below)

    assert substitute(text, found) == expected
