"""A pretend model server that speaks as OpenAI and Anthropic document it, for their own clients.

Rule 1: the standard library only; one answer for each route, in the shape that the vendor shows.
Rule 2: what it was given comes back in the answer, so that a client holds in its hands what
arrived here: words as words, a picture as that picture, a recording by its SHA-256.
Rule 3: `client gone` on stdout says that somebody hung up on a stream without an end.
"""

import argparse
import base64
import hashlib
import json
import select
import signal
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# Both vendors mark things with such names, and both clients want one.
CALL = "call_1"


class Server(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    endless = False

    def do_GET(self) -> None:
        """Be healthy."""
        self.send("application/json", b'{"status": "ok"}')

    def do_POST(self) -> None:
        """Answer by the path."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        match self.path:
            case "/v1/chat/completions":
                self.answer(json.loads(body), chat, chat_stream)
            case "/v1/messages":
                self.answer(json.loads(body), message, message_stream)
            case "/v1/audio/speech":
                self.send("audio/mpeg", json.loads(body)["input"].encode()[::-1])
            case "/v1/audio/transcriptions":
                file = self.parts(body)["file"]
                self.send_json({"text": hashlib.sha256(file).hexdigest()})
            case "/v1/images/edits":
                image = base64.b64encode(self.parts(body)["image"]).decode()
                self.send_json({"created": 1, "data": [{"b64_json": image}]})
            case _:
                self.send_error(404)

    def answer(self, asked: dict[str, Any], whole: Any, streamed: Any) -> None:
        """Answer in one piece, or in events."""
        if asked.get("stream"):
            self.stream(streamed(asked))
        else:
            self.send_json(whole(asked))

    def stream(self, events: Iterator[dict[str, Any]]) -> None:
        """Answer in events, of which Anthropic's have names."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        event: dict[str, Any] = {}
        for event in events:
            kind = f"event: {event['type']}\n" if "type" in event else ""
            self.wfile.write(f"{kind}data: {json.dumps(event)}\n\n".encode())
            if self.endless and word_of(event):
                self.await_goodbye()
                return
        if "type" not in event:
            self.wfile.write(b"data: [DONE]\n\n")

    def await_goodbye(self) -> None:
        """Say nothing more until the other side hangs up."""
        poll = select.poll()
        poll.register(self.connection, select.POLLRDHUP)
        poll.poll()
        print("client gone", flush=True)

    def parts(self, body: bytes) -> dict[str, bytes]:
        """Take a form apart."""
        boundary = self.headers["Content-Type"].partition("boundary=")[2].strip('"')
        found = {}
        for part in body.split(f"--{boundary}".encode())[1:-1]:
            head, _, content = part.partition(b"\r\n\r\n")
            name = head.decode().partition('name="')[2].partition('"')[0]
            found[name] = content.removesuffix(b"\r\n")
        return found

    def send_json(self, value: object) -> None:
        """Answer with a value."""
        self.send("application/json", json.dumps(value).encode())

    def send(self, kind: str, body: bytes) -> None:
        """Answer with these bytes."""
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *about: object) -> None:
        """Keep quiet."""


def heard(asked: dict[str, Any]) -> str:
    """Answer with the last thing that was said."""
    return str(asked["messages"][-1]["content"])


def words(asked: dict[str, Any]) -> list[str]:
    """Cut it up as tokens would."""
    return [f"{word} " for word in heard(asked).split()]


def word_of(event: dict[str, Any]) -> str:
    """Answer with the text that an event brings, if any."""
    deltas = [choice["delta"] for choice in event.get("choices", ())] or [event.get("delta", {})]
    return str(deltas[0].get("content") or deltas[0].get("text") or "")


def chat(asked: dict[str, Any]) -> dict[str, Any]:
    """Answer as OpenAI, with a call of the first tool if there is one."""
    said: dict[str, Any] = {"role": "assistant", "content": heard(asked)}
    if tool := called_openai(asked):
        said = {"role": "assistant", "content": None, "tool_calls": [tool]}
    ending = "tool_calls" if tool else "stop"
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": asked["model"],
        "choices": [{"index": 0, "message": said, "finish_reason": ending}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    }


def chat_stream(asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The same in chunks; a tool's arguments come in two of them."""

    def chunk(delta: dict[str, Any], ending: str | None = None) -> dict[str, Any]:
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": asked["model"],
            "choices": [{"index": 0, "delta": delta, "finish_reason": ending}],
        }

    tool = called_openai(asked)
    if tool is None:
        yield chunk({"role": "assistant", "content": ""})
        for word in words(asked):
            yield chunk({"content": word})
        yield chunk({}, "stop")
        return
    text = tool["function"]["arguments"]
    function = {**tool["function"], "arguments": text[:5]}
    yield chunk({"tool_calls": [{**tool, "index": 0, "function": function}]})
    yield chunk({"tool_calls": [{"index": 0, "function": {"arguments": text[5:]}}]})
    yield chunk({}, "tool_calls")


def called_openai(asked: dict[str, Any]) -> dict[str, Any] | None:
    """Call the first tool with what was said."""
    for tool in asked.get("tools", ()):
        arguments = json.dumps({"place": heard(asked)})
        function = {"name": tool["function"]["name"], "arguments": arguments}
        return {"id": CALL, "type": "function", "function": function}
    return None


def message(asked: dict[str, Any]) -> dict[str, Any]:
    """Answer as Anthropic, with a use of the first tool if there is one."""
    block: dict[str, Any] = {"type": "text", "text": heard(asked)}
    for tool in asked.get("tools", ()):
        wanted = {"place": heard(asked)}
        block = {"type": "tool_use", "id": CALL, "name": tool["name"], "input": wanted}
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": asked["model"],
        "content": [block],
        "stop_reason": "tool_use" if block["type"] == "tool_use" else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 2},
    }


def message_stream(asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The same in events, a ping among them; a tool's input comes as pieces of JSON."""
    whole = message(asked)
    [block] = whole["content"]
    yield {"type": "message_start", "message": {**whole, "content": [], "stop_reason": None}}
    if block["type"] == "text":
        empty, pieces = {**block, "text": ""}, words(asked)
        deltas = [{"type": "text_delta", "text": piece} for piece in pieces]
    else:
        empty, text = {**block, "input": {}}, json.dumps(block["input"])
        deltas = [
            {"type": "input_json_delta", "partial_json": piece} for piece in (text[:5], text[5:])
        ]
    yield {"type": "content_block_start", "index": 0, "content_block": empty}
    yield {"type": "ping"}
    for delta in deltas:
        yield {"type": "content_block_delta", "index": 0, "delta": delta}
    yield {"type": "content_block_stop", "index": 0}
    ending = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "delta": ending, "usage": {"output_tokens": 2}}
    yield {"type": "message_stop"}


def main() -> None:
    """Serve until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    parser = argparse.ArgumentParser(description="A pretend server in the vendors' shapes.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--load", type=float, default=0.0, metavar="S", help="listen after S")
    parser.add_argument("--endless", action="store_true", help="streams stop at their first word")
    said = parser.parse_args()
    Server.endless = said.endless
    time.sleep(said.load)
    ThreadingHTTPServer(("127.0.0.1", said.port), Server).serve_forever()


if __name__ == "__main__":
    main()
