"""Which model a form means, and where in it that stands."""

import email
import re
import tracemalloc
from email.message import Message
from itertools import pairwise

import attrs
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from swapd.proxy.forms import (
    LONGEST_HEAD,
    LONGEST_VALUE,
    MOST_BOUNDARIES,
    BadForm,
    Form,
    FormScanner,
    boundary_of,
)
from swapd.proxy.spool import replaced

# A line that a form must not have inside a part.
BOUNDARY_LINE = rb"[\r\n]--%b(?![^ \t\r\n-]|-[^-])"


@attrs.frozen
class Part:
    """One field or file."""

    name: str
    value: bytes
    filename: str | None = None
    more: bytes = b""
    """Further headers, each with its line break."""

    def head(self) -> bytes:
        file = "" if self.filename is None else f'; filename="{self.filename}"'
        line = f'Content-Disposition: form-data; name="{self.name}"{file}\r\n'
        return line.encode() + self.more


def written(
    parts: list[Part], boundary: bytes = b"xYz", before: bytes = b"", behind: bytes = b""
) -> bytes:
    """Write a form as RFC 7578 has it."""
    body = b"".join(
        b"--%b\r\n%b\r\n%b\r\n" % (boundary, part.head(), part.value) for part in parts
    )
    return before + body + b"--%b--\r\n" % boundary + behind


def read(form: bytes, boundary: bytes = b"xYz", *cuts: int) -> Form:
    """Read a form that comes in pieces cut there."""
    scanner = FormScanner(boundary)
    edges = [0, *sorted(cut % (len(form) + 1) for cut in cuts), len(form)]
    for start, end in pairwise(edges):
        scanner.feed(form[start:end])
    return scanner.end()


def read_in_bytes(form: bytes, boundary: bytes = b"xYz") -> Form:
    """Read a form that comes byte by byte."""
    return read(form, boundary, *range(len(form)))


def seen(form: bytes, boundary: bytes) -> list[tuple[str, bytes, list[tuple[str, str]]]]:
    """Read a form as the standard library reads mail: name, value and headers of every part."""
    head = b'Content-Type: multipart/form-data; boundary="%b"\r\n\r\n' % boundary
    message = email.message_from_bytes(head + form)
    parts = []
    for part in message.get_payload():
        assert isinstance(part, Message)
        name = part.get_param("name", header="content-disposition")
        value = part.get_payload(decode=True)
        assert isinstance(value, bytes)
        parts.append((str(name), value, part.items()))
    return parts


boundaries = st.from_regex(r"[-]{0,4}[0-9A-Za-z'()+_,./:=?-]{1,12}", fullmatch=True)
models = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
names = st.sampled_from(["file", "prompt", "models", "Model", "model "])


@st.composite
def contents(draw: st.DrawFn, boundary: bytes) -> bytes:
    """Make up a file that is full of what a boundary is made of."""
    scraps = [b"\r\n", b"\r", b"\n", b"--", b"-", b"--" + boundary, boundary, boundary[:-1]]
    value = b"".join(draw(st.lists(st.sampled_from(scraps) | st.binary(max_size=9), max_size=9)))
    assume(not re.search(BOUNDARY_LINE % re.escape(boundary), b"\r\n%b\r\n" % value))
    return value


@st.composite
def forms(draw: st.DrawFn) -> tuple[bytes, list[Part]]:
    """Write a boundary, and parts among which at most one is the model."""
    boundary = draw(boundaries).encode()
    files = st.builds(
        Part,
        names,
        contents(boundary),
        st.none() | st.sampled_from(["a.wav", "C:\\a b.wav", "\u00e4"]),
        st.sampled_from([b"", b"Content-Type: audio/wav\r\nX-Note:  a ;b= \r\n"]),
    )
    parts = draw(st.lists(files, max_size=3))
    if draw(st.booleans()):
        value = draw(models).encode()
        assume(not re.search(BOUNDARY_LINE % re.escape(boundary), b"\r\n%b\r\n" % value))
        parts.insert(draw(st.integers(0, len(parts))), Part("model", value))
    return boundary, parts


