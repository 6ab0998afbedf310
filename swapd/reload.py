"""Taking up a changed configuration while serving.

Rule 1: a configuration that cannot be used changes nothing, and whoever asked is told why.
Rule 2: one reload at a time, and none is lost: what is asked for while one is running is done
after it, with the files as they are then.
Rule 3: what the process was started with stays until it is started again; `pending_restart` says
what of it has changed.
"""

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import attrs
import trio
from trio_util import periodic

from swapd.config.change import Changes, compare, fixed
from swapd.config.load import Loaded
from swapd.config.problems import ConfigError
from swapd.config.settings import Settings

log = logging.getLogger(__name__)

# How often files are looked at. Asked rather than told by the kernel: that works on every mount.
LOOK_EVERY = 1.0

Read = Callable[[Loaded], Awaitable[Loaded]]
"""Read the configuration, with the ports of the one before; raises `ConfigError`."""


class Reloader:
    """The configuration in use, and the way to the next one.

    `adopt` hands new settings over at once, and returns when they count.
    """

    def __init__(
        self, loaded: Loaded, *, read: Read, adopt: Callable[[Settings], Awaitable[None]]
    ) -> None:
        self.loaded = loaded
        self._began_with = loaded.settings
        self._read = read
        self._adopt = adopt
        self._one_at_a_time = trio.Lock()
        self._asked = trio.Event()

    @property
    def pending_restart(self) -> tuple[str, ...]:
        """Name the settings in use that take effect when the daemon is started again."""
        return fixed(self._began_with, self.loaded.settings)

    async def reload(self, *, dry_run: bool = False) -> Changes:
        """Take the files up as they are now, or only say what that would do.

        Raises `ConfigError` when they cannot be used.
        """
        async with self._one_at_a_time:
            loaded = await self._read(self.loaded)
            changes = compare(self.loaded.settings, loaded.settings)
            changes = attrs.evolve(
                changes, needs_daemon_restart=fixed(self._began_with, loaded.settings)
            )
            if not dry_run:
                _tell(loaded, changes)
                # Before the first wait: a client that hangs up must not leave half a reload.
                self.loaded = loaded
                await self._adopt(loaded.settings)
            return changes

    def ask(self) -> None:
        """Have a reload done soon; never waits."""
        self._asked.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Do what is asked for, until cancelled."""
        task_status.started()
        while True:
            await self._asked.wait()
            self._asked = trio.Event()
            try:
                await self.reload()
            except ConfigError as broken:
                tell_broken(broken)
            # A bug that some file brings to light must not end what runs well without the file.
            except Exception:
                log.exception("cannot reload; the configuration stays as it was")


def tell_remarks(loaded: Loaded) -> None:
    """Log what works, but hardly as it was meant."""
    for remark in loaded.remarks:
        log.warning("%s", remark)


def tell_broken(broken: ConfigError) -> None:
    """Log why nothing has changed."""
    log.error("cannot reload; the configuration stays as it was:")
    for problem in broken.problems:
        log.error("%s", problem)


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
        try:
            inside = [path for path in directory.iterdir() if path.suffix in (".yaml", ".yml")]
        except OSError:
            inside = []
        paths += sorted(inside)
    return tuple(filter(None, map(_seen, paths)))


def _seen(path: Path) -> tuple[str, int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return str(path), found.st_mtime_ns, found.st_size, found.st_ino


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
