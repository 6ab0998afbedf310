"""One request for a model, from its body to the last byte of its answer.

A decision tree, its branches numbered in the code too:

1. the body cannot be used: 4xx, nothing was queued;
2. nobody has such a model: 404 at once;
3. the scheduler refuses: its reason, as a status;
4. the loaded model cannot be reached: if it has just died, the request waits again; else 502;
5. the model's answer is passed on, piece by piece, as it comes;
6. the model ends its answer too early, or the request's turn is revoked: before the head went out
   it is an error like any other; after that the connection is aborted, so that a part can never
   be taken for the whole, and an event stream gets an error event first;
7. the client leaves: its connection's scope is cancelled, and everything here with it.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import attrs
import trio

from swapd import refusals
from swapd.config.settings import Model
from swapd.engine import Engine
from swapd.proxy.body import BadUpload, ClientGone, discard_body, read_body
from swapd.proxy.naming import BadBody, find_model, replace_model
from swapd.refusals import Refusal
from swapd.schedule.reasons import Reason
from swapd.turns import Refused, Turn
from swapd.wire.exchange import Answer, Request, UpstreamCut, UpstreamGone, UpstreamUnreached
from swapd.wire.headers import for_client, for_upstream, is_event_stream, target, with_host

Scope = Any
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class Client(Protocol):
    """One client's connection; `front` puts it into the scope's state as "client"."""

    def abort(self) -> None:
        """See to it that closing resets the connection."""

    def hold(self) -> None:
        """Keep what is sent from now on, until `release`, so that it leaves in one write."""

    async def release(self) -> None:
        """Send what was kept."""


@attrs.define
class Relay:
    """Serves requests for models. `max_body` is in bytes."""

    engine: Engine
    max_body: int

    async def __call__(self, scope: Scope, receive: Receive, send: Send, path: str) -> None:
        """Answer one request; `path` is what the model's server is asked."""
        answer = _ToClient(scope, send)
        if scope["method"] != "POST":
            return await answer.refuse(refusals.method_not_allowed(scope["method"], "POST"))
        try:
            body = await read_body(receive, self.max_body, announced=_announced(scope))
            model, name = self._find(body)
        except ClientGone:
            return None  # 7
        except BadUpload as bad:
            return await answer.refuse_unread(bad.refusal, receive)  # 1
        except _Unusable as bad:
            return await answer.refuse(bad.refusal)  # 1, 2
        if name is not None:
            body = replace_model(body, name)
        return await self._serve(model, _Asked(scope, path, body), answer)

    def _find(self, body: bytes) -> tuple[Model, str | None]:
        """Find the model, and the name that its server wants to be called by, if another."""
        try:
            name = find_model(body)
        except BadBody as bad:
            raise _Unusable(refusals.invalid_request(str(bad))) from bad
        settings = self.engine.settings
        known = settings.resolve(name)
        if known is None:
            raise _Unusable(refusals.unknown_model(name))
        model = settings.models[known]
        return model, model.use_model_name or None

    async def _serve(self, model: Model, asked: "_Asked", answer: "_ToClient") -> None:
        refusal: Refusal | None = None
        revoked: list[Reason] = []
        with trio.CancelScope() as request:

            def revoke(reason: Reason) -> None:
                revoked.append(reason)
                request.cancel()

            try:
                with self.engine.turn(model.id, revoke=revoke) as turn:
                    try:
                        await self._exchange(turn, asked, answer)
                    except UpstreamUnreached:
                        # Once: a model that dies whenever it is ready must not hold up the queue.
                        if not await turn.again():
                            raise
                        await self._exchange(turn, asked, answer)
            except Refused as refused:
                refusal = refusals.of_reason(refused.reason, refused.retry_after)  # 3
            except UpstreamGone as gone:
                refusal = refusals.upstream_unreachable(model.id, str(gone))  # 4
            except UpstreamCut as cut:
                refusal = refusals.upstream_cut(model.id, str(cut))  # 6
        if request.cancelled_caught:
            refusal = refusals.of_reason(revoked[0])  # 6
        if refusal is not None:
            await answer.refuse(refusal)
        else:
            await answer.finish()

    async def _exchange(self, turn: Turn, asked: "_Asked", answer: "_ToClient") -> None:
        loaded = await turn.granted()
        # Not sent as the model was when it was asked for: meanwhile a reload may have moved it.
        async with loaded.pool.exchange(asked.request(loaded.model)) as upstream:
            await answer.pass_on(upstream)  # 5


class _Unusable(Exception):
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


@attrs.frozen
class _Asked:
    """What the client asks, ready to be sent to whichever process serves its model."""

    scope: Scope
    path: str
    body: bytes

    def request(self, model: Model) -> Request:
        address = self.scope["client"]
        headers = for_upstream(
            self.scope["headers"],
            client=address[0] if address else None,
            length=len(self.body),
        )
        return Request(
            method=self.scope["method"],
            target=target(model.origin, self.path.encode(), self.scope["query_string"]),
            headers=with_host(headers, model.origin),
            body=self.body,
        )


class _ToClient:
    """What the client has been sent so far, and how it may go on from there."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.client: Client = scope["state"]["client"]
        self._version = scope["http_version"]
        self._send = send
        self._upstream: Answer | None = None
        """The answer whose head the client has, or is about to have."""

    async def pass_on(self, upstream: Answer) -> None:
        """Send the model's answer as it comes, all but its end."""
        self._upstream = upstream
        self.client.hold()
        await self._start(upstream.status, for_client(upstream.headers))
        if upstream.at_hand:
            await self._body(await upstream.read())
        if upstream.complete and not upstream.at_hand:
            return  # The end goes with it, too.
        await self.client.release()
        while piece := await upstream.read():
            await self._body(piece)

    async def finish(self) -> None:
        """End the answer as complete."""
        await self._end()

    async def refuse(self, refusal: Refusal) -> None:
        """Say no: as an answer if none has begun, else so that nobody takes it for complete."""
        if self._upstream is None:
            await self._whole(refusal)
            return
        if _takes_events(self._upstream):
            await self._body(refusal.event())
        # Returning without an end makes hypercorn close the connection; where the end of the
        # connection would be the end of the answer, it has to be a visible one.
        if self._version == "1.0":
            self.client.abort()

    async def refuse_unread(self, refusal: Refusal, receive: Receive) -> None:
        """Say no to a body that is still on its way."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(discard_body, receive)
            await self._whole_but_end(refusal)
        await self._end()

    async def _whole(self, refusal: Refusal) -> None:
        await self._whole_but_end(refusal)
        await self._end()

    async def _whole_but_end(self, refusal: Refusal) -> None:
        body = refusal.body()
        headers = [(name.encode(), value.encode()) for name, value in refusal.headers()]
        await self._start(refusal.status, [*headers, (b"Content-Length", b"%d" % len(body))])
        await self._body(body)

    async def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def _body(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def _end(self) -> None:
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        await self.client.release()


def _announced(scope: Scope) -> int | None:
    """Answer with the Content-Length that the client announced, if it did."""
    for name, value in scope["headers"]:
        if name.lower() == b"content-length":
            return int(value)
    return None


def _takes_events(upstream: Answer) -> bool:
    """Whether an error event may be put into the answer: plain, and of no announced length."""
    names = {name.lower() for name, _ in upstream.headers}
    return is_event_stream(upstream.headers) and not names & {
        b"content-encoding",
        b"content-length",
    }
