"""A watcher's own draws: hosts that clear each other's work by voting together can neither know nor avoid them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from r1net.protocol.checks import CheckView
from r1net.transport import Transport

_PAGE = 100
_UNDECIDED = ("waiting", "open")
_ACCEPTED = ("holds", "spared")

RANDOM = random.SystemRandom()


@dataclass
class Patrol:
    """Of others' submissions that nobody objected to, `share` is looked at, each at most once. What is undecided is
    waited for, and all that comes after it in its job. Gradients are left out: the optimizer's states that a court
    would need are gone two rounds later, unless their check failed."""

    source: Transport
    owner: str
    share: float
    _past: dict[str, int] = field(default_factory=dict)

    def job(self, job_id: str) -> Iterator[CheckView]:
        """What is to be repeated of what is new."""
        if self.share:
            yield from (check for check in self._new(job_id) if self._wants(check))

    def _new(self, job_id: str) -> Iterator[CheckView]:
        path = f"/v1/jobs/{job_id}/checks"
        while rows := self.source.get_many(path, CheckView, limit=_PAGE, after=self._past.get(job_id, 0)):
            for check in rows:
                if check.state in _UNDECIDED:
                    return
                self._past[job_id] = self._past.get(job_id, 0) + 1
                yield check

    def _wants(self, check: CheckView) -> bool:
        theirs = check.owner != self.owner and check.kind == "rollout" and not check.planted
        return theirs and check.state in _ACCEPTED and RANDOM.random() < self.share
