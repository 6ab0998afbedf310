"""llama.cpp's own server with one of the tiny models, answering one request at a time.

Several at a time are computed together, and sums of other lengths round in other ways: now and
then another word comes first, and an answer could not be compared with what was heard before.
"""

import argparse
import signal
import sys

from swapd.demo import server, tiny


def main() -> None:
    """Serve until told to end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", choices=tiny.SHAPES)
    parser.add_argument("--port", type=int, required=True)
    flags = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    server.SLOTS = 1
    try:
        server.serve(tiny.cached(flags.model), name=flags.model, port=flags.port)
    except server.CannotServe as refusal:
        sys.exit(str(refusal))


if __name__ == "__main__":
    main()
