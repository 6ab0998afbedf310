"""Values of environment variables in the text of a file."""

import re
import time
import tracemalloc

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from swapd.config.environment import LINE_END, LONGEST, Flaw, TooLong, fill_in
from swapd.config.nodes import Spot
from swapd.config.source import parse

MARK = "\N{SNOWMAN}"

# All ends that YAML knows, and references that come close to being one.
PIECES = (
    *("a", "key: ", "- ", "\t", " ", "é", "\N{GRINNING FACE}", "'", '"', "#", "$", "${env.}"),
    *("${env.GONE}", "${A}", "\n", "\r\n", "\r", "\x85", "\u2028", "\u2029", "\n\n", "\r\r\n"),
)
VALUES = st.text(st.characters(exclude_characters="\n\r\x85\u2028\u2029\0" + MARK), max_size=12)


def only_flaw(text: str, environ: dict[str, str]) -> str:
    """Fill in a text with one flaw, and see that nothing was put into it."""
    filled = fill_in(text, environ)
    (flaw,) = filled.flaws
    assert filled.text == text
    return flaw.message


def spot_in(text: str, position: int) -> Spot:
    """Count lines and columns, in the plainest way."""
    lines = LINE_END.split(text[:position])
    return len(lines), len(lines[-1]) + 1


def test_a_reference_may_stand_anywhere() -> None:
    """C118: a port without quotes, a key, an element of a list and the middle of a word."""
    text = "${env.K}: ${env.P}\nl: [${env.P}, x${env.K}y]\n"

    assert fill_in(text, {"K": "k", "P": "6000"}).text == "k: 6000\nl: [6000, xky]\n"


def test_a_backslash_and_a_double_quote_are_escaped_and_nothing_else() -> None:
    """Rule 1: in YAML's double quotes the value comes out as it was (C111, C112)."""
    value = "a\\b\"c'd: #{}[]\t%&*!|>é"

    filled = fill_in("${env.X}", {"X": value})

    assert filled.text == "a\\\\b\\\"c'd: #{}[]\t%&*!|>é"
    assert parse('v: "${env.X}"', file="f.yaml", environ={"X": value}).tree == {"v": value}


@pytest.mark.parametrize("character", ["\n", "\r", "\0", "\x85", "\u2028", "\u2029"])
def test_a_value_of_several_lines_is_refused(character: str) -> None:
    """Rule 1: it would end the line that it stands in, and begin another key."""
    value = f"a{character}admin: true"

    for environ in ({"X": value}, {"X": "${env.Y}", "Y": value}):
        message = only_flaw("v: ${env.X}", environ)
        assert "newlines" in message
        assert f"environment variable {list(environ)[-1]} " in message


def test_an_empty_value_is_a_value() -> None:
    """Somebody has set it so; only who has not set it at all has forgotten it."""
    filled = fill_in("a${env.X}b", {"X": ""})

    assert filled.text == "ab"
    assert filled.flaws == ()


def test_a_reference_within_a_value_is_filled_in_once() -> None:
    """Rule 2: a path made of another is usual; its value is escaped as any other."""
    environ = {"DIR": "${env.ROOT}/${env.NAME}", "ROOT": "/r", "NAME": 'a"b'}

    assert fill_in("x ${env.DIR}", environ).text == 'x /r/a\\"b'


@pytest.mark.parametrize(
    "environ", [{"A": "${env.B}", "B": "${env.C}", "C": ""}, {"A": "${env.A}"}]
)
def test_a_reference_within_that_is_a_mistake(environ: dict[str, str]) -> None:
    """Rule 2: so that nothing runs in circles."""
    assert "speaks of others" in only_flaw("${env.A}", environ)


def test_an_unset_variable_within_a_value_names_both() -> None:
    """The file does not name the one that is missing; where else would they look?"""
    assert only_flaw("${env.A}", {"A": "x${env.B}"}) == (
        "environment variable B is not set, which the value of A speaks of"
    )


