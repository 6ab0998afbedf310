"""The data plane: which model a request is for, and on which way it goes there.

1. the request is unusable, names no model, or the profile turns its name off: 4xx;
2. profile, then selector put another name in its place;
3. a local model is waited for, unless the request is a websocket that it does not count;
4. a peer's model is not.
"""

from functools import partial

import attrs

from swapd import refusals
from swapd.config.names import PeerModel
from swapd.config.settings import Filters, Model, Settings
from swapd.profiles import Profiles
from swapd.proxy.asked import Asked, Kind, read_asked
from swapd.proxy.body import Receive, Unusable
from swapd.proxy.client import Send, ToClient
from swapd.proxy.door import Door
from swapd.proxy.outgoing import Outgoing
from swapd.proxy.relay import Relay
from swapd.proxy.scope import Scope
from swapd.proxy.selectors import NoTarget, Selectors
from swapd.proxy.spool import Body, Spliced, close
from swapd.routes import Route

# In characters. Whatever is asked for is told again, in answers, logs and the record.
LONGEST_NAME = 1000


@attrs.frozen
class Plane:
    """Serves the routes of models. `max_body` is in bytes."""

    door: Door
    relay: Relay
    profiles: Profiles
    selectors: Selectors
    max_body: int

    async def __call__(self, scope: Scope, receive: Receive, send: Send, route: Route) -> None:
        """Answer one request."""
        serve = partial(self._serve, scope, receive, route)
        await self.door(
            scope, receive, send, serve, methods=route.methods, anthropic=route.anthropic
        )

    async def _serve(self, scope: Scope, receive: Receive, route: Route, answer: ToClient) -> None:
        asked = await read_asked(scope, receive, self.max_body)
        # Not earlier: during a long upload a reload may take away what was asked for.
        settings = self.relay.engine.settings
        try:
            name = self._name(asked, settings)
            websocket = bool(answer.client.upgrade)
            with self.selectors.chosen(name, settings, websocket=websocket) as target:  # 2
                if target != name:
                    answer.trace.metadata["selector"] = name
                await self._send(scope, route, answer, asked=asked, name=target, settings=settings)
        except NoTarget as none:
            raise Unusable(refusals.no_target(name)) from none
        finally:
            close(asked.body)

    def _name(self, asked: Asked, settings: Settings) -> str:
        if not asked.model:
            raise Unusable(refusals.no_model(asked.kind.value))  # 1
        if len(asked.model) > LONGEST_NAME:
            raise Unusable(refusals.name_too_long(LONGEST_NAME))  # 1
        name = self.profiles.pinned(asked.model, settings)
        if not name:
            raise Unusable(refusals.turned_off(asked.model))  # 1
        return name

    async def _send(
        self,
        scope: Scope,
        route: Route,
        answer: ToClient,
        *,
        asked: Asked,
        name: str,
        settings: Settings,
    ) -> None:
        trace, target = answer.trace, settings.names.target(name)
        trace.model, trace.route, trace.known = name, route.forwarded, target is not None
        trace.recorded, trace.shown = scope["method"] == "POST", True
        if target is None:
            raise Unusable(refusals.unknown_model(name))  # 1
        if isinstance(target, PeerModel):
            peer = settings.peers[target.peer]
            changes, called = peer.filters, target.model
        else:
            model = settings.models[target]
            trace.model = model.id
            changes, called = model.filters, _called(model, asked, name)
        body, query = await _rewritten(asked, changes, name=name, called=called)
        try:
            outgoing = Outgoing(
                scope,
                route.forwarded.encode(),
                query,
                body,
                upgrade=answer.client.upgrade,
                content_type=asked.content_type,
            )
            trace.request_body = body if isinstance(body, bytes) else None
            if isinstance(target, PeerModel):
                await self.relay.to_peer(peer, target, outgoing, answer)  # 4
            elif outgoing.upgrade and model.ignore_websockets:
                trace.shown = False
                await self.relay.past_the_queue(model, outgoing, answer)  # 3
            else:
                events = asked.stream and route.events
                lines = route.loading_state and model.send_loading_state
                await self.relay.to_model(model, outgoing, answer, events=events, lines=lines)  # 3
        finally:
            close(body)


def _called(model: Model, asked: Asked, name: str) -> str:
    """Answer with what the model's server is to be asked for."""
    own = model.use_model_name if asked.kind in (Kind.JSON, Kind.FORM) else ""
    return own or name


async def _rewritten(
    asked: Asked, changes: Filters, *, name: str, called: str
) -> tuple[Body | Spliced, bytes]:
    new = called if called != asked.model else None
    if asked.kind is Kind.JSON:
        return await asked.filtered(changes, name=new, asked=name), asked.query
    if new is not None:
        return await asked.renamed(new)
    return asked.body, asked.query
