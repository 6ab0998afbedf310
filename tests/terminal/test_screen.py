"""The terminal, taken and given back: a real one, and a program of its own on it."""

import fcntl
import os
import signal
import struct
import termios

import pytest

from swapd.terminal.screen import RESIZED
from tests.terminal.conftest import LINES, on_a_terminal

pytestmark = pytest.mark.real

# It draws what it hears, and how large the screen is.
PROGRAM = """
import sys
from swapd.terminal.screen import Screen
with Screen() as screen:
    screen.draw(["begun"])
    while (heard := screen.heard(60)) != "q":
        columns, lines = screen.size
        screen.draw([f"<{heard} {columns} {lines}>"])
"""

GIVEN_BACK = b"\x1b[?25h\x1b[?1049l"


def test_a_key_needs_no_enter_and_all_is_as_before():
    """The shell must find its lines, its cursor and its echo."""
    with on_a_terminal("-c", PROGRAM) as terminal:
        terminal.find(b"\x1b[?1049h")
        terminal.find(b"begun")
        assert terminal.modes() == 0
        os.write(terminal.fd, b"x")
        terminal.find(b"<x ")
        os.write(terminal.fd, b"q")
        terminal.find(GIVEN_BACK)
        assert terminal.ended() == 0
        assert terminal.modes() == LINES


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 1)],
)
def test_a_signal_to_end_gives_it_back_too(number, code):
    """Who kills it from another window keeps this one."""
    with on_a_terminal("-c", PROGRAM) as terminal:
        terminal.find(b"begun")
        os.kill(terminal.pid, number)
        terminal.find(GIVEN_BACK)
        # A bare Ctrl-C is Python's to show here; the commands make 130 of it.
        assert terminal.ended() in (code, -number)
        assert terminal.modes() == LINES


def test_another_size_is_heard_at_once():
    """The next second would be late: half of the screen is rubble until then."""
    with on_a_terminal("-c", PROGRAM) as terminal:
        terminal.find(b"begun")
        fcntl.ioctl(terminal.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 111, 0, 0))
        terminal.find(f"<{RESIZED} 111 33>".encode())
        os.write(terminal.fd, b"q")
        assert terminal.ended() == 0


def test_ctrl_z_gives_it_back_for_a_while():
    """The shell is somebody's to use meanwhile."""
    with on_a_terminal("-c", PROGRAM) as terminal:
        terminal.find(b"begun")
        os.kill(terminal.pid, signal.SIGTSTP)
        terminal.find(GIVEN_BACK)
        assert os.WIFSTOPPED(os.waitpid(terminal.pid, os.WUNTRACED)[1])
        assert terminal.modes() == LINES
        os.kill(terminal.pid, signal.SIGCONT)
        terminal.find(b"\x1b[?1049h")
        os.write(terminal.fd, b"x")
        terminal.find(b"<x ")
        assert terminal.modes() == 0
        os.write(terminal.fd, b"q")
        assert terminal.ended() == 0


def test_a_problem_gives_it_back_too():
    """Else what went wrong could not be read."""
    broken = PROGRAM.replace('screen.draw(["begun"])', 'screen.draw(["begun"]); 1 / 0')
    with on_a_terminal("-c", broken) as terminal:
        terminal.find(GIVEN_BACK)
        terminal.find(b"ZeroDivisionError")
        assert terminal.ended() == 1
        assert terminal.modes() == LINES
