"""What lies below a model's name, `/upstream` and `/comfyui`: the reference's tables, row by row.

What P19 to P23 say of activity and of lists comes with these; here is the rest of those rows.
"""

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from swapd.config.kinds import Strategy
from swapd.config.names import Names, PeerModel
from swapd.config.patterns import DEFAULT, any_of
from swapd.config.settings import Origin, Peer, Selector, Settings
from swapd.ids import ModelId
from swapd.proxy.paths import find
from tests import stories
from tests.fakes import Asked
from tests.house import House, Reply, open_house

CHAT = "/v1/chat/completions"


def settings(*models: str) -> Settings:
    """Make settings as a file would: with the usual paths that load nothing, and a peer."""
    peers = {"p": Peer("p", Origin("http", "10.0.0.9", 80), ("x",))}
    return attrs.evolve(stories.settings(models), peers=peers, ignore_paths=DEFAULT)


async def ask(house: House, method: str, path: str, body: bytes = b"", *, key: str = "") -> Reply:
    """Ask once, on a connection of its own."""
    caller = house.call()
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    await caller.send(path, body, method=method, headers=headers)
    reply = await caller.reply()
    await caller.leave()
    return reply


async def load(house: House, model: str) -> None:
    """Load a model, and forget that it was asked for that."""
    assert (await house.post(CHAT, {"model": model})).status == 200
    house.upstream.asked.clear()


# Finding the model

LOCAL = Names.of({ModelId("author"): (), ModelId("author/model"): (), ModelId("simple"): ()}, {})
PEERS = Names.of({}, {"p1": ("shared", "org/model"), "p2": ("shared", "unique")})


@pytest.mark.parametrize(
    ("names", "path", "model", "path_there"),
    [
        pytest.param(LOCAL, b"simple/v1/chat", "simple", "/v1/chat", id="P1-R284"),
        pytest.param(LOCAL, b"author/model/v1/chat", "author/model", "/v1/chat", id="P2-R284"),
        pytest.param(LOCAL, b"author/model", "author/model", "/", id="P3-R284"),
        pytest.param(LOCAL, b"author/v1/chat", "author", "/v1/chat", id="P4-R284"),
        pytest.param(PEERS, b"p1/shared/v1/chat", "p1/shared", "/v1/chat", id="P6-first"),
        pytest.param(PEERS, b"p2/shared/v1/chat", "p2/shared", "/v1/chat", id="P6-second"),
        pytest.param(PEERS, b"p1/org/model/v1/chat", "p1/org/model", "/v1/chat", id="P6-slash"),
        pytest.param(PEERS, b"unique/v1/chat", "p2/unique", "/v1/chat", id="P6-bare"),
    ],
)
def test_the_longest_name_is_meant(names, path, model, path_there):
    """P1 to P6: a model below another's name is not a path of that other."""
    found = find(names, path)
    assert found is not None
    target = found.target
    assert (target.full_name if isinstance(target, PeerModel) else target) == model
    assert found.path == path_there


@pytest.mark.parametrize(
    ("names", "path"),
    [
        pytest.param(LOCAL, b"missing/v1", id="P5-R284"),
        pytest.param(LOCAL, b"", id="P5-R284-nothing"),
        pytest.param(PEERS, b"shared/v1/chat", id="P7"),
    ],
)
def test_a_name_that_nobody_has_or_several_is_not_found(names, path):
    """P5, P7: nobody guesses."""
    assert find(names, path) is None


# What is asked of it


