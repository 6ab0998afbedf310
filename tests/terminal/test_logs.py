"""`swapd logs`: bytes as they are, and an end where nothing more comes."""

import pytest

from swapd.terminal import logs
from swapd.terminal.client import Client
from swapd.terminal.commands import main
from swapd.terminal.logs import pass_on
from swapd.terminal.where import Where
from tests.terminal.conftest import TEXT, saying

RAW = b"\x1b[31mred\x1b[0m \xff\r\nno end"


def exit_code(*argv: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(argv)
    assert isinstance(left.value.code, int)
    return left.value.code


@pytest.mark.real
def test_a_log_is_passed_on_byte_for_byte(server, capsysbinary):
    """Colours and broken letters are the model's own business."""
    server.says("GET /logs", RAW, kind=TEXT)
    assert exit_code("logs") == 0
    assert capsysbinary.readouterr() == (RAW, b"")


@pytest.mark.real
@pytest.mark.parametrize(
    ("argv", "path"),
    [
        (("-f",), "/logs/stream"),
        (("-f", "proxy"), "/logs/stream/proxy"),
        (("--follow", "x/a b"), "/logs/stream/x/a%20b"),
        (("upstream",), "/logs/stream/upstream"),
    ],
)
def test_a_log_has_its_stream(argv, path, server, capsysbinary):
    """A stream that ends, as the daemon has stopped, is done."""
    server.says("GET /logs", b"", kind=TEXT)
    server.says(f"GET {path}", RAW, kind=TEXT)
    assert exit_code("logs", *argv) == 0
    assert capsysbinary.readouterr() == (RAW, b"")


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.real
@pytest.mark.parametrize(
    ("said", "shown"), [(HEAD + b"3\r\nabc\r\n", b"abc"), (HEAD, b""), (b"", b"")]
)
def test_without_following_a_pause_is_the_end(said, shown, capsysbinary):
    """One model's history comes as the beginning of a stream only; that of an empty log has not
    even a head.
    """
    with saying(said, hang=True) as url:
        pass_on(Client(Where.parse(url)), "/logs/stream/a", patience=0.1, most=100)
    assert capsysbinary.readouterr().out == shown


@pytest.mark.real
def test_a_model_that_never_pauses_is_no_endless_history(server, capsysbinary, monkeypatch):
    """It is asked for what was, not for what will be."""
    monkeypatch.setattr(logs, "ENOUGH", 100)
    server.says("GET /logs", b"", kind=TEXT)
    server.says("GET /logs/stream/a", b"x" * 10_000_000, kind=TEXT)
    assert exit_code("logs", "a") == 0
    assert len(capsysbinary.readouterr().out) < 200_000


@pytest.mark.real
def test_what_is_no_log_is_not_printed(server, capsys):
    """A web server's page is no log."""
    server.says("GET /logs", "<h1>hello</h1>", kind="text/html")
    server.says("GET /logs/stream", "{}")
    assert (exit_code("logs"), exit_code("logs", "-f")) == (4, 4)
    assert capsys.readouterr().out == ""


@pytest.mark.real
def test_a_log_of_nobody_is_refused(server, capsys):
    """In the daemon's words, which say what there is."""
    no = '{"src":"swapd","error":{"message":"invalid logger"}}'
    server.says("GET /logs", b"", kind=TEXT)
    server.says("GET /logs/stream/x", no, 400)
    assert (exit_code("logs", "-f", "x"), exit_code("logs", "x")) == (1, 1)
    assert capsys.readouterr() == ("", "swapd: invalid logger\n" * 2)