@given(forms(), st.lists(st.integers(0, 1000), max_size=5))
@settings(max_examples=300, deadline=None)
def test_the_model_is_found_wherever_the_form_is_cut(made, cuts):
    """Rule 1: a boundary may come in two pieces, or in as many as it has bytes."""
    boundary, parts = made
    form = written(parts, boundary)
    found = read(form, boundary, *cuts)
    assert found == read(form, boundary) == read_in_bytes(form, boundary)
    model = [part.value for part in parts if part.name == "model"]
    assert found.model.encode() == (model[0] if model else b"")
    assert [form[start:end] for start, end in found.places] == model


@given(forms())
@settings(max_examples=200, deadline=None)
def test_the_standard_library_reads_the_same_form(made):
    """Rule 3: what we take for the model is what another reader takes for it."""
    boundary, parts = made
    form = written(parts, boundary)
    there = seen(form, boundary) if parts else []
    assert [value for _, value, _ in there] == [part.value for part in parts]
    assert read(form, boundary).model.encode() == b"".join(
        value for name, value, _ in there if name == "model"
    )


@given(forms(), models)
@settings(max_examples=200, deadline=None)
def test_renaming_keeps_every_other_byte_and_every_header(made, other):
    """D24: llama-swap loses the headers of the parts and their order."""
    boundary, parts = made
    assume(not re.search(BOUNDARY_LINE % re.escape(boundary), b"\r\n%b\r\n" % other.encode()))
    renamed = replaced(
        written(parts, boundary), read(written(parts, boundary), boundary).places, other.encode()
    )
    expected = [
        attrs.evolve(part, value=other.encode()) if part.name == "model" else part
        for part in parts
    ]
    assert renamed == written(expected, boundary)


@pytest.mark.parametrize(
    ("parts", "model", "stream"),
    [
        pytest.param([Part("model", b"whisper-1")], "whisper-1", False, id="X14"),
        pytest.param([Part("prompt", b"hello")], "", False, id="X15"),
        ([Part("model", b"")], "", False),
        ([Part("stream", b"true"), Part("model", b"a")], "a", True),
        ([Part("model", b"a"), Part("stream", b"True")], "a", False),
        ([Part("model", b"a"), Part("stream", b"1")], "a", False),
        ([Part("model", b"RIFF", filename="model"), Part("model", b"a")], "a", False),
        ([Part("model", b"RIFF", filename="")], "", False),
        ([Part("models", b"b"), Part("Model", b"c"), Part("prompt", b"model")], "", False),
        ([Part("model", "caf\u00e9 \r\n".encode())], "caf\u00e9 \r\n", False),
        ([], "", False),
    ],
)
def test_a_form_says_which_model_and_whether_to_stream(parts, model, stream):
    """The field of exactly that name; a file is no field, whatever it is called."""
    form = read(written(parts))
    assert (form.model, form.stream) == (model, stream)
    assert len(form.places) == sum(
        part.name == "model" and part.filename is None for part in parts
    )


def test_a_renamed_form_has_its_prompt_and_its_file_as_they_were():
    """W6 of the reference; and D24, what the client said of its file."""
    wav = Part("file", b"RIFFdata", filename="audio.wav", more=b"Content-Type: audio/wav\r\n")
    form = written([Part("model", b"public"), Part("prompt", b"hello"), wav])
    renamed = replaced(form, read(form).places, b"target")
    assert isinstance(renamed, bytes)
    assert seen(renamed, b"xYz") == [
        ("model", b"target", [("Content-Disposition", 'form-data; name="model"')]),
        ("prompt", b"hello", [("Content-Disposition", 'form-data; name="prompt"')]),
        (
            "file",
            b"RIFFdata",
            [
                ("Content-Disposition", 'form-data; name="file"; filename="audio.wav"'),
                ("Content-Type", "audio/wav"),
            ],
        ),
    ]


