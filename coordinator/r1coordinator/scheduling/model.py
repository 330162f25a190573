"""What the scheduling rules look at: plain values taken from the rows of one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from r1net.prices import Price
from r1net.protocol.canonical import Address, Hash
from r1net.protocol.job import PolicyVersion
from r1net.protocol.reach import ReachState


@dataclass(frozen=True)
class Reached:
    """Whether peers reach a worker, and where; `failed` is how many owners' workers did not."""

    state: ReachState = "unknown"
    failed: int = 0
    maddrs: tuple[str, ...] = ()


@dataclass(frozen=True)
class WorkerState:
    """A worker as the rules see it. `busy`: it holds a lease that isn't a publish lease, on the job `doing`, or pauses.
    `standing` are the points that count against it; without `floors` it takes any price; of the jobs that it
    `avoids` it takes no work. `reach`: whether peers reach it; `checking`: they are trying for the
    first time."""

    worker: Address
    peer_id: str
    maddrs: tuple[str, ...]
    capabilities: frozenset[str]
    holds: Mapping[Hash, int]
    last_seen: float
    busy: bool = False
    owner: Address = ""
    doing: Hash | None = None
    floors: Mapping[Address, int] | None = None
    avoids: frozenset[Hash] = frozenset()
    standing: float = 0.0
    reach: Reached = Reached()
    checking: bool = False

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
    price: Price
    barred: frozenset[Address] = frozenset()


@dataclass(frozen=True)
class BundleState:
    """An admitted bundle, as far as handing it to a trainer matters."""

    sha256: Hash
    worker: Address
    tokens: int


@dataclass(frozen=True)
class SlotState:
    """How one trainer of an attempt is doing. `failure` is its code when it gave up; `lost` when its lease ended;
    `committed` when it has fixed its gradient, so that the others need not wait for it."""

    worker: Address
    report: tuple[Hash, Hash | None] | None = None
    failure: str | None = None
    lost: bool = False
    owner: Address = ""
    committed: bool = False

    @property
    def pending(self) -> bool:
        """Whether something may still come of it."""
        return self.report is None and self.failure is None and not self.lost


@dataclass(frozen=True)
class Pending:
    """The attempt goes on."""


@dataclass(frozen=True)
class Agreed:
    """A strict majority of the owners came to the same version, by these workers."""

    policy: Hash
    optimizer: Hash | None
    workers: tuple[Address, ...] = field(default=())


@dataclass(frozen=True)
class Abandoned:
    """The attempt can't succeed any more. `blamed` broke it beyond doubt; empty where it may have been anybody."""

    reason: str
    blamed: tuple[Address, ...] = ()


Verdict = Pending | Agreed | Abandoned
