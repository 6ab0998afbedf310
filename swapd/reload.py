"""Taking up a changed configuration while serving.

Rule 1: a configuration that cannot be used changes nothing, and whoever asked is told why.
Rule 2: one reload at a time, and none is lost: what is asked for while one is running is done
after it, with the files as they are then.
Rule 3: what the process was started with stays until it is started again; `pending_restart` says
what of it has changed.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path

import attrs
import trio
from trio_util import periodic

from swapd.config.change import Changes, compare, fixed
from swapd.config.files import files_in
from swapd.config.load import Loaded
from swapd.config.problems import ConfigError, Located, Problem
from swapd.config.settings import Model, Settings
from swapd.ids import ModelId

log = logging.getLogger(__name__)

# How often files are looked at. Asked rather than told by the kernel: that works on every mount.
LOOK_EVERY = 1.0

# Longer than the longest configuration takes; a disk that has gone answers never.
READ_PATIENCE = 120.0

# How many mistakes of one reload are logged.
LOGGED = 100

Read = Callable[[Loaded], Awaitable[Loaded]]
"""Read the configuration, with the ports of the one before; raises `ConfigError`."""


@attrs.define(eq=False)
class _Job:
    """One reload that somebody wants."""

    dry_run: bool
    done: trio.Event = attrs.field(factory=trio.Event)
    changes: Changes | None = None
    failure: Exception | None = None


class Reloader:
    """The configuration in use, and the way to the next one.

    `adopt` hands new settings over at once, and returns when they count; `running` tells the
    definitions of the models that run. `began` and `ended`, with whether the files could be used,
    are told of each reload, and of no dry run.
    """

    def __init__(
        self,
        loaded: Loaded,
        *,
        read: Read,
        adopt: Callable[[Settings], Awaitable[None]],
        running: Callable[[], Mapping[ModelId, Model]],
        began: Callable[[], None] = lambda: None,
        ended: Callable[[bool], None] = lambda good: None,
    ) -> None:
        self.loaded = loaded
        self._began_with = loaded.settings
        self._read = read
        self._adopt = adopt
        self._running = running
        self._began, self._ended = began, ended
        self._pending: list[_Job] = []
        self._news = trio.Event()

    @property
    def pending_restart(self) -> tuple[str, ...]:
        """Name the settings in use that take effect when the daemon is started again."""
        return fixed(self._began_with, self.loaded.settings)

    async def reload(self, *, dry_run: bool = False) -> Changes:
        """Have the files taken up as they are now, or have it said what that would do.

        Raises `ConfigError` when they cannot be used. It is done all the same if nobody waits for
        the answer any more.
        """
        job = self._job(dry_run=dry_run)
        await job.done.wait()
        if isinstance(job.failure, ConfigError):
            raise ConfigError(job.failure.problems)
        if job.failure is not None:
            raise RuntimeError("cannot reload") from job.failure
        assert job.changes is not None
        return job.changes

    def ask(self) -> None:
        """Have a reload done soon; never waits."""
        self._job(dry_run=False)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Do what is asked for, one after the other, until cancelled."""
        task_status.started()
        while True:
            await self._news.wait()
            self._news = trio.Event()
            while self._pending:
                job = self._pending.pop(0)
                if not job.dry_run:
                    self._began()
                try:
                    job.changes = await self._carry_out(dry_run=job.dry_run)
                except ConfigError as broken:
                    job.failure = broken
                    if not job.dry_run:
                        _tell_broken(broken)
                # A bug that some file brings to light must not end what runs well without it.
                except Exception as bug:
                    job.failure = bug
                    log.exception("cannot reload; the configuration stays as it was")
                if not job.dry_run:
                    self._ended(job.failure is None)
                job.done.set()

    def _job(self, *, dry_run: bool) -> _Job:
        # One that has not begun will find the files as whoever asks now has left them.
        job = next((job for job in self._pending if job.dry_run == dry_run), None)
        if job is None:
            job = _Job(dry_run)
            self._pending.append(job)
            self._news.set()
        return job

    async def _carry_out(self, *, dry_run: bool) -> Changes:
        try:
            with trio.fail_after(READ_PATIENCE):
                loaded = await self._read(self.loaded)
        except trio.TooSlowError as slow:
            message = f"cannot read it within {READ_PATIENCE:g} s: is its disk there?"
            raise ConfigError([Located(Problem((), message))]) from slow
        changes = attrs.evolve(
            compare(self.loaded.settings, loaded.settings, self._running()),
            needs_daemon_restart=fixed(self._began_with, loaded.settings),
        )
        if not dry_run:
            _tell(loaded, changes)
            self.loaded = loaded
            await self._adopt(loaded.settings)
        return changes


def tell_remarks(loaded: Loaded) -> None:
    """Log what works, but hardly as it was meant."""
    for remark in loaded.remarks:
        log.warning("%s", remark)


def _tell_broken(broken: ConfigError) -> None:
    log.error("cannot reload; the configuration stays as it was:")
    for problem in broken.problems[:LOGGED]:
        log.error("%s", problem)
    if len(broken.problems) > LOGGED:
        log.error("and more: swapd check tells all of them")


async def watch(
    look: Callable[[], Awaitable[object]], changed: Callable[[], None], *, known: object
) -> None:
    """Call `changed` when what `look` sees is not what was known, and has stopped changing.

    `known` is what was seen before the files were read. Nothing at all is no change: whoever saves
    a file may remove it first.
    """
    before = known
    async for _ in periodic(LOOK_EVERY):
        now = await look()
        # Seen twice alike: a file that is still being written is not half read.
        if now and now == before and now != known:
            known = now
            changed()
        before = now


def seen(config: Path | None, directory: Path | None) -> object:
    """Say what there is to see of the files of a configuration; nothing if there are none."""
    paths = [] if config is None else [config]
    if directory is not None:
        with suppress(OSError):
            paths += files_in(directory)
    return tuple(filter(None, map(_seen, paths)))


def _seen(path: Path) -> tuple[object, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    # Nothing yet, or nothing left on the disk: no configuration is empty on purpose.
    if not found.st_size:
        return None
    # The inode's time, too: a file that may be read again is another sight.
    return str(path), found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


def _tell(loaded: Loaded, changes: Changes) -> None:
    tell_remarks(loaded)
    parts = [
        f"{word} {', '.join(models)}"
        for word, models in (
            ("restart", changes.restart),
            ("removed", changes.removed),
            ("added", changes.added),
        )
        if models
    ]
    log.info("reloaded: %s", "; ".join([f"{len(changes.unchanged)} unchanged", *parts]))
    if changes.needs_daemon_restart:
        log.warning("at the next start only: %s", ", ".join(changes.needs_daemon_restart))
