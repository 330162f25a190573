"""A host's defence: whoever doesn't answer an accusation loses it, so every one is answered, with what was signed.

The accuser is a stranger, and so is the coordinator, which keeps what this host signed: when it shows nothing that
holds, the answer is given without, in time. Whether this host was right is for the jurors; an answer only calls them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from r1net.chain import Chain, Reverted
from r1net.chain.disputes import DisputePhase, DisputeState, Verdict
from r1net.cli.output import Amount, Moment
from r1net.errors import ChainUnavailable, ProtocolError, R1Error, Refused, Unreachable
from r1net.protocol.evidence import Evidence
from r1net.protocol.signing import Domain
from r1net.protocol.trace import SignedTrace
from r1net.transport import Transport
from r1node.verification.exhibit import fetch_signed, job_of
from r1node.verification.filing import file_evidence

PATIENCE = 0.5
"""Share of the time to answer in which the coordinator is asked again for what was signed."""

Step = Literal["accused", "answered", "unanswered", "found guilty", "found innocent", "convicted", "acquitted"]


@dataclass(frozen=True)
class Answered:
    """An answer on chain: the digest of `file`."""

    digest: str
    file: Path
    transaction: str


@dataclass(frozen=True)
class Turn:
    """What happened in a dispute against this host."""

    dispute: int
    step: Step
    words: str


@dataclass
class Defence:
    """Answers what one owner is accused of, and tells how it goes on. Files are kept in `home`."""

    chain: Chain
    source: Transport
    domain: Domain
    owner: str
    home: Path
    _seen: int | None = None
    _open: set[int] = field(default_factory=set)
    _told: dict[int, tuple[Step, int]] = field(default_factory=dict)

    def round(self) -> Iterator[Turn]:
        """All that is new. Raises ChainUnavailable: try again."""
        self._look_for_new()
        for number in sorted(self._open):
            state = self.chain.disputes.dispute(number)
            for turn in self._turns(state):
                told = turn.step, state.round  # an appeal brings another committee, which may find the same
                if self._told.get(number) != told:
                    self._told[number] = told
                    yield turn
            if state.phase is DisputePhase.RESOLVED:
                self._open.discard(number)

    def answer(self, state: DisputeState, words: str = "", insist: bool = True) -> Answered:
        """Answer a dispute. With `insist`, raises what stands in the way of showing what was signed; else the answer
        is given without."""
        signed = None
        try:
            signed = self._signed(state)
        except (Unreachable, Refused, ProtocolError):
            if insist:
                raise
        file, digest = file_evidence(self.home, Evidence(kind="answer", submission=signed, words=words))
        return Answered(digest, file, self.chain.disputes.answer(state.dispute_id, digest).tx_hash)

    def _look_for_new(self) -> None:
        """Reading all events is dear: once is enough, from then on the new disputes by their numbers."""
        count = self.chain.disputes.count()
        if self._seen is None:
            self._open.update(state.dispute_id for state in self.chain.disputes.against(self.owner))
        else:
            new = map(self.chain.disputes.dispute, range(self._seen + 1, count + 1))
            self._open.update(state.dispute_id for state in new if state.accused == self.owner)
        self._seen = count

    def _turns(self, state: DisputeState) -> Iterator[Turn]:
        number, guilty = state.dispute_id, state.verdict is Verdict.GUILTY
        match state.phase:
            case DisputePhase.OPEN:
                yield from self._defend(state)
            case DisputePhase.DECIDED if guilty:
                until = Moment(self.chain.moment(state.deadline))
                words = f"the jurors of dispute {number} found against this host; until {until}: r1node appeal {number}"
                yield Turn(number, "found guilty", words)
            case DisputePhase.DECIDED:
                words = f"the jurors of dispute {number} found for this host; the accuser may appeal"
                yield Turn(number, "found innocent", words)
            case DisputePhase.RESOLVED if guilty:
                words = f"dispute {number} is lost, and with it up to {Amount(state.at_risk)} of the stake"
                yield Turn(number, "convicted", words)
            case DisputePhase.RESOLVED:
                yield Turn(number, "acquitted", f"dispute {number} is over: nothing was found against this host")

    def _defend(self, state: DisputeState) -> Iterator[Turn]:
        number, until = state.dispute_id, Moment(self.chain.moment(state.deadline))
        about = f"line {state.line} of epoch {state.epoch}" if state.epoch else "work of this host"
        if number not in self._told:
            words = f"{state.challenger} disputes {about} (dispute {number}): {Amount(state.at_risk)} are at stake"
            yield Turn(number, "accused", f"{words}; it is lost unless it is answered by {until}")
        try:
            given = self.answer(state, insist=self._has_time(state))
        except ChainUnavailable:
            raise
        except R1Error as error:
            if isinstance(error, Reverted) and self.chain.disputes.dispute(number).phase is not DisputePhase.OPEN:
                return  # another machine of this owner was faster, or it is over
            yield Turn(number, "unanswered", f"dispute {number} can't be answered yet: {error}; trying until {until}")
            return
        yield Turn(number, "answered", f"dispute {number} was answered with {given.file}; jurors will be drawn")

    def _has_time(self, state: DisputeState) -> bool:
        left = state.deadline - self.chain.settlement.clock()
        return left > PATIENCE * self.chain.disputes.answer_period()

    def _signed(self, state: DisputeState) -> SignedTrace | None:
        if state.epoch:
            return None
        trace, _ = self.chain.disputes.subject(state.dispute_id)
        return fetch_signed(self.source, self.domain, job_of(self.source, trace), trace)
