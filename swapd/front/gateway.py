"""The outer ASGI callable: who gets a request.

1. what a browser asks before it asks is answered here, whatever the path;
2. a request for a model, whether its path says so or its body, goes to the data plane;
3. everything else goes to the control plane, unless admins have a door of their own and this is
   not it, or a browser asks for the page of another site.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import attrs
import trio
from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable

from swapd import refusals
from swapd.auth import is_remembered
from swapd.envelope import Reader, Refusal
from swapd.front.browsers import is_foreign
from swapd.front.cors import preflight
from swapd.manage.admin import changes_something, is_for_admins
from swapd.profiles import Profiles
from swapd.proxy.body import discard_body
from swapd.proxy.door import Door
from swapd.proxy.passthrough import Passthrough
from swapd.proxy.paths import COMFYUI, UPSTREAM
from swapd.proxy.plane import Plane
from swapd.proxy.relay import Relay
from swapd.proxy.scope import header, traced
from swapd.proxy.selectors import Selectors
from swapd.routes import find
from swapd.watch.watching import Watching

_UPSTREAM = UPSTREAM.encode()
_COMFYUI = COMFYUI.encode()


Serve = Callable[[Any, ASGIReceiveCallable, ASGISendCallable], Awaitable[None]]


@attrs.frozen
class Gateway:
    """Splits the data plane from the control plane."""

    plane: Plane
    passthrough: Passthrough
    manage: ASGIFramework
    watching: Watching
    admin: bool
    """Whether admins come in here, too."""

    async def __call__(
        self, scope: Any, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """Answer one request."""
        if not scope["path"].startswith("/"):
            scope = _in_origin_form(scope)
        serve = self._model_for(scope)
        if scope["method"] == "OPTIONS":
            closed = serve is None and is_for_admins(scope["path"])
            answer = partial(self._allow, scope, receive, closed=closed)
            await self._watched(scope, send, answer)  # 1
        elif serve is not None:
            await serve(scope, receive, send)  # 2
        else:
            await self._watched(scope, send, partial(self._control, scope, receive))  # 3

    def _model_for(self, scope: Any) -> Serve | None:
        """Answer with who has a request served by a model; None if it is for no model."""
        raw = scope["raw_path"]
        if (route := find(scope["path"])) and b"%2f" not in raw.lower():
            return partial(self.plane, route=route)
        if raw.startswith(_UPSTREAM):
            return self.passthrough.upstream
        if raw == _COMFYUI or raw.startswith(_COMFYUI + b"/"):
            return self.passthrough.comfyui
        return None

    async def _allow(self, scope: Any, receive: Any, send: Any, *, closed: bool) -> None:
        if closed and not self.admin:
            await _refuse(refusals.not_found(scope["path"]), scope, receive, send)
            return
        # Who is going to be refused need not be told twice.
        headers = [] if closed and self._without_keys else preflight(scope["headers"])
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _control(self, scope: Any, receive: Any, send: Any) -> None:
        refusal = self._refusal(scope)
        if refusal is not None:
            await _refuse(refusal, scope, receive, send)
        else:
            await self.manage(_for_werkzeug(scope), receive, _with_last_send_shielded(send))

    def _refusal(self, scope: Any) -> Refusal | None:
        method, path = scope["method"], scope["path"]
        if not is_for_admins(path):
            return None
        if not self.admin:
            # What is not here is not told from what is nowhere.
            return refusals.not_found(path)
        headers, changes = scope["headers"], changes_something(method, path)
        # Else there is a key, or there should be one, that no page of another site can have sent.
        anybody = self._without_keys or is_remembered(headers)
        if anybody and is_foreign(method, headers, changes=changes):
            return refusals.cross_site()
        return None

    @property
    def _without_keys(self) -> bool:
        return not self.passthrough.relay.engine.settings.api_keys

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
    relay: Relay,
    profiles: Profiles,
    manage: ASGIFramework,
    watching: Watching,
    *,
    max_body: int,
    admin: bool = True,
) -> Gateway:
    """Put both planes behind one door; `max_body` is in bytes. Without `admin` the pages that are
    none of a client's are not there.
    """
    door = Door(relay.engine, relay.flights, watching)
    selectors = Selectors(relay.engine.phase)
    return Gateway(
        Plane(door, relay, profiles, selectors, max_body),
        Passthrough(door, relay, profiles, max_body),
        manage,
        watching,
        admin,
    )


async def _refuse(refusal: Refusal, scope: Any, receive: Any, send: Any) -> None:
    """Say no, also to who is still sending."""
    reader = Reader((header(scope, b"accept") or b"").decode("latin-1"))
    body = refusal.body(reader)
    headers = [(name.encode(), value.encode()) for name, value in refusal.headers(reader)]
    headers.append((b"Content-Length", b"%d" % len(body)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(discard_body, receive)
        status = refusal.status
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": True})
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