def test_what_stands_before_and_behind_the_form_is_passed_over():
    """RFC 2046 allows both, and old clients greet in it."""
    form = written([Part("model", b"a")], before=b"hello --xYz\r\n", behind=b"bye --xYz")
    assert read_in_bytes(form).model == "a"
    assert read_in_bytes(form[: -len(b"\r\nbye --xYz")]).model == "a"


@pytest.mark.parametrize(
    "disposition",
    [
        b'form-data; name="model"',
        b"form-data; name=model",
        b'Form-Data;NAME="model"',
        b'form-data ;\tname="model"  ',
        b'form-data; x="a;b"; name="model"',
    ],
)
def test_a_head_may_be_spelled_as_clients_spell_it(disposition):
    """Names of headers and parameters have no case, and some put white space between."""
    head = b"X: y\r\ncontent-DISPOSITION:%b\r\nContent-Transfer-Encoding: 8BIT" % disposition
    form = b"--xYz\r\n%b\r\n\r\na\r\n--xYz--" % head
    assert read_in_bytes(form).model == "a"


MODEL = b'Content-Disposition: form-data; name="model"'
HELLO = b'Content-Disposition: form-data; name="prompt"\r\n\r\nhello'


@pytest.mark.parametrize(
    ("form", "says"),
    [
        (b"", "never ends"),
        (b"model=a", "never ends"),
        (b"--xYz", "never ends"),
        (b"--xYz\r\n", "never ends"),
        (b"--xYz\r\n%b\r\n\r\na" % MODEL, "never ends"),
        (b"--xYz\r\n%b\r\n\r\na\r\n--xYz" % MODEL, "never ends"),
        (b"--xYz\r\n%b\r\n\r\na\r\n--xYz\r\n" % MODEL, "never ends"),
        (b"--xYz\r\n%b\r\n\r\na\r\n--xYz-" % MODEL, "never ends"),
        (b"--xYz\r\n%b\r\n\r\na\r\n--xYz--\n" % MODEL, "CR LF"),
        (b"--xYz\r\n%b\r\n\r\na\r\n--xYz--bye" % MODEL, "CR LF"),
        (b"--xYz\r\n%b\r\n\r\na\r\n--xYz  --\r\n" % MODEL, "CR LF"),
        (b"--xYz\r\n%b\r\n\r\na\r\n--xYz \r\n%b\r\n--xYz--" % (MODEL, HELLO), "CR LF"),
        (b"--xYz\r\n%b\r\n\r\na\r\n--xYz\n%b\r\n--xYz--" % (MODEL, HELLO), "CR LF"),
        (b"--xYz\r\n%b\r\n\r\na\n--xYz\r\n%b\r\n--xYz--" % (MODEL, HELLO), "CR LF"),
        (b"--xYz\r\n%b\r\n\r\na\r--xYz\r\n%b\r\n--xYz--" % (MODEL, HELLO), "CR LF"),
        (b"--xYz\r\n%b\r\n\r\na\n--xYz--\r\n--xYz--" % HELLO, "CR LF"),
        (b"\n--xYz\r\n%b\r\n\r\na\r\n--xYz--" % MODEL, "CR LF"),
        (b"--xYz\n%b\n\na\n--xYz--\n" % MODEL, "CR LF"),
        (b"--xYz\r\n%b\r\n--xYz--\r\n--xYz\r\n%b\r\n--xYz--" % (HELLO, HELLO), "goes on"),
        (b"--xYz\r\n%b\r\n\r\n--xYz--" % MODEL, "before the empty line"),
        (b"--xYz\r\n\r\na\r\n--xYz--", "no Content-Disposition"),
        (b"--xYz\r\nX: y\r\n\r\na\r\n--xYz--", "no Content-Disposition"),
        (b"--xYz\r\n%b\r\n%b\r\n\r\na\r\n--xYz--" % (MODEL, MODEL), "two Content-Dispositions"),
        (b"--xYz\r\n%b\r\n\r\na\r\n--xYz\r\n%b\r\n\r\na\r\n--xYz--" % (MODEL, MODEL), "twice"),
        (b"--xYz\r\n%b\r\n\r\n\xff\r\n--xYz--" % MODEL, '"model" is not UTF-8'),
        (
            b"--xYz\r\n%b\r\nContent-Transfer-Encoding: base64\r\n\r\nYQ==\r\n--xYz--" % MODEL,
            '"model" is encoded',
        ),
    ],
)
def test_a_form_that_two_could_read_differently_is_refused_in_one_sentence(form, says):
    """Rule 3: what we route by is what the model will see, or nothing is sent at all."""
    for reading in (read, read_in_bytes):
        with pytest.raises(BadForm, match=says) as bad:
            reading(form)
        assert "\n" not in str(bad.value)


