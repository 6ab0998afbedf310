"""What a client asks, wherever it says so; the rows are in `tests/rows/test_extraction.py`."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from swapd.config.settings import Filters
from swapd.ids import ModelId
from swapd.proxy.asked import Asked, Kind, read_asked
from swapd.proxy.body import BadUpload, Unusable
from swapd.proxy.spool import SPOOLED, Spliced, Spooled, close, whole
from tests import stories
from tests.fakes import Asked as Arrived
from tests.house import House, open_house

CHAT = "/v1/chat/completions"
JSON = b"application/json"
FORM = b"application/x-www-form-urlencoded"
MULTIPART = b"multipart/form-data; boundary=x"

LIMIT = 8 * 1024 * 1024


def form(*fields: tuple[str, bytes]) -> bytes:
    """Write a multipart form."""
    part = b'--x\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
    return b"".join(part % (name.encode(), value) for name, value in fields) + b"--x--\r\n"


async def read(
    *pieces: bytes,
    declared: bytes | None = None,
    query: bytes = b"",
    method: str = "POST",
    taken: list[bytes] | None = None,
) -> Asked:
    """Read a request that comes in these pieces; those taken are put down in `taken`."""
    coming = list(pieces)
    headers = [] if declared is None else [(b"Content-Type", declared)]

    async def receive() -> dict[str, Any]:
        await trio.lowlevel.checkpoint()
        piece = coming.pop(0)
        if taken is not None:
            taken.append(piece)
        return {"type": "http.request", "body": piece, "more_body": bool(coming)}

    scope = {"method": method, "headers": headers, "query_string": query}
    return await read_asked(scope, receive, LIMIT)


def nameless() -> set[int]:
    """List the files without a name that this process has open; some are pytest's."""
    found = set()
    for number in map(int, os.listdir("/proc/self/fd")):
        with suppress(FileNotFoundError):  # The one that lists them.
            if str(Path(f"/proc/self/fd/{number}").readlink()).endswith("(deleted)"):
                found.add(number)
    return found


@pytest.fixture(autouse=True)
def on_disk() -> Iterator[Callable[[], set[int]]]:
    """List the bodies on disk; no test may leave any."""
    before = nameless()
    yield lambda: nameless() - before
    assert nameless() == before


@pytest.mark.parametrize(
    ("declared", "body", "query", "kind", "model", "stream"),
    [
        (JSON, b'{"model":"a","stream":true}', b"model=q", Kind.JSON, "a", True),
        (b"Application/JSON; charset=utf-8", b'{"model":"a"}', b"", Kind.JSON, "a", False),
        (b"application/vnd.api+json", b'{"model":"a"}', b"", Kind.JSON, "a", False),
        (JSON, b'{"x":1}', b"model=q&stream=true", Kind.JSON, "", False),
        (FORM, b'{"model":"a"}', b"model=q", Kind.JSON, "a", False),
        (None, b' \n{"model":"a"}', b"", Kind.JSON, "a", False),
        (MULTIPART, b'{"model":"a"}', b"", Kind.JSON, "a", False),
        (b"multipart/form-data", b'{"model":"a"}', b"", Kind.JSON, "a", False),
        (b"text/plain", b'{"model":"a"}', b"model=q", Kind.JSON, "a", False),
        (MULTIPART, form(("stream", b"true"), ("model", b"a")), b"", Kind.FORM, "a", True),
        (MULTIPART, form(("model", b"a")), b"model=", Kind.FORM, "a", False),
        (MULTIPART, form(("model", b"a")), b"model=q&stream=true", Kind.FORM, "q", False),
        (b"MULTIPART/Form-Data; boundary=x", form(("model", b"a")), b"", Kind.FORM, "a", False),
        (FORM, b"model=a&stream=true", b"model=q", Kind.URLENCODED, "a", True),
        (FORM, b"model=&x=1", b"model=q", Kind.URLENCODED, "q", False),
        (FORM, b"", b"model=q&stream=true", Kind.URLENCODED, "q", False),
        (b"text/plain", b"model=a&stream=true", b"model=q", Kind.QUERY, "q", False),
        (None, b"model=a", b"", Kind.QUERY, "", False),
        (None, b"", b"model=q&stream=true", Kind.QUERY, "q", True),
        (b"audio/wav", b"RIFF{", b"model=q", Kind.QUERY, "q", False),
    ],
)
async def test_the_model_is_looked_for_where_it_belongs(
    declared, body, query, kind, model, stream
):
    """The rules of the module, each with what comes close to it."""
    asked = await read(body, declared=declared, query=query)
    assert (asked.kind, asked.model, asked.stream) == (kind, model, stream)
    assert (asked.body, asked.query) == (body, query)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_what_asks_for_a_page_has_its_model_in_the_query(method):
    """Whatever its body says, which goes on to the model, and is read so that a leaving shows."""
    body = b'{"model":"a"}'
    asked = await read(body, declared=JSON, query=b"model=q", method=method)
    assert (asked.kind, asked.model, asked.body) == (Kind.QUERY, "q", body)


