"""Rules of a training attempt: who takes part, with which bundles, and how it ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

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
from r1net.protocol.canonical import Address
from r1net.protocol.work import TrainerSlot

SHARED_FAILURES = frozenset({"averaging_broken", "averaging_timeout", "attempt_abandoned", "stale_lease", "swarm"})
"""Failures that the other slots cause. Any other failure is the worker's own."""


LONGEST_PAUSE = 15.0


def pause_before_retry(attempts: int) -> float:
    """Seconds between the end of a round's `attempts`-th failed attempt and the next one.

    The first retry comes at once; later ones give a daemon that restarts, or a network that hiccups, time to recover.
    """
    return 0.0 if attempts <= 1 else min(2.0 ** (attempts - 2), LONGEST_PAUSE)


def own_fault(code: str | None) -> bool:
    """Whether a failure is a reason to leave the worker out of the next attempt."""
    return code is not None and code not in SHARED_FAILURES


def trainers(
    workers: Sequence[WorkerState],
    job: Progress,
    left_out: frozenset[Address],
    now: float,
    patience: float,
    failed_at: float | None = None,
) -> tuple[WorkerState, ...]:
    """The workers that an attempt starts with, by address; none means: wait.

    When all would be left out, nobody is. After an attempt that failed, only who was heard of since counts, so that a
    trainer that died can't break attempt after attempt; the others get `patience` seconds to be heard.
    """
    able = [
        worker
        for worker in workers
        if "train" in worker.capabilities
        and not worker.busy
        and worker.worker not in job.barred
        and job.reachable(worker)
        and worker.live(now, patience)
    ]
    if failed_at is not None:
        heard = [worker for worker in able if worker.last_seen >= failed_at]
        if len(heard) < len(able) and now < failed_at + patience:
            return ()
        able = heard
    chosen = [worker for worker in able if worker.worker not in left_out] or able
    return tuple(sorted(chosen, key=lambda worker: worker.worker.lower()))


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
            maddrs=worker.maddrs,
            bundles=tuple(given[worker.worker]),
            tokens=load[worker.worker],
        )
        for worker in chosen
    )


def verdict(slots: Sequence[SlotState], started_at: float, deadline: float, now: float) -> Verdict:
    """How an attempt stands. A majority decides, even over a failed or lost slot."""
    counts = Counter(slot.report for slot in slots if slot.report is not None)
    if counts:
        pair, votes = max(counts.items(), key=lambda item: (item[1], str(item[0])))
        if 2 * votes > len(slots):
            agreeing = tuple(slot.worker for slot in slots if slot.report == pair)
            return Agreed(policy=pair[0], optimizer=pair[1], workers=agreeing)
    for slot in slots:
        if slot.failure is not None:
            return Abandoned(f"{slot.worker} failed: {slot.failure}")
    for slot in slots:
        if slot.lost and slot.report is None:
            return Abandoned(f"{slot.worker} was lost")
    if all(slot.report is not None for slot in slots):
        return Abandoned("the trainers came to different versions and none has a majority")
    if now - started_at > deadline:
        return Abandoned(f"no majority within {deadline:g} s")
    return Pending()
