"""A tree with its macros filled in, and ports for who asks."""

from typing import Any

import pytest

from swapd.config.expand import Expanded, Ports, expand
from swapd.config.macros import LONGEST_TEXT
from swapd.config.problems import Problem
from swapd.config.values import Tree


def expanded(models: dict[str, Any], **others: Any) -> Expanded:
    """Expand a tree of models, and check the top level as well."""
    return expand({"models": models, **others}, sections=["models", "apiKeys"])


def one(**model: Any) -> tuple[Tree, tuple[Problem, ...]]:
    """Expand a single model called `m`."""
    found = expanded({"m": model})
    models = found.tree["models"]
    assert isinstance(models, dict)
    tree = models["m"]
    assert isinstance(tree, dict)
    return tree, found.problems


def test_a_model_gets_a_port_and_the_default_proxy() -> None:
    """C002: the smallest configuration names neither."""
    tree, problems = one(cmd="path/to/cmd --port ${PORT}")

    assert problems == ()
    assert tree == {"cmd": "path/to/cmd --port 5800", "proxy": "http://localhost:5800"}


@pytest.mark.parametrize(
    ("start", "ids", "ports"),
    [
        pytest.param(5800, ["a", "b"], {"a": 5800, "b": 5801}, id="C165"),
        pytest.param(
            9000,
            ["model1", "model2", "author/model:F16"],
            {"author/model:F16": 9000, "model1": 9001, "model2": 9002},
            id="C167",
        ),
        pytest.param(
            7000,
            ["zeta", "Alpha", "alpha", "10", "9", "\N{GRINNING FACE}", "\uff5e"],
            {
                "10": 7000,
                "9": 7001,
                "Alpha": 7002,
                "alpha": 7003,
                "zeta": 7004,
                "\uff5e": 7005,
                "\N{GRINNING FACE}": 7006,
            },
            id="C168",
        ),
        pytest.param(70000, ["a"], {"a": 70000}, id="C282"),
    ],
)
def test_ports_go_to_models_in_byte_order(start: int, ids: list[str], ports: object) -> None:
    """Moving a model in the file, or reading it on another day, moves no port."""
    models: dict[str, Any] = {name: {"cmd": "svr ${PORT}"} for name in ids}
    models["beta"] = {"cmd": "svr", "proxy": "http://h:1"}

    assert expanded(models, startPort=start).ports.given == ports


@pytest.mark.parametrize("start", [None, "abc", True, float("inf"), [1]])
def test_a_start_port_that_is_none_changes_nothing_here(start: object) -> None:
    """Decoding refuses it; guessing here must not add a second complaint."""
    assert expanded({"a": {"cmd": "${PORT}"}}, startPort=start).ports.given == {"a": 5800}


def test_a_port_is_a_number_where_it_stands_alone() -> None:
    """C160: macros keep their type, and reach every field of the model."""
    tree, problems = one(
        cmd="s ${PORT}",
        proxy="http://h:${PORT}/x",
        checkEndpoint="/health/${PORT}",
        aliases=["port-${PORT}", "${MODEL_ID}-x"],
        metadata={"port": "${PORT}", "deep": [{"text": "p ${PORT}"}]},
    )

    assert problems == ()
    assert tree == {
        "cmd": "s 5800",
        "proxy": "http://h:5800/x",
        "checkEndpoint": "/health/5800",
        "aliases": ["port-5800", "m-x"],
        "metadata": {"port": 5800, "deep": [{"text": "p 5800"}]},
    }


@pytest.mark.parametrize(
    ("model", "path", "message"),
    [
        pytest.param(
            {"cmd": "svr --port 111"},
            ("models", "m", "proxy"),
            "proxy uses ${PORT} but cmd does not: there is no proxy, and its default is "
            "http://localhost:${PORT}; use ${PORT} in cmd, or a number in proxy",
            id="C166",
        ),
        pytest.param(
            {"cmd": "svr", "proxy": "http://h:${PORT}"},
            ("models", "m", "proxy"),
            "proxy uses ${PORT} but cmd does not: use ${PORT} in cmd, or a number in proxy",
            id="C166-written",
        ),
        pytest.param(
            {"cmd": "x", "proxy": "http://h", "cmdStop": "k ${PORT}"},
            ("models", "m", "cmdStop"),
            "unknown macro ${PORT}: it is known inside a model whose cmd uses ${PORT}",
            id="C169",
        ),
        pytest.param(
            {"cmd": "x", "proxy": "http://h", "metadata": {"p": "${PORT}"}},
            ("models", "m", "metadata", "p"),
            "unknown macro ${PORT}: it is known inside a model whose cmd uses ${PORT}",
            id="C170",
        ),
        pytest.param(
            {"cmd": "x ${PID}", "proxy": "http://h"},
            ("models", "m", "cmd"),
            "unknown macro ${PID}: it is known in cmdStop only",
            id="C163",
        ),
        pytest.param(
            {"cmd": "x --a 1 # ${NOPE}", "proxy": "http://h"},
            ("models", "m", "cmd"),
            "unknown macro ${NOPE}",
            id="C174",
        ),
        pytest.param(
            {"cmd": "x", "proxy": "http://h", "bogus": ["${NOPE}"]},
            ("models", "m", "bogus", 0),
            "unknown macro ${NOPE}",
            id="C183",
        ),
        *(
            pytest.param(
                {"cmd": "x", "proxy": "http://h", field: "a ${unknownMacro} b"},
                ("models", "m", field),
                "unknown macro ${unknownMacro}",
                id=f"C133-{field}",
            )
            for field in ("cmd", "cmdStop", "proxy", "checkEndpoint", "name")
        ),
    ],
)
def test_what_cannot_be_filled_in_is_told(
    model: dict[str, Any], path: tuple[str | int, ...], message: str
) -> None:
    """A command that is run with "${...}" in it fails in stranger ways."""
    assert one(**model)[1] == (Problem(path, message),)


