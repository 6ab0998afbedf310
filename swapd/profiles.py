"""Which profile is switched on, and what that makes of the names that clients use.

Rule 1: only the choice is kept here, as a name. What stands behind it is looked up in the settings
of the moment, so a reload needs to tell nobody: a profile that it removes is no longer on, one
that it changes counts as changed, and one that it leaves stays on. llama-swap switches it off.
Rule 2: a name is replaced once. What it is replaced by is not looked up again.
Rule 3: the choice is forgotten when the daemon ends, as in llama-swap.
"""

import logging
from collections.abc import Callable, Mapping

import attrs

from swapd.config.settings import Profile, Settings

log = logging.getLogger(__name__)


class NoSuchProfile(Exception):
    """Nobody configured a profile of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f'there is no profile "{name}"')
        self.name = name


@attrs.define
class Profiles:
    """The operator's choice among the profiles: one of them, or none as at the start."""

    _chosen: str | None = None
    heard_by: list[Callable[[], None]] = attrs.field(factory=list)
    """Who is told that another one is on, or none."""

    def active(self, settings: Settings) -> Profile | None:
        """Answer with the profile that is on."""
        return None if self._chosen is None else settings.profiles.get(self._chosen)

    def choose(self, name: str | None, settings: Settings) -> None:
        """Switch a profile on, or with None whichever is on off; raise `NoSuchProfile`."""
        if name is not None and name not in settings.profiles:
            raise NoSuchProfile(name)
        before = self.active(settings)
        self._chosen = name
        if name is not None and (before is None or before.id != name):
            log.info("profile %s is on", name)
        elif name is None and before is not None:
            log.info("profile %s is off", before.id)
        else:
            return
        for hear in self.heard_by:
            hear()

    def pinned(self, name: str, settings: Settings) -> str:
        """Answer with what is served for a name: itself, its pin's target, or "" for nothing."""
        return self.pins(settings).get(name, name)

    def pins(self, settings: Settings) -> Mapping[str, str]:
        """Answer with what the active profile replaces, and by what; "" turns a name off."""
        profile = self.active(settings)
        return {} if profile is None else profile.pins
