"""Entries of the queue, and what a request waits for, as the API writes them. Pure.

Rule 1: one shape, for whoever asks for all and for whoever asks for one.
"""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple, assert_never

import attrs

from swapd.manage.instants import Instants, seconds
from swapd.manage.tables import ago
from swapd.schedule.standing import (
    BackOff,
    Behind,
    Draining,
    Loading,
    Nothing,
    Stage,
    Standing,
    Stopping,
    TurnOf,
    Wait,
)

HEADINGS = ("ID", "MODEL", "CLIENT", "AGE", "POSITION", "PHASE", "ETA", "REASON")

# The encoder's own way for a text, without what `json.dumps` asks first.
_quoted = json.JSONEncoder().encode


class Entry(NamedTuple):
    """One request, where it stands, and whose it is."""

    id: str
    """Ours, so there is nothing in it that JSON would have to escape."""
    client: str | None
    since: float
    """When it came, on the run's clock."""
    standing: Standing


def reason(wait: Wait, instants: Instants) -> dict[str, Any]:
    """Say what a request waits for."""
    match wait:
        case Behind(requests):
            return _reason(wait, "behind", requests=requests)
        case Draining(model, in_flight, oldest):
            oldest_s = seconds(oldest)
            return _reason(wait, "draining", model=model, in_flight=in_flight, oldest_s=oldest_s)
        case Stopping(model, elapsed):
            return _reason(wait, "stopping", model=model, elapsed_s=seconds(elapsed))
        case Loading(model, elapsed, expected):
            times = {"elapsed_s": seconds(elapsed), "expected_s": seconds(expected)}
            return _reason(wait, "loading", model=model, **times)
        case TurnOf(model, in_flight, ends_in):
            ends_in_s = seconds(ends_in)
            return _reason(wait, "turn", model=model, ends_in_s=ends_in_s, in_flight=in_flight)
        case BackOff(model, until):
            date = instants.date(until)
            told = _reason(wait, "back_off", model=model, until=date)
            return told if date is None else {**told, "text": f"{wait.text} until {date}"}
        case Nothing():
            return _reason(wait, "none")
        case _:
            assert_never(wait)


@attrs.define
class Writer:
    """Writes entries, all as of `now` on the run's clock.

    As text: ten thousand dictionaries would take everybody's time to make and as much to encode.
    """

    now: float
    instants: Instants
    _texts: dict[str | None, str] = attrs.field(factory=lambda: {None: "null"})
    """What stands in many entries, quoted."""
    _last: tuple[Wait | None, str] = (None, "")
    """The last wait that was written, but for those in a line."""

    def json(self, entry: Entry) -> str:
        """Write an entry for programs."""
        name, client, since, (_, model, _, position, stage, wait, eta) = entry
        if type(wait) is Behind:
            # What nearly all wait for, or else for the same: a load that they have joined.
            (count,) = wait
            words = f"behind {count} requests" if count != 1 else wait.text
            why = f'{{"kind":"behind","requests":{count},"text":"{words}"}}'
        elif wait == self._last[0]:
            why = self._last[1]
        else:
            why = json.dumps(reason(wait, self.instants), separators=(",", ":"))
            self._last = (wait, why)
        told = "null" if eta is None else f"{eta:.3f}"
        texts = self._texts
        of = texts.get(model) or self._quoted(model)
        by = texts.get(client) or self._quoted(client)
        phase = "waiting" if stage is Stage.WAITING else stage.value
        return (
            f'{{"id":"{name}","model":{of},"client":{by},'
            f'"age_s":{self.now - since:.3f},"position":{position},"phase":"{phase}",'
            f'"reason":{why},"eta_s":{told}}}'
        )

    def row(self, entry: Entry) -> Sequence[str]:
        """Write an entry for people."""
        standing = entry.standing
        return (
            *(entry.id, standing.model, entry.client or "-", ago(self.now - entry.since)),
            *(str(standing.position), standing.stage.value, ago(standing.eta)),
            self._text(standing.wait),
        )

    def _text(self, wait: Wait) -> str:
        # An instant is a date here, and nothing yet where the wait was put into words.
        if isinstance(wait, BackOff):
            return str(reason(wait, self.instants)["text"])
        return wait.text

    def _quoted(self, text: str | None) -> str:
        self._texts[text] = _quoted(text)
        return self._texts[text]


def _reason(wait: Wait, kind: str, **facts: Any) -> dict[str, Any]:
    return {"kind": kind, **facts, "text": wait.text}
