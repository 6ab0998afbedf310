"""The outer ASGI callable: who gets a request.

1. what a browser asks before it asks is answered here, whatever the path;
2. a request for a model, whether its path says so or its body, goes to the data plane;
3. everything else goes to the control plane.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import attrs
import trio
from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable

from swapd.front.cors import preflight
from swapd.profiles import Profiles
from swapd.proxy.door import Door
from swapd.proxy.passthrough import Passthrough
from swapd.proxy.paths import COMFYUI, UPSTREAM
from swapd.proxy.plane import Plane
from swapd.proxy.relay import Relay
from swapd.proxy.scope import traced
from swapd.proxy.selectors import Selectors
from swapd.routes import find
from swapd.watch.watching import Watching

_UPSTREAM = UPSTREAM.encode()
_COMFYUI = COMFYUI.encode()


@attrs.frozen
class Gateway:
    """Splits the data plane from the control plane."""

    plane: Plane
    passthrough: Passthrough
    manage: ASGIFramework
    watching: Watching

    async def __call__(
        self, scope: Any, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """Answer one request."""
        if not scope["path"].startswith("/"):
            scope = _in_origin_form(scope)
        raw = scope["raw_path"]
        if scope["method"] == "OPTIONS":
            await self._watched(scope, send, partial(_allow, scope))  # 1
        elif (route := find(scope["path"])) and b"%2f" not in raw.lower():
            await self.plane(scope, receive, send, route)  # 2
        elif raw.startswith(_UPSTREAM):
            await self.passthrough.upstream(scope, receive, send)  # 2
        elif raw == _COMFYUI or raw.startswith(_COMFYUI + b"/"):
            await self.passthrough.comfyui(scope, receive, send)  # 2
        else:
            manage = partial(self.manage, _for_werkzeug(scope), receive)
            await self._watched(scope, _with_last_send_shielded(send), manage)  # 3

    async def _watched(
        self, scope: Any, send: Any, answer: Callable[[Any], Awaitable[None]]
    ) -> None:
        """Have a request answered that no model is concerned with, and tell who watches."""
        trace = traced(scope)

        async def heard(message: Any) -> None:
            if message["type"] == "http.response.start":
                trace.status = message["status"]
            elif message["type"] == "http.response.body":
                trace.bytes += len(message.get("body", b""))
            await send(message)

        try:
            await answer(heard)
        finally:
            self.watching.over(trace)


def make_gateway(
    relay: Relay, profiles: Profiles, manage: ASGIFramework, watching: Watching, *, max_body: int
) -> Gateway:
    """Put both planes behind one door; `max_body` is in bytes."""
    door = Door(relay.engine, relay.flights, watching)
    selectors = Selectors(relay.engine.phase)
    return Gateway(
        Plane(door, relay, profiles, selectors, max_body),
        Passthrough(door, relay, profiles, max_body),
        manage,
        watching,
    )


async def _allow(scope: Any, send: Any) -> None:
    headers = preflight(scope["headers"])
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _in_origin_form(scope: Any) -> Any:
    """Take `http://host/path`, which servers must accept too, for what it asks of us: `/path`.

    What is no address either becomes a path that nobody has.
    """
    path, raw = scope["path"], scope["raw_path"]
    if "://" in path:
        path = path.partition("://")[2].partition("/")[2]
        raw = raw.partition(b"://")[2].partition(b"/")[2]
    return {**scope, "path": "/" + path, "raw_path": b"/" + raw}


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
