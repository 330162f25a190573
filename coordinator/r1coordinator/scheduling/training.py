"""Rules of a training attempt: who can take part, with which bundles, and how it ends."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from r1coordinator.scheduling.blame import by_address
from r1coordinator.scheduling.model import (
    Abandoned,
    Agreed,
    BundleState,
    Pending,
    Progress,
    SlotState,
    Verdict,
    WorkerState,
)
from r1coordinator.scheduling.penalties import TRAIN_LIMIT
from r1coordinator.scheduling.reach import trainers_addresses
from r1net.protocol.canonical import Address, Hash
from r1net.protocol.work import TrainerSlot

SHARED_FAILURES = frozenset(
    {
        *("averaging_broken", "averaging_timeout", "attempt_abandoned", "stale_lease", "swarm"),
        *("unreachable", "busy", "chain_unavailable"),
    }
)
"""Failures that other slots may cause, or the coordinator or the chain. Any other failure is the worker's own."""


LONGEST_PAUSE = 15.0


def pause_before_retry(attempts: int) -> float:
    """Seconds between the end of a round's `attempts`-th failed attempt and the next one.

    The first retry comes at once; later ones give a daemon that restarts, or a network that hiccups, time to recover.
    """
    return 0.0 if attempts <= 1 else min(2.0 ** (attempts - 2), LONGEST_PAUSE)


def own_fault(code: str | None) -> bool:
    """Whether a failure is the worker's own by its own word."""
    return code is not None and code not in SHARED_FAILURES


def able_trainers(
    workers: Sequence[WorkerState], job: Progress, now: float, patience: float, failed_at: float | None = None
) -> tuple[WorkerState, ...]:
    """The workers that an attempt could start with, by address; none means: wait.

    After an attempt that failed, only who was heard of since counts, so that a trainer that died can't break attempt
    after attempt; the others get `patience` seconds to be heard.
    """
    able = [
        worker
        for worker in workers
        if "train" in worker.capabilities
        and not worker.busy
        and worker.worker not in job.barred
        and worker.standing <= TRAIN_LIMIT
        and worker.live(now, patience)
    ]
    if failed_at is not None:
        heard = [worker for worker in able if worker.last_seen >= failed_at]
        if len(heard) < len(able) and now < failed_at + patience:
            return ()
        able = heard
    return by_address(able)


def build_slots(chosen: Sequence[WorkerState], bundles: Sequence[BundleState]) -> tuple[TrainerSlot, ...]:
    """Each trainer gets its own bundles, then the others' go, largest first, to whoever has the fewest tokens."""
    load = {worker.worker: 0 for worker in chosen}
    given: dict[Address, list[str]] = {worker.worker: [] for worker in chosen}
    ordered = sorted(bundles, key=lambda bundle: (-bundle.tokens, bundle.sha256))
    for bundle in sorted(ordered, key=lambda bundle: bundle.worker not in load):
        owner = bundle.worker if bundle.worker in load else min(load, key=lambda worker: (load[worker], worker))
        load[owner] += bundle.tokens
        given[owner].append(bundle.sha256)
    return tuple(
        TrainerSlot(
            worker=worker.worker,
            peer_id=worker.peer_id,
            maddrs=trainers_addresses(worker),
            bundles=tuple(given[worker.worker]),
            tokens=load[worker.worker],
        )
        for worker in chosen
    )


def majority(slots: Sequence[SlotState]) -> Agreed | None:
    """The version that a strict majority of the owners came to. Each owner has one vote, once all of its slots have
    ended, and none if they came to different versions."""
    reports: dict[Address, set[tuple[Hash, Hash | None]]] = defaultdict(set)
    waiting = {slot.owner or slot.worker for slot in slots if slot.pending}
    owners = {slot.owner or slot.worker for slot in slots}
    for slot in slots:
        if slot.report is not None:
            reports[slot.owner or slot.worker].add(slot.report)
    counts = Counter(next(iter(found)) for owner, found in reports.items() if len(found) == 1 and owner not in waiting)
    if not counts:
        return None
    pair, votes = max(counts.items(), key=lambda item: (item[1], str(item[0])))
    if 2 * votes <= len(owners):
        return None
    return Agreed(pair[0], pair[1], tuple(slot.worker for slot in slots if slot.report == pair))


def verdict(slots: Sequence[SlotState], deadline: float, now: float) -> Verdict:
    """How an attempt stands. A majority decides, even over a failed or lost slot."""
    agreed = majority(slots)
    if agreed is not None:
        return agreed
    alone = len(slots) == 1
    lost = [slot.worker for slot in slots if slot.lost and slot.report is None]
    failed = [slot for slot in slots if slot.failure is not None]
    if failed:
        own = [slot.worker for slot in failed if alone or own_fault(slot.failure)]
        return Abandoned(f"{failed[0].worker} failed: {failed[0].failure}", (*own, *lost))
    if lost:
        return Abandoned(f"{lost[0]} was lost", tuple(lost))
    if not any(slot.pending for slot in slots):
        return Abandoned("the trainers came to different versions and none has a majority")
    if now > deadline:
        return Abandoned("no majority before the deadline", _late(slots))
    return Pending()


def _late(slots: Sequence[SlotState]) -> tuple[Address, ...]:
    """Who has held up the attempt until its deadline: whoever was alone, or has not committed where others have."""
    others = any(slot.committed for slot in slots)
    return tuple(slot.worker for slot in slots if len(slots) == 1 or (others and slot.pending and not slot.committed))
