"""Rules of whether a worker can be reached, and who trains with whom: pure functions.

A check asks workers of two other owners, drawn at random, to dial. One proof suffices for the time being. One failure
doesn't: others are asked until one side leads by two owners, or nobody is left to ask. A worker trains beside others
only where it was reached; alone it needs nobody.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from r1coordinator.scheduling.model import WorkerState
from r1net.protocol.addresses import PUBLIC, may_dial, network_of
from r1net.protocol.canonical import Address, sha256
from r1net.protocol.reach import MOST_DIALLED, ReachState

MOST_ASKED = 5
"""Owners that one check asks at most."""
LEAD = 2
"""Owners by which one side must lead before nobody else is asked; without a contrary word, the number asked at all."""
DIAL_SECONDS = 40.0
"""Until when an order must be answered; a host tries up to four addresses."""
RENEW_SECONDS = 3600.0
RETRY_SECONDS = 300.0
AGAIN_SECONDS = 60.0
"""Pauses behind a check: of a reachable worker, of another one, and of one of which those who were asked said nothing,
or which was part of an attempt that broke."""
PER_OWNER = 64
"""Orders that are given within an hour for the sake of one owner's workers: what a stake can make strangers dial."""
MOST_OUTSTANDING = 4
"""Orders that one dialler has in hand at most."""

Outcome = Literal["given", "reached", "failed", "declined", "lapsed"]


@dataclass(frozen=True)
class Words:
    """What the owners that a check has asked have said so far. `given`: those of whom an answer is awaited."""

    asked: int = 0
    given: int = 0
    reached: int = 0
    failed: int = 0

    @property
    def wanted(self) -> int:
        """How many further owners to ask now."""
        missing = LEAD - abs(self.reached - self.failed) - self.given
        return max(0, min(missing, MOST_ASKED - self.asked))


def judge(words: Words, before: ReachState, *, over: bool) -> ReachState:
    """What is to be thought of a worker by the words of a check. When it is `over`, a single failure counts too; and so
    does silence, against whom nobody has ever reached."""
    if words.reached and words.reached >= words.failed:
        return "reachable"
    if words.failed >= LEAD and words.failed > words.reached:
        return "unreachable"
    if over and words.asked and (words.failed or before == "unknown"):
        return "unreachable"
    return before


def diallable(maddrs: Sequence[str], dialler: Sequence[str]) -> tuple[str, ...]:
    """The addresses that a worker which announces `dialler` may be asked to dial, public ones first."""
    fit = [address for address in maddrs if may_dial(address, dialler)]
    return tuple(sorted(fit, key=lambda address: network_of(address) != PUBLIC)[:MOST_DIALLED])


@dataclass(frozen=True)
class Asked:
    """Whom a check has asked already, and what every dialler has in hand."""

    owners: frozenset[Address] = frozenset()
    outstanding: dict[Address, int] = field(default_factory=dict)


def draw(
    target: WorkerState, workers: Sequence[WorkerState], asked: Asked, seed: str
) -> tuple[WorkerState, tuple[str, ...]] | None:
    """Who dials the target next, and where: an owner by lot, then one of its workers. The target's own owner has a say
    where there is no other."""
    others = [worker for worker in workers if worker.owner != target.owner]
    fit = [
        worker
        for worker in others or [worker for worker in workers if worker.worker != target.worker]
        if worker.owner not in asked.owners
        and asked.outstanding.get(worker.worker, 0) < MOST_OUTSTANDING
        and diallable(target.maddrs, worker.maddrs)
    ]
    if not fit:
        return None
    chosen = min(fit, key=lambda worker: (sha256(f"{seed}/{worker.owner}".encode()), _lot(seed, worker)))
    return chosen, diallable(target.maddrs, chosen.maddrs)


def stranded(target: WorkerState, workers: Sequence[WorkerState]) -> bool:
    """Whether others are there, and none is in any network in which the target announces an address."""
    others = [worker for worker in workers if worker.owner != target.owner]
    return bool(others) and not any(diallable(target.maddrs, worker.maddrs) for worker in others)


def company(able: Sequence[WorkerState], seed: str) -> tuple[WorkerState, ...]:
    """Which of the able trainers may train together, by address; none means: wait.

    All must have been reached in one network: publicly, or else in the largest private one. Where there are no two, one
    trains alone, by lot, so that whoever says that he reaches nobody does not keep the work for himself; only who was
    not reached by several owners stands back. A worker whose first check is under way is waited for then.
    """
    networks: dict[str, list[WorkerState]] = defaultdict(list)
    for worker in able:
        if worker.reach.state == "reachable":
            for network in {network_of(address) for address in worker.reach.maddrs}:
                networks[network].append(worker)
    if len(able) < 2:
        return tuple(able)
    several = [name for name, members in networks.items() if len(members) > 1]
    if several:
        return tuple(networks[max(several, key=lambda name: (name == PUBLIC, len(networks[name]), name))])
    if any(worker.checking for worker in able):
        return ()
    fair = [worker for worker in able if worker.reach.state != "unreachable" or worker.reach.failed < LEAD] or able
    return (min(fair, key=lambda worker: _lot(seed, worker)),)


def _lot(seed: str, worker: WorkerState) -> str:
    return sha256(f"{seed}/{worker.worker.lower()}".encode())


def trainers_addresses(worker: WorkerState) -> tuple[str, ...]:
    """What the other trainers are told: where it was reached, and nothing else that it announces."""
    return worker.reach.maddrs or worker.maddrs
