"""The commands that ask a daemon: their arguments, and how each leaves.

Rule 1: whatever happens, there is a sentence on stderr, and an exit code that a script can use:
0 done, 1 refused, 3 no daemon there, 4 cannot tell, 64 wrong usage, 130 Ctrl-C.
Rule 2: nothing here or below imports the daemon, or anything else that takes long: who types
`swapd status` waits for it.
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from swapd.terminal.client import Client
from swapd.terminal.endings import INTERRUPTED, CannotTell, Ending, Refused
from swapd.terminal.lists import queue, status
from swapd.terminal.logs import logs
from swapd.terminal.orders import load, unload
from swapd.terminal.top import top
from swapd.terminal.where import DEFAULT, KEY, URL, BadWhere, key, where
from swapd.terminal.words import complain, say_exactly, visible

NAMES = frozenset(("status", "queue", "load", "unload", "logs", "top"))
"""What stands first in argv for a command that asks a daemon."""

Work = Callable[[argparse.Namespace, Client], None]


class Parser(argparse.ArgumentParser):
    """argparse leaves with 2; sysexits.h has a number for wrong usage."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(os.EX_USAGE, f"{self.prog}: {visible(message)}\n")


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run one of these commands; leaves with the exit code."""
    parser = Parser(prog="swapd")
    add_commands(parser.add_subparsers(required=True, metavar="COMMAND"))
    asked = parser.parse_args(argv)
    sys.exit(asked.run(asked))


def add_commands(commands: "argparse._SubParsersAction[Parser]") -> None:
    """Say which commands there are; each `run` takes what was parsed, and gives the exit code."""
    as_said = Parser(add_help=False)
    as_said.add_argument("--json", action="store_true", help="print what the endpoint says")

    def add(name: str, work: Work, words: str, *, json: bool = True) -> Parser:
        command = commands.add_parser(name, help=words, parents=[as_said] if json else [])
        command.add_argument(
            "--url",
            metavar="URL",
            help="where the daemon is: http://HOST:PORT, https://HOST:PORT or unix:/path "
            f"(default ${URL}, else {DEFAULT}); a key is taken from ${KEY}",
        )
        command.set_defaults(run=_leaving(work), fail=command.error)
        return command

    add("status", status, "say where each model stands")
    add("queue", queue, "say who is served and who waits")
    command = add("load", load, "load a model, and wait until it is ready")
    command.add_argument("model", metavar="MODEL", type=_name, help="by its id or an alias")
    command = add("unload", unload, "unload a model, and wait until it is gone")
    command.add_argument("model", metavar="MODEL", type=_name, nargs="?", help="default: all")
    command = add("logs", logs, "print what was logged", json=False)
    command.add_argument(
        *("-f", "--follow"), action="store_true", help="and what is written from now on"
    )
    command.add_argument(
        "source",
        metavar="MODEL",
        type=_name,
        nargs="?",
        help="a model, `proxy` for the daemon itself, or `upstream` for all models (default: what "
        "the daemon prints)",
    )
    add("top", top, "watch models, queue and machine; q ends it", json=False)


def _leaving(work: Work) -> Callable[[argparse.Namespace], int]:
    """Make exit codes of exceptions."""

    def run(asked: argparse.Namespace) -> int:
        _prepare()
        try:
            try:
                client = Client(where(asked.url, os.environ), key(os.environ))
            except BadWhere as wrong:
                asked.fail(str(wrong))
            return _run(work, asked, client)
        except KeyboardInterrupt:
            return INTERRUPTED
        except BrokenPipeError:
            # Whoever read what is printed here has read enough: `swapd logs -f | head`.
            return os.EX_OK
        except OSError as problem:
            # The daemon's are Endings: this is the output's own, as of a full disk.
            complain(f"cannot write: {problem.strerror}")
            return CannotTell.code
        except Exception as bug:  # noqa: BLE001 - the outermost line: no traceback is for people
            complain(f"internal error, please report it: {bug!r}")
            return os.EX_SOFTWARE
        finally:
            _let_go()

    return run


def _run(work: Work, asked: argparse.Namespace, client: Client) -> int:
    try:
        work(asked, client)
        sys.stdout.flush()
    except Ending as ending:
        complain(str(ending))
        if isinstance(ending, Refused):
            for line in ending.lines:
                complain(f"  {line}")
            if getattr(asked, "json", False) and ending.body:
                say_exactly(ending.body)
        return ending.code
    return os.EX_OK


def _prepare() -> None:
    # Until here Ctrl-C ends us at once (`__main__`); from here on there may be a terminal to give
    # back, and a connection to close.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Started with `>&-` there is no stream at all.
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - until the end
        elif hasattr(stream, "reconfigure"):
            # A model's name may have letters that this terminal does not.
            stream.reconfigure(errors="backslashreplace")


def _let_go() -> None:
    """Leave nothing for the interpreter to write when it ends, as it would complain aloud."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _name(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("expected a name, got nothing")
    return text
