"""The data plane's door: who is let in, and how everybody is told no.

Rule 1: without a key nothing is read and nothing found out.
Rule 2: whoever is refused gets to read why, also while they are still sending.
Rule 3: of every request there is a trace, and whoever watches is told when it is over.
"""

from collections.abc import Awaitable, Callable

import attrs

from swapd import refusals
from swapd.auth import keys_of
from swapd.engine import Engine
from swapd.envelope import Reader
from swapd.flights import Flights
from swapd.proxy.body import BadUpload, ClientGone, Receive, Unusable
from swapd.proxy.client import Send, ToClient
from swapd.proxy.scope import Scope, header, traced
from swapd.watch.watching import Watching


@attrs.frozen
class Door:
    """Lets requests in."""

    engine: Engine
    flights: Flights
    watching: Watching

    async def __call__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        serve: Callable[[ToClient], Awaitable[None]],
        *,
        methods: tuple[str, ...] = (),
        anthropic: bool = False,
    ) -> None:
        """Have a request served, which may raise `Unusable`, `BadUpload` and `ClientGone`.

        `Unusable` means that the body has been read, `BadUpload` that it has not.
        `methods` are those that the path has; none for all.
        """
        accept = (header(scope, b"accept") or b"").decode("latin-1")
        reader = Reader(accept, anthropic)
        trace = traced(scope, self.flights.next_id())
        answer = ToClient(scope, send, trace=trace, reader=reader, listen=self.watching.listen)
        try:
            await self._let_in(scope, receive, answer, serve, methods)
        finally:
            self.watching.over(trace)

    async def _let_in(
        self,
        scope: Scope,
        receive: Receive,
        answer: ToClient,
        serve: Callable[[ToClient], Awaitable[None]],
        methods: tuple[str, ...],
    ) -> None:
        if methods and scope["method"] not in methods:
            no = refusals.method_not_allowed(scope["method"], ", ".join(methods))
            return await answer.refuse_unread(no, receive)
        if not keys_of(self.engine.settings.api_keys).admit(scope["headers"]):
            return await answer.refuse_unread(refusals.unauthorized(), receive)
        try:
            await serve(answer)
        except ClientGone:
            pass
        except (BadUpload, Unusable) as bad:
            if bad.refusal.status >= 500:
                answer.warn(bad.refusal)
            if isinstance(bad, BadUpload):
                await answer.refuse_unread(bad.refusal, receive)
            else:
                await answer.refuse(bad.refusal)
