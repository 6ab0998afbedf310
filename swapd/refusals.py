"""Everything a request can be refused for, as a status, a code and a sentence.

The only room that names a status code of ours. Messages say whose fault it is and what to do.
"""

from typing import assert_never

import attrs

from swapd.config.values import quoted
from swapd.envelope import Refusal
from swapd.schedule.reasons import (
    BackingOff,
    Cancelled,
    Cause,
    LoadFailed,
    ModelUnloaded,
    NotLoaded,
    QueueFull,
    Reason,
    ShuttingDown,
    TooMany,
    Unkillable,
    UnknownModel,
)

# What a client is told to wait while the daemon restarts, in seconds.
RESTART = 5.0


@attrs.frozen
class Known:
    """One kind of error that a client may meet."""

    code: str
    status: int
    meaning: str


ERRORS = (
    Known("invalid_request", 400, "the request cannot be used; the message says why"),
    Known("unauthorized", 401, "no key came with the request, or a wrong one"),
    Known("cross_site", 403, "a browser asks, for a page of another site as it seems"),
    Known("model_not_found", 404, "the request names no model, or one that nobody configured"),
    Known("profile_not_found", 404, "nobody configured such a profile"),
    Known("not_found", 404, "there is nothing of this name"),
    Known("method_not_allowed", 405, "the path has other methods; Allow lists them"),
    Known("invalid_request", 408, "no more of the body came"),
    Known("conflict", 409, "the model is not loaded, and such a request does not load it"),
    Known("body_too_large", 413, "more than --max-body, or than a page takes"),
    Known("invalid_request", 422, "the new configuration has mistakes; nothing has changed"),
    Known("queue_full", 429, "as many wait as may; Retry-After follows the pace of the queue"),
    Known("concurrency_limit", 429, "as many requests as the model's concurrencyLimit allows"),
    Known("internal_error", 500, "an error in swapd itself; its log says which"),
    Known("load_failed", 502, "the model did not start; with its exit code and last lines"),
    Known("upstream_unreachable", 502, "the model or the peer does not answer"),
    Known("upstream_cut", 502, "the model or the peer ended its answer too early"),
    Known("back_off", 503, "the model failed several times; Retry-After says when it is tried"),
    Known("model_failed", 503, "a process survived SIGKILL; nothing is loaded on top of it"),
    Known("model_unloaded", 503, "somebody unloaded the model meanwhile"),
    Known("cancelled", 503, "somebody cancelled the request"),
    Known("shutting_down", 503, "swapd is being stopped"),
    Known("service_unavailable", 503, "what is asked for is not to be had now; the text says why"),
    Known("too_many_followers", 503, "as many follow what happens as may"),
    Known("upload_failed", 507, "the request's body could not be kept until its turn"),
    Known("peers_in_a_circle", 508, "a peer's model leads back here; peers name each other"),
)
"""Every code, with every status that it comes with."""


def of_reason(reason: Reason, retry_after: float | None = None) -> Refusal:
    """Translate the scheduler's reason."""
    match reason:
        case UnknownModel(model):
            return unknown_model(model)
        case QueueFull(limit):
            text = f"cannot queue another request: {limit} wait already; try again later"
            return Refusal(429, "queue_full", text, retry_after=retry_after)
        case TooMany(model, limit):
            return too_many(model, limit, retry_after)
        case LoadFailed(model, cause):
            text = f"cannot load {model}: {_words(cause)}"
            return Refusal(502, "load_failed", text, cause=cause)
        case BackingOff(model, cause):
            text = f"{model} failed to load several times and is left alone: {_words(cause)}"
            return Refusal(503, "back_off", text, retry_after=retry_after, cause=cause)
        case Unkillable(model, why):
            text = f"cannot load anything: {model} will not die: {why}"
            return Refusal(503, "model_failed", text)
        case ModelUnloaded(model):
            text = f"{model} was unloaded while this request waited for it or used it"
            return Refusal(503, "model_unloaded", text)
        case NotLoaded(model):
            return not_loaded(model, "such a request does not load it")
        case ShuttingDown():
            text = "swapd is shutting down; try again when it is back"
            return Refusal(503, "shutting_down", text, retry_after=RESTART)
        case Cancelled():
            return Refusal(503, "cancelled", "somebody cancelled this request")
        case _:
            assert_never(reason)


def unknown_model(name: str) -> Refusal:
    """Say that nobody configured this name."""
    text = f'model "{name}" not found; GET /v1/models lists those there are'
    return Refusal(404, "model_not_found", text)


def not_here(name: str) -> Refusal:
    """Say that a name stands for no single model of this machine."""
    text = f'"{name}" is a selector, or a model of a peer; ask for a model that runs here'
    return Refusal(404, "model_not_found", text)


def no_model(why: str) -> Refusal:
    """Say that the request names no model."""
    return Refusal(404, "model_not_found", f"no model id could be identified: {why}")


def turned_off(name: str) -> Refusal:
    """Say that a name stands for nothing now."""
    return no_model(f'the active profile turns "{name}" off')


def no_model_in_path(path: str) -> Refusal:
    """Say that no model's name begins a path."""
    text = f'model not found: no name begins "{path}"; GET /v1/models lists those that there are'
    return Refusal(404, "model_not_found", text)


def no_comfyui(model: str) -> Refusal:
    """Say which model the pages of ComfyUI need."""
    text = f"local model {model} not found; the pages below /comfyui/ come from it"
    return Refusal(404, "model_not_found", text)


