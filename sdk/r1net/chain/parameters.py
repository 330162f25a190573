"""What a network's contracts are made with."""

from __future__ import annotations

from dataclasses import dataclass

from r1net.errors import ChainError

DAY = 86_400
R1 = 10**18
MAX_SEATS = 31
"""As in DisputeBook.sol."""


@dataclass(frozen=True)
class Parameters:
    """Amounts in wei of R1, times in seconds. All but `supply` and `close_grace` can be changed by governance.

    No epoch can be proposed while the pool has fewer members than `pool_min_jurors`, or less weight than
    `pool_min_weight`. The defaults seat five jurors and, without those and the parties, an appeal: nobody counts for
    more than `pool_max_weight`, so that half of the weight is left without any seven members. With less than half,
    nobody is drawn.

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
    juror_fee: int = R1
    answer_period: int = DAY
    commit_period: int = DAY
    reveal_period: int = DAY
    appeal_period: int = DAY
    committee_size: int = 5
    pool_min_jurors: int = 18
    pool_min_weight: int = 280_000 * R1
    pool_max_weight: int = 20_000 * R1
    fraud_penalty: int = 1_000 * R1
    settler_stake: int = 2_000 * R1
    timelock_delay: int = 2 * DAY
    voting_delay: int = DAY
    voting_period: int = 7 * DAY
    proposal_threshold: int = 100_000 * R1
    quorum_percent: int = 4

    def longest_dispute(self) -> int:
        """Seconds from the start of an epoch's challenge window to the end of its last dispute: three rounds, one
        committee drawn anew, two appeals."""
        votes = 4 * (self.commit_period + self.reveal_period)
        return self.challenge_window + self.answer_period + votes + 2 * self.appeal_period

    def most_seats(self) -> int:
        """Seats of all committees that one dispute can have."""
        sizes = [min((self.committee_size + 1) * factor - 1, MAX_SEATS) for factor in (1, 2, 4)]
        return sum(sizes) + sizes[-1]

    def check(self) -> None:
        """Refuse what each contract alone would take, but the network must not be run with."""
        longest = self.longest_dispute()
        if self.unbonding_delay < longest:
            raise ChainError(
                f"an unbonding delay of {self.unbonding_delay} s ends before a dispute may ({longest} s)",
                hint="raise unbonding_delay, or shorten the challenge window and the dispute periods",
            )
        if self.dispute_bond < self.juror_stake * (self.committee_size // 2):
            raise ChainError(
                f"a committee's minority has more at stake than a bond of {self.dispute_bond} wei: who accuses himself "
                "could live off it",
                hint="raise dispute_bond, or lower juror_stake or committee_size",
            )
        fees = self.most_seats() * self.juror_fee
        if self.dispute_bond < 2 * fees or self.dispute_penalty < self.dispute_bond:
            raise ChainError(
                f"half a bond of {self.dispute_bond} wei must cover fees of {fees} wei, and the penalty the bond",
                hint="raise dispute_bond and dispute_penalty, or lower juror_fee",
            )

    def disputes(self) -> tuple[int, ...]:
        """As the Disputes contract takes them."""
        periods = (self.answer_period, self.commit_period, self.reveal_period, self.appeal_period)
        amounts = (self.dispute_bond, self.dispute_penalty, self.juror_stake, self.juror_fee)
        return (*amounts, *periods, self.committee_size)

    def pool(self) -> tuple[int, ...]:
        """As the VerifierPool contract takes them."""
        return (self.pool_min_jurors, self.pool_min_weight, self.pool_max_weight)
