"""How far a load is."""

import io
import threading

import pytest

from swapd.terminal.progress import BAR, Progress, bar


@pytest.mark.parametrize(
    ("elapsed", "expected", "line"),
    [
        (0.0, 8.0, f"loading m  [{'-' * BAR}]  0.0 s of 8.0 s"),
        (4.0, 8.0, f"loading m  [{'#' * 12}{'-' * 12}]  4.0 s of 8.0 s"),
        (30.0, 8.0, f"loading m  [{'#' * BAR}]  30 s of 8.0 s"),
        (3.0, None, "loading m  3.0 s"),
        (3.0, 0.0, "loading m  3.0 s"),
        (3.0, -1.0, "loading m  3.0 s"),
    ],
)
def test_a_bar_goes_as_far_as_the_learned_load_time(elapsed, expected, line):
    """What takes longer stays full and says by how much; what is not known is not drawn."""
    assert bar("m", elapsed, expected) == line


def test_a_name_cannot_draw():
    """It comes from whoever typed it, perhaps out of a script."""
    assert bar("\x1b[2J", 1, None) == "loading \\x1b[2J  1.0 s"


class Drawn(io.StringIO):
    """A terminal that tells when it was drawn on."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn = threading.Event()

    def flush(self) -> None:
        self.drawn.set()


def test_the_line_is_empty_afterwards():
    """What is written next must not stand behind half a bar."""
    out = Drawn()
    with Progress("m", 8.0, out):
        assert out.drawn.wait(10)
    assert out.getvalue().startswith("\rloading m")
    assert out.getvalue().endswith("\r\x1b[K")


class Gone(io.StringIO):
    """A terminal that has hung up."""

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")


def test_a_bar_that_cannot_be_drawn_disturbs_nobody():
    """The load goes on."""
    with Progress("m", None, Gone()):
        pass
