"""Whether what a client got was right.

Whoever is served must get one complete answer of the model, or one error that there was a reason
for, or see that the answer was cut; what it gets of the model's is what the model sent, from the
beginning and at once; and who leaves, stalls or stays too long is noticed.
"""

from collections.abc import Iterator, Sequence

import attrs

from swapd.front.connection import KEEP_ALIVE
from swapd.proxy.body import LINGER, STALLED_UPLOAD
from swapd.proxy.loading import EVERY, FIRST
from tests.simulation.plan import HONEST, Does, Life, Plan, Reads, Sends
from tests.simulation.process import Attempt
from tests.simulation.visitors import Client, Got

# How a line about the loading begins, where a model wants them to be seen.
LINE = b'data: {"choices":[{"delta":{"reasoning_content":'

# What has come from a model reaches its client within this. Seconds.
AT_ONCE = 0.5

# What says when it may be asked again.
LATER = ("back_off", "queue_full", "concurrency_limit", "shutting_down")

# Deeds that end what is served, or waits.
UNLOADS = frozenset(
    (Does.UNLOAD_ALL, Does.UNLOAD, Does.DRAIN, Does.KEEP, Does.HURRY, Does.PATIENT)
)

RELOADS = frozenset((Does.RELOAD, Does.HANGUP))


def complaints(
    client: Client, attempts: Sequence[Attempt], plan: Plan, *, stopped: float | None
) -> list[str]:
    """Say what was wrong; `stopped` is when the daemon was told to.

    That excuses nothing of what was over before.
    """
    name = client.visit.name
    mine = [one for one in attempts if one.visit == name]
    excused = stopped is not None and client.went >= stopped
    found = _Judge(client, mine, plan, excused).complaints()
    return [f"visit {name}: {wrong}" for wrong in found]


@attrs.frozen
class _Judge:
    """What is known of one visit."""

    client: Client
    attempts: Sequence[Attempt]
    """Its requests that came to models."""
    plan: Plan
    stopped: bool
    """Whether the daemon was stopped before it was over."""

    def complaints(self) -> Iterator[str]:
        """Say what was wrong with what the client got, and with what it saw."""
        client, visit = self.client, self.client.visit
        if not client.begun:
            return  # The daemon had self.stopped before.
        if not client.over.is_set():
            yield f"never came to its end: {client.got}"
            return
        if client.turned_away:
            if not self.stopped:
                yield "was not let in"
            return
        for got in client.got:
            if wrong := self._complaint(got) or self._unjustified(got):
                yield f"{wrong}: {got}"
        if client.unnoticed:
            yield "has left, and nobody has noticed"
        if client.clogged:
            yield "reads nothing, and nobody gives it up"
        if client.outstayed:
            yield f"was idle for {visit.stays} s"
        if visit.asks_once() and len(client.got) == 1:
            [got] = client.got
            for late in (*self._held_up(got), *self._silence(got)):
                yield f"{late}: {got}"

    def _unjustified(self, got: Got) -> str | None:
        """Say that it was refused, or cut, for a reason that there was not."""
        visit = self.client.visit
        done = {deed.does for deed in self.plan.deeds}
        # What is not as usual, of this model.
        lives = [life for life in self.plan.lives if life.model == visit.model]
        broken = any(_breaks(life) for life in lives) or Does.STEAL in done
        faulty = visit.answer.kind not in HONEST or broken
        cut = self.stopped or bool(done & {*UNLOADS, Does.CANCEL})
        patient = visit.reads is Reads.ALL
        if got.end == "left" and not patient:
            return None
        if got.end == "left" and visit.sends in (Sends.WHOLE, Sends.SLOWLY, Sends.TWICE):
            return "it was never answered" if _longest(self.plan) < visit.leaves - 50.0 else None
        if got.end == "left" and visit.sends is Sends.HALF_HEAD:
            return "half a head was waited for" if visit.leaves > KEEP_ALIVE + 1.0 else None
        if got.end == "left" and visit.sends is Sends.HALF_BODY:
            most = STALLED_UPLOAD + LINGER + 1.0
            return "half a body was waited for" if visit.leaves > most else None
        if got.end == "cut":
            return None if faulty or cut or not patient else "it was cut for no reason"
        if got.end != "whole" or (code := got.code()) is None:
            return None
        if code in LATER and "retry-after" not in got.headers:
            return "it does not say when to ask again"
        reasons = {
            "model_not_found": visit.model == "ghost" or bool(done & RELOADS),
            "queue_full": self.plan.house[3] < len(self.plan.visits) or bool(done & RELOADS),
            "concurrency_limit": bool(done & RELOADS),
            "load_failed": broken,
            "back_off": broken,
            "model_failed": any(life.survives or life.port for life in self.plan.lives)
            or Does.STEAL in done,
            "model_unloaded": bool(done & UNLOADS) or self.stopped,
            "cancelled": Does.CANCEL in done,
            "shutting_down": self.stopped,
            "upstream_unreachable": faulty,
            "upstream_cut": faulty,
            "invalid_request": visit.sends not in (Sends.WHOLE, Sends.SLOWLY, Sends.TWICE),
            "body_too_large": visit.sends is Sends.LARGE,
            "upload_failed": Does.FULL_DISK in done,
        }
        return None if reasons.get(code, False) else f"there was no reason for {code}"

    def _held_up(self, got: Got) -> Iterator[str]:
        """Look for what a model had sent, and the client had not got soon."""
        if self.client.visit.reads is not Reads.ALL or len(self.attempts) != 1:
            return
        [attempt] = self.attempts
        if not attempt.body.startswith(got.body):
            return  # Ours, or packed into a stream of ours.
        for at, size in attempt.sent:
            came = next((when for when, there in got.heard if there >= size), None)
            if came is not None and came > at + AT_ONCE:
                yield f"what was sent at {at} came at {came}"
                return

    def _silence(self, got: Got) -> Iterator[str]:
        """Look for a silence while it waits, where it asked for a stream."""
        visit = self.client.visit
        if not visit.stream or visit.path != "/v1/chat/completions" or got.ended == 0.0:
            return
        if visit.reads is not Reads.ALL or visit.sends not in (Sends.WHOLE, Sends.SLOWLY):
            return
        until = min(
            (one.headed for one in self.attempts if one.headed is not None), default=got.ended
        )
        times = [at for at, _ in got.heard if at < until]
        for before, after in zip(
            [got.asked, *times], [*times, min(until, got.ended)], strict=True
        ):
            if after - before > EVERY + FIRST + AT_ONCE:
                yield f"it heard nothing from {before} to {after}"
                return

    def _hears_of_errors(self, got: Got) -> bool:
        kind = got.headers.get("content-type", "")
        return kind.startswith("text/event-stream") and self.client.visit.reads is Reads.ALL

    def _complaint(self, got: Got) -> str | None:
        if got.status is None:
            honest = self.client.visit.sends in (Sends.WHOLE, Sends.SLOWLY, Sends.TWICE)
            if got.end == "left" or not honest or self.stopped:
                return None
            return "the connection ended without a word"
        if got.end == "whole" and got.status >= 400 and got.code() is not None:
            return None
        body, said = plain(bytes(got.body), got.headers)
        fitting = [one for one in self.attempts if one.status == got.status or said]
        if got.end == "whole" and not said:
            if any(one.whole and fits(one, body, whole=True) for one in fitting):
                return None
            return "it looks complete, and no model has sent it so"
        if got.end == "cut" and not said and not self.stopped and self._hears_of_errors(got):
            return "a stream was cut without an error"
        if not body or any(fits(one, body, whole=False) for one in fitting):
            return None
        return "no model has sent what it begins with"


