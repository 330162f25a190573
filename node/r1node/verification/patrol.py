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
    """Of the work of others that nobody objected to, `share` is looked at, each piece at most once. What is undecided
    is waited for, and all that comes after it in its job."""

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
        mine = check.owner == self.owner
        return check.state in _ACCEPTED and not check.planted and not mine and RANDOM.random() < self.share
