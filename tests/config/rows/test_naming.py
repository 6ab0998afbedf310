"""Rows C290 to C336: peers, selectors, profiles, and what a name stands for."""

from collections.abc import Callable

import pytest

from swapd.config.kinds import Strategy
from swapd.config.load import Loaded
from swapd.config.names import PeerModel
from swapd.config.settings import Origin, Selector, Timeouts
from tests.config.rows.loading import assert_refused, loaded

AB = "models: {a: M, b: M}\n"
ALIASED = "models: {a: {M, aliases: [alias-a]}, b: M}\n"
VARIANT = "models: {a: {M, filters: {setParamsByID: {a-high: {t: 1}}}}}\n"
REMOTE = "peers: {remote: {proxy: http://r, models: [remote-model, other]}}\n"
TWO_PEERS = "peers: {p: {proxy: http://p, models: [m]}, q: {proxy: http://q, models: [m]}}\n"

SHARED = """\
models: {shared: M}
peers:
  p1: {proxy: http://p1, models: [shared, org/model]}
  p2: {proxy: http://p2, models: [shared, unique]}
"""

NESTED = """\
peers:
  p1: {proxy: http://p1, models: [model]}
  p2: {proxy: http://p2, models: [p1/model]}
"""

PINS = (
    VARIANT
    + REMOTE
    + """\
profiles:
  day:
    description: by day
    pins: {one: a, two: a-high, three: other, four: remote/remote-model, five: "", six: ~}
"""
)

LETTERS = "abcd"
ALTERNATIVES = [[f"{letter}{number}" for number in range(11)] for letter in LETTERS]
WIDE = (
    "models:\n  target: M\n"
    + "".join(f"  {own}: M\n" for group in ALTERNATIVES for own in group)
    + "selectors: {s: {strategy: spillover, targets: [target, a0, b10, c5, d1]}}\n"
    + "matrix:\n  sets:\n    all: target & "
    + " & ".join(f"({' | '.join(group)})" for group in ALTERNATIVES)
)


def selector(fields: str) -> str:
    """Write a selector with the name s."""
    return f"selectors: {{s: {{{fields}}}}}\n"


@pytest.mark.parametrize(
    ("text", "path", "says"),
    [
        pytest.param(
            "peers: {»p: {models: [m]}}", "peers.p.proxy", "a peer needs a proxy", id="C291-absent"
        ),
        pytest.param(
            'peers: {p: {proxy: »"", models: [m]}}',
            "peers.p.proxy",
            "a peer needs a proxy",
            id="C291-blank",
        ),
        pytest.param(
            'peers: {p: {proxy: »"://invalid", models: [m]}}',
            "peers.p.proxy",
            'invalid proxy URL "://invalid"',
            id="C292",
        ),
        pytest.param(
            "peers: {»p: {proxy: http://p}}",
            "peers.p.models",
            "a peer needs models",
            id="C293-absent",
        ),
        pytest.param(
            "peers: {p: {proxy: http://p, »models: []}}",
            "peers.p.models",
            "a peer needs models",
            id="C293-empty",
        ),
        pytest.param(
            "peers: {p: {proxy: http://p, models: [m],"
            ' filters: {setParams: {a: »"${MODEL_ID}"}}}}',
            "peers.p.filters.setParams.a",
            "unknown macro ${MODEL_ID}",
            id="C302",
        ),
    ],
)
def test_a_peer_that_cannot_answer_is_refused(text: str, path: str, says: str) -> None:
    """It needs an address, and models to be asked for."""
    assert_refused(text, path, says)


