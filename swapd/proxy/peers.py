"""The ways to other servers, which answer for models of their own; nobody takes turns there.

Rule 1: a request that comes back to us through peers is not sent round again: nothing would stop
it before the last connection is used up.
"""

import secrets
from collections.abc import Callable, Collection, Sequence

import attrs

from swapd.config.settings import Origin, Peer
from swapd.wire.headers import via
from swapd.wire.pool import Pool

# Peers that are swapds of other daemons may lead in a circle that does not come by here. Nobody
# has as many machines in a row.
MOST_HOPS = 8

_NAME = "swapd-"


@attrs.define
class Peers:
    """The connections to each peer that has been asked, as long as it is where it was."""

    open_pool: Callable[[Origin], Pool] = Pool
    name: str = attrs.field(factory=lambda: _NAME + secrets.token_hex(4))
    """What this daemon is called among the proxies that a request came through."""
    _pools: dict[str, Pool] = attrs.field(factory=dict)

    def pool(self, peer: Peer, known: Collection[str]) -> Pool:
        """Answer with the way to a peer, and forget those that are not known any more."""
        for gone in self._pools.keys() - known:
            self._pools.pop(gone).close()
        pool = self._pools.get(peer.id)
        if pool is None or pool.origin != peer.origin:
            if pool is not None:
                pool.close()
            pool = self._pools[peer.id] = self.open_pool(peer.origin)
        return pool

    def circle(self, headers: Sequence[tuple[bytes, bytes]]) -> bool:
        """Tell whether a request has been here, or at too many of our kind."""
        hops = [hop for hop in via(headers) if hop.startswith(_NAME.encode())]
        return self.name.encode() in hops or len(hops) >= MOST_HOPS

    def close(self) -> None:
        """Close what is idle, and what is in use when it is over."""
        while self._pools:
            self._pools.popitem()[1].close()
