"""A disputed trace, a trainer's disputed statement, or a verifier's disputed vote, with all that its worker signed for,
checked."""

from __future__ import annotations

import time
from dataclasses import dataclass

from r1net.errors import ProtocolError, Refused
from r1net.protocol.evidence import GradientFinding
from r1net.protocol.gradients import GradientStatement
from r1net.protocol.job import JobView
from r1net.protocol.merkle import verify
from r1net.protocol.signing import Domain, submission_values
from r1net.protocol.trace import SignedTrace, Trace, TraceBundle
from r1net.protocol.work import RecomputeTask, TrainTask, VerifyTask, Vote
from r1net.transport import Transport

_PAGE = 100
SEARCH = 120.0
"""Seconds in which a coordinator must have named all its jobs: whoever goes on for ever keeps jurors from a verdict."""
MOST_TRACES = 256
"""Traces of one submission that are replayed, the disputed one among them."""


@dataclass(frozen=True)
class Exhibit:
    """A trace, the signed submission that it came in, and the traces beside it."""

    signed: SignedTrace
    bundle: TraceBundle

    @property
    def trace(self) -> Trace:
        """The disputed trace."""
        return self.bundle.traces[self.signed.position]

    def sample(self) -> list[Trace]:
        """The traces to replay: the disputed one and those that follow it, in a circle."""
        at, traces = self.signed.position, self.bundle.traces
        return [*traces[at:], *traces[:at]][:MOST_TRACES]


@dataclass(frozen=True)
class StatementExhibit:
    """A trainer's statement, as it was signed, and the task that it names."""

    signed: SignedTrace
    statement: GradientStatement
    task: TrainTask

    @property
    def question(self) -> RecomputeTask:
        """What is to be recomputed."""
        return RecomputeTask(train=self.task, worker=self.statement.worker, statement=self.statement.digest())


@dataclass(frozen=True)
class VoteExhibit:
    """A verifier's vote, as it was signed, and the task that it names."""

    signed: SignedTrace
    vote: Vote
    task: VerifyTask | RecomputeTask


AnyExhibit = Exhibit | StatementExhibit | VoteExhibit


def fetch_signed(source: Transport, domain: Domain, job_id: str, digest: str) -> SignedTrace:
    """What a worker signed for with a trace. Raises Refused when the job has no such trace, ProtocolError when the
    coordinator's answer doesn't hold together."""
    signed = source.get(f"/v1/jobs/{job_id}/traces/{digest}/submission", SignedTrace)
    values = submission_values(signed.lease_id, signed.traces_root, signed.count)
    if domain.signer("Submission", values, signed.signature) != signed.worker:
        raise ProtocolError("the submission was not signed by the worker it names")
    if signed.trace_digest != digest or not verify(signed.traces_root, ["bytes32"], (digest,), signed.proof):
        raise ProtocolError("the trace is not in the submission")
    return signed


def fetch_exhibit(source: Transport, domain: Domain, job_id: str, digest: str) -> AnyExhibit:
    """A trace of a job with its whole submission, or a trainer's statement or a verifier's vote with its task, every
    part checked against what was signed. Raises as `fetch_signed` does."""
    signed = fetch_signed(source, domain, job_id, digest)
    blob = source.get_blob(signed.bundle)
    if signed.bundle == digest:  # a statement or vote is the only leaf of its tree, a trace is one of a bundle
        return _vote(source, signed, blob) if _is_vote(blob) else _statement(source, signed, blob)
    bundle = TraceBundle.parse(blob)
    there = bundle.traces[signed.position : signed.position + 1]
    if bundle.tree().root != signed.traces_root or [trace.digest() for trace in there] != [digest]:
        raise ProtocolError("the bundle is not what the worker signed")
    return Exhibit(signed, bundle)


def _is_vote(blob: bytes) -> bool:
    try:
        Vote.parse(blob)
    except ProtocolError:
        return False
    return True


def _vote(source: Transport, signed: SignedTrace, blob: bytes) -> VoteExhibit:
    vote = Vote.parse(blob)
    if (vote.root(), vote.lease_id, vote.job_id) != (signed.traces_root, signed.lease_id, signed.job_id):
        raise ProtocolError("the vote is not what the verifier signed")
    kind = RecomputeTask if isinstance(vote.finding, GradientFinding) else VerifyTask
    return VoteExhibit(signed, vote, kind.parse(source.get_blob(vote.task)))


def _statement(source: Transport, signed: SignedTrace, blob: bytes) -> StatementExhibit:
    statement = GradientStatement.parse(blob)
    if (statement.root(), statement.worker, statement.job_id) != (signed.traces_root, signed.worker, signed.job_id):
        raise ProtocolError("the statement is not what the worker signed")
    return StatementExhibit(signed, statement, TrainTask.parse(source.get_blob(statement.task)))


def job_of(source: Transport, digest: str) -> str:
    """The job that a trace belongs to: a dispute names the trace only. Raises Refused when no job has it,
    ProtocolError where there is no end of jobs."""
    until = time.monotonic() + SEARCH
    for view in source.walk("/v1/jobs", JobView, _PAGE):
        if time.monotonic() > until:
            raise ProtocolError(f"the coordinator went on naming jobs for {SEARCH:g} s, none with trace {digest}")
        try:
            return source.get(f"/v1/jobs/{view.job_id}/traces/{digest}/submission", SignedTrace).job_id
        except Refused as refusal:
            if refusal.status != 404:
                raise
    raise Refused("unknown_trace", f"no job of this coordinator has trace {digest}", status=404)
