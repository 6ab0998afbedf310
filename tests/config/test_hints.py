"""What is said about a key that is not known where it stands."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swapd.config.hints import below, meant
from swapd.config.keys import keys
from swapd.config.written import WrittenSettings, WrittenStore
from swapd.config.written_models import WrittenFilters, WrittenModel, WrittenPeer
from swapd.config.written_routing import WrittenFifo, WrittenGroup, WrittenScheduler


@pytest.mark.parametrize(
    ("key", "cls", "known"),
    [
        ("cmdd", WrittenModel, "cmd"),
        ("cmd_stop", WrittenModel, "cmdStop"),
        ("check_endpoint", WrittenModel, "checkEndpoint"),
        ("alias", WrittenModel, "aliases"),
        ("TTL", WrittenModel, "ttl"),
        ("CMDSTOP", WrittenModel, "cmdStop"),
        ("globalTtl", WrittenSettings, "globalTTL"),
        ("model", WrittenSettings, "models"),
        ("log_level", WrittenSettings, "logLevel"),
        ("startport", WrittenSettings, "startPort"),
        ("member", WrittenGroup, "members"),
        ("apikey", WrittenPeer, "apiKey"),
        ("priorities", WrittenFifo, "priority"),
        ("setParamsById", WrittenFilters, "setParamsByID"),
    ],
)
def test_a_mistyped_key_names_the_right_one(key: str, cls: type[Any], known: str) -> None:
    """Most unknown keys are a slip of the finger or of the case."""
    assert meant(key, cls) == f', did you mean "{known}"?'


@pytest.mark.parametrize(
    ("key", "cls", "places"),
    [
        ("ttl", WrittenSettings, "under models.<id>"),
        ("globalTTL", WrittenModel, "at the top"),
        ("startPort", WrittenModel, "at the top"),
        (
            "maxQueue",
            WrittenScheduler,
            "under routing.scheduler.settings.serial or under routing.scheduler.settings.fifo",
        ),
        ("maxTurn", WrittenScheduler, "under routing.scheduler.settings.fifo"),
        ("preload", WrittenSettings, "under hooks.on_startup"),
        ("path", WrittenSettings, "under store"),
        ("strategy", WrittenModel, "under selectors.<id>"),
        ("connect", WrittenModel, "under models.<id>.timeouts or under peers.<id>.timeouts"),
        (
            "swap",
            WrittenSettings,
            "under routing.router.settings.groups.<id> or under groups.<id>",
        ),
        ("groups", WrittenModel, "under routing.router.settings or at the top"),
    ],
)
def test_a_key_that_belongs_elsewhere_says_where(key: str, cls: type[Any], places: str) -> None:
    """The spelling is right, so another one is no help; the indentation is wrong."""
    assert meant(key, cls) == f"; it belongs {places}"


def test_the_own_key_in_another_case_goes_before_another_place() -> None:
    """`TTL` of a model is its ttl; an exact name elsewhere goes before what is merely near."""
    assert meant("Models", WrittenPeer) == ', did you mean "models"?'
    assert "belongs" in meant("unlisted", WrittenSettings)
    assert "belongs" in meant("name", WrittenGroup)


def test_of_nothing_near_the_known_keys_are_listed() -> None:
    """Then it may be another program's key; the line shows what there is, as far as it goes."""
    assert meant("zzz", WrittenStore) == "; known here, nearest first: path, maxRows, maxDays"
    listed = meant("zzz", WrittenFilters)
    assert set(listed.removeprefix("; known here, nearest first: ").split(", ")) == set(
        keys(WrittenFilters).values()
    )
    long = meant("zzz", WrittenModel)
    assert long.endswith(", …")
    assert len(long) < 200


def test_the_nearest_is_listed_first() -> None:
    """An operator reads the beginning."""
    assert meant("p", WrittenFilters) == (
        "; known here, nearest first: setParams, stripParams, strip_params, setParamsByID"
    )


def test_at_the_top_notes_have_their_place() -> None:
    """Anchors are what people keep there; llama-swap takes them under any key."""
    assert 'keys that begin with "x-"' in meant("defs", WrittenSettings)
    assert 'keys that begin with "x-"' not in meant("defs", WrittenModel)


@pytest.mark.parametrize("cls", [WrittenSettings, WrittenModel, WrittenStore])
@pytest.mark.parametrize("key", ["k" * 1_000_000, "cmd" * 300_000, "é" * 100_000])
def test_a_very_long_key_is_answered_soon(cls: type[Any], key: str) -> None:
    """Comparing a megabyte takes minutes; and the answer is short all the same."""
    assert len(meant(key, cls)) < 400


@settings(max_examples=200, deadline=None)
@given(st.text(), st.sampled_from([WrittenSettings, WrittenModel, WrittenStore, WrittenFifo]))
def test_every_key_has_an_answer(key: str, cls: type[Any]) -> None:
    """It goes on behind `unknown key "…"`, on the same line."""
    answer = meant(key, cls)

    assert answer[:2] in (", ", "; ")
    assert "\n" not in answer


@pytest.mark.parametrize(
    ("of", "found"),
    [
        (WrittenGroup, [(WrittenGroup, "")]),
        (WrittenGroup | None, [(WrittenGroup, "")]),
        (Mapping[str, WrittenGroup], [(WrittenGroup, ".<id>")]),
        (Mapping[str, Mapping[str, WrittenGroup]], [(WrittenGroup, ".<id>.<id>")]),
        (Mapping[str, WrittenGroup | None], [(WrittenGroup, ".<id>")]),
        *((of, []) for of in (int, str | None, Mapping[str, Any], tuple[str, ...], Any)),
    ],
)
def test_classes_are_found_in_types(of: Any, found: list[tuple[type[Any], str]]) -> None:
    """A path to a key goes through ids that the operator has chosen."""
    assert list(below(of)) == found
