"""Asking over real sockets: answers, and everything that may come instead of one."""

import socket
import threading

import pytest

from swapd.terminal import client as room
from swapd.terminal.client import Client, quoted
from swapd.terminal.endings import CannotTell, NobodyThere, Refused
from swapd.terminal.where import Where
from tests.terminal.conftest import saying

NO = b'{"src":"swapd","error":{"message":"no such model","code":"model_not_found"}}'


def ask(url: str, path: str = "/", **how: object) -> room.Answer:
    return Client(Where.parse(url)).ask(path, **how)  # type: ignore[arg-type]


def test_a_name_is_the_rest_of_a_path():
    """Ids may hold slashes, and anything else; what is no text of this locale is its bytes."""
    assert quoted("a/b c?d#e%") == "a/b%20c%3Fd%23e%25"
    assert quoted("/x//y") == "/x//y"
    assert quoted("模\udcff") == "%E6%A8%A1%FF"


@pytest.mark.real
def test_an_answer_is_what_was_said(server):
    """With the key where the daemon looks for it, and on a connection that is closed."""
    server.says("GET /llm/api/queue", "{}", 202)
    answer = Client(Where.parse(server.url + "/llm/"), "sk-1").ask("/api/queue")
    assert answer == (202, "application/json", b"{}")
    [asked] = server.asked
    assert asked.headers["authorization"] == "Bearer sk-1"
    assert asked.headers["accept"] == "application/json"
    assert asked.headers["connection"] == "close"


@pytest.mark.real
def test_a_refusal_is_the_daemons_words(server):
    """With what the model wrote last, where that is why."""
    body = (
        '{"src":"swapd","error":{"message":"cannot load a","code":"load_failed",'
        '"cause":{"text":"x","last_lines":["no CUDA","bye"]}}}'
    )
    server.says("GET /", body, 502)
    with pytest.raises(Refused, match="cannot load a") as no:
        ask(server.url)
    assert no.value.lines == ("no CUDA", "bye")
    assert no.value.body == body.encode()


@pytest.mark.real
def test_who_has_no_key_is_told_where_it_belongs(server):
    """It is no argument, so no help shows it."""
    server.says("GET /", '{"src":"swapd","error":{"message":"unauthorized"}}', 401)
    with pytest.raises(Refused, match="SWAPD_API_KEY"):
        ask(server.url)


@pytest.mark.real
@pytest.mark.parametrize("status", [301, 404, 502])
@pytest.mark.parametrize(
    "body", ["", "<h1>no</h1>", "{}", '{"error": 1}', NO.decode().replace('"swapd"', '"x"')]
)
def test_another_server_is_no_daemon_that_refuses(server, status, body):
    """A proxy in front of a daemon that is down must not pass for the daemon."""
    server.says("GET /", body, status)
    with pytest.raises(CannotTell, match="no swapd"):
        ask(server.url)


@pytest.mark.real
def test_other_statuses_may_be_answers(server):
    """A daemon that measures nothing says so with a 503 that is no refusal."""
    server.says("GET /", '{"enabled":false}', 503)
    assert ask(server.url, others=(503,)).status == 503


GARBAGE = {
    "nothing": b"",
    "noise": b"\x00\xff\n\n",
    "ssh": b"SSH-2.0-OpenSSH_9.6\r\n",
    "endless line": b"HTTP/1.1 200 " + b"x" * 100_000,
    "cut": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
    "cut in a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc",
    "cut between chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    "bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
    "tls": b"\x15\x03\x01\x00\x02\x02\x16",
}


@pytest.mark.real
@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_a_sentence(data):
    """Any port may have anything behind it."""
    with saying(data) as url, pytest.raises(CannotTell):
        ask(url)


@pytest.mark.real
@pytest.mark.parametrize(
    "data", [GARBAGE["cut in a chunk"], GARBAGE["cut between chunks"], GARBAGE["bad chunk"]]
)
def test_a_stream_that_is_cut_has_not_ended(data):
    """Else a daemon that crashed would look like one that was stopped."""
    with saying(data) as url, Client(Where.parse(url)).stream("/") as stream:
        pieces = iter(stream.piece, b"")
        with pytest.raises(CannotTell):
            list(pieces)


@pytest.mark.real
@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"])
def test_silence_is_no_answer(data):
    """A daemon that hangs must not hang a script."""
    with saying(data, hang=True) as url, pytest.raises(CannotTell, match="has not answered"):
        ask(url, patience=0.05)


@pytest.mark.real
def test_what_has_no_end_is_given_up(monkeypatch):
    """It would fill the memory first."""
    monkeypatch.setattr(room, "LARGEST", 10)
    endless = b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 100
    with saying(endless) as url, pytest.raises(CannotTell, match="no end"):
        ask(url)


@pytest.mark.real
def test_nobody_there_is_told_from_who_cannot_be_understood(tmp_path):
    """A script starts a daemon only where there is none."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (tmp_path / "file").touch()
    for url in (
        f"http://127.0.0.1:{port}",
        f"http://localhost:{port}",
        "http://no-such-host.invalid",
        f"http://{'x' * 64}.example",
        f"unix:{tmp_path}/none.sock",
        f"unix:{tmp_path}/file",
        f"unix:{tmp_path}/file/none.sock",
    ):
        with pytest.raises(NobodyThere):
            ask(url)
    for url in (f"unix:{tmp_path}/{'x' * 200}", "http://255.255.255.255"):
        with pytest.raises(CannotTell):
            ask(url)


@pytest.mark.real
def test_a_socket_in_the_file_system_is_asked_too(tmp_path):
    """Where the daemon listens on no port at all."""
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                heads.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

        heads: list[bytes] = []
        thread = threading.Thread(target=serve)
        thread.start()
        assert ask(f"unix:{path}", "/api/queue").body == b"{}"
        thread.join()
    assert heads[0].startswith(b"GET /api/queue HTTP/1.1\r\nHost: localhost\r\n")


@pytest.mark.real
def test_a_server_without_tls_is_no_https():
    """The key is not sent to it."""
    with saying(b"HTTP/1.1 200 OK\r\n\r\n") as url, pytest.raises(CannotTell):
        ask(url.replace("http:", "https:"))
