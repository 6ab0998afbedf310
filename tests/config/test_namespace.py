"""Which names may stand beside which."""

import pytest

from swapd.config.draft import Draft
from swapd.config.kinds import Strategy
from swapd.config.namespace import aliases, parameters_by_id, peers, profiles, selectors
from swapd.config.problems import Problem, spelled
from swapd.config.written import WrittenSettings
from swapd.config.written_models import WrittenFilters, WrittenModel, WrittenPeer
from swapd.config.written_routing import WrittenProfile, WrittenSelector


def model(*names: str, by_id: tuple[str, ...] = ()) -> WrittenModel:
    """Write a model with these aliases."""
    filters = WrittenFilters(set_params_by_id={name: {} for name in by_id})
    return WrittenModel(cmd="x", aliases=names, filters=filters)


def peer(*models: str) -> WrittenPeer:
    """Write a peer with these models."""
    return WrittenPeer(proxy="http://h", models=models)


def told(*problems: Problem) -> list[str]:
    """Spell what problems are about."""
    return [spelled(problem.subject) for problem in problems]


def test_an_alias_belongs_to_one_model() -> None:
    """C200, C201: which of two was meant is nobody's guess."""
    draft = Draft(WrittenSettings(models={"a": model("x", "y", "x"), "b": model("z", "y")}))

    assert list(aliases(draft)) == [
        Problem(("models", "a", "aliases", 2), 'duplicate alias "x", already one of "a"'),
        Problem(("models", "b", "aliases", 1), 'duplicate alias "y", already one of "a"'),
    ]


def test_an_alias_that_is_a_models_id_is_dead_but_no_mistake() -> None:
    """C202: the id is found first."""
    draft = Draft(WrittenSettings(models={"a": model("a", "b", ""), "b": model()}))

    assert list(aliases(draft)) == []
    assert draft.names.local("b") == "b"


def test_parameters_are_set_for_names_of_ones_own() -> None:
    """C205, C206, C207: a name in two places would set another model's parameters."""
    draft = Draft(
        WrittenSettings(
            models={
                "a": model("own", by_id=("a", "own", "b", "b:high", "theirs")),
                "b": model("theirs", by_id=("b:high",)),
            }
        )
    )

    assert told(*parameters_by_id(draft)) == [
        "models.a.filters.setParamsByID.b",
        "models.a.filters.setParamsByID.theirs",
        "models.b.filters.setParamsByID.b:high",
    ]


def test_a_full_name_is_a_peers_alone() -> None:
    """C298, C299: whoever asks for it must reach that peer and nobody else."""
    draft = Draft(
        WrittenSettings(
            models={"p/m": model("p/n"), "q": model(by_id=("p/o",))},
            selectors={"p/s": WrittenSelector()},
            profiles={"x": WrittenProfile(pins={"p/t": None})},
            peers={"p": peer("m", "n", "o", "s", "t"), "a": peer("b/c"), "a/b": peer("c")},
        )
    )

    assert told(*peers(draft)) == [
        "peers.a/b.models[0]",
        "models.p/m",
        "models.p/m.aliases[0]",
        "models.q.filters.setParamsByID.p/o",
        "selectors.p/s",
        "profiles.x.pins.p/t",
    ]


@pytest.mark.parametrize(
    ("target", "strategy", "message"),
    [
        ("s", Strategy.PIN, '"s" is a selector, which cannot be a target'),
        ("nobody", Strategy.PIN, 'there is no model "nobody", here or at a peer'),
        ("both", Strategy.PIN, 'several peers have a model "both": write "p/both" or another\'s'),
        ("p/m", Strategy.WARM, "the strategy warm needs local models"),
        ("alias", Strategy.SPILLOVER, '"a" is a target already'),
    ],
)
def test_a_target_is_one_model(target: str, strategy: Strategy, message: str) -> None:
    """The selector must know where to send a request, whenever one comes."""
    draft = Draft(
        WrittenSettings(
            models={"a": model("alias")},
            selectors={"s": WrittenSelector(strategy=strategy, targets=("a", target))},
            peers={"p": peer("m", "both"), "q": peer("both")},
        )
    )
    (problem,) = selectors(draft)

    assert problem.path == ("selectors", "s", "targets", 1)
    assert message in problem.message


def test_a_pin_stands_for_something_or_for_nothing() -> None:
    """C330, C333: a mistyped target would turn a name off for good."""
    pins = {"a": "nobody", "b": "", "c": None, "d": "s", "e": "m", "f": "a"}
    draft = Draft(
        WrittenSettings(
            models={"m": model()},
            selectors={"s": WrittenSelector(strategy=Strategy.PIN, targets=("m",))},
            profiles={"p": WrittenProfile(pins=pins)},
        )
    )

    assert told(*profiles(draft)) == ["profiles.p.pins.a", "profiles.p.pins.f"]
