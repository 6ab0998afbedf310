"""What the daemon knows to be secret around a model."""

import attrs
import pytest

from swapd.config.settings import Origin, Peer, Settings
from swapd.manage.masking import secrets_around
from tests import stories

MODEL = attrs.evolve(stories.model("a"), env=("HF_TOKEN=of-its-own", "HOME=/home/me", "ODD"))


def settings() -> Settings:
    peer = Peer("p", Origin("http", "10.0.0.9", 80), ("x",), api_key="peer-key-1")
    return attrs.evolve(stories.settings([]), api_keys=("sk-swapd-key",), peers={"p": peer})


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("of-its-own", "***"),
        ("sk-swapd-key", "***"),
        ("peer-key-1", "***"),
        ("of-the-host", "***"),
        ("/home/me and ODD", "/home/me and ODD"),
    ],
)
def test_keys_and_what_is_called_a_secret_are_hidden(text, shown):
    """Ours, those of peers, of the host, and of the model itself; nothing else."""
    secrets = secrets_around(MODEL, settings(), ["of-the-host"])
    assert secrets.hidden(f"say {text}!") == f"say {shown}!"


def test_a_model_that_is_gone_has_no_secrets_of_its_own():
    """The others' are hidden all the same."""
    secrets = secrets_around(None, settings(), [])
    assert secrets.hidden("of-its-own sk-swapd-key") == "of-its-own ***"
