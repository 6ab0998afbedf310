"""What goes to standard output, and how it is written there. Pure.

Rule 1: with priorities and as JSON every line is whole and valid, whatever a model wrote.
Rule 2: nothing waits for ever, and nothing grows: a model's unfinished line is bounded.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any, TypeAlias, assert_never

import attrs

from swapd.ids import ModelId
from swapd.watch.clockface import utc
from swapd.watch.follower import marker
from swapd.watch.journal import Assembly

# Who speaks where no model does.
OURSELVES = "swapd"

# systemd's numbers (sd-daemon(3)).
PRIORITIES = {"error": 3, "warn": 4, "info": 6, "debug": 7}


class Form(Enum):
    """How standard output is written."""

    TEXT = "text"
    """As the logs have it; what models write as they write it."""
    PRIORITY = "priority"
    """Lines that begin with their priority, for a service manager, which adds the time itself."""
    JSON = "json"
    """An object a line."""


@attrs.frozen
class Message:
    """One of our own."""

    at: float
    """Unix time."""
    level: str
    text: str
    """On one line."""
    more: tuple[str, ...]
    """Further lines, such as a traceback."""
    written: bytes
    """All of it, as the logs have it."""
    fields: Mapping[str, Any] = attrs.field(factory=dict)
    """What else is known of it, for programs."""


@attrs.frozen
class Output:
    """A piece of what a model writes."""

    at: float
    model: ModelId
    data: bytes
    """Empty when its run is over."""


Entry: TypeAlias = Message | Output


@attrs.define
class Printer:
    """Writes entries in one form."""

    form: Form
    _assemblies: dict[ModelId, Assembly] = attrs.field(factory=dict)
    """Of the models with an unfinished line, or a run."""

    def write(self, entries: Iterable[Entry]) -> bytes:
        """Answer with what they come to."""
        return b"".join(self._entry(entry) for entry in entries)

    def gap(self, at: float, count: int) -> bytes:
        """Say that so many bytes are missing here."""
        text = f"{count} bytes dropped"
        gap = Message(at, "warn", text, (), marker(count))
        return self.rest(at) + self._message(gap)

    def rest(self, at: float) -> bytes:
        """Answer with all lines that were not finished."""
        models = list(self._assemblies)
        return b"".join(self._output(Output(at, model, b"")) for model in models)

    def _entry(self, entry: Entry) -> bytes:
        match entry:
            case Message():
                return self._message(entry)
            case Output():
                return self._output(entry)
            case _:
                assert_never(entry)

    def _message(self, message: Message) -> bytes:
        match self.form:
            case Form.TEXT:
                return message.written
            case Form.PRIORITY:
                mark = f"<{PRIORITIES[message.level]}>"
                return "".join(
                    f"{mark}{line}\n" for line in (message.text, *message.more)
                ).encode()
            case Form.JSON:
                text = "\n".join((message.text, *message.more))
                return _object(message.at, message.level, OURSELVES, text, message.fields)
            case _:
                assert_never(self.form)

    def _output(self, output: Output) -> bytes:
        match self.form:
            case Form.TEXT:
                return output.data
            case Form.PRIORITY:
                mark = f"<{PRIORITIES['info']}>{output.model}: "
                return self._lines(output, lambda line: f"{mark}{line}\n".encode())
            case Form.JSON:
                return self._lines(
                    output, lambda line: _object(output.at, "info", output.model, line, {})
                )
            case _:
                assert_never(self.form)

    def _lines(self, output: Output, write: Callable[[str], bytes]) -> bytes:
        if output.data:
            whole = self._assemblies.setdefault(output.model, Assembly()).feed(output.data)
        else:
            whole = self._assemblies.pop(output.model, Assembly()).flush()
        return b"".join(map(write, whole))


def _object(at: float, level: str, source: str, text: str, fields: Mapping[str, Any]) -> bytes:
    said = {"at": utc(at), "level": level, "source": source, "text": text}
    try:
        line = _dumped({**said, **{name: fields[name] for name in fields if name not in said}})
    except (TypeError, ValueError, RecursionError):
        # Not a number, or a key that is no text: then as people would have it.
        line = _dumped({**said, "fields": repr(fields)})
    return f"{line}\n".encode(errors="replace")


def _dumped(value: object) -> str:
    return json.dumps(
        value, ensure_ascii=False, allow_nan=False, default=str, separators=(",", ":")
    )
