"""The outer ASGI callable: who gets a request.

A request for a model goes to the data plane, everything else to the control plane.
"""

from typing import Any

import attrs
import trio
from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable

from swapd.proxy.relay import Relay
from swapd.proxy.routes import find


@attrs.frozen
class Gateway:
    """Splits the data plane from the control plane."""

    relay: Relay
    manage: ASGIFramework

    async def __call__(
        self, scope: Any, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """Answer one request."""
        if not scope["path"].startswith("/"):
            scope = _in_origin_form(scope)
        target = find(scope["path"]) if scope["type"] == "http" else None
        if target is not None:
            await self.relay(scope, receive, send, target)
        else:
            await self.manage(_for_werkzeug(scope), receive, _with_last_send_shielded(send))


def _in_origin_form(scope: Any) -> Any:
    """Take `http://host/path`, which servers must accept too, for what it asks of us: `/path`."""
    path = "/" + scope["path"].partition("://")[2].partition("/")[2]
    raw = b"/" + scope["raw_path"].partition(b"://")[2].partition(b"/")[2]
    return {**scope, "path": path, "raw_path": raw}


def _for_werkzeug(scope: Any) -> Any:
    """Call ourselves by a name that werkzeug understands; what the client calls us matters not.

    It raises, before any error handler, for a Host that is no name.
    """
    others = [field for field in scope["headers"] if field[0].lower() != b"host"]
    return {**scope, "headers": [(b"host", b"swapd"), *others]}


def _with_last_send_shielded(send: ASGISendCallable) -> ASGISendCallable:
    """Let the end of an answer reach the connection, whatever happens to the request's task.

    hypercorn announces "the client is gone" from within the last send of every answer. Quart
    then cancels the task that is just closing, or re-arming, the connection.
    """

    async def shielded(message: Any) -> None:
        last = message["type"] == "http.response.body" and not message.get("more_body", False)
        # Bounded by the connection: a write that makes no progress breaks it.
        with trio.CancelScope(shield=last):
            await send(message)

    return shielded