@pytest.mark.parametrize(
    ("head", "says"),
    [
        (b"Content-Disposition: attachment; name=model", "without form-data or name"),
        (b"Content-Disposition: form-data", "without form-data or name"),
        (b'Content-Disposition: form-data; name=""', "without form-data or name"),
        (b'Content-Disposition: form-data; filename="model"', "without form-data or name"),
        (b"Content-Disposition: form-data; name=", "cannot be read from its character 10"),
        (b'Content-Disposition: form-data; name="model', "cannot be read"),
        (b'Content-Disposition: form-data; name="model";', "cannot be read"),
        (b'Content-Disposition: form-data; name = "model"', "cannot be read"),
        (b"Content-Disposition: form-data; name='mo del'", "cannot be read"),
        (b'Content-Disposition: form-data; name="a", name="model"', "cannot be read"),
        (
            b'Content-Disposition: form-data; name=x; filename="a\\"; name=model; y="b"',
            "cannot be read",
        ),
        (b'Content-Disposition: form-data; name="x"; NAME="model"', "twice what its name"),
        (b'Content-Disposition: form-data; name="mod\\el"', "not plain"),
        (b"Content-Disposition: form-data; name=x; name*=utf-8''model", "not plain"),
        (b"Content-Disposition: form-data; name=x; name*0=model", "not plain"),
        (b'Content-Disposition:\r\n form-data; name="model"', "no header"),
        (b'Content-Disposition : form-data; name="model"', "no header"),
        (b' Content-Disposition: form-data; name="model"', "no header"),
        (b'X: y\nContent-Disposition: form-data; name="model"', "no header"),
        (b'X: y\rContent-Disposition: form-data; name="model"', "no header"),
        (b'Content-Disposition: form-data; name="model\0"', "no header"),
        (b'--xYz\r\nContent-Disposition: form-data; name="model"', "no header"),
    ],
)
def test_a_head_that_two_could_read_differently_is_refused(head, says):
    """Quotation marks, folded lines and second names are read by everybody in his own way."""
    form = b"--xYz\r\n%b\r\n\r\na\r\n--xYz--\r\n" % head
    for reading in (read, read_in_bytes):
        with pytest.raises(BadForm, match=says):
            reading(form)


def test_a_value_is_bounded_whether_it_ends_or_not():
    """No model has a name like that, and it would have to be kept in memory."""
    longest = "a" * LONGEST_VALUE
    assert read_in_bytes(written([Part("model", longest.encode())])).model == longest
    form = written([Part("model", b"a" * (LONGEST_VALUE + 1))])
    for reading in (read, read_in_bytes):
        with pytest.raises(BadForm, match='"model" is longer than 4096 bytes'):
            reading(form)
    scanner = FormScanner(b"xYz")
    with pytest.raises(BadForm, match='"model" is longer than 4096 bytes'):
        scanner.feed(form.removesuffix(b"\r\n--xYz--\r\n") + b"a" * 9)