def test_what_cannot_be_filled_in_stays_and_is_told() -> None:
    """Rule 3: it may stand in a comment; who reads the YAML asks about what is left."""
    filled = fill_in("a: ${env.HERE}\n# ${env.GONE} ${env.HERE}\n", {"HERE": "x"})

    assert filled.text == "a: x\n# ${env.GONE} x\n"
    assert filled.flaws == (Flaw("environment variable GONE is not set", (2, 3)),)
    assert list(filled.left_in("x")) == []
    assert list(filled.left_in("${env.GONE} ${env.GONE}")) == [
        "environment variable GONE is not set"
    ]


def test_why_a_reference_is_left_is_remembered() -> None:
    """The mistake is told at the value, in words that fit it."""
    filled = fill_in("${env.A} ${env.B}", {"A": "x\ny"})

    newlines, unset = filled.left_in("${env.A} ${env.B}")

    assert "A contains newlines" in newlines
    assert "B is not set" in unset


def test_what_only_looks_like_a_reference_afterwards_is_a_mistake() -> None:
    """Two halves from different places: it was never filled in, and must not reach a command."""
    filled = fill_in("${env.HALF}v.X}", {"HALF": "${en", "X": "x"})

    assert filled.text == "${env.X}"
    assert len(list(filled.left_in(filled.text))) == 1


@pytest.mark.parametrize(
    "text", ["${env.1X}", "${env.}", "${env.A-B}", "${env.A", "$env.A", "${ env.A}", "${ENV.A}"]
)
def test_what_is_no_reference_is_left_alone(text: str) -> None:
    """C120: it belongs to whatever the command starts."""
    filled = fill_in(text, {"A": "x", "X": "x", "1X": "x", "A-B": "x"})

    assert (filled.text, filled.flaws, list(filled.left_in(text))) == (text, (), [])


def test_names_are_letters_digits_and_underscores() -> None:
    """In any case, and not only those that shells write."""
    assert fill_in("${env._a1_B}", {"_a1_B": "x"}).text == "x"
    assert only_flaw("${env.path}", {"PATH": "x"}) == "environment variable path is not set"


def test_a_text_that_grows_too_long_is_refused() -> None:
    """A hundred kilobytes, a thousand times: that is no configuration any more."""
    value = "x" * 100_000
    most = LONGEST // len(value)

    assert len(fill_in("${env.X}" * most, {"X": value}).text) == LONGEST
    with pytest.raises(TooLong):
        fill_in("${env.X}" * (most + 1), {"X": value})


def test_values_within_values_are_bounded_as_well() -> None:
    """Two variables of 100 kB each come to a gigabyte; it is refused before it is made."""
    environ = {"A": "${env.B}" * 1000, "B": "x" * 100_000}
    tracemalloc.start()
    try:
        with pytest.raises(TooLong):
            fill_in("${env.A}", environ)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10 * LONGEST


def test_places_before_inside_and_behind_an_insertion() -> None:
    """Rule 4: an operator looks into the file, where the value does not stand."""
    filled = fill_in(
        "a: ${env.X}, ${env.E}b ${env.Y}!\nc: d\n", {"X": "12", "E": "", "Y": "l" * 30}
    )

    assert filled.text.splitlines()[0] == f"a: 12, b {'l' * 30}!"
    for spot, original in (
        ((1, 1), (1, 1)),
        ((1, 3), (1, 3)),
        ((1, 4), (1, 4)),  # the 1 of 12: where its reference begins
        ((1, 5), (1, 4)),  # and so the 2
        ((1, 6), (1, 12)),  # the comma
        ((1, 8), (1, 22)),  # b, behind a reference to nothing
        ((1, 10), (1, 24)),
        ((1, 39), (1, 24)),
        ((1, 40), (1, 32)),  # the exclamation mark
        ((1, 41), (1, 33)),  # the end of the line
        ((2, 1), (2, 1)),
        ((2, 4), (2, 4)),
        ((9, 9), (9, 9)),
    ):
        assert filled.original(spot) == original


