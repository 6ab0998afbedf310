"""What was measured, kept over restarts: one small file, which several daemons may share.

Rule 1: nothing here is worth a failure. A file that cannot be read, or that is none of ours, is as
good as none; one that cannot be written is one line in the log.
Rule 2: figures belong to a definition, of which a digest is kept beside them. Those of another
definition count nothing, and stay until they are replaced or nobody has used them for long.
Rule 3: in the file only that is replaced which was measured here, in one step. Not under a lock:
two daemons that write in the same moment lose a minute of one of them, which is nothing.
Rule 4: disks can hang. While requests are served the file is written in a thread, which gets
values and touches nothing of the scheduler's.
"""

import hashlib
import json
import logging
import os
import re
import stat
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from math import inf
from pathlib import Path

import attrs
import trio

from swapd.config.settings import Model
from swapd.ids import ModelId
from swapd.schedule.measures import Average, Measured, Measures

log = logging.getLogger(__name__)

FILE = "measures.json"

VERSION = 1

# What a crash may cost; figures move slowly.
SAVE_EVERY = 60.0

# How long a model is remembered that nobody configures any more, and how many there may be.
KEPT = 90 * 24 * 3600.0
MOST = 1000

# Many times what that many models need; whatever is larger is not ours.
LARGEST = 4 * 1024 * 1024

# No load, stop or service takes a week; whoever measured that measured something else.
ABSURD = 7 * 24 * 3600.0


Pair = tuple[float, float]
"""Mean and longest seconds."""


class NotOurs(Exception):
    """The file says nothing that we have written."""


class Keeper:
    """Keeps measures in a folder; in none if there is none. `models` tells what is configured."""

    def __init__(
        self,
        folder: Path | None,
        measures: Measures,
        models: Callable[[], Mapping[ModelId, Model]],
        *,
        in_thread: Callable[[Callable[[], None]], Awaitable[None]] | None = None,
    ) -> None:
        self._folder = folder
        self._measures = measures
        self._models = models
        self._in_thread = in_thread or _in_thread
        self._counted = measures.changed
        self._kept: dict[ModelId, Figures] = {}
        self._failed = False

    def recall(self) -> None:
        """Take up what was measured before, of those models that are still defined like that."""
        if self._folder is None:
            return
        try:
            entries = _read(self._folder / FILE)
        except FileNotFoundError:
            return
        except (OSError, NotOurs) as problem:
            log.warning("cannot use what was measured before: %s", problem)
            return
        for model, definition in self._models().items():
            entry = entries.get(model)
            if entry is not None and entry.process == process_of(definition):
                self._measures.models[model] = entry.figures.measured()
                self._kept[model] = entry.figures

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write, now and then, what has been measured since the last time, until cancelled."""
        task_status.started()
        while True:
            await trio.sleep(SAVE_EVERY)
            if (news := self._news()) is not None:
                with self._telling(news):
                    await self._in_thread(news.write)

    def save(self) -> None:
        """Write what has not been written yet, at the end."""
        if (news := self._news()) is not None:
            with self._telling(news):
                news.write()

    def _news(self) -> "_News | None":
        if self._folder is None or self._measures.changed == self._counted:
            return None
        measured = self._measures.models.items()
        now = {model: Figures.of(known) for model, known in measured if known != Measured()}
        # Another daemon may have measured more of a model that was only recalled here.
        fresh = {model: now[model] for model in now if now[model] != self._kept.get(model)}
        return _News(self._folder / FILE, self._models(), fresh, self._measures.changed)

    @contextmanager
    def _telling(self, news: "_News") -> Iterator[None]:
        """Note that the news are kept, or say why not: once until they are again."""
        try:
            yield
        except OSError as problem:
            if not self._failed:
                log.warning("cannot keep what was measured: %s", problem)
            self._failed = True
        else:
            self._counted = news.counted
            self._kept.update(news.fresh)
            self._failed = False


def process_of(model: Model) -> str:
    """Answer with a digest of what decides whether a process goes on under a definition.

    The port is left out: it moves when other models come and go, and takes nobody any time.
    """
    told = [model.argv, model.env, model.proxy, model.check_endpoint, model.stop_argv]
    text = json.dumps(told, ensure_ascii=False)
    text = re.sub(rf"(?<!\d){model.origin.port}(?!\d)", "${PORT}", text)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


@attrs.frozen
class Figures:
    """Seconds by what took them; None for what has not happened."""

    load_s: Pair | None = None
    stop_s: Pair | None = None
    service_s: Pair | None = None

    @classmethod
    def of(cls, known: Measured) -> "Figures":
        """Copy them from what goes on changing."""
        return cls(*map(_pair, (known.load, known.stop, known.service)))

    def measured(self) -> Measured:
        """Answer with what can be added to."""
        pairs = (self.load_s, self.stop_s, self.service_s)
        return Measured(*(pair and Average(*pair) for pair in pairs))


@attrs.frozen
class _Entry:
    """What the file says of a model."""

    process: str
    seen: float
    """When it was last configured, in seconds since 1970."""
    figures: Figures

    def as_data(self) -> dict[str, object]:
        told = attrs.asdict(self.figures, filter=lambda _, pair: pair is not None)
        rounded = {name: [round(seconds, 3) for seconds in pair] for name, pair in told.items()}
        return {"process": self.process, "seen": int(self.seen), **rounded}


@attrs.frozen
class _News:
    """What is to be written."""

    path: Path
    models: Mapping[ModelId, Model]
    fresh: Mapping[ModelId, Figures]
    counted: int

    def write(self) -> None:
        """Put the news into the file, beside what others have there; raise OSError."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        now = time.time()
        entries: dict[str, _Entry] = {}
        with suppress(FileNotFoundError, NotOurs):
            entries = _read(self.path)
        for model in self.models.keys() & {*entries, *self.fresh}:
            process = process_of(self.models[model])
            before = entries.get(model)
            if model in self.fresh:
                entries[model] = _Entry(process, now, self.fresh[model])
            elif before is not None and before.process == process:
                entries[model] = attrs.evolve(before, seen=now)
        _replace(self.path, _bounded(entries, now))