@pytest.mark.parametrize("declared", [JSON, FORM, MULTIPART, None])
@pytest.mark.parametrize("blank", [b"", b" \r\n", b"\t"])
async def test_an_object_is_recognized_in_the_first_piece_that_says_something(declared, blank):
    """A client may send the white space in a packet of its own."""
    asked = await read(blank, b'{"model"', b':"a"}', declared=declared)
    assert (asked.kind, asked.model) == (Kind.JSON, "a")


@pytest.mark.parametrize(
    ("declared", "body", "content_type"),
    [
        (JSON, b'{"model":"a"}', None),
        (b"application/json; charset=utf-8", b'{"model":"a"}', None),
        (FORM, b'{"model":"a"}', JSON),
        (None, b'{"model":"a"}', JSON),
        (FORM, b"model=a", None),
        (MULTIPART, form(("model", b"a")), None),
    ],
)
async def test_what_is_json_is_called_so_to_the_model(declared, body, content_type):
    """D4: its server would go by what curl declares, and find nothing."""
    assert (await read(body, declared=declared)).content_type == content_type


async def test_a_model_sees_one_content_type(autojump_clock):
    """D4: in the place of the one that was wrong."""
    async with open_house("a") as house:
        await house.post(CHAT, b'{"model":"a"}', content_type=FORM.decode())
        await house.post(CHAT, b'{"model":"a"}', content_type="application/json;x=y")
        sent = [asked.headers["content-type"] for asked in house.upstream.asked]
        assert sent == ["application/json", "application/json;x=y"]


@pytest.mark.parametrize(
    ("declared", "body", "says"),
    [
        (JSON, b"", "not JSON"),
        (JSON, b"model=a", "not JSON"),
        (b"Application/JSON", b"model=a", "not JSON"),
        (JSON, b"[]", "not a list"),
        (None, b'{"model":5}', "not a number"),
        (FORM, b'{"model":"a"', "not JSON"),
        (None, b'\xef\xbb\xbf{"model":"a"}', "byte order mark"),
        (MULTIPART, b"--x\r\n", "never ends"),
        (MULTIPART, form(("model", b"a"))[:-4], "never ends"),
    ],
)
async def test_a_body_that_was_read_and_is_wrong_is_refused(declared, body, says):
    """With a sentence; nothing is on its way any more."""
    with pytest.raises(Unusable, match=says) as unusable:
        await read(body, declared=declared)
    assert unusable.value.refusal.status == 400


@pytest.mark.parametrize(
    ("declared", "first", "says"),
    [
        (b"multipart/form-data", b"--x\r\n", "no boundary"),
        (MULTIPART, form(("model", b"a"), ("model", b"b")), "twice"),
        (MULTIPART, b"--x\r\n\r\nfile", "no Content-Disposition"),
    ],
)
async def test_a_form_that_is_wrong_is_refused_before_it_has_been_sent(declared, first, says):
    """Not after an hour of recording."""
    taken: list[bytes] = []
    with pytest.raises(BadUpload, match=says):
        await read(first, b"x" * 1000, b"y", declared=declared, taken=taken)
    assert taken == [first]


