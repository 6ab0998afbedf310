"""The access log: a line for each request that is over. The shape is llama-swap's, and some more.

Rule 1: what a client wrote cannot end its place in the line.
"""

import logging
from typing import Any

import trio

from swapd.watch.trace import Trace

log = logging.getLogger(__name__)

# Asked for all day by machines; nobody wants to read of it.
SKIPPED = ("/wol-health", "/api/performance", "/metrics")


def tell(trace: Trace) -> None:
    """Log that a request is over."""
    if not log.isEnabledFor(logging.INFO) or trace.path.startswith(SKIPPED):
        return
    total = trio.current_time() - trace.began
    # Made here: who logs from where is looked up for every record, and nobody asks.
    record = logging.LogRecord(log.name, logging.INFO, "", 0, _line(trace, total), None, None)
    record.fields = _fields(trace, total)
    log.handle(record)


def duration(seconds: float) -> str:
    """Write a duration as Go does: 845.123µs, 12.5ms, 1.5s, 2m3.5s, 1h0m2s."""
    if not seconds:
        return "0µs"
    if seconds < 1:
        unit, factor = ("ms", 1e3) if seconds >= 1e-3 else ("µs", 1e6)
        return f"{_plain(seconds * factor, 6 if unit == 'ms' else 3)}{unit}"
    minutes, rest = divmod(round(seconds, 6), 60)
    hours, minutes = divmod(int(minutes), 60)
    larger = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{larger}{_plain(rest, 6)}s"


def _plain(number: float, digits: int) -> str:
    text = f"{number:.{digits}f}"
    return text.rstrip("0").rstrip(".")


def _line(trace: Trace, total: float) -> str:
    asked = f'"{trace.method} {_quotable(trace.path)} HTTP/{trace.protocol}"'
    answered = f'{trace.told_status} {trace.bytes} "{_quotable(trace.agent)}" {duration(total)}'
    line = f"Request {trace.address} {asked} {answered}"
    if not trace.name:
        return line
    waits = f"queue={duration(trace.queued)} load={duration(trace.loading)}"
    return f'{line} id={trace.name} model="{_quotable(trace.model)}" {trace.outcome} {waits}'


def _fields(trace: Trace, total: float) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "client": trace.address,
        "method": trace.method,
        "path": trace.path,
        "status": trace.told_status,
        "bytes": trace.bytes,
        "agent": trace.agent,
        "total_s": round(total, 6),
    }
    if trace.name:
        fields["request"] = trace.name
        fields["model"] = trace.model
        fields["outcome"] = trace.outcome
        fields["queue_s"] = round(trace.queued, 6)
        fields["load_s"] = round(trace.loading, 6)
    return fields


def _quotable(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"') if '"' in text or "\\" in text else text
