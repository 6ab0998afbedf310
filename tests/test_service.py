"""What we say to a service manager, byte for byte, and what we take over from it."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from swapd.service import (
    LONGEST_STATUS,
    MOST_UNSAID,
    SHORTEST_PAUSE,
    BadHandover,
    Manager,
    inherited,
    open_manager,
)

ROOT = Path(__file__).parents[1]

# Nanoseconds, as the clock has them; microseconds are told.
NOW = 123_456_789


@attrs.define
class Pretend:
    """A pretend service manager: what it was told, and when."""

    told: list[bytes] = attrs.field(factory=list)
    at: list[float] = attrs.field(factory=list)
    deaf: bool = False

    def take(self, message: bytes) -> bool:
        """Take a message, or not."""
        if not self.deaf:
            self.told.append(message)
        return not self.deaf

    def take_with_time(self, message: bytes) -> bool:
        """Take a message, and note when it came."""
        self.at.append(trio.current_time())
        return self.take(message)


@attrs.define
class Heart:
    """A pretend scheduler's loop."""

    beats: int = 0
    stuck: trio.Event | None = None

    async def pulse(self) -> None:
        """Come back at once, or when it is no longer stuck."""
        await trio.lowlevel.checkpoint()
        if self.stuck is not None:
            await self.stuck.wait()
        self.beats += 1


@pytest.fixture
def pretend() -> Pretend:
    """Make a pretend service manager."""
    return Pretend()


def manager(pretend: Pretend, watchdog: float | None = None) -> Manager:
    """Make what talks to it."""
    return Manager(pretend.take, watchdog, clock=lambda: NOW)


def lively(words: list[str]) -> Callable[[], str]:
    """Say how things stand, one after the other; the last for good."""
    return lambda: words.pop(0) if len(words) > 1 else words[0]


# Messages


def test_ready_is_said_alone_or_with_words(pretend):
    """Nobody is shown an empty status."""
    manager(pretend).ready()
    manager(pretend).ready("reloaded")
    assert pretend.told == [b"READY=1", b"READY=1\nSTATUS=reloaded"]


async def test_a_reload_is_said_with_its_time_and_ended(pretend):
    """Without the time the manager would take an answer to an earlier reload for this one's."""
    telling = manager(pretend)
    telling.reloading(120)
    telling.ready("cannot reload: 2 mistakes")
    assert pretend.told == [
        b"RELOADING=1\nMONOTONIC_USEC=123456\nSTATUS=reloading\nEXTEND_TIMEOUT_USEC=20000000",
        b"READY=1\nSTATUS=cannot reload: 2 mistakes",
    ]


async def test_the_end_is_the_last_that_is_said_of_where_we_stand(pretend):
    """A reload that ends meanwhile must not call a daemon ready that stops."""
    telling = manager(pretend)
    telling.reloading(120)
    telling.stopping("finishing 1 request", 7.5)
    telling.ready("reloaded")
    telling.reloading(120)
    telling.status("unloading qwen")
    assert pretend.told[1:] == [
        b"STOPPING=1\nSTATUS=finishing 1 request\nEXTEND_TIMEOUT_USEC=7500000",
        b"STATUS=unloading qwen",
    ]


def test_more_time_can_be_asked_for_before_anything_runs(pretend):
    """A large record is opened before there is a loop that could ask again."""
    manager(pretend).extend(90)
    assert pretend.told == [b"EXTEND_TIMEOUT_USEC=90000000"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\nREADY=1\rb\x85c\u2028d\0e", "a READY=1 b c d e"),
        ("é \N{SNOWMAN}", "é \N{SNOWMAN}"),
        ("x" * LONGEST_STATUS, "x" * LONGEST_STATUS),
        ("x" * (LONGEST_STATUS + 1), "x" * (LONGEST_STATUS - 1) + "…"),
        ("\udcff", " "),
    ],
)
def test_a_status_is_one_line(pretend, text, line):
    """A model's name must not be able to say something else in our name."""
    manager(pretend).status(text)
    assert pretend.told == [f"STATUS={line}".encode()]


def test_a_status_is_said_when_it_changes(pretend):
    """Nobody needs to hear the same every five seconds."""
    telling = manager(pretend)
    for text in ("a", "a", "b", "a"):
        telling.status(text)
    assert pretend.told == [b"STATUS=a", b"STATUS=b", b"STATUS=a"]


# A manager that does not listen


