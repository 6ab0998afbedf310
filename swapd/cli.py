"""The command line: argv to options, exceptions to exit codes. The only room that prints."""

import argparse
import io
import json
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import NoReturn

from swapd import __version__
from swapd.config import report, show
from swapd.config.files import find_files, once
from swapd.config.load import Loaded, load
from swapd.config.problems import ConfigError, Located
from swapd.config.schema import schema
from swapd.config.source import lines_of
from swapd.front.listen import Address, BadAddress, CannotListen
from swapd.front.serve import BadTls
from swapd.reload import seen
from swapd.service import BadHandover
from swapd.serving import Options, serve
from swapd.terminal.commands import Parser, add_commands
from swapd.watch.opening import AUTO
from swapd.watch.printing import Form
from swapd.watch.store import CannotStore

# What the log may look like; the first, unless somebody says otherwise.
LOG_FORMATS = (AUTO, *(form.value for form in Form))


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run `swapd`; leaves with the exit code."""
    _fill_gaps()
    options = _parser().parse_args(argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A model's name may have letters that this terminal does not.
            stream.reconfigure(errors="backslashreplace")
    try:
        code = options.run(options)
    except ConfigError as broken:
        _complain(_for_people(broken.problems))
        code = os.EX_CONFIG
    except (CannotListen, BadHandover, BadTls, CannotStore) as problem:
        _complain(f"swapd: {problem}")
        code = os.EX_UNAVAILABLE if isinstance(problem, CannotListen) else os.EX_CONFIG
    except BrokenPipeError:
        # Whoever read what is printed here has read enough: `swapd schema | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = os.EX_OK
    except Exception as bug:
        _complain(f"swapd: internal error, please report it: {bug!r}")
        logging.getLogger(__name__).debug("internal error", exc_info=bug)
        code = os.EX_SOFTWARE
    sys.exit(code)


def _fill_gaps() -> None:
    """Have something behind every standard stream, or a socket would take its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def state_folder(environment: Mapping[str, str]) -> Path | None:
    """Say where state is kept: where the service manager has it, else the user, else nowhere."""
    # A unit may have several, and the first is the one that it is named after.
    given = environment.get("STATE_DIRECTORY", "").partition(":")[0]
    if given:
        return Path(given)
    for name, below in (("XDG_STATE_HOME", "swapd"), ("HOME", ".local/state/swapd")):
        # What is not absolute is to be ignored, says XDG; it would be somewhere else each time.
        if (base := Path(environment.get(name, ""))).is_absolute():
            return base / below
    return None


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="swapd", description="One endpoint in front of many model servers.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("serve", help="serve the models of a configuration")
    command.add_argument("--config", metavar="FILE", type=Path, help="the configuration")
    command.add_argument(
        "--config-dir",
        metavar="DIRECTORY",
        type=Path,
        help="every *.yaml and *.yml in there, beside or instead of --config",
    )
    command.add_argument(
        "--watch-config", action="store_true", help="take a changed configuration up by itself"
    )
    command.add_argument(
        "--listen",
        metavar="ADDRESS",
        type=_address,
        default=Address(),
        help="HOST:PORT, :PORT for every interface, or unix:/path (default 127.0.0.1:8080)",
    )
    command.add_argument(
        "--admin-listen",
        metavar="ADDRESS",
        type=_address,
        help="have /api, /unload, /running, /logs and /metrics there and nowhere else",
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
    command.add_argument(
        "--state-dir",
        metavar="DIRECTORY",
        type=_folder,
        default=state_folder(os.environ),
        help="where what was measured is kept, '' for nowhere (default $STATE_DIRECTORY, else "
        "$XDG_STATE_HOME/swapd, else ~/.local/state/swapd)",
    )
    command.add_argument(
        "--log-format",
        choices=LOG_FORMATS,
        default=LOG_FORMATS[0],
        help="text for eyes, priority for a service manager's journal, json for programs (default "
        "auto: priority where a journal reads it, else text)",
    )
    command.set_defaults(run=_serve, fail=command.error)

    add_commands(commands)

    command = commands.add_parser(
        "check", help="say what is wrong with a configuration, or what it means"
    )
    command.add_argument(
        "files", metavar="FILE", type=Path, nargs="*", help="together they are one configuration"
    )
    command.add_argument("--config-dir", metavar="DIRECTORY", type=Path, help="as for serve")
    command.add_argument("--json", action="store_true", help="for editors")
    command.add_argument(
        "--show", action="store_true", help="print it with everything filled in, secrets masked"
    )
    command.set_defaults(run=_check, fail=command.error)

    command = commands.add_parser("schema", help="print the JSON Schema of configurations")
    command.set_defaults(run=_schema)

    command = commands.add_parser("version", help="print the version")
    command.set_defaults(run=_version)
    return parser


def _serve(asked: argparse.Namespace) -> int:
    if (asked.tls_cert_file is None) != (asked.tls_key_file is None):
        asked.fail("--tls-cert-file and --tls-key-file go together")
    if asked.config is None and asked.config_dir is None:
        asked.fail("--config FILE, --config-dir DIRECTORY, or both, are required")

    def read(before: Loaded | None) -> Loaded:
        files = find_files(asked.config, asked.config_dir)
        return load(files, os.environ, before=before.ports if before else None)

    # Until the daemon listens to it, and after: whoever asks for a reload wants no end.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    look = partial(seen, asked.config, asked.config_dir) if asked.watch_config else None
    options = Options(
        listen=asked.listen,
        admin_listen=asked.admin_listen,
        certificate=asked.tls_cert_file,
        key=asked.tls_key_file,
        max_body=asked.max_body,
        look=look,
        saw=look() if look else None,
        state=asked.state_dir,
        log_format=asked.log_format,
    )
    loaded = read(None)
    serve(loaded, options, read=read)
    return os.EX_OK


def _check(asked: argparse.Namespace) -> int:
    if not asked.files and asked.config_dir is None:
        asked.fail("FILE or --config-dir DIRECTORY is required")
    try:
        files = [*asked.files, *(find_files(None, asked.config_dir) if asked.config_dir else ())]
        once(files)
        loaded = load(files, os.environ)
    except ConfigError as broken:
        if not asked.json:
            raise
        _print_json({"ok": False, "problems": report.as_data(broken.problems), "warnings": []})
        return os.EX_CONFIG
    if asked.json:
        remarks = report.as_data(loaded.remarks)
        shown = {"config": show.as_tree(loaded.written, loaded.secrets)} if asked.show else {}
        _print_json({"ok": True, "problems": [], "warnings": remarks, **shown})
        return os.EX_OK
    if loaded.remarks:
        _complain(_for_people(loaded.remarks, kind="warning"))
    if asked.show:
        print(show.as_yaml(show.as_tree(loaded.written, loaded.secrets)), end="")
    else:
        count = len(loaded.settings.models)
        print(f"{', '.join(map(str, files))}: fine, {count} model{'s' * (count != 1)}")
    return os.EX_OK


def _schema(asked: argparse.Namespace) -> int:
    _print_json(schema())
    return os.EX_OK


def _version(asked: argparse.Namespace) -> int:
    print(f"swapd {__version__}")
    return os.EX_OK


def _for_people(problems: Sequence[Located], *, kind: str = "") -> str:
    # A caret helps eyes; whatever reads a pipe wants a line a problem.
    lines = cache(lines_of) if sys.stderr.isatty() else None
    return report.as_text(problems, lines, kind=kind)


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def _address(text: str) -> Address:
    try:
        return Address.parse(text)
    except BadAddress as problem:
        raise argparse.ArgumentTypeError(str(problem)) from problem


def _folder(text: str) -> Path | None:
    return Path(text) if text else None


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return int(text)


def _complain(text: str) -> None:
    print(text, file=sys.stderr)
