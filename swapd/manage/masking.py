"""What the daemon knows to be secret, and what may be shown of a model without it."""

from collections.abc import Iterable, Iterator

from swapd.config.secrets import Secrets, names_secret
from swapd.config.settings import Model, Settings


def secrets_around(model: Model | None, settings: Settings, known: Iterable[str]) -> Secrets:
    """Collect what must not be shown of a model: keys, what its files use, its environment."""
    return Secrets([*known, *_keys(settings), *_in_environment(model)])


def _keys(settings: Settings) -> Iterator[str]:
    yield from settings.api_keys
    yield from (peer.api_key for peer in settings.peers.values())


def _in_environment(model: Model | None) -> Iterator[str]:
    for entry in model.env if model is not None else ():
        name, _, value = entry.partition("=")
        if names_secret(name):
            yield value
