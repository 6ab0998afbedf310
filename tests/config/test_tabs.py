"""Tabs between words."""

import pytest

from swapd.config.problems import ConfigError
from swapd.config.source import parse
from swapd.config.values import Tree


def tree(text: str) -> Tree:
    """Read a text that has no mistakes."""
    source = parse(text, file="f.yaml")
    assert source.problems == ()
    return source.tree


@pytest.mark.parametrize(
    "text",
    [
        "a:\t5",
        "a: 5\t",
        "a: 5\t# five",
        "a:\t\n  b: 5\nc: 1",
        "a: [1,\t2]",
        "a: |\t\n  x\n",
        '"a"\t:\t5',
    ],
)
def test_tabs_between_words_are_spaces(text: str) -> None:
    """They cannot be seen, and other parsers of YAML take them."""
    assert tree(text) == tree(text.replace("\t", " "))


def test_a_tab_in_a_text_stays() -> None:
    """It is the operator's own."""
    found = tree("a: 'x\ty'\nb: x\ty\nc: |\n  x\ty\t\nd:\t1")

    assert found == {"a": "x\ty", "b": "x\ty", "c": "x\ty\t\n", "d": 1}


def test_a_tab_for_an_indentation_is_refused() -> None:
    """Nobody knows how wide it is meant to be."""
    for text in ("a:\n\tb: 1", "a:\n  \tb: 1", "\ta: 1"):
        with pytest.raises(ConfigError, match="not YAML"):
            tree(text)


def test_a_text_of_several_lines_may_have_tabs_at_their_ends() -> None:
    """An editor leaves them there."""
    assert tree("a: one\t\n  two \t\n\t\nb: 1") == {"a": "one two", "b": 1}
