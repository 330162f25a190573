"""What a worker keeps of its work for its host: `jobs/<job id>/metrics.jsonl` below the worker's folder."""

from __future__ import annotations

import errno
import json
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path

from r1net.protocol.work import Lease, RecomputeTask, RolloutTask, TrainTask, VerifyTask

log = logging.getLogger(__name__)


def note_metrics(
    folder: Path,
    lease: Lease,
    task: RolloutTask | TrainTask | VerifyTask | RecomputeTask,
    tokens: int,
    metrics: Mapping[str, float],
) -> None:
    """Append what was reported for a lease: a line with its task, its completion tokens and its metrics.

    A disk that is full must not cost the work: the line is left out, whole, and the log says so.
    """
    line = {
        "time": time.time(),
        "lease": lease.id,
        "kind": task.kind,
        "split": task.split if isinstance(task, RolloutTask | VerifyTask) else "train",
        "round": task.round,
        "version": task.version.number,
        "tokens": tokens,
        **metrics,
    }
    path = folder / "jobs" / lease.job_id / "metrics.jsonl"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _append(path, json.dumps(line).encode() + b"\n")
    except OSError as error:
        log.warning("could not write %s: %s", path, error)


def _append(path: Path, line: bytes) -> None:
    """Add a line to a file, whole or not at all."""
    with path.open("ab", buffering=0) as file:
        size = file.tell()
        try:
            if file.write(line) == len(line):
                return
        except OSError:
            file.truncate(size)
            raise
        file.truncate(size)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
