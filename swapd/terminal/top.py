"""`swapd top`: models, queue and machine on one screen, until somebody has seen enough.

Rule 1: where nobody looks, on a pipe, it is one snapshot.
Rule 2: a daemon that goes away is waited for, as the one who looks may just be restarting it; one
that was not there to begin with is not.
"""

import argparse
import sys
import time
from datetime import datetime
from urllib.parse import quote

from swapd.terminal.client import Client
from swapd.terminal.endings import Ending
from swapd.terminal.facts import Record, listed
from swapd.terminal.frame import Look, Machine, frame, newest
from swapd.terminal.lists import MODELS, QUEUE
from swapd.terminal.screen import RESIZED, Screen
from swapd.terminal.words import say

PERFORMANCE = "/api/performance"

# How often it is looked, in seconds.
EVERY = 1.0

# How long a look may take: while it does, no key is heard.
PATIENCE = 5.0

# What a daemon says that measures nothing.
_UNMEASURED = (404, 503)


def top(asked: argparse.Namespace, client: Client) -> None:
    """Show what goes on, until `q`."""
    where, watch = client.where.text, Watch(client)
    look = watch.look()
    if not sys.stdout.isatty():
        say("".join(f"{line}\n" for line in frame(where, look, _now())))
        return
    with Screen() as screen:
        while True:
            screen.draw(frame(where, look, _now(), screen.size))
            enough = time.monotonic() + EVERY
            while (left := enough - time.monotonic()) > 0:
                match screen.heard(left):
                    case "q" | "Q":
                        return
                    case heard if heard == RESIZED:
                        screen.draw(frame(where, look, _now(), screen.size))
            try:
                look = watch.look()
            except Ending as problem:
                look = look._replace(problem=str(problem))


class Watch:
    """What is known of the daemon, from look to look."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._machine = Machine()

    def look(self) -> Look:
        """Ask for everything; raises an Ending."""
        models = listed(self._client.ask(MODELS, patience=PATIENCE).body, "models")
        requests = listed(self._client.ask(QUEUE, patience=PATIENCE).body, "requests")
        self._machine = self._measured()
        return Look(models, requests, self._machine)

    def _measured(self) -> Machine:
        # An hour of samples is asked for once, and then what came since.
        last = self._machine.system
        after = None if last is None else last.text("timestamp")
        query = "" if after is None else f"?after={quote(after, safe='')}"
        path = PERFORMANCE + query
        answer = self._client.ask(path, patience=PATIENCE, others=_UNMEASURED)
        if answer.status in _UNMEASURED:
            return Machine()
        told = Record.read(answer.body)
        return newest(self._machine, told.records("sys_stats"), told.records("gpu_stats"))


def _now() -> datetime:
    return datetime.now().astimezone()