@pytest.mark.parametrize(
    ("text", "path", "says"),
    [
        pytest.param(
            "peers: {a: {proxy: http://p, models: [b/c]}, a/b: {proxy: http://q, models: [»c]}}",
            "peers.a/b.models[0]",
            '"a/b/c" could also be "b/c" of the peer "a"',
            id="C298",
        ),
        pytest.param(
            REMOTE + "models: {»remote/other: M}",
            "models.remote/other",
            '"remote/other" conflicts with the full name of a peer',
            id="C299-model",
        ),
        pytest.param(
            REMOTE + "models: {a: {M, aliases: [»remote/other]}}",
            "models.a.aliases[0]",
            '"remote/other" conflicts with the full name of a peer',
            id="C299-alias",
        ),
        pytest.param(
            AB + REMOTE + "selectors: {»remote/other: {strategy: pin, targets: [a]}}",
            "selectors.remote/other",
            '"remote/other" conflicts with the full name of a peer',
            id="C299-selector",
        ),
        pytest.param(
            AB + REMOTE + "profiles: {p: {pins: {»remote/other: a}}}",
            "profiles.p.pins.remote/other",
            '"remote/other" conflicts with the full name of a peer',
            id="C299-pin",
        ),
        pytest.param(
            REMOTE + "models: {a: {M, filters: {setParamsByID: {»remote/other: {t: 1}}}}}",
            "models.a.filters.setParamsByID.remote/other",
            '"remote/other" conflicts with the full name of a peer',
            id="C300",
        ),
    ],
)
def test_a_full_name_of_a_peers_model_is_nobody_elses(text: str, path: str, says: str) -> None:
    """It is the one name that must never be served by another."""
    assert_refused(text, path, says)


@pytest.mark.parametrize(
    ("text", "look", "found"),
    [
        pytest.param(
            "peers: {p: {proxy: http://p, models: [m]}}",
            lambda c: (c.settings.peers["p"].models, c.settings.peers["p"].timeouts),
            (
                ("m",),
                Timeouts(
                    connect=30,
                    keepalive=30,
                    response_header=60,
                    tls_handshake=10,
                    expect_continue=1,
                    idle_conn=90,
                ),
            ),
            id="C290",
        ),
        pytest.param(
            "peers: {p: {proxy: 'http://192.168.1.23:8080/api', models: [m]}}",
            lambda c: c.settings.peers["p"].origin,
            Origin(scheme="http", host="192.168.1.23", port=8080, path="/api"),
            id="C294",
        ),
        pytest.param(
            "peers: {p: {proxy: http://p, models: [m],"
            " timeouts: {connect: 45, responseHeader: 120}}}",
            lambda c: c.settings.peers["p"].timeouts,
            Timeouts(connect=45, response_header=120),
            id="C295",
        ),
        pytest.param(
            "peers: {p: {proxy: http://p, models: [m, m]}}",
            lambda c: (c.settings.peers["p"].models, c.settings.names.remote("m")),
            (("m",), PeerModel("p", "m")),
            id="C301",
        ),
        pytest.param(
            "peers: {p: {proxy: http://p, models: [m], filters: {strip_params: top_k}}}",
            lambda c: c.settings.peers["p"].filters.strip,
            ("top_k",),
            id="C303-D28",
        ),
    ],
)
def test_a_peer_means_what_it_means_in_llama_swap(
    text: str, look: Callable[[Loaded], object], found: object
) -> None:
    """Only that the old spelling of what to strip works here too."""
    assert look(loaded(text)) == found


@pytest.mark.parametrize(
    ("text", "name", "remote", "target"),
    [
        *(
            pytest.param(SHARED, name, remote, target, id=f"C296-{name}")
            for name, remote, target in (
                ("p1/shared", PeerModel("p1", "shared"), PeerModel("p1", "shared")),
                ("p2/shared", PeerModel("p2", "shared"), PeerModel("p2", "shared")),
                ("p1/org/model", PeerModel("p1", "org/model"), PeerModel("p1", "org/model")),
                ("unique", PeerModel("p2", "unique"), PeerModel("p2", "unique")),
                ("shared", None, "shared"),
                ("missing", None, None),
            )
        ),
        *(
            pytest.param(NESTED, name, found, found, id=f"C297-{name}")
            for name, found in (
                ("p1/model", PeerModel("p1", "model")),
                ("p2/p1/model", PeerModel("p2", "p1/model")),
            )
        ),
    ],
)
def test_a_name_stands_for_one_model_or_none(
    text: str, name: str, remote: PeerModel | None, target: object
) -> None:
    """What is local goes first; between two peers nobody guesses."""
    names = loaded(text).settings.names

    assert names.remote(name) == remote
    assert names.target(name) == target


