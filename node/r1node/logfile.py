"""A worker's log on disk: what it says and what goes wrong, in files that are kept small."""

from __future__ import annotations

import logging
from logging.handlers import RotatingFileHandler
from pathlib import Path

from r1net.urls import ScrubbingFormatter

BYTES = 5_000_000
KEPT = 4
"""Files of so many bytes that are kept beside the present one."""
EVENTS = "r1node.said"
"""The logger of what a worker says; it goes into the file alone, since it is printed already."""


class _Quiet(RotatingFileHandler):
    """A disk that is full must not end the work, nor fill the screen."""

    def handleError(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""


def log_to(folder: Path) -> Path:
    """Keep what this process logs in `r1node.log` of a folder, too. Returns the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "r1node.log"
    handler = _Quiet(path, maxBytes=BYTES, backupCount=KEPT, encoding="utf-8", delay=True)
    handler.setFormatter(ScrubbingFormatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
    said = logging.getLogger(EVENTS)
    said.setLevel(logging.INFO)
    said.propagate = False
    said.addHandler(handler)
    return path
