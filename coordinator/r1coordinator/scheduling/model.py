"""What the scheduling rules look at: plain values taken from the rows of one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from r1net.protocol.canonical import Address, Hash
from r1net.protocol.job import PolicyVersion


@dataclass(frozen=True)
class WorkerState:
    """A worker as the rules see it. `busy` means: it holds a lease that isn't a publish lease."""

    worker: Address
    peer_id: str
    maddrs: tuple[str, ...]
    capabilities: frozenset[str]
    holds: Mapping[Hash, int]
    last_seen: float
    busy: bool = False

    def live(self, now: float, lost_after: float) -> bool:
        """Whether it was heard of lately."""
        return now - self.last_seen <= lost_after


@dataclass(frozen=True)
class Progress:
    """Where a job stands. `barred` workers have sent too much that was refused."""

    job_id: Hash
    phase: str
    round: int
    version: PolicyVersion
    published: bool
    barred: frozenset[Address] = frozenset()

    def reachable(self, worker: WorkerState) -> bool:
        """Whether the worker has, or can fetch, the current version."""
        return self.published or worker.holds.get(self.job_id) == self.version.number


@dataclass(frozen=True)
class BundleState:
    """An admitted bundle, as far as handing it to a trainer matters."""

    sha256: Hash
    worker: Address
    tokens: int


@dataclass(frozen=True)
class SlotState:
    """How one trainer of an attempt is doing. `failure` is its code when it gave up; `lost` when its lease ended."""

    worker: Address
    report: tuple[Hash, Hash | None] | None = None
    failure: str | None = None
    lost: bool = False


@dataclass(frozen=True)
class Pending:
    """The attempt goes on."""


@dataclass(frozen=True)
class Agreed:
    """A strict majority of the slots came to the same version."""

    policy: Hash
    optimizer: Hash | None
    workers: tuple[Address, ...] = field(default=())


@dataclass(frozen=True)
class Abandoned:
    """The attempt can't succeed any more."""

    reason: str


Verdict = Pending | Agreed | Abandoned
