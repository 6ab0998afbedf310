"""From plain values to typed ones, with every mistake on the way."""

from typing import Any

import pytest

from swapd.config.decode import decode
from swapd.config.problems import Problem
from swapd.config.values import BareKey, Value
from swapd.config.written import WrittenSettings
from swapd.config.written_models import WrittenModel


def mistakes(tree: dict[str, Any]) -> list[tuple[tuple[str | int, ...], str]]:
    """Decode a tree and list what is wrong with it."""
    return [(problem.path, problem.message) for problem in decode(tree)[1]]


def model(**fields: Value) -> WrittenModel:
    """Decode one model without mistakes."""
    written, problems = decode({"models": {"m": dict(fields)}})
    assert problems == ()
    return written.models["m"]


def test_nothing_is_all_defaults() -> None:
    """C001: an empty file is a configuration."""
    assert decode({}) == (WrittenSettings(), ())


def test_every_key_reaches_its_field() -> None:
    """The file says camelCase, the code says snake_case."""
    written, problems = decode(
        {
            "models": {"m": {"cmd": "x", "cmdStop": "y", "useModelName": "u", "unlisted": "yes"}},
            "healthCheckTimeout": 20,
            "startPort": 6000,
            "globalTTL": 5.0,
            "unloadTimeout": 7,
            "logLevel": "Debug",
            "routing": {"scheduler": {"use": "serial", "settings": {"serial": {"maxQueue": 3}}}},
        }
    )

    assert problems == ()
    assert written.models["m"] == WrittenModel(
        cmd="x", cmd_stop="y", use_model_name="u", unlisted=True
    )
    assert (written.health_check_timeout, written.start_port) == (20, 6000)
    assert (written.global_ttl, written.unload_timeout) == (5, 7)
    assert written.log_level == "Debug"
    assert written.routing.scheduler.settings.serial.max_queue == 3


@pytest.mark.parametrize(
    ("fields", "field", "value"),
    [
        pytest.param({"cmd": 12}, "cmd", "12", id="C044"),
        pytest.param({"aliases": [5, True, "a"]}, "aliases", ("5", "true", "a"), id="C085"),
        pytest.param({"aliases": [None, "a", None]}, "aliases", ("a",), id="C086"),
        pytest.param({"aliases": None}, "aliases", (), id="C038"),
        pytest.param({"ttl": 1.5}, "ttl", 1, id="C026"),
        pytest.param({"ttl": None}, "ttl", -1, id="C009"),
        pytest.param({"unlisted": None}, "unlisted", False, id="C035"),
        pytest.param({"checkEndpoint": None}, "check_endpoint", "/health", id="C231-null"),
        pytest.param({"checkEndpoint": ""}, "check_endpoint", "", id="C231-empty"),
        pytest.param({"proxy": None}, "proxy", None, id="null-proxy"),
        pytest.param({"prefetch": None}, "prefetch", True, id="prefetch-null"),
        pytest.param({"prefetch": "off"}, "prefetch", False, id="prefetch-word"),
        pytest.param({"prefetch": ["/a", None, 5]}, "prefetch", ("/a", "5"), id="prefetch-list"),
    ],
)
def test_scalars_are_taken_as_in_llama_swap(
    fields: dict[str, Value], field: str, value: object
) -> None:
    """An existing file that worked must work, sloppy spelling included."""
    found = getattr(model(**fields), field)

    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize("section", ["models", "routing", "startPort", "logLevel"])
def test_a_null_section_is_an_absent_one(section: str) -> None:
    """C009, C280: a key whose contents are all commented out."""
    assert decode({section: None}) == (WrittenSettings(), ())