def too_many(model: str, limit: int, retry_after: float | None) -> Refusal:
    """Say that a model has as many requests as it may."""
    text = f"Too many requests: {model} takes {limit} at a time (its concurrencyLimit)"
    return Refusal(429, "concurrency_limit", text, retry_after=retry_after)


def unauthorized() -> Refusal:
    """Ask for a key."""
    text = "unauthorized: invalid or missing API key"
    return Refusal(401, "unauthorized", text)


def cross_site() -> Refusal:
    """Say that a browser may not do this for the pages of others."""
    text = (
        "cannot tell that this is not another site's doing; set apiKeys and send one as Bearer or "
        "x-api-key, ask from a page of this origin, or from no browser (swapd unload)"
    )
    return Refusal(403, "cross_site", text)


def not_loaded(model: str, why: str) -> Refusal:
    """Say that this kind of request loads no model."""
    return Refusal(409, "conflict", f"model {model} is not loaded; {why}")


def no_target(selector: str) -> Refusal:
    """Say that a selector has nothing to choose from now."""
    text = f'selector "{selector}" has no available spillover targets; try again later'
    return Refusal(503, "service_unavailable", text, retry_after=RESTART)


def no_such_request(name: str) -> Refusal:
    """Say that no request under way is called so."""
    return Refusal(404, "not_found", f"inflight request not found: {name}")


def name_too_long(longest: int) -> Refusal:
    """Say that a name is none; it is not told again."""
    return invalid_request(f"the model's name has more than {longest} characters")


def no_capture() -> Refusal:
    """Say that nothing of a request was kept, or is not any more."""
    return Refusal(404, "not_found", "capture not found")


def no_record(why: str) -> Refusal:
    """Say that finished requests cannot be looked up."""
    text = f"cannot read the record of requests: {why}; try again, or look at store.path"
    return Refusal(503, "service_unavailable", text)


def no_hardware() -> Refusal:
    """Say that nobody could find out what this machine is."""
    return Refusal(503, "service_unavailable", "hardware detection unavailable")


def invalid_request(text: str) -> Refusal:
    """Say what is wrong with the client's body."""
    return Refusal(400, "invalid_request", text)


def bad_keep_alive(text: str) -> Refusal:
    """Say what the header may hold."""
    text = f"X-Swapd-Keep-Alive: expected seconds, 0 or -1, got {quoted(text)}"
    return invalid_request(text)


def body_too_large(limit: int) -> Refusal:
    """Say how much a request may hold."""
    text = f"the request's body is larger than {limit} bytes (swapd serve --max-body)"
    return Refusal(413, "body_too_large", text)


def too_large_for_a_page(limit: int) -> Refusal:
    """Say how much a page of the control plane takes."""
    text = f"the request's body is larger than {limit} bytes, the most that is taken here"
    return Refusal(413, "body_too_large", text)


def body_stalled(seconds: float) -> Refusal:
    """Say that the rest of the body did not come."""
    text = f"the body came too slowly, or nothing more of it within {seconds:g} s"
    return Refusal(408, "invalid_request", text)


def too_many_followers(most: int) -> Refusal:
    """Say that as many follow what happens as may."""
    text = f"cannot be followed by more than {most} at once; try again when others have left"
    return Refusal(503, "too_many_followers", text, retry_after=RESTART)


def too_many_connections(most: int) -> Refusal:
    """Say that nobody who is connected can be sent away for this one."""
    text = f"cannot serve more than {most} clients at once; try again later"
    return Refusal(503, "service_unavailable", text, retry_after=RESTART)


def upload_failed(why: str) -> Refusal:
    """Say that there is no place for a large body."""
    text = f"cannot keep the request's body on disk: {why}; TMPDIR of swapd says where that is"
    return Refusal(507, "upload_failed", text)


def upstream_unreachable(model: str, text: str) -> Refusal:
    """Say that the loaded model's server did not answer."""
    return Refusal(502, "upstream_unreachable", f"{model} did not answer: {text}")


def circle(model: str) -> Refusal:
    """Say that a request has come back to where it was."""
    text = f"cannot ask for {model}: the request came here through peers; they lead in a circle"
    return Refusal(508, "peers_in_a_circle", text)


def upstream_cut(model: str, text: str) -> Refusal:
    """Say that the model's answer ended too early."""
    return Refusal(502, "upstream_cut", f"{model} ended its answer too early: {text}")


def not_found(path: str) -> Refusal:
    """Say that there is no such path."""
    return Refusal(404, "not_found", f"there is nothing at {path}")


def method_not_allowed(method: str, allow: str) -> Refusal:
    """Say which methods the path has."""
    text = f"{method} is not possible here; use {allow}"
    return Refusal(405, "method_not_allowed", text, allow=allow)


def bad_request(status: int, text: str) -> Refusal:
    """Say what the web framework found wrong with a request."""
    return Refusal(status, "invalid_request", text)


def broken_configuration(mistakes: int) -> Refusal:
    """Say that a new configuration cannot be used."""
    count = "a mistake" if mistakes == 1 else f"{mistakes} mistakes"
    text = f"the configuration has {count}; nothing has changed"
    return Refusal(422, "invalid_request", text)


def internal_error() -> Refusal:
    """Say that it is our own fault."""
    text = "an error in swapd itself; its log says which"
    return Refusal(500, "internal_error", text)


def profile_not_found(name: str) -> Refusal:
    """Say that nobody configured this profile."""
    return Refusal(404, "profile_not_found", f'profile "{name}" not found')


def _words(cause: Cause) -> str:
    if not cause.last_lines:
        return cause.text
    return "\n".join([f"{cause.text}; its last lines:", *cause.last_lines])