@pytest.mark.parametrize("wrong", [b"x" * 2 * SPOOLED, b'{"model":' + b" " * 2 * SPOOLED])
async def test_a_large_body_that_is_wrong_leaves_nothing_on_disk(wrong):
    """What is refused is not kept."""
    with pytest.raises(Unusable):
        await read(wrong, declared=JSON)


async def test_two_content_types_are_one_too_many():
    """We and the model might each go by another one. Said twice is said once."""
    for second, fine in ((JSON, True), (FORM, False)):
        scope = {
            "method": "POST",
            "headers": [(b"content-type", JSON), (b"Content-Type", second)],
            "query_string": b"",
        }

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b'{"model":"a"}'}

        if fine:
            assert (await read_asked(scope, receive, LIMIT)).model == "a"
        else:
            with pytest.raises(BadUpload, match="twice"):
                await read_asked(scope, receive, LIMIT)


# Changing it


@pytest.mark.parametrize(
    ("declared", "body", "query", "changed"),
    [
        (JSON, b'{ "model" : "a" }', b"model=a", (b'{ "model" : "b c" }', b"model=a")),
        (
            MULTIPART,
            form(("x", b"1"), ("model", b"a")),
            b"model=a&x=1",
            (form(("x", b"1"), ("model", b"b c")), b"model=b+c&x=1"),
        ),
        (MULTIPART, form(("x", b"1")), b"model=a", (form(("x", b"1")), b"model=b+c")),
        (FORM, b"x=1&model=a", b"model=q", (b"x=1&model=b+c", b"model=b+c")),
        (FORM, b"x=1", b"model=a", (b"x=1", b"model=b+c")),
        (b"audio/wav", b"model=a", b"model=a", (b"model=a", b"model=b+c")),
    ],
)
async def test_a_model_is_renamed_wherever_its_server_might_look(declared, body, query, changed):
    """Two places that name different models would be a riddle; no place is added."""
    asked = await read(body, declared=declared, query=query)
    assert await asked.renamed("b c") == changed


async def test_a_large_form_is_renamed_without_being_read_again():
    """The bytes around the name stay on disk."""
    asked = await read(form(("file", b"x" * 2 * SPOOLED), ("model", b"a")), declared=MULTIPART)
    body, _ = await asked.renamed("other")
    assert isinstance(body, Spliced)
    assert body.size == len(form(("file", b"x" * 2 * SPOOLED), ("model", b"other")))
    close(body)


@pytest.mark.parametrize("padding", [b"", b"x" * 2 * SPOOLED])
async def test_a_body_without_changes_stays_what_it_is(padding):
    """A large one stays on disk."""
    asked = await read(b'{"model":"a","x":"%b"}' % padding, declared=JSON)
    for changes in (Filters(), Filters(strip=("y",)), Filters(by_name={"b": {"x": 1}})):
        assert await asked.filtered(changes, name=None, asked="a") is asked.body
    close(asked.body)


async def test_a_large_body_is_changed_like_any_other():
    """It has to be in memory for that, and only while it is sent."""
    asked = await read(b'{"x":"%b","model":"a"}' % (b"x" * 2 * SPOOLED), declared=JSON)
    assert isinstance(asked.body, Spooled)
    changed = await asked.filtered(Filters(strip=("x",)), name="b")
    close(asked.body)
    assert changed == b'{"model":"b"}'


async def test_a_body_that_is_too_much_work_is_the_clients_mistake():
    """Not a 500."""
    asked = await read(b'{"model":"a"' + b',"":0' * 50_000 + b"}", declared=JSON)
    with pytest.raises(Unusable, match="more than 20000 values"):
        await asked.filtered(Filters(strip=("x",)), name=None)


# Through the whole house

UPLOAD = form(("file", bytes(range(256)) * 12_000), ("model", b"a"))
TRANSCRIBE = "/v1/audio/transcriptions"


