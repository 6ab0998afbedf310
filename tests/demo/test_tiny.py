"""The files of the tiny models: what is in them, and that none is ever half there."""

from pathlib import Path

import pytest

from swapd.demo import tiny

gguf = pytest.importorskip("gguf")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the user's own cache out of this."""
    folder = tmp_path / "models"
    monkeypatch.setenv("SWAPD_DEMO_CACHE", str(folder))
    return folder


def test_a_model_is_made_once() -> None:
    """A later start must not pay for numpy again."""
    first = tiny.cached("tiny-a")
    made = first.stat()

    assert tiny.cached("tiny-a") == first
    assert (first.stat().st_ino, first.stat().st_mtime_ns) == (made.st_ino, made.st_mtime_ns)


def test_a_name_fixes_every_byte(tmp_path: Path) -> None:
    """Two starts at once both write it; whichever comes last must change nothing."""
    one, other = tmp_path / "one.gguf", tmp_path / "other.gguf"
    tiny.write(one, "tiny-a")
    tiny.write(other, "tiny-a")

    assert one.read_bytes() == other.read_bytes()


def test_the_models_differ_and_are_tiny() -> None:
    """Large enough to differ in loading, small enough for every clone and every test run."""
    sizes = [tiny.cached(name).stat().st_size for name in ("tiny-a", "tiny-b", "tiny-c")]

    assert sizes == sorted(set(sizes))
    assert sizes[0] >= 1_000_000
    assert sizes[-1] <= 10_000_000


def test_a_model_says_what_it_is() -> None:
    """llama.cpp reads everything from the file."""
    assert _field(tiny.cached("tiny-b"), "general.architecture") == "llama"
    assert _field(tiny.cached("tiny-b"), "general.name") == "tiny-b"


def test_reranking_takes_a_file_of_its_own() -> None:
    """The head for scores must not get into the model that chats."""
    chat, rerank = tiny.cached("tiny-a"), tiny.cached("tiny-a", tiny.Mode.RERANK)

    assert chat != rerank
    assert tiny.cached("tiny-a", tiny.Mode.EMBED) == chat
    assert _field(rerank, "general.architecture") == "qwen3"


def test_nothing_but_the_model_stays_in_the_cache(cache: Path) -> None:
    """What was written aside is tidied away."""
    made = tiny.cached("tiny-a")

    assert [*cache.iterdir()] == [made]


def test_a_failed_making_leaves_no_model(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full today must not be a broken model tomorrow."""

    def disk_full(self: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(gguf.GGUFWriter, "write_kv_data_to_file", disk_full)
    with pytest.raises(OSError, match="No space left"):
        tiny.cached("tiny-a")

    assert not [*cache.iterdir()]


def test_the_cache_is_where_the_user_keeps_caches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our own variable first, then the desktop's, then the usual place."""
    monkeypatch.setenv("SWAPD_DEMO_CACHE", "/a/place")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tiny.cache() == Path("/a/place")

    monkeypatch.setenv("SWAPD_DEMO_CACHE", "")
    assert tiny.cache() == Path("/caches/swapd")

    monkeypatch.delenv("XDG_CACHE_HOME")
    assert tiny.cache() == tmp_path / ".cache" / "swapd"


def _field(path: Path, name: str) -> object:
    return gguf.GGUFReader(path).fields[name].contents()
