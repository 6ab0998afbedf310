"""What browsers are asked to do by the pages of others. Pure.

Any website can have its visitors' browsers connect here. Without keys that would be enough to do
everything, and a key that somebody has typed is added by the browser itself. So what is an admin's
is not done for other sites.

Rule 1: browsers are believed: no page can change what they say of it (`Sec-Fetch-…`, `Origin`).
Rule 2: a program that is no browser says nothing of the kind, and is not concerned.
"""

from collections.abc import Iterable

from swapd.wire.headers import Header

# From a page of ours, or from none: typed, a bookmark, an extension.
_WELCOME = frozenset((b"same-origin", b"none"))

_SCHEMES = (b"http://", b"https://")

# What all browsers have called themselves for thirty years.
_BROWSER = b"mozilla/"

# And who says so without being one. No page can have its visitors' browsers say this.
_TOOLS = (b"powershell/", b"winhttp.winhttprequest")


def is_foreign(method: str, headers: Iterable[Header], *, changes: bool) -> bool:
    """Tell whether a request, which may change something or not, is another site's doing.

    1. Where the browser says whose it is, that counts; but a link to what changes nothing may be
       followed.
    2. Old browsers never say, and no browser does without TLS to another machine. What changes
       nothing is answered then: no page can read it, for we allow none to.
    3. An origin has to be ours, by the name that we are called by.
    4. Links and pictures have none. So a browser that says nothing changes nothing by a GET, not
       even for somebody who typed it.
    """
    said: dict[bytes, set[bytes]] = {}
    for name, value in headers:
        said.setdefault(name.lower(), set()).add(value.lower())
    if sites := said.get(b"sec-fetch-site"):  # 1
        followed = method == "GET" and said.get(b"sec-fetch-mode") == {b"navigate"}
        return not sites <= _WELCOME and (changes or not followed)
    if not changes:  # 2
        return False
    if origins := said.get(b"origin"):  # 3
        # A browser leaves the usual port out; a proxy that passes the name on may not.
        hosts = {name.removesuffix(b":80").removesuffix(b":443") for name in said.get(b"host", ())}
        return not origins <= {scheme + host for scheme in _SCHEMES for host in hosts}
    agents = said.get(b"user-agent", set())
    return method in ("GET", "HEAD") and any(map(_is_browser, agents))  # 4


def _is_browser(agent: bytes) -> bool:
    return agent.startswith(_BROWSER) and not any(tool in agent for tool in _TOOLS)
