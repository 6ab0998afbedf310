"""The machine, over HTTP."""

import pytest
import trio

from swapd import __version__
from swapd.config.settings import Performance
from swapd.manage.machine import AFTER
from tests.machines import SOUND, Watched

PERFORMANCE = "/api/performance"


async def test_samples_are_told_as_llama_swap_tells_them(nursery, autojump_clock):
    """Its web page and people's scripts read them."""
    watched = Watched()
    await nursery.start(watched.machine.run)
    await trio.sleep(5.5)
    assert await watched.get(PERFORMANCE) == (
        200,
        {
            "enabled": True,
            "gpu_stats": [
                {
                    "timestamp": "2026-08-03T12:00:05.000Z",
                    "id": 0,
                    "name": "NVIDIA GeForce RTX 3080",
                    "uuid": "GPU-12345678-1234-1234-1234-123456789abc",
                    "temp_c": 65,
                    "vram_temp_c": 0,
                    "gpu_util_pct": 80.0,
                    "mem_util_pct": 80.0,
                    "mem_used_mb": 8192,
                    "mem_total_mb": 10240,
                    "fan_speed_pct": 75.0,
                    "power_draw_w": 250.0,
                }
            ],
            "sys_stats": [
                {
                    "timestamp": "2026-08-03T12:00:05.000Z",
                    "cpu_util_per_core": [10.5, 20.0],
                    "mem_total_mb": 8192,
                    "mem_used_mb": 4096,
                    "mem_free_mb": 4096,
                    "swap_total_mb": 2048,
                    "swap_used_mb": 512,
                    "load_avg_1": 1.5,
                    "load_avg_5": 1.2,
                    "load_avg_15": 0.9,
                    "net_io": [{"name": "eth0", "bytes_recv": 1000, "bytes_sent": 2000}],
                }
            ],
        },
    )


async def test_who_asks_with_the_last_date_gets_what_came_after(nursery, autojump_clock):
    """As a chart does that is kept up to date."""
    watched = Watched()
    await nursery.start(watched.machine.run)
    await trio.sleep(10.5)
    _, told = await watched.get(PERFORMANCE)
    first, second = (each["timestamp"] for each in told["sys_stats"])
    _, news = await watched.get(f"{PERFORMANCE}?after={first}")
    assert [each["timestamp"] for each in news["sys_stats"] + news["gpu_stats"]] == [second] * 2
    _, nothing = await watched.get(f"{PERFORMANCE}?after={second}&_=1")
    assert nothing == {"enabled": True, "gpu_stats": [], "sys_stats": []}


async def test_nothing_is_null_for_who_asked_for_all(nursery, autojump_clock):
    """From llama-swap; also after a reload that turned it off."""
    watched = Watched()
    await nursery.start(watched.machine.run)
    empty = {"enabled": True, "gpu_stats": None, "sys_stats": None}
    assert await watched.get(PERFORMANCE) == (200, empty)
    assert await watched.get(f"{PERFORMANCE}?after=") == (200, empty)
    await trio.sleep(12)
    watched.machine.adopt(Performance(disabled=True))
    assert await watched.get(PERFORMANCE) == (200, empty)


async def test_a_date_that_is_none_is_refused(autojump_clock):
    """All samples would look like an answer."""
    response = await Watched().client.get(f"{PERFORMANCE}?after=yesterday")
    assert response.status_code == 400
    assert "use RFC3339 format" in await response.get_data(as_text=True)


@pytest.mark.parametrize(
    ("word", "time"),
    [
        ("1970-01-01T00:00:01Z", 1.0),
        ("1970-01-01T02:00:01.5+02:00", 1.5),
        ("1970-01-01T00:00:00.123456789Z", 0.123456),
        ("1970-01-01T02:00:01 02:00", None),
        ("1970-01-01 00:00:01Z", None),
        ("1970-01-01T00:00:01", None),
        ("1970-13-01T00:00:01Z", None),
        ("1970-01-01", None),
        ("١٩٧٠-01-01T00:00:01Z", None),
        ("1970-01-01T00:00:60Z", None),
        ("0001-01-01T00:00:00+23:59", -62135683140.0),
    ],
)
def test_a_date_is_read_as_go_reads_it(word, time):
    """What llama-swap refuses is refused here."""
    assert AFTER.read(word) == time


async def test_the_machine_is_described_once_it_is_known(autojump_clock):
    """Before that, and where that failed, the page is not there for now."""
    watched = Watched()
    status, refusal = await watched.get("/api/hardware")
    assert (status, refusal["error"]["code"]) == (503, "service_unavailable")
    assert refusal["error"]["message"] == "hardware detection unavailable"
    await watched.hardware.run()
    assert await watched.get("/api/hardware") == (200, SOUND)


async def test_a_version_is_three_strings(autojump_clock):
    """What is not known is said so."""
    told = {"build_date": "unknown", "commit": "unknown", "version": __version__}
    assert await Watched().get("/api/version") == (200, told)
