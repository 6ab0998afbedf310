"""What the list of models says, row by row."""

import json
from collections.abc import Mapping
from typing import Any

import attrs
import pytest

from swapd.config.kinds import Modality, Strategy
from swapd.config.settings import (
    Capabilities,
    Model,
    Origin,
    Peer,
    Profile,
    Selector,
    Settings,
)
from swapd.ids import ModelId
from swapd.manage.listing import STATUS, Record, records
from swapd.schedule.phase import Phase
from tests import stories

NOW = 1_783_036_800
TEXT, AUDIO, IMAGE = Modality.TEXT, Modality.AUDIO, Modality.IMAGE


def local(name: str, /, **fields: Any) -> Model:
    """Make a model that has something to say about itself."""
    return attrs.evolve(stories.model(name), **fields)


def peer(name: str, *models: str) -> Peer:
    """Make a peer that has these models."""
    return Peer(name, Origin("http", "10.0.0.9", 80), models)


def settings(*models: Model, peers: tuple[Peer, ...] = (), **fields: Any) -> Settings:
    """Make settings of all that may be listed."""
    known = {one.id: one for one in peers}
    return attrs.evolve(stories.settings(models), peers=known, **fields)


def listed(
    settings: Settings,
    phases: Mapping[str, Phase] | None = None,
    *,
    profile: Profile | None = None,
) -> dict[str, Record]:
    """List everything, by id; what has no phase is stopped."""

    def phase(model: ModelId) -> Phase:
        return (phases or {}).get(model, Phase.STOPPED)

    everything = records(settings, phase, profile=profile, now=NOW)
    by_id = {record["id"]: record for record in everything}
    assert list(by_id) == [record["id"] for record in everything], "a name is listed twice"
    return by_id


def status(record: Record) -> str:
    """Say what a record says of the state."""
    return str(record["status"]["value"])


def ours(record: Record) -> dict[str, Any]:
    """Answer with what is told in our own corner of a record."""
    return dict(record["meta"]["llamaswap"])


def test_a_record_has_its_fields_in_the_documented_order():
    """For people with curl; what is empty is left out."""
    can = Capabilities((TEXT, IMAGE), (TEXT,), tools=True, context=32768)
    full = local("b", name=" B ", description=" d ", capabilities=can, aliases=("fast",))
    bare, told = listed(settings(full, local("a", name=" "))).values()
    assert bare == {
        "id": "a",
        "object": "model",
        "created": NOW,
        "owned_by": "swapd",
        "meta": {"llamaswap": {"type": "model"}},
        "status": {"value": "unloaded"},
    }
    assert json.dumps(told) == json.dumps(
        {
            "id": "b",
            "object": "model",
            "created": NOW,
            "owned_by": "swapd",
            "name": "B",
            "description": "d",
            "architecture": {
                "input_modalities": ["text", "image"],
                "modality": "text+image->text",
                "output_modalities": ["text"],
            },
            "capabilities": {"vision": True, "function_calling": True},
            "supported_parameters": ["tools", "tool_choice"],
            "context_length": 32768,
            "meta": {"llamaswap": {"type": "model", "aliases": ["fast"]}, "n_ctx": 32768},
            "status": {"value": "unloaded"},
        }
    )


def test_records_are_sorted_as_bytes():
    """Neither as people sort, nor by kind."""
    names = ["b", "B", "a/b", "a", "\u00e4", "\U0001f600", "\uffff"]
    rest = {"a.b": Selector("a.b", Strategy.PIN, ("a",))}
    everything = settings(*map(local, names), selectors=rest, peers=(peer("a", "c"),))
    assert list(listed(everything)) == sorted([*names, "a.b", "a/c"], key=str.encode)


def test_l1_unlisted_models_are_left_out():
    """L1: hidden is hidden, and what is elsewhere is there."""
    found = listed(
        settings(
            local("visible"),
            local("hidden", unlisted=True, aliases=("nick",)),
            peers=(peer("peer1", "remote-model"),),
            include_aliases_in_list=True,
        )
    )
    assert list(found) == ["peer1/remote-model", "visible"]


