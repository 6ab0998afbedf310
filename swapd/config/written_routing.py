"""The keys that say which requests and models run when; the rules of `written.py` hold."""

from collections.abc import Mapping

import attrs

from swapd.config.keys import FILLED_IN, key
from swapd.config.kinds import RouterKind, SchedulerKind, Strategy
from swapd.config.written_models import Free


@attrs.frozen
class WrittenSpillover:
    """`settings` of a selector."""

    spillover: int = key(1, "Requests on each target before the next one is used.")


@attrs.frozen
class WrittenSelector:
    """`selectors.<id>`: a name that stands for one of several models."""

    strategy: Strategy | None = key(None, "How a target is picked.", required=True)
    targets: tuple[str, ...] = key(
        (), "Models, aliases or peers' models, in order.", required=True
    )
    settings: WrittenSpillover = key(WrittenSpillover(), "Settings of the strategy spillover.")
    name: str = key("", "What people call it, for the list of models.")
    description: str = key("", "A sentence for the list of models.")
    unlisted: bool = key(False, "Hidden from the list of models, served all the same.")
    metadata: Free = key(FILLED_IN, "Anything, for the list of models.")


@attrs.frozen
class WrittenProfile:
    """`profiles.<name>`: replacements of names that are switched on together."""

    description: str = key("", "A sentence for people.")
    pins: Mapping[str, str | None] = key(
        FILLED_IN, "What is served for a name; nothing at all turns the name off.", required=True
    )


@attrs.frozen
class WrittenGroup:
    """A group: models that share a rule about running side by side."""

    swap: bool = key(True, "One member at a time.")
    exclusive: bool = key(True, "Loading a member unloads every other group.")
    persistent: bool = key(False, "No other group unloads this one.")
    members: tuple[str, ...] = key((), "Ids of models; each in one group only.")


@attrs.frozen
class WrittenMatrix:
    """`matrix`: the sets of models that may run side by side."""

    vars: Mapping[str, str] = key(FILLED_IN, "Short names for models, for the expressions.")
    evict_costs: Mapping[str, int] = key(
        FILLED_IN, "What it costs to lose a running model; 1 unless said.", spelled="evict_costs"
    )
    sets: Mapping[str, str] = key(
        FILLED_IN,
        "Expressions of models with & (together), | (either), + (another set), (…).",
        required=True,
    )


@attrs.frozen
class WrittenRouterSettings:
    """`routing.router.settings`."""

    groups: Mapping[str, WrittenGroup] = key(FILLED_IN, "For the router group.")
    matrix: WrittenMatrix | None = key(None, "For the router matrix.")


@attrs.frozen
class WrittenRouter:
    """`routing.router`."""

    use: RouterKind | None = key(
        None, "What says which models may run side by side under fifo: group unless said."
    )
    settings: WrittenRouterSettings = key(WrittenRouterSettings(), "Settings of the routers.")


@attrs.frozen
class WrittenSerial:
    """`routing.scheduler.settings.serial`."""

    max_queue: int = key(1000, "Requests that may wait; one more is refused with 429.", least=1)


@attrs.frozen
class WrittenFifo:
    """`routing.scheduler.settings.fifo`."""

    priority: Mapping[str, int] = key(
        FILLED_IN, "Models whose requests wait less than others: higher goes first, 0 unless said."
    )
    max_turn: int = key(
        30,
        "Seconds that a model may be served while another waits for it to go; 0 for ever.",
        least=0,
    )
    max_queue: int = key(1000, "Requests that may wait; one more is refused with 429.", least=1)


@attrs.frozen
class WrittenSchedulerSettings:
    """`routing.scheduler.settings`."""

    serial: WrittenSerial = key(WrittenSerial(), "Settings of the scheduler serial.")
    fifo: WrittenFifo = key(WrittenFifo(), "Settings of the scheduler fifo.")


@attrs.frozen
class WrittenScheduler:
    """`routing.scheduler`."""

    use: SchedulerKind = key(
        SchedulerKind.SERIAL,
        "serial: one request at a time in order of arrival, one model in memory. fifo: requests "
        "for the same model together, models side by side as the router allows.",
    )
    settings: WrittenSchedulerSettings = key(
        WrittenSchedulerSettings(), "Settings of the schedulers."
    )


@attrs.frozen
class WrittenRouting:
    """`routing`."""

    router: WrittenRouter = key(WrittenRouter(), "Which models may run side by side.")
    scheduler: WrittenScheduler = key(WrittenScheduler(), "In which order requests run.")
