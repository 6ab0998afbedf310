"""`python -m swapd.demo`: arguments in, exit codes out.

0: told to end · 1: llama.cpp refused · 2: wrong arguments · 69: the extra `demo` is missing ·
73: the model cannot be put into the cache
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from swapd.demo import tiny

MODES = [mode.value for mode in tiny.Mode]


def main(argv: Sequence[str] | None = None) -> int:
    """Serve a tiny model, made first if need be; return the exit code."""
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _end)
    args = _parse(argv)
    try:
        if args.make_all:
            for name in tiny.SHAPES:
                print(tiny.cached(name))
            return 0
        return _serve(args.model, args.port, tiny.Mode(args.mode))
    except ImportError as missing:
        return _fail(os.EX_UNAVAILABLE, f"{missing}; pip install 'swapd[demo]'")
    except OSError as problem:
        return _fail(os.EX_CANTCREAT, f"{problem} (SWAPD_DEMO_CACHE says where models are kept)")


def _end(signum: int, frame: object) -> NoReturn:
    # Not SystemExit: what is being imported or made at this moment might swallow it.
    os._exit(0)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m swapd.demo",
        description="Serve a tiny random-weight model with llama.cpp's own server.",
    )
    parser.add_argument("model", nargs="?", choices=tiny.SHAPES, help="which model to serve")
    parser.add_argument("--port", type=int, help="where on 127.0.0.1")
    parser.add_argument("--mode", choices=MODES, default="chat", help="what for (default: chat)")
    parser.add_argument(
        "--make-all", action="store_true", help="only make the models, all of them"
    )
    args = parser.parse_args(argv)
    if not args.make_all and (args.model is None or args.port is None):
        parser.error("a model and its --port are needed, or --make-all")
    return args


def _serve(name: str, port: int, mode: tiny.Mode) -> int:
    # Here and not on top: what is missing must become a sentence, and --make-all needs none of it.
    from swapd.demo import server

    path = tiny.cached(name, mode)
    try:
        server.serve(path, name=name, port=port, mode=mode)
    except server.CannotServe as refusal:
        return _fail(1, str(refusal))


def _fail(code: int, why: str) -> int:
    print(f"cannot run the demo: {why}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
