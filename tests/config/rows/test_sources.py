"""Rows C350 to C377: several files."""

from collections.abc import Callable
from pathlib import Path

import pytest

from swapd.config.files import find_files
from swapd.config.kinds import LogLevel
from swapd.config.load import Loaded, load
from swapd.config.problems import ConfigError
from swapd.ids import ModelId
from tests.config.rows.loading import assert_clash, folder, loaded_together


def command(found: Loaded) -> str:
    """Pick the command of the model a."""
    return found.settings.models[ModelId("a")].cmd


def models(found: Loaded) -> list[str]:
    """Pick the names of all models."""
    return sorted(found.settings.models)


@pytest.mark.parametrize("nothing", [pytest.param(None, id="C350")])
def test_without_a_source_there_is_no_configuration(nothing: None) -> None:
    """Defaults without a single file are nobody's wish."""
    with pytest.raises(ConfigError, match="--config") as error:
        find_files(nothing, nothing)
    assert "--config-dir" in str(error.value)


@pytest.mark.parametrize(
    ("config", "directory", "found"),
    [
        pytest.param(True, False, ["one"], id="C351-file"),
        pytest.param(False, True, ["three", "two"], id="C351-directory"),
        pytest.param(True, True, ["one", "three", "two"], id="C351-both"),
    ],
)
def test_a_file_and_a_directory_are_read_together(
    tmp_path: Path, config: bool, directory: bool, found: list[str]
) -> None:
    """What is common stands in the one, and each model in a file of the other."""
    main = folder(tmp_path / "main", config="models: {one: M}") / "config.yaml"
    parts = folder(tmp_path / "parts", a="models: {two: M}", b="models: {three: M}")

    files = find_files(main if config else None, parts if directory else None)
    assert models(load(files, environ={})) == found


@pytest.mark.parametrize("name", [pytest.param("a.yaml", id="C352")])
def test_a_file_is_not_given_twice(tmp_path: Path, name: str) -> None:
    """Everything in it would be there twice."""
    parts = folder(tmp_path / "parts", a="", b="")

    with pytest.raises(ConfigError) as error:
        find_files(parts / name, parts)
    assert name in str(error.value)
    assert str(parts) in str(error.value)


@pytest.mark.parametrize("parts", [pytest.param({}, id="C362")])
def test_an_empty_directory_may_wait_for_its_first_file(
    tmp_path: Path, parts: dict[str, str]
) -> None:
    """As long as there is something to serve."""
    main = folder(tmp_path / "main", config="models: {a: M}") / "config.yaml"

    files = find_files(main, folder(tmp_path / "parts", **parts))
    assert models(load(files, environ={})) == ["a"]


@pytest.mark.parametrize(
    "names",
    [
        pytest.param([], id="C363"),
        pytest.param(["b.YAML", "c.json", "sub/a.yaml"], id="C364"),
    ],
)
def test_a_directory_without_a_configuration_is_refused(tmp_path: Path, names: list[str]) -> None:
    """A mistyped path is an empty directory as often as a missing one."""
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("models: {}")

    with pytest.raises(ConfigError, match=r"no .* file in") as error:
        find_files(None, tmp_path)
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize(
    ("first", "second", "look", "found"),
    [
        pytest.param(
            "globalTTL: 100", "globalTTL: 100", lambda c: c.written.global_ttl, 100, id="C355"
        ),
        pytest.param(
            "macros: {LOW: l}\nmodels: {a: {cmd: '${LOW} ${HIGH}', proxy: http://h}}",
            "macros: {HIGH: h}\nmodels: {b: {cmd: '${HIGH} ${LOW}', proxy: http://h}}",
            lambda c: [model.cmd for model in c.settings.models.values()],
            ["l h", "h l"],
            id="C356",
        ),
        pytest.param(
            "macros: {LOW: low}",
            "models: {a: {cmd: 'x ${LOW}', proxy: http://h}}",
            command,
            "x low",
            id="C357",
        ),
        pytest.param(
            "apiKeys: [one, two]",
            "apiKeys: [three]",
            lambda c: c.settings.api_keys,
            ("one", "two", "three"),
            id="C358",
        ),
        pytest.param(
            "models: {a: M}\nrouting: {router: {settings: {groups: {A: {members: [a]}}}}}",
            "models: {b: M}\nrouting: {router: {settings: {groups: {B: {members: [b]}}}}}",
            lambda c: [c.settings.groups[own].members for own in ("A", "B")],
            [("a",), ("b",)],
            id="C359",
        ),
        pytest.param(
            "models: {a: M}",
            "apiKeys: [${env.TEST_API_KEY}]",
            lambda c: c.settings.api_keys,
            ("sk-test",),
            id="C361",
        ),
        pytest.param(
            "logLevel: ~",
            "logLevel: debug",
            lambda c: c.settings.log_level,
            LogLevel.DEBUG,
            id="C367-ours",
        ),
        pytest.param("models:", "models: {a: M}", models, ["a"], id="C368-ours"),
        pytest.param(
            "macros: {A: 1}",
            "macros: {A: 1}\nmodels: {a: {cmd: 'x ${A}', proxy: http://h}}",
            command,
            "x 1",
            id="C370-same",
        ),
        pytest.param(
            "models: {a: M}\nmatrix: {sets: {s: a}}",
            "matrix: {evict_costs: {a: 5}}",
            lambda c: (
                [expression.name for expression in c.settings.matrix.sets],
                c.settings.matrix.evict_costs,
            ),
            (["s"], {"a": 5}),
            id="C372",
        ),
        pytest.param(
            "models: {a: M, b: M}\nhooks: {on_startup: {preload: [b]}}\n"
            "upstream: {ignorePaths: [y]}",
            "hooks: {on_startup: {preload: [a]}}\nupstream: {ignorePaths: [x]}",
            lambda c: (c.settings.preload, c.settings.ignore_paths),
            (("b", "a"), ("y", "x")),
            id="C377",
        ),
    ],
)
def test_files_make_one_configuration(
    tmp_path: Path, first: str, second: str, look: Callable[[Loaded], object], found: object
) -> None:
    """Mappings are joined, lists follow each other, and nothing gives way to something."""
    together = loaded_together(tmp_path, first, second, environ={"TEST_API_KEY": "sk-test"})

    assert look(together) == found


