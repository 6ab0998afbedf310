"""Prometheus's text format, version 0.0.4.

Written here and not by prometheus_client, which takes twice as long for it and puts labels into an
order of its own.

Rule 1: numbers are written as Go does it, and llama-swap with it: whole ones without a fraction.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal

from prometheus_client.metrics_core import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# Between these, Go writes a float with an exponent and Python does not.
WITH_EXPONENT = 1e6
PYTHON_TOO = 1e16

# When each series began: one more line for each.
NOBODY_ASKS = "_created"

Labels = Iterable[tuple[str, str]]
Values = Sequence[tuple[Labels, str]]


def family(name: str, about: str, values: Values, *, kind: str = "gauge") -> str:
    """Write one family; nothing for one without values."""
    lines = [f"{name}{_braced(labels)} {value}\n" for labels, value in values]
    return _head(name, about, kind) + "".join(lines) if lines else ""


def counted(metric: Metric) -> str:
    """Write a family of prometheus_client's; nothing for one without values."""
    name = f"{metric.name}_total" if metric.type == "counter" else metric.name
    lines = [
        f"{sample.name}{_braced(sample.labels.items())} {number(sample.value)}\n"
        for sample in metric.samples
        if not sample.name.endswith(NOBODY_ASKS)
    ]
    return _head(name, metric.documentation, metric.type) + "".join(lines) if lines else ""


def number(value: float) -> str:
    """Write a number as Go's `%g` does: 20, 10.5, 8.589934592e+09."""
    text = repr(float(value)).removesuffix(".0")
    if not WITH_EXPONENT <= abs(value) < PYTHON_TOO:
        return text
    # Not Python's own `e` or `g`: those cut digits, or add some.
    mantissa, _, exponent = f"{Decimal(text).normalize():e}".partition("e")
    return f"{mantissa}e{int(exponent):+03d}"


def _head(name: str, about: str, kind: str) -> str:
    return f"# HELP {name} {about}\n# TYPE {name} {kind}\n"


def _braced(labels: Labels) -> str:
    pairs = ",".join([f'{name}="{_escaped(value)}"' for name, value in labels])
    return f"{{{pairs}}}" if pairs else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
