"""Verifiers that vote without looking."""

from __future__ import annotations

import os
from collections.abc import Callable

import r1node.agent
from r1net.protocol.evidence import Finding, GradientFinding
from r1net.protocol.work import RecomputeTask, VerifyTask, Vote
from r1node.jobs import JobRuntime
from r1node.training.trainer import Tick
from r1node.verification.recompute import recompute
from r1node.verification.voting import replay
from tests.adversarial.network.catalogue import PARTNERS
from tests.adversarial.network.lies import told

ACCUSATION = ("its tokens are not what its seeds draw",)


def unseen(worker: str, tokens: int, traces: int, faults: tuple[str, ...]) -> Finding:
    """What a replay of honest work would have said, with or without faults."""
    return Finding(
        worker=worker,
        traces=traces,
        tokens=tokens,
        mean_abs_delta=0.001,
        mean_delta=0.0,
        max_abs_delta=0.01,
        noise=0.002,
        drawn=1.0,
        mean_miss=0.0,
        usual_noise=0.002,
        usual_miss=0.0,
        faults=faults,
    )


def _unseen_replay(job: JobRuntime, task: VerifyTask, lease_id: str, faults: tuple[str, ...]) -> Vote:
    told(lease_id)
    chosen = [job.bundle(task.bundle).traces[position] for position in task.positions]
    tokens = sum(len(trace.completion_ids) for trace in chosen)
    finding = unseen(chosen[0].worker, tokens, len(chosen), faults)
    return Vote(job_id=job.job_id, lease_id=lease_id, task=task.digest(), finding=finding)


def _unseen_gradient(job: JobRuntime, task: RecomputeTask, lease_id: str, faults: tuple[str, ...]) -> Vote:
    told(lease_id)
    finding = GradientFinding(
        worker=task.worker,
        tokens=task.slot.tokens,
        norm=1.0,
        deviation=1e-6,
        usual=0.0,
        version_holds=True,
        faults=faults,
    )
    return Vote(job_id=job.job_id, lease_id=lease_id, task=task.digest(), finding=finding)


def votes(*faults: str) -> Callable[[], None]:
    """A verifier that says the same of everything."""

    def install() -> None:
        r1node.agent.replay = lambda job, task, lease: _unseen_replay(job, task, lease, faults)  # type: ignore[attr-defined]
        r1node.agent.recompute = lambda job, task, lease, _tick: _unseen_gradient(job, task, lease, faults)  # type: ignore[attr-defined]

    return install


def accomplice() -> None:
    """Looks honestly at everybody's work but its partners', which it clears."""
    partners = set(os.environ[PARTNERS].split(","))

    def replays(job: JobRuntime, task: VerifyTask, lease_id: str) -> Vote:
        if job.bundle(task.bundle).traces[0].worker in partners:
            return _unseen_replay(job, task, lease_id, ())
        return replay(job, task, lease_id)

    def recomputes(job: JobRuntime, task: RecomputeTask, lease_id: str, tick: Tick) -> Vote:
        if task.worker in partners:
            return _unseen_gradient(job, task, lease_id, ())
        return recompute(job, task, lease_id, tick)

    r1node.agent.replay, r1node.agent.recompute = replays, recomputes  # type: ignore[attr-defined]


VERIFIERS: dict[str, Callable[[], None]] = {
    "lazy-verifier": votes(),
    "accuser": votes(*ACCUSATION),
    "accomplice": accomplice,
}