def test_a_head_may_be_as_long_as_its_bound():
    """However it is cut, the bound is the same."""
    more = b"X: %b\r\n" % (b"y" * (LONGEST_HEAD - len(MODEL) - 7))
    form = written([Part("model", b"a", more=more)])
    assert read(form).model == read_in_bytes(form).model == "a"


@pytest.mark.parametrize("end", [b"", b"\r\n\r\na\r\n--xYz--"])
def test_a_head_is_bounded_whether_it_ends_or_not(end):
    """A client that never ends it must not fill the memory."""
    form = b"--xYz\r\n%b\r\nX: %b%b" % (MODEL, b"y" * LONGEST_HEAD, end)
    for reading in (read, read_in_bytes):
        with pytest.raises(BadForm, match="longer than 16384 bytes"):
            reading(form)


@pytest.mark.parametrize("scrap", [b"\r\n--xYz0", b"--xYz", b"\r\n--xYz\r\n" + HELLO])
def test_boundaries_are_counted(scrap):
    """Each costs time in which nobody else is served; and however cut, it counts once."""
    few = b"--xYz\r\n" + HELLO + scrap * 10 + b"\r\n--xYz--"
    assert read(few) == read_in_bytes(few)
    with pytest.raises(BadForm, match="more than 1000 times"):
        read(b"--xYz\r\n" + HELLO + scrap * MOST_BOUNDARIES)


def test_a_file_is_not_kept():
    """An hour of sound passes through; only what may begin a boundary stays."""
    piece = b"\r\n--xY" * 20_000
    tracemalloc.start()
    try:
        scanner = FormScanner(b"xYz")
        scanner.feed(b"--xYz\r\n" + Part("file", b"", filename="a.wav").head() + b"\r\n")
        for _ in range(100):
            scanner.feed(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * len(piece)
    scanner.feed(b"\r\n--xYz--")
    assert scanner.end() == Form("", False, ())


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        (b"multipart/form-data; boundary=xYz", b"xYz"),
        (b'multipart/form-data; boundary="xYz"', b"xYz"),
        (b'Multipart/Form-Data;charset=utf-8;Boundary="a b:(c)=?"', b"a b:(c)=?"),
        (b"multipart/form-data; boundary=----WebKitFormBoundaryA0", b"----WebKitFormBoundaryA0"),
        (b"multipart/form-data; boundary=" + b"a" * 70, b"a" * 70),
    ],
)
def test_the_boundary_is_announced(content_type, boundary):
    """Quoted if it has to be, and by some if not."""
    assert boundary_of(content_type) == boundary


@pytest.mark.parametrize(
    ("content_type", "says"),
    [
        (b"", "not that of a form"),
        (b"multipart/mixed; boundary=xYz", "not that of a form"),
        (b"multipart/form-data", "names no boundary"),
        (b"multipart/form-data; charset=utf-8", "names no boundary"),
        (b'multipart/form-data; boundary=""', "names no boundary"),
        (b"multipart/form-data; boundary=", "cannot be read from its character 20 on"),
        (b"multipart/form-data; boundary=a b", "cannot be read"),
        (b"multipart/form-data; boundary=a:b", "cannot be read"),
        (b'multipart/form-data; boundary="xYz', "cannot be read"),
        (b"multipart/form-data; boundary=a, multipart/form-data; boundary=b", "cannot be read"),
        (b"multipart/form-data; boundary=a; boundary=b", "says twice what its boundary is"),
        (b"multipart/form-data; boundary=" + b"a" * 71, "longer than 70"),
        (b'multipart/form-data; boundary="a "', "odd ones"),
        (b'multipart/form-data; boundary="a\r\nb"', "odd ones"),
        (b"multipart/form-data; boundary=a%b", "odd ones"),
    ],
)
def test_a_boundary_that_two_could_read_differently_is_refused(content_type, says):
    """It decides where everything in the form begins and ends."""
    with pytest.raises(BadForm, match=says):
        boundary_of(content_type)
