"""One request for a model, from its turn to the last byte of its answer.

A decision tree, its branches numbered in the code too:

1. the scheduler refuses: its reason, as a status;
2. the model cannot be reached: if it has just died, the request waits again; else 502;
3. the model's answer is passed on, piece by piece, as it comes;
4. the model takes up the protocol that was asked for: bytes are copied both ways;
5. the model ends its answer too early, or the request is cut short: before the head went out it is
   an error like any other; after that the connection is aborted, so that a part can never be
   taken for the whole, and an event stream gets an error event first. The turn is kept for a
   moment before that: one death of a model must not cost the next in the queue as well;
6. the client leaves: its connection's scope is cancelled, and everything here with it.
"""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial

import attrs
import trio

from swapd import refusals
from swapd.config.names import PeerModel
from swapd.config.settings import Model, Peer
from swapd.engine import Engine
from swapd.envelope import Refusal
from swapd.flights import Flight, Flights
from swapd.proxy.client import ToClient
from swapd.proxy.loading import Waiting
from swapd.proxy.outgoing import Outgoing
from swapd.proxy.peers import Peers
from swapd.proxy.sockets import splice
from swapd.schedule.reasons import NotLoaded, ShuttingDown
from swapd.turns import Refused, Turn
from swapd.watch.trace import Trace
from swapd.wire.exchange import (
    Answer,
    Request,
    UploadLost,
    UpstreamCut,
    UpstreamGone,
    UpstreamUnreached,
)
from swapd.wire.pool import Pool


