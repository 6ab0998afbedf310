"""The paths that belong to models, and what their servers are asked. Pure; from llama-swap."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import attrs


@attrs.frozen
class Route:
    """One path of a model's."""

    forwarded: str
    """The path that its server is asked."""
    methods: tuple[str, ...] = ("POST",)
    """Sorted. With GET and HEAD the model stands in the query, with POST in the body."""
    events: bool = False
    """Whether a streamed answer is one of server-sent events."""
    loading_state: bool = False
    """Whether `sendLoadingState` concerns it: its clients show `reasoning_content`."""
    anthropic: bool = False
    """Whether it is Anthropic's, with errors and pings of its own."""


_ASKED = ("GET", "HEAD")
_BOTH = ("GET", "HEAD", "POST")

# For servers whose paths have no version, `/v` is cut off.
_VERSIONLESS = "/v"

_OPENAI = (
    Route("/v1/chat/completions", events=True, loading_state=True),
    Route("/v1/completions", events=True),
    Route("/v1/responses", events=True),
    Route("/v1/embeddings"),
    Route("/v1/audio/transcriptions", events=True),
    # Streamed, some servers answer with bare audio, and a comment would be noise in it.
    Route("/v1/audio/speech"),
    Route("/v1/audio/voices", _BOTH),
    Route("/v1/images/generations", events=True),
    Route("/v1/images/edits", events=True),
)

_ANTHROPICS = (
    Route("/v1/messages", events=True, anthropic=True),
    Route("/v1/messages/count_tokens", anthropic=True),
)

_LLAMA_CPP = (
    Route("/completion", events=True),
    Route("/infill", events=True),
    Route("/rerank"),
    Route("/reranking"),
    Route("/v1/rerank"),
    Route("/v1/reranking"),
    Route("/props", _ASKED),
)

_STABLE_DIFFUSION = (
    Route("/sdapi/v1/txt2img"),
    Route("/sdapi/v1/img2img"),
    Route("/sdapi/v1/loras", _ASKED),
)

_CUT_OFF = (
    Route("/chat/completions", events=True),
    Route("/responses", events=True),
    Route("/completions", events=True),
    Route("/messages", events=True, anthropic=True),
    Route("/messages/count_tokens", anthropic=True),
    Route("/embeddings"),
    Route("/rerank"),
    Route("/reranking"),
)

ROUTES: Final[Mapping[str, Route]] = MappingProxyType(
    {route.forwarded: route for route in (*_OPENAI, *_ANTHROPICS, *_LLAMA_CPP, *_STABLE_DIFFUSION)}
    | {_VERSIONLESS + route.forwarded: route for route in _CUT_OFF}
    | {"/audioapi/v1/tasks/run": Route("/v1/tasks/run")}
)
"""By the path that is asked for."""


def find(path: str) -> Route | None:
    """Answer with the route of a path, or None if it is not a model's."""
    return ROUTES.get(path)
