"""What works, but hardly as it was meant.

llama-swap passes over these in silence. A file that runs there must run here, so they are no
mistakes; but somebody should know.
"""

from collections.abc import Callable, Iterator

from swapd.config.draft import Draft
from swapd.config.kinds import LEVELS, TIME_FORMATS, SchedulerKind
from swapd.config.problems import Problem
from swapd.config.values import quoted


def remarks(draft: Draft) -> tuple[Problem, ...]:
    """Say what is worth a second look in a configuration that `check` has nothing against."""
    return tuple(remark for look in LOOKS for remark in look(draft))


def _words(draft: Draft) -> Iterator[Problem]:
    written = draft.written
    for key, word, words, otherwise in (
        ("logLevel", written.log_level, LEVELS, "info"),
        ("logTimeFormat", written.log_time_format, TIME_FORMATS, "no time"),
    ):
        if word.strip() and word.strip().lower() not in words:
            message = f"{quoted(word)} means {otherwise}; known are {', '.join(words)}"
            yield Problem((key,), message)


def _preload(draft: Draft) -> Iterator[Problem]:
    for position, name in enumerate(draft.written.hooks.on_startup.preload):
        if name.strip() and draft.names.local(name.strip()) is None:
            message = f"there is no model {quoted(name)}: nothing is loaded for it"
            yield Problem(("hooks", "on_startup", "preload", position), message)


def _dead_aliases(draft: Draft) -> Iterator[Problem]:
    for own, model in draft.models():
        for position, alias in enumerate(model.aliases):
            if draft.model(alias) is not None:
                message = f"{quoted(alias)} is a model's id, which goes before the alias"
                yield Problem(("models", own, "aliases", position), message)


def _unused_router(draft: Draft) -> Iterator[Problem]:
    written = draft.written
    serial = written.routing.scheduler.use is SchedulerKind.SERIAL
    for key, there in (("groups", draft.router.groups), ("matrix", draft.router.matrix)):
        if serial and there:
            message = f"the scheduler serial has one model in memory and ignores {quoted(key)}"
            yield Problem(draft.router.path, message, key)


def _no_fifo(draft: Draft) -> Iterator[Problem]:
    if draft.written.routing.scheduler.use is SchedulerKind.FIFO:
        message = "this version has no scheduler fifo yet: swapd serve refuses it"
        yield Problem(("routing", "scheduler", "use"), message)


LOOKS: tuple[Callable[[Draft], Iterator[Problem]], ...] = (
    _words,
    _preload,
    _dead_aliases,
    _unused_router,
    _no_fifo,
)
