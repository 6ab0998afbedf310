"""Rows PE1 to PE19 and R190 to R208: models that other servers answer for.

PE17 and R205 have no counterpart: nobody can ask for a second stop of peers alone, and a second
signal to the daemon cuts what is still being served (`tests/test_daemon.py`).
"""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from swapd.config.names import PeerModel
from swapd.config.settings import Settings, Timeouts
from swapd.proxy.outgoing import Outgoing
from tests.config.rows.loading import loaded
from tests.fakes import Asked
from tests.house import open_house

CHAT = "/v1/chat/completions"

STRIX = """
models: {local: M}
peers:
  strix: {proxy: 'http://strix.example:8090', models: [Q3.6-27B-MTP]}
"""

TWO = """
peers:
  peer1: {proxy: 'http://one.example:1111', models: [model-a]}
  peer2: {proxy: 'http://two.example:2222', models: [model-b]}
selectors:
  model-b-today: {strategy: pin, targets: [peer1/model-a]}
"""


def settings(text: str = STRIX) -> Settings:
    """Load a configuration."""
    return loaded(text).settings


def peers(**models: str) -> dict[str, PeerModel]:
    """List all names that lead to peers with these models, which are given as a list in YAML."""
    each = (f"  {own}: {{proxy: 'http://h', models: {of}}}\n" for own, of in models.items())
    names = settings("peers:\n" + "".join(each) if models else "models: {}").names
    found = {name: names.remote(name) for name in (*names.full, *names.bare)}
    return {name: one for name, one in found.items() if one is not None}


@pytest.mark.parametrize(
    ("configured", "names"),
    [
        pytest.param({}, set(), id="PE1-R190"),
        pytest.param(
            {"peer1": "[model-a, model-b]"},
            {"model-a", "model-b", "peer1/model-a", "peer1/model-b"},
            id="PE2-R191",
        ),
        pytest.param(
            {"peer1": "[a, b]", "peer2": "[c, d]"},
            {"a", "b", "c", "d", "peer1/a", "peer1/b", "peer2/c", "peer2/d"},
            id="PE3-R192",
        ),
        pytest.param(
            {"peer1": "[same]", "peer2": "[same]"}, {"peer1/same", "peer2/same"}, id="PE4-R193"
        ),
    ],
)
def test_a_peers_model_has_its_full_name_and_its_own_while_that_is_clear(configured, names):
    """A name that could mean two machines must not mean one by chance."""
    assert set(peers(**configured)) == names


def test_pe5_r194_a_full_name_goes_before_a_model_that_is_called_so():
    """It was written out so that nothing else could be meant."""
    found = peers(p1="[model]", p2="[p1/model]")
    assert found["p1/model"] == PeerModel("p1", "model")
    assert found["p2/p1/model"] == PeerModel("p2", "p1/model")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("strix/Q3.6-27B-MTP", id="PE6-R195"),
        pytest.param("Q3.6-27B-MTP", id="R206"),
    ],
)
async def test_a_peer_is_asked_for_its_model_as_it_calls_it(name, autojump_clock):
    """The rest of the body is none of our business, whatever it looks like."""
    async with open_house(settings=settings()) as house:
        reply = await house.post(CHAT, b'{ "model":"%b", "messages":[] }' % name.encode())
        assert reply.status == 200
        [asked] = house.upstream.asked
        assert asked.body == b'{ "model":"Q3.6-27B-MTP", "messages":[] }'
        assert (asked.target, str(asked.origin)) == (CHAT, "http://strix.example:8090")


async def test_pe7_r196_a_peers_answer_is_passed_on(autojump_clock):
    """And no model of ours is loaded for it, or waited for."""

    async def teapot(asked: Asked) -> None:
        await asked.answer(b"\x00\xffno", status=418, extra=b"X-Odd: 1\r\n")

    async with open_house(settings=settings()) as house:
        house.upstream.handler = teapot
        reply = await house.post(CHAT, {"model": "Q3.6-27B-MTP"})
        assert (reply.status, reply.body, reply.headers["x-odd"]) == (418, b"\x00\xffno", "1")
        assert house.loads() == ""