def test_macros_outside_models_are_checked_where_keys_are_known() -> None:
    """C172: no model's macro means anything there. C013: and unknown keys have their own error."""
    found = expanded({}, apiKeys=["${MODEL_ID}"], foo="${NOPE}")

    assert found.problems == (
        Problem(
            ("apiKeys", 0),
            "unknown macro ${MODEL_ID}: it is known inside a model only",
        ),
    )


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("sh -c 'echo ${HOME:-x}'", id="C186"),
        pytest.param("x ${env.1X} ${env.} ${env.A-B}", id="C120"),
        "x $PORT ${} ${a b} $HOME",
    ],
)
def test_what_does_not_look_like_a_macro_is_left_alone(text: str) -> None:
    """It belongs to whatever the command starts."""
    tree, problems = one(cmd=text, proxy="http://h")

    assert (tree["cmd"], problems) == (text, ())


def test_the_process_id_waits_for_its_process() -> None:
    """C161: it is known when the model is stopped."""
    tree, problems = one(cmd="x", proxy="http://h", cmdStop="kill ${PID}")

    assert (tree["cmdStop"], problems) == ("kill ${PID}", ())


def test_a_comment_neither_asks_for_a_port_nor_names_a_macro() -> None:
    """C173: what is commented out is out, before anything is filled in."""
    found = expanded({"m": {"cmd": "x\n# --port ${PORT} ${NOPE}\n", "proxy": "http://h"}})

    assert found.ports.given == {}
    assert found.problems == ()


@pytest.mark.parametrize("cmd", [12, 0.5, True, "${N}"])
def test_a_command_that_looks_like_a_number_needs_its_port_too(cmd: Any) -> None:
    """It once passed all checks without an address, and was a traceback."""
    found = expanded({"m": {"cmd": cmd}}, macros={"N": 16384})

    assert [problem.path for problem in found.problems] == [("models", "m", "proxy")]


def test_without_a_command_nobody_asks_for_its_port() -> None:
    """The missing command is told by the rules; one mistake is enough."""
    assert one(ttl=1) == ({"ttl": 1}, ())
    assert one(cmd=None, proxy=None)[1] == ()
    assert expanded({"a": None, "b": [1]}).problems == ()


def test_the_tree_that_was_given_stays_as_it_is() -> None:
    """Places are looked up by paths into what was read."""
    model = {"cmd": "# c\nx ${PORT}", "proxy": None}
    expanded({"m": model})

    assert model == {"cmd": "# c\nx ${PORT}", "proxy": None}


def test_a_text_does_not_grow_without_end() -> None:
    """Twenty macros, each of ten of the one before, would be more than any memory holds."""
    long = "x" * 1000
    found = expanded({long: {"cmd": "${MODEL_ID}" * (LONGEST_TEXT // 100), "proxy": "http://h"}})

    assert [problem.path for problem in found.problems] == [("models", long)]


def test_a_model_keeps_its_port_in_a_reload() -> None:
    """Else one new model, sorted first, would restart all the others."""
    before = expanded({"b": {"cmd": "${PORT}"}, "c": {"cmd": "${PORT}"}}, startPort=9000).ports
    after = expand(
        {"models": {name: {"cmd": "${PORT}"} for name in "abd"}, "startPort": 9000},
        sections=["models"],
        before=before,
    )

    assert before == Ports(9000, {"b": 9000, "c": 9001})
    # The port of what has gone is not given away at once: it may still be in use.
    assert after.ports == Ports(9000, {"a": 9002, "b": 9000, "d": 9003})


def test_a_new_start_port_counts_for_all() -> None:
    """Whoever moves the range wants every model moved."""
    before = expanded({"b": {"cmd": "${PORT}"}}, startPort=9000).ports
    after = expand(
        {"models": {"b": {"cmd": "${PORT}"}}, "startPort": 7000}, sections=[], before=before
    )

    assert after.ports == Ports(7000, {"b": 7000})


def test_keys_of_set_params_by_id_are_filled_in() -> None:
    """C158, C160, C164: the only keys that are; a problem still finds its line."""
    by_id = {"${MODEL_ID}:${PORT}": {"a": "${NO}"}, "m:${B}": 1, "m:b": 2}
    found = expanded(
        {"m": {"cmd": "${PORT}", "filters": {"setParamsByID": by_id}}}, macros={"B": "b"}
    )
    path = ("models", "m", "filters", "setParamsByID")
    twice, unknown = found.problems

    assert unknown == Problem((*path, "m:5800", "a"), "unknown macro ${NO}")
    assert found.as_written(unknown.path) == (*path, "${MODEL_ID}:${PORT}", "a")
    assert twice == Problem(path, '"m:${B}" and "m:b" both become "m:b"', "m:b")


def test_a_models_own_macro_takes_the_place_of_a_common_one() -> None:
    """C142, C148: what speaks of the common one speaks of it."""
    found = expanded(
        {"m": {"cmd": "${msg} ${own}", "proxy": "http://h", "macros": {"own": 1, "tag": "mine"}}},
        macros={"tag": "common", "msg": "value-${tag}"},
    )

    assert found.tree == {"models": {"m": {"cmd": "value-mine 1", "proxy": "http://h"}}}


def test_common_macros_reach_every_section() -> None:
    """C156, C190: also the number that ports are counted from."""
    found = expanded(
        {"m": {"cmd": "${PORT}"}}, macros={"P": 6200}, startPort="${P}", apiKeys=["k${P}"]
    )

    assert found.ports.given == {"m": 6200}
    assert (found.tree["startPort"], found.tree["apiKeys"]) == (6200, ["k6200"])
