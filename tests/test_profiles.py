"""Which profile is on, and what it makes of names."""

import logging

import attrs
import pytest

from swapd.config.settings import Profile, Settings
from swapd.profiles import NoSuchProfile, Profiles
from swapd.proxy.paths import pinned

PINS = {
    "public": "variant",
    "variant": "real",
    "disabled": "",
    "author": "other",
    "author/public": "real",
}
SETTINGS = Settings(
    profiles={"coding": Profile("coding", PINS), "night": Profile("night", {"public": "small"})}
)


def coding() -> Profiles:
    """Switch on the profile that the tables speak of."""
    profiles = Profiles()
    profiles.choose("coding", SETTINGS)
    return profiles


def test_no_profile_is_on_at_the_start():
    """What an operator switched on for an evening must not come back after a crash."""
    profiles = Profiles()
    assert profiles.active(SETTINGS) is None
    assert profiles.pinned("public", SETTINGS) == "public"
    assert profiles.pins(SETTINGS) == {}


def test_one_profile_is_on_at_a_time():
    """Switching another one on is switching the first one off."""
    profiles = coding()
    assert profiles.active(SETTINGS) is SETTINGS.profiles["coding"]
    profiles.choose("night", SETTINGS)
    assert profiles.pinned("public", SETTINGS) == "small"
    assert profiles.pinned("disabled", SETTINGS) == "disabled"
    profiles.choose(None, SETTINGS)
    assert profiles.active(SETTINGS) is None


@pytest.mark.parametrize("name", ["missing", "", "Coding"])
def test_an_unknown_profile_changes_nothing(name):
    """A typo must not switch off what is on."""
    profiles = coding()
    with pytest.raises(NoSuchProfile) as unknown:
        profiles.choose(name, SETTINGS)
    assert unknown.value.name == name
    assert profiles.active(SETTINGS) is SETTINGS.profiles["coding"]


def test_a_reload_leaves_the_profile_on():
    """Unlike in llama-swap: a reload is no reason for clients to get other models."""
    profiles = coding()
    changed = attrs.evolve(SETTINGS, profiles={"coding": Profile("coding", {"public": "new"})})
    assert profiles.active(changed) is changed.profiles["coding"]
    assert profiles.pinned("public", changed) == "new"


def test_a_profile_that_a_reload_removes_is_no_longer_on():
    """Whatever is not in the file any more has no effect; what comes back into it has."""
    profiles = coding()
    assert profiles.active(Settings()) is None
    assert profiles.pinned("public", Settings()) == "public"
    assert profiles.pins(Settings()) == {}
    assert profiles.active(SETTINGS) is not None


@pytest.mark.parametrize(
    ("name", "served"),
    [
        pytest.param("public", "variant", id="Q5-R254-pinned"),
        pytest.param("disabled", "", id="Q6-R255-turned-off"),
        pytest.param("elsewhere", "elsewhere", id="not-pinned"),
        pytest.param("Public", "Public", id="compared-as-written"),
        pytest.param("author/public", "real", id="whole-names-only"),
        pytest.param("author/x", "author/x", id="no-beginnings"),
        pytest.param("", "", id="nothing-at-all"),
    ],
)
def test_a_name_is_replaced_once(name, served):
    """`variant` is pinned as well, and yet `public` leads to it: pins are no chain."""
    assert coding().pinned(name, SETTINGS) == served


@pytest.mark.parametrize(
    ("rest", "pin"),
    [
        pytest.param("public/v1/chat/completions", ("public", "variant"), id="Q8-R257-begins"),
        pytest.param("public", ("public", "variant"), id="equals"),
        pytest.param("public/", ("public", "variant"), id="slash-at-the-end"),
        pytest.param("author/public/v1/x", ("author/public", "real"), id="Q9-R258-longest"),
        pytest.param("author/publicity/v1", ("author", "other"), id="whole-segments-only"),
        pytest.param("disabled/v1/x", ("disabled", ""), id="Q10-R259-turned-off"),
        pytest.param("elsewhere/v1/public", None, id="Q11-R260-not-pinned"),
        pytest.param("publicity", None, id="no-parts-of-a-segment"),
        pytest.param("", None, id="nothing-at-all"),
        pytest.param("/disabled/v1/x", ("disabled", ""), id="not-evaded-by-a-slash"),
        pytest.param("%2Fauthor//public/x", ("author/public", "real"), id="nor-by-two"),
    ],
)
def test_a_path_is_pinned_by_the_longest_name_that_it_begins_with(rest, pin):
    """Ids hold slashes, so one pin may be the beginning of another."""
    found = pinned(coding().pins(SETTINGS), rest.encode())
    assert (found and (found.name, found.target)) == pin


def test_a_change_is_logged_once(caplog):
    """Whoever wonders why a name led elsewhere finds the moment; repeating it is no news."""
    profiles = Profiles()
    with caplog.at_level(logging.INFO):
        for name in ("coding", "coding", "night", None, None):
            profiles.choose(name, SETTINGS)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "profile coding is on"),
        ("INFO", "profile night is on"),
        ("INFO", "profile night is off"),
    ]


def test_switching_off_what_a_reload_removed_is_no_news(caplog):
    """It was off already."""
    profiles = coding()
    with caplog.at_level(logging.INFO):
        caplog.clear()
        profiles.choose(None, Settings())
    assert caplog.records == []
    assert profiles.active(SETTINGS) is None