def _longest(plan: Plan) -> float:
    """Say for how many seconds somebody may have to wait for all the others, and not in vain."""
    seconds = sum(60.0 for life in plan.lives if _breaks(life))
    seconds += sum(60.0 for deed in plan.deeds)
    for visit in plan.visits:
        answer = visit.answer
        one = 15.0 + answer.after + answer.pieces * answer.pause
        if visit.reads is not Reads.ALL or answer.kind not in HONEST:
            one += 65.0
        seconds += one * (visit.again + 1 + (visit.sends is Sends.TWICE))
    return seconds


def _breaks(life: Life) -> bool:
    """Whether a process may fail its requests, or those for the next one."""
    usual = Life(life.model, life.nth, load=life.load, stop=life.stop, writes=life.writes)
    return life != attrs.evolve(usual, listens=life.listens)


def plain(body: bytes, headers: dict[str, str]) -> tuple[bytes, bool]:
    """Take off an event stream what we have put in: comments before it, an error behind it.

    Answers also whether there is such an error.
    """
    if not headers.get("content-type", "").startswith("text/event-stream"):
        return body, False
    while body.startswith((b":", b"\n", b"event: ping\n")) or _narrates(body):
        body = body.partition(b"\n\n")[2]
    events = body.split(b"\n\n")
    failed = [
        number
        for number, event in enumerate(events)
        if b'"error"' in event and event.lstrip().startswith((b"data:", b"event:"))
    ]
    if failed:
        return b"\n\n".join([*events[: failed[0]], b""] if failed[0] else []).rstrip(b"\n"), True
    return body, False


def _narrates(body: bytes) -> bool:
    """Whether a line about the loading comes first; one may be cut off."""
    event = body.partition(b"\n\n")[0]
    return event.startswith(LINE) or (bool(event) and LINE.startswith(event))


def fits(attempt: Attempt, body: bytes, *, whole: bool) -> bool:
    """Say whether an answer is what was sent, or its beginning.

    A stream that we have begun shows an answer that is none as one event.
    """
    sent = bytes(attempt.body)
    as_event = b"data: " + sent + b"\n\n"
    if whole:
        return body in (sent, as_event, as_event + b"data: [DONE]\n\n")
    return sent.startswith(body) or as_event.startswith(body)