@pytest.mark.parametrize(
    ("method", "path", "forwarded"),
    [
        pytest.param("GET", "/upstream/m1/v1/chat", "/v1/chat", id="P8-R285"),
        pytest.param(
            "POST",
            "/upstream/m1/api/userdata/workflows%2Fexample.json",
            "/api/userdata/workflows%2Fexample.json",
            id="P11",
        ),
        pytest.param("POST", "/upstream/author/model/api/x%2Fy", "/api/x%2Fy", id="P12"),
        pytest.param("POST", "/upstream/author%2Fmodel/api/x%2Fy", "/api/x%2Fy", id="P12-escaped"),
        pytest.param("POST", f"/upstream/m1{CHAT}", CHAT, id="P16-P19"),
        pytest.param("POST", "/upstream/m1/probe", "/probe", id="P20"),
        pytest.param("GET", f"/upstream/m1{CHAT}?x=%20;&y", f"{CHAT}?x=%20;&y", id="P21"),
        pytest.param("GET", "/upstream/m1/props", "/props", id="P22"),
        pytest.param("GET", "/upstream/nick/props", "/props", id="P26"),
        pytest.param("GET", "/upstream/m1/", "/", id="the-root"),
        pytest.param("GET", "/upstream/%6D1/%7e?", "/%7e", id="the-name-escaped"),
        pytest.param("PUT", "/upstream/m1//a//b/", "//a//b/", id="empty-segments-ours"),
        pytest.param("GET", "/upstream//m1/x", "/x", id="an-empty-segment-before-ours"),
        pytest.param("GET", "/upstream/m1/a/../b", "/a/../b", id="dots-ours"),
    ],
)
async def test_a_model_is_asked_what_the_client_asked(method, path, forwarded, autojump_clock):
    """P8 to P26: to the letter, and loaded for it; llama-swap redirects to a path without `//`."""
    m1 = attrs.evolve(stories.model("m1"), aliases=("nick",))
    async with open_house(settings=stories.settings([m1, "author/model"])) as house:
        reply = await ask(house, method, path)
        assert (reply.status, reply.json()["target"]) == (200, forwarded)
        assert house.upstream.asked[0].method == method


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "PROPFIND"])
async def test_any_method_is_passed_with_its_body(method, autojump_clock):
    """P25: what is in it is not looked at, whether it names a model or is no JSON at all."""

    async def answer(asked: Asked) -> None:
        await asked.answer()

    async with open_house(settings=settings("m1", "other")) as house:
        house.upstream.handler = answer
        for body in (b'{"model":"other"}', b"{", b"\x00\xff" * 100_000, b""):
            await ask(house, method, f"/upstream/m1{CHAT}", body)
            seen = house.upstream.asked[-1]
            assert (seen.method, seen.body) == (method, body)
        assert house.loads() == "m1"


async def test_whoever_asks_a_model_for_the_head_gets_no_body(autojump_clock):
    """The model's own length stays, and the connection goes on."""
    async with open_house("m1") as house:
        caller = house.call()
        for method in ("HEAD", "GET"):
            await caller.send("/upstream/m1/x", method=method)
            reply = await caller.reply()
            assert (reply.status, reply.complete) == (200, True)
            assert (reply.body == b"") == (method == "HEAD")
            assert int(reply.headers["content-length"]) > 0


@pytest.mark.parametrize(
    ("path", "named"),
    [
        pytest.param("/upstream/nope/v1", "nope/v1", id="P10-R287"),
        pytest.param("/upstream/fast/v1", "fast/v1", id="P24"),
        pytest.param("/upstream/", "", id="nothing"),
        pytest.param("/upstream//", "/", id="only-slashes"),
    ],
)
async def test_an_unknown_name_is_a_404(path, named, autojump_clock):
    """P10, P24: and a selector is nobody's name here."""
    fast = Selector("fast", Strategy.PIN, ("m1",))
    chosen = attrs.evolve(settings("m1"), selectors={"fast": fast})
    async with open_house(settings=chosen) as house:
        reply = await house.get(path)
        assert (reply.status, reply.code) == (404, "model_not_found")
        assert f'"{named}"' in reply.json()["error"]["message"]
        assert (house.loads(), house.upstream.asked) == ("", [])


@pytest.mark.parametrize("body", [b"", b"{}", b"x" * 500_000], ids=["empty", "small", "large"])
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/upstream/m1", 308),
        ("/upstream/nope/x", 404),
        ("/upstream/m1/x.js", 409),
        ("/comfyui", 308),
        ("/comfyui/x", 404),
    ],
)
async def test_an_answer_of_ours_waits_for_the_whole_request(path, status, body, autojump_clock):
    """Left unread, a body would end the connection, and take with it what is not read yet."""
    async with open_house(settings=settings("m1")) as house:
        caller = house.call()
        await caller.send(path, body, method="POST")
        reply = await caller.reply()
        assert (reply.status, reply.complete) == (status, True)
        await caller.send("/health")
        assert (await caller.reply()).body == b"OK"


