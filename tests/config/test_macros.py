"""Filling in ${PORT}, ${MODEL_ID} and whatever is declared later."""

from typing import Any

import pytest

from swapd.config.macros import LONGEST_TEXT, Expanded, Macro, expand, substitute
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

    assert expanded(models, startPort=start).ports == ports


@pytest.mark.parametrize("start", [None, "abc", True, float("inf"), [1]])
def test_a_start_port_that_is_none_changes_nothing_here(start: object) -> None:
    """Decoding refuses it; guessing here must not add a second complaint."""
    assert expanded({"a": {"cmd": "${PORT}"}}, startPort=start).ports == {"a": 5800}


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
            "proxy uses ${PORT} but cmd does not: use it there, or set proxy",
            id="C166",
        ),
        pytest.param(
            {"cmd": "svr", "proxy": "http://h:${PORT}"},
            ("models", "m", "proxy"),
            "proxy uses ${PORT} but cmd does not: use ${PORT} in cmd",
            id="C166-written",
        ),
        pytest.param(
            {"cmd": "x", "proxy": "http://h", "cmdStop": "k ${PORT}"},
            ("models", "m", "cmdStop"),
            "unknown macro ${PORT}: a model has a port only when its cmd uses ${PORT}",
            id="C169",
        ),
        pytest.param(
            {"cmd": "x", "proxy": "http://h", "metadata": {"p": "${PORT}"}},
            ("models", "m", "metadata", "p"),
            "unknown macro ${PORT}: a model has a port only when its cmd uses ${PORT}",
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

    assert found.ports == {}
    assert found.problems == ()


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


@pytest.mark.parametrize(
    ("macros", "text", "filled"),
    [
        pytest.param([("A", "a"), ("B", "${A}-b")], "${B}", "a-b", id="C139"),
        pytest.param([("A", "v-${B}"), ("B", "x")], "${A}", "v-${B}", id="C143"),
        pytest.param([("A", "x${B}"), ("B", "y${A}")], "${B}", "yx${B}", id="C144"),
        pytest.param([("A", 5), ("B", "${A}")], "${B}", 5, id="C150"),
        pytest.param([("A", 0.7), ("B", True)], "${A} ${B}", "0.7 true", id="C150-text"),
        pytest.param([("T", 5)], "${T}0", "50", id="C182"),
        pytest.param([("KEY", "k")], {"${KEY}": ["${KEY}"]}, {"${KEY}": ["k"]}, id="C157"),
        pytest.param([("a", 1)], "${A}$${a}", "${A}$1", id="case"),
    ],
)
def test_a_macro_may_speak_of_those_before_it(
    macros: list[tuple[str, Any]], text: Any, filled: Any
) -> None:
    """Each is filled in once, the last first; so nothing runs in circles."""
    assert substitute(text, [Macro(*macro) for macro in macros]) == filled


def test_a_text_does_not_grow_without_end() -> None:
    """Twenty macros, each of ten of the one before, would be more than any memory holds."""
    long = "x" * 1000
    found = expanded({long: {"cmd": "${MODEL_ID}" * (LONGEST_TEXT // 100), "proxy": "http://h"}})

    assert [problem.path for problem in found.problems] == [("models", long)]
