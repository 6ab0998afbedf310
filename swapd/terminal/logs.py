"""`swapd logs`: what the daemon and its models have written, as they wrote it.

Rule 1: a log is passed on byte for byte. What a model writes to its terminal it may write to ours.
"""

import argparse
import sys

from swapd.terminal.client import Client, quoted
from swapd.terminal.endings import CannotTell

HISTORY = "/logs"
STREAM = "/logs/stream"

# A log of one model is told as a stream only, which begins with all that is kept. When nothing
# comes for so many seconds, that was it.
QUIET = 0.5

# A model that never pauses writes its history again and again; no log keeps as much as this.
ENOUGH = 1024 * 1024


def logs(asked: argparse.Namespace, client: Client) -> None:
    """Print a log, and with `--follow` what is written from now on."""
    path = STREAM if asked.source is None else f"{STREAM}/{quoted(asked.source)}"
    if asked.follow:
        pass_on(client, path, patience=None)
        return
    answer = client.ask(HISTORY)
    if answer.kind != "text/plain":
        raise _strange(answer.kind)
    if asked.source is None:
        _write(answer.body)
    else:
        pass_on(client, path, patience=QUIET, most=ENOUGH)


def pass_on(client: Client, path: str, *, patience: float | None, most: int | None = None) -> None:
    """Print a stream until it ends, is silent for `patience` seconds, or has said enough."""
    printed = 0
    try:
        with client.stream(path, patience=patience) as stream:
            if stream.kind != "text/plain":
                raise _strange(stream.kind)
            while (most is None or printed < most) and (piece := stream.piece()):
                _write(piece)
                printed += len(piece)
    except TimeoutError:
        # Also where not even the head came: that of an empty log waits for the first line. The
        # daemon is there, or it would not have answered just now.
        return


def _write(piece: bytes) -> None:
    sys.stdout.buffer.write(piece)
    sys.stdout.flush()


def _strange(kind: str) -> CannotTell:
    return CannotTell(f"expected a log, got {kind}; is it a swapd?")
