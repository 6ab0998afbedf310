"""Which pages are for clients of models, and which for whoever looks after the daemon. Pure.

Rule 1: a page is an admin's unless it stands here, so that a new one is never open by oversight.
Rule 2: paths are taken as they are routed: decoded, and by the letter.
"""

FOR_CLIENTS = frozenset(
    (
        "/",
        "/health",
        "/wol-health",
        "/models",
        "/v1/models",
        "/openapi.json",
        "/upstream",
    )
)

# From llama-swap: the one page that does something for who only gets it.
_UNLOAD = "unload"


def is_for_admins(path: str) -> bool:
    """Tell whether a path that is no model's is none of a client's, or nobody's at all."""
    return path not in FOR_CLIENTS


def changes_something(method: str, path: str) -> bool:
    """Tell whether more may come of a request than an answer."""
    # Quart takes any number of slashes in front for one.
    return method not in ("GET", "HEAD") or path.lstrip("/") == _UNLOAD