async def test_what_counts_is_said_again_in_order(pretend):
    """A READY that is lost is a daemon that is killed after 90 s for having come up well."""
    pretend.deaf = True
    telling = manager(pretend)
    telling.ready()
    telling.status("lost")
    telling.stopping("stopping", 1)
    pretend.deaf = False
    telling.status("unloading")
    assert [message.split(b"\n")[0] for message in pretend.told] == [
        b"READY=1",
        b"STOPPING=1",
        b"STATUS=unloading",
    ]


async def test_it_is_said_again_by_itself(pretend, nursery, autojump_clock):
    """Nothing else may happen for hours."""
    pretend.deaf = True
    telling = manager(pretend)
    telling.ready()
    pretend.deaf = False
    await nursery.start(telling.run, Heart().pulse, str)
    await trio.sleep(6)
    assert pretend.told == [b"READY=1"]


def test_what_waits_is_bounded(pretend):
    """A manager that never listens costs no memory."""
    pretend.deaf = True
    telling = manager(pretend)
    for _ in range(1000):
        telling.ready()
    pretend.deaf = False
    telling.ready()
    assert len(pretend.told) == MOST_UNSAID


async def test_without_a_manager_nothing_is_said_and_nothing_wakes(nursery, autojump_clock):
    """In a container or a terminal there is none, and all of this is nothing."""
    heart, silent = Heart(), Manager()
    await nursery.start(silent.run, heart.pulse, str)
    silent.extend(1)
    silent.ready()
    silent.reloading(1)
    silent.status("a")
    silent.stopping("b", 1)
    await trio.sleep(1000)
    assert heart.beats == 0


# Signs of life


async def test_life_is_shown_twice_as_often_as_it_is_wanted(pretend, nursery, autojump_clock):
    """One that is late by a little must not be the end."""
    telling = Manager(pretend.take_with_time, 4.0)
    await nursery.start(telling.run, Heart().pulse, str)
    await trio.sleep(9)
    assert pretend.told == [b"WATCHDOG=1"] * 5
    assert pretend.at == [0, 2, 4, 6, 8]


async def test_a_sign_of_life_that_is_lost_is_made_up_for(pretend, nursery, autojump_clock):
    """The next would come when the daemon has been killed."""
    telling = manager(pretend, 30.0)
    await nursery.start(telling.run, Heart().pulse, str)
    await wait_all_tasks_blocked()
    pretend.deaf = True
    await trio.sleep(20)
    pretend.deaf, pretend.told = False, []
    await trio.sleep(2)
    assert pretend.told == [b"WATCHDOG=1"]


async def test_a_sign_of_life_brings_what_was_not_taken_before(pretend, nursery, autojump_clock):
    """A manager that was busy during a reload must not wait for a beat to hear that it is over."""
    telling = manager(pretend, 1.0)
    await nursery.start(telling.run, Heart().pulse, str)
    await wait_all_tasks_blocked()
    pretend.deaf = True
    telling.reloading(60)
    telling.ready()
    pretend.deaf, pretend.told = False, []
    await trio.sleep(1)
    assert [message.partition(b"\n")[0] for message in pretend.told][:3] == [
        *(b"RELOADING=1", b"READY=1", b"WATCHDOG=1"),
    ]


async def test_no_more_signs_are_given_than_help_anybody(pretend, nursery, autojump_clock):
    """Whatever is wished for: a microsecond would be all that we do."""
    telling = manager(pretend, 1e-6)
    await nursery.start(telling.run, Heart().pulse, str)
    await trio.sleep(1)
    assert len(pretend.told) <= 1 / SHORTEST_PAUSE + 1


async def test_a_loop_that_is_stuck_shows_none(pretend, nursery, autojump_clock):
    """The whole point: a daemon whose scheduler hangs is alive to everybody but its clients."""
    heart, telling = Heart(), manager(pretend, 4.0)
    await nursery.start(telling.run, heart.pulse, str)
    await trio.sleep(3)
    assert pretend.told == [b"WATCHDOG=1"] * 2
    heart.stuck = trio.Event()
    telling.reloading(1000)
    await trio.sleep(1000)
    assert len(pretend.told) == 3
    heart.stuck.set()
    await wait_all_tasks_blocked()
    assert b"WATCHDOG=1" in pretend.told[3:]


async def test_how_things_stand_is_looked_at_now_and_then(pretend, nursery, autojump_clock):
    """`systemctl status` shows it without asking us."""
    telling = manager(pretend)
    words = lively(["no model", "qwen", "qwen", "llama"])
    await nursery.start(telling.run, Heart().pulse, words)
    telling.ready()
    await trio.sleep(16)
    assert pretend.told == [b"READY=1\nSTATUS=no model", b"STATUS=qwen", b"STATUS=llama"]


