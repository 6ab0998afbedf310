"""Rows C060 to C087: the store, measuring, paths that load no model, keys."""

from collections.abc import Callable
from pathlib import Path

import pytest

from swapd.config.load import Loaded
from swapd.config.patterns import any_of
from swapd.config.settings import Performance
from tests.config.rows.loading import assert_refused, loaded, refusals

DEFAULT_PATHS = (r".*\.(js|json|css|png|gif|jpg|jpeg|ico|txt)$",)


@pytest.mark.parametrize("exists", [pytest.param(False, id="C060"), pytest.param(True, id="C061")])
def test_a_store_may_be_there_or_yet_to_come(tmp_path: Path, exists: bool) -> None:
    """The first start makes the file that the second one finds."""
    store = tmp_path / "activity.db"
    if exists:
        store.touch()

    assert loaded(f"store: {{path: '{store}'}}").settings.store_path == str(store)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        pytest.param("no/such/dir/llama-swap.db", "not writable", id="C062"),
        pytest.param(".", "is a directory, not a file", id="C064"),
    ],
)
def test_a_store_that_cannot_be_written_is_refused(tmp_path: Path, path: str, says: str) -> None:
    """Better at the start than at the first request that is to be remembered."""
    store = tmp_path / path

    assert_refused(f"store: {{path: »'{store}'}}", "store.path", says)


@pytest.mark.parametrize(
    ("text", "path", "says"),
    [
        pytest.param('store: {path: »""}', "store.path", "a store needs a path", id="C063-blank"),
        pytest.param("»store: {}", "store.path", "a store needs a path", id="C063-absent"),
        pytest.param(
            "performance: {every: »4s}", "performance.every", "at least 5s, got 4s", id="C070"
        ),
        pytest.param(
            "performance: {every: »-5s}", "performance.every", "at least 5s, got -5s", id="C072"
        ),
        pytest.param("performance: {every: »6}", "performance.every", "a duration", id="C073-6"),
        pytest.param(
            "performance: {every: »abc}", "performance.every", "a duration", id="C073-abc"
        ),
        pytest.param("performance: {every: »1d}", "performance.every", "a duration", id="C073-1d"),
        pytest.param(
            'upstream: {ignorePaths: [»"[invalid("]}',
            "upstream.ignorePaths[0]",
            'invalid regular expression "[invalid("',
            id="C078",
        ),
        pytest.param(
            'upstream: {ignorePaths: [a, »"(?!x)"]}',
            "upstream.ignorePaths[1]",
            'invalid regular expression "(?!x)"',
            id="C079",
        ),
    ],
)
def test_a_section_that_cannot_work_is_refused(text: str, path: str, says: str) -> None:
    """What is measured too often or matches nothing is noticed weeks later, if at all."""
    assert_refused(text, path, says)


@pytest.mark.parametrize(
    ("text", "path", "says"),
    [
        pytest.param('apiKeys: [»""]', "apiKeys[0]", "must not be empty", id="C080"),
        pytest.param('apiKeys: [»"   "]', "apiKeys[0]", "must not contain spaces", id="C081"),
        pytest.param(
            'apiKeys: [»" key123"]', "apiKeys[0]", "must not contain spaces", id="C082-before"
        ),
        pytest.param(
            'apiKeys: [»"key123 "]', "apiKeys[0]", "must not contain spaces", id="C082-behind"
        ),
        pytest.param(
            'apiKeys: [»"key 123"]', "apiKeys[0]", "must not contain spaces", id="C082-inside"
        ),
        pytest.param(
            'apiKeys: ["valid-key", »"bad key"]',
            "apiKeys[1]",
            "must not contain spaces",
            id="C083",
        ),
        pytest.param(
            'apiKeys: ["valid-key", »"", "another-key"]',
            "apiKeys[1]",
            "must not be empty",
            id="C084",
        ),
    ],
)
def test_a_key_that_no_client_can_send_is_refused(text: str, path: str, says: str) -> None:
    """An empty key would open the door; and no message may show one that is real."""
    assert_refused(text, path, says)
    told = "\n".join(str(problem) for problem in refusals(text.replace("»", "")))
    assert not any(key in told for key in ("key123", "key 123", "bad key"))


@pytest.mark.parametrize(
    ("text", "look", "found"),
    [
        pytest.param("store:", lambda c: c.settings.store_path, None, id="C065"),
        pytest.param(
            "models: {}", lambda c: c.settings.performance, Performance(False, 5.0), id="C066"
        ),
        pytest.param(
            "performance: {enable: true, every: 30s}",
            lambda c: c.settings.performance,
            Performance(False, 30.0),
            id="C067",
        ),
        pytest.param(
            "performance: {disabled: true}",
            lambda c: c.settings.performance,
            Performance(True, 5.0),
            id="C068",
        ),
        *(
            pytest.param(
                f"performance: {{every: {text}}}",
                lambda c: c.settings.performance.every,
                seconds,
                id=f"{row}-{text}",
            )
            for row, text, seconds in (
                ("C069", "10s", 10.0),
                ("C069", "1m30s", 90.0),
                ("C069", "5000ms", 5.0),
                ("C071", "0s", 5.0),
            )
        ),
        pytest.param("", lambda c: c.settings.ignore_paths, DEFAULT_PATHS, id="C074-absent"),
        pytest.param(
            "upstream: {}", lambda c: c.settings.ignore_paths, DEFAULT_PATHS, id="C074-empty"
        ),
        pytest.param(
            "upstream: {ignorePaths: []}",
            lambda c: c.settings.ignore_paths,
            DEFAULT_PATHS,
            id="C074-list",
        ),
        pytest.param("apiKeys: [123]", lambda c: c.settings.api_keys, ("123",), id="C085"),
        pytest.param("apiKeys: [null]", lambda c: c.settings.api_keys, (), id="C086"),
        pytest.param('apiKeys: ["a\\tb"]', lambda c: c.settings.api_keys, ("a\tb",), id="C087"),
    ],
)
def test_a_section_means_what_it_means_in_llama_swap(
    text: str, look: Callable[[Loaded], object], found: object
) -> None:
    """Absent, empty and null are three ways to say the same, but for lists."""
    assert look(loaded(text)) == found


@pytest.mark.parametrize(
    ("path", "ignored"),
    [
        *(
            pytest.param(path, True, id=f"C075-{path}")
            for path in (
                *("/foo.js", "/bar/baz.json", "/static/img.png", "/notes.txt", "/favicon.ico"),
            )
        ),
        *(
            pytest.param(path, False, id=f"C076-{path}")
            for path in ("/v1/chat/completions", "/v1/models", "/health")
        ),
    ],
)
def test_the_files_of_web_pages_load_no_model(path: str, ignored: bool) -> None:
    """A browser that asks for an icon must not cost the next request a swap."""
    assert any_of(loaded("").settings.ignore_paths)(path) is ignored


@pytest.mark.parametrize(
    ("path", "matches"),
    [
        pytest.param("/static/foo.png", [False, True], id="C077-static"),
        pytest.param("/v1/chat/completions", [False, False], id="C077-none"),
    ],
)
def test_own_patterns_replace_the_default(path: str, matches: list[bool]) -> None:
    """Who writes patterns means these and no others."""
    text = r"upstream: {ignorePaths: ['\.wasm$', '^/static/.*']}"
    patterns = loaded(text).settings.ignore_paths

    assert [any_of([pattern])(path) for pattern in patterns] == matches
