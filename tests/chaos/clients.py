"""Clients that ask, stream, upload, read slowly, or leave; each request goes into the account.

Rule 1: whatever a network does to a client is an answer of some kind and never an exception.
Rule 2: what a client does next is chosen by its own seed, so that a run's load can be repeated.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from random import Random
from typing import Any

import attrs
import h11
import trio

from tests.chaos import model
from tests.chaos.account import (
    Account,
    Answer,
    Anything,
    Ending,
    Exactly,
    Expected,
    Saying,
    judge,
    judge_left,
)
from tests.chaos.heard import Heard, hear, send

CHAT = "/v1/chat/completions"

# After so many seconds a request hangs. Longer than any queue here: a dozen clients, of whom each
# waits for a model that may be stopped for some seconds, and for the others' models to end.
HANGS = 60.0

# What llama.cpp is asked; the same every time, so that its answers can be compared.
PROMPTS = ("the river", "a mountain of words", "go", "seven ways home")
TOKENS = 400
SAME = {"temperature": 0, "seed": 7, "cache_prompt": False}

# For how long most clients want the same model, and how many of them do; else nearly all of the
# time would go into swapping.
FASHION = 2.0
FASHIONABLE = 0.75


Dial = Callable[[], Awaitable[trio.SocketStream]]


@attrs.frozen
class Asked:
    """A request, and what must come of it."""

    what: str
    path: str
    body: bytes
    expected: Expected
    method: str = "POST"


@attrs.define
class Client:
    """One client: a connection at a time, kept as long as it is good."""

    dial: Dial
    account: Account
    random: Random
    pretended: Sequence[str]
    """Models that answer with digests."""
    texts: Mapping[tuple[str, str], str]
    """What llama.cpp's models say to the prompts."""
    _stream: trio.SocketStream | None = None
    _http: h11.Connection = attrs.field(factory=lambda: h11.Connection(h11.CLIENT))
    _sent: int = 0

    async def run(self, over: trio.Event) -> None:
        """Ask one thing after the other until it is over."""
        ways: Mapping[Callable[[], Awaitable[None]], int] = {
            self._ask: 6,
            self._talk: 6,
            self._stream_all: 5,
            self._upload: 2,
            self._leave: 2,
            self._send_half: 1,
            self._read_slowly: 1,
            self._list: 1,
        }
        while not over.is_set():
            talking = self._talk if _slot() % 3 == 0 and self.texts else self._ask
            [way] = self.random.choices(list(ways), list(ways.values()))
            if way in (self._ask, self._talk) and self.random.random() < FASHIONABLE:
                way = talking
            await way()
            with trio.move_on_after(self.random.uniform(0, 0.25)):
                await over.wait()
        self.drop()

    async def ask(self, asked: Asked, *, pause: float = 0.0, heard: Heard | None = None) -> Ending:
        """Ask once, wait for the whole answer, and enter it into the account."""
        number = self.account.send(asked.what)
        heard = heard or Heard()
        ending = Ending.LEFT  # unless something comes of it before whoever made us ask gives up
        try:
            with trio.move_on_after(HANGS) as patience:
                await self._exchange(asked, heard, pause=pause)
            hung = patience.cancelled_caught
            ending = Ending.HUNG if hung else judge(heard.answer(), asked.expected)
        finally:
            if ending in (Ending.HUNG, Ending.LEFT):
                self.drop()
            self.account.end(number, ending, heard.answer())
        return ending

    async def control(self, method: str, path: str) -> Answer:
        """Have the daemon itself do something; that is a request as well."""
        return await self.hear(Asked(f"{method} {path}", path, b"", Anything(), method))

    async def hear(self, asked: Asked) -> Answer:
        """Ask once, enter it into the account, and answer with what came."""
        heard = Heard()
        await self.ask(asked, heard=heard)
        return heard.answer()

    def drop(self) -> None:
        """Close the connection at once, also where everything is being cancelled."""
        if self._stream is not None:
            self._stream.socket.close()
        self._stream = None

    def pretend(self, name: str, *, pieces: int, stream: bool = True, **more: Any) -> Asked:
        """Ask a pretend model for a number of pieces; no two requests are alike."""
        self._sent += 1
        nonce = f"{self.random.getrandbits(64):x}/{self._sent}"
        wish: dict[str, Any] = {"model": name, "stream": stream, "pieces": pieces, "nonce": nonce}
        wish |= {"size": 120, "interval": 0.0, **more}
        body = json.dumps(wish).encode()
        kind = f"{name}: {pieces} pieces, {len(body)} bytes, stream {stream}"
        return Asked(kind, CHAT, body, Exactly(model.answer_to(body)))

    def talk(self, name: str, prompt: str, *, stream: bool) -> Asked:
        """Ask llama.cpp for what it always says; for anything while nobody knows what that is."""
        text = self.texts.get((name, prompt))
        expected = Anything() if text is None else Saying(text, stream)
        wish: dict[str, Any] = {"model": name, "messages": [{"role": "user", "content": prompt}]}
        wish |= {"stream": stream, "max_tokens": TOKENS, **SAME}
        kind = f"{name} on {prompt!r}, stream {stream}"
        return Asked(kind, CHAT, json.dumps(wish).encode(), expected)

    # What clients do

    async def _ask(self) -> None:
        name = self._one_of(self.pretended)
        await self.ask(self.pretend(name, pieces=self.random.randint(1, 60), stream=False))

    async def _stream_all(self) -> None:
        name, pieces = self._one_of(self.pretended), self.random.randint(2, 40)
        await self.ask(self.pretend(name, pieces=pieces, interval=self.random.uniform(0, 0.03)))

    async def _upload(self) -> None:
        # More than what is kept in memory, so it lies on the disk until its turn.
        filler = f"{self.random.getrandbits(64):x}" * self.random.randint(80_000, 250_000)
        name = self._one_of(self.pretended)
        await self.ask(self.pretend(name, pieces=3, stream=False, filler=filler))

    async def _read_slowly(self) -> None:
        asked = self.pretend(self._one_of(self.pretended), pieces=300, size=4000)
        await self.ask(asked, pause=0.03)

    async def _talk(self) -> None:
        if self.texts:
            name = self._one_of(sorted({name for name, _ in self.texts}))
            prompt = self.random.choice(PROMPTS)
            await self.ask(self.talk(name, prompt, stream=self.random.random() < 0.6))

    async def _list(self) -> None:
        path = self.random.choice(("/v1/models", "/running", "/health", "/api/queue", "/metrics"))
        await self.control("GET", path)

    async def _leave(self) -> None:
        """Go away at any time: while it waits, before the head, in the stream."""
        name = self._one_of(self.pretended)
        asked = self.pretend(name, pieces=200, interval=0.02)
        number = self.account.send(f"{asked.what}, and leave")
        heard = Heard()
        with trio.move_on_after(self.random.uniform(0, 1.5)) as patience:
            await self._exchange(asked, heard)
        self.drop()
        # Where we did not leave, an error came first, or the daemon has gone.
        judged = judge_left if patience.cancelled_caught else judge
        self.account.end(number, judged(heard.answer(), asked.expected), heard.answer())

    async def _send_half(self) -> None:
        """Send a part of a request, and go."""
        name = self._one_of(self.pretended)
        asked = self.pretend(name, pieces=1, filler="x" * self.random.choice((10, 3_000_000)))
        number = self.account.send(f"half of {asked.what}")
        data = self._written(h11.Connection(h11.CLIENT), asked)
        self.drop()
        with trio.move_on_after(10):
            try:
                stream = await self.dial()
            except OSError:
                return self.account.end(number, Ending.CUT)
            async with stream:
                try:
                    await stream.send_all(data[: self.random.randint(1, len(data) - 1)])
                    await trio.sleep(self.random.uniform(0, 0.5))
                except trio.BrokenResourceError:
                    return self.account.end(number, Ending.CUT)
        self.account.end(number, Ending.LEFT)
        return None

    def _one_of(self, names: Sequence[str]) -> str:
        """Choose a model, mostly the one that everybody wants at this time."""
        if self.random.random() < FASHIONABLE:
            return names[_slot() % len(names)]
        return self.random.choice(names)

    # HTTP

    async def _exchange(self, asked: Asked, heard: Heard, *, pause: float = 0.0) -> None:
        """Send a request and read what comes of it, however that ends."""
        if self._stream is None:
            try:
                self._stream = await self.dial()
            except OSError:
                return
            self._http = h11.Connection(h11.CLIENT)
        stream, http = self._stream, self._http
        sent = trio.Event()
        async with trio.open_nursery() as nursery:
            # Beside the reading: a daemon may refuse a body of which it has read a part.
            nursery.start_soon(send, stream, self._written(http, asked), sent)
            await hear(stream, http, heard, pause=pause)
            nursery.cancel_scope.cancel()
        if heard.complete and sent.is_set() and http.our_state is http.their_state is h11.DONE:
            http.start_next_cycle()
        else:
            self.drop()

    def _written(self, http: h11.Connection, asked: Asked) -> bytes:
        fields = {"Host": "swapd", "Content-Type": "application/json"}
        fields["Content-Length"] = str(len(asked.body))
        head = h11.Request(method=asked.method, target=asked.path, headers=list(fields.items()))
        parts = (head, h11.Data(data=asked.body), h11.EndOfMessage())
        return b"".join(http.send(part) or b"" for part in parts)


def _slot() -> int:
    """Count the fashions."""
    return int(trio.current_time() / FASHION)
