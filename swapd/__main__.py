"""`python -m swapd`, and where the `swapd` command begins.

Rule 1: who only asks a running daemon does not wait for half a second of the daemon's imports.
"""

import signal

# Until somebody listens to signals, Ctrl-C ends us without a word: there is nothing to clean up
# yet, and the traceback of half an import helps nobody.
signal.signal(signal.SIGINT, signal.SIG_DFL)

import sys  # noqa: E402

from swapd.terminal.commands import NAMES  # noqa: E402

if NAMES.isdisjoint(sys.argv[1:2]):
    from swapd.cli import main
else:
    from swapd.terminal.commands import main

if __name__ == "__main__":
    main()