@pytest.mark.parametrize(
    ("body", "says"),
    [
        pytest.param(b"{}", "no model id could be identified", id="PE8-R197"),
        pytest.param(b'{"model":"strix/nope"}', '"strix/nope" not found', id="PE9-R198"),
    ],
)
async def test_a_request_for_nothing_reaches_no_peer(body, says, autojump_clock):
    """Who pays for a peer pays for nobody's typo."""
    async with open_house(settings=settings()) as house:
        reply = await house.post(CHAT, body)
        assert (reply.status, reply.code) == (404, "model_not_found")
        assert says in reply.json()["error"]["message"]
        assert house.upstream.asked == []


@pytest.mark.parametrize(
    ("key", "sent", "received"),
    [
        pytest.param(
            ", apiKey: secret-api-key",
            {},
            {"authorization": "Bearer secret-api-key", "x-api-key": "secret-api-key"},
            id="PE10-R199-set",
        ),
        pytest.param("", {}, {}, id="PE11-R199-unset"),
        pytest.param("", {"authorization": "Bearer mine", "x-api-key": "mine"}, {}, id="PE11-D21"),
        pytest.param(
            ", apiKey: K",
            {"authorization": "Bearer mine", "x-api-key": "mine"},
            {"authorization": "Bearer K", "x-api-key": "K"},
            id="PE10-D21",
        ),
    ],
)
async def test_a_peer_gets_the_key_that_is_configured_and_no_other(
    key, sent, received, autojump_clock
):
    """The client's opens swapd, which may be somebody else's machine."""
    text = STRIX.replace("]}", f"]{key}}}")
    async with open_house(settings=settings(text)) as house:
        assert (await house.post(CHAT, {"model": "Q3.6-27B-MTP"}, **sent)).status == 200
        [asked] = house.upstream.asked
        got = {name: asked.headers.get(name) for name in ("authorization", "x-api-key")}
        assert {name: value for name, value in got.items() if value} == received


async def test_pe12_r200_a_peer_is_called_by_its_own_name(autojump_clock):
    """It may serve several; and it is not told for whom we ask."""
    async with open_house(settings=settings()) as house:
        await house.post(CHAT, {"model": "Q3.6-27B-MTP"}, x_forwarded_for="10.9.9.9")
        [asked] = house.upstream.asked
        assert asked.headers["host"] == "strix.example:8090"
        assert "x-forwarded-for" not in asked.headers


async def test_pe13_r201_a_peers_stream_is_not_to_be_buffered(autojump_clock):
    """By a proxy in front of us, which would hold tokens back; they come one by one."""
    tell_next = trio.Event()

    async def stream(asked: Asked) -> None:
        await asked.begin_events()
        await asked.chunk(b"data: 1\n\n")
        await tell_next.wait()
        await asked.chunk(b"data: 2\n\n")
        await asked.chunk(b"")

    async with open_house(settings=settings()) as house:
        house.upstream.handler = stream
        caller = house.call()
        await caller.send(CHAT, {"model": "Q3.6-27B-MTP", "stream": True})
        assert dict((await caller.head()).headers)[b"x-accel-buffering"] == b"no"
        assert await caller.piece() == b"data: 1\n\n"
        tell_next.set()
        assert await caller.piece() == b"data: 2\n\n"
        assert await caller.piece() == b""


@pytest.mark.parametrize("code", [pytest.param("shutting_down", id="PE14-R202-ours")])
async def test_nobody_is_sent_to_a_peer_while_we_stop(code, autojump_clock):
    """Ours: 503 as for local models, not 500, with the time to come back."""
    async with open_house(settings=settings()) as house:
        house.engine.stop()
        reply = await house.post(CHAT, {"model": "Q3.6-27B-MTP"})
        assert (reply.status, reply.code) == (503, code)
        assert "shutting down" in reply.json()["error"]["message"]
        assert reply.headers["retry-after"] == "5"
        assert house.upstream.asked == []


