"""A client's request as it goes on to a model or a peer."""

import math

import attrs

from swapd import refusals
from swapd.config.settings import Origin, Peer, Timeouts
from swapd.proxy.body import Unusable
from swapd.proxy.scope import Scope, address, header
from swapd.proxy.spool import Body, Spliced
from swapd.wire.exchange import Request
from swapd.wire.headers import for_peer, for_upstream, target, with_host

# Says in a request how long its model is kept when nobody uses it afterwards.
KEEP_ALIVE = b"x-swapd-keep-alive"


@attrs.frozen
class Outgoing:
    """What is asked of whichever process or peer serves it."""

    scope: Scope
    path: bytes
    """Escaped as it is to be sent."""
    query: bytes
    body: Body | Spliced
    upgrade: bytes = b""
    content_type: bytes | None = None
    """What the body is, if the client declared it as something else."""

    def to_model(self, origin: Origin, timeouts: Timeouts, *, identity: bool) -> Request:
        """Address it to a local model; `identity` asks for an answer that is not compressed."""
        headers = for_upstream(
            self.scope["headers"],
            client=self.client,
            length=self._length,
            upgrade=self.upgrade,
            identity=identity,
            content_type=self.content_type,
        )
        return self._request(origin, with_host(headers, origin), timeouts)

    def to_peer(self, peer: Peer, *, through: str) -> Request:
        """Address it to a peer; `through` is our name among the proxies that it came through."""
        headers = for_peer(
            self.scope["headers"],
            origin=peer.origin,
            api_key=peer.api_key,
            through=through,
            length=self._length,
            upgrade=self.upgrade,
            content_type=self.content_type,
        )
        return self._request(peer.origin, headers, peer.timeouts)

    @property
    def client(self) -> str | None:
        """The address that the request came from."""
        return address(self.scope)

    @property
    def keep_alive(self) -> float | None:
        """How long the model is to be kept afterwards, in seconds, below 0 for ever.

        None when the client does not say. Raises `Unusable` for what is no number.
        """
        text = header(self.scope, KEEP_ALIVE)
        if text is None:
            return None
        try:
            # Not as Python's source has it: 1_0 is no number to anybody else.
            seconds = float(text.replace(b"_", b"?"))
        except ValueError:
            seconds = math.nan
        if not math.isfinite(seconds) or (seconds < 0 and seconds != -1):
            raise Unusable(refusals.bad_keep_alive(text.decode("latin-1")))
        return seconds

    @property
    def _length(self) -> int:
        return len(self.body) if isinstance(self.body, bytes) else self.body.size

    def _request(
        self, origin: Origin, headers: list[tuple[bytes, bytes]], timeouts: Timeouts
    ) -> Request:
        return Request(
            method=self.scope["method"],
            target=target(origin, self.path, self.query),
            headers=headers,
            body=self.body,
            timeouts=timeouts,
            upgrade=self.upgrade,
        )
