"""swapd as it is, but for a scheduler that serves everybody at once:

    python -m tests.bench.at_once serve --config FILE --listen ADDRESS

For the rows that ask how streams fare side by side. serial never serves two at a time, and its
promise is not what is measured there.
"""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

from swapd.config.load import load
from swapd.daemon import Options, serve
from swapd.front.listen import Address
from swapd.schedule.effects import Effect, Grant
from swapd.schedule.phase import Phase
from swapd.schedule.serial import Serial


class AtOnce(Serial):
    """Grant every request whose model is ready."""

    def _grant(self) -> Iterator[Effect]:
        for ticket, model in list(self._desk.waiting.items()):
            facts = self._desk.run_of(model)
            if facts and facts.phase is Phase.READY:
                self._desk.grant(ticket, facts)
                yield Grant(ticket, facts.run)


def main() -> None:
    words = argparse.ArgumentParser()
    words.add_argument("command", choices=["serve"])
    words.add_argument("--config", type=Path, required=True)
    words.add_argument("--listen", type=Address.parse, required=True)
    said = words.parse_args()
    options = Options(listen=said.listen)
    loaded = load([said.config], os.environ)
    serve(loaded, options, read=lambda before: before, announce=announce, choose=AtOnce)


def announce(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
