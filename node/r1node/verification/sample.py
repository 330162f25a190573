"""A random sample of what others handed in, replayed and judged by worker."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass, field

from r1net.errors import Refused
from r1net.protocol.job import JobView
from r1net.protocol.trace import Trace
from r1net.protocol.views import TraceView
from r1net.transport import Transport
from r1node.verification.judge import WorkVerdict, judge_work
from r1node.verification.replay import Desk, Replay

PAGE = 500


@dataclass
class Drawn:
    """A uniform sample of one worker's traces (reservoir, Vitter's algorithm R)."""

    size: int
    seen: int = 0
    traces: list[Trace] = field(default_factory=list)

    def offer(self, trace: Trace, rng: random.Random) -> None:
        """Take one more trace into account."""
        self.seen += 1
        if len(self.traces) < self.size:
            self.traces.append(trace)
            return
        place = rng.randrange(self.seen)
        if place < self.size:
            self.traces[place] = trace


@dataclass(frozen=True)
class Checked:
    """One worker's sample. `verdict` is None when none of it could be replayed: `gone` traces name policies whose
    files nobody has any more."""

    worker: str
    verdict: WorkVerdict | None
    gone: int


def draw_sample(source: Transport, job_id: str, size: int, without: Collection[str]) -> dict[str, Drawn]:
    """Up to `size` traces of every worker but those in `without`, so that nobody hides behind another's diligence."""
    rng = random.SystemRandom()  # a sample that can be foreseen can be prepared for
    drawn: dict[str, Drawn] = {}
    for view in source.walk(f"/v1/jobs/{job_id}/traces", TraceView, PAGE):
        if view.trace.worker not in without:
            drawn.setdefault(view.trace.worker, Drawn(size)).offer(view.trace, rng)
    return drawn


def check_sample(desk: Desk, view: JobView, drawn: dict[str, Drawn]) -> list[Checked]:
    """Replay a sample, one version after the other."""
    replayer, archive = desk.open_job(view)
    by_policy: dict[str, list[Trace]] = {}
    for sample in drawn.values():
        for trace in sample.traces:
            by_policy.setdefault(trace.policy, []).append(trace)
    replays: dict[str, list[Replay]] = {worker: [] for worker in drawn}
    for policy, traces in by_policy.items():
        try:
            file = archive.policy(policy)
        except Refused as refusal:
            if refusal.status != 404:
                raise
            continue
        replayer.load(file)
        for replay in replayer.replay(traces):
            replays[replay.trace.worker].append(replay)
    return [
        Checked(
            worker,
            judge_work(found, view.spec.verification.noise) if found else None,
            len(drawn[worker].traces) - len(found),
        )
        for worker, found in sorted(replays.items())
    ]
