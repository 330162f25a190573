"""A juror at work: judge where drawn, vote in secret, reveal, and take the steps that anyone may take when due.

Judging one dispute takes minutes, in which another one's period may end. So there are two parts, each for a thread of
its own: `Juror.round` takes what is due and never judges, `Juror.deliberate` judges and sends nothing. They meet in the
calendar of what is to be judged, and in the ballot box, where a vote lies before it is committed to.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from r1net.chain import Chain, Reverted
from r1net.chain.disputes import DisputePhase, DisputeState, Verdict
from r1net.chain.models import TxReceipt
from r1net.errors import ChainUnavailable, R1Error, Unreachable
from r1node.verification.ballots import BallotBox

NOT_NOW = ("TooEarly", "TooLate", "WrongPhase", "AlreadyVoted")
"""Refusals that only say that the moment has passed or is still to come, or that another was faster."""


@dataclass(frozen=True)
class Judgement:
    """What a juror thinks of an accusation, and why."""

    verdict: Verdict
    reason: str


Judge = Callable[[DisputeState], Judgement]


@dataclass(frozen=True)
class Step:
    """Something done about a dispute. "judged" and "failed" have no transaction."""

    dispute: int
    step: str
    transaction: str | None
    detail: str


@dataclass
class Calendar:
    """What is to be judged, each round of a dispute once. Threads may share it."""

    _cases: dict[tuple[int, int], DisputeState] = field(default_factory=dict)
    _tries: Counter[tuple[int, int]] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def enter(self, state: DisputeState) -> None:
        """Ask for a judgement; again for one that failed."""
        with self._lock:
            self._cases[state.dispute_id, state.round] = state

    def take(self, now: int) -> DisputeState | None:
        """What to judge next: of the least tried, that which must be committed to first. A case that always fails keeps
        no other waiting, and what can't be committed to any more is not judged."""
        with self._lock:
            self._cases = {case: state for case, state in self._cases.items() if now < state.deadline}
            if not self._cases:
                return None
            case = min(self._cases, key=lambda case: (self._tries[case], self._cases[case].deadline))
            self._tries[case] += 1
            return self._cases.pop(case)


class Juror:
    """One owner's part in all disputes. `judge` is asked once for each round in which the owner is drawn, and again
    when it failed. `round` and `deliberate` may run at the same time, each in one thread."""

    def __init__(self, chain: Chain, owner: str, box: BallotBox, judge: Judge) -> None:
        self._chain, self._owner, self._box, self._judge = chain, owner, box, judge
        self._calendar = Calendar()
        self._over: set[int] = set()

    def round(self) -> Iterator[Step]:
        """Everything that can be done now, one step to a dispute; what is to be judged is noted for `deliberate`. What
        fails in one dispute stops no other: whoever is drawn there would lose stake. Raises Unreachable and
        ChainUnavailable: try again."""
        for number in range(1, self._chain.disputes.count() + 1):
            if number in self._over:
                continue
            state = self._chain.disputes.dispute(number)
            if state.phase is DisputePhase.RESOLVED:
                self._over.add(number)
            try:
                step = self._step(state)
            except (Unreachable, ChainUnavailable):
                raise
            except R1Error as error:
                if isinstance(error, Reverted) and error.name in NOT_NOW:
                    continue
                step = Step(number, "failed", None, str(error))
            if step is not None:
                yield step

    def deliberate(self) -> Step | None:
        """Judge one dispute, however long that takes, and keep the vote, which the next round commits to; None while
        there is nothing to judge. Raises Unreachable and ChainUnavailable: it is judged again later."""
        while (state := self._calendar.take(self._chain.settlement.clock())) is not None:
            try:
                if self._box.get(state.dispute_id, state.round) is None:  # a round may have asked once more meanwhile
                    return self._judged(state)
            except (Unreachable, ChainUnavailable):
                raise
            except R1Error as error:
                return Step(state.dispute_id, "failed", None, str(error))
        return None

    def _judged(self, state: DisputeState) -> Step:
        judged = self._judge(state)
        vote = self._box.keep(state.dispute_id, state.round, judged.verdict, judged.reason)
        return Step(state.dispute_id, "judged", None, f"{vote.verdict.name.lower()}: {vote.reason}")

    def _step(self, state: DisputeState) -> Step | None:
        disputes, now = self._chain.disputes, self._chain.settlement.clock()
        match state.phase:
            case DisputePhase.OPEN if now >= state.deadline:
                return _done(state, "resolve", disputes.resolve(state.dispute_id), "there was no answer")
            case DisputePhase.DRAWING:
                return _done(state, "draw", disputes.draw(state.dispute_id))
            case DisputePhase.VOTING if now >= state.reveal_until:
                return _done(state, "tally", disputes.tally(state.dispute_id))
            case DisputePhase.VOTING:
                return self._vote(state, now)
            case DisputePhase.DECIDED if now >= state.deadline:
                return _done(state, "resolve", disputes.resolve(state.dispute_id), "there was no appeal")
        return None

    def _vote(self, state: DisputeState, now: int) -> Step | None:
        disputes, number = self._chain.disputes, state.dispute_id
        ballot = disputes.ballot(number, state.round, self._owner)
        vote = self._box.get(number, state.round)
        if ballot.seats == 0:
            return None
        if ballot.commitment is None and now < state.deadline:
            if vote is None:
                self._calendar.enter(state)
                return None
            return _done(state, "commit", disputes.commit(number, vote.verdict, vote.salt), vote.reason)
        if ballot.commitment is not None and ballot.vote is Verdict.NONE and now >= state.deadline and vote is not None:
            reason = f"{vote.verdict.name.lower()}: {vote.reason}"
            return _done(state, "reveal", disputes.reveal(number, vote.verdict, vote.salt), reason)
        return None


def _done(state: DisputeState, step: str, receipt: TxReceipt, detail: str = "") -> Step:
    return Step(state.dispute_id, step, receipt.tx_hash, detail)
