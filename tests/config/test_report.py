"""What is printed about a configuration, and what programs get."""

import json
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swapd.config.problems import Located, Place, Problem
from swapd.config.report import WIDEST, as_data, as_text
from swapd.config.source import lines_of

TTL = Problem(("models", "qwen", "ttl"), "expected a whole number")


def pointed(line: str, column: int) -> tuple[str, int]:
    """Show one line with a caret: what is shown, and in which column of the terminal it points."""
    place = Place("f.yaml", 1, column)
    told, shown, caret = as_text([Located(TTL, place)], lambda file: [line]).split("\n")
    assert told == f"f.yaml:1:{column}: models.qwen.ttl: expected a whole number"
    assert caret.strip(" ") == "^"
    return shown, len(caret) - 1


def cells(text: str) -> list[str]:
    """Lay a text out in the columns of a terminal; the second half of what is wide is empty."""
    found: list[str] = []
    for char in text:
        if unicodedata.combining(char):
            found[-1] += char
        else:
            found += [char, ""] if unicodedata.east_asian_width(char) in "WF" else [char]
    return found


def test_a_problem_is_one_line_that_editors_link() -> None:
    """Rule 1: without lines of the file that is all."""
    problems = [Located(TTL, Place("f.yaml", 8, 10)), Located(Problem((), "x"), Place("g.yaml"))]

    assert as_text(problems) == (
        "f.yaml:8:10: models.qwen.ttl: expected a whole number\ng.yaml: x"
    )
    assert as_text([]) == ""


def test_the_line_of_the_file_stands_below_with_a_caret() -> None:
    """Rule 1: nobody has to open the file to see what is meant."""
    lines = {"f.yaml": ["models:", "  qwen:", "    ttl: soon"]}

    told = as_text([Located(TTL, Place("f.yaml", 3, 10))], lambda file: lines[file])

    assert told.splitlines() == [
        "f.yaml:3:10: models.qwen.ttl: expected a whole number",
        "        ttl: soon",
        "             ^",
    ]


def test_every_problem_has_the_line_of_its_file() -> None:
    """Several files are one configuration."""
    lines = {"f.yaml": ["a: 1"], "g.yaml": ["b: 2", "  c: 3"]}
    problems = [Located(TTL, Place("f.yaml", 1, 4)), Located(TTL, Place("g.yaml", 2, 3))]

    told = as_text(problems, lambda file: lines[file]).splitlines()

    assert told[1:3] == ["    a: 1", "       ^"]
    assert told[4:6] == ["      c: 3", "      ^"]


def test_a_kind_stands_between_place_and_path() -> None:
    """What is worth a look must not read like an error."""
    located = Located(TTL, Place("f.yaml", 8, 10))

    assert as_text([located], kind="warning") == (
        "f.yaml:8:10: warning: models.qwen.ttl: expected a whole number"
    )
    assert as_text([Located(Problem((), "x"))], kind="warning") == "warning: x"


@pytest.mark.parametrize("place", [None, Place("f.yaml"), Place("f.yaml", 3, 1)])
def test_without_a_line_there_is_no_caret(place: Place | None) -> None:
    """Rule 2: no file to blame, the file as a whole, and a line that has gone meanwhile."""
    told = as_text([Located(TTL, place)], lambda file: ["a", "b"])

    assert len(told.splitlines()) == 1


