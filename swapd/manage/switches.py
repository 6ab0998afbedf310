"""Parameters of a query that turn something on."""

from quart import request
from werkzeug.exceptions import BadRequest

WORDS = {"": True, "1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def only_switch(name: str) -> bool:
    """Tell whether the request has the switch on; it may have no other parameter.

    Raises `BadRequest`: nothing is done rather than what was not meant.
    """
    word = request.args.get(name, "no").lower()
    if word not in WORDS or set(request.args) - {name}:
        raise BadRequest(f"the only parameter here is {name}=1")
    return WORDS[word]