def test_a_peers_model_says_whose_it_is():
    """Its own name alone may be another's."""
    [record] = listed(settings(peers=(peer("strix", "Q3.6-27B"),))).values()
    assert record == {
        "id": "strix/Q3.6-27B",
        "object": "model",
        "created": NOW,
        "owned_by": "swapd",
        "name": "strix: Q3.6-27B",
        "meta": {"llamaswap": {"type": "peer", "peerID": "strix"}},
        "status": {"value": "unloaded"},
    }


def test_l2_a_name_that_peers_share_is_listed_with_theirs():
    """L2: each by the name that leads to it and nowhere else."""
    both = (peer("cuda", "shared"), peer("strix", "shared"))
    found = listed(settings(local("shared"), peers=both))
    assert list(found) == ["cuda/shared", "shared", "strix/shared"]


def test_l3_aliases_are_listed_if_that_is_wanted():
    """L3: with all that can be said of their model; blank ones are nobody's name."""
    can = Capabilities(context=8)
    model = local("a", name="A", aliases=("nick", " "), metadata={"x": 1}, capabilities=can)
    assert list(listed(settings(model))) == ["a"]
    found = listed(settings(model, include_aliases_in_list=True))
    assert list(found) == ["a", "nick"]
    own = {"x": 1, "type": "alias", "modelID": "a"}
    assert found["nick"]["meta"] == {"llamaswap": own, "n_ctx": 8}
    assert (found["nick"]["name"], found["nick"]["context_length"]) == ("A", 8)


def test_an_alias_that_is_a_models_id_is_listed_as_that_model():
    """That is where the name leads; and twice in one list it would confuse clients."""
    found = listed(settings(local("a", aliases=("b",)), local("b"), include_aliases_in_list=True))
    assert [ours(record)["type"] for record in found.values()] == ["model", "model"]


def test_l4_a_loaded_model_is_loaded_by_all_its_names():
    """L4: and nothing else is."""
    found = listed(
        settings(
            local("a", aliases=("nick",)),
            local("b"),
            peers=(peer("p", "x"),),
            include_aliases_in_list=True,
        ),
        {"a": Phase.READY},
    )
    assert {name: status(record) for name, record in found.items()} == {
        "a": "loaded",
        "b": "unloaded",
        "nick": "loaded",
        "p/x": "unloaded",
    }


@pytest.mark.parametrize(
    ("phase", "says"),
    [
        (Phase.STOPPED, "unloaded"),
        (Phase.STARTING, "loading"),
        (Phase.READY, "loaded"),
        (Phase.STOPPING, "unloaded"),
        (Phase.FAILED, "failed"),
    ],
)
def test_a_status_says_whether_an_answer_would_come_at_once(phase, says):
    """Not llama-swap's, which calls a model loaded that is only starting, or is just leaving."""
    assert status(listed(settings(local("a")), {"a": phase})["a"]) == says
    assert set(STATUS) == set(Phase)


TOOLS = ["tools", "tool_choice"]


