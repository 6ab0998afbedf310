"""What became of every request, and whether the account adds up. Pure.

Rule 1: a request has exactly one ending, and is sent exactly once.
Rule 2: bytes are wrong unless they are known to be right: what is no prefix of the answer that the
request must get, and no error of swapd's, is an answer to something else.
"""

import json
import re
from collections import Counter
from enum import Enum
from typing import Any, Protocol

import attrs

_CODE = re.compile(rb'"code": ?"(\w+)"')

# How an error event of swapd's begins, wherever the model's answer was cut.
_ERROR_EVENT = b'\n\ndata: {"src":"swapd","error":{'

# So far an error event may be mistaken for the model's next one.
_LIKE_OTHERS = len(b"\n\ndata: {")

# What swapd writes into a stream that it has begun itself, while the client waits.
_COMMENT = b": "
_REASONING = b'data: {"choices":[{"delta":{"reasoning_content":'


class Ending(Enum):
    """What became of a request."""

    ANSWERED = "answered"
    REFUSED = "refused"
    """With an error status, or an error event."""
    CUT = "cut"
    """Not as the answer's framing announces its end; or no connection, or none any more."""
    LEFT = "left"
    """By us, on purpose."""
    HUNG = "hung"
    WRONG = "wrong"


@attrs.frozen
class Answer:
    """What came back, be it the whole or not."""

    status: int | None
    """None if not even a head came."""
    events: bool
    """Whether it calls itself a stream of events."""
    body: bytes
    complete: bool
    """Whether HTTP's own framing says that this is all of it."""


class Expected(Protocol):
    """What a request must be answered."""

    def fits(self, body: bytes, *, whole: bool) -> bool:
        """Whether this is the answer, or may be its beginning."""


@attrs.frozen
class Exactly:
    """These bytes."""

    text: bytes

    def fits(self, body: bytes, *, whole: bool) -> bool:
        return body == self.text if whole else self.text.startswith(body)


@attrs.frozen
class Saying:
    """A chat completion with this text, whatever its ids and times are."""

    text: str
    events: bool

    def fits(self, body: bytes, *, whole: bool) -> bool:
        if not self.events:
            return said_in(body) == self.text if whole else True
        *events, rest = body.split(b"\n\n")
        ended = b"data: [DONE]" in events
        text = "".join(_said(event) for event in events if event not in (b"data: [DONE]", b""))
        if whole:
            return ended and not rest and text == self.text
        return self.text.startswith(text)


@attrs.frozen
class Anything:
    """An answer of the daemon itself, that is not compared."""

    def fits(self, body: bytes, *, whole: bool) -> bool:
        return True


def said_in(body: bytes) -> str | None:
    """Answer with the text of a chat completion; None for anything else."""
    said = _json(body)
    try:
        return str(said["choices"][0]["message"]["content"])
    except (TypeError, KeyError, IndexError):
        return None


def judge(answer: Answer, expected: Expected) -> Ending:
    """Say what became of a request that we did not leave."""
    if answer.status is None:
        return Ending.CUT
    if answer.status >= 300:
        return _judge_error(answer)
    body, refused = _without_ours(answer.body) if answer.events else (answer.body, False)
    whole = answer.complete and not refused
    fits = expected.fits(body, whole=whole)
    if not fits and answer.events and not whole:
        # The end of the connection may have come in the middle of an error event.
        fits = expected.fits(_without_begun(body), whole=False)
    if not fits:
        return Ending.WRONG
    if refused:
        return Ending.REFUSED
    return Ending.ANSWERED if answer.complete else Ending.CUT


def judge_left(answer: Answer, expected: Expected) -> Ending:
    """Say what became of a request that we left: what had come of its answer must be right."""
    if answer.complete:
        return judge(answer, expected)
    return Ending.WRONG if judge(answer, expected) is Ending.WRONG else Ending.LEFT


@attrs.define
class Account:
    """Every request by its ending."""

    sent: int = 0
    endings: Counter[Ending] = attrs.field(factory=Counter)
    codes: Counter[bytes] = attrs.field(factory=Counter)
    """What was refused, by the error's code."""
    failures: list[str] = attrs.field(factory=list)
    """What must not have happened, a story each."""
    open: dict[int, str] = attrs.field(factory=dict)
    """Requests without an ending yet."""

    def send(self, what: str) -> int:
        """Count a request; answer with its number."""
        self.sent += 1
        self.open[self.sent] = what
        return self.sent

    def end(self, number: int, ending: Ending, answer: Answer | None = None) -> None:
        """Give a request its ending."""
        what = self.open.pop(number)
        self.endings[ending] += 1
        if ending is Ending.REFUSED and answer is not None:
            self.codes.update(_CODE.findall(answer.body)[-1:])
        if ending in (Ending.HUNG, Ending.WRONG):
            self.fail(f"request {number} {ending.value}: {what}: {_shown(answer)}")

    def fail(self, story: str) -> None:
        """Note what must not have happened."""
        self.failures.append(story)

    @property
    def adds_up(self) -> bool:
        """Whether every request has its ending, and none a bad one."""
        return not self.open and self.sent == self.endings.total() and not self.failures

    def __str__(self) -> str:
        count = {ending: self.endings[ending] for ending in Ending}
        refused, cut = count[Ending.REFUSED], count[Ending.CUT]
        text = (
            f"{self.sent} sent = {count[Ending.ANSWERED]} answered + {refused + cut} failed "
            f"({refused} refused, {cut} cut) + {count[Ending.LEFT]} left by us; "
            f"{count[Ending.HUNG]} hung, {count[Ending.WRONG]} wrong"
        )
        return text + (f", {len(self.open)} without an ending" if self.open else "")


def _judge_error(answer: Answer) -> Ending:
    """Know an error for swapd's own; a model here makes none, so another's is a stranger's."""
    if not answer.complete:
        return Ending.CUT
    error = _json(answer.body)
    ours = isinstance(error, dict) and error.get("src") == "swapd" and "code" in error["error"]
    return Ending.REFUSED if ours else Ending.WRONG


def _without_ours(body: bytes) -> tuple[bytes, bool]:
    """Take from a stream what swapd has put before and behind the model's; was there an error?"""
    while body.startswith((_COMMENT, _REASONING)):
        body = body.partition(b"\n\n")[2]
    before, ours, _ = body.rpartition(_ERROR_EVENT)
    return (before, True) if ours else (body, False)


def _without_begun(body: bytes) -> bytes:
    """Take the beginning of an error event from the end of a stream, if it is clearly one."""
    for length in range(len(_ERROR_EVENT), _LIKE_OTHERS, -1):
        if body.endswith(_ERROR_EVENT[:length]):
            return body[:-length]
    return body


def _said(event: bytes) -> str:
    chunk = _json(event.removeprefix(b"data: "))
    try:
        return str(chunk["choices"][0]["delta"].get("content") or "")
    except (TypeError, KeyError, IndexError):
        return f"<{event!r}>"  # nothing that a model says


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _shown(answer: Answer | None) -> str:
    if answer is None:
        return "nothing came"
    end = "complete" if answer.complete else "cut"
    return f"{answer.status}, {len(answer.body)} bytes, {end}: {answer.body[:300]!r} ... " + repr(
        answer.body[-300:]
    )
