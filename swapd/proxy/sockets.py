"""Websockets, passed through: after the handshake only bytes, whatever they mean.

Rule 1: nothing of a frame is understood, and so nothing of it can be lost: text, binary, pings,
close codes, extensions.
Rule 2: both directions are copied at once, and the end of either ends both, after what came first.
Rule 3: a model that takes nothing is waited for, but not for ever: behind what it has not taken
its client's leaving cannot be seen.
"""

import logging
from collections.abc import Callable
from contextlib import suppress

import trio

from swapd.proxy.client import Tunnel
from swapd.wire import upgrade

log = logging.getLogger(__name__)

# Longer than a server computes without looking at its connections, and its buffers come on top.
# Seconds.
DEAF_MODEL = 300.0


async def splice(client: Tunnel, head: bytes, model: upgrade.Tunnel) -> None:
    """Send the client the head of the answer, and copy until either side ends it."""
    async with trio.open_nursery() as nursery:
        over = nursery.cancel_scope.cancel
        nursery.start_soon(_to_model, client, model, over)
        nursery.start_soon(_to_client, client, head, model, over)


async def _to_model(client: Tunnel, model: upgrade.Tunnel, over: Callable[[], None]) -> None:
    broken = False
    while data := await client.receive():
        if broken:
            continue
        with trio.move_on_after(DEAF_MODEL) as patience:
            try:
                await model.send_raw(data)
            except trio.BrokenResourceError:
                broken = True  # Not over: what it said last may still be on its way to the client.
        if patience.cancelled_caught:
            log.info("a model has read nothing of a websocket for %.0f s; ending it", DEAF_MODEL)
            break
    over()


async def _to_client(
    client: Tunnel, head: bytes, model: upgrade.Tunnel, over: Callable[[], None]
) -> None:
    with suppress(trio.BrokenResourceError):
        await client.send(head)
        while data := await model.receive():
            await client.send(data)
    over()
