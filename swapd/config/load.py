"""From files to `Settings`: read, merge, expand macros, decode, check the rules, resolve, settle.

Rule 1: every step that can say something useful about a broken configuration does.
Rule 2: a value that one step found wrong is not blamed again by a later one; a wrong key is
another matter than its value.
"""

import gc
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import attrs

from swapd.config.credentials import Credentials
from swapd.config.decode import decode
from swapd.config.draft import Draft
from swapd.config.expand import Expanded, Ports, expand
from swapd.config.keys import keys
from swapd.config.merge import Merged, merge
from swapd.config.problems import ConfigError, Located, Problem, by_place
from swapd.config.remarks import remarks, without_keys
from swapd.config.resolve import resolve
from swapd.config.rules import check
from swapd.config.secrets import Secrets, secrets_of
from swapd.config.settings import Settings
from swapd.config.settle import settle
from swapd.config.source import Source, read
from swapd.config.written import WrittenSettings


@attrs.frozen
class Loaded:
    """A sound configuration."""

    settings: Settings
    written: WrittenSettings = WrittenSettings()
    """The same as keys of a file, with nothing left to inherit or to fill in."""
    ports: Ports = Ports()
    remarks: tuple[Located, ...] = ()
    """What works, but hardly as it was meant."""
    secrets: frozenset[str] = attrs.field(default=frozenset(), repr=False)
    """Credentials and secrets of the environment that were filled in; not to be shown."""


def load(
    paths: Sequence[Path], environ: Mapping[str, str], *, before: Ports | None = None
) -> Loaded:
    """Read a configuration, or raise a `ConfigError` with everything that is wrong with it.

    `before` has the ports that models keep, in a reload.
    """
    # A large file becomes very many objects, none of them garbage; looking through them again and
    # again stops everybody for 50 ms at a time.
    gc.disable()
    credentials = Credentials(environ)
    try:
        sources = _read_all(paths, environ, credentials)
        loaded = loaded_from(sources, before=before)
    except ConfigError as broken:
        # All that may have got into a message: nobody says what the broken ones used.
        hide = secrets_of(environ) | credentials.read
        raise ConfigError(_hidden(broken.problems, hide)) from broken
    finally:
        gc.enable()
    secrets = credentials.read.union(*(source.secrets for source in sources))
    return attrs.evolve(loaded, remarks=tuple(_hidden(loaded.remarks, secrets)), secrets=secrets)


def loaded_from(sources: Sequence[Source], *, before: Ports | None = None) -> Loaded:
    """Make settings of what was read, or raise a `ConfigError`."""
    merged = merge(sources)
    expanded = expand(merged.tree, sections=keys(WrittenSettings).values(), before=before)
    written, mistakes = decode(expanded.tree)
    draft = Draft(written, expanded.ports.given)

    problems = list(merged.problems)
    told = {located.problem.path for located in problems if located.problem.key is None}
    for step in (expanded.problems, mistakes, check(draft, names=_names_known(draft, mistakes))):
        new = [problem for problem in step if problem.key is not None or problem.path not in told]
        problems += _located(new, merged, expanded)
        told |= {problem.path for problem in new if problem.key is None}
    if problems:
        raise ConfigError(problems)
    resolved = resolve(draft)
    # In the order of the files, as problems are.
    noticed = (*remarks(draft), *without_keys(expanded.tree, draft))
    told_apart = sorted(_located(noticed, merged, expanded), key=by_place)
    return Loaded(settle(resolved), resolved, expanded.ports, tuple(told_apart))


def _names_known(draft: Draft, mistakes: Iterable[Problem]) -> bool:
    """Say whether a name that stands for nothing is a mistake of its own.

    Not where the model that it stands for could not be read.
    """
    lost = any(
        problem.key is None and problem.path[:1] in (("models",), ("peers",))
        for problem in mistakes
    )
    elsewhere = not draft.written.models and any(problem.path == () for problem in mistakes)
    return not lost and not elsewhere


def _hidden(problems: Iterable[Located], secrets: Iterable[str]) -> Iterable[Located]:
    hide = Secrets(secrets)
    for located in problems:
        problem = located.problem
        key = problem.key and hide.hidden(problem.key)
        path = tuple(hide.hidden(step) if isinstance(step, str) else step for step in problem.path)
        yield Located(Problem(path, hide.hidden(problem.message), key), located.place)


def _located(problems: Iterable[Problem], merged: Merged, expanded: Expanded) -> Iterable[Located]:
    for problem in problems:
        path = expanded.as_written(problem.path)
        located = merged.located(attrs.evolve(problem, path=path))
        yield attrs.evolve(located, problem=attrs.evolve(located.problem, path=problem.path))


def _read_all(
    paths: Sequence[Path], environ: Mapping[str, str], credentials: Credentials
) -> list[Source]:
    sources: list[Source] = []
    problems: list[Located] = []
    for path in paths:
        try:
            sources.append(read(path, environ, credentials))
        except ConfigError as unreadable:
            problems += unreadable.problems
    if problems:
        raise ConfigError(problems)
    return sources
