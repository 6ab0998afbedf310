"""`python -m swapd.demo`: its arguments, its exit codes, and what a start must not import."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from swapd.demo import tiny

pytestmark = pytest.mark.real


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "models"


async def test_all_models_are_made_ahead(cache: Path) -> None:
    """Whoever builds an image wants no first use."""
    pytest.importorskip("gguf")
    ended = await run(cache, "-m", "swapd.demo", "--make-all")

    assert ended.returncode == 0
    made = [Path(line) for line in ended.stdout.decode().splitlines()]
    assert {path.name.rpartition("-")[0] for path in made} == set(tiny.SHAPES)
    assert sorted(made) == kept_in(cache)


async def test_two_may_make_the_same_models_at_once(cache: Path) -> None:
    """Two models that share a file may be started in the same moment."""
    pytest.importorskip("gguf")
    ended: list[subprocess.CompletedProcess[bytes]] = []

    async def make() -> None:
        ended.append(await run(cache, "-m", "swapd.demo", "--make-all"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(make)
        nursery.start_soon(make)

    assert [program.returncode for program in ended] == [0, 0]
    assert ended[0].stdout == ended[1].stdout
    assert len(kept_in(cache)) == len(tiny.SHAPES)


async def test_a_made_model_needs_no_numpy(cache: Path) -> None:
    """Importing it takes longer than the whole start of a server."""
    pytest.importorskip("gguf")
    assert (await run(cache, "-m", "swapd.demo", "--make-all")).returncode == 0

    ended = await run_without(cache, ["numpy", "gguf"], "--make-all")

    assert ended.returncode == 0
    assert len(ended.stdout.splitlines()) == len(tiny.SHAPES)


@pytest.mark.parametrize(
    ("missing", "args"),
    [
        ("xllamacpp", ["tiny-a", "--port", "0"]),
        ("gguf", ["--make-all"]),
        ("numpy", ["--make-all"]),
    ],
)
async def test_a_missing_extra_is_one_line(cache: Path, missing: str, args: list[str]) -> None:
    """The answer is a command to type, not a traceback to read."""
    # Each is missing alone: whichever is asked for first, the line is the same.
    ended = await run_without(cache, [missing], *args)

    assert ended.returncode == 69
    [line] = ended.stderr.decode().splitlines()
    assert line.startswith("cannot run the demo: ")
    assert "pip install 'swapd[demo]'" in line


async def test_a_cache_that_cannot_be_written_is_one_line(cache: Path) -> None:
    """A service's user may have no home; the line says which variable helps."""
    await trio.Path(cache).write_text("in the way")
    ended = await run(cache, "-m", "swapd.demo", "--make-all")

    assert ended.returncode == 73
    [line] = ended.stderr.decode().splitlines()
    assert "SWAPD_DEMO_CACHE" in line


@pytest.mark.parametrize("args", [[], ["tiny-a"], ["--port", "1"], ["huge", "--port", "1"]])
async def test_wrong_arguments_are_refused(cache: Path, args: list[str]) -> None:
    """A typo in a configuration must show in the model's first lines."""
    ended = await run(cache, "-m", "swapd.demo", *args)

    assert ended.returncode == 2
    assert ended.stderr.startswith(b"usage: python -m swapd.demo")


def kept_in(cache: Path) -> list[Path]:
    """Return all that is in the cache."""
    return sorted(cache.iterdir())


async def run_without(
    cache: Path, missing: list[str], *args: str
) -> subprocess.CompletedProcess[bytes]:
    """Run the program as if these packages had not been installed."""
    hide = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({missing!r}))\n"
        "from swapd.demo.__main__ import main\n"
        "sys.exit(main())"
    )
    return await run(cache, "-c", hide, *args)


async def run(cache: Path, *args: str) -> subprocess.CompletedProcess[bytes]:
    """Run Python with this cache until it ends."""
    root = Path(tiny.__file__).parents[2]
    with trio.fail_after(30):
        return await trio.run_process(
            [sys.executable, *args],
            env={**os.environ, "SWAPD_DEMO_CACHE": str(cache), "PYTHONPATH": str(root)},
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )
