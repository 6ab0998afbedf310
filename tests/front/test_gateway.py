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


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/upstream", 302),
        ("/upstream/a/x", 200),
        ("/comfyui/", 200),
        ("/upstreams/a/x", 404),
        ("/comfyuis/", 404),
        ("/Upstream/a/x", 404),
        ("/v1/upstream/a/x", 404),
        ("/%75pstream/a/x", 404),
        ("/upstream%2Fa/x", 404),
    ],
)
async def test_what_lies_below_a_models_name_is_asked_of_it(path, status, autojump_clock):
    """And what only looks so is nobody's."""
    async with open_house("a", "comfyui_auto") as house:
        assert (await house.get(path)).status == status
        assert len(house.upstream.asked) == (status == 200)


@pytest.mark.parametrize("path", ["/upstream/a/x", "/comfyui/x", "/props?model=a", "/nothing"])
async def test_a_browser_that_asks_first_loads_nothing(path, autojump_clock):
    """Its question is answered here, wherever it wants to go."""
    async with open_house("a") as house:
        assert (await house.get(path, method="OPTIONS")).status == 204
        assert (house.loads(), house.upstream.asked) == ("", [])


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


async def test_an_absolute_target_may_lie_below_a_model(autojump_clock):
    """And stays escaped as it is."""
    async with open_house("a/b") as house:
        reply = await house.get("http://gpu.example/upstream/a%2Fb/x%2Fy?z=http://w")
        assert (reply.status, reply.json()["target"]) == (200, "/x%2Fy?z=http://w")


@pytest.mark.parametrize("target", ["http://[::1/x", "*", "nonsense", "x%3A//swapd/health"])
async def test_a_target_that_is_none_is_the_clients_mistake(target, autojump_clock):
    """Not a 500 with a traceback in the log."""
    async with open_house("a") as house:
        assert (await house.get(target)).status in (400, 404)


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
