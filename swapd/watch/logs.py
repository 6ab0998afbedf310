"""All logs: our own, what the models write, and both of them as standard output has them.

Rule 1: every log has its own history and its own followers, whatever goes to standard output.
Rule 2: what goes there is decided at the start; level and form of the time follow each reload.
Rule 3: a message is one line, and whatever a client or a file put into it cannot begin another;
only a traceback has further lines, and those are indented.
Rule 4: any thread may log. Followers live in trio's, so what others say is brought there.
"""

import logging
import time
import traceback
from collections.abc import Callable, Mapping
from functools import partial

import attrs
import trio

from swapd.config.kinds import LogLevel, LogTarget
from swapd.config.settings import Settings
from swapd.ids import ModelId
from swapd.watch.clockface import stamp
from swapd.watch.journal import RunOutput, visible
from swapd.watch.monitor import Monitor
from swapd.watch.printing import Entry, Message, Output

LEVELS: Mapping[LogLevel, int] = {
    LogLevel.DEBUG: logging.DEBUG,
    LogLevel.INFO: logging.INFO,
    LogLevel.WARN: logging.WARNING,
    LogLevel.ERROR: logging.ERROR,
}

# In front of the further lines of a message.
INDENT = "    "


def _nowhere(entry: Entry) -> None:
    """Where standard output is not wanted."""


def _never(seconds: float) -> None:
    """Where nothing waits."""


@attrs.define(eq=False)
class Logs:
    """Every log there is."""

    to_stdout: LogTarget
    _out: Callable[[Entry], None] = attrs.field(kw_only=True, default=_nowhere)
    """Takes what goes to standard output; from any thread."""
    flush: Callable[[float], None] = attrs.field(kw_only=True, default=_never)
    """Writes what waits to be written, for so many seconds at most, and then nothing more."""
    combined: Monitor = attrs.field(init=False, factory=Monitor)
    """What goes to standard output."""
    proxy: Monitor = attrs.field(init=False)
    """What we say ourselves."""
    upstream: Monitor = attrs.field(init=False)
    """What all models write."""
    handler: logging.Handler = attrs.field(init=False)
    """For the root logger: puts what is logged in here."""
    _models: dict[ModelId, Monitor] = attrs.field(init=False, factory=dict)
    _time_format: str = attrs.field(init=False, default="")
    _home: trio.lowlevel.TrioToken | None = attrs.field(init=False, default=None)
    """How other threads reach trio's."""
    _closed: bool = attrs.field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        self.proxy = self._monitor(LogTarget.PROXY)
        self.upstream = self._monitor(LogTarget.UPSTREAM)
        self.handler = _Handler(self._say)

    def of(self, model: ModelId) -> Monitor:
        """Answer with a model's log, which outlives its runs."""
        monitor = self._models.get(model)
        if monitor is None:
            monitor = self._models[model] = Monitor(self.upstream)
            if self._closed:
                monitor.close()
        return monitor

    def known(self, model: ModelId) -> Monitor | None:
        """Answer with a model's log, if it has one yet."""
        return self._models.get(model)

    def run_output(self, model: ModelId) -> RunOutput:
        """Answer with where a run of it is to write."""
        shown = self._shows(LogTarget.UPSTREAM)
        output = RunOutput(self.of(model), partial(self._wrote, model) if shown else _unheard)
        # What an earlier run did not finish is not the beginning of this one's first line.
        output.end()
        return output

    def announce(self, text: str) -> None:
        """Say something whatever the level, such as where we are to be found."""
        here, level = __name__, logging.INFO
        self._say(logging.LogRecord(here, level, "", 0, text, None, None))

    def adopt(self, settings: Settings) -> None:
        """Follow new settings; the logs of models that are gone from them end."""
        self.handler.setLevel(LEVELS[settings.log_level])
        self._time_format = settings.log_time_format
        for gone in self._models.keys() - settings.models.keys():
            self._models.pop(gone).close()

    def close(self) -> None:
        """End everybody's following; what is written is still kept."""
        self._closed = True
        for monitor in (self.proxy, self.upstream, self.combined, *self._models.values()):
            monitor.close()

    def _monitor(self, own: LogTarget) -> Monitor:
        return Monitor(self.combined) if self._shows(own) else Monitor()

    def _shows(self, own: LogTarget) -> bool:
        return self.to_stdout in (own, LogTarget.BOTH)

    def _wrote(self, model: ModelId, data: bytes) -> None:
        self._out(Output(time.time(), model, data))

    def _say(self, record: logging.LogRecord) -> None:
        message = _message(record, self._time_format)
        if self._shows(LogTarget.PROXY):
            self._out(message)
        if trio.lowlevel.in_trio_run():
            self._home = trio.lowlevel.current_trio_token()
        elif self._home is not None:
            try:
                self._home.run_sync_soon(self.proxy.write, message.written)
            except trio.RunFinishedError:
                self._home = None
            else:
                return
        self.proxy.write(message.written)


class _Handler(logging.Handler):
    """Python's way in."""

    def __init__(self, say: Callable[[logging.LogRecord], None]) -> None:
        super().__init__()
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        self._say(record)


def _unheard(data: bytes) -> None:
    """Where what models write does not go to standard output."""


def _message(record: logging.LogRecord, time_format: str) -> Message:
    level = _level(record.levelno)
    text = visible(_text(record))
    more = _traceback(record)
    at = stamp(time_format, record.created)
    first = f"{at}{' ' if at else ''}[{level.upper()}] {text}"
    written = "\n".join((first, *more, "")).encode(errors="replace")
    fields = getattr(record, "fields", None)
    known = dict(fields) if isinstance(fields, Mapping) else {}
    return Message(record.created, level, text, more, written, known)


def _level(number: int) -> str:
    if number >= logging.ERROR:
        return "error"
    if number >= logging.WARNING:
        return "warn"
    return "info" if number >= logging.INFO else "debug"


def _text(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        # Arguments that do not fit are a bug of whoever logs, and no reason to say nothing.
        return f"{record.msg} {record.args!r}"


def _traceback(record: logging.LogRecord) -> tuple[str, ...]:
    if not record.exc_info or record.exc_info[1] is None:
        return ()
    text = "".join(traceback.format_exception(record.exc_info[1]))
    return tuple(INDENT + visible(line) for line in text.splitlines())
