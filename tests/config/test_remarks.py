"""What works, but hardly as it was meant."""

import pytest

from swapd.config.load import loaded_from
from swapd.config.source import parse

M = "models: {a: {cmd: x, proxy: http://h}}\n"


@pytest.mark.parametrize(
    ("text", "remark"),
    [
        pytest.param(
            "logLevel: trace",
            'f.yaml:2:11: logLevel: "trace" means info; known are debug, info, warn, error',
            id="C019",
        ),
        pytest.param(
            "logTimeFormat: iso",
            'f.yaml:2:16: logTimeFormat: "iso" means no time;',
            id="C019-time",
        ),
        pytest.param(
            "hooks: {on_startup: {preload: [a, nobody]}}",
            'f.yaml:2:35: hooks.on_startup.preload[1]: there is no model "nobody"',
            id="C233",
        ),
        pytest.param(
            "groups: {g: {members: [a]}}",
            "f.yaml:2:1: the scheduler serial has one model in memory and ignores",
            id="D1",
        ),
        pytest.param(
            "routing: {router: {settings: {groups: {g: {members: [a]}}}}}",
            "f.yaml:2:31: routing.router.settings: the scheduler serial",
            id="D1-new-place",
        ),
    ],
)
def test_a_remark_has_a_place_and_a_reason(text: str, remark: str) -> None:
    """The file works; whoever wrote it meant something else."""
    (told,) = loaded_from([parse(M + text, file="f.yaml")]).remarks

    assert str(told).startswith(remark)


def test_an_ordinary_file_is_passed_over_in_silence() -> None:
    """Whoever is told too much reads nothing."""
    text = M + "logLevel: ' Debug '\nlogTimeFormat: RFC3339\nhooks: {on_startup: {preload: ['']}}"

    assert loaded_from([parse(text, file="f.yaml")]).remarks == ()


def test_groups_count_under_fifo() -> None:
    """Then they are no mere decoration; but that scheduler is still to come."""
    text = M + "groups: {g: {members: [a]}}\nrouting: {scheduler: {use: fifo}}"
    (told,) = loaded_from([parse(text, file="f.yaml")]).remarks

    assert str(told) == (
        "f.yaml:3:28: routing.scheduler.use: this version has no scheduler fifo yet: "
        "swapd serve refuses it"
    )