def _bounded(entries: Mapping[str, _Entry], now: float) -> dict[str, _Entry]:
    # A stamp of tomorrow comes from a clock that was wrong, and would be kept longest.
    recent = [
        (model, attrs.evolve(entry, seen=min(entry.seen, now)))
        for model, entry in entries.items()
        if entry.seen > now - KEPT
    ]
    recent.sort(key=lambda item: item[1].seen, reverse=True)
    return dict(sorted(recent[:MOST], key=lambda item: item[0]))


def _replace(path: Path, entries: Mapping[str, _Entry]) -> None:
    models = {model: entry.as_data() for model, entry in entries.items()}
    draft = path.with_suffix(".draft")
    # Made anew, for nobody else to read: digests are of definitions, which may hold secrets.
    draft.unlink(missing_ok=True)
    with open(draft, "x", opener=partial(os.open, mode=0o600)) as file:
        json.dump({"version": VERSION, "models": models}, file, indent=1)
    draft.replace(path)


def _read(path: Path) -> dict[str, _Entry]:
    """Read what is kept; raise OSError or `NotOurs`."""
    # Opening a pipe would wait for its writer.
    if not stat.S_ISREG(path.stat().st_mode):
        raise NotOurs(f"{path} is no file")
    with path.open("rb") as file:
        text = file.read(LARGEST + 1)
    if len(text) > LARGEST:
        raise NotOurs(f"{path} is too large")
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError) as broken:
        raise NotOurs(f"{path} is no JSON") from broken
    match tree:
        case {"version": int(version), "models": dict(models)} if version == VERSION:
            found = {model: _entry(told) for model, told in models.items()}
            return {model: entry for model, entry in found.items() if entry is not None}
    raise NotOurs(f"{path} is not of this version of swapd")


def _entry(told: object) -> _Entry | None:
    if not isinstance(told, dict):
        return None
    process, seen = told.get("process"), told.get("seen")
    if not isinstance(process, str) or not isinstance(seen, int | float) or not 0 <= seen < inf:
        return None
    names = (field.name for field in attrs.fields(Figures))
    return _Entry(process, seen, Figures(*(_sound(told.get(name)) for name in names)))


def _sound(told: object) -> Pair | None:
    match told:
        case [int() | float() as mean, int() | float() as longest]:
            sound = 0 <= mean <= longest <= ABSURD
            return (float(mean), float(longest)) if sound else None
        case _:
            return None


def _pair(average: Average | None) -> Pair | None:
    return None if average is None else (average.mean, average.longest)


async def _in_thread(write: Callable[[], None]) -> None:
    # Abandoned at the end: a disk that has gone must not hold the daemon.
    await trio.to_thread.run_sync(write, abandon_on_cancel=True)
