"""Pay for work that the court has in hand: held while a trace is disputed, back to the job once it is convicted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from r1net.chain import Chain, LineStatus, Reverted, RewardClaim, TxReceipt
from r1net.chain.disputes import DisputePhase, DisputeState
from r1net.chain.restitution import PaidTrace
from r1net.errors import ChainUnavailable, R1Error, Refused, Unreachable
from r1net.protocol.merkle import proved_root
from r1net.protocol.settlement import REWARD_LEAF, EpochReport, TraceProof, reward_tree
from r1net.protocol.signing import Domain
from r1net.transport import Transport
from r1node.verification.exhibit import fetch_signed, job_of

_NOT_FOUND = 404


@dataclass(frozen=True)
class Seizure:
    """What was done about the pay for a trace."""

    trace: str
    detail: str


@dataclass
class Bailiff:
    """Takes the steps of Restitution that a dispute over a trace calls for. Anyone may; the chain checks each."""

    chain: Chain
    source: Transport
    domain: Domain
    _over: set[int] = field(default_factory=set)
    _held: set[tuple[int, int]] = field(default_factory=set)
    _told: dict[int, str] = field(default_factory=dict)
    _jobs: dict[str, str] = field(default_factory=dict)

    def round(self) -> Iterator[Seizure]:
        """Every step that is due now. Raises Unreachable and ChainUnavailable: try again."""
        for number in range(1, self.chain.disputes.count() + 1):
            if number in self._over:
                continue
            state = self.chain.disputes.dispute(number)
            if state.epoch:
                self._over.add(number)
                continue
            trace, _ = self.chain.disputes.subject(number)
            try:
                detail = self._step(state, trace)
            except (Unreachable, ChainUnavailable):
                raise
            except R1Error as error:
                detail = f"left alone: {error}"
            if detail is not None and self._told.get(number) != detail:
                self._told[number] = detail
                yield Seizure(trace, detail)

    def _step(self, state: DisputeState, trace: str) -> str | None:
        """One step in one dispute, in words; None where there is nothing to do now."""
        try:
            paid = self._paid(trace, state.accused)
        except Refused as refusal:
            if refusal.status == _NOT_FOUND:
                self._end(state)  # it was never paid
            return None
        if paid is None:
            self._end(state)
            return None
        return self._seize(state, paid)

    def _seize(self, state: DisputeState, paid: PaidTrace) -> str | None:
        leaf = paid.leaf
        _, line = self.chain.settlement.locate(leaf.epoch, leaf.job_id)
        status = self.chain.settlement.status(leaf.epoch, line)
        docket = self.chain.disputes.trace_docket(paid.worker, paid.digest)
        pay = f"{leaf.amount} for {leaf.account} in epoch {leaf.epoch}"
        if status in (LineStatus.REJECTED, LineStatus.UNWOUND):
            return None  # it is settled by another line later
        if self._is_claimed(leaf):
            self._end(state)
            return None
        if docket.convicted and status is LineStatus.FINALISED:
            self.chain.restitution.forfeit(paid)
            self._end(state)
            return f"{pay} went back to the job"
        if docket.open or docket.convicted:
            return f"{pay} is held" if self._hold(state.dispute_id, paid) else None
        return f"{pay} is free again" if self._release(state, paid) else None

    def _is_claimed(self, leaf: RewardClaim) -> bool:
        root = proved_root(REWARD_LEAF, (leaf.index, leaf.account, leaf.amount), leaf.proof)
        return self.chain.rewards.is_claimed(leaf.epoch, leaf.job_id, root, leaf.index)

    def _hold(self, dispute: int, paid: PaidTrace) -> bool:
        case = (dispute, paid.leaf.epoch)
        if case in self._held:
            return False
        held = _unless(self.chain.restitution.hold, paid, "AlreadyHeld")
        self._held.add(case)
        return held

    def _release(self, state: DisputeState, paid: PaidTrace) -> bool:
        if state.phase is not DisputePhase.RESOLVED:
            return False
        released = _unless(self.chain.restitution.release, paid, "NotHeld")
        self._end(state)
        return released

    def _end(self, state: DisputeState) -> None:
        """Nothing more comes of a dispute once it is resolved."""
        if state.phase is DisputePhase.RESOLVED:
            self._over.add(state.dispute_id)

    def _paid(self, trace: str, accused: str) -> PaidTrace | None:
        """The trace in its line, and what that pays the accused; None where it pays him nothing. Raises Refused where
        no line has it."""
        if trace not in self._jobs:
            self._jobs[trace] = job_of(self.source, trace)
        job_id = self._jobs[trace]
        anchored = self.source.get(f"/v1/jobs/{job_id}/traces/{trace}/proof", TraceProof)
        worker = fetch_signed(self.source, self.domain, job_id, trace).worker
        report = self.source.get(f"/v1/epochs/{anchored.epoch}/report", EpochReport)
        rewards = next((job.rewards for job in report.jobs if job.job_id == job_id), ())
        for index, row in enumerate(rewards):
            if row.account == accused:
                proof = tuple(reward_tree(rewards).proof(index))
                leaf = RewardClaim(anchored.epoch, job_id, index, row.account, row.amount, proof)
                return PaidTrace(trace, worker, anchored.proof, leaf)
        return None


def _unless(step: Callable[[PaidTrace], TxReceipt], paid: PaidTrace, name: str) -> bool:
    """Take a step, unless another was faster, which the refusal `name` says."""
    try:
        step(paid)
    except Reverted as refusal:
        if refusal.name != name:
            raise
        return False
    return True