def test_a_line_of_many_references_is_read_soon() -> None:
    """Every value asks for its place; going through the whole line each time takes minutes."""
    count = 8000
    filled = fill_in("${env.X}," * count, {"X": "x"})

    began = time.process_time()
    found = [filled.original((1, 2 * number + 1)) for number in range(count)]
    took = time.process_time() - began

    assert found == [(1, 9 * number + 1) for number in range(count)]
    assert took < 0.5


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\x85", "\u2028", "\u2029"])
def test_every_line_end_of_yaml_counts(end: str) -> None:
    """Rule 4: a place one line off sends the operator to the wrong model."""
    text = f"# x{end}{end}a: ${{env.X}}{end}b: [${{env.X}}, ${{env.GONE}}]{end}"

    filled = fill_in(text, {"X": "value"})

    assert [flaw.spot for flaw in filled.flaws] == [(4, 15)]
    assert filled.original((4, 12)) == (4, 15)
    assert filled.original((3, 9)) == (3, 12)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_yaml_counts_the_same_lines(end: str) -> None:
    """Both must mean the same by a line, or places would be off by the blank ones."""
    text = end.join(["# ${env.X}", "", "a: [${env.X}, ${env.X}, b]", "c: ${env.X}", "d: e"])

    source = parse(text, file="f.yaml", environ={"X": "value"})

    assert source.tree == {"a": ["value", "value", "b"], "c": "value", "d": "e"}
    assert [str(source.where(("a", position))) for position in range(3)] == [
        *("f.yaml:3:5", "f.yaml:3:15", "f.yaml:3:25")
    ]
    assert str(source.where(("d",))) == "f.yaml:5:4"


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([*PIECES, *["${env.A}", "${env.B}", MARK] * 4])), VALUES, VALUES)
def test_what_stands_behind_a_value_is_found_at_its_old_place(
    pieces: list[str], one: str, two: str
) -> None:
    """Rule 4, for any text and any values."""
    text = "".join(pieces)
    # Without what was between them these two would become one line end.
    assume(not re.search(r"\r(\$\{env\.[AB]\})+\n", text))
    # A value that speaks of another is another test's business.
    environ = {"A": one.replace("$", "S"), "B": two.replace("$", "S")}

    filled = fill_in(text, environ)

    before = [spot_in(text, mark.start()) for mark in re.finditer(MARK, text)]
    after = [spot_in(filled.text, mark.start()) for mark in re.finditer(MARK, filled.text)]
    assert [filled.original(spot) for spot in after] == before


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([*PIECES, *["${env.A}", "${env.B}"] * 3])), VALUES)
def test_every_place_after_is_a_place_before(pieces: list[str], value: str) -> None:
    """Rule 4: places never go backwards, and none lies beyond its line of the file."""
    text = "".join(pieces)
    assume(not re.search(r"\r(\$\{env\.[AB]\})+\n", text))
    widths = [len(line) + 1 for line in LINE_END.split(text)]

    filled = fill_in(text, {"A": value.replace("$", "S"), "B": ""})

    for number, line in enumerate(LINE_END.split(filled.text), start=1):
        found = [filled.original((number, column + 1)) for column in range(len(line) + 1)]
        assert found == sorted(found)
        assert all(row == number and 1 <= column <= widths[row - 1] for row, column in found)


@settings(max_examples=200, deadline=None)
@given(st.text() | st.lists(st.sampled_from(PIECES)).map("".join), st.text())
def test_no_text_and_no_value_is_a_traceback(text: str, value: str) -> None:
    """Every flaw is one of a reference that stands in the file."""
    filled = fill_in(text + "${env.A}", {"A": value})

    lines = LINE_END.split(text + "${env.A}")
    for flaw in filled.flaws:
        line, column = flaw.spot
        assert lines[line - 1][column - 1 :].startswith("${env.")
