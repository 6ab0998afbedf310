"""Bounds: a small file must not become a large problem."""

import pytest
from ruamel.yaml import YAML

from swapd.config.compose import DEEPEST, Composer, Hopeless
from swapd.config.environment import fill_in
from swapd.config.nodes import Node, written_out


def compose(text: str) -> Node:
    """Compose a text."""
    return Composer(YAML(typ="safe", pure=True).parse(text), fill_in(text, {})).document()


def bomb(levels: int) -> str:
    """Write a list of lists of lists, each level ten times the one below."""
    lines = ["l0: &l0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, levels):
        uses = ", ".join([f"*l{level - 1}"] * 10)
        lines.append(f"l{level}: &l{level} [{uses}]")
    return "\n".join(lines)


def merging_bomb() -> str:
    """Merge a large mapping into very many small ones."""
    keys = ", ".join(f"k{number}: 1" for number in range(1000))
    return f"a: &a {{{keys}}}\nb: [{', '.join(['{<<: *a}'] * 1000)}]"


def long_text_bomb() -> str:
    """Use one long text very often."""
    return f"a: &a {'x' * 50_000}\nb: [{', '.join(['*a'] * 1000)}]"


@pytest.mark.parametrize("text", [bomb(30), merging_bomb(), long_text_bomb()])
def test_an_alias_bomb_is_refused_before_it_is_written_out(text: str) -> None:
    """A kilobyte can stand for more than any memory holds."""
    with pytest.raises(Hopeless, match="aliases come to more than") as hopeless:
        compose(text)
    assert hopeless.value.spot > (1, 1)


def test_a_generous_use_of_aliases_is_no_bomb() -> None:
    """A hundred models that share an anchored block are an ordinary file."""
    text = "x: &x {env: [A=1, B=2], ttl: 5}\nmodels:\n" + "".join(
        f"  m{number}: {{<<: *x, cmd: run}}\n" for number in range(100)
    )
    tree = written_out(compose(text))

    assert isinstance(tree, dict)
    assert tree["models"]["m99"] == {  # type: ignore[index, call-overload]
        "cmd": "run",
        "env": ["A=1", "B=2"],
        "ttl": 5,
    }


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "a: " + "[" * (DEEPEST + 1) + "]" * (DEEPEST + 1),
        "\n".join(["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 100))]),
    ],
)
def test_what_nests_too_deep_is_refused(text: str) -> None:
    """No option lies that deep, and Python's own limit would be a traceback."""
    with pytest.raises(Hopeless, match="nested deeper than"):
        compose(text)


def test_mistakes_do_not_stop_composing() -> None:
    """One run of the program shows all that is to be corrected."""
    text = "a: *x\nb: !y 1\nc: {d: 1, d: 2}"
    composer = Composer(YAML(typ="safe", pure=True).parse(text), fill_in(text, {}))

    assert written_out(composer.document()) == {"a": None, "b": "1", "c": {"d": 1}}
    assert [spot for _, spot in composer.problems] == [(1, 4), (2, 4), (3, 11)]