@pytest.mark.parametrize(
    "first", [pytest.param("store:", id="C365"), pytest.param("store: ~", id="C366-ours")]
)
def test_an_empty_store_gives_way_to_one(tmp_path: Path, first: str) -> None:
    """Nothing at all says nothing, however it is spelled."""
    store = tmp_path / "p.db"
    found = loaded_together(tmp_path, first, f"store: {{path: '{store}'}}")

    assert found.settings.store_path == str(store)


@pytest.mark.parametrize(
    ("first", "second", "about", "says"),
    [
        pytest.param(
            "models: {dup: M}",
            "models: {»dup: M}",
            "models.dup",
            '"dup" stands in two files',
            id="C353-models",
        ),
        pytest.param(
            "models: {a: M}\ngroups: {g1: {members: [a]}}",
            "groups: {»g1: {members: [a]}}",
            "groups.g1",
            '"g1" stands in two files',
            id="C353-groups",
        ),
        pytest.param(
            "peers: {remote: {proxy: http://p, models: [m]}}",
            "peers: {»remote: {proxy: http://p, models: [m]}}",
            "peers.remote",
            '"remote" stands in two files',
            id="C353-peers",
        ),
        pytest.param(
            "models: {a: M}\nselectors: {public: {strategy: pin, targets: [a]}}",
            "selectors: {»public: {strategy: pin, targets: [a]}}",
            "selectors.public",
            '"public" stands in two files',
            id="C353-selectors",
        ),
        pytest.param(
            "globalTTL: 100",
            "»globalTTL: 200",
            "globalTTL",
            '"globalTTL" says something else',
            id="C354",
        ),
        pytest.param(
            "startPort: 5800",
            "»startPort: [5800, 5801]",
            "startPort",
            '"startPort" is of another kind',
            id="C360",
        ),
        pytest.param(
            "globalTTL: 5",
            '»globalTTL: "5"',
            "globalTTL",
            '"globalTTL" is of another kind',
            id="C369",
        ),
        pytest.param(
            "macros: {A: 1}",
            "macros: {»A: 2}",
            "macros.A",
            '"A" says something else',
            id="C370-other",
        ),
        pytest.param(
            'macros: {A: "x${B}"}\nmodels: {a: {cmd: »"x ${A}", proxy: http://h}}',
            "macros: {B: b}",
            "models.a.cmd",
            "unknown macro ${B}",
            id="C371",
        ),
        pytest.param(
            "models: {a: M}\nmatrix: {sets: {s: a}}",
            "matrix: {»sets: {t: a}}",
            "matrix.sets",
            '"sets" stands in two files',
            id="C373",
        ),
        pytest.param(
            "x-common: &common {cmd: x, proxy: http://h}",
            "models: {a: »*common}",
            "models.a",
            'unknown anchor "common"',
            id="C374",
        ),
        pytest.param("models: {a: M}", "»- a", "", "must be a mapping", id="C375"),
        pytest.param("models: {a: M}", "»hello", "", "must be a mapping", id="C376-ours"),
    ],
)
def test_files_that_contradict_each_other_are_refused(
    tmp_path: Path, first: str, second: str, about: str, says: str
) -> None:
    """Nobody should have to know which file wins; the later one is blamed."""
    assert_clash(tmp_path, first, second, about=about, says=says)
