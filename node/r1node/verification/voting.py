"""A verifier's vote: the drawn completions of a submission, replayed and judged."""

from __future__ import annotations

import secrets

from r1net.errors import ProtocolError
from r1net.protocol.trace import Trace, TraceBundle
from r1net.protocol.work import VerifyTask, Vote, VoteCommitment
from r1node.jobs import JobRuntime
from r1node.verification.judge import judge_work


def replay(job: JobRuntime, task: VerifyTask, lease_id: str) -> Vote:
    """Replay what the task names. Raises ProtocolError when the bundle is not what the task says."""
    chosen = dict(zip(task.positions, drawn_traces(job.job_id, job.bundle(task.bundle), task), strict=True))
    replays = job.ready_replayer(task.version).replay(list(chosen.values()))
    verdict = judge_work(replays, job.spec.verification.noise)
    bad = set(verdict.bad_traces)
    positions = tuple(position for position, trace in chosen.items() if trace.digest() in bad)
    return Vote(job_id=job.job_id, lease_id=lease_id, task=task.digest(), finding=verdict.finding, bad=positions)


def seal(vote: Vote) -> tuple[VoteCommitment, str]:
    """What a verifier commits to, and the salt that it shows with the vote."""
    salt = "0x" + secrets.token_hex(32)
    return VoteCommitment(lease_id=vote.lease_id, commitment=vote.commitment(salt)), salt


def drawn_traces(job_id: str, bundle: TraceBundle, task: VerifyTask) -> list[Trace]:
    """The traces at the task's positions. Raises ProtocolError when the bundle is not what the task says."""
    if not all(0 <= position < len(bundle.traces) for position in task.positions):
        raise ProtocolError("the bundle has no trace at a position that was to be replayed")
    traces = [bundle.traces[position] for position in task.positions]
    named = (job_id, task.split, task.round, task.version.policy)
    if any((trace.job_id, trace.split, trace.round, trace.policy) != named for trace in traces):
        raise ProtocolError("the bundle is of another job, round or policy version than the task")
    if len({trace.worker for trace in traces}) != 1:
        raise ProtocolError("the bundle has traces of several workers")
    return traces
