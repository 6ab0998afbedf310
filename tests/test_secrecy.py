"""No secret is in a list of processes, in a log, or on a page, whatever is asked of a daemon."""

import json
from base64 import b64encode
from pathlib import Path

import pytest

from tests.daemons import CHAT, Daemon, pretend, serving

pytestmark = pytest.mark.real

# Nothing here is a secret by its looks: where it stands tells.
KEY, OTHER, PEERS, MODELS, GUESS = (f"{name}-4f1c09d2" for name in ("ka", "kb", "kc", "kd", "ke"))

FAR = {"proxy": "http://127.0.0.1:9", "apiKey": PEERS, "models": ["remote"]}

# What a model writes is its own business.
SETTINGS = {
    "apiKeys": [KEY, "${env.FRONT_DOOR}"],
    "peers": {"far": FAR},
    "logToStdout": "proxy",
}


def command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


async def ask(daemon: Daemon, path: str, body: bytes | None = None, **headers: str) -> int:
    """Ask once, and answer with the status."""
    caller = await daemon.call()
    fields = {name.replace("_", "-"): headers[name] for name in headers}
    await caller.send(path, body, headers=fields)
    reply = await caller.reply()
    await caller.leave()
    return reply.status


async def ask_for_all_sorts(daemon: Daemon) -> None:
    """Ask in ways that are logged, refused, failed and passed on."""
    chat = json.dumps({"model": "a"}).encode()
    basic = b64encode(f"me:{KEY}".encode()).decode()
    assert await ask(daemon, CHAT, chat, authorization=f"Bearer {KEY}") == 200
    assert await ask(daemon, CHAT, chat, authorization=f"Basic {basic}") == 200
    assert await ask(daemon, CHAT, chat, x_api_key=OTHER) == 200
    assert await ask(daemon, CHAT, chat, x_api_key=GUESS) == 401
    assert await ask(daemon, "/running", authorization=f"Bearer {GUESS}") == 401
    assert await ask(daemon, f"/v1/models?key={KEY}") == 401
    assert await ask(daemon, f"/v1/models?key={KEY}", x_api_key=KEY) == 200
    assert await ask(daemon, f"/upstream/a/x?token={KEY}", x_api_key=KEY) == 200
    assert (
        await ask(daemon, CHAT, b'{"model": "a", "key": "%b' % KEY.encode(), x_api_key=KEY) == 400
    )
    assert await ask(daemon, CHAT, b'{"model": "remote"}', x_api_key=KEY) == 502
    assert await ask(daemon, "/api/plan", KEY.encode(), x_api_key=KEY) == 400
    assert await ask(daemon, "/api/models/unload", b"", x_api_key=KEY, cookie=f"key={KEY}") == 200
    caller = await daemon.call()
    await caller.raw(
        b"GET / HTTP/1.1\r\nAuthorization: Bearer %b\r\nno field\r\n\r\n" % KEY.encode()
    )
    assert (await caller.head()).status_code == 400


async def reload_all_sorts(daemon: Daemon) -> None:
    """Have mistakes told that stand beside secrets, and in their place."""
    good = json.loads(daemon.config.read_text())
    for wrong in (
        {"apiKeys": [KEY, {PEERS: 1}]},
        {"apiKeys": KEY},
        {"apiKeys": [f"sha256:{KEY}"]},
        {"peers": {"far": {**FAR, "apiKey": [PEERS]}}},
        {"models": {"a": {"cmd": "x", "env": [MODELS], "ttl": "abc"}}},
        {
            "macros": {"token": KEY},
            "models": {"a": {"cmd": "${tokens}", "env": [f"A_KEY={MODELS}"]}},
        },
    ):
        daemon.config.write_text(json.dumps({**good, **wrong}))
        assert await ask(daemon, "/api/config/reload", b"", x_api_key=KEY) == 422
    daemon.config.write_text(json.dumps(good))
    assert await ask(daemon, "/api/config/reload", b"", x_api_key=KEY) == 200


async def test_no_secret_is_shown_to_whoever_looks_around(tmp_path: Path):
    """Lists of processes are for all users of a machine, and logs are mailed to strangers."""
    model = pretend("a", env=[f"HF_TOKEN={MODELS}"])
    async with serving(
        tmp_path, model, settings=SETTINGS, log="debug", env={"FRONT_DOOR": OTHER}
    ) as daemon:
        await ask_for_all_sorts(daemon)
        await reload_all_sorts(daemon)
        assert (await daemon.chat("a")).status == 200
        processes = daemon.left()
        assert len(processes) >= 2
        shown = {f"the command line of {pid}": command_line(pid) for pid in processes}
        for page in ("/api/config", "/running", "/api/queue", "/api/decisions", "/logs"):
            shown[page] = (await daemon.get(page)).body.decode()
        for row in range(1, 4):
            capture = (await daemon.get(f"/api/captures/{row}")).body.decode()
            shown[f"the capture of {row}"] = capture
    shown["the log"] = daemon.log.data.decode()
    shown["standard error"] = daemon.errors.decode()
    for path in (tmp_path / "state").rglob("*"):
        if path.is_file():
            shown[str(path)] = path.read_text(errors="replace")
    assert "Request 127.0.0.1" in shown["the log"]
    told = {
        place: secret
        for place, text in shown.items()
        for secret in (KEY, OTHER, PEERS, MODELS, GUESS, b64encode(f"me:{KEY}".encode()).decode())
        if secret in text
    }
    assert told == {}
