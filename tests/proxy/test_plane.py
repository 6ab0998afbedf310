"""Which way a request goes; what the rows of profiles, selectors and peers do not show."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from swapd.config.load import Loaded
from tests.config.rows.loading import loaded
from tests.fakes import Asked, echo
from tests.house import Caller, House, open_house

CHAT = "/v1/chat/completions"

WORLD = """
models:
  a: {M, filters: {setParamsByID: {variant: {thinking: true}}}}
  b: M
  page: {M, compat: {ignoreWebsockets: true}}
groups:
  together: {swap: false, members: [b, page]}
peers:
  strix:
    proxy: 'http://strix.example:8090'
    apiKey: sk-strix
    models: [x, y]
    filters: {stripParams: seed, setParamsByID: {strix/x: {effort: high}, x: {effort: low}}}
selectors:
  public: {strategy: pin, targets: [variant]}
  pages: {strategy: spillover, targets: [page, b]}
  far: {strategy: spillover, targets: [strix/x, strix/y]}
profiles:
  coding: {pins: {llm: public, disabled: null, y: b, variant: b}}
"""

SETTINGS = loaded(WORLD).settings

FORM = (
    b'--e\r\nContent-Disposition: form-data; name="%b"\r\n\r\n'
    b"%b\r\n"
    b"--e\r\nContent-Type: audio/wav\r\n"
    b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n\x00\r\n--e--\r\n'
)
MULTIPART = {"content_type": "multipart/form-data; boundary=e"}
URLENCODED = {"content_type": "application/x-www-form-urlencoded"}


async def switch_on(house: House) -> None:
    """Switch the profile on."""
    caller = house.call()
    await caller.send("/api/profiles/active", {"name": "coding"}, method="PUT")
    assert (await caller.reply()).status == 200
    await caller.leave()


async def stream(asked: Asked) -> None:
    """Begin a stream that has no end."""
    await asked.begin_events()
    await asked.chunk(b"data: 1\n\n")
    await asked.gone()


async def streaming(house: House, model: str) -> Caller:
    """Answer with a caller in the middle of a stream."""
    house.upstream.handler = stream
    caller = house.call()
    await caller.send(CHAT, {"model": model})
    assert (await caller.head()).status_code == 200
    return caller


async def talk(asked: Asked) -> None:
    """Take up the protocol that is asked for, and say back what is said."""
    await asked.send(b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
    while data := await asked.stream.receive_some():
        await asked.send(bytes(data))


async def websocket(house: House, model: str) -> tuple[Caller, bytes]:
    """Ask for a websocket; answer with the caller, and the first line of what it got."""
    caller = house.call()
    await caller.raw(
        b"GET /props?model=%b HTTP/1.1\r\nHost: swapd\r\n"
        b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n" % model.encode()
    )
    return caller, bytes(await caller.stream.receive_some()).partition(b"\r\n")[0]


# 1. No model


@pytest.mark.parametrize(
    ("path", "body", "headers", "says"),
    [
        (CHAT, b'{"x":1}', {}, '"model" is missing in the JSON object'),
        ("/v1/audio/transcriptions", FORM % (b"mode", b"a"), MULTIPART, 'has no field "model"'),
        (CHAT, b"x=1", URLENCODED, 'neither the form nor the query has "model"'),
        (CHAT, b"hello", {}, 'nor does the query have "model"'),
        (CHAT, b"", {}, 'nor does the query have "model"'),
    ],
    ids=["json", "multipart", "urlencoded", "text", "nothing"],
)
async def test_who_names_no_model_is_told_where_one_would_stand(
    path, body, headers, says, autojump_clock
):
    """Mostly the body is of another kind than its client thinks."""
    async with open_house(settings=SETTINGS) as house:
        reply = await house.post(path, body, **headers)
        assert (reply.status, reply.code) == (404, "model_not_found")
        assert says in reply.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "body"), [(CHAT, b'{"model":"disabled"}'), ("/props?model=disabled", None)]
)
async def test_a_name_that_the_profile_turns_off_is_refused(path, body, autojump_clock):
    """With the reason, for whoever does not know that a profile is on."""
    async with open_house(settings=SETTINGS) as house:
        await switch_on(house)
        reply = await (house.get(path) if body is None else house.post(path, body))
        assert (reply.status, reply.code) == (404, "model_not_found")
        says = 'no model id could be identified: the active profile turns "disabled" off'
        assert reply.json()["error"]["message"] == says
        assert house.loads() == ""


# 2. Another name


@pytest.mark.parametrize(
    ("path", "body", "headers", "target", "received"),
    [
        (CHAT, b'{"model":"llm"}', {}, CHAT, b'{"model":"variant","thinking":true}'),
        (
            "/v1/audio/transcriptions?model=llm",
            FORM % (b"model", b"b"),
            MULTIPART,
            "/v1/audio/transcriptions?model=variant",
            FORM % (b"model", b"variant"),
        ),
        (CHAT, b"x=%31&model=llm", URLENCODED, CHAT, b"x=%31&model=variant"),
        ("/props?model=llm&x=%31", None, {}, "/props?model=variant&x=%31", b""),
    ],
    ids=["json", "multipart", "urlencoded", "query"],
)
async def test_profile_and_selector_put_their_name_wherever_the_model_stands(
    path, body, headers, target, received, autojump_clock
):
    """First the one, then the other; a server that looks there itself must find what was meant."""
    async with open_house(settings=SETTINGS) as house:
        await switch_on(house)
        reply = await (house.get(path) if body is None else house.post(path, body, **headers))
        assert reply.status == 200
        [asked] = house.upstream.asked
        assert (asked.target, asked.body) == (target, received)
        assert house.loads() == "a"


@pytest.mark.parametrize(
    ("name", "loads"), [("variant", "b"), ("public", "a"), ("y", "b"), ("strix/y", "")]
)
async def test_what_a_selector_chooses_is_not_replaced_again(name, loads, autojump_clock):
    """A profile speaks of names that clients use: `variant` by itself, not behind `public`."""
    async with open_house(settings=SETTINGS) as house:
        await switch_on(house)
        assert (await house.post(CHAT, {"model": name})).status == 200
        assert house.loads() == loads


async def test_a_target_is_in_use_until_the_last_byte(autojump_clock):
    """A stream of minutes is what another machine is for; and who leaves makes room."""
    async with open_house(settings=SETTINGS) as house:
        first = await streaming(house, "far")
        second = await streaming(house, "far")
        await first.leave()
        await wait_all_tasks_blocked()
        third = await streaming(house, "far")
        bodies = [asked.body for asked in house.upstream.asked]
        assert [b'"x"' in body for body in bodies] == [True, False, True]
        await second.leave()
        await third.leave()


async def test_a_websocket_that_does_not_count_uses_no_target(autojump_clock):
    """An open page is not at work: the next request has room beside it."""
    async with open_house(settings=SETTINGS) as house:
        assert (await house.post(CHAT, {"model": "page"})).status == 200
        house.upstream.handler = talk
        caller, line = await websocket(house, "pages")
        assert line.startswith(b"HTTP/1.1 101 ")
        house.upstream.handler = echo
        assert (await house.post(CHAT, {"model": "pages"})).status == 200
        assert house.loads() == "page"
        await caller.leave()


async def test_a_request_that_comes_to_nothing_uses_no_target(autojump_clock):
    """Else every failure would drive the others to the next machine for ever."""
    async with open_house(settings=SETTINGS) as house:
        house.upstream.reachable = False
        reply = await house.post(CHAT, {"model": "far"})
        assert (reply.status, reply.code) == (502, "upstream_unreachable")
        assert reply.json()["error"]["message"].startswith("strix/x did not answer: ")
        house.upstream.reachable = True
        assert (await house.post(CHAT, {"model": "far"})).status == 200
        assert b'"x"' in house.upstream.asked[0].body


@pytest.mark.parametrize(("name", "status"), [("x", 404), ("a", 404), ("new", 200), ("b", 200)])
async def test_names_mean_what_they_mean_when_the_body_is_there(name, status, autojump_clock):
    """A reload during an upload of minutes: what it removed is gone, what it added is there."""
    after = loaded("models: {b: {M, aliases: [new]}}").settings

    async def read(before: Loaded) -> Loaded:
        return Loaded(after)

    async with open_house(settings=SETTINGS, read=read) as house:
        body = b'{"model":"%b"}' % name.encode()
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
        caller = house.call()
        await caller.raw(head % len(body) + body[:5])
        await wait_all_tasks_blocked()
        assert (await house.get("/api/config/reload", method="POST")).status == 200
        await caller.raw(body[5:])
        answer = bytes(await caller.stream.receive_some())
        assert answer.startswith(b"HTTP/1.1 %d " % status)


# 3. Local models


async def test_a_websocket_loads_its_model_and_holds_it(autojump_clock):
    """It is a request like any other, as long as it lasts."""
    async with open_house(settings=SETTINGS) as house:
        house.upstream.handler = talk
        caller, line = await websocket(house, "a")
        assert line.startswith(b"HTTP/1.1 101 ")
        await caller.raw(b"\x81\x02hi")
        assert await caller.stream.receive_some() == b"\x81\x02hi"
        house.nursery.start_soon(house.post, CHAT, {"model": "b"})
        await trio.sleep(60)
        assert house.loads() == "a"
        await caller.leave()
        await trio.sleep(60)
        assert house.loads() == "a b"


async def test_a_websocket_that_does_not_count_loads_nothing(autojump_clock):
    """A page that somebody left open must not bring its model back, nor keep it."""
    async with open_house(settings=SETTINGS) as house:
        house.upstream.handler = talk
        _, line = await websocket(house, "page")
        assert line.startswith(b"HTTP/1.1 409 ")
        assert house.loads() == ""

        busy = await streaming(house, "page")
        house.upstream.handler = talk
        caller, line = await websocket(house, "page")
        assert line.startswith(b"HTTP/1.1 101 ")
        await busy.leave()
        house.nursery.start_soon(house.post, CHAT, {"model": "b"})
        await trio.sleep(60)
        assert house.loads() == "page b"
        await caller.leave()


# 4. Peers' models


async def test_a_peers_model_waits_for_nobody(autojump_clock):
    """Its machine is not ours, however long the queue here may be."""
    async with open_house(settings=SETTINGS) as house:
        busy = await streaming(house, "a")
        house.nursery.start_soon(house.post, CHAT, {"model": "b"})
        await wait_all_tasks_blocked()
        before = trio.current_time()
        far = await streaming(house, "x")
        assert trio.current_time() == before
        assert [flight.model for flight in house.flights] == ["a", "b", "strix/x"]
        await far.leave()
        await busy.leave()


@pytest.mark.parametrize(("name", "effort"), [("strix/x", "high"), ("x", "low"), ("far", "high")])
async def test_a_peers_filters_go_by_the_name_that_it_is_asked_by(name, effort, autojump_clock):
    """As a local model's do; behind a selector that is the target."""
    async with open_house(settings=SETTINGS) as house:
        body = b'{"model":"%b","seed":1,"n":2}' % name.encode()
        assert (await house.post(CHAT, body)).status == 200
        [asked] = house.upstream.asked
        assert asked.body == b'{"model":"x","n":2,"effort":"%b"}' % effort.encode()


async def test_a_websocket_to_a_peer_is_passed_on(autojump_clock):
    """With the peer's name and key, like every request to it."""
    async with open_house(settings=SETTINGS) as house:
        house.upstream.handler = talk
        caller, line = await websocket(house, "strix/y")
        assert line.startswith(b"HTTP/1.1 101 ")
        [asked] = house.upstream.asked
        assert asked.target == "/props?model=y"
        wanted = {"host": "strix.example:8090", "authorization": "Bearer sk-strix"}
        assert wanted.items() <= asked.headers.items()
        await caller.raw(b"\x81\x02hi")
        assert await caller.stream.receive_some() == b"\x81\x02hi"
        await caller.leave()
