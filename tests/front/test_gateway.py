"""Who gets a request: the data plane or the control plane."""

from base64 import b64encode

import attrs
import pytest

from swapd.front.gateway import Gateway
from swapd.front.serve import Front
from swapd.ids import ModelId
from swapd.schedule.phase import Phase
from tests import stories
from tests.house import House, open_house


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


# Browsers, and a door without admins

EVIL = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/unload"),
        ("HEAD", "/unload"),
        ("GET", "//unload"),
        ("GET", "/%75nload"),
        ("GET", "http://swapd/unload"),
        ("GET", "/unload?x=1"),
        ("POST", "/api/models/unload"),
        ("POST", "/api/models/unload/a"),
        ("POST", "/api/models/load/a"),
        ("POST", "/api/config/reload"),
        ("POST", "/api/inflight/r-1/cancel"),
        ("PUT", "/api/profiles/active"),
        ("DELETE", "/api/queue/r-1"),
        ("POST", "/api/plan"),
        ("GET", "/running"),
        ("GET", "/logs"),
        ("GET", "/logs/stream"),
        ("GET", "/api/events"),
        ("GET", "/api/captures/1"),
        ("GET", "/metrics"),
    ],
)
async def test_a_browser_does_no_admins_work_for_another_site(method, path, autojump_clock):
    """Without keys any website could unload the models of whoever looks at it."""
    async with open_house("a") as house:
        assert (await house.post("/v1/embeddings", {"model": "a"})).status == 200
        reply = await house.get(path, method=method, **EVIL)
        assert reply.status == 403
        assert method == "HEAD" or reply.code == "cross_site"
        assert [running["state"] for running in await running_in(house)] == ["ready"]


async def test_a_browser_does_an_admins_work_for_a_page_of_ours(autojump_clock):
    """And for an address that somebody typed."""
    async with open_house("a") as house:
        for said in ("same-origin", "none"):
            assert (await house.get("/unload", sec_fetch_site=said)).body == b"OK"
        reply = await house.post("/api/plan", {"model": "a"}, origin="http://swapd")
        assert reply.status == 200


async def test_a_link_to_a_page_of_an_admins_may_be_followed(autojump_clock):
    """From a wiki, say; what it shows is for whoever clicked."""
    async with open_house("a") as house:
        said = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}
        assert (await house.get("/running", **said)).status == 200
        assert (await house.get("/unload", **said)).status == 403


@pytest.mark.parametrize("path", ["/v1/models", "/health", "/upstream/a/x", "/props?model=a"])
async def test_clients_in_web_pages_go_on_as_before(path, autojump_clock):
    """C1, C10: pages of other origins may use models; llama-swap's clients do."""
    async with open_house("a") as house:
        assert (await house.get(path, origin="http://chat.example", **EVIL)).status == 200


async def test_with_keys_a_browser_needs_one_like_anybody(autojump_clock):
    """No other site's page has it, so nothing else is asked."""
    settings = attrs.evolve(stories.settings(["a"]), api_keys=("secret",))
    async with open_house(settings=settings) as house:
        assert (await house.get("/unload", **EVIL)).status == 401
        assert (await house.get("/unload", x_api_key="secret", **EVIL)).status == 200


async def test_a_key_that_a_browser_remembers_is_not_enough(autojump_clock):
    """Typed once into its prompt, it goes along with whatever any site has the browser ask for."""
    settings = attrs.evolve(stories.settings(["a"]), api_keys=("secret",))
    typed = {"authorization": f"Basic {b64encode(b'me:secret').decode()}"}
    async with open_house(settings=settings) as house:
        assert (await house.get("/unload", **typed, **EVIL)).code == "cross_site"
        assert (await house.get("/unload", **typed)).status == 200
        assert (await house.get("/running", **typed, sec_fetch_site="none")).status == 200


async def test_a_refused_upload_is_told_why(autojump_clock):
    """And the connection goes on."""
    async with open_house("a") as house:
        caller = house.call()
        fields = {"Sec-Fetch-Site": "cross-site"}
        await caller.send("/api/plan", b"x" * 100_000, headers=fields)
        assert (await caller.reply()).code == "cross_site"
        await caller.send("/health")
        assert (await caller.reply()).body == b"OK"


