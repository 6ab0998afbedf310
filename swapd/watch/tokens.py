"""What an answer says of its tokens and speeds, in whoever's words. Pure.

Rule 1: JSON is read strictly, and the numbers in it leniently, as in llama-swap.
Rule 2: whatever an answer says, nothing is raised, and every number made of it fits SQLite and
JSON.
Rule 3: 0 stands for an answer that says nothing, -1 for what the others leave open.

llama.cpp's `timings` count what was really computed, so they win over `usage`, which every
server has; vLLM's `metrics` add speeds. A null among `timings` and `metrics` is as good as none:
servers that write out every field they know would otherwise take away what `usage` says.
"""

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

import attrs

Part = Mapping[str, Any]

# The parts of an answer that are looked for; what has none of these words need not be read.
PARTS = ("usage", "timings", "metrics")

# No usage is larger, and no more places are tried that only look like one.
LARGEST_PART = 8 * 1024
MOST_TRIES = 16

# What SQLite calls an integer.
MOST = 2**63 - 1

# Where in a usage they may stand; the first that is there counts.
_PLACES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "input": (("", "prompt_tokens"), ("", "input_tokens")),
    "output": (("", "completion_tokens"), ("", "output_tokens")),
    "cached": (
        ("", "cache_read_input_tokens"),
        ("input_tokens_details", "cached_tokens"),
        ("prompt_tokens_details", "cached_tokens"),
    ),
}

# Longer ones do not fit SQLite, and Python refuses to read the longest as integers at all.
_LONGEST_INTEGER = 20


@attrs.frozen
class Tokens:
    """What an answer says that it took."""

    input: int = 0
    output: int = 0
    cached: int = 0
    draft: int = 0
    draft_accepted: int = 0
    prompt_per_second: float = 0.0
    tokens_per_second: float = 0.0
    model_ms: int = 0
    """How long it took by the model's own account, 0 if it gives none."""


@attrs.define
class Account:
    """What the events of a stream, or one document, have said so far."""

    _input: int = 0
    _output: int = 0
    _cached: int = -1
    _timings: Part | None = None
    _metrics: Part | None = None
    _said: bool = False

    def event(self, event: object) -> None:
        """Take in what one event says; later ones say it better, unless they say 0."""
        if not isinstance(event, dict):
            return
        for holder in (event, event.get("response"), event.get("message")):
            if isinstance(holder, dict):
                self._said |= self._use(holder.get("usage"))
        self._measure(event)

    def document(self, parts: Part) -> None:
        """Take in a whole answer. That it has usage counts, even if nothing is in there."""
        self._use(parts.get("usage"))
        self._said |= "usage" in parts
        self._measure(parts)

    def tokens(self) -> Tokens:
        """Answer with all of it together."""
        if not self._said:
            return Tokens()
        tokens = Tokens(self._input, self._output, self._cached, -1, -1, -1.0, -1.0)
        if self._timings is not None:
            tokens = _timed(tokens, self._timings)
        if self._metrics is not None:
            tokens = _measured(tokens, self._metrics)
        return tokens

    def _use(self, usage: object) -> bool:
        said = _quantities(usage)
        self._input = max(0, _count(said.get("input"))) or self._input
        self._output = max(0, _count(said.get("output"))) or self._output
        cached = _count(said.get("cached", -1))
        self._cached = cached if cached >= 0 else self._cached
        return bool(said)

    def _measure(self, parts: Part) -> None:
        if (timings := parts.get("timings")) is not None:
            self._timings = _part(timings)
            self._said = True
        if (metrics := parts.get("metrics")) is not None:
            self._metrics = _part(metrics)
            self._said = True


def of_document(text: bytes, *, infill: bool) -> Tokens:
    """Answer with what a whole answer says. llama.cpp's infill may be a list; its last counts."""
    document = read_json(text)
    if infill and isinstance(document, list):
        last = document[-1] if document and isinstance(document[-1], dict) else {}
        document = {"timings": last.get("timings")}
    return of_parts(document) if isinstance(document, dict) else Tokens()


def of_parts(parts: Part) -> Tokens:
    """Answer with what these parts of an answer say."""
    account = Account()
    account.document(parts)
    return account.tokens()


def speaks(text: bytes) -> bool:
    """Say whether any of the parts may be in there, faster than reading it."""
    return b'"usage"' in text or b'"timings"' in text or b'"metrics"' in text


def parts_in(text: bytes) -> Part:
    """Find the parts in a text that is too long to be read, or not all there; the last counts.

    Within a string their quotes would have backslashes, so what looks like a key is one. It may
    still be another's: a tool may have a parameter called `usage`, hence the look inside.
    """
    parts = {name: _last_object(text, name) for name in PARTS}
    return {name: part for name, part in parts.items() if part is not None}


