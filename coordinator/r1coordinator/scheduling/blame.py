"""Rules of who trains after an attempt that failed. Nobody's word counts against another: suspicion falls on all that
took part, and groups are halved down to a single trainer, whose failure is its own beyond doubt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from r1coordinator.scheduling.model import WorkerState
from r1net.protocol.canonical import Address, sha256

EXCUSED = 2
"""How often a worker may break a round beyond doubt before its attempts count against the job after all: where nobody
else is there, a job that nobody can train must come to an end."""

_MOST_POINTS = 16.0
_LONGEST_PAUSE = 600.0


@dataclass(frozen=True)
class Suspicion:
    """Points of a trainer within a job, and the first round that may start with it again."""

    points: float
    until: int


@dataclass(frozen=True)
class Tried:
    """An attempt of the round that failed: who took part, and who broke it beyond doubt."""

    workers: tuple[Address, ...]
    blamed: tuple[Address, ...]
    ended_at: float


def suspect(before: Mapping[Address, Suspicion], tried: Tried, round_: int) -> dict[Address, Suspicion]:
    """After a failed attempt: a point for each that is blamed; when nobody is, all that took part share one.

    The more points, the longer a trainer stays out of first attempts: twice as many rounds for each.
    """
    guilty = tried.blamed or tried.workers
    share = 1.0 if tried.blamed else 1.0 / len(tried.workers)
    after = dict(before)
    for worker in guilty:
        points = share + (before[worker].points if worker in before else 0.0)
        points = min(points, _MOST_POINTS)
        after[worker] = Suspicion(points, round_ + 1 + int(2**points))
    return after


def cleared(before: Mapping[Address, Suspicion], workers: Sequence[Address]) -> dict[Address, Suspicion]:
    """After a success of these workers."""
    return {worker: found for worker, found in before.items() if worker not in workers}


def starters(
    able: Sequence[WorkerState], suspicion: Mapping[Address, Suspicion], round_: int
) -> tuple[WorkerState, ...]:
    """Who takes part in a round's first attempt: everybody but the suspects, and these too if nobody else is there."""
    fresh = [worker for worker in able if not (worker.worker in suspicion and round_ < suspicion[worker.worker].until)]
    return by_address(fresh or able)


def retry(
    able: Sequence[WorkerState],
    suspicion: Mapping[Address, Suspicion],
    history: Sequence[Tried],
    seed: str,
    now: float,
) -> tuple[WorkerState, ...]:
    """Who takes part in the next attempt; none means: wait.

    Half as many as in the last one where nobody was to blame, the least suspected first. Whoever has broken the round
    beyond doubt is left out while others are there, and pauses when they aren't.
    """
    last = history[-1]
    size = len(last.workers) if last.blamed else max(1, len(last.workers) // 2)
    broken = blames(history)
    candidates = [worker for worker in able if worker.worker not in broken]
    if not candidates:
        ended = {worker: tried.ended_at for tried in history for worker in tried.blamed}
        candidates = [w for w in able if now >= ended[w.worker] + pause(broken[w.worker])]
        size = 1
    candidates.sort(key=lambda worker: _rank(worker, suspicion, seed))
    return by_address(candidates[:size])


def blames(history: Sequence[Tried]) -> Counter[Address]:
    """How often each worker has broken the round beyond doubt."""
    return Counter(worker for tried in history for worker in tried.blamed)


def pause(blamed: int) -> float:
    """Seconds before a worker is tried once more when it alone is left."""
    return 0.0 if blamed <= 1 else min(2.0**blamed, _LONGEST_PAUSE)


def counted(history: Sequence[Tried]) -> int:
    """The attempts that count against the job: those that nobody broke beyond doubt, or only who has done so often."""
    seen: Counter[Address] = Counter()
    count = 0
    for tried in history:
        seen.update(tried.blamed)
        if all(seen[worker] > EXCUSED for worker in tried.blamed):
            count += 1
    return count


def by_address(workers: Sequence[WorkerState]) -> tuple[WorkerState, ...]:
    """In the order in which slots are listed."""
    return tuple(sorted(workers, key=lambda worker: worker.worker.lower()))


def _rank(worker: WorkerState, suspicion: Mapping[Address, Suspicion], seed: str) -> tuple[float, str]:
    points = suspicion[worker.worker].points if worker.worker in suspicion else 0.0
    return points + worker.standing, sha256(f"{seed}/{worker.worker.lower()}".encode())
