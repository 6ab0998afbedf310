"""The paths that belong to models, and what their servers are asked. Pure; from llama-swap."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

# As they are asked for, so they are forwarded.
_SAME = (
    "/v1/chat/completions",
    "/v1/responses",
    "/v1/completions",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/v1/embeddings",
    "/reranking",
    "/rerank",
    "/v1/rerank",
    "/v1/reranking",
    "/infill",
    "/completion",
    "/v1/audio/speech",
    "/v1/audio/voices",
    "/v1/images/generations",
    "/sdapi/v1/txt2img",
    "/sdapi/v1/img2img",
)

# For servers whose paths have no version: `/v` is cut off.
_VERSIONLESS = (
    "/chat/completions",
    "/responses",
    "/completions",
    "/messages",
    "/messages/count_tokens",
    "/embeddings",
    "/rerank",
    "/reranking",
)

ROUTES: Final[Mapping[str, str]] = MappingProxyType(
    {path: path for path in _SAME}
    | {f"/v{path}": path for path in _VERSIONLESS}
    | {"/audioapi/v1/tasks/run": "/v1/tasks/run"}
)
"""Path asked for -> path forwarded; all of them POST with the model in a JSON body."""


def find(path: str) -> str | None:
    """Answer with the path to forward, or None if it is not a model's."""
    return ROUTES.get(path)