@pytest.mark.parametrize(
    ("text", "path", "says"),
    [
        pytest.param(
            AB + 'selectors: {»" ": {strategy: pin, targets: [a]}}',
            'selectors." "',
            "name must not be blank",
            id="C311",
        ),
        pytest.param(
            AB + "selectors: {»s: {targets: [a]}}",
            "selectors.s.strategy",
            "a selector needs a strategy",
            id="C312-absent",
        ),
        pytest.param(
            AB + selector("strategy: »random, targets: [a]"),
            "selectors.s.strategy",
            'pin, warm, spillover, got "random"',
            id="C312-random",
        ),
        pytest.param(
            AB + "selectors: {»s: {strategy: pin}}",
            "selectors.s.targets",
            "at least one target",
            id="C313",
        ),
        pytest.param(
            AB + selector("strategy: pin, targets: [a, »missing]"),
            "selectors.s.targets[1]",
            'no model "missing"',
            id="C314",
        ),
        pytest.param(
            AB
            + "selectors: {s: {strategy: pin, targets: [»t]}, t: {strategy: pin, targets: [a]}}",
            "selectors.s.targets[0]",
            '"t" is a selector, which cannot be a target',
            id="C315",
        ),
        pytest.param(
            AB + "selectors: {»a: {strategy: pin, targets: [b]}}",
            "selectors.a",
            "conflicts with a model's id",
            id="C316-model",
        ),
        pytest.param(
            ALIASED + "selectors: {»alias-a: {strategy: pin, targets: [b]}}",
            "selectors.alias-a",
            'conflicts with an alias of "a"',
            id="C316-alias",
        ),
        pytest.param(
            VARIANT + "selectors: {»a-high: {strategy: pin, targets: [a]}}",
            "selectors.a-high",
            'conflicts with an alias of "a"',
            id="C316-variant",
        ),
        pytest.param(
            AB + REMOTE + selector("strategy: warm, targets: [a, »other]"),
            "selectors.s.targets[1]",
            "the strategy warm needs local models",
            id="C317",
        ),
        pytest.param(
            AB + selector("strategy: spillover, targets: [a], settings: {spillover: »0}"),
            "selectors.s.settings.spillover",
            "must be at least 1, got 0",
            id="C318",
        ),
        pytest.param(
            ALIASED
            + "groups: {g: {swap: false, members: [a, b]}}\n"
            + selector("strategy: spillover, targets: [a, »alias-a]"),
            "selectors.s.targets[1]",
            '"a" is a target already',
            id="C320",
        ),
        pytest.param(
            REMOTE
            + selector("strategy: spillover, targets: [remote-model, »remote/remote-model]"),
            "selectors.s.targets[1]",
            '"remote/remote-model" is a target already',
            id="C321",
        ),
        pytest.param(
            AB + "selectors: {s: {strategy: spillover, »targets: [a, b]}}",
            "selectors.s.targets",
            "must share a group with swap: false",
            id="C322",
        ),
        pytest.param(
            AB
            + "groups: {g: {swap: false, members: [a]}, h: {swap: false, members: [b]}}\n"
            + "selectors: {s: {strategy: spillover, »targets: [a, b]}}",
            "selectors.s.targets",
            "must share one group",
            id="C323",
        ),
        pytest.param(
            "models: {A: M, B: M}\nmatrix: {sets: {s: A | B}}\n"
            "selectors: {s: {strategy: spillover, »targets: [A, B]}}",
            "selectors.s.targets",
            "must all appear together in one set of the matrix",
            id="C325-either",
        ),
        pytest.param(
            WIDE.replace("targets: [target, a0, b10", "»targets: [target, a0, a10"),
            "selectors.s.targets",
            "must all appear together in one set of the matrix",
            id="C326-never",
        ),
        pytest.param(
            TWO_PEERS + selector("strategy: pin, targets: [»m]"),
            "selectors.s.targets[0]",
            'several peers have a model "m": write "p/m" or another\'s',
            id="C329",
        ),
    ],
)
def test_a_selector_that_cannot_choose_is_refused(text: str, path: str, says: str) -> None:
    """Each of its targets must be one model, and for spillover they must fit beside each other."""
    assert_refused(text, path, says)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param(
            AB
            + selector(
                "strategy: warm, targets: [a, b], name: N, description: D,"
                " unlisted: true, metadata: {k: [1]}"
            ),
            Selector(
                id="s",
                strategy=Strategy.WARM,
                targets=("a", "b"),
                spillover=1,
                name="N",
                description="D",
                unlisted=True,
                metadata={"k": [1]},
            ),
            id="C310",
        ),
        pytest.param(
            AB + selector("strategy: pin, targets: [a, a], settings: {spillover: 0}"),
            Selector(id="s", strategy=Strategy.PIN, targets=("a", "a"), spillover=0),
            id="C319",
        ),
        pytest.param(
            AB
            + "groups: {g: {swap: false, members: [a, b]}}\n"
            + selector("strategy: spillover, targets: [a, b], settings: {spillover: 4}"),
            Selector(id="s", strategy=Strategy.SPILLOVER, targets=("a", "b"), spillover=4),
            id="C324",
        ),
        pytest.param(
            "models: {A: M, B: M}\nmatrix: {sets: {s: A & B}}\n"
            + selector("strategy: spillover, targets: [A, B]"),
            Selector(id="s", strategy=Strategy.SPILLOVER, targets=("A", "B")),
            id="C325-both",
        ),
        pytest.param(
            WIDE,
            Selector(
                id="s",
                strategy=Strategy.SPILLOVER,
                targets=("target", "a0", "b10", "c5", "d1"),
            ),
            id="C326",
        ),
        pytest.param(
            AB + REMOTE + selector("strategy: spillover, targets: [remote-model, remote/other]"),
            Selector(
                id="s", strategy=Strategy.SPILLOVER, targets=("remote-model", "remote/other")
            ),
            id="C327-remote",
        ),
        pytest.param(
            AB + REMOTE + selector("strategy: spillover, targets: [a, other]"),
            Selector(id="s", strategy=Strategy.SPILLOVER, targets=("a", "other")),
            id="C327-mixed",
        ),
        pytest.param(
            AB + TWO_PEERS.replace("[m]", "[s]", 1) + selector("strategy: pin, targets: [a]"),
            Selector(id="s", strategy=Strategy.PIN, targets=("a",)),
            id="C328",
        ),
    ],
)
def test_a_selector_chooses_as_in_llama_swap(text: str, found: Selector) -> None:
    """Also between thousands of sets, without writing one of them out."""
    assert loaded(text).settings.selectors == {"s": found}


