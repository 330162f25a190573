"""What needs a person who isn't looking: handed to a command or a web address of the host's choice.

It must cost no work: deliveries run on a thread of their own, one after the other, and one that fails is an event.
"""

from __future__ import annotations

import json
import queue
import shlex
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import httpx

from r1net.errors import R1Error, UsageError
from r1net.urls import redact, require_tls

TIMEOUT = 20.0
"""Seconds that one delivery may take."""
TRIES = (0.0, 5.0, 30.0)
"""Seconds before each try at a web address."""
_WAITING = 100
"""Alerts that wait for delivery: a receiver that hangs must not fill the memory."""


class NotDelivered(R1Error):
    """An alert that did not arrive."""

    code = "not_delivered"


def check_target(target: str, allow_plain_http: bool) -> None:
    """Raises UsageError for a target that can't work."""
    if _is_url(target):
        require_tls(target, allow_plain_http)
        return
    try:
        words = shlex.split(target)
    except ValueError as error:
        raise UsageError(f"{target!r} is no command: {error}", hint="quote it as in a shell") from error
    if target and not words:
        raise UsageError("an empty command alerts nobody", hint="name a command or a URL, or leave the setting out")


def deliver(target: str, alert: dict[str, object]) -> None:
    """One alert, as JSON: posted to a URL, or on the standard input of a command. Raises NotDelivered."""
    body = json.dumps(alert)
    if _is_url(target):
        _post(target, body)
    else:
        _run(shlex.split(target), body)


class Alerts:
    """Delivers to one target, on a thread. `failed` hears why an alert did not arrive."""

    def __init__(self, target: str, failed: Callable[[str], None]) -> None:
        self._target, self._failed = target, failed
        self._waiting: queue.Queue[dict[str, object]] = queue.Queue(_WAITING)
        threading.Thread(target=self._work, name="alerts", daemon=True).start()

    def tell(self, event: str, text: str, **data: object) -> None:
        """Hand over what happened; returns at once."""
        try:
            self._waiting.put_nowait({"time": time.time(), "event": event, "text": text, **data})
        except queue.Full:
            self._failed(f"too many alerts wait for {redact(self._target)}: this one is dropped")

    def drain(self, seconds: float) -> None:
        """Wait until all is delivered, so long at most."""
        until = time.monotonic() + seconds
        while self._waiting.unfinished_tasks and time.monotonic() < until:
            time.sleep(0.05)

    def _work(self) -> None:
        while True:
            alert = self._waiting.get()
            try:
                deliver(self._target, alert)
            except NotDelivered as error:
                self._failed(error.message)
            finally:
                self._waiting.task_done()


def _is_url(target: str) -> bool:
    return target.startswith(("http://", "https://"))


def _post(url: str, body: str) -> None:
    problem = ""
    for pause in TRIES:
        time.sleep(pause)
        try:
            answer = httpx.post(url, content=body, headers={"content-type": "application/json"}, timeout=TIMEOUT)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            problem = type(error).__name__
            continue
        if answer.is_success:
            return
        problem = f"status {answer.status_code}"
    raise NotDelivered(f"an alert did not reach {redact(url)}: {problem}", hint="check the address in `alert`")


def _run(command: list[str], body: str) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - the host's own command, by no shell
            command, input=body.encode(), capture_output=True, timeout=TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotDelivered(f"the alert command {command[0]} failed: {error}", hint="check `alert`") from error
    if done.returncode:
        said = ""
        with suppress(IndexError):
            said = f": {done.stderr.decode(errors='replace').strip().splitlines()[-1][:200]}"
        words = f"the alert command {command[0]} ended with {done.returncode}{said}"
        raise NotDelivered(words, hint="check `alert`")
