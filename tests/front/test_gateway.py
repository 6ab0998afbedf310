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


async def test_the_connection_stays_after_answers_of_quart(autojump_clock):
    """Its last send is shielded; otherwise the connection is never re-armed."""
    async with open_house("a") as house:
        caller = house.call()
        for _ in range(5):
            await caller.send("/running")
            assert (await caller.reply()).complete
        await house.front.stop_accepting()
        assert await caller.stream.receive_some() == b""
