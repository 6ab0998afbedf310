"""`swapd load` and `swapd unload`: having a model there, or gone; both wait until it is so."""

import argparse
import sys
from contextlib import nullcontext

from swapd.terminal.client import Client, quoted
from swapd.terminal.facts import Record, listed
from swapd.terminal.lists import MODELS
from swapd.terminal.progress import Progress
from swapd.terminal.words import count, say, say_exactly, visible

# States of a model without a process.
_WITHOUT = ("stopped", "failed", "shutdown")


def load(asked: argparse.Namespace, client: Client) -> None:
    """Load a model, and come back when it is ready."""
    name = quoted(asked.model)
    moving: Progress | nullcontext[None] = nullcontext()
    if sys.stderr.isatty():
        known = Record.read(client.ask(f"{MODELS}/{name}").body)
        if known.text("state") != "ready":
            moving = Progress(asked.model, known.number("load_s"), sys.stderr)
    with moving:
        body = client.ask(f"{MODELS}/load/{name}?wait=1", method="POST", patience=None).body
    done = Record.read(body)
    if asked.json:
        say_exactly(body)
    else:
        say(visible(f"{done.text('model') or asked.model} is {done.text('state')}") + "\n")


def unload(asked: argparse.Namespace, client: Client) -> None:
    """Unload a model, or all, and come back when they are gone."""
    if asked.model is None:
        there, path = listed(client.ask(MODELS).body, "models"), f"{MODELS}/unload"
    else:
        name = quoted(asked.model)
        there, path = (
            [Record.read(client.ask(f"{MODELS}/{name}").body)],
            f"{MODELS}/unload/{name}",
        )
    body = client.ask(path, method="POST", patience=None).body
    if asked.json:
        say_exactly(body)
        return
    loaded = [model for model in there if _has_process(model)]
    for model in loaded:
        pid = model.number("pid")
        process = "" if pid is None else f" (process {count(pid)})"
        say(visible(f"{model.text('id')} is gone{process}") + "\n")
    if not loaded:
        say("no model was loaded\n" if asked.model is None else _was_not(there[0]))


def _has_process(model: Record) -> bool:
    return model.number("pid") is not None or model.text("state") not in _WITHOUT


def _was_not(model: Record) -> str:
    return visible(f"{model.text('id')} was not loaded") + "\n"
