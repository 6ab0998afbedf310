"""What a client asks: which model it means, wherever that stands, and whether it wants a stream.

1. A body that is a JSON object counts as JSON, whatever it was declared as: curl declares a form.
2. What is declared as JSON must be JSON.
3. A multipart form has the model in a field; one in the query goes before it.
4. A urlencoded form has it in a field, too, and that goes before one in the query.
5. Everything else, and whatever has no body, has it in the query.

Where the model stands, and in which order that counts, is llama-swap's.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from enum import Enum

import attrs

from swapd import refusals
from swapd.config.settings import Filters
from swapd.proxy import filters, naming, query
from swapd.proxy.body import BadUpload, Receive, Unusable, read_body
from swapd.proxy.forms import BadForm, FormScanner, boundary_of
from swapd.proxy.scope import Scope, announced
from swapd.proxy.spool import Body, NotKept, Spliced, close, kept, replaced, whole

JSON = b"application/json"
MULTIPART = b"multipart/form-data"
URLENCODED = b"application/x-www-form-urlencoded"

NOTHING = Filters()


class Kind(Enum):
    """Where the model stands; the values end the sentence that it is not there."""

    JSON = '"model" is missing in the JSON object'
    FORM = 'the form has no field "model"'
    URLENCODED = 'neither the form nor the query has "model"'
    QUERY = 'neither is the body a JSON object or a form, nor does the query have "model"'
    PATH = "the path has no model"


@attrs.frozen
class Asked:
    """A request, read whole."""

    kind: Kind
    model: str
    """As the client calls it; "" if it does not say."""
    stream: bool
    body: Body
    query: bytes
    content_type: bytes | None = None
    """What the body is, if the client declared it as something else."""
    places: Sequence[tuple[int, int]] = ()
    """Where in a multipart body the model stands."""

    async def renamed(self, name: str) -> tuple[Body | Spliced, bytes]:
        """Answer with body and query that call the model so; every other byte stays.

        What comes out is closed instead of the body that was asked with. Raises `Unusable`.
        """
        match self.kind:
            case Kind.JSON:
                return await self.filtered(NOTHING, name=name), self.query
            case Kind.FORM:
                body = replaced(self.body, self.places, name.encode())
                return body, query.replace(self.query, "model", name)
            case Kind.URLENCODED:
                assert isinstance(self.body, bytes)
                form = query.replace(self.body, "model", name)
                return form, query.replace(self.query, "model", name)
            case _:
                return self.body, query.replace(self.query, "model", name)

    async def filtered(self, changes: Filters, *, name: str | None, asked: str = "") -> Body:
        """Answer with the JSON body after these changes, the model called `name` if not None.

        `asked` is the name that some changes are meant for. A body without any stays what it is;
        another is closed instead of it. Raises `Unusable`.
        """
        if name is None and changes == NOTHING:
            return self.body
        body = await _whole(self.body)
        try:
            changed = filters.rewritten(body, asked=asked, model=name, filters=changes)
        except naming.BadBody as bad:
            raise Unusable(refusals.invalid_request(str(bad))) from bad
        return self.body if changed is body else await self._kept(changed)

    async def _kept(self, changed: bytes) -> Body:
        with _disk_trouble():
            body = await kept(changed)
        close(self.body)
        return body


async def read_asked(scope: Scope, receive: Receive, limit: int) -> Asked:
    """Read a request; raises `Unusable`, `BadUpload` or `ClientGone`."""
    if scope["method"] in ("GET", "HEAD"):
        body = await read_body(receive, limit, announced=announced(scope))
        return _in_query(body, scope["query_string"])  # 5
    declared = _declared(scope)
    sniffer = _Sniffer(declared)
    with ExitStack() as unread:
        try:
            body = await read_body(receive, limit, announced=announced(scope), tap=sniffer)
            unread.callback(close, body)
        except BadForm as bad:
            raise BadUpload(refusals.invalid_request(str(bad))) from bad
        try:
            asked = await _read(body, declared, sniffer, scope["query_string"])
        except (naming.BadBody, BadForm) as bad:
            raise Unusable(refusals.invalid_request(str(bad))) from bad
        unread.pop_all()
        return asked


async def read_below(scope: Scope, receive: Receive, limit: int) -> Asked:
    """Read a request whose model stands in its path; what else it says is taken as it is.

    Raises `Unusable`, `BadUpload` or `ClientGone`.
    """
    sniffer = _Sniffer(b"")
    body = await read_body(receive, limit, announced=announced(scope), tap=sniffer)
    asked = Asked(Kind.PATH, "", False, body, scope["query_string"])
    if not sniffer.json:
        return asked
    with ExitStack() as unread:
        unread.callback(close, body)
        # What is no JSON after all is none of our business here.
        with suppress(naming.BadBody):
            asked = _in_json(await _whole(body), body, scope["query_string"], JSON)
        unread.pop_all()
        return asked


async def _whole(body: Body) -> bytes:
    with _disk_trouble():
        return await whole(body)


@contextmanager
def _disk_trouble() -> Iterator[None]:
    try:
        yield
    except NotKept as trouble:
        raise Unusable(refusals.upload_failed(str(trouble))) from trouble


async def _read(body: Body, declared: bytes, sniffer: "_Sniffer", asked_query: bytes) -> Asked:
    if sniffer.json or JSON in declared.lower():
        return _in_json(await _whole(body), body, asked_query, declared)  # 1, 2
    if sniffer.form is not None:
        return _in_form(sniffer.form, body, asked_query)  # 3
    if URLENCODED in declared.lower():
        return _urlencoded(body, asked_query)  # 4
    return _in_query(body, asked_query)  # 5


class _Sniffer:
    """Looks at a body while it comes: at its beginning, and if it is a form, at all of it."""

    def __init__(self, declared: bytes) -> None:
        self.json = False
        self.form: FormScanner | None = None
        self._declared = declared
        self._blank = True

    def __call__(self, piece: bytes) -> None:
        if self._blank and piece:
            self._begin(piece)
        if self.form is not None:
            self.form.feed(piece)

    def _begin(self, piece: bytes) -> None:
        self._blank = not piece.strip()
        self.json = naming.looks_like_object(piece)
        if self.json:
            self.form = None
        elif self.form is None and MULTIPART in self._declared.lower():
            self.form = FormScanner(boundary_of(self._declared))


def _declared(scope: Scope) -> bytes:
    """Answer with the type of the body as the client declared it."""
    types = {value for name, value in scope["headers"] if name.lower() == b"content-type"}
    if len(types) > 1:
        raise BadUpload(refusals.invalid_request("Content-Type stands twice in the request"))
    return types.pop() if types else b""


def _in_json(text: bytes, body: Body, asked_query: bytes, declared: bytes) -> Asked:
    found = naming.find(text)
    content_type = None if JSON in declared.lower() else JSON
    return Asked(Kind.JSON, found.model, found.stream, body, asked_query, content_type)


def _in_form(scanner: FormScanner, body: Body, asked_query: bytes) -> Asked:
    form = scanner.end()
    model = query.find(asked_query, "model") or form.model
    return Asked(Kind.FORM, model, form.stream, body, asked_query, places=form.places)


def _urlencoded(body: Body, asked_query: bytes) -> Asked:
    if not isinstance(body, bytes):
        # Looking through one that long holds up everybody, and nobody sends files like that.
        raise BadForm("the urlencoded form is too long; send a multipart one, or JSON")
    model = query.find(body, "model") or query.find(asked_query, "model")
    return Asked(Kind.URLENCODED, model, _streams(body), body, asked_query)


def _in_query(body: Body, asked_query: bytes) -> Asked:
    model = query.find(asked_query, "model")
    return Asked(Kind.QUERY, model, _streams(asked_query), body, asked_query)


def _streams(fields: bytes) -> bool:
    return query.find(fields, "stream") == "true"