async def test_a_remark_stays_until_the_next(pretend, nursery, autojump_clock):
    """A reload that failed is seen by whoever looks an hour later."""
    telling = manager(pretend)
    await nursery.start(telling.run, Heart().pulse, lively(["a", "b"]))
    telling.ready("the last reload failed")
    await trio.sleep(6)
    telling.ready()
    assert pretend.told == [
        b"READY=1\nSTATUS=a; the last reload failed",
        b"STATUS=b; the last reload failed",
        b"READY=1\nSTATUS=b",
    ]


# More time


async def test_more_time_is_asked_for_until_the_bound(pretend, nursery, autojump_clock):
    """Never all of it at once: of a stop that hangs, only the last piece is waited for."""
    telling = manager(pretend)
    await nursery.start(telling.run, Heart().pulse, lively(["unsaid"]))
    telling.stopping("stopping", 29)
    await trio.sleep(1000)
    first, *more = pretend.told
    assert first.endswith(b"\nEXTEND_TIMEOUT_USEC=20000000")
    assert [int(message.removeprefix(b"EXTEND_TIMEOUT_USEC=")) for message in more] == [
        *(20_000_000, 19_000_000, 14_000_000, 9_000_000, 4_000_000),
    ]


async def test_no_more_time_is_asked_for_after_the_reload(pretend, nursery, autojump_clock):
    """Else the manager would believe that something still goes on."""
    telling = manager(pretend)
    await nursery.start(telling.run, Heart().pulse, str)
    telling.reloading(1000)
    await trio.sleep(6)
    telling.ready()
    told = len(pretend.told)
    await trio.sleep(100)
    assert all(b"EXTEND" not in message for message in pretend.told[told:])


# What the environment says


@pytest.mark.parametrize(
    ("within", "who", "watchdog"),
    [
        ("30000000", None, 30.0),
        ("30000000", str(os.getpid()), 30.0),
        ("30000000", "1", None),
        (None, None, None),
        ("0", None, None),
        ("soon", None, None),
        ("9" * 5000, None, None),
    ],
)
def test_signs_of_life_are_given_where_they_are_wanted_of_us(within, who, watchdog):
    """A parent's watchdog is the parent's, and nonsense is none."""
    environ = {"NOTIFY_SOCKET": "/nowhere"}
    environ |= {"WATCHDOG_USEC": within} if within is not None else {}
    environ |= {"WATCHDOG_PID": who} if who is not None else {}
    with open_manager(environ) as telling:
        assert telling.watchdog == watchdog
    assert environ == {}


@pytest.mark.parametrize("address", ["vsock:2:1234", "relative/path"])
def test_an_address_that_we_cannot_reach_is_said_and_left(caplog, address):
    """A virtual machine's manager is no reason not to serve."""
    with open_manager({"NOTIFY_SOCKET": address}) as telling:
        telling.ready()
    assert caplog.messages == [f"cannot notify {address}: only paths and abstract names are known"]


@pytest.mark.parametrize("address", ["/nowhere/at/all", "@swapd-nobody", "/" + "x" * 200])
def test_nobody_at_the_address_is_no_failure(address):
    """Rule 1: saying something never fails."""
    with open_manager({"NOTIFY_SOCKET": address}) as telling:
        telling.ready()
        telling.status("a")


@pytest.fixture
def hearing(tmp_path: Path) -> Iterator[socket.socket]:
    """Make the socket of a service manager."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.setblocking(False)
        yield sock


@pytest.mark.real
async def test_a_message_is_one_datagram(hearing):
    """What is in two is of two moments."""
    with open_manager({"NOTIFY_SOCKET": hearing.getsockname()}) as telling:
        telling.ready("fine")
        telling.stopping("bye", 1)
    assert hearing.recv(4096) == b"READY=1\nSTATUS=fine"
    assert hearing.recv(4096) == b"STOPPING=1\nSTATUS=bye\nEXTEND_TIMEOUT_USEC=1000000"


@pytest.mark.real
def test_an_abstract_name_is_understood():
    """Containers are given such."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        name = f"swapd-test-{os.getpid()}"
        sock.bind(f"\0{name}")
        with open_manager({"NOTIFY_SOCKET": f"@{name}"}) as telling:
            telling.ready()
        assert sock.recv(4096) == b"READY=1"