@pytest.mark.parametrize(
    ("can", "told"),
    [
        pytest.param(
            Capabilities((TEXT, IMAGE), (TEXT, AUDIO), tools=True, context=100_000),
            {
                "architecture": {
                    "input_modalities": ["text", "image"],
                    "modality": "text+image->text+audio",
                    "output_modalities": ["text", "audio"],
                },
                "capabilities": {"vision": True, "audio_speech": True, "function_calling": True},
                "supported_parameters": TOOLS,
                "context_length": 100_000,
            },
            id="L5",
        ),
        pytest.param(
            Capabilities((TEXT, IMAGE)),
            {
                "architecture": {"input_modalities": ["text", "image"]},
                "capabilities": {"vision": True},
            },
            id="L6",
        ),
        pytest.param(
            Capabilities(outputs=(AUDIO,)),
            {"architecture": {"output_modalities": ["audio"]}},
            id="L7",
        ),
        pytest.param(
            Capabilities(tools=True),
            {"capabilities": {"function_calling": True}, "supported_parameters": TOOLS},
            id="L8",
        ),
        pytest.param(Capabilities(reranker=True), {"capabilities": {"reranker": True}}, id="L9"),
        pytest.param(Capabilities(context=32768), {"context_length": 32768}, id="L10"),
        pytest.param(
            Capabilities((AUDIO,), (TEXT,)),
            {
                "architecture": {
                    "input_modalities": ["audio"],
                    "modality": "audio->text",
                    "output_modalities": ["text"],
                },
                "capabilities": {"audio_transcriptions": True},
            },
            id="L11",
        ),
        pytest.param(
            Capabilities((TEXT,), (IMAGE,)),
            {
                "architecture": {
                    "input_modalities": ["text"],
                    "modality": "text->image",
                    "output_modalities": ["image"],
                },
                "capabilities": {"image_generation": True},
            },
            id="L12",
        ),
        pytest.param(
            Capabilities((IMAGE,), (IMAGE,)),
            {
                "architecture": {
                    "input_modalities": ["image"],
                    "modality": "image->image",
                    "output_modalities": ["image"],
                },
                "capabilities": {"vision": True, "image_to_image": True},
            },
            id="L13",
        ),
        pytest.param(Capabilities(), {}, id="L14"),
    ],
)
def test_capabilities_are_told_as_clients_look_for_them(can, told):
    """Under the names that clients of llama-swap know."""
    record = listed(settings(local("a", capabilities=can)))["a"]
    common = {"id", "object", "created", "owned_by", "meta", "status"}
    assert {key: value for key, value in record.items() if key not in common} == told
    assert record["meta"].get("n_ctx", 0) == can.context


CUSTOM = {
    "architecture": "mamba",
    "capabilities": ["x"],
    "supported_parameters": 1,
    "context_length": 7,
    "custom": {"kept": True},
}


def test_l15_capabilities_go_before_metadata_of_the_same_name():
    """L15: two answers to one question would be none."""
    model = local("a", metadata=CUSTOM, capabilities=Capabilities(tools=True))
    assert ours(listed(settings(model))["a"]) == {"custom": {"kept": True}, "type": "model"}


def test_l16_without_capabilities_metadata_is_the_operators_own():
    """L16: all of it goes along."""
    found = listed(settings(local("a", metadata=CUSTOM)))["a"]
    assert ours(found) == {**CUSTOM, "type": "model"}
    assert not set(CUSTOM) & set(found)


def test_metadata_does_not_say_what_a_record_is():
    """Clients go by `type` and `aliases`."""
    model = local("a", aliases=("nick",), metadata={"type": "car", "aliases": "none"})
    assert ours(listed(settings(model))["a"]) == {"type": "model", "aliases": ["nick"]}


# The worlds of the reference's tables.

REAL = settings(
    local("real", name="Real", aliases=("variant",)),
    local("hidden", unlisted=True),
    peers=(peer("remote", "remote-model"),),
    selectors={
        "chosen": Selector("chosen", Strategy.PIN, ("real",), unlisted=True),
    },
)
CODING = Profile(
    "coding",
    {
        "public": "variant",
        "disabled": "",
        "real": "hidden",
        "expose": "hidden",
        "remote-model": "hidden",
    },
)


def test_q13_pins_of_the_active_profile_are_listed():
    """Q13, R262: names that lead somewhere, and were not there without it."""
    found = listed(REAL, {"real": Phase.READY}, profile=CODING)
    assert list(found) == ["expose", "public", "real", "remote/remote-model"]
    for name in ("expose", "public"):
        assert "name" not in found[name]
        assert found[name]["meta"] == {"llamaswap": {"type": "profile"}}
        assert status(found[name]) == "unloaded"
    assert found["real"]["name"] == "Real"
    assert found["remote/remote-model"]["name"] == "remote: remote-model"
    assert list(listed(REAL)) == ["real", "remote/remote-model"]