@pytest.mark.parametrize("text", [pytest.param(PINS, id="C330")])
def test_a_profile_replaces_names_or_turns_them_off(text: str) -> None:
    """Nothing and null are the same: nobody is served under that name."""
    profile = loaded(text).settings.profiles["day"]

    assert profile.description == "by day"
    assert dict(profile.pins) == {
        "one": "a",
        "two": "a-high",
        "three": "other",
        "four": "remote/remote-model",
        "five": "",
        "six": "",
    }


@pytest.mark.parametrize(
    ("text", "path", "says"),
    [
        pytest.param(
            AB + "profiles: {»p: [a]}", "profiles.p", "description and pins, got a list", id="C331"
        ),
        pytest.param(
            "profiles: {p: {»pins: {}}}", "profiles.p.pins", "at least one pin", id="C332-empty"
        ),
        pytest.param(
            "profiles: {»p: {description: d}}",
            "profiles.p.pins",
            "at least one pin",
            id="C332-description",
        ),
        pytest.param(
            "profiles: {»p: }", "profiles.p", "description and pins, got null", id="C332-null"
        ),
        pytest.param(
            "profiles: {p: {pins: {x: »missing}}}",
            "profiles.p.pins.x",
            'no model "missing"',
            id="C333",
        ),
        pytest.param(
            AB + "profiles: {p: {pins: {first: a, x: »first}}}",
            "profiles.p.pins.x",
            'no model "first"',
            id="C334",
        ),
        pytest.param(
            AB + 'profiles: {»" ": {pins: {x: a}}}',
            'profiles." "',
            "name must not be blank",
            id="C336-name",
        ),
        pytest.param(
            AB + 'profiles: {p: {pins: {»" ": a}}}',
            'profiles.p.pins." "',
            "name must not be blank",
            id="C336-pin",
        ),
    ],
)
def test_a_profile_that_replaces_nothing_is_refused(text: str, path: str, says: str) -> None:
    """Whoever switches it on would look for the effect for a while."""
    assert_refused(text, path, says)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            AB + selector("strategy: pin, targets: [a]") + "profiles: {p: {pins: {x: s}}}",
            id="C335",
        )
    ],
)
def test_a_pin_may_lead_to_a_selector(text: str) -> None:
    """A profile says which model; the selector may still say which of several."""
    assert dict(loaded(text).settings.profiles["p"].pins) == {"x": "s"}
