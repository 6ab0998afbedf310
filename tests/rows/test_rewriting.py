"""Rows W4, W5, W7 to W9 and W11: the model's name in a request is replaced.

The rest of the table is about one kind of body, and stands with what changes it, in `tests/proxy`:
`test_query.py`, `test_naming.py`, `test_filters.py`, and for W6 `test_forms.py`.
"""

import os
from pathlib import Path

import pytest

from swapd.config.settings import Settings
from swapd.proxy.paths import UPSTREAM, pinned, renamed, text_of
from tests.config.rows.loading import loaded
from tests.fakes import Asked
from tests.house import House, open_house

TRANSCRIBE = "/v1/audio/transcriptions"

# What `pin` chooses is written into every request for the selector.
CONFIGURATION = """
models: {target: M}
selectors: {public: {strategy: pin, targets: [target]}}
"""


def selecting() -> Settings:
    """Configure a name that stands for a model, so that requests have to be renamed."""
    return loaded(CONFIGURATION).settings


async def sent(house: House, path: str, body: bytes, **headers: str) -> tuple[str, bytes]:
    """Ask for a model; answer with what its server is asked."""
    reply = await house.post(path, body, **headers)
    assert reply.status == 200
    asked = house.upstream.asked[-1]
    assert int(asked.headers.get("content-length", "0")) == len(asked.body)
    return asked.target, asked.body


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        # Ours: llama-swap replaces the whole body by `model=target`. Nobody can want that.
        pytest.param({}, b"", id="W4-ours"),
        pytest.param({}, b"RIFF\x00\xff", id="W4-ours: with a body"),
        pytest.param({"content_type": "text/plain"}, b"model=public", id="W5-ours"),
    ],
)
async def test_where_the_query_names_the_model_it_is_renamed_there(headers, body, autojump_clock):
    """A body of an unknown kind is the model's business, and stays as it is."""
    async with open_house(settings=selecting()) as house:
        house.upstream.handler = Asked.answer
        path = f"{TRANSCRIBE}?x=1&model=public"
        assert await sent(house, path, body, **headers) == (
            f"{TRANSCRIBE}?x=1&model=target",
            body,
        )


def kept_in(folder: Path) -> int:
    """Count the files of a folder that this process has open, nameless ones included."""
    open_files = Path("/proc/self/fd")
    links = [os.readlink(link) for link in open_files.iterdir() if link.is_symlink()]
    return sum(link.startswith(str(folder)) for link in links)


@pytest.mark.parametrize("size", [pytest.param(3_000_000, id="W7")])
async def test_a_form_on_disk_is_renamed_there_and_gone_when_it_was_sent(
    size, autojump_clock, monkeypatch, tmp_path
):
    """There is no second file for what is changed, and none is left of the first."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    file = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n%b\r\n'
    model = b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\n%b\r\n--x--\r\n'
    body = file % (b"x" * size)
    kept = []

    async def count(asked: Asked) -> None:
        kept.append(kept_in(tmp_path))
        await asked.answer()

    async with open_house(settings=selecting(), max_body=2 * size) as house:
        house.upstream.handler = count
        named = "multipart/form-data; boundary=x"
        got = await sent(house, TRANSCRIBE, body + model % b"public", content_type=named)
        assert got == (TRANSCRIBE, body + model % b"target")
        assert (kept, kept_in(tmp_path)) == ([1], 0)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("path", "old", "new", "escaped", "decoded"),
    [
        pytest.param(
            b"author/public/v1/chat/completions",
            "author/public",
            "target",
            b"target/v1/chat/completions",
            "target/v1/chat/completions",
            id="W8",
        ),
        pytest.param(
            b"author%2Fmodel/api/x%2Fy",
            "author/model",
            "target/model",
            b"target/model/api/x%2Fy",
            "target/model/api/x/y",
            id="W9",
        ),
        pytest.param(
            b"other/v1/chat/completions",
            "author/public",
            "target",
            b"other/v1/chat/completions",
            "other/v1/chat/completions",
            id="W11",
        ),
    ],
)
def test_a_name_at_the_beginning_of_a_path_is_replaced(path, old, new, escaped, decoded):
    """Only that name, and what follows keeps its escapes: below `/upstream/` it is the model's."""
    found = pinned({old: new}, path)
    becomes = path if found is None else renamed(found)
    assert becomes == escaped
    assert text_of(UPSTREAM.encode() + becomes) == UPSTREAM + decoded
