"""Environments made with `verifiers` (0.4), single-turn or multi-turn, as a job's problems, tool and reward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from r1net.adapters.job import Job, make, source_of
from r1net.adapters.places import Place

_VERSION = "0.4.0"


def job(
    taskset: str,
    tasks: int,
    *,
    packages: Sequence[str] = (),
    config: Mapping[str, Any] | None = None,
    seconds: float = 5.0,
    root: Path | None = None,
) -> Job:
    """A taskset of `verifiers.v1`, with the environment that its package brings, as a job.

    `taskset`: its id, as `verifiers` finds it among its own or in one of `packages`; or `file.py`, a file of your own
    that exports it. A problem for each of the first `tasks`. `config`: the taskset's settings. A completion earns what
    the task's rewards give by their weights, and what the environment records. `seconds`: of CPU time for replaying an
    episode.

    The packages are installed below `root` (the user's cache, by default), not here. Raises UsageError in words on
    what can't travel: a container, a judge, several models, tools by MCP.
    """
    place = source_of(taskset) if taskset.endswith(".py") else {"module": taskset, "source": None}
    settings = {"module": "", "config": dict(config or {}), "version": _VERSION, **place}
    return make(Place.of("verifiers", packages, root), settings, {"count": tasks}, seconds)
