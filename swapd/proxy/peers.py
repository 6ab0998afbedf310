"""The ways to other servers, which answer for models of their own; nobody takes turns there."""

from collections.abc import Callable

import attrs

from swapd.config.settings import Origin, Peer
from swapd.wire.pool import Pool


@attrs.define
class Peers:
    """The connections to each peer that has been asked, until it has moved."""

    open_pool: Callable[[Origin], Pool] = Pool
    _pools: dict[str, Pool] = attrs.field(factory=dict)

    def pool(self, peer: Peer) -> Pool:
        """Answer with the way to a peer."""
        pool = self._pools.get(peer.id)
        if pool is None or pool.origin != peer.origin:
            if pool is not None:
                pool.close()
            pool = self._pools[peer.id] = self.open_pool(peer.origin)
        return pool

    def close(self) -> None:
        """Close what is idle, and what is in use when it is over."""
        while self._pools:
            self._pools.popitem()[1].close()
