"""Keys beyond the rows A1 to A24: hashed ones, changed ones, and that nobody is told any."""

import hashlib
import json
import logging
from collections.abc import Iterator

import pytest

from swapd.auth import Keys, candidate, is_remembered, keys_of
from swapd.config.load import Loaded, loaded_from
from swapd.config.source import parse
from tests.fakes import Asked, echo
from tests.house import open_house

CHAT = "/v1/chat/completions"


def hashed(key: str) -> str:
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


def shouted(key: str) -> str:
    return "sha256:" + hashed(key).removeprefix("sha256:").upper()


def offering(key: str) -> list[tuple[bytes, bytes]]:
    return [(b"X-API-Key", key.encode())]


def configured(*keys: str) -> Loaded:
    """Read a file with these keys."""
    text = f"apiKeys: {json.dumps(keys)}\nmodels: {{a: {{cmd: 'server ${{PORT}}'}}}}\n"
    return loaded_from([parse(text, file="f.yaml")])


@pytest.mark.parametrize("key", ["sk-1", "schl\u00fcssel"])
@pytest.mark.parametrize("written", [str, hashed, shouted], ids=["plain", "hashed", "in-capitals"])
def test_each_of_several_keys_opens(written, key):
    """However it is written in the file; and no other does."""
    keys = keys_of(("sk-0", written(key)))
    assert keys.admit(offering("sk-0"))
    assert keys.admit(offering(key))
    assert not keys.admit(offering(key.upper()))


def test_a_digest_is_no_key():
    """Who reads the file must not get in by what it says."""
    keys = keys_of((hashed("sk-1"),))
    for offered in (hashed("sk-1"), hashed("sk-1").removeprefix("sha256:")):
        assert not keys.admit(offering(offered))


def test_nobody_without_a_key_is_let_in_by_the_digest_of_nothing():
    """It is what `sha256sum` makes of a variable that is not set."""
    keys = keys_of((hashed(""), "sk-1"))
    assert not keys.admit([])
    assert not keys.admit([(b"x-api-key", b"")])
    assert keys.admit(offering("sk-1"))


class Watched(tuple[bytes, ...]):
    """Digests that count how many of them were looked at."""

    looked_at = 0

    def __iter__(self) -> Iterator[bytes]:
        for digest in super().__iter__():
            self.looked_at += 1
            yield digest


@pytest.mark.parametrize("key", ["sk-0", "sk-9", "none", ""])
def test_every_key_is_compared_whichever_fits(key):
    """Else the time of an answer tells at which place a key stands, and that there is one."""
    names = [f"sk-{number}" for number in range(10)]
    digests = Watched(hashlib.sha256(name.encode()).digest() for name in names)
    assert Keys(digests).admit(offering(key)) is (key in names)
    assert digests.looked_at == len(names)


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ([(b"Authorization", b"Bearer a"), (b"authorization", b"Bearer b")], b"a"),
        ([(b"Authorization", b"Digest x"), (b"X-Api-Key", b"k")], b"k"),
        ([(b"Authorization", b"Bearer "), (b"X-Api-Key", b"k")], b"k"),
        ([(b"Authorization", b"Basic dTpw\xff"), (b"X-Api-Key", b"k")], b"k"),
        ([(b"Authorization", b"Basic dTp"), (b"X-Api-Key", b"k")], b"k"),
        ([(b"Authorization", b"Basic dTr/"), (b"X-Api-Key", b"k")], b"\xff"),
    ],
    ids=["the-first", "another-scheme", "empty", "no-ascii", "no-padding", "any-bytes"],
)
def test_odd_credentials_are_a_key_or_none(headers, key):
    """What stands there is anybody's to choose, and must not become a 500."""
    assert candidate(headers) == key


async def test_keys_that_a_reload_changes_count_at_once(autojump_clock):
    """A key that has leaked must be shut out now; whoever is being served is served to the end."""

    async def read(before: Loaded) -> Loaded:
        return configured(hashed("sk-new"))

    async def stream(asked: Asked) -> None:
        await asked.begin_events()
        await asked.chunk(b"data: 1\n\n")

    async with open_house(settings=configured("sk-old").settings, read=read) as house:
        house.upstream.handler = stream
        caller = house.call()
        await caller.send(CHAT, {"model": "a"}, headers={"x-api-key": "sk-old"})
        await caller.head()
        assert await caller.piece() == b"data: 1\n\n"
        reply = await house.get("/api/config/reload", method="POST", x_api_key="sk-old")
        assert reply.status == 200
        house.upstream.handler = echo
        await house.upstream.asked[0].chunk(b"data: 2\n\n")
        await house.upstream.asked[0].chunk(b"")
        assert [await caller.piece(), await caller.piece()] == [b"data: 2\n\n", b""]
        for key, status in (("sk-old", 401), ("sk-new", 200)):
            assert (await house.get("/running", x_api_key=key)).status == status
            assert (await house.post("/upstream/a/x", {}, x_api_key=key)).status == status
            assert (await house.post(CHAT, {"model": "a"}, x_api_key=key)).status == status


async def test_no_key_is_ever_told(autojump_clock, caplog):
    """An answer and a log have other readers than a key has; a wrong one is somebody's, too."""
    secrets = ["sk-right", "sk-other", "sk-wrong", hashed("sk-other").removeprefix("sha256:")]
    secrets.append(repr(hashlib.sha256(b"sk-right").digest()))
    loaded = configured("sk-right", hashed("sk-other"))

    async def read(before: Loaded) -> Loaded:
        return configured("sk-right", hashed("sk-other"), "")

    told: list[str] = []
    caplog.set_level(logging.DEBUG)
    async with open_house(settings=loaded.settings, read=read) as house:
        for key in ("sk-right", "sk-other", "sk-wrong"):
            for reply in (
                await house.post(CHAT, {"model": "a"}, x_api_key=key),
                await house.post(CHAT, {"model": "ghost"}, authorization=f"Bearer {key}"),
                await house.get("/running", x_api_key=key),
                await house.get("/api/config", x_api_key=key),
                await house.get("/api/config/reload", method="POST", x_api_key=key),
                await house.get("/openapi.json", x_api_key=key),
                await house.get("/v1/models", authorization=f"Bearer {key}", accept="text/html"),
                await house.get("/nothing", x_api_key=key),
            ):
                told += [reply.body.decode(), *reply.headers.values()]
    # What a traceback or a careless line in the log would show.
    keys = keys_of(loaded.settings.api_keys)
    told += [caplog.text, repr(loaded.settings), repr(keys)]
    assert not [secret for secret in secrets for text in told if secret in text]


@pytest.mark.parametrize(
    ("header", "remembered"),
    [
        ((b"Authorization", b"Basic eDp5"), True),
        ((b"authorization", b"bAsIc eDp5"), True),
        ((b"Authorization", b"Bearer basic x"), False),
        ((b"Authorization", b"Basic"), False),
        ((b"x-api-key", b"Basic eDp5"), False),
    ],
)
def test_a_key_that_was_typed_is_told_from_one_that_a_program_sends(header, remembered):
    """A browser adds it to whatever any site has it ask for here."""
    assert is_remembered([(b"Host", b"x"), header]) is remembered
