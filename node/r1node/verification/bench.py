"""How a juror comes to a verdict: by replaying the disputed submission, recomputing the disputed gradient, repeating
what a disputed vote is about, or deriving the disputed line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from r1net.audit import Sources, audit_line
from r1net.chain import Chain
from r1net.chain.disputes import DisputeState, Verdict
from r1net.errors import ProtocolError, R1Error, Refused, Unreachable, UsageError
from r1net.protocol.evidence import Finding, GradientFinding
from r1net.protocol.gradients import GradientStatement
from r1net.protocol.job import JobView
from r1net.protocol.signing import Domain
from r1net.protocol.trace import Trace, TraceBundle
from r1net.protocol.work import RecomputeTask
from r1node.learner import open_learner
from r1node.verification.exhibit import AnyExhibit, StatementExhibit, VoteExhibit, fetch_exhibit, job_of
from r1node.verification.judge import WorkVerdict, judge_work
from r1node.verification.juror import Judgement
from r1node.verification.perjury import about_gradient, about_traces
from r1node.verification.recompute import examine as repeat
from r1node.verification.replay import Desk
from r1node.verification.voting import drawn_traces

LAST_CALL = 15
"""Seconds before the end of the period in which jurors commit, when what is still not shown counts as missing."""

_SERVERS_FAULT = 500


@dataclass(frozen=True)
class Bench:
    """Where a juror looks, and with what: for lines at all `sources`. Work that can't be shown any more is not held
    against the accused; a line is its settler's to show."""

    chain: Chain
    domain: Domain
    desk: Desk
    sources: Sources

    def judge(self, state: DisputeState) -> Judgement:
        """The verdict on one dispute. Raises Unreachable when the coordinator is away: ask again."""
        try:
            return self._line(state) if state.epoch else self._trace(state.dispute_id)
        except (Refused, ProtocolError, UsageError, ValueError) as error:  # ValueError: a policy of another model
            return Judgement(Verdict.INNOCENT, f"cannot be shown: {error}")

    def _trace(self, dispute_id: int) -> Judgement:
        subject, _ = self.chain.disputes.subject(dispute_id)
        exhibit = fetch_exhibit(self.desk.source, self.domain, job_of(self.desk.source, subject), subject)
        finding = examine(exhibit, self.desk)
        if finding.faults:
            return Judgement(Verdict.GUILTY, "; ".join(finding.faults))
        return Judgement(Verdict.INNOCENT, f"{finding.tokens} tokens' work repeated, nothing speaks against it")

    def _line(self, state: DisputeState) -> Judgement:
        try:
            wrong = audit_line(state.epoch, state.line, self.sources, self.chain).faults
        except (Unreachable, Refused) as error:
            if isinstance(error, Refused) and error.status < _SERVERS_FAULT:
                raise
            return self._unshown(state, error)
        if wrong:
            return Judgement(Verdict.GUILTY, f"does not hold: {', '.join(wrong)}")
        return Judgement(Verdict.INNOCENT, "every root and amount was recomputed and holds")

    def _unshown(self, state: DisputeState, error: R1Error) -> Judgement:
        """Whoever must show a line has until the jurors must have committed. Raises Unreachable before."""
        if state.deadline - self.chain.settlement.clock() > LAST_CALL:
            raise Unreachable(f"line {state.line} of epoch {state.epoch} is not shown yet: {error}") from error
        return Judgement(Verdict.GUILTY, f"is not shown: {error}")


def examine(exhibit: AnyExhibit, desk: Desk) -> Finding | GradientFinding:
    """Replay a submission, recompute a gradient, or repeat what a vote is about: faults speak against whoever signed.
    Raises Refused when the versions it names are to be had no more."""
    view = desk.source.get(f"/v1/jobs/{exhibit.signed.job_id}", JobView)
    if isinstance(exhibit, StatementExhibit):
        return _gradient(view, desk, exhibit.question, exhibit.statement)
    if isinstance(exhibit, VoteExhibit):
        return _vote(view, desk, exhibit)
    return _replay(view, desk, exhibit.trace.policy, exhibit.sample()).finding


def _vote(view: JobView, desk: Desk, exhibit: VoteExhibit) -> Finding | GradientFinding:
    task = exhibit.task
    if isinstance(task, RecomputeTask):
        statement = GradientStatement.parse(desk.source.get_blob(task.statement))
        return about_gradient(exhibit.vote, _gradient(view, desk, task, statement), view.spec.dtype)
    traces = drawn_traces(view.job_id, TraceBundle.parse(desk.source.get_blob(task.bundle)), task)
    return about_traces(exhibit.vote, _replay(view, desk, task.version.policy, traces))


def _gradient(view: JobView, desk: Desk, question: RecomputeTask, statement: GradientStatement) -> GradientFinding:
    learner = open_learner(view, desk.source, desk.store, desk.folder, desk.device)
    return repeat(learner, question, statement, _unhurried)


def _replay(view: JobView, desk: Desk, policy: str, traces: Sequence[Trace]) -> WorkVerdict:
    replayer, archive = desk.open_job(view)
    replayer.load(archive.policy(policy))
    return judge_work(replayer.replay(traces), view.spec.verification.noise)


def _unhurried() -> None:
    """Nobody takes a juror's work back while it is done."""
