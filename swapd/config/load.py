"""From files to `Settings`: read, merge, expand macros, decode, check the rules.

Rule 1: every step that can say something useful about a broken configuration does.
Rule 2: a value that one step found wrong is not blamed again by a later one; a wrong key is
another matter than its value.
"""

from collections.abc import Sequence
from pathlib import Path

from swapd.config.decode import decode
from swapd.config.macros import expand
from swapd.config.merge import merge
from swapd.config.problems import ConfigError, Located, Problem
from swapd.config.rules import check, settle
from swapd.config.settings import Settings
from swapd.config.source import Source, read
from swapd.config.written import WrittenSettings, keys


def load(paths: Sequence[Path]) -> Settings:
    """Read a configuration, or raise a `ConfigError` with everything that is wrong with it."""
    return settings_from(_read_all(paths))


def settings_from(sources: Sequence[Source]) -> Settings:
    """Make settings of what was read, or raise a `ConfigError`."""
    merged = merge(sources)
    expanded = expand(merged.tree, sections=keys(WrittenSettings).values())
    written, mistakes = decode(expanded.tree)
    broken = check(written, expanded.ports)

    problems = list(merged.problems)
    told = {located.problem.path for located in problems if located.problem.key is None}
    for step in (expanded.problems, mistakes, broken):
        new = [problem for problem in step if problem.key is not None or problem.path not in told]
        problems += (merged.located(problem) for problem in new)
        told |= {problem.path for problem in new if problem.key is None}
    if problems:
        raise ConfigError(problems)
    return settle(written)


def _read_all(paths: Sequence[Path]) -> list[Source]:
    if not paths:
        raise ConfigError([Located(Problem((), "no configuration file given"))])
    sources: list[Source] = []
    problems: list[Located] = []
    for path in paths:
        try:
            sources.append(read(path))
        except ConfigError as unreadable:
            problems += unreadable.problems
    if problems:
        raise ConfigError(problems)
    return sources
