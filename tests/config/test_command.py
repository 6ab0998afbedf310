"""Commands become arguments as llama-swap makes them; rows C400 to C415 of its behaviour."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapd.config.command import split, strip_comments

EVERYTHING = r"""python model1.py \
    -a "double quotes" \
    --arg2 'single quotes'
    -s
    # comment 1
    --arg3 123 \

    # comment 2
    --arg4 '"string in string"'

    # -b "disabled"
    -c "'single quoted'"
"""

SPLIT: dict[str, list[tuple[str, list[str]]]] = {
    "C400": [
        (
            EVERYTHING,
            [
                *("python", "model1.py", "-a", "double quotes", "--arg2", "single quotes", "-s"),
                *("--arg3", "123", "--arg4", '"string in string"', "-c", "'single quoted'"),
            ],
        )
    ],
    "C401": [("", []), ("   ", []), ("# only", []), ("#!/bin/sh", [])],
    "C402": [(r"a\ b c", ["a b", "c"])],
    "C403": [(r"""a "x\n\$y\\z" '\n' """, ["a", r"x\n$y\z", r"\n"])],
    "C404": [("a 'unterminated b", ["a", "unterminated b"])],
    "C405": [("a '' b", ["a", "", "b"]), ('a ""', ["a", ""]), ("''", [""])],
    "C406": [("a #b", ["a", "#b"])],
    "C407": [("a\n  # c\nb", ["a", "b"])],
    "C408": [("a \\\n# c\nb", ["a", "b"])],
    "C409": [("a\tb\r\nc", ["a", "b\r", "c"])],
    "C410": [("a='b c'd", ["a=b cd"]), ("a\"b\"'c'", ["abc"])],
    "C411": [
        ("a $HOME ~ *", ["a", "$HOME", "~", "*"]),
        ("a | b && c > d", ["a", "|", "b", "&&", "c", ">", "d"]),
    ],
    "C412": [("a b\\", ["a", "b"])],
    "C413": [('a "multi\nline"', ["a", "multi\nline"])],
    "C414": [(r"a\\b", [r"a\b"])],
}


@pytest.mark.parametrize(
    ("text", "arguments"),
    [pytest.param(*case, id=row) for row, cases in SPLIT.items() for case in cases],
)
def test_a_command_splits_as_in_llama_swap(text: str, arguments: list[str]) -> None:
    """Somebody's working command line must mean the same here."""
    assert list(split(text)) == arguments


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("# c\necho", "echo"),
        ("echo a\n\necho b", "echo a\n\necho b"),
        ("# a\n  # b", ""),
        ("a\n\t# c\nb", "a\nb"),
        ("", ""),
    ],
)
def test_only_comment_lines_are_stripped(text: str, left: str) -> None:
    """C415: a "#" inside a line belongs to the command, and blank lines do no harm."""
    assert strip_comments(text) == left


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        (r'"a\`b\$c\"d"', ['a`b$c"d']),
        ('"a\\\nb"', ["a \nb"]),
        (r"a \'b", ["a", "'b"]),
        ("a\u00a0b", ["a\u00a0b"]),
        ("'a\\'b", ["a\\b"]),
    ],
)
def test_backslashes_and_odd_spaces_keep_to_the_rules(text: str, arguments: list[str]) -> None:
    """The corners where `shlex` would do something else."""
    assert list(split(text)) == arguments


@given(st.text())
def test_no_text_upsets_the_splitting(text: str) -> None:
    """A command comes from an operator; it may be wrong, but it is never a traceback."""
    split(text)


@given(st.lists(st.text(st.characters(exclude_characters="'\n", exclude_categories=["Cs"]))))
def test_what_is_in_single_quotes_is_one_argument_as_it_is(arguments: list[str]) -> None:
    """Quoting is the way out for everything else; line rules see only the first and last line."""
    line = "".join(f"'{argument}' " for argument in arguments)

    assert list(split(f"x {line}.")) == ["x", *arguments, "."]
