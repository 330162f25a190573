"""What a worker tells its host while it works: lines for people on stderr, or JSON lines on stdout."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Mapping

from r1net.protocol.work import Receipt, TrainReport, TrainTask
from r1node.alerts import Alerts
from r1node.logfile import EVENTS

LAST_ALERTS = 5.0
"""Seconds that a program which ends waits for its last alerts."""


class Events:
    """Prints one line for each event; repeats of the same idle reason are left out. Threads may share it."""

    def __init__(self, as_json: bool = False, alert: str | None = None) -> None:
        self._json = as_json
        self._log = logging.getLogger(EVENTS)
        self._alerts = None if alert is None else Alerts(alert, lambda why: self.note("alert", why))
        self._idle: str | None = None
        self._lock = threading.Lock()

    def note(self, event: str, text: str, **data: object) -> None:
        """Any event, with a sentence."""
        self._idle = None
        self._log.info("%s: %s", event, text)
        with self._lock:  # a line and its end are two writes
            if self._json:
                print(json.dumps({"time": time.time(), "event": event, "text": text, **data}), flush=True)
            else:
                print(f"{time.strftime('%H:%M:%S')}  {event:<10} {text}", file=sys.stderr, flush=True)

    def alert(self, event: str, text: str, **data: object) -> None:
        """An event that needs a person, also one who isn't looking."""
        self.note(event, text, **data)
        if self._alerts is not None:
            self._alerts.tell(event, text, **data)

    def close(self) -> None:
        """Wait a moment for the last alerts to be delivered."""
        if self._alerts is not None:
            self._alerts.drain(LAST_ALERTS)

    def idle(self, reason: str) -> None:
        """Nothing to do."""
        if reason != self._idle:
            self.note("idle", reason)
            self._idle = reason

    def receipt(self, receipt: Receipt, metrics: Mapping[str, float]) -> None:
        """An accepted submission."""
        speed = metrics["rollout/tokens_per_second"]
        self.note(
            "accepted",
            f"{receipt.accepted} traces, {receipt.tokens} tokens at {speed:.0f} tokens/s",
            receipt=receipt.model_dump(mode="json"),
        )

    def trained(self, task: TrainTask, report: TrainReport, agreed: bool) -> None:
        """A step, and whether it became the next version."""
        verdict = "agreed" if agreed else "not agreed, undone"
        self.note(
            "trained",
            f"version {report.version.number} {report.version.policy[:14]}… {verdict}",
            round=task.round,
            agreed=agreed,
            version=report.version.model_dump(mode="json"),
            metrics=report.metrics,
        )
