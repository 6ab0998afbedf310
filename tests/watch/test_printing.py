"""What standard output looks like: as text, with priorities, and as JSON."""

import json
import random
from typing import Any

import pytest

from swapd.ids import ModelId
from swapd.watch.printing import Entry, Form, Message, Output, Printer

A, B = ModelId("a"), ModelId("b")

AT = 1136239445.678

BROKE = Message(AT, "error", "it broke", ("    Traceback", "    Boom"), b"[ERROR] it broke\n...\n")


def said(text: str, level: str = "info", **fields: Any) -> Message:
    """Make a message."""
    return Message(AT, level, text, (), f"[{level.upper()}] {text}\n".encode(), fields)


def objects(data: bytes) -> list[dict[str, Any]]:
    """Read lines of JSON, each of them whole and strictly JSON."""

    def no(word: str) -> None:
        raise AssertionError(word)

    assert data == b"" or data.endswith(b"\n")
    return [json.loads(line, parse_constant=no) for line in data.decode().split("\n")[:-1]]


def test_text_is_what_the_logs_have():
    """Not a byte more or less, and a model's as it wrote them."""
    printer = Printer(Form.TEXT)
    entries: list[Entry] = [
        said("one"),
        Output(AT, A, b"ra\xffw\x1b[1m"),
        BROKE,
        Output(AT, A, b""),
    ]
    assert printer.write(entries) == b"[INFO] one\nra\xffw\x1b[1m[ERROR] it broke\n...\n"
    assert printer.gap(AT, 7) == "\n— 7 bytes dropped —\n".encode()
    assert printer.rest(AT) == b""


@pytest.mark.parametrize(
    ("level", "number"), [("error", 3), ("warn", 4), ("info", 6), ("debug", 7)]
)
def test_every_line_has_its_priority(level, number):
    """journalctl -p shows what it should; the time is the service manager's."""
    assert Printer(Form.PRIORITY).write([said("x", level)]) == f"<{number}>x\n".encode()


def test_further_lines_have_the_priority_of_the_first():
    """A traceback is not half an error and half information."""
    assert Printer(Form.PRIORITY).write([BROKE]) == (
        b"<3>it broke\n<3>    Traceback\n<3>    Boom\n"
    )


def test_lines_of_models_are_put_together_and_named():
    """Two models that write at once do not write into each other's lines, nor forge a priority."""
    printer = Printer(Form.PRIORITY)
    pieces = [
        *(Output(AT, A, b"load"), Output(AT, B, b"other\n<0>forged\n")),
        *(Output(AT, A, b"ing\nhalf"), Output(AT, A, b"")),
    ]
    assert printer.write(pieces) == b"<6>b: other\n<6>b: <0>forged\n<6>a: loading\n<6>a: half\n"
    assert list(printer._assemblies) == [B]


def test_json_is_an_object_a_line():
    """With the time in UTC, who speaks, and what else is known."""
    printer = Printer(Form.JSON)
    entries: list[Entry] = [said("one", model="a", ms=1.5), BROKE, Output(AT, A, b"two\n")]
    at, text = "2006-01-02T22:04:05.678Z", "it broke\n    Traceback\n    Boom"
    assert objects(printer.write(entries)) == [
        {"at": at, "level": "info", "source": "swapd", "text": "one", "model": "a", "ms": 1.5},
        {"at": at, "level": "error", "source": "swapd", "text": text},
        {"at": at, "level": "info", "source": "a", "text": "two"},
    ]


@pytest.mark.parametrize(
    ("fields", "more"),
    [
        ({"text": "forged", "level": "debug"}, {}),
        ({"odd": "\ud800\n"}, {"odd": "?\n"}),
        ({"odd": ModelId}, {"odd": str(ModelId)}),
        ({"odd": float("nan")}, {"fields": "{'odd': nan}"}),
        ({"odd": {(1, 2): 3}}, {"fields": "{'odd': {(1, 2): 3}}"}),
    ],
)
def test_fields_never_make_a_line_invalid(fields, more):
    """A program reads this; one bad line and it reads nothing more."""
    [found] = objects(Printer(Form.JSON).write([said("x")]))
    message = Message(AT, "info", "x", (), b"", fields)
    assert objects(Printer(Form.JSON).write([message])) == [{**found, **more}]


def test_whatever_bytes_a_model_writes_json_stays_json():
    """Invalid UTF-8, half characters, control characters and quotes, in pieces of any size."""
    dice = random.Random(6)
    printer = Printer(Form.JSON)
    data = b""
    for _ in range(300):
        piece = dice.randbytes(dice.randrange(1, 400)) + dice.choice((b"", b"\n", b'\\"\r'))
        data += printer.write([Output(AT, A, piece)])
    data += printer.rest(AT)
    assert len(objects(data)) > 100
    assert all(one["text"].isprintable() or "\t" in one["text"] for one in objects(data))


@pytest.mark.parametrize("form", [Form.PRIORITY, Form.JSON])
def test_a_gap_is_a_line_of_its_own(form):
    """Behind what was not finished: it will never be."""
    printer = Printer(form)
    assert printer.write([Output(AT, A, b"half")]) == b""
    first, second = printer.gap(AT, 7).splitlines()
    assert b"half" in first
    assert b"7 bytes dropped" in second
    assert b"warn" in second or second.startswith(b"<4>")
    assert printer.rest(AT) == b""
