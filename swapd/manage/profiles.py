"""Which profiles there are, which is on, and switching. Shapes and sentences as llama-swap's."""

import json
from typing import Any

from quart import Blueprint, Response, request

from swapd import refusals
from swapd.config.settings import Profile
from swapd.engine import Engine
from swapd.manage.replies import refused
from swapd.manage.told import Told, tells
from swapd.profiles import NoSuchProfile, Profiles

WHITESPACE = " \t\r\n"

CHOICE = {
    "type": "object",
    "required": ["name"],
    "properties": {"name": {"type": ["string", "null"]}},
}


def blueprint(engine: Engine, profiles: Profiles) -> Blueprint:
    """Make the pages."""
    pages = Blueprint("profiles", __name__)

    def active() -> str | None:
        profile = profiles.active(engine.settings)
        return None if profile is None else profile.id

    @pages.get("/api/profiles")
    @tells(Told())
    async def every() -> dict[str, Any]:
        """List the profiles by id, and say which is on."""
        known = sorted(engine.settings.profiles.values(), key=lambda profile: profile.id)
        return {"active": active(), "profiles": [_shown(profile) for profile in known]}

    @pages.put("/api/profiles/active")
    @tells(Told(errors=("profile_not_found",), takes=CHOICE))
    async def choose() -> Response | dict[str, Any]:
        """Switch a profile on, or whichever is on off."""
        try:
            body = await request.get_data(cache=True, as_text=False, parse_form_data=False)
            name = _asked_for(body)
            profiles.choose(name, engine.settings)
        except _Unusable as bad:
            return refused(refusals.invalid_request(str(bad)))
        except NoSuchProfile as unknown:
            return refused(refusals.profile_not_found(unknown.name))
        return {"active": active()}

    return pages


class _Unusable(Exception):
    """The body does not say what to switch on."""


def _asked_for(body: bytes) -> str | None:
    """Read the name of a profile, or None for none, out of the first JSON value of a body."""
    try:
        value, _ = _decoder.raw_decode(body.decode().lstrip(WHITESPACE))
    # No text, no JSON, a number of thousands of digits, or lists in lists in lists.
    except (ValueError, RecursionError) as wrong:
        raise _Unusable("invalid profile request") from wrong
    match value:
        case {"name": None | ""}:
            return None
        case {"name": str(name)}:
            return name
        case {"name": _}:
            raise _Unusable("profile name must be a string or null")
        case {} | None:
            raise _Unusable("profile name is required")
        case _:
            raise _Unusable("invalid profile request")


def _no_json(word: str) -> None:
    raise ValueError(f"JSON has no {word}")


# Python's own would take NaN and Infinity.
_decoder = json.JSONDecoder(parse_constant=_no_json)


def _shown(profile: Profile) -> dict[str, Any]:
    pins = dict(sorted(profile.pins.items()))
    return {"id": profile.id, "description": profile.description, "pins": pins}
