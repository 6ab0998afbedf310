"""What of a request a model gets to see, and what of its answer a client gets to see.

Rule 1: pure functions over lists of (name, value) bytes; nothing here is awaited or sent.
Rule 2: what is forwarded keeps its spelling, its order and its repetitions.
Rule 3: nothing that is forwarded can end its line: a line break or NUL in a value becomes a space
(RFC 9110, 5.5), one in a target is percent-encoded, and a name that is no token is dropped.
`request_head` trusts nobody to have done so.
"""

import re
from collections.abc import Iterable, Sequence

from swapd.config.settings import Origin

Header = tuple[bytes, bytes]

# These speak of one connection, not of the message (RFC 9110, 7.6.1), with those that
# predecessors of that text named.
_HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)

# The client's key opens swapd, not the model (D21); `Expect` was answered when the body was read.
_NOT_FOR_MODELS = _HOP_BY_HOP | {b"authorization", b"expect", b"x-api-key"}

# A peer is somebody else's machine: it is called by its own name, and who calls is our business.
_NOT_FOR_PEERS = frozenset(
    (b"forwarded", b"host", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto")
)

_PORTS = {"http": 80, "https": 443}

_NOT_TOKEN = re.compile(rb"[^!#$%&'*+\-.^_`|~0-9A-Za-z]")
_BREAK = re.compile(rb"[\r\n\0]")
_NOT_VISIBLE = re.compile(rb"[^!-~]")


def for_upstream(
    headers: Sequence[Header],
    *,
    client: str | None,
    length: int,
    upgrade: bytes = b"",
    identity: bool = False,
    content_type: bytes | None = None,
) -> list[Header]:
    """Make the headers that a local model gets from those of a client's request.

    `client` is the address that X-Forwarded-For is extended with, `length` that of the body as it
    will be sent. A request that announced no body and has none keeps announcing none.
    `upgrade` asks for that protocol, `identity` for an answer that is not compressed (D11), and
    `content_type` replaces what the client called its body.
    """
    dropped = _dropped(headers, _NOT_FOR_MODELS)
    kept: list[Header] = []
    sized = announced = False
    hops: list[bytes] = []
    hops_at: tuple[int, bytes] | None = None
    for header in headers:
        name = header[0].lower()
        if name in dropped:
            announced = announced or name == b"transfer-encoding"
        elif name == b"content-length":
            if not sized:
                kept.append((header[0], b"%d" % length))
            sized = True
        elif name == b"x-forwarded-for" and client is not None:
            hops_at = hops_at or (len(kept), header[0])
            hops.append(header[1])
        else:
            kept.append(header)
    if client is not None:
        at, spelling = hops_at or (len(kept), b"X-Forwarded-For")
        kept.insert(at, (spelling, b", ".join([*hops, client.encode()])))
    if not sized and (length or announced):
        kept.append((b"Content-Length", b"%d" % length))
    if identity:
        kept = _with(kept, b"Accept-Encoding", b"identity")
    if content_type is not None:
        kept = _with(kept, b"Content-Type", content_type)
    if upgrade:
        kept += [(b"Connection", b"Upgrade"), (b"Upgrade", upgrade)]
    return _unbroken(kept)


def for_peer(
    headers: Sequence[Header],
    *,
    origin: Origin,
    api_key: str,
    length: int,
    through: str,
    upgrade: bytes = b"",
    content_type: bytes | None = None,
) -> list[Header]:
    """Make the headers that a peer gets from those of a client's request.

    `api_key` is what the peer asks for, in both places where a key may stand; empty if it asks for
    none. The client's own never goes there (D21). `through` is what we are called among the
    proxies that it came through. All else is as in `for_upstream`.
    """
    kept = for_upstream(
        [header for header in headers if header[0].lower() not in _NOT_FOR_PEERS],
        client=None,
        length=length,
        upgrade=upgrade,
        content_type=content_type,
    )
    kept.insert(0, (b"Host", authority(origin)))
    kept.append((b"Via", b"1.1 " + through.encode()))
    if api_key:
        key = api_key.encode()
        kept += [(b"Authorization", b"Bearer " + key), (b"x-api-key", key)]
    return _unbroken(kept)


def via(headers: Sequence[Header]) -> list[bytes]:
    """Name the proxies that a request came through, the last one last (RFC 9110, 7.6.3)."""
    listed = b",".join(value for name, value in headers if name.lower() == b"via")
    return [words[1] for hop in listed.split(b",") if len(words := hop.split()) > 1]


def first(headers: Iterable[Header], wanted: bytes) -> bytes | None:
    """Answer with the first value of a header, by its name in small letters."""
    for name, value in headers:
        if len(name) == len(wanted) and name.lower() == wanted:
            return value
    return None


def authority(origin: Origin) -> bytes:
    """Name an origin as `Host` does: with its port, unless that goes without saying."""
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    usual = origin.port == _PORTS.get(origin.scheme)
    return (host if usual else f"{host}:{origin.port}").encode()


def switches_to(protocol: bytes, headers: Sequence[Header]) -> bool:
    """Tell whether a 101 with these headers changes to this protocol, and to nothing else."""
    named = [value.lower() for name, value in headers if name.lower() == b"upgrade"]
    return bool(protocol) and named == [protocol.lower()] and b"upgrade" in _listed(headers)


def with_host(headers: list[Header], origin: Origin) -> list[Header]:
    """Add the Host that HTTP/1.1 demands to the headers of a client of HTTP/1.0 that sent none."""
    if first(headers, b"host") is not None:
        return headers
    return [(b"Host", authority(origin)), *headers]


def for_client(headers: Sequence[Header], *, status: int = 200) -> list[Header]:
    """Make the headers that a client gets from those of a model's answer of this status."""
    always = _HOP_BY_HOP if status != 204 else _HOP_BY_HOP | {b"content-length"}
    dropped = _dropped(headers, always)
    kept = [header for header in headers if header[0].lower() not in dropped]
    # A proxy in front of us (nginx) would otherwise collect tokens until its buffer is full.
    if is_event_stream(kept) and first(kept, b"x-accel-buffering") is None:
        kept.append((b"X-Accel-Buffering", b"no"))
    return _unbroken(kept)


def is_event_stream(headers: Sequence[Header]) -> bool:
    """Tell whether an answer is a stream of server-sent events."""
    kind = first(headers, b"content-type")
    return kind is not None and b"text/event-stream" in kind.lower()


def target(origin: Origin, raw_path: bytes, query: bytes) -> bytes:
    """Join an origin's path and query in front of a request's, which stay as they were escaped."""
    path = origin.path.encode().removesuffix(b"/") + b"/" + raw_path.removeprefix(b"/")
    if origin.query:
        query = origin.query.encode() + (b"&" + query if query else b"")
    joined = path + b"?" + query if query else path
    if _NOT_VISIBLE.search(joined) is None:
        return joined
    return _NOT_VISIBLE.sub(lambda found: b"%%%02X" % ord(found[0]), joined)


def request_head(method: str, target: bytes, headers: Sequence[Header]) -> bytes:
    """Write the head of a request, or raise ValueError for one that could hide another."""
    line = b"%b %b HTTP/1.1" % (method.encode("ascii"), target)
    head = b"\r\n".join([line, *[name + b": " + value for name, value in headers], b"", b""])
    ends = len(headers) + 2
    if (
        line.count(b" ") != 2
        or not method
        or not target
        or b"\0" in head
        or (head.count(b"\r") != ends or head.count(b"\n") != ends)
    ):
        raise ValueError(f"cannot send {line!r}: its head is not one of a single request")
    return head


def _dropped(headers: Sequence[Header], always: frozenset[bytes]) -> frozenset[bytes]:
    """Add what `Connection` lists to what is always dropped. Nobody may talk us out of Host."""
    listed = _listed(headers)
    return always if listed <= always else always | listed - {b"host"}


def _listed(headers: Sequence[Header]) -> set[bytes]:
    return {
        option.strip().lower()
        for name, value in headers
        if len(name) == 10 and name.lower() == b"connection"
        for option in value.split(b",")
    }


def _with(headers: list[Header], name: bytes, value: bytes) -> list[Header]:
    """Put this value where the first of that name stood, or at the end, and drop the others."""
    replaced = [header for header in headers if header[0].lower() != name.lower()]
    places = (at for at, header in enumerate(headers) if header[0].lower() == name.lower())
    replaced.insert(next(places, len(replaced)), (name, value))
    return replaced


def _unbroken(headers: list[Header]) -> list[Header]:
    """Hold rule 3; nearly always that takes two looks and no copy."""
    if _NOT_TOKEN.search(b"".join([name for name, _ in headers])) is None and (
        _BREAK.search(b"".join([value for _, value in headers])) is None
    ):
        return headers
    return [
        (name, _BREAK.sub(b" ", value).strip())
        for name, value in headers
        if _NOT_TOKEN.search(name) is None
    ]
