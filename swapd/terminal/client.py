"""Asking the daemon: one connection for each question, and what may go wrong with it, named.

Rule 1: whatever fails on the way is an Ending; an OSError that leaves a command is its output's.
Rule 2: who vanished without a word is found out, even where an answer may take for ever.
"""

import http.client
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple
from urllib.parse import quote

from swapd.terminal.endings import CannotTell, NobodyThere, Refused
from swapd.terminal.facts import Record
from swapd.terminal.where import KEY, URL, Where

# A daemon takes a connection at once; longer is a machine that drops packets.
CONNECT = 5.0

# Silence after which nobody believes in an answer any more.
ANSWER = 30.0

# A queue of a hundred thousand fits; what is no swapd may never end.
LARGEST = 64 * 1024 * 1024

# Seconds of silence after which TCP asks whether the other side is there, and then between tries.
_KEEPALIVE = {socket.TCP_KEEPIDLE: 60, socket.TCP_KEEPINTVL: 10, socket.TCP_KEEPCNT: 6}

# What it looks like when nobody listens; a name that cannot be one is nobody's, either.
_NOBODY = (
    *(socket.gaierror, UnicodeError),
    *(ConnectionRefusedError, FileNotFoundError, NotADirectoryError),
)

# As much as is read from a stream at once.
_PIECE = 64 * 1024


class Answer(NamedTuple):
    """What the daemon said."""

    status: int
    kind: str
    """Its content type."""
    body: bytes


class Stream:
    """An answer that comes in pieces."""

    def __init__(self, answer: http.client.HTTPResponse, client: "Client") -> None:
        self._answer = answer
        self._client = client

    @property
    def kind(self) -> str:
        """Its content type."""
        return _kind(self._answer)

    def piece(self) -> bytes:
        """Wait for what comes next; b"" is the proper end. Raises TimeoutError for silence."""
        with self._client.problems_named():
            return self._answer.read1(_PIECE)


class Client:
    """One place to ask, and the key for it."""

    def __init__(self, where: Where, key: str = "") -> None:
        self.where = where
        self._headers = {
            # Else a refusal would be a page.
            "Accept": "application/json",
            "Connection": "close",
            **({"Authorization": f"Bearer {key}"} if key else {}),
        }

    def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        patience: float | None = ANSWER,
        others: tuple[int, ...] = (),
    ) -> Answer:
        """Ask once; an answer may be silent for `patience` seconds. Raises an Ending.

        Statuses among the `others` are answers, too.
        """
        try:
            with self._answer(path, method, patience) as answer, self.problems_named():
                body = self._body(answer)
        except TimeoutError as silent:
            raise CannotTell(f"{self.where.text} has not answered in {patience:.0f} s") from silent
        if answer.status not in (200, 202, *others):
            raise self._refusal(answer.status, body)
        return Answer(answer.status, _kind(answer), body)

    @contextmanager
    def stream(self, path: str, *, patience: float | None = None) -> Iterator[Stream]:
        """Open an answer that comes in pieces. Raises an Ending, or TimeoutError for silence."""
        with self._answer(path, "GET", patience) as answer:
            if answer.status != 200:
                with self.problems_named():
                    body = self._body(answer)
                raise self._refusal(answer.status, body)
            yield Stream(answer, self)

    @contextmanager
    def problems_named(self) -> Iterator[None]:
        """Make an Ending of what goes wrong with a connection, except for silence."""
        try:
            yield
        except TimeoutError:
            raise
        except http.client.IncompleteRead as cut:
            raise CannotTell(f"the answer of {self.where.text} was cut") from cut
        except http.client.RemoteDisconnected as gone:
            raise CannotTell(f"{self.where.text} ended the connection without an answer") from gone
        except (OSError, http.client.HTTPException, ValueError) as problem:
            text = f"cannot make sense of what {self.where.text} answers: {_words(problem)}"
            raise CannotTell(text) from problem

    @contextmanager
    def _answer(
        self, path: str, method: str, patience: float | None
    ) -> Iterator[http.client.HTTPResponse]:
        connection = self._connected()
        try:
            connection.sock.settimeout(patience)
            with self.problems_named():
                connection.request(method, self.where.prefix + path, headers=self._headers)
                answer = connection.getresponse()
            with answer:
                yield answer
        finally:
            connection.close()

    def _connected(self) -> http.client.HTTPConnection:
        where = self.where
        connection = _connection(where)
        try:
            connection.connect()
            if where.scheme != "unix":
                connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                for option, value in _KEEPALIVE.items():
                    connection.sock.setsockopt(socket.IPPROTO_TCP, option, value)
        except (OSError, ValueError) as problem:
            connection.close()
            if isinstance(problem, _NOBODY):
                raise NobodyThere(f"no daemon at {where.text}: {_words(problem)}") from problem
            raise CannotTell(f"cannot connect to {where.text}: {_words(problem)}") from problem
        return connection

    def _body(self, answer: http.client.HTTPResponse) -> bytes:
        body = answer.read(LARGEST + 1)
        if len(body) > LARGEST:
            raise CannotTell(f"the answer of {self.where.text} has no end; is it a swapd?")
        # http.client says so only where it is asked for everything, however much that is.
        if answer.length:
            raise CannotTell(f"the answer of {self.where.text} was cut")
        return body

    def _refusal(self, status: int, body: bytes) -> Refused | CannotTell:
        """Tell a daemon that says no from something else that answers."""
        try:
            envelope = Record.read(body)
            error = envelope.record("error")
            message = None if error is None else error.text("message")
            if error is None or message is None or envelope.text("src") != "swapd":
                raise CannotTell
            cause = error.record("cause")
        except CannotTell:
            return CannotTell(f"what answers at {self.where.text} is no swapd: HTTP {status}")
        if status == 401:
            message = f"{message}; ${KEY} has to hold one"
        elif status == 404 and error.text("code") == "not_found":
            message = (
                f"{message}; where admins have a listener of their own, ${URL} has to name it"
            )
        lines = () if cause is None else cause.texts("last_lines")
        return Refused(message, lines=lines, body=body)


def quoted(name: str) -> str:
    """Write a model's name as the rest of a path."""
    # What was typed need be no text of this locale; the bytes are what was meant.
    return quote(os.fsencode(name), safe="/")


def _kind(answer: http.client.HTTPResponse) -> str:
    # Without the header, Python would say text/plain.
    return answer.headers.get_content_type() if "Content-Type" in answer.headers else ""


def _connection(where: Where) -> http.client.HTTPConnection:
    match where.scheme:
        case "unix":
            return _UnixConnection(where.host)
        case "https":
            return http.client.HTTPSConnection(where.host, where.port, timeout=CONNECT)
        case _:
            return http.client.HTTPConnection(where.host, where.port, timeout=CONNECT)


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a socket in the file system."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=CONNECT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(CONNECT)
        self.sock.connect(self._path)


def _words(problem: Exception) -> str:
    text = problem.strerror if isinstance(problem, OSError) else None
    return text or str(problem) or type(problem).__name__