@attrs.define
class Relay:
    """Carries requests to models and peers."""

    engine: Engine
    flights: Flights
    peers: Peers

    async def to_model(
        self,
        model: Model,
        outgoing: Outgoing,
        answer: ToClient,
        *,
        events: bool,
        lines: bool,
        only_loaded: str = "",
    ) -> None:
        """Have a request wait for its turn and answered.

        `events` says that the client takes events while it waits, `lines` that it wants to see
        the loading in them; `only_loaded`, if not empty, why no model is loaded for it.
        """

        keep_alive = outgoing.keep_alive

        async def in_turn(flight: Flight) -> None:
            with self.engine.turn(
                model.id,
                revoke=flight.end,
                name=flight.id,
                loads=not only_loaded,
                keep_alive=keep_alive,
            ) as turn:
                phase = partial(self.engine.phase, model.id)
                waiting = Waiting(answer, turn, phase, lines) if events else None
                try:
                    await self._attempt(turn, model, outgoing, answer, waiting)
                except UpstreamUnreached:
                    # Once: a model that dies whenever it is ready must not hold up the queue.
                    if not await turn.again():
                        raise
                    answer.trace.sent = None
                    await self._attempt(turn, model, outgoing, answer, waiting)
                finally:
                    if answer.trace.sent is None:
                        self._note_wait(answer.trace, turn)

        await self._serve(model.id, outgoing, answer, in_turn, only_loaded=only_loaded)

    async def _attempt(
        self,
        turn: Turn,
        model: Model,
        outgoing: Outgoing,
        answer: ToClient,
        waiting: Waiting | None,
    ) -> None:
        try:
            await self._exchange(turn, model, outgoing, answer, waiting)
        except UpstreamUnreached:
            raise  # Nor will whoever is next reach it, and so that one waits again.
        except (UpstreamGone, UpstreamCut):
            await turn.outlive()
            raise

    async def _exchange(
        self,
        turn: Turn,
        model: Model,
        outgoing: Outgoing,
        answer: ToClient,
        waiting: Waiting | None,
    ) -> None:
        loaded = await (turn.granted() if waiting is None else waiting.granted())
        # Not sent to where the model was when it was asked for: a reload may have moved it. And a
        # stream that we may yet have to begin must not be compressed: nothing would say so.
        identity = waiting is not None
        request = outgoing.to_model(loaded.model.origin, model.timeouts, identity=identity)
        trace = answer.trace
        trace.queued, trace.loading, trace.sent = turn.queued, turn.loading, trio.current_time()
        priority = self.engine.settings.fifo.priority.get(turn.model, 0)
        trace.metadata["fifo_priority"] = str(priority)
        exchange = loaded.pool.exchange(request)
        if waiting is None:
            async with exchange as upstream:
                await _pass_on(upstream, answer)
        else:
            async with AsyncExitStack() as stack:
                upstream = await waiting.meanwhile(partial(stack.enter_async_context, exchange))
                await _pass_on(upstream, answer)
        # Else an answer without a length would look complete when its model dies in the middle.
        if upstream.ends_with_connection and await turn.outlive():
            raise UpstreamCut(f"cannot finish the answer of {loaded.model.origin}: it has died")

    def _note_wait(self, trace: Trace, turn: Turn) -> None:
        """Write down how long a request has waited that was never granted its model."""
        waited = trio.current_time() - turn.opened
        trace.loading = min(waited, self.engine.ask.loading(turn.model))
        trace.queued = waited - trace.loading

    async def past_the_queue(self, model: Model, outgoing: Outgoing, answer: ToClient) -> None:
        """Have a request answered by a model that is loaded, or refused; it counts for nothing."""
        loaded = self.engine.loaded(model.id)
        if loaded is None:
            why = "ignored websocket requests cannot start it"
            return await answer.refuse(refusals.not_loaded(model.id, why))
        request = outgoing.to_model(loaded.model.origin, model.timeouts, identity=False)
        at_once = partial(_at_once, loaded.pool, request, answer)
        return await self._serve(model.id, outgoing, answer, at_once)

    async def to_peer(
        self, peer: Peer, model: PeerModel, outgoing: Outgoing, answer: ToClient
    ) -> None:
        """Have a request answered by a peer; nobody waits for a turn there."""
        if self.engine.stopping:
            return await answer.refuse(refusals.of_reason(ShuttingDown()))
        if self.peers.circle(outgoing.scope["headers"]):
            return await answer.refuse(refusals.circle(model.full_name))
        pool = self.peers.pool(peer, self.engine.settings.peers)
        at_once = partial(_at_once, pool, outgoing.to_peer(peer, through=self.peers.name), answer)
        return await self._serve(model.full_name, outgoing, answer, at_once)

    async def _serve(
        self,
        model: str,
        outgoing: Outgoing,
        answer: ToClient,
        carry_out: Callable[[Flight], Awaitable[None]],
        *,
        only_loaded: str = "",
    ) -> None:
        refusal: Refusal | None = None
        with self.flights.open(
            answer.name,
            method=outgoing.scope["method"],
            path=outgoing.scope["path"],
            client=outgoing.client,
            model=model,
            trace=answer.trace,
        ) as flight:
            answer.headed = flight.headed
            try:
                await carry_out(flight)
            except Refused as refused:
                refusal = refusals.of_reason(refused.reason, refused.retry_after)  # 1
                if isinstance(refused.reason, NotLoaded):
                    refusal = refusals.not_loaded(model, only_loaded)  # 1
            except UpstreamGone as gone:
                refusal = refusals.upstream_unreachable(model, str(gone))  # 2
                answer.warn(refusal)
            except UpstreamCut as cut:
                refusal = refusals.upstream_cut(model, str(cut))  # 5
                answer.warn(refusal)
            except UploadLost as lost:
                refusal = refusals.upload_failed(str(lost.__cause__ or lost))  # 5
                answer.warn(refusal)
        if flight.cut is not None:
            refusal = refusals.of_reason(flight.cut)  # 5
        if refusal is not None:
            await answer.refuse(refusal)
        else:
            await answer.finish()


async def _at_once(pool: Pool, request: Request, answer: ToClient, flight: Flight) -> None:
    answer.trace.sent = trio.current_time()
    async with pool.exchange(request) as upstream:
        await _pass_on(upstream, answer)


async def _pass_on(upstream: Answer, answer: ToClient) -> None:
    trace = answer.trace
    assert trace.sent is not None
    answered = trio.current_time() - trace.sent
    # In milliseconds, as that header wants.
    timing = b"queue;dur=%.1f, load;dur=%.1f, model;dur=%.1f" % (
        *(trace.queued * 1000, trace.loading * 1000, answered * 1000),
    )
    if upstream.status == 101:
        client, head = answer.switch(upstream, timing=timing)
        await splice(client, head, upstream)  # 4
    else:
        await answer.pass_on(upstream, timing=timing)  # 3
