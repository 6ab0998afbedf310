"""Requests whose model stands in their path: `/upstream/<model>/…` and `/comfyui/…`.

Everything else about them is the model's own business: any method, any path, any body, and
websockets. No selectors, no filters, no loading state. From llama-swap, but for one thing: a
stream that waits is kept alive here, too.
"""

from collections.abc import Awaitable, Callable
from functools import lru_cache, partial

import attrs

from swapd import refusals, routes
from swapd.config.names import PeerModel
from swapd.config.patterns import any_of
from swapd.config.resolve import COMFYUI
from swapd.config.settings import Model
from swapd.ids import ModelId
from swapd.profiles import Profiles
from swapd.proxy import paths
from swapd.proxy.asked import NOTHING, Asked, read_below
from swapd.proxy.body import Receive, Unusable
from swapd.proxy.client import Send, ToClient
from swapd.proxy.door import Door
from swapd.proxy.outgoing import Outgoing
from swapd.proxy.relay import Relay
from swapd.proxy.scope import Scope
from swapd.proxy.spool import Body, close
from swapd.routes import Route
from swapd.watch.trace import Trace

# The patterns of a configuration are compiled once.
_ignored = lru_cache(maxsize=2)(any_of)


@attrs.frozen
class Passthrough:
    """Serves what lies below a model's name. `max_body` is in bytes."""

    door: Door
    relay: Relay
    profiles: Profiles
    max_body: int

    async def upstream(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request for a path below `/upstream/`."""
        await self.door(scope, receive, send, partial(self._read, scope, receive, self._upstream))

    async def comfyui(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request for `/comfyui` or a path below it."""
        await self.door(scope, receive, send, partial(self._read, scope, receive, self._comfyui))

    async def _read(
        self,
        scope: Scope,
        receive: Receive,
        serve: Callable[[Scope, Asked, ToClient], Awaitable[None]],
        answer: ToClient,
    ) -> None:
        # Also for an answer of our own: left unread, it would be the end of the connection, and
        # of an answer that has not been read yet.
        asked = await read_below(scope, receive, self.max_body)
        try:
            await serve(scope, asked, answer)
        finally:
            close(asked.body)

    async def _upstream(self, scope: Scope, asked: Asked, answer: ToClient) -> None:
        settings = self.relay.engine.settings
        raw = scope["raw_path"].removeprefix(paths.UPSTREAM.encode())
        pin = paths.pinned(self.profiles.pins(settings), raw)
        if pin is not None:
            if not pin.target:
                raise Unusable(refusals.turned_off(pin.name))
            raw = paths.renamed(pin)
        found = paths.find(settings.names, raw)
        if found is None:
            raise Unusable(refusals.no_model_in_path(paths.text_of(raw)))
        route = routes.find(found.path)
        _note(answer.trace, found, route)
        if not found.rest:
            base = paths.UPSTREAM.encode() + paths.escaped(found.name)
            return await _redirect(scope, answer, base + b"/")
        if route is not None:
            answer.trace.request_body = asked.body if isinstance(asked.body, bytes) else None
            answer.reader = attrs.evolve(answer.reader, anthropic=route.anthropic)
        if isinstance(found.target, PeerModel):
            peer, body = settings.peers[found.target.peer], asked.body
            if asked.model == found.name != found.target.model:
                # It would not know what it is called here.
                body = await asked.filtered(NOTHING, name=found.target.model)
            outgoing = self._outgoing(scope, found.rest, body, answer)
            try:
                return await self.relay.to_peer(peer, found.target, outgoing, answer)
            finally:
                close(body)
        model = settings.models[found.target]
        unless = ""
        if _ignored(settings.ignore_paths)(found.path):
            unless = "path matches upstream.ignorePaths"
        events = route is not None and route.events and asked.stream
        outgoing = self._outgoing(scope, found.rest, asked.body, answer)
        return await self._serve(model, outgoing, answer, events=events, only_loaded=unless)

    async def _comfyui(self, scope: Scope, asked: Asked, answer: ToClient) -> None:
        rest = scope["raw_path"].removeprefix(paths.COMFYUI.encode())
        if not rest:
            return await _redirect(scope, answer, paths.COMFYUI.encode() + b"/")
        model = self.relay.engine.settings.models.get(ModelId(COMFYUI))
        if model is None:
            raise Unusable(refusals.no_comfyui(COMFYUI))
        answer.trace.model, answer.trace.known = model.id, True
        unless = "" if rest == b"/" else "only /comfyui/ can start it"
        outgoing = self._outgoing(scope, rest, asked.body, answer)
        return await self._serve(model, outgoing, answer, events=False, only_loaded=unless)

    async def _serve(
        self, model: Model, outgoing: Outgoing, answer: ToClient, *, events: bool, only_loaded: str
    ) -> None:
        if outgoing.upgrade and model.ignore_websockets:
            answer.trace.shown = False
            await self.relay.past_the_queue(model, outgoing, answer)
        else:
            await self.relay.to_model(
                model, outgoing, answer, events=events, lines=False, only_loaded=only_loaded
            )

    def _outgoing(self, scope: Scope, path: bytes, body: Body, answer: ToClient) -> Outgoing:
        return Outgoing(scope, path, scope["query_string"], body, upgrade=answer.client.upgrade)


def _note(trace: Trace, found: paths.Found[ModelId | PeerModel], route: Route | None) -> None:
    """Write down what is asked of whom; only inference is shown and recorded, as in llama-swap."""
    peer = isinstance(found.target, PeerModel)
    trace.model, trace.known = found.name if peer else str(found.target), True
    trace.route = found.path
    trace.recorded = route is not None and trace.method == "POST"
    trace.shown = route is not None and trace.method in route.methods


async def _redirect(scope: Scope, answer: ToClient, path: bytes) -> None:
    """Send the client to the same place with a slash, so that a page's own links work."""
    query = scope["query_string"]
    location = path + b"?" + query if query else path
    status = 301 if scope["method"] in ("GET", "HEAD") else 308
    await answer.say(status, [(b"Location", location)])
