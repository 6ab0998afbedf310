"""Where browsers are sent, and who answers that we are there."""

import pytest

from tests.house import open_house


@pytest.mark.parametrize("path", ["/health", "/wol-health"])
async def test_health_says_ok(path, autojump_clock):
    """R10: nothing about models, only that we answer."""
    async with open_house("a") as house:
        reply = await house.get(path)
        assert (reply.status, reply.body) == (200, b"OK")
        assert reply.headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("path", "place"),
    [pytest.param("/", "/ui", id="R11-V7"), pytest.param("/upstream", "/ui/models", id="R12")],
)
async def test_browsers_are_sent_to_the_web_page(path, place, autojump_clock):
    """To the letter as in llama-swap, so that bookmarks and start menus work."""
    async with open_house("a") as house:
        reply = await house.get(path)
        assert (reply.status, reply.headers["location"]) == (302, place)
        assert reply.headers["content-type"] == "text/html; charset=utf-8"
        assert reply.body == f'<a href="{place}">Found</a>.\n\n'.encode()


@pytest.mark.parametrize("path", ["/does-not-exist", "/ui", "/ui/models"])
async def test_what_is_not_there_is_a_404(path, autojump_clock):
    """R9: and the web page is not there yet."""
    async with open_house("a") as house:
        reply = await house.get(path)
        assert (reply.status, reply.code) == (404, "not_found")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 302),
        ("/upstream", 302),
        ("/health", 200),
        ("/wol-health", 200),
        ("/v1/models", 200),
        ("/models", 200),
        ("/running", 200),
        ("/unload", 200),
        ("/api/profiles", 200),
        ("/api/config", 200),
    ],
)
async def test_whoever_asks_for_the_head_gets_no_body(path, status, autojump_clock):
    """V7: a byte of one would be taken for the next answer; the connection goes on."""
    async with open_house("a") as house:
        caller = house.call()
        for method in ("HEAD", "GET"):
            await caller.send(path, method=method)
            reply = await caller.reply()
            assert (reply.status, reply.complete) == (status, True)
            assert (reply.body == b"") == (method == "HEAD")
        await caller.leave()
