"""The command line: argv to options, exceptions to exit codes. The only room that prints."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from swapd import __version__
from swapd.config.load import load
from swapd.config.problems import ConfigError
from swapd.config.settings import LogLevel, Settings
from swapd.daemon import Options, serve
from swapd.front.listen import Address, BadAddress, CannotListen
from swapd.front.serve import BadTls

LEVELS = {
    LogLevel.DEBUG: logging.DEBUG,
    LogLevel.INFO: logging.INFO,
    LogLevel.WARN: logging.WARNING,
    LogLevel.ERROR: logging.ERROR,
}


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run `swapd`; leaves with the exit code."""
    options = _parser().parse_args(argv)
    try:
        code = options.run(options)
    except ConfigError as broken:
        _complain(str(broken))
        code = os.EX_CONFIG
    except (CannotListen, BadTls) as problem:
        _complain(f"swapd: {problem}")
        code = os.EX_UNAVAILABLE if isinstance(problem, CannotListen) else os.EX_CONFIG
    except Exception as bug:
        _complain(f"swapd: internal error, please report it: {bug!r}")
        logging.getLogger(__name__).debug("internal error", exc_info=bug)
        code = os.EX_SOFTWARE
    sys.exit(code)


class _Parser(argparse.ArgumentParser):
    """argparse leaves with 2; sysexits.h has a number for wrong usage."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(os.EX_USAGE, f"{self.prog}: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="swapd", description="One endpoint in front of many model servers.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("serve", help="serve the models of a configuration")
    command.add_argument("--config", required=True, metavar="FILE", type=Path)
    command.add_argument(
        "--listen",
        metavar="ADDRESS",
        type=_address,
        default=Address(),
        help="HOST:PORT, :PORT for every interface, or unix:/path (default 127.0.0.1:8080)",
    )
    command.add_argument("--tls-cert-file", metavar="FILE", help="serve HTTPS with this chain")
    command.add_argument("--tls-key-file", metavar="FILE", help="and this key")
    command.add_argument(
        "--max-body",
        metavar="BYTES",
        type=_positive,
        default=Options().max_body,
        help="the largest request body (default %(default)s)",
    )
    command.set_defaults(run=_serve, fail=command.error)

    command = commands.add_parser("check", help="say what is wrong with a configuration")
    command.add_argument("file", metavar="FILE", type=Path)
    command.set_defaults(run=_check)

    command = commands.add_parser("version", help="print the version")
    command.set_defaults(run=_version)
    return parser


def _serve(asked: argparse.Namespace) -> int:
    if (asked.tls_cert_file is None) != (asked.tls_key_file is None):
        asked.fail("--tls-cert-file and --tls-key-file go together")
    settings = load([asked.config])
    _log_to_stderr(settings)
    options = Options(
        listen=asked.listen,
        certificate=asked.tls_cert_file,
        key=asked.tls_key_file,
        max_body=asked.max_body,
    )
    serve(settings, options, announce=_announce)
    return os.EX_OK


def _check(asked: argparse.Namespace) -> int:
    settings = load([asked.file])
    count = len(settings.models)
    print(f"{asked.file}: fine, {count} model{'s' * (count != 1)}")
    return os.EX_OK


def _version(asked: argparse.Namespace) -> int:
    print(f"swapd {__version__}")
    return os.EX_OK


def _address(text: str) -> Address:
    try:
        return Address.parse(text)
    except BadAddress as problem:
        raise argparse.ArgumentTypeError(str(problem)) from problem


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return int(text)


def _announce(line: str) -> None:
    print(line, flush=True)


def _complain(text: str) -> None:
    print(text, file=sys.stderr)


def _log_to_stderr(settings: Settings) -> None:
    logging.basicConfig(
        level=LEVELS[settings.log_level],
        format="%(asctime)s %(levelname)-7s %(message)s",
        datefmt="%Y-%m-%d %H:%M:%S",
        stream=sys.stderr,
    )
