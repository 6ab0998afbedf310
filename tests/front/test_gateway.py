"""Who gets a request: the data plane or the control plane."""

import pytest

from tests.house import open_house


async def test_model_routes_go_to_the_relay_and_the_rest_to_quart(autojump_clock):
    """The split is by path alone."""
    async with open_house("a") as house:
        assert (await house.post("/v1/embeddings", {"model": "a"})).status == 200
        assert (await house.get("/v1/models")).status == 200
        assert [asked.target for asked in house.upstream.asked] == ["/v1/embeddings"]


@pytest.mark.parametrize("path", ["/nothing", "/v1/chat/completions/", "/v1", "/v1/models/a"])
async def test_unknown_paths_are_404_in_the_envelope(path, autojump_clock):
    """D3: a client that knows only OpenAI's errors can read ours."""
    async with open_house("a") as house:
        reply = await house.post(path, {"model": "a"})
        assert (reply.status, reply.code) == (404, "not_found")


async def test_wrong_methods_are_405_with_allow(autojump_clock):
    """D3, on both planes."""
    async with open_house("a") as house:
        reply = await house.post("/running", {})
        assert (reply.status, reply.code) == (405, "method_not_allowed")
        assert "GET" in reply.headers["allow"]
        reply = await house.get("/v1/rerank")
        assert (reply.status, reply.headers["allow"]) == (405, "POST")


async def test_an_absolute_target_means_its_path(autojump_clock):
    """Servers must accept that form too (RFC 9112, 3.2.2)."""
    async with open_house("a") as house:
        assert (await house.get("http://gpu.example:8080/health")).body == b"OK"
        reply = await house.post("http://gpu.example/v1/embeddings?x=1", {"model": "a"})
        assert reply.status == 200
        assert house.upstream.asked[0].target == "/v1/embeddings?x=1"


@pytest.mark.parametrize("target", ["http://[::1/x", "http://", "*", "nonsense"])
async def test_a_target_that_is_none_is_a_404(target, autojump_clock):
    """Not a 500 with a traceback in the log."""
    async with open_house("a") as house:
        assert (await house.get(target)).status == 404


@pytest.mark.parametrize("host", ["..", "a" * 70 + ".b", "[", "a:b:c", ""])
async def test_a_host_that_is_no_name_is_overlooked(host, autojump_clock):
    """werkzeug would raise before any error handler is asked."""
    async with open_house("a") as house:
        caller = house.call()
        await caller.send("/v1/models", headers={"Host": host})
        assert (await caller.reply()).status == 200


async def test_the_connection_stays_after_answers_of_quart(autojump_clock):
    """Its last send is shielded; otherwise the connection is never re-armed."""
    async with open_house("a") as house:
        caller = house.call()
        for _ in range(5):
            await caller.send("/running")
            assert (await caller.reply()).complete
        await house.front.stop_accepting()
        assert await caller.stream.receive_some() == b""
