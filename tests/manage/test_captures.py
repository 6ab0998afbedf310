"""Captures over HTTP; how they are found and refused is in tests/rows/test_activity.py."""

from swapd.manage import captures as pages
from swapd.watch.captures import Capture
from tests.records import activity, client_of, recording


async def told(capture: Capture) -> str:
    """Record it, and ask for it."""
    with recording() as recorder:
        recorder.captures.put(42, capture)
        reply = await client_of(pages.blueprint(recorder)).get("/api/captures/42")
        assert reply.content_type == "application/json"
        return str((await reply.get_data()).decode())


async def test_a_capture_is_told_as_llama_swap_does(autojump_clock):
    """Byte by byte, without a line's end."""
    json = {"Content-Type": "application/json"}
    capture = Capture("/v1/chat/completions", json, b'{"model":"m"}', json, b"{}")
    assert await told(capture) == (
        '{"id":42,"req_path":"/v1/chat/completions",'
        '"req_headers":{"Content-Type":"application/json"},"req_body":"eyJtb2RlbCI6Im0ifQ==",'
        '"resp_headers":{"Content-Type":"application/json"},"resp_body":"e30="}'
    )


async def test_parts_that_are_not_kept_are_null(autojump_clock):
    """An empty body is another thing than none."""
    assert await told(Capture("/p", request_body=b"")) == (
        '{"id":42,"req_path":"/p","req_headers":null,"req_body":"",'
        '"resp_headers":null,"resp_body":null}'
    )


async def test_what_was_cut_is_said_to_be(autojump_clock):
    """Else whoever replays it looks for the mistake in the client."""
    cut = Capture("/p", response_body=b"{", truncated=("resp_body",))
    assert (await told(cut)).endswith('"resp_body":"ew==","truncated":["resp_body"]}')


async def test_a_capture_that_has_no_row_yet_cannot_be_asked_for(autojump_clock):
    """Its number is not known to anybody."""
    with recording() as recorder:
        recorder.record(activity(), Capture("/p"))
        client = client_of(pages.blueprint(recorder))
        for number in (0, 1):
            assert (await client.get(f"/api/captures/{number}")).status_code == 404
        await recorder.stats()
        assert (await client.get("/api/captures/1")).status_code == 200