# With a slash at the end


@pytest.mark.parametrize(
    ("method", "path", "status", "place"),
    [
        pytest.param("GET", "/upstream/m1", 301, "/upstream/m1/", id="P9-P13-R286"),
        pytest.param("HEAD", "/upstream/m1?a=%20b", 301, "/upstream/m1/?a=%20b", id="P9-query"),
        pytest.param("PUT", "/upstream/m1?x", 308, "/upstream/m1/?x", id="P9-another-method"),
        pytest.param("GET", "/upstream/nick", 301, "/upstream/nick/", id="P9-alias"),
        pytest.param(
            "GET", "/upstream/author%2Fmodel", 301, "/upstream/author/model/", id="P9-slash"
        ),
        pytest.param("GET", "/upstream/p/x", 301, "/upstream/p/x/", id="P9-peer"),
        pytest.param(
            "GET", "/upstream/%C3%A9%0d%0a%3F", 301, "/upstream/%C3%A9%0D%0A%3F/", id="P9-ours"
        ),
        pytest.param("GET", "/comfyui?token=value", 301, "/comfyui/?token=value", id="P27-R288"),
        pytest.param("HEAD", "/comfyui?token=value", 301, "/comfyui/?token=value", id="P27-HEAD"),
        pytest.param("POST", "/comfyui?token=value", 308, "/comfyui/?token=value", id="P27-POST"),
    ],
)
async def test_a_page_is_sent_to_where_its_links_work(method, path, status, place, autojump_clock):
    """P9, P13, P27: the query goes along; what would be more than a name is escaped, all of it."""
    m1 = attrs.evolve(stories.model("m1"), aliases=("nick", "\u00e9\r\n?"))
    models = stories.settings([m1, "author/model"])
    async with open_house(settings=attrs.evolve(settings(), models=models.models)) as house:
        reply = await ask(house, method, path)
        assert (reply.status, reply.headers["location"], reply.body) == (status, place, b"")
        assert (house.loads(), house.upstream.asked) == ("", [])


# What loads nothing


async def test_what_is_to_be_ignored_loads_nothing(autojump_clock):
    """P14, P15: a browser's tab that is still open must not bring its model back."""
    async with open_house(settings=settings("m1", "m2")) as house:
        refused = await house.get("/upstream/m1/foo.js")
        assert (refused.status, refused.code) == (409, "conflict")
        why = "model m1 is not loaded; path matches upstream.ignorePaths"
        assert refused.json()["error"]["message"] == why
        assert house.loads() == ""
        await load(house, "m1")
        assert (await house.get("/upstream/m1/foo.js")).status == 200
        await load(house, "m2")
        assert (await house.get("/upstream/m1/foo.js")).status == 409
        assert house.loads() == "m1 m2"


async def test_a_model_that_is_being_loaded_is_not_loaded(autojump_clock):
    """P14: as long as it does not answer, neither do its files."""
    async with open_house(settings=settings("m1")) as house, trio.open_nursery() as nursery:
        nursery.start_soon(load, house, "m1")
        await wait_all_tasks_blocked()
        assert (await house.get("/upstream/m1/foo.js")).status == 409


async def test_the_path_is_looked_at_as_it_reads(autojump_clock):
    """P14: escaped or not it is the same file, and a query is no part of it."""
    async with open_house(settings=settings("m1")) as house:
        assert (await house.get("/upstream/m1/foo%2Ejs?x=1")).status == 409
        assert (await house.get("/upstream/m1/foo?x=1.js")).status == 200


async def test_a_peers_files_are_never_ignored(autojump_clock):
    """P17: what is loaded there is its own business."""
    async with open_house(settings=settings()) as house:
        reply = await house.get("/upstream/p/x/foo.js")
        assert (reply.status, reply.json()["target"]) == (200, "/foo.js")
        assert house.upstream.asked[0].origin.host == "10.0.0.9"


