"""What an operator reads when something is wrong."""

import pytest

from swapd.config.problems import ConfigError, KeyPath, Located, Place, Problem, spelled


def test_a_problem_reads_as_file_line_column_path_message() -> None:
    """Editors and humans both know this form."""
    problem = Problem(("models", "qwen", "ttl"), 'expected a whole number, got "abc"')

    assert str(Located(problem, Place("broken.yaml", 8, 10))) == (
        'broken.yaml:8:10: models.qwen.ttl: expected a whole number, got "abc"'
    )


def test_what_is_not_known_is_left_out() -> None:
    """A missing file has no line; a mistake at the top has no path."""
    assert str(Located(Problem((), "cannot read"), Place("a.yaml"))) == "a.yaml: cannot read"
    assert str(Located(Problem((), "no file"))) == "no file"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("models", "qwen", "env", 0), "models.qwen.env[0]"),
        (("models", "author/model:F16", "cmd"), "models.author/model:F16.cmd"),
        (("models", "qwen2.5", "cmd"), 'models."qwen2.5".cmd'),
        (("models", "", "cmd"), 'models."".cmd'),
        (("models", "a b\n", "cmd"), r'models."a b\n".cmd'),
    ],
)
def test_a_path_is_written_so_that_it_can_be_read_back(path: KeyPath, text: str) -> None:
    """A model's id may hold the characters that separate keys."""
    assert spelled(path) == text


def test_problems_come_in_the_order_of_the_file() -> None:
    """The operator goes through the file once, from top to bottom."""
    late = Located(Problem(("b",), "x"), Place("a.yaml", 10, 1))
    early = Located(Problem(("z",), "x"), Place("a.yaml", 9, 5))
    nowhere = Located(Problem((), "x"))

    error = ConfigError([late, early, nowhere])

    assert error.problems == (nowhere, early, late)
    assert str(error).splitlines() == ["x", "a.yaml:9:5: z: x", "a.yaml:10:1: b: x"]


def test_a_problem_with_a_key_is_about_the_key() -> None:
    """An unknown key stands inside a mapping that is otherwise right."""
    assert Problem(("models", "a"), "unknown", "bogus").subject == ("models", "a", "bogus")
    assert Problem(("models", "a"), "empty").subject == ("models", "a")