@pytest.mark.parametrize("path", ["/unload", "/api/models/unload", "/running", "/%61pi/queue"])
async def test_no_page_is_promised_what_it_would_be_refused(path, autojump_clock):
    """C9 without keys: the answer comes, and allows nothing."""
    async with open_house("a") as house:
        reply = await house.get(path, method="OPTIONS", origin="http://evil.example")
        assert reply.status == 204
        assert not [name for name in reply.headers if name.startswith("access-control")]


ADMINS = [
    *("/api", "/api/queue", "/api/version", "/api/performance", "/api/captures/1", "/api/events"),
    *("/running", "/logs", "/logs/stream", "/logs/stream/proxy", "/logs/stream/a", "/metrics"),
    *("/unload", "/unload/", "//unload", "///running", "/Unload", "/./unload", "/x/../unload"),
    *("/%75nload", "/unload%2f", "/%2funload", "/%2Fapi/queue", "/api%2fqueue", "/api//queue"),
    *("/unload?x", "/unload;x", "/v1/models/../../unload", "/unload%00"),
    *("http://swapd/unload", "http://swapd//unload", "http://swapd:1/api/queue", "http:///unload"),
    *("x://y/unload", "/health/../unload", "/comfyuix/../../unload", "*"),
]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ADMINS)
async def test_admins_pages_are_nowhere_at_a_door_without_them(path, method, autojump_clock):
    """However they are spelled, and told from nothing by nothing but the path."""
    async with open_house("a") as house:
        assert (await house.post("/v1/embeddings", {"model": "a"})).status == 200
        house.front = without_admins(house)
        reply = await house.get(path, method=method)
        nowhere = await house.get("/nothing", method=method)
        assert reply.status == nowhere.status == 404
        assert reply.headers | {"content-length": ""} == nowhere.headers | {"content-length": ""}
        if method != "HEAD":
            assert reply.code == nowhere.code == "not_found"
        assert house.engine.phase(ModelId("a")) is Phase.READY


@pytest.mark.parametrize("target", ["/upstream/../unload", "/upstream//unload", "/upstream/%2e./"])
async def test_nothing_leads_out_of_what_is_below_models(target, autojump_clock):
    """Whoever cleans paths before looking whose they are can be led anywhere."""
    async with open_house("a") as house:
        house.front = without_admins(house)
        reply = await house.get(target)
        assert (reply.status, reply.code) == (404, "model_not_found")


async def test_what_is_below_a_model_is_the_models(autojump_clock):
    """Dots are not ours to read; what comes of them is the business of its server."""
    async with open_house("a") as house:
        house.front = without_admins(house)
        reply = await house.get("/upstream/a/../../unload")
        assert (reply.status, reply.json()["target"]) == (200, "/../../unload")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/health", 200),
        ("/wol-health", 200),
        ("/", 302),
        ("/upstream", 302),
        ("/models", 200),
        ("/v1/models", 200),
        ("/openapi.json", 200),
        ("/upstream/a/x", 200),
        ("/props?model=a", 200),
    ],
)
async def test_a_door_without_admins_serves_clients(path, status, autojump_clock):
    """They are to notice nothing; browsers among them may ask first."""
    async with open_house("a") as house:
        house.front = without_admins(house)
        assert (await house.get(path)).status == status
        reply = await house.get(path, method="OPTIONS")
        assert (reply.status, reply.headers["access-control-allow-origin"]) == (204, "*")


async def test_a_door_without_admins_tells_browsers_and_people_in_their_words(autojump_clock):
    """Like any other 404."""
    async with open_house("a") as house:
        house.front = without_admins(house)
        reply = await house.get("/unload", accept="text/plain")
        assert reply.body == b"swapd: there is nothing at /unload"


def without_admins(house: House) -> Front:
    """Open another door to the same daemon."""
    gateway = house.front.app
    assert isinstance(gateway, Gateway)
    return Front(attrs.evolve(gateway, admin=False))


async def running_in(house: House) -> list[dict[str, str]]:
    """List what is loaded."""
    found: list[dict[str, str]] = (await house.get("/running")).json()["running"]
    return found
