"""The outer ASGI callable: who gets a request.

A request for a model goes to the data plane, everything else to the control plane.
"""

from typing import Any

import attrs
import trio
from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope

from swapd.proxy.relay import Relay
from swapd.proxy.routes import find


@attrs.frozen
class Gateway:
    """Splits the data plane from the control plane."""

    relay: Relay
    manage: ASGIFramework

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """Answer one request."""
        target = find(scope["path"]) if scope["type"] == "http" else None
        if target is not None:
            await self.relay(scope, receive, send, target)
        else:
            await self.manage(scope, receive, _with_last_send_shielded(send))


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