def read_json(text: bytes) -> object:
    """Read a JSON document; None stands for null and for what is none."""
    return _read(text.decode("utf-8", "replace"))


def _timed(tokens: Tokens, timings: Part) -> Tokens:
    """Let llama.cpp's own count win."""
    drafted = "draft_n" in timings and "draft_n_accepted" in timings
    took = _number(timings.get("prompt_ms")) + _number(timings.get("predicted_ms"))
    return Tokens(
        input=_count(timings.get("prompt_n")),
        output=_count(timings.get("predicted_n")),
        cached=_count(timings["cache_n"]) if "cache_n" in timings else tokens.cached,
        draft=_count(timings["draft_n"]) if drafted else -1,
        draft_accepted=_count(timings["draft_n_accepted"]) if drafted else -1,
        prompt_per_second=_speed(_number(timings.get("prompt_per_second"))),
        tokens_per_second=_speed(_number(timings.get("predicted_per_second"))),
        model_ms=max(0, _count(took)),
    )


def _measured(tokens: Tokens, metrics: Part) -> Tokens:
    """Add what vLLM measured."""
    guessed = _part(metrics.get("speculative_decoding"))
    drafted, accepted = "num_draft_tokens", "num_accepted_draft_tokens"
    if drafted in guessed and accepted in guessed:
        tokens = attrs.evolve(
            tokens, draft=_count(guessed[drafted]), draft_accepted=_count(guessed[accepted])
        )
    first = _number(metrics.get("time_to_first_token_ms"))
    if first > 0:
        computed = tokens.input - max(tokens.cached, 0)
        tokens = attrs.evolve(tokens, prompt_per_second=_speed(computed * 1000 / first))
    between = _number(metrics.get("mean_itl_ms"))
    if between > 0:
        tokens = attrs.evolve(tokens, tokens_per_second=_speed(1000 / between))
    return tokens


def _quantities(usage: object) -> dict[str, object]:
    """Answer with those of `input`, `output` and `cached` that this usage has, as it has them."""
    said: dict[str, object] = {}
    if not isinstance(usage, dict) or not usage:
        return said
    for name, places in _PLACES.items():
        for outer, key in places:
            holder = _part(usage.get(outer)) if outer else usage
            if key in holder:
                said[name] = holder[key]
                break
    return said


def _last_object(text: bytes, name: str) -> Part | None:
    key = b'"%b"' % name.encode()
    end = len(text)
    for _ in range(MOST_TRIES):
        end = text.rfind(key, 0, end)
        if end < 0:
            return None
        start = end + len(key)
        behind = text[start : start + LARGEST_PART].lstrip()
        if behind.startswith(b":"):
            found = _read_object(behind[1:].lstrip())
            if found is not None and (name != "usage" or _quantities(found)):
                return found
    return None


def _read_object(text: bytes) -> Part | None:
    try:
        value, _ = _decoder.raw_decode(text.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _part(value: object) -> Part:
    return value if isinstance(value, dict) else {}


def _count(value: object) -> int:
    if type(value) is int and -MOST <= value <= MOST:
        return value  # What it nearly always is.
    number = _number(value)
    if not math.isfinite(number):
        return -1
    return max(-MOST, min(MOST, int(number)))


def _speed(number: float) -> float:
    return float(number) if math.isfinite(number) else -1.0


def _number(value: object) -> int | float:
    """Read a number, in a text too; everything else is 0."""
    match value:
        case float():
            return value
        case int():
            # Not further: a float has no room for the largest integers.
            return max(-MOST, min(MOST, int(value)))
        case str():
            written = _read(value)
            return _number(written) if type(written) in (int, float) else 0
        case _:
            return 0


def _read(text: str) -> object:
    try:
        return _quick.decode(text)
    except (ValueError, RecursionError):
        return _read_odd(text)


def _read_odd(text: str) -> object:
    """Read what may be no JSON, or hold integers too long for Python to read."""
    try:
        return _decoder.decode(text)
    # A document may nest deeper than the interpreter's stack.
    except (ValueError, RecursionError):
        return None


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _LONGEST_INTEGER else float(digits)


def _refuse(word: str) -> NoReturn:
    """Python's own reader takes NaN and Infinity for JSON."""
    raise ValueError(word)


_decoder = json.JSONDecoder(parse_int=_integer, parse_constant=_refuse)
# Integers are read without a call for each; those that are too long for that are cut to size.
_quick = json.JSONDecoder(parse_constant=_refuse)