@pytest.mark.parametrize(
    "pin", ["real", "hidden", "variant", "remote/remote-model", "remote-model", "chosen"]
)
def test_a_pin_does_not_hide_what_it_shadows(pin):
    """Nor does it show what is unlisted: the name is there already, whoever answers to it."""
    profile = Profile("p", {pin: "real"})
    assert listed(REAL, profile=profile) == listed(REAL)


def test_a_pin_for_a_name_that_several_peers_have_is_listed():
    """Without the profile that name led nowhere."""
    both = settings(local("a"), peers=(peer("p", "x"), peer("q", "x")))
    assert "x" in listed(both, profile=Profile("p", {"x": "a"}))


THREE = settings(
    local("a", aliases=("variant",)),
    local("b"),
    local("c"),
    peers=(peer("remote", "remote-model"),),
    selectors={
        "public": Selector(
            "public",
            Strategy.PIN,
            ("variant", "remote/remote-model"),
            name="Public",
            description="d",
            metadata={"purpose": "test", "type": "car"},
        ),
        "warm": Selector("warm", Strategy.WARM, ("a", "b", "c")),
        "balanced": Selector("balanced", Strategy.SPILLOVER, ("a", "b", "c"), spillover=1),
        "hidden-selector": Selector("hidden-selector", Strategy.PIN, ("a",), unlisted=True),
        "pair": Selector("pair", Strategy.PIN, ("a", "b")),
        "far": Selector("far", Strategy.PIN, ("remote-model", "a")),
    },
)


def test_s15_a_selector_tells_how_it_chooses():
    """S15, R235: the operator's metadata beside ours; the bound only where it means something."""
    found = listed(THREE, {"a": Phase.READY})
    assert found["public"] == {
        "id": "public",
        "object": "model",
        "created": NOW,
        "owned_by": "swapd",
        "name": "Public",
        "description": "d",
        "meta": {
            "llamaswap": {
                "purpose": "test",
                "type": "selector",
                "strategy": "pin",
                "targets": ["variant", "remote/remote-model"],
            }
        },
        "status": {"value": "loaded"},
    }
    assert ours(found["balanced"]) == {
        "type": "selector",
        "strategy": "spillover",
        "targets": ["a", "b", "c"],
        "spillover": 1,
    }
    assert "spillover" not in ours(found["warm"])
    assert "hidden-selector" not in found


@pytest.mark.parametrize(
    ("selector", "phases", "says"),
    [
        pytest.param("public", {"a": Phase.STARTING}, "loading", id="S15-ours-starting"),
        pytest.param("public", {"a": Phase.READY}, "loaded", id="by-an-alias"),
        pytest.param("pair", {"b": Phase.READY}, "unloaded", id="S16-R236-only-the-first-counts"),
        pytest.param("pair", {"a": Phase.READY}, "loaded", id="the-first"),
        pytest.param("far", {"a": Phase.READY}, "unloaded", id="a-peers-model-is-never-loaded"),
        pytest.param("warm", {"c": Phase.READY, "a": Phase.STARTING}, "loaded", id="the-best"),
        pytest.param("warm", {"b": Phase.STARTING}, "loading", id="any-starting"),
        pytest.param("balanced", {"c": Phase.READY}, "loaded", id="any-ready"),
        pytest.param("balanced", {"a": Phase.STOPPING}, "unloaded", id="on-its-way-out"),
        pytest.param("warm", {"a": Phase.FAILED}, "unloaded", id="the-others-may-still-do"),
        pytest.param("warm", {}, "unloaded", id="nothing-runs"),
    ],
)
def test_a_selector_is_as_loaded_as_the_best_of_what_it_may_choose(selector, phases, says):
    """Whoever picks a warm name does not want to wait for a cold one."""
    assert status(listed(THREE, phases)[selector]) == says