@pytest.mark.parametrize(
    ("tree", "path", "message"),
    [
        pytest.param(
            {"startPort": "abcd"},
            ("startPort",),
            'expected a whole number, got "abcd"',
            id="C005",
        ),
        pytest.param(
            {"startPort": "6000"},
            ("startPort",),
            'expected a whole number, got "6000": write it without quotes',
            id="C008",
        ),
        pytest.param(
            {"models": {"m": {"unlisted": "true"}}},
            ("models", "m", "unlisted"),
            'expected true or false, got "true"',
            id="C034",
        ),
        pytest.param(
            {"models": {"m": [1]}}, ("models", "m"), "expected a mapping, got a list", id="C046"
        ),
        pytest.param({"models": []}, ("models",), "expected a mapping, got a list", id="C047"),
        pytest.param(
            {"models": {"m": {"prefetch": "/a"}}},
            ("models", "m", "prefetch"),
            'expected true, false or a list, got "/a"',
            id="prefetch-text",
        ),
        pytest.param(
            {"models": {"m": {"prefetch": ["/a", ["/b"]]}}},
            ("models", "m", "prefetch", 1),
            "expected text, got a list",
            id="prefetch-deep",
        ),
        pytest.param(
            {"models": {"m": {"env": "A=b"}}},
            ("models", "m", "env"),
            'expected a list, got "A=b"',
            id="C048",
        ),
        pytest.param(
            {"models": {"m": None}}, ("models", "m"), "expected a mapping, got null", id="C045-D28"
        ),
        pytest.param(
            {"models": {BareKey("1"): {}}},
            ("models", "1"),
            'this key is not text: write "1", with the quotes',
            id="C049-D28",
        ),
        pytest.param(
            {"models": {"m": {"env": ["A=b", None, {}]}}},
            ("models", "m", "env", 2),
            "expected text, got a mapping",
            id="place-after-null",
        ),
        pytest.param(
            {"logToStdout": ""},
            ("logToStdout",),
            'expected one of proxy, upstream, both, none, got ""',
            id="C017",
        ),
        pytest.param(
            {"profiles": {"p": ["a"]}},
            ("profiles", "p"),
            "expected a mapping with description and pins, got a list",
            id="C331",
        ),
        pytest.param(
            {"routing": {"scheduler": {"use": "lifo"}}},
            ("routing", "scheduler", "use"),
            'expected one of serial, fifo, got "lifo"',
            id="C260",
        ),
        pytest.param(
            {"routing": {"scheduler": {"settings": {"serial": {"maxQueue": "x"}}}}},
            ("routing", "scheduler", "settings", "serial", "maxQueue"),
            'expected a whole number, got "x"',
            id="deep",
        ),
    ],
)
def test_a_value_of_the_wrong_type_is_told_with_its_path(
    tree: dict[str, Any], path: tuple[str | int, ...], message: str
) -> None:
    """The path is what finds the line."""
    assert mistakes(tree) == [(path, message)]


@pytest.mark.parametrize(
    ("tree", "path", "key", "hint"),
    [
        ({"globalTtl": 1}, (), "globalTtl", ', did you mean "globalTTL"?'),
        ({"models": {"m": {"CMD": "x"}}}, ("models", "m"), "CMD", ', did you mean "cmd"?'),
        ({"models": {"m": {"alias": []}}}, ("models", "m"), "alias", ', did you mean "aliases"?'),
        ({"models": {"m": {"aliasses": None}}}, ("models", "m"), "aliasses", '"aliases"?'),
        (
            {"routing": {"groups": {}}},
            ("routing",),
            "groups",
            "; it belongs under routing.router.settings or at the top",
        ),
        ({"defs": {}}, (), "defs", 'notes and anchors go under keys that begin with "x-"'),
        ({"k" * 5000: 1}, (), "k" * 5000, "; known here, nearest first: "),
        ({BareKey("1"): 1}, (), "1", "; known here, nearest first: "),
    ],
)
def test_an_unknown_key_is_refused(
    tree: dict[str, Any], path: tuple[str, ...], key: str, hint: str
) -> None:
    """D28: an option that is ignored is worse than one that is missing."""
    (problem,) = decode(tree)[1]

    assert (problem.path, problem.key) == (path, key)
    assert problem.message.startswith("unknown key ")
    assert hint in problem.message


def test_all_mistakes_are_told_and_the_rest_is_decoded() -> None:
    """The rules can still look at what is right; what is wrong is at its default."""
    written, problems = decode(
        {
            "globalTTL": "x",
            "unloadTimeout": 5,
            "models": {
                "a": {"cmd": "x", "ttl": "abc", "bogus": 1, "aliases": ["one", ["two"], "three"]},
                "b": None,
                "c": {"cmd": "y", "unlisted": 7},
            },
        }
    )

    assert sorted(problem.subject for problem in problems) == [
        ("globalTTL",),
        ("models", "a", "aliases", 1),
        ("models", "a", "bogus"),
        ("models", "a", "ttl"),
        ("models", "b"),
        ("models", "c", "unlisted"),
    ]
    assert written == WrittenSettings(
        unload_timeout=5,
        models={
            "a": WrittenModel(cmd="x", aliases=("one", "three")),
            "c": WrittenModel(cmd="y"),
        },
    )


def test_a_wrong_section_does_not_hide_the_others() -> None:
    """C047: models that are a list are one mistake; the port next to them another."""
    assert decode({"models": [], "startPort": []})[1] == (
        Problem(("models",), "expected a mapping, got a list"),
        Problem(("startPort",), "expected a whole number, got a list"),
    )