def test_a_file_that_has_gone_has_no_lines(tmp_path: Path) -> None:
    """Rule 2: it was there when it was read."""
    gone = str(tmp_path / "f.yaml")

    assert as_text([Located(TTL, Place(gone, 3, 1))], lines_of).splitlines() == [
        f"{gone}:3:1: models.qwen.ttl: expected a whole number"
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\u2028"])
def test_lines_are_counted_as_yaml_counts_them(tmp_path: Path, end: str) -> None:
    """Rule 1: the caret under the wrong line is worse than none."""
    file = tmp_path / "f.yaml"
    file.write_bytes(f"a: 1{end}{end}b: x\f{end}c: two{end}".encode())

    told = as_text([Located(TTL, Place(str(file), 4, 4))], lines_of)

    assert told.split("\n")[1:] == ["    c: two", "       ^"]


@pytest.mark.parametrize(
    ("line", "column", "shown", "caret"),
    [
        ("ttl: x", 1, "ttl: x", 0),
        ("ttl: x", 6, "ttl: x", 5),
        ("ttl:", 5, "ttl:", 4),  # behind the end
        ("ttl: x   ", 6, "ttl: x", 5),
        ("\tttl:\tx", 7, " ttl: x", 6),  # a tab is as wide as the terminal likes: a space
        ("a\x1b[31m: x\x07", 8, "a [31m: x", 7),  # nothing that the terminal would obey
        ("模型: x", 1, "模型: x", 0),
        ("模型: x", 5, "模型: x", 6),  # each is two columns wide
        ("\N{GRINNING FACE}: x", 4, "\N{GRINNING FACE}: x", 4),
        ("e\N{COMBINING ACUTE ACCENT}: x", 5, "e\N{COMBINING ACUTE ACCENT}: x", 3),
        ("é: x", 4, "é: x", 3),
        ("", 1, "", 0),
    ],
)
def test_the_caret_points_at_the_column(line: str, column: int, shown: str, caret: int) -> None:
    """Rule 1: in the terminal, not in the text."""
    assert pointed(line, column) == (f"    {shown}", caret + 4)


def test_a_long_line_is_cut_around_the_caret() -> None:
    """A command of a thousand characters would fill the screen, and hide the caret."""
    line = "".join(chr(ord("a") + n % 26) for n in range(5000))

    for column in (1, 40, 51, 52, 3000, 4990, 5000):
        shown, caret = pointed(line, column)
        assert len(shown) <= WIDEST + 4
        assert shown[4:] in line
        assert shown[caret] == line[column - 1]
    shown, caret = pointed(line, 5001)
    assert caret == len(shown)


@settings(max_examples=200, deadline=None)
@given(
    st.text(alphabet="ab: \tx模\N{GRINNING FACE}é\N{FULLWIDTH LATIN CAPITAL LETTER A}", min_size=1)
    | st.text(alphabet="ab:模", min_size=90, max_size=300),
    st.data(),
)
def test_above_the_caret_stands_what_is_meant(line: str, data: st.DataObject) -> None:
    """Rule 1, for lines of any width."""
    column = data.draw(st.integers(1, len(line)))

    shown, caret = pointed(line, column)

    laid_out = cells(shown)
    meant = " " if line[column - 1] == "\t" else line[column - 1]
    assert (laid_out[caret] if caret < len(laid_out) else " ") == meant


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.text(), max_size=3),
    st.integers(0, 5),
    st.integers(1, 400),
    st.lists(st.text() | st.integers(0, 9), max_size=3).map(tuple),
)
def test_no_line_is_a_traceback(
    lines: Sequence[str], line: int, column: int, path: tuple[str | int, ...]
) -> None:
    """Rule 2: the file may be another one by now; a problem stays one line."""
    located = Located(Problem(path, "wrong"), Place("f.yaml", line, column if line else 0))

    there = 1 <= line <= len(lines)
    told = as_text([located], lambda file: lines).split("\n")

    assert len(told) == (3 if there else 1)
    assert told[0].endswith("wrong")


def test_programs_get_the_same_in_parts() -> None:
    """An editor's plugin should not have to take a line of text apart."""
    problems = [
        Located(Problem(("models", "a.b", "env", 0), 'expected "x"'), Place("f.yaml", 8, 10)),
        Located(Problem(("models",), "unknown key", "bogus"), Place("f.yaml")),
        Located(Problem((), "no file")),
    ]

    found = as_data(iter(problems))

    assert found == [
        {
            "file": "f.yaml",
            "line": 8,
            "column": 10,
            "path": 'models."a.b".env[0]',
            "message": 'expected "x"',
        },
        {"file": "f.yaml", "line": 0, "column": 0, "path": "models", "message": "unknown key"},
        {"file": None, "line": 0, "column": 0, "path": "", "message": "no file"},
    ]
    assert json.loads(json.dumps(found)) == found
    assert as_data([]) == []
