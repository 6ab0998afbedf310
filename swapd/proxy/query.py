"""Reading and changing one field of a query, or of a form written like one. Pure.

Rule 1: the first field of a name counts, as in llama-swap; but all of that name are changed, so
that after a change it does not matter which one a model's server takes.
Rule 2: what is not changed keeps its bytes and its place.
Rule 3: a value that is not properly escaped, or has a bare semicolon, which some take for an
ampersand, is not read, as in llama-swap. It is changed all the same.
"""

import re
from functools import lru_cache
from urllib.parse import quote_plus, unquote_to_bytes

_UNREADABLE = re.compile(rb"%(?![0-9A-Fa-f]{2})|;")


def find(query: bytes, name: str) -> str:
    """Answer with the value of a field, "" if there is none."""
    for field in _field(name).finditer(b"&" + query):
        value = field[2] or b""
        if _UNREADABLE.search(value) is None:
            return unquote_to_bytes(value.replace(b"+", b" ")).decode(errors="replace")
    return ""


def replace(query: bytes, name: str, value: str) -> bytes:
    """Put `value` in every field of that name; one that is not there is not added."""
    spelled = b"=" + quote_plus(value).encode()
    return _field(name).sub(lambda field: field[1] + spelled, b"&" + query)[1:]


@lru_cache
def _field(name: str) -> re.Pattern[bytes]:
    """Match a field of that name however it is escaped, behind its ampersand.

    Not split at ampersands and compared: a body of a million of them would hold up everybody.
    """
    return re.compile(rb"(&%b)(?:=([^&]*))?(?![^&])" % b"".join(map(_spellings, name.encode())))


def _spellings(byte: int) -> bytes:
    escaped = b"%%(?i:%02x)" % byte
    if byte == ord(" "):
        return rb"(?:\+|%b)" % escaped
    plain = bytes((byte,))
    return escaped if plain in b"&=+%;" else b"(?:%b|%b)" % (re.escape(plain), escaped)
