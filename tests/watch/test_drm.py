"""AMD's and Intel's GPUs over trees of files."""

import shutil

import pytest

from swapd.watch.drm import Drm
from swapd.watch.looking import CannotLook
from swapd.watch.samples import GpuSample
from tests.machines import amd, write

SENSORS = "hwmon/hwmon4"

INTEL = {
    "sys/class/drm/card1/device/vendor": "0x8086\n",
    "sys/class/drm/card1/device/tile0/physical_vram_size_bytes": "12884901888\n",
    "sys/class/drm/card1/device/hwmon/hwmon2/temp2_input": "51000\n",
    "sys/class/drm/card1/device/hwmon/hwmon2/temp2_label": "pkg\n",
    "sys/class/drm/card1/device/hwmon/hwmon2/temp3_input": "46000\n",
    "sys/class/drm/card1/device/hwmon/hwmon2/temp3_label": "vram\n",
    "sys/class/drm/card1/device/hwmon/hwmon2/energy1_input": "5000000\n",
}


def look(drm: Drm, at: float = 7.0) -> list[GpuSample]:
    return drm.samples(at, pytest.fail)


def opened(root) -> Drm:
    drm = Drm(root)
    drm.open()
    return drm


def test_a_card_without_any_file_of_its_own_says_nothing(tmp_path):
    """Integrated graphics, and cards of makers that have their own drivers, are no GPUs here."""
    nvidia = {name: "0x10de" for name in amd() if name.endswith("/vendor")}
    write(tmp_path, {**amd(), **nvidia, "sys/class/drm/card1/device/vendor": "0x8086\n"})
    with pytest.raises(CannotLook, match="no AMD or Intel GPU"):
        Drm(tmp_path).open()


def test_outputs_are_no_cards(tmp_path):
    """They stand beside them."""
    root = write(tmp_path, {**amd(), "sys/class/drm/card0-DP-1/device/vendor": "0x1002"})
    assert [sample.id for sample in look(opened(root))] == [0]


def test_cards_come_in_the_order_of_their_numbers(tmp_path):
    """Ten after nine."""
    root = write(tmp_path, {**amd(10), **amd(9)})
    assert [(sample.id, sample.name) for sample in look(opened(root))] == [
        (9, "card9"),
        (10, "card10"),
    ]


@pytest.mark.parametrize(
    ("files", "fan"),
    [
        pytest.param({"pwm1": "255"}, 100.0, id="by its duty"),
        pytest.param({"pwm1": "", "fan1_input": "1500", "fan1_max": "3000"}, 50.0, id="turns"),
        pytest.param({"pwm1": "", "fan1_input": "4000", "fan1_max": "3000"}, 100.0, id="over"),
        pytest.param({"pwm1": "", "fan1_input": "1500"}, 0.0, id="of what?"),
        pytest.param({"pwm1": ""}, 0.0, id="none"),
    ],
)
def test_a_fan_runs_at_a_share_of_what_it_can(files, fan, tmp_path):
    """Turns alone say nothing without their most."""
    root = write(tmp_path, amd(more={f"{SENSORS}/{name}": text for name, text in files.items()}))
    assert look(opened(root))[0].fan_pct == fan


@pytest.mark.parametrize(
    ("average", "now", "power"), [("15000000", "9", 15.0), ("0", "9000000", 9.0), ("", "", 0.0)]
)
def test_power_is_a_mean_or_that_of_the_moment(average, now, power, tmp_path):
    """Newer chips tell only the latter."""
    root = write(
        tmp_path,
        amd(more={f"{SENSORS}/power1_average": average, f"{SENSORS}/power1_input": now}),
    )
    assert look(opened(root))[0].power_w == power


def test_a_card_of_intel_tells_what_it_tells(tmp_path):
    """Its meter has to be read twice."""
    root = write(tmp_path, INTEL)
    drm = opened(root)
    [first] = look(drm, 10.0)
    write(root, {"sys/class/drm/card1/device/hwmon/hwmon2/energy1_input": "305000000\n"})
    [second] = look(drm, 15.0)
    assert (first.temp_c, first.vram_temp_c, first.mem_total_mb) == (51, 46, 12288)
    assert (first.power_w, second.power_w) == (0.0, 60.0)


def test_a_card_that_is_taken_away_has_no_sample(tmp_path):
    """Zeros would look like a GPU that rests."""
    root = write(tmp_path, {**amd(0), **amd(1)})
    drm = opened(root)
    shutil.rmtree(root / "sys/class/drm/card0/device")
    complaints: list[str] = []
    assert [sample.id for sample in drm.samples(7.0, complaints.append)] == [1]
    assert complaints == ["GPU card0 is gone"]
    drm.close()
    assert look(drm) == []
    assert drm.by_pid(None) == {}


def test_what_is_no_number_is_nothing(tmp_path):
    """Drivers write what they like."""
    root = write(tmp_path, amd(more={"gpu_busy_percent": "busy\n", "mem_info_vram_used": "\n"}))
    [sample] = look(opened(root))
    assert (sample.util_pct, sample.mem_used_mb, sample.mem_total_mb) == (0.0, 0, 32768)
