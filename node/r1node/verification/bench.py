"""How a juror comes to a verdict: by replaying the disputed submission, recomputing the disputed gradient, or deriving
the disputed line."""

from __future__ import annotations

from dataclasses import dataclass

from r1net.audit import audit_line
from r1net.chain import Chain
from r1net.chain.disputes import DisputeState, Verdict
from r1net.errors import ProtocolError, Refused, UsageError
from r1net.protocol.evidence import Finding, GradientFinding
from r1net.protocol.job import JobView
from r1net.protocol.signing import Domain
from r1node.learner import open_learner
from r1node.verification.exhibit import Exhibit, StatementExhibit, fetch_exhibit, job_of
from r1node.verification.judge import judge_work
from r1node.verification.juror import Judgement
from r1node.verification.recompute import examine as repeat
from r1node.verification.replay import Desk


@dataclass(frozen=True)
class Bench:
    """Where a juror looks, and with what. What can't be shown any more is not held against the accused."""

    chain: Chain
    domain: Domain
    desk: Desk

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
        wrong = audit_line(state.epoch, state.line, self.desk.source, self.chain).faults
        if wrong:
            return Judgement(Verdict.GUILTY, f"does not hold: {', '.join(wrong)}")
        return Judgement(Verdict.INNOCENT, "every root and amount was recomputed and holds")


def examine(exhibit: Exhibit | StatementExhibit, desk: Desk) -> Finding | GradientFinding:
    """Replay a submission, or recompute a gradient. Raises Refused when the versions it names are to be had no more."""
    view = desk.source.get(f"/v1/jobs/{exhibit.signed.job_id}", JobView)
    if isinstance(exhibit, StatementExhibit):
        learner = open_learner(view, desk.source, desk.folder, desk.device)
        return repeat(learner, exhibit.question, exhibit.statement, _unhurried)
    replayer, archive = desk.open_job(view)
    replayer.load(archive.policy(exhibit.trace.policy))
    return judge_work(replayer.replay(exhibit.sample())).finding


def _unhurried() -> None:
    """Nobody takes a juror's work back while it is done."""
