"""Where clients find us."""

import os
import socket
import stat
from pathlib import Path

import pytest

from swapd.front.listen import (
    PRIVATE,
    SILENCE,
    Address,
    BadAddress,
    CannotListen,
    address_of,
    adopt_listener,
    open_listener,
    url,
)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8080", Address("127.0.0.1", 8080)),
        ("localhost:0", Address("localhost", 0)),
        ("[::1]:99", Address("::1", 99)),
        (":8080", Address("", 8080)),
        ("0.0.0.0:1", Address("0.0.0.0", 1)),
        ("unix:/run/x.sock", Address(path="/run/x.sock")),
    ],
)
def test_addresses_are_read_as_written(text, address):
    """The forms that an operator would try."""
    assert Address.parse(text) == address


@pytest.mark.parametrize(
    "text", ["", "8080", "host", "host:", "host:x", "host:70000", "::1:80", "unix:", "a:-1"]
)
def test_anything_else_is_refused_with_a_sentence(text):
    """A mistyped address is the caller's fault, and said before anything starts."""
    with pytest.raises(BadAddress, match=r"cannot listen on|needs a path"):
        Address.parse(text)


@pytest.mark.parametrize(
    ("text", "loopback"),
    [
        ("127.0.0.1:1", True),
        ("127.9.9.9:1", True),
        ("localhost:1", True),
        ("[::1]:1", True),
        ("unix:/x", True),
        (":1", False),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("gpu.example:1", False),
        ("127.example:1", False),
        ("[::ffff:10.0.0.1]:1", False),
    ],
)
def test_only_loopback_is_private(text, loopback):
    """M011: everything else deserves a warning while there are no keys."""
    assert Address.parse(text).is_loopback is loopback


def test_the_default_is_loopback_8080():
    """D2: nobody is reachable from the network by accident."""
    assert Address() == Address.parse("127.0.0.1:8080")


@pytest.mark.real
def test_a_port_is_listened_on_and_named():
    """Port 0 takes a free one, and the URL says which."""
    with open_listener(Address("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        assert url(sock, tls=False) == f"http://127.0.0.1:{port}"
        assert url(sock, tls=True) == f"https://127.0.0.1:{port}"
        with socket.create_connection(("127.0.0.1", port)):
            pass


@pytest.mark.real
def test_a_client_that_vanished_is_found_out():
    """Its machine was switched off, and nobody else would ever say that it is gone."""
    with (
        open_listener(Address(port=0)) as listener,
        socket.create_connection(listener.getsockname()),
        listener.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == SILENCE


@pytest.mark.real
def test_a_port_in_use_says_so():
    """Exit code 69 comes from here."""
    with open_listener(Address("127.0.0.1", 0)) as sock:
        taken = Address("127.0.0.1", sock.getsockname()[1])
        with pytest.raises(CannotListen, match="in use"), open_listener(taken):
            pytest.fail("two listeners on one port")


@pytest.mark.real
def test_a_name_nobody_knows_says_so():
    """A resolver's answer is no traceback."""
    nowhere = Address("no-such-host.invalid", 1)
    with pytest.raises(CannotListen, match=r"no-such-host\.invalid"), open_listener(nowhere):
        pytest.fail("listening nowhere")


@pytest.mark.real
def test_a_unix_socket_is_made_and_removed(tmp_path: Path):
    """Nothing is left behind for the next start to trip over."""
    path = tmp_path / "s.sock"
    with open_listener(Address(path=str(path))) as sock:
        assert url(sock, tls=False) == f"unix:{path}"
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(str(path))
    assert not path.exists()


@pytest.mark.real
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_private_unix_socket_is_for_its_owner_and_group(tmp_path: Path, umask):
    """Whoever may write to it may do everything; the umask is for files, and says nothing here."""
    path = tmp_path / "s.sock"
    before = os.umask(umask)
    try:
        with open_listener(Address(path=str(path)), private=True):
            assert stat.S_IMODE(path.stat().st_mode) == PRIVATE == 0o660
    finally:
        os.umask(before)


@pytest.mark.real
def test_a_private_unix_socket_is_never_open_for_a_moment(tmp_path: Path):
    """Between its making and a change of its mode others could have come in."""
    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX) as sock:
        os.fchmod(sock.fileno(), PRIVATE)
        before = os.umask(0)
        try:
            sock.bind(str(path))
        finally:
            os.umask(before)
        assert stat.S_IMODE(path.stat().st_mode) == PRIVATE


@pytest.mark.real
def test_a_socket_that_was_opened_for_us_behaves_like_our_own(tmp_path: Path):
    """Who vanishes without a word must be noticed there as well."""
    with socket.create_server(("127.0.0.1", 0)) as given:
        adopt_listener(given)
        assert address_of(given) == Address("127.0.0.1", given.getsockname()[1])
        assert given.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert given.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == SILENCE
    path = str(tmp_path / "s.sock")
    with socket.socket(socket.AF_UNIX) as given:
        given.bind(path)
        adopt_listener(given)
        assert address_of(given) == Address(path=path)


def test_a_path_that_is_too_long_is_said_to_be(tmp_path: Path):
    """The system has no number for it."""
    path = str(tmp_path / ("x" * 200))
    with pytest.raises(CannotListen, match="too long"), open_listener(Address(path=path)):
        pytest.fail("it listens")


@pytest.mark.real
def test_a_stale_unix_socket_is_replaced_and_a_live_one_is_not(tmp_path: Path):
    """A killed daemon's file must not keep the next one from starting."""
    path = str(tmp_path / "s.sock")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    again = pytest.raises(CannotListen, match="in use")
    with open_listener(Address(path=path)), again, open_listener(Address(path=path)):
        pytest.fail("two listeners on one path")
    assert not os.path.exists(path)


@pytest.mark.real
def test_a_file_in_the_way_is_left_alone(tmp_path: Path):
    """A mistyped path must not cost anybody a file."""
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(CannotListen, match="no socket"), open_listener(Address(path=str(path))):
        pytest.fail("it was replaced")
    assert path.read_text() == "data"


@pytest.mark.real
def test_a_successor_on_the_same_path_keeps_its_socket(tmp_path: Path):
    """A restart may begin before the last daemon is quite gone."""
    path = tmp_path / "s.sock"
    with open_listener(Address(path=str(path))) as old:
        old.close()
        with open_listener(Address(path=str(path))) as _new:
            pass
        with socket.socket(socket.AF_UNIX) as another:
            another.bind(str(path))
            another.listen()
    assert path.exists()
