"""What the configuration changes in a JSON request. Pure.

Rule 1: each step sees what the one before it left: the model's name, what is taken away, what is
set, what is set for the name that was asked for.
Rule 2: a request in which nothing changes keeps its bytes.
Rule 3: no parameter touches `model`, however its path is spelled.
"""

from collections.abc import Iterable

from swapd.config.settings import Filters, Params
from swapd.proxy.editing import Document, steps_of

_NO_PARAMS: Params = {}


def rewritten(body: bytes, *, asked: str, model: str | None, filters: Filters) -> bytes:
    """Change a body that `naming.find` accepted; raise `BadBody` if that is too much work.

    `model` is what the model's server calls itself, None if the request already says so; `asked`
    is the name that the request was for.
    """
    by_name = filters.by_name.get(asked, _NO_PARAMS)
    if model is None and not (filters.strip or filters.set_params or by_name):
        return body
    document = Document(body.decode())
    if model is not None:
        document.set("model", model)
    for path in _allowed(filters.strip):
        document.delete(path)
    for params in (filters.set_params, by_name):
        for path in _allowed(params):
            document.set(path, params[path])
    return document.render().encode() if document.changed else body


def _allowed(paths: Iterable[str]) -> Iterable[str]:
    for path in paths:
        steps = steps_of(path)
        if steps and steps[0].name != "model":
            yield path
