"""Rules of handing out groups."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from r1coordinator.scheduling.model import Progress, WorkerState
from r1net.protocol.job import JobSpec
from r1net.protocol.trace import Split

_BYTES_PER_TOKEN = 40
"""A token id, a log-probability of 17 digits and their separators, in JSON, rounded up."""
_TRACE_OVERHEAD = 4096


def assignment(spec: JobSpec, phase: str, round_: int) -> tuple[Split, int, int, int]:
    """What a rollout phase asks for: (split, round, number of groups, completions per group).

    Held-out traces carry the number of the version that is evaluated as their round.
    """
    if phase == "evaluate_first":
        return "heldout", 0, spec.evaluation.problems, 1
    if phase == "evaluate_last":
        return "heldout", spec.stage.rounds, spec.evaluation.problems, 1
    return "train", round_, spec.stage.groups_per_round, spec.stage.group_size


def free_groups(total: int, taken: Iterable[int]) -> tuple[int, ...]:
    """The groups nobody has, in order."""
    gone = frozenset(taken)
    return tuple(group for group in range(total) if group not in gone)


def takers(workers: Sequence[WorkerState], job: Progress, asking: str, now: float, lost_after: float) -> int:
    """How many workers could take groups now: the one that asks, and the live idle ones that have the version."""
    others = sum(
        1
        for worker in workers
        if worker.worker != asking
        and "rollout" in worker.capabilities
        and not worker.busy
        and worker.worker not in job.barred
        and job.reachable(worker)
        and worker.live(now, lost_after)
    )
    return others + 1


def share(free: int, among: int, most: int) -> int:
    """How many of the free groups one lease gets: an even share, so that nobody waits and batches stay wide."""
    return max(1, min(-(-free // among), most))


def group_bytes(group_size: int, max_tokens: int) -> int:
    """The most bytes that one group takes in a submission."""
    return group_size * (max_tokens * _BYTES_PER_TOKEN + _TRACE_OVERHEAD)


def most_groups(group_size: int, max_tokens: int, max_body: int) -> int:
    """The groups whose bundle surely fits into one request."""
    return max(1, max_body // group_bytes(group_size, max_tokens))


def pause_after(failures: int) -> float:
    """Seconds a worker waits for its next lease after failing `failures` times in this phase."""
    return 0.0 if failures == 0 else float(min(2**failures, 60))
