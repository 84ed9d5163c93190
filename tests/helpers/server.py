"""An OpenAI-compatible server on this machine whose every answer is scripted, faults included."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Behave = Callable[[int, dict[str, Any]], "tuple[int, Any] | str"]


def data_of(body: dict[str, Any]) -> dict[str, Any]:
    """The object that the last message holds; of a plain chat, the whole request and its last
    message as `text`."""
    last = body["messages"][-1]["content"]
    try:
        return dict(json.loads(last))
    except (ValueError, TypeError):
        return body | {"text": last}


class Server:
    """An OpenAI-compatible server whose every answer is decided by `behave(times this reply, number
    or text was asked about, data)`."""

    def __init__(self, behave: Behave):
        self.behave, self.asked, self.bodies, self.lock = (
            behave,
            Counter[str](),
            list[dict[str, Any]](),
            threading.Lock(),
        )
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                data = data_of(body)
                with outer.lock:
                    outer.bodies.append(body)
                    about = str(data.get("reply", data.get("number", data.get("text"))))
                    outer.asked[about] += 1
                    n = outer.asked[about]
                did = outer.behave(n, data)
                if did == "cut":
                    self.connection.close()
                    return
                if did == "sleep":
                    time.sleep(1.6)
                    did = (500, {})
                status, answer = did
                content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                with contextlib.suppress(ConnectionError):  # a client that no longer waits
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(
            target=self.http.serve_forever, kwargs={"poll_interval": 0.02}
        )
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_address[1]}/v1"

    def close(self) -> None:
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


def said(
    text: str, tokens: int = 10, finish: str = "stop", tops: list[dict[str, float]] | None = None
) -> tuple[int, dict[str, Any]]:
    """`tops`: for each token the log-probabilities of the likeliest, of which the first was
    said."""
    message = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": 100, "completion_tokens": tokens, "total_tokens": 100 + tokens}
    choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": finish}
    if tops is not None:
        rows = [[{"token": t, "logprob": v, "bytes": None} for t, v in top.items()] for top in tops]
        choice["logprobs"] = {
            "content": [row[0] | {"top_logprobs": row} for row in rows],
            "refusal": None,
        }
    return 200, {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [choice],
        "usage": usage,
    }
