"""The control plane without any model."""

from collections.abc import Iterator
from typing import Any

import pytest

from swapd.config.load import Loaded
from swapd.engine import Engine
from swapd.flights import Flights
from swapd.loads import Loads
from swapd.manage.app import make_app
from swapd.manage.live import Live
from swapd.profiles import Profiles
from swapd.reload import Reloader
from swapd.schedule.choose import choose
from swapd.watch.logs import Logs
from swapd.watchers import open_recorder, watch_over
from swapd.wire.pool import Pool
from tests import stories
from tests.fakes import FakeModels
from tests.house import at_once


@pytest.fixture
def app() -> Iterator[Any]:
    """Make the app over an engine that does not run."""
    settings = stories.settings(["a"])
    engine = Engine(
        settings,
        choose(settings),
        supervise=FakeModels(),
        open_pool=lambda model: Pool(model.origin),
    )
    reloader = Reloader(
        Loaded(settings), read=stories.unchanged, adopt=engine.adopt, running=engine.running
    )
    flights = Flights()
    loads = Loads(engine, flights)
    profiles, logs = Profiles(), Logs(settings.log_to_stdout)
    recorder = open_recorder(settings, in_thread=at_once)
    watching = watch_over(engine, logs, recorder)
    live = Live(engine, flights, profiles, logs, recorder, loads)
    yield make_app(
        *(engine, reloader),
        profiles=profiles,
        flights=flights,
        loads=loads,
        watching=watching,
        live=live,
    )
    recorder.close()
