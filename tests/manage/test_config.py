"""The configuration in use, and taking up a changed one, over HTTP."""

import pytest

from swapd.config.load import Loaded, loaded_from
from swapd.config.source import parse
from swapd.ids import ModelId
from swapd.manage.config import MOST
from tests.house import open_house

FIRST = """\
apiKeys: [sk-very-secret]
models:
  a: {cmd: 'server ${PORT} --key sk-very-secret'}
  b: {cmd: 'server ${PORT}'}
"""

SECOND = FIRST + "  c: {cmd: 'server ${PORT}'}\nstore: {path: /tmp/x.db}\n"

BROKEN = "models:\n  a: {cmd: x, ttl: soon}\n"


class Disk:
    """One file."""

    def __init__(self, text: str) -> None:
        self.text = text

    def load(self) -> Loaded:
        return loaded_from([parse(self.text, file="f.yaml")])

    async def read(self, before: Loaded) -> Loaded:
        return self.load()


def house(disk: Disk):
    key = {"x-api-key": "sk-very-secret"}
    return open_house(settings=disk.load().settings, read=disk.read, headers=key)


async def test_a_reload_answers_what_it_did(autojump_clock):
    """As lists of ids; the new model is there at once."""
    disk = Disk(FIRST)
    async with house(disk) as swapd:
        disk.text = SECOND
        expected = {
            "unchanged": ["a", "b"],
            "restart": [],
            "removed": [],
            "added": ["c"],
            "needs_daemon_restart": ["store.path"],
        }
        reply = await swapd.get("/api/config/reload?dry_run=1", method="POST")
        assert (reply.status, reply.json()) == (200, expected)
        assert "c" not in swapd.engine.settings.models

        reply = await swapd.get("/api/config/reload", method="POST")
        assert (reply.status, reply.json()) == (200, expected)
        listed = (await swapd.get("/v1/models")).json()["data"]
        assert [model["id"] for model in listed] == ["a", "b", "c"]


async def test_a_broken_configuration_is_a_422_with_every_problem(autojump_clock, caplog):
    """In the envelope that clients know, and as data for editors; nothing has changed."""
    disk = Disk(FIRST)
    async with house(disk) as swapd:
        before = swapd.engine.settings
        disk.text = BROKEN
        for query in ("?dry_run=1", ""):
            reply = await swapd.get(f"/api/config/reload{query}", method="POST")
            assert (reply.status, reply.code) == (422, "invalid_request")
            first, second = reply.json()["problems"]
            assert first["path"] == "models.a.proxy"
            assert second == {
                "file": "f.yaml",
                "line": 2,
                "column": 20,
                "path": "models.a.ttl",
                "message": 'expected a whole number, got "soon"',
            }
        assert swapd.engine.settings is before
    # The dry run is nobody's business but the caller's.
    assert sum("soon" in message for message in caplog.messages) == 1


async def test_an_answer_has_no_more_mistakes_than_anybody_mends(autojump_clock):
    """Another program's file has thousands."""
    disk = Disk(FIRST)
    async with house(disk) as swapd:
        disk.text = "".join(f"k{number}: 1\n" for number in range(MOST + 5))
        reply = await swapd.get("/api/config/reload", method="POST")
        assert len(reply.json()["problems"]) == MOST
        assert f"{MOST + 5} mistakes" in reply.json()["error"]["message"]


@pytest.mark.parametrize("query", ["?dry_run=on", "?dry_run=2", "?dryRun=1", "?dry-run=1"])
async def test_a_mistyped_dry_run_is_no_real_one(query, autojump_clock):
    """Whoever wanted to look must not find that it is done."""
    disk = Disk(FIRST)
    async with house(disk) as swapd:
        disk.text = SECOND
        reply = await swapd.get(f"/api/config/reload{query}", method="POST")
        assert (reply.status, reply.code) == (400, "invalid_request")
        assert "c" not in swapd.engine.settings.models


async def test_the_configuration_in_use_is_shown_without_secrets(autojump_clock):
    """With everything filled in, and what waits for the next start."""
    disk = Disk(FIRST)
    async with house(disk) as swapd:
        disk.text = SECOND
        await swapd.get("/api/config/reload", method="POST")
        reply = await swapd.get("/api/config")
        assert b"sk-very-secret" not in reply.body
        shown = reply.json()
        assert shown["pending_restart"] == ["store.path"]
        assert shown["config"]["apiKeys"] == ["***"]
        assert shown["config"]["models"]["a"]["cmd"] == "server 5800 --key ***"
        assert shown["config"]["models"]["a"]["unloadTimeout"] == 10


async def test_a_model_goes_on_through_a_reload(autojump_clock):
    """The one that has changed is loaded anew at its next request, the other is not."""
    disk = Disk(FIRST)
    async with house(disk) as swapd:
        chat = "/v1/chat/completions"
        await swapd.post(chat, {"model": "a"})
        disk.text = FIRST.replace("b: {cmd: 'server", "b: {cmd: 'other")
        reply = await swapd.get("/api/config/reload", method="POST")
        assert reply.json()["restart"] == ["b"]
        await swapd.post(chat, {"model": "a"})
        await swapd.post(chat, {"model": "b"})
        assert swapd.loads() == "a b"


async def test_a_removed_model_is_told_as_long_as_it_runs(autojump_clock):
    """It holds memory that others wait for; and it can be unloaded by its name."""
    disk = Disk(FIRST)
    async with house(disk) as swapd:
        with swapd.engine.turn(ModelId("a"), revoke=print) as turn:
            await turn.granted()
            before = (await swapd.get("/running")).json()
            disk.text = "models:\n  b: {cmd: 'server ${PORT}'}\n"
            reply = await swapd.get("/api/config/reload", method="POST")
            assert reply.json()["removed"] == ["a"]
            assert (await swapd.get("/running")).json() == before
            assert (await swapd.get("/api/models/unload/a", method="POST")).body == b"OK"
        assert (await swapd.get("/running")).json() == {"running": []}
        assert (await swapd.get("/api/models/unload/a", method="POST")).status == 404


async def test_what_runs_is_told_as_it_was_started(autojump_clock):
    """Its port and its command are those of its process, not of the next."""
    disk = Disk(FIRST)
    async with house(disk) as swapd:
        with swapd.engine.turn(ModelId("b"), revoke=print) as turn:
            await turn.granted()
            for change, told in (
                ("{ttl: 7, cmd: 'server", ("server 5801", 7)),
                ("{ttl: 8, cmd: 'other", ("server 5801", 0)),
            ):
                disk.text = FIRST.replace("b: {cmd: 'server", f"b: {change}")
                await swapd.get("/api/config/reload", method="POST")
                [running] = (await swapd.get("/running")).json()["running"]
                assert (running["cmd"], running["ttl"]) == told


async def test_a_bug_in_reading_is_no_configuration_error(autojump_clock):
    """It is a 500, and the daemon goes on with what it has."""

    async def read(before: Loaded) -> Loaded:
        raise ValueError("a bug")

    async with open_house("a", read=read) as swapd:
        reply = await swapd.get("/api/config/reload", method="POST")
        assert (reply.status, reply.code) == (500, "internal_error")
        assert (await swapd.get("/health")).status == 200
