"""Environments made with OpenEnv (`openenv`, 0.10), as a job's problems, tool and reward."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from r1net.adapters.job import Job, make, source_of
from r1net.adapters.places import Place
from r1net.errors import UsageError


def job(
    environment: str,
    resets: Iterable[Mapping[str, Any] | int],
    *,
    packages: Sequence[str] = (),
    config: Mapping[str, Any] | None = None,
    question: str = "{observation}",
    observation: str | None = None,
    seconds: float = 5.0,
    root: Path | None = None,
) -> Job:
    """An `openenv.core.env_server.interfaces.Environment` as a job.

    `environment`: `package.module:Class` of one of `packages`, or `file.py:Class`, a file of your own. A problem for
    each of `resets`: arguments of `reset`, or a seed alone. `config`: arguments of the class. `question` is what the
    model is asked, with the first observation in place of {observation}; of observations it reads the field
    `observation`, or all fields as JSON. A turn is an action: the value of its only required field, or a JSON object.
    A completion earns what its steps earn together. `seconds`: of CPU time for replaying an episode.

    The packages are installed below `root` (the user's cache, by default), not here. Raises UsageError in words on
    what can't travel.
    """
    module, _, name = environment.rpartition(":")
    if not module or not name.isidentifier():
        raise UsageError(f"{environment!r} names no environment", hint="write package.module:Name, or file.py:Name")
    place = source_of(module) if module.endswith(".py") else {"module": module, "source": None}
    shown = {"question": question, "observation": observation}
    settings = {"module": "", "name": name, "config": dict(config or {}), **shown, **place}
    wanted = [{"seed": reset} if isinstance(reset, int) else dict(reset) for reset in resets]
    return make(Place.of("openenv", packages, root), settings, {"resets": wanted}, seconds)
