"""What a network's contracts are made with."""

from __future__ import annotations

from dataclasses import dataclass

from r1net.errors import ChainError

DAY = 86_400
R1 = 10**18


@dataclass(frozen=True)
class Parameters:
    """Amounts in wei of R1, times in seconds. All but `supply` and `close_grace` can be changed by governance.

    The unbonding delay must outlast the challenge window and a whole dispute with its appeal, so that no stake
    leaves before it can be slashed; `check` says so. `settler_stake` is what a deploying
    account that settles puts in (0: nothing); other settlers register by themselves.
    """

    supply: int = 1_000_000_000 * R1
    min_stake: int = 1_000 * R1
    unbonding_delay: int = 14 * DAY
    challenge_window: int = DAY
    close_grace: int = 2 * DAY
    dispute_bond: int = 200 * R1
    dispute_penalty: int = 800 * R1
    juror_stake: int = 50 * R1
    answer_period: int = DAY
    commit_period: int = DAY
    reveal_period: int = DAY
    appeal_period: int = DAY
    committee_size: int = 5
    fraud_penalty: int = 1_000 * R1
    settler_stake: int = 2_000 * R1
    timelock_delay: int = 2 * DAY
    voting_delay: int = DAY
    voting_period: int = 7 * DAY
    proposal_threshold: int = 100_000 * R1
    quorum_percent: int = 4

    def longest_dispute(self) -> int:
        """Seconds from the start of an epoch's challenge window to the end of its last dispute, appeal included."""
        votes = 2 * (self.commit_period + self.reveal_period)
        return self.challenge_window + self.answer_period + votes + self.appeal_period

    def check(self) -> None:
        """Refuse what each contract alone would take, but the network must not be run with."""
        longest = self.longest_dispute()
        if self.unbonding_delay < longest:
            raise ChainError(
                f"an unbonding delay of {self.unbonding_delay} s ends before a dispute may ({longest} s)",
                hint="raise unbonding_delay, or shorten the challenge window and the dispute periods",
            )

    def disputes(self) -> tuple[int, ...]:
        """As the Disputes contract takes them."""
        periods = (self.answer_period, self.commit_period, self.reveal_period, self.appeal_period)
        return (self.dispute_bond, self.dispute_penalty, self.juror_stake, *periods, self.committee_size)
