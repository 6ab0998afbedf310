"""NVIDIA's GPUs over a pretend library."""

import inspect
from contextlib import suppress

import attrs
import pynvml
import pytest

from swapd.watch.looking import CannotLook
from swapd.watch.nvidia import Nvidia, architecture
from swapd.watch.samples import GpuSample
from tests.machines import FAILED, LOST, MIB, Failed, FakeGpu, FakeNvml


def complaints_of(*gpus: FakeGpu) -> tuple[list[GpuSample], list[str]]:
    """Look once."""
    nvidia, complaints = Nvidia(FakeNvml(*gpus)), list[str]()
    nvidia.open()
    return nvidia.samples(7.0, complaints.append), complaints


def test_the_pretend_library_has_nothing_that_the_real_one_has_not():
    """A fake that is asked what nobody can be asked proves nothing."""
    for name, function in inspect.getmembers(FakeNvml, inspect.isfunction):
        if not name.startswith("_"):
            real = list(inspect.signature(getattr(pynvml, name)).parameters)
            assert list(inspect.signature(function).parameters)[1:] == real, name


def test_the_real_library_can_be_asked_whether_there_is_a_driver_or_not():
    """Most machines that run the tests have none; that is nothing out of the ordinary."""
    nvidia = Nvidia()
    with suppress(CannotLook):
        nvidia.open()
    assert len(nvidia.samples(0, pytest.fail)) == len(nvidia.cards())
    nvidia.close()


@pytest.mark.parametrize(
    ("library", "text"),
    [
        (FakeNvml(start=pynvml.NVML_ERROR_LIBRARY_NOT_FOUND), "no NVIDIA driver (NVML Shared"),
        (FakeNvml(start=pynvml.NVML_ERROR_DRIVER_NOT_LOADED), "no NVIDIA driver (Driver Not"),
        (FakeNvml(), "the NVIDIA driver has no GPU"),
    ],
)
def test_no_driver_and_no_gpu_are_told_apart(library, text):
    """The operator learns what to install."""
    nvidia = Nvidia(library)
    with pytest.raises(CannotLook) as caught:
        nvidia.open()
    assert text in str(caught.value)
    assert library.users == 0


def test_the_driver_is_let_go():
    """Once for each time that it was opened, however often that is asked."""
    library = FakeNvml(FakeGpu())
    nvidia = Nvidia(library)
    nvidia.open()
    assert library.users == 1
    nvidia.close()
    nvidia.close()
    assert library.users == 0
    assert nvidia.samples(0, pytest.fail) == []


@pytest.mark.parametrize(
    ("figure", "field"),
    [
        ("name", "name"),
        ("uuid", "uuid"),
        ("temperature", "temp_c"),
        ("memory_temperature", "vram_temp_c"),
        ("busy", "util_pct"),
        ("used", "mem_total_mb"),
        ("fan", "fan_pct"),
        ("milliwatts", "power_w"),
    ],
)
def test_a_figure_that_is_not_supported_takes_no_other_along(figure, field):
    """Cards without fans, and chips that share their memory, are common."""
    [whole], _ = complaints_of(FakeGpu(memory_temperature=50))
    [sample], complaints = complaints_of(
        attrs.evolve(FakeGpu(memory_temperature=50), **{figure: FAILED})
    )
    missing = {"mem_used_mb": 0, "mem_util_pct": 0.0} if figure == "used" else {}
    nothing = type(getattr(whole, field))()
    assert sample == attrs.evolve(whole, **{field: nothing, **missing})
    assert complaints == []


def test_an_older_driver_tells_of_memory_in_its_own_way():
    """Else there would be none on machines that are kept as they are."""
    nvidia = Nvidia(FakeNvml(FakeGpu(), old=True))
    nvidia.open()
    [sample] = nvidia.samples(0, pytest.fail)
    assert (sample.mem_used_mb, sample.mem_total_mb) == (8192, 10240)


def test_a_gpu_that_is_gone_has_no_sample_and_the_others_have():
    """Zeros would look like a GPU that rests."""
    samples, complaints = complaints_of(FakeGpu(broken=LOST), FakeGpu())
    assert [sample.id for sample in samples] == [1]
    assert complaints == ["NVIDIA GPU 0 does not answer: GPU is lost"]


def test_memory_counts_once_for_a_process_that_computes_and_draws():
    """Both lists have all of it; two GPUs add up."""
    first = FakeGpu(computing={10: 5 * MIB, 11: MIB}, drawing={10: 5 * MIB, 12: None})
    second = FakeGpu(computing={10: 2 * MIB}, drawing=Failed(pynvml.NVML_ERROR_NO_PERMISSION))
    nvidia = Nvidia(FakeNvml(first, second))
    nvidia.open()
    assert nvidia.by_pid(None) == {10: 7 * MIB, 11: MIB, 12: 0}
    assert nvidia.by_pid([11]) == {11: MIB}


def test_a_card_is_described_by_what_it_tells():
    """The rest is not made up."""
    mute = FakeGpu(limit=FAILED, used=FAILED, architecture=FAILED, capability=FAILED, pci=FAILED)
    nvidia = Nvidia(FakeNvml(FakeGpu(), mute))
    nvidia.open()
    told, silent = nvidia.cards()
    assert (told.memory, told.power_limit) == (10240 * MIB, 450.0)
    assert (told.architecture, told.driver) == ("Ada Lovelace", "570.124.06")
    assert attrs.astuple(silent)[2:] == (None, None, "570.124.06", None, None)


def test_an_architecture_newer_than_our_list_goes_by_its_capability():
    """And by none if that is new, too."""
    new = FakeGpu(architecture=99, capability=(12, 1))
    newer = FakeGpu(architecture=99, capability=(20, 0))
    nvidia = Nvidia(FakeNvml(new, newer))
    nvidia.open()
    assert [card.architecture for card in nvidia.cards()] == ["Blackwell", None]


@pytest.mark.parametrize(
    ("capability", "name"),
    [
        *(((2, 1), "Fermi"), ((3, 7), "Kepler"), ((5, 2), "Maxwell"), ((6, 1), "Pascal")),
        *(((7, 0), "Volta"), ((7, 2), "Volta"), ((7, 5), "Turing"), ((8, 0), "Ampere")),
        *(((8, 7), "Ampere"), ((8, 9), "Ada Lovelace"), ((9, 0), "Hopper")),
        *(((10, 3), "Blackwell"), ((11, 0), "Blackwell"), ((12, 0), "Blackwell")),
        *(((3, 1), None), ((7, 1), None), ((8, 8), None), ((1, 3), None)),
    ],
)
def test_compute_capabilities_have_names(capability, name):
    """NVIDIA's own table."""
    assert architecture(*capability) == name
