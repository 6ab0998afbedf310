"""Server-sent events of our own, as clients read them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapd.envelope import Reader
from swapd.proxy.events import PING, comment, of_answer, reasoning

OPENAI = Reader()
ANTHROPIC = Reader(anthropic=True)


def read(stream: bytes) -> list[tuple[str, str]]:
    """Read a stream as the standard has it: the kind and the data of every event."""
    found = []
    kind, data = "message", list[str]()
    for line in stream.decode().replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            kind = value
        elif name == "data":
            data.append(value)
        elif not line:
            if data:
                found.append((kind, "\n".join(data)))
            kind, data = "message", []
    return found


@pytest.mark.parametrize("stream", [comment("1 s: a is loading"), of_answer(204, b"", OPENAI)])
def test_a_sign_of_life_is_no_event(stream):
    """Rule 1: some clients parse the data of every event, whatever it is called."""
    assert read(stream) == []


def test_a_ping_is_one_that_anthropics_clients_pass_over():
    """Their own server sends the same."""
    ((kind, data),) = read(PING)
    assert (kind, json.loads(data)) == ("ping", {"type": "ping"})


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_can_be_shown_as_thinking(text):
    """A quotation mark or a line break in it must not end the event."""
    ((kind, data),) = read(reasoning(text))
    assert kind == "message"
    assert json.loads(data) == {"choices": [{"delta": {"reasoning_content": text}}]}


@pytest.mark.parametrize(
    ("body", "data"),
    [
        (b'{"x":1}', '{"x":1}'),
        (b'{\n "x": 1\n}\n', '{\n "x": 1\n}\n'),
        (b"a\r\nb\rc", "a\nb\nc"),
        (b"a\n\nb", "a\n\nb"),
        (b": x\nevent: error", ": x\nevent: error"),
        (b'{"x":"\xc3\xa9"}', '{"x":"\u00e9"}'),
    ],
)
def test_an_answer_keeps_its_lines(body, data):
    """An empty line in it would end the event, and a line of any name would be another field."""
    assert read(of_answer(200, body, OPENAI)) == [("message", data)]
    assert read(of_answer(299, body, ANTHROPIC)) == [("message", data)]


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (400, b"too long", "too long"),
        (400, b"two\nlines", "two\nlines"),
        (400, b'"too long"', "too long"),
        (400, b'{"error":"too long"}', '{"error": "too long"}'),
        (400, b'{"detail":[{"loc":"x"}]}', '{"detail": [{"loc": "x"}]}'),
        (400, b"[1]", "[1]"),
        (500, b"", "the model answered with status 500 and nothing else"),
        (302, b"", "the model answered with status 302 and nothing else"),
        (500, b"\xff", "\ufffd"),
        (500, b'{"error":{"message"', '{"error":{"message"'),
        (500, b"[" * 50_000, "[" * 50_000),
    ],
)
@pytest.mark.parametrize("reader", [OPENAI, ANTHROPIC], ids=["openai", "anthropic"])
def test_an_error_of_any_shape_becomes_one_that_clients_know(reader, status, body, message):
    """Rule 2: their libraries look for an object called "error", and some for its message."""
    ((kind, data),) = read(of_answer(status, body, reader))
    error = {"message": message, "type": "api_error", "code": status}
    if reader.anthropic:
        assert (kind, json.loads(data)) == ("error", {"type": "error", "error": error})
    else:
        assert (kind, json.loads(data)) == ("message", {"error": error})


@pytest.mark.parametrize("reader", [OPENAI, ANTHROPIC], ids=["openai", "anthropic"])
def test_an_error_that_clients_know_is_passed_on_as_it_is(reader):
    """With all that the model's server has put beside its message."""
    error = {"error": {"code": 400, "n_prompt_tokens": 9000}, "request_id": "x"}
    ((kind, data),) = read(of_answer(400, json.dumps(error, indent=1).encode(), reader))
    assert (kind == "error") == reader.anthropic
    assert json.loads(data) == error
