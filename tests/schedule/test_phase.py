"""The life of a run, as a table."""

from swapd.schedule.phase import NEXT, Phase, diagram


def test_every_phase_has_its_row_and_can_be_reached():
    """A phase that is not in the table would assert in the middle of the night."""
    assert set(NEXT) == set(Phase)
    assert set().union(*NEXT.values()) == set(Phase)


def test_a_process_is_cleared_away_before_it_counts_as_stopped():
    """Rule 2: what ends by itself may have children that live."""
    before_stopped = {phase for phase in Phase if Phase.STOPPED in NEXT[phase]}
    assert before_stopped == {Phase.STOPPING, Phase.FAILED}


def test_only_what_was_started_gets_ready():
    """Nothing is served by a model that is on its way out."""
    assert [phase for phase in Phase if Phase.READY in NEXT[phase]] == [Phase.STARTING]


def test_every_phase_leads_back_to_stopped():
    """There is no state that only a restart of the daemon would end."""
    for phase in Phase:
        reached = {phase}
        while (more := reached.union(*(NEXT[one] for one in reached))) != reached:
            reached = more
        assert Phase.STOPPED in reached


def test_the_names_are_those_of_the_api():
    """`/running` shows them; scripts compare them."""
    assert [phase.value for phase in Phase] == [
        "stopped",
        "starting",
        "ready",
        "stopping",
        "failed",
    ]


def test_the_diagram_shows_every_arrow():
    """It is read instead of the table."""
    lines = [line.split(" -> ") for line in diagram().splitlines()]
    drawn = {
        (source.strip(), target) for source, targets in lines for target in targets.split(", ")
    }
    assert drawn == {(phase.value, after.value) for phase in Phase for after in NEXT[phase]}