@pytest.mark.parametrize(
    ("path", "ignored"),
    [
        pytest.param("/foo.js", True, id="P18-js"),
        pytest.param("/bar/baz.json", True, id="P18-json"),
        pytest.param("/static/img.png", True, id="P18-png"),
        pytest.param("/notes.txt", True, id="P18-txt"),
        pytest.param("/favicon.ico", True, id="P18-ico"),
        pytest.param("/v1/chat/completions", False, id="P18-chat"),
        pytest.param("/v1/models", False, id="P18-models"),
        pytest.param("/health", False, id="P18-health"),
    ],
)
def test_files_of_pages_are_ignored_unless_somebody_says_otherwise(path, ignored):
    """P18: as in llama-swap."""
    assert any_of(DEFAULT)(path) is ignored


# ComfyUI


async def test_comfyuis_page_may_load_it(autojump_clock):
    """P28, R289: and nothing else of it, before it is there."""
    async with open_house("comfyui_auto") as house, trio.open_nursery() as nursery:
        prompt = "/comfyui/api/prompt"
        nursery.start_soon(house.get, "/comfyui/?token=value")
        await wait_all_tasks_blocked()
        assert (await house.get(prompt)).status == 409
        await trio.sleep(5)
        assert [asked.target for asked in house.upstream.asked] == ["/?token=value"]
        assert (await ask(house, "POST", prompt, b"{}")).status == 200
        assert house.upstream.asked[-1].target == "/api/prompt"


async def test_the_rest_of_comfyui_loads_nothing(autojump_clock):
    """P29, R289: its pages ask all the time, wanted or not."""
    async with open_house("comfyui_auto") as house:
        for path in ("/comfyui/api/prompt", "/comfyui//", "/comfyui/%2F"):
            reply = await house.get(path)
            assert (reply.status, reply.code) == (409, "conflict")
            why = "model comfyui_auto is not loaded; only /comfyui/ can start it"
            assert reply.json()["error"]["message"] == why
        assert (house.loads(), house.upstream.asked) == ("", [])


@pytest.mark.parametrize(
    "rest",
    [
        pytest.param("/workflows%2Fexample.json?preview=1", id="P30-query"),
        pytest.param("/workflows%252Fexample.json", id="P30-twice"),
        pytest.param("/%E2%9C%93%2Ffile.json", id="P30-utf-8"),
        pytest.param("/api/userdata/workflows%2Fexample.json", id="P30-R290"),
    ],
)
async def test_comfyui_is_asked_to_the_letter(rest, autojump_clock):
    """P30: a file in its folder is another than one in a folder of that name."""
    async with open_house("comfyui_auto") as house:
        await load(house, "comfyui_auto")
        reply = await house.get(f"/comfyui{rest}")
        assert (reply.status, reply.json()["target"]) == (200, rest)


@pytest.mark.parametrize("who", ["nobody", "a-peer", "an-alias"])
async def test_comfyui_is_a_model_of_our_own(who, autojump_clock):
    """P31, R291: of that very id."""
    own = attrs.evolve(stories.model("m1"), aliases=("comfyui_auto",))
    peers = {"q": Peer("q", Origin("http", "10.0.0.9", 80), ("comfyui_auto",))}
    chosen = {
        "nobody": stories.settings(["m1"]),
        "a-peer": attrs.evolve(stories.settings(["m1"]), peers=peers),
        "an-alias": stories.settings([own]),
    }
    async with open_house(settings=chosen[who]) as house:
        for path in ("/comfyui/", "/comfyui/api/prompt"):
            reply = await house.get(path)
            assert (reply.status, reply.code) == (404, "model_not_found")
        assert (house.loads(), house.upstream.asked) == ("", [])


@pytest.mark.parametrize(
    "path", ["/comfyui/", "/comfyui", "/upstream/comfyui_auto/", "/upstream/nope/x"]
)
async def test_r292_all_of_it_is_behind_the_keys(path, autojump_clock):
    """R292: whoever has none does not even learn which models there are."""
    chosen = attrs.evolve(settings("comfyui_auto"), api_keys=("sk-a",))
    async with open_house(settings=chosen) as house:
        reply = await ask(house, "GET", path)
        assert (reply.status, reply.code) == (401, "unauthorized")
        assert house.loads() == ""
        expected = {"/comfyui": 301, "/upstream/nope/x": 404}.get(path, 200)
        assert (await ask(house, "GET", path, key="sk-a")).status == expected