def renaming() -> Any:
    """Configure a model whose server calls itself otherwise."""
    model = attrs.evolve(stories.model("a"), use_model_name="whisper-large")
    return stories.settings([model, stories.model("b")])


async def upload(house: House) -> Any:
    """Send a large form, and wait until it stands in the queue."""
    caller = house.call()
    await caller.send(TRANSCRIBE, UPLOAD, headers={"Content-Type": MULTIPART.decode()})
    while not any(flight.model == "a" for flight in house.flights):
        await trio.lowlevel.checkpoint()
    return caller


async def busy(asked: Arrived) -> None:
    await asked.gone()


async def test_a_large_upload_with_the_model_behind_it_arrives_with_every_byte(autojump_clock):
    """A client that puts its fields behind the file is no worse than others."""
    async with open_house(settings=renaming(), max_body=LIMIT) as house:
        house.upstream.handler = Arrived.answer
        assert (await (await upload(house)).reply()).status == 200
        (arrived,) = house.upstream.asked
        head = UPLOAD.removesuffix(b"a\r\n--x--\r\n")
        assert arrived.body == head + b"whisper-large\r\n--x--\r\n"
        assert arrived.headers["content-length"] == str(len(arrived.body))
        assert arrived.headers["content-type"] == MULTIPART.decode()


@pytest.mark.parametrize("end", ["cancel", "leave", "unload", "stop"])
async def test_an_upload_that_ends_in_the_queue_leaves_no_open_file(end, on_disk, autojump_clock):
    """Each may be gigabytes, and the disk is the models' too."""
    async with open_house(settings=renaming(), max_body=LIMIT) as house:
        house.upstream.handler = busy
        await house.call().send(CHAT, {"model": "b"})
        await wait_all_tasks_blocked()
        caller = await upload(house)
        assert len(on_disk()) == 1
        (flight,) = [flight for flight in house.flights if flight.model == "a"]
        match end:
            case "cancel":
                await house.get(f"/api/inflight/{flight.id}/cancel", method="POST")
                assert (await caller.reply()).code == "cancelled"
            case "leave":
                await caller.leave()
                await wait_all_tasks_blocked()
            case "unload":
                await house.engine.unload([ModelId("a")])
                assert (await caller.reply()).code == "model_unloaded"
            case _:
                house.engine.stop()
                assert (await caller.reply()).code == "shutting_down"
        assert not on_disk()


async def test_an_upload_that_its_model_dies_of_leaves_no_open_file(on_disk, autojump_clock):
    """Its last reader is the exchange, and that has failed."""

    async def die(asked: Arrived) -> None:
        await trio.aclose_forcefully(asked.stream)

    async with open_house(settings=renaming(), max_body=LIMIT) as house:
        house.upstream.handler = die
        assert (await (await upload(house)).reply()).code == "upstream_unreachable"
        assert not on_disk()


async def test_the_whole_of_a_body_is_had_from_memory_or_disk():
    """Whoever must have it does not ask where it is."""
    for size in (10, 2 * SPOOLED):
        asked = await read(b'{"model":"%b"}' % (b"a" * size), declared=JSON)
        assert len(await whole(asked.body)) == size + len('{"model":""}')
        close(asked.body)


async def test_a_urlencoded_form_of_megabytes_is_refused():
    """Nobody means one, and looking through it takes seconds in which nobody else is served."""
    with pytest.raises(Unusable, match="too long"):
        await read(b"model=a&" + b"&" * SPOOLED, declared=FORM)


async def test_what_is_made_of_a_large_body_is_on_disk_again():
    """Else a queue of changed requests would be in memory, all of it."""
    body = b'{"model":"a","y":"%b"}' % (b"y" * 2 * SPOOLED)
    asked = await read(body, declared=JSON)
    changed, _ = await asked.renamed("b")
    assert isinstance(changed, Spooled)
    assert await whole(changed) == body.replace(b'"a"', b'"b"')
    assert isinstance(asked.body, Spooled)
    with pytest.raises(AssertionError, match="closed"):
        await asked.body.piece(0)
    close(changed)
