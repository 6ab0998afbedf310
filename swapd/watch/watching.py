"""What is done for people with every request for a model: listened to, logged, counted, recorded.

Rule 1: nothing here is awaited, and nothing comes between a byte and its client.
Rule 2: whatever an answer says, no request fails for it.
Rule 3: of answers under way there is never captured more than is kept. The body of a request is in
memory anyway, until it is over.
"""

import sys
import time
from collections.abc import Callable

import attrs
import trio

from swapd.config.settings import Settings
from swapd.watch import access
from swapd.watch.activity import Activity
from swapd.watch.captures import MEGABYTE, Capture, mask, redacted
from swapd.watch.gpus import Gpus
from swapd.watch.hardware import Hardware
from swapd.watch.logs import Logs
from swapd.watch.machine import Machine
from swapd.watch.numbers import Numbers
from swapd.watch.recorder import Recorder
from swapd.watch.tap import Found, Tap
from swapd.watch.tokens import Tokens
from swapd.watch.trace import Trace

# The most that is captured of one answer, in bytes: many times a long chat.
LONGEST_CAPTURE = 256 * 1024

# So many requests are looked at together: that costs each half of what it does alone, for the
# interpreter comes from elsewhere; and all of them no longer than anybody notices.
TOGETHER = 16

NOTHING = Found()

_ENCODING = b"content-encoding"


@attrs.define
class Watching:
    """Watches requests; `settings` answers with what counts now."""

    settings: Callable[[], Settings]
    logs: Logs
    recorder: Recorder
    numbers: Numbers
    gpus: Gpus
    machine: Machine
    hardware: Hardware
    _finished: list[tuple[Trace, float, int]] = attrs.field(factory=list)
    """What is over and not recorded yet, when that was, and how many ms it lasted."""
    _reserved: int = 0
    """How many bytes of answers under way may still be captured."""

    def __attrs_post_init__(self) -> None:
        self.recorder.gather = self.settle

    def adopt(self, settings: Settings) -> None:
        """Follow a configuration that was loaded anew."""
        self.logs.adopt(settings)
        self.machine.adopt(settings.performance)
        self.recorder.captures.resize(settings.capture_buffer * MEGABYTE)

    def listen(self, trace: Trace) -> Callable[[bytes], None]:
        """Answer with who hears the body of a model's answer, whose head the trace has."""
        if not (trace.recorded and self.settings().record_activity):
            return _nobody
        keep = self._room() if mask(trace.route).response_body else 0
        self._reserved += keep
        trace.reserved = keep
        tap = trace.tap = Tap(
            path=trace.route,
            content_type=trace.kind,
            encoding=_encoding(trace),
            keep=keep,
        )
        return tap.feed

    def over(self, trace: Trace) -> None:
        """Take note of a request that is over; to be called where an error of ours passes by."""
        if isinstance(sys.exception(), Exception):
            trace.failed()
        if trace.method == "HEAD":
            trace.bytes = 0  # What was said of the body was not sent.
        access.tell(trace)
        if not trace.name:
            return
        self.numbers.over(trace)
        if not (trace.recorded and self.settings().record_activity):
            self._reserved -= trace.reserved
        else:
            lasted = trio.current_time() - trace.began
            self._finished.append((trace, time.time(), int(lasted * 1000)))
            if len(self._finished) >= TOGETHER:
                self.settle()
            else:
                self.recorder.expect()

    def settle(self) -> None:
        """Record all that is over."""
        while self._finished:
            self._record(*self._finished.pop(0))

    def _record(self, trace: Trace, at: float, lasted: int) -> None:
        self._reserved -= trace.reserved
        tap = trace.tap
        found = tap.found() if tap is not None else NOTHING
        fine = 200 <= trace.told_status < 300 and not trace.refused
        tokens = found.tokens if fine else Tokens()
        activity = Activity(
            request=trace.name,
            at=at,
            model=trace.model,
            path=trace.route,
            content_type=trace.kind,
            status=trace.told_status,
            tokens=tokens,
            duration_ms=max(lasted, tokens.model_ms),
            error=_error(trace, found),
            metadata=trace.metadata,
            outcome=trace.outcome,
            queued=trace.queued,
            loading=trace.loading,
            first_byte=trace.first_byte,
            bytes=trace.bytes,
        )
        self.numbers.said(trace, tokens)
        self.recorder.record(activity, self._capture(trace, found, fine=fine))

    def _capture(self, trace: Trace, found: Found, *, fine: bool) -> Capture | None:
        nothing_to_see = fine and (found.failed or not trace.bytes)
        if not self.recorder.captures.enabled or nothing_to_see:
            return None
        seen = mask(trace.route)
        cut = []
        if seen.request_body and trace.request_body is None:
            cut.append("req_body")
        if fine and seen.response_body and (found.truncated or not trace.whole):
            cut.append("resp_body")
        request, response = trace.request_headers, trace.response_headers
        return Capture(
            path=trace.route,
            request_headers=redacted(request) if seen.request_headers else None,
            request_body=trace.request_body if seen.request_body else None,
            response_headers=redacted(response, without_encoding=True),
            response_body=found.kept if fine and seen.response_body else None,
            truncated=tuple(cut),
        )

    def _room(self) -> int:
        free = self.recorder.captures.most - self._reserved
        return LONGEST_CAPTURE if free >= LONGEST_CAPTURE else 0


def _nobody(piece: bytes) -> None:
    """Hear nothing."""


def _error(trace: Trace, found: Found) -> str:
    if trace.refused:
        return trace.said
    if not trace.whole:
        return "the client left before the end"
    return found.error(trace.status)


def _encoding(trace: Trace) -> str:
    for name, value in trace.response_headers:
        if len(name) == len(_ENCODING) and name.lower() == _ENCODING:
            return value.decode("latin-1")
    return ""
