"""The paths that belong to models."""

import pytest

from swapd.routes import ROUTES, find


@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions",
        "/v1/responses",
        "/v1/completions",
        "/v1/messages",
        "/v1/messages/count_tokens",
        "/v1/embeddings",
        "/rerank",
        "/reranking",
        "/v1/rerank",
        "/v1/reranking",
        "/infill",
        "/completion",
        "/v1/audio/speech",
        "/v1/audio/voices",
        "/v1/audio/transcriptions",
        "/v1/images/generations",
        "/v1/images/edits",
        "/sdapi/v1/txt2img",
        "/sdapi/v1/img2img",
    ],
)
def test_a_models_path_is_forwarded_as_it_is(path):
    """The whole list, written out: a route lost in a change would be somebody's 404."""
    route = find(path)
    assert route is not None
    assert (route.forwarded, "POST" in route.methods) == (path, True)


@pytest.mark.parametrize("path", ["/props", "/sdapi/v1/loras", "/v1/audio/voices"])
def test_some_are_asked_with_get(path):
    """Their model stands in the query."""
    route = find(path)
    assert route is not None
    assert route.forwarded == path
    assert {"GET", "HEAD"} <= set(route.methods)


@pytest.mark.parametrize(
    ("asked", "forwarded"),
    [
        ("/v/chat/completions", "/chat/completions"),
        ("/v/responses", "/responses"),
        ("/v/completions", "/completions"),
        ("/v/messages", "/messages"),
        ("/v/messages/count_tokens", "/messages/count_tokens"),
        ("/v/embeddings", "/embeddings"),
        ("/v/rerank", "/rerank"),
        ("/v/reranking", "/reranking"),
        ("/audioapi/v1/tasks/run", "/v1/tasks/run"),
    ],
)
def test_a_prefix_is_cut_off_where_the_server_knows_none(asked, forwarded):
    """#728: servers whose own paths have no version."""
    route = find(asked)
    assert route is not None
    assert (route.forwarded, route.methods) == (forwarded, ("POST",))


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/v1",
        "/v1/models",
        "/running",
        "/chat/completions",
        "/v1/chat/completions/",
        "/v1/chat/completions/x",
        "//v1/chat/completions",
        "/V1/chat/completions",
        "/v1/tasks/run",
        "/v/infill",
    ],
)
def test_everything_else_is_not_a_models(path):
    """The match is exact; the control plane answers the rest."""
    assert find(path) is None


def test_there_are_no_more_than_these():
    """A new route is a line in a test as well."""
    assert len(ROUTES) == 21 + 9


def test_only_what_streams_events_may_be_begun_with_one():
    """A comment in a stream of audio is noise."""
    assert {path for path, route in ROUTES.items() if route.events} == {
        *("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"),
        *("/v/chat/completions", "/v/completions", "/v/responses", "/v/messages"),
        *("/completion", "/infill"),
        *("/v1/audio/transcriptions", "/v1/images/generations", "/v1/images/edits"),
    }


def test_methods_are_sorted_for_the_header_that_lists_them():
    """A 405 names them in a fixed order."""
    assert all(list(route.methods) == sorted(route.methods) for route in ROUTES.values())
