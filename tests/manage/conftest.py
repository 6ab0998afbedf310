"""The control plane without any model."""

from typing import Any

import pytest

from swapd.config.load import Loaded
from swapd.engine import Engine
from swapd.flights import Flights
from swapd.loads import Loads
from swapd.manage.app import make_app
from swapd.profiles import Profiles
from swapd.reload import Reloader
from swapd.schedule.choose import choose
from swapd.wire.pool import Pool
from tests import stories
from tests.fakes import FakeModels


@pytest.fixture
def app() -> Any:
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
    return make_app(engine, reloader, profiles=Profiles(), flights=flights, loads=loads)
