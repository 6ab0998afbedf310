"""`python -m swapd`, and where the `swapd` command begins."""

import signal

# Until the daemon listens to signals, Ctrl-C ends us without a word: there is nothing to clean up
# yet, and the traceback of half an import helps nobody.
signal.signal(signal.SIGINT, signal.SIG_DFL)

from swapd.cli import main  # noqa: E402

if __name__ == "__main__":
    main()