@pytest.mark.real
def test_a_manager_that_is_busy_is_not_waited_for(hearing):
    """Rule 1: its queue is full, and our clients have nothing to do with that."""
    with open_manager({"NOTIFY_SOCKET": hearing.getsockname()}) as telling:
        for number in range(5000):
            telling.status(str(number))
        telling.ready("at last")
        while b"READY=1" not in hearing.recv(4096):
            telling.status("again")


# Sockets that were opened for us


def test_without_sockets_there_are_none():
    """Nobody passed any: --listen counts."""
    assert inherited({}) == ()


def test_those_for_somebody_else_are_left_alone():
    """Descriptor 3 may be anything of ours; and nobody after us shall believe in them either."""
    environ = {"LISTEN_FDS": "1", "LISTEN_PID": "1", "LISTEN_FDNAMES": "a", "OTHER": "1"}
    assert inherited(environ) == ()
    assert environ == {"OTHER": "1"}


@pytest.mark.parametrize("said", ["", "many", "-1", "²"])
def test_a_number_that_is_none_is_told(said):
    """Whoever writes his own manager learns what is wrong with it."""
    with pytest.raises(BadHandover, match="LISTEN_FDS"):
        inherited({"LISTEN_FDS": said, "LISTEN_PID": str(os.getpid())})


# What a program says of the sockets that it was passed as 3 and up.
TAKE = """
import os, sys
sys.path.insert(0, {root!r})
from swapd.service import BadHandover, inherited
os.environ["LISTEN_PID"] = str(os.getpid())
try:
    for one in inherited(os.environ):
        sock = one.socket
        print(one.name, sock.family.name, sock.fileno(), sock.get_inheritable(), sep=":")
except BadHandover as wrong:
    print(wrong)
print(*[name for name in os.environ if name.startswith("LISTEN_")])
"""


def passed(*sockets: socket.socket | int, names: str | None) -> list[str]:
    """Start a program as a service manager does, and answer with what it says."""
    numbers = [one if isinstance(one, int) else one.fileno() for one in sockets]
    # Its own numbers first, out of the way of those that they become.
    away = "import os, sys\n" + "".join(
        f"os.dup2({number}, {200 + index})\n" for index, number in enumerate(numbers)
    )
    into = "".join(f"os.dup2({200 + index}, {3 + index})\n" for index in range(len(numbers)))
    named = {} if names is None else {"LISTEN_FDNAMES": names}
    done = subprocess.run(
        [sys.executable, "-c", f"{away}{into}{TAKE.format(root=str(ROOT))}"],
        env={**os.environ, "LISTEN_FDS": str(len(numbers)), **named},
        pass_fds=numbers,
        capture_output=True,
        check=True,
        text=True,
    )
    return done.stdout.splitlines()


@pytest.mark.real
def test_sockets_are_taken_over_with_their_names(tmp_path):
    """One for clients, one for admins; no child may hold them open."""
    with (
        socket.create_server(("127.0.0.1", 0)) as clients,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as admins,
    ):
        admins.bind(str(tmp_path / "admin"))
        admins.listen()
        assert passed(clients, admins, names="swapd.socket:admin") == [
            "swapd.socket:AF_INET:3:False",
            "admin:AF_UNIX:4:False",
            "",
        ]
        assert passed(clients, names=None) == ["unknown:AF_INET:3:False", ""]


def _bound(kind: socket.SocketKind) -> socket.socket:
    sock = socket.socket(socket.AF_INET, kind)
    sock.bind(("127.0.0.1", 0))
    return sock


@pytest.mark.real
@pytest.mark.parametrize(
    "make",
    [
        partial(_bound, socket.SOCK_STREAM),
        partial(_bound, socket.SOCK_DGRAM),
        partial(socket.socket, socket.AF_INET, socket.SOCK_STREAM),
    ],
    ids=["does not listen", "datagrams", "not bound"],
)
def test_what_does_not_listen_is_refused(make):
    """Accept=yes passes a connection; said at once, not as an error of every accept."""
    with closing(make()) as sock:
        assert passed(sock, names="x") == [
            "cannot listen on descriptor 3 (x), which we were passed: not a listening stream "
            "(ListenStream= and Accept=no make one)",
            "",
        ]


@pytest.mark.real
def test_what_is_no_socket_is_refused(tmp_path):
    """A file, or nothing at all, under a number that was promised."""
    with open(tmp_path / "file", "w") as file:
        (told, _) = passed(file.fileno(), names=None)
    assert told == (
        "cannot listen on descriptor 3 (unknown), which we were passed: "
        "Socket operation on non-socket"
    )
