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
from swapd.proxy import filters, naming, paths
from swapd.proxy.asked import NOTHING, Unusable, announced, close, whole
from swapd.proxy.body import Body, Receive, Spliced, read_body
from swapd.proxy.client import Scope, Send, ToClient
from swapd.proxy.door import Door
from swapd.proxy.outgoing import Outgoing
from swapd.proxy.paths import Found
from swapd.proxy.relay import Relay

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
        serve: Callable[[Scope, Body, ToClient], Awaitable[None]],
        answer: ToClient,
    ) -> None:
        # Also for an answer of our own: left unread, it would be the end of the connection, and
        # of an answer that has not been read yet.
        body = await read_body(receive, self.max_body, announced=announced(scope))
        try:
            await serve(scope, body, answer)
        finally:
            close(body)

    async def _upstream(self, scope: Scope, body: Body, answer: ToClient) -> None:
        settings = self.relay.engine.settings
        raw = scope["raw_path"].removeprefix(paths.UPSTREAM.encode())
        pin = self.profiles.pinned_path(paths.text_of(raw), settings)
        if pin is not None:
            raw = paths.renamed(raw, pin.name, pin.target)
        found = paths.find(settings.names, raw) if pin is None or pin.target else None
        if found is None:
            raise Unusable(refusals.unknown_model(paths.text_of(raw)))
        if not found.rest:
            base = paths.UPSTREAM.encode() + paths.escaped(found.name)
            return await _redirect(scope, answer, base + b"/")
        if isinstance(found.target, PeerModel):
            named = _as_peers_call_it(body, found, found.target)
            outgoing = self._outgoing(scope, found.rest, named, answer)
            peer = settings.peers[found.target.peer]
            return await self.relay.to_peer(peer, found.target, outgoing, answer)
        model = settings.models[found.target]
        if _ignored(settings.ignore_paths)(found.path) and not self._loaded(model.id):
            raise Unusable(refusals.not_loaded(model.id, "path matches upstream.ignorePaths"))
        outgoing = self._outgoing(scope, found.rest, body, answer)
        events = False
        if route := routes.find(found.path):
            answer.reader = attrs.evolve(answer.reader, anthropic=route.anthropic)
            events = route.events and await _wants_stream(body)
        return await self._serve(model, outgoing, answer, events=events)

    async def _comfyui(self, scope: Scope, body: Body, answer: ToClient) -> None:
        rest = scope["raw_path"].removeprefix(paths.COMFYUI.encode())
        if not rest:
            return await _redirect(scope, answer, paths.COMFYUI.encode() + b"/")
        model = self.relay.engine.settings.models.get(ModelId(COMFYUI))
        if model is None:
            raise Unusable(refusals.no_comfyui(COMFYUI))
        if rest != b"/" and not self._loaded(model.id):
            raise Unusable(refusals.not_loaded(model.id, "only /comfyui/ can start it"))
        outgoing = self._outgoing(scope, rest, body, answer)
        return await self._serve(model, outgoing, answer, events=False)

    async def _serve(
        self, model: Model, outgoing: Outgoing, answer: ToClient, *, events: bool
    ) -> None:
        if outgoing.upgrade and model.ignore_websockets:
            await self.relay.past_the_queue(model, outgoing, answer)
        else:
            await self.relay.to_model(model, outgoing, answer, events=events, lines=False)

    def _loaded(self, model: ModelId) -> bool:
        return self.relay.engine.loaded(model) is not None

    def _outgoing(
        self, scope: Scope, path: bytes, body: Body | Spliced, answer: ToClient
    ) -> Outgoing:
        return Outgoing(scope, path, scope["query_string"], body, upgrade=answer.client.upgrade)


async def _redirect(scope: Scope, answer: ToClient, path: bytes) -> None:
    """Send the client to the same place with a slash, so that a page's own links work."""
    query = scope["query_string"]
    location = path + b"?" + query if query else path
    status = 301 if scope["method"] in ("GET", "HEAD") else 308
    await answer.say(status, [(b"Location", location)])


async def _wants_stream(body: Body) -> bool:
    """Look whether the client waits for a stream, which can be kept alive; for nothing else."""
    try:
        return naming.find(await whole(body)).stream
    except naming.BadBody:
        return False


def _as_peers_call_it(body: Body, found: Found, target: PeerModel) -> Body:
    """Have a JSON body that names the peer's model as the path does name it as the peer does."""
    if found.name == target.model or not isinstance(body, bytes):
        return body
    try:
        if naming.find(body).model == found.name:
            return filters.rewritten(body, asked=found.name, model=target.model, filters=NOTHING)
    except naming.BadBody:
        pass  # It is none of our business here.
    return body
