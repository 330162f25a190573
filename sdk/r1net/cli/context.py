"""What every command shares: settings, and what is said while it works."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from functools import partial
from typing import Any

from r1net.client import Client
from r1net.settings import Settings, resolve


@dataclass
class Context:
    """Filled by the top-level callback before a command runs."""

    flags: dict[str, Any]
    as_json: bool

    @property
    def settings(self) -> Settings:
        """The merged settings. Raises UsageError."""
        return resolve(self.flags)

    def client(self) -> Client:
        """A connection to the network, which says what it is at."""
        client = self.settings.client()
        client.say = partial(self.note, "step")
        return client

    def note(self, event: str, words: str) -> None:
        """Say what happens: a line of words, or of JSON for a program, on standard error."""
        line = json.dumps({"event": event, "detail": words}) if self.as_json else words
        print(line, file=sys.stderr, flush=True)
