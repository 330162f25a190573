"""The HTTP side: three requests, one at a time, each on the main thread, where vLLM bound its threads.

    POST /load      {"folder"}                                → {"seconds", "wrong"}
    POST /generate  {"prompts", "sampling", "stop_ids"}       → a line of JSON for every few steps
    GET  /health                                              → {"vllm"}

A caller that hangs up stops its generation.
"""

from __future__ import annotations

import hmac
import json
import time
import traceback
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar

from vllm.exceptions import VLLMClientError

from .generator import Generator

PROGRESS_EVERY = 0.2
"""Seconds between lines while nothing finishes."""

WRONG = (VLLMClientError, ValueError, KeyError, TypeError)
"""What vLLM and this module raise for requests that cannot be done; whatever else happens is the engine's fault."""


class Service(BaseHTTPRequestHandler):
    """One request. `generator`, `key` and `about` are set before the server starts."""

    generator: ClassVar[Generator]
    key: ClassVar[str]
    about: ClassVar[dict[str, Any]]
    _begun = False

    def do_GET(self) -> None:
        """Whether the engine is up."""
        if self._admitted():
            self._answer(200, self.about)

    def do_POST(self) -> None:
        """Load or generate."""
        if not self._admitted():
            return
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        try:
            match self.path:
                case "/load":
                    seconds = self.generator.load(body["folder"])
                    self._answer(200, {"seconds": seconds, "wrong": self.generator.check(body["folder"])})
                case "/generate":
                    self._generate(body)
                case _:
                    self._answer(404, {"error": f"no {self.path}"})
        except ConnectionError:
            pass  # the caller hung up
        except Exception as error:
            traceback.print_exc()
            if not self._begun:  # else the answer just breaks off
                self._answer(400 if isinstance(error, WRONG) else 500, {"error": f"{type(error).__name__}: {error}"})

    def _generate(self, body: dict[str, Any]) -> None:
        steps = self.generator.generate(body)
        said = time.monotonic()
        try:
            for finished in steps:
                if not self._begun:  # what is wrong with a request shows at the first step, while a status can tell
                    self._head(200, "application/x-ndjson")
                if finished or time.monotonic() - said > PROGRESS_EVERY:
                    said = time.monotonic()
                    line = json.dumps({"finished": [asdict(one) for one in finished]})
                    self.wfile.write(line.encode() + b"\n")
        finally:
            steps.close()  # type: ignore[attr-defined]
        self.wfile.write(b'{"end": true}\n')

    def _admitted(self) -> bool:
        if hmac.compare_digest(self.headers.get("Authorization", ""), f"Bearer {self.key}"):
            return True
        self._answer(401, {"error": "wrong key"})
        return False

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        self._head(status, "application/json")
        self.wfile.write(json.dumps(body).encode())

    def _head(self, status: int, kind: str) -> None:
        self._begun = True
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing: the log is for vLLM's words."""


def serve(generator: Generator, key: str, about: dict[str, Any]) -> HTTPServer:
    """A server on a free loopback port, not yet running."""
    Service.generator, Service.key, Service.about = generator, key, about
    return HTTPServer(("127.0.0.1", 0), Service)
