"""Rules of handing out groups."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from r1coordinator.scheduling.model import Progress, WorkerState
from r1net.protocol.canonical import Address
from r1net.protocol.job import JobSpec
from r1net.protocol.trace import Split

ROLLOUT_PHASES = ("evaluate_first", "rollout", "evaluate_last")

_BYTES_PER_TOKEN = 40
"""A token id, a log-probability of 17 digits and their separators, in JSON, rounded up."""
_TRACE_OVERHEAD = 4096


@dataclass(frozen=True)
class Demand:
    """What a rollout phase asks for: `wanted` groups of `size` completions that count, among the first `limit`.

    Held-out traces carry the number of the version that is evaluated as their round.
    """

    split: Split
    round: int
    wanted: int
    limit: int
    size: int

    @property
    def selective(self) -> bool:
        """Whether only groups whose rewards differ count: dynamic sampling (DAPO, arXiv:2503.14476, eq. 11)."""
        return self.limit > self.wanted


@dataclass(frozen=True)
class Pool:
    """The groups of a rollout phase: the leased ones, the admitted ones, and those of them that count.

    Never more are leased than are still missing, so `counting` and `active` together never exceed what is wanted.
    """

    demand: Demand
    active: frozenset[int]
    done: frozenset[int]
    counting: frozenset[int]

    @property
    def free(self) -> tuple[int, ...]:
        """The groups that may be leased now, in order. Those of lost leases come again before new ones are drawn."""
        missing = self.demand.wanted - len(self.counting) - len(self.active)
        return free_groups(self.demand.limit, self.active | self.done)[: max(missing, 0)]

    @property
    def complete(self) -> bool:
        """Whether there are enough groups that count, or no more to draw."""
        return len(self.counting) >= self.demand.wanted or len(self.done) >= self.demand.limit

    @property
    def chosen(self) -> tuple[int, ...]:
        """The groups to train on: the first that count, by their index."""
        return tuple(sorted(self.counting)[: self.demand.wanted])


def assignment(spec: JobSpec, phase: str, round_: int) -> Demand:
    """What a phase asks for."""
    if phase in ("evaluate_first", "evaluate_last"):
        version, problems = (0 if phase == "evaluate_first" else spec.stage.rounds), spec.evaluation.problems
        return Demand("heldout", version, problems, problems, 1)
    stage = spec.stage
    limit = stage.groups_per_round * stage.dynamic_sampling
    return Demand("train", round_, stage.groups_per_round, limit, stage.group_size)


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
        and worker.live(now, lost_after)
    )
    return others + 1


def not_lost_by(
    free: Sequence[int], worker: Address, lost: Mapping[Address, Collection[int]], others: Collection[Address]
) -> tuple[int, ...]:
    """The free groups that a worker may get: not those that it has lost, while one of the others hasn't."""
    own = lost.get(worker, ())
    return tuple(group for group in free if group not in own or all(group in lost.get(other, ()) for other in others))


def first_share(tokens_per_group: int, most_tokens: int) -> int:
    """The most groups for a worker that nobody has measured yet."""
    return max(1, most_tokens // max(tokens_per_group, 1))


def share(free: int, among: int, most: int) -> int:
    """How many of the free groups one lease gets: an even share, so that nobody waits and batches stay wide."""
    return max(1, min(-(-free // among), most))


def group_bytes(group_size: int, max_tokens: int) -> int:
    """The most bytes that one group takes in a submission."""
    return group_size * (max_tokens * _BYTES_PER_TOKEN + _TRACE_OVERHEAD)


def most_groups(group_size: int, max_tokens: int, max_body: int) -> int:
    """The groups whose bundle surely fits into one request."""
    return max(1, max_body // group_bytes(group_size, max_tokens))


def held_back(losses: int) -> float:
    """Seconds for which the groups that a worker has lost `losses` times in this phase are kept for others."""
    return float(min(60 * 2**losses, 3600))


def pause_after(failures: int) -> float:
    """Seconds a worker waits for its next lease after failing `failures` times in this phase."""
    return 0.0 if failures == 0 else float(min(2**failures, 60))