@pytest.mark.parametrize(
    ("answers_after", "drain", "stuck"),
    [
        pytest.param(0.25, 0.5, False, id="PE15-R203-ours"),
        pytest.param(1000.0, 0.1, True, id="PE16-R204-ours"),
    ],
)
async def test_a_stop_waits_for_peers_and_not_for_ever(
    answers_after, drain, stuck, autojump_clock
):
    """Ours: it is the clients' connections that are waited for, and cut in the end."""

    async def late(asked: Asked) -> None:
        with trio.move_on_after(answers_after):
            await asked.gone()
            return
        await asked.answer(b"late")

    async with open_house(settings=settings()) as house:
        house.upstream.handler = late
        caller = house.call()
        await caller.send(CHAT, {"model": "Q3.6-27B-MTP"})
        await wait_all_tasks_blocked()
        house.engine.stop()
        await house.front.stop_accepting()
        before = trio.current_time()
        with trio.move_on_after(drain) as draining:
            await house.front.drained()
        assert draining.cancelled_caught == stuck
        assert trio.current_time() - before == pytest.approx(min(drain, answers_after))
        house.front.cut()
        await house.front.drained()
        await wait_all_tasks_blocked()
        [asked] = house.upstream.asked
        assert asked.left.is_set() == stuck
        assert list(house.flights) == []
        if stuck:
            assert await caller.piece() is None
        else:
            assert (await caller.reply()).body == b"late"


@pytest.mark.parametrize("name", [pytest.param("model-b-today", id="PE18-R207-ours")])
async def test_who_is_asked_is_decided_once(name, autojump_clock):
    """Ours: what a selector chose counts, whatever the body said, which then says so, too."""
    async with open_house(settings=settings(TWO)) as house:
        assert (await house.post(CHAT, {"model": name})).status == 200
        [asked] = house.upstream.asked
        assert str(asked.origin) == "http://one.example:1111"
        assert asked.body == b'{"model": "model-a"}'


LIMITS = "{connect: 45, responseHeader: 300, tlsHandshake: 15, expectContinue: 2, idleConn: 120}"


@pytest.mark.parametrize("limits", [pytest.param(LIMITS, id="PE19-R208-ours")])
def test_a_peers_limits_go_with_every_request(limits):
    """Ours: HTTP/2 is not attempted."""
    peer = settings(STRIX.replace("]}", f"], timeouts: {limits}}}")).peers["strix"]
    scope: dict[str, object] = {"method": "GET", "headers": [], "client": None}
    request = Outgoing(scope, b"/", b"", b"").to_peer(peer, through="swapd-1")
    assert request.timeouts == Timeouts(
        connect=45, response_header=300, tls_handshake=15, expect_continue=2, idle_conn=120
    )


@pytest.mark.parametrize(
    ("limits", "bound"), [("{}", 60), ("{responseHeader: 300}", 300)], ids=["default", "longer"]
)
async def test_a_peer_that_says_nothing_is_given_up(limits, bound, autojump_clock):
    """Its connection stands and its machine sleeps; clients should not wait until they give up."""

    async def never(asked: Asked) -> None:
        await asked.gone()

    text = STRIX.replace("]}", f"], timeouts: {limits}}}")
    async with open_house(settings=settings(text)) as house:
        house.upstream.handler = never
        before = trio.current_time()
        reply = await house.post(CHAT, {"model": "Q3.6-27B-MTP"})
        assert trio.current_time() - before == pytest.approx(bound)
        assert (reply.status, reply.code) == (502, "upstream_unreachable")
        assert f"no answer within {bound} s" in reply.json()["error"]["message"]
