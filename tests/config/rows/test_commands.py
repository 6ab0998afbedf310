"""Rows C400 to C415: commands, their arguments and their comments."""

import pytest

from swapd.config.command import split, strip_comments
from tests.config.rows.loading import assert_refused

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


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        pytest.param(
            EVERYTHING,
            [
                *("python", "model1.py", "-a", "double quotes", "--arg2", "single quotes", "-s"),
                *("--arg3", "123", "--arg4", '"string in string"', "-c", "'single quoted'"),
            ],
            id="C400",
        ),
        pytest.param(r"a\ b c", ["a b", "c"], id="C402"),
        pytest.param(r"""a "x\n\$y\\z" '\n'""", ["a", r"x\n$y\z", r"\n"], id="C403"),
        pytest.param("a 'unterminated b", ["a", "unterminated b"], id="C404"),
        pytest.param("a '' b", ["a", "", "b"], id="C405-between"),
        pytest.param('a ""', ["a", ""], id="C405-last"),
        pytest.param("''", [""], id="C405-alone"),
        pytest.param("a #b", ["a", "#b"], id="C406"),
        pytest.param("a\n  # c\nb", ["a", "b"], id="C407"),
        pytest.param("a \\\n# c\nb", ["a", "b"], id="C408"),
        pytest.param("a\tb\r\nc", ["a", "b\r", "c"], id="C409"),
        pytest.param("a='b c'd", ["a=b cd"], id="C410-inside"),
        pytest.param("a\"b\"'c'", ["abc"], id="C410-joined"),
        pytest.param("a $HOME ~ *", ["a", "$HOME", "~", "*"], id="C411-words"),
        pytest.param("a | b && c > d", ["a", "|", "b", "&&", "c", ">", "d"], id="C411-signs"),
        pytest.param("a b\\", ["a", "b"], id="C412"),
        pytest.param('a "multi\nline"', ["a", "multi\nline"], id="C413"),
        pytest.param(r"a\\b", [r"a\b"], id="C414"),
    ],
)
def test_a_command_splits_as_in_llama_swap(text: str, arguments: list[str]) -> None:
    """Somebody's working command line must mean the same here."""
    assert list(split(text)) == arguments


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="C401-empty-ours"),
        pytest.param("   ", id="C401-spaces-ours"),
        pytest.param("# only", id="C401-comment-ours"),
        pytest.param("#!/bin/sh", id="C401-shebang-ours"),
    ],
)
def test_a_model_without_a_command_is_refused(text: str) -> None:
    """At load, not when the first request has waited for it."""
    assert split(text) == ()
    assert_refused(
        f'models: {{a: {{cmd: »"{text}", proxy: http://h}}}}', "models.a.cmd", "needs a command"
    )


@pytest.mark.parametrize(
    ("text", "left"),
    [
        pytest.param("# c\necho", "echo", id="C415-first"),
        pytest.param("echo a\n\necho b", "echo a\n\necho b", id="C415-none"),
        pytest.param("# a\n# b", "", id="C415-only"),
        pytest.param("a\n\t  # c\nb", "a\nb", id="C415-indented"),
        pytest.param("", "", id="C415-empty"),
    ],
)
def test_only_comment_lines_are_stripped(text: str, left: str) -> None:
    """A "#" inside a line belongs to the command, and blank lines do no harm."""
    assert strip_comments(text) == left
