"""What a network's contracts are made with."""

from __future__ import annotations

from dataclasses import dataclass

from r1net.errors import ChainError

DAY = 86_400
MAX_PAUSE = 7 * DAY
"""Longest pause, and the shortest time between two: as Settlement has it."""
R1 = 10**18
MAX_SEATS = 31
"""As in DisputeBook.sol."""


@dataclass(frozen=True)
class Parameters:
    """Amounts in wei of R1, times in seconds. All but `supply`, `close_grace` and `cap_period` can be
    changed by governance.

    No epoch can be proposed while the pool has fewer members than `pool_min_jurors`, or less weight than
    `pool_min_weight`. The defaults seat five jurors and, without those and the parties, an appeal: nobody counts for
    more than `pool_max_weight`, so that half of the weight is left without any seven members. With less than half,
    nobody is drawn.

    The unbonding delay must outlast the challenge window and a whole dispute with its appeal, pauses included, so that
    no stake leaves before it can be slashed; `check` says so. `settler_stake` is what each settler is given by the
    deploying account (0: nothing; he registers by himself). For every epoch a settler locks `bond_base` and, for 1e18
    of the smallest units of money that it reserves, `bond_rate`. A job's epoch cap refills in `cap_period`.
    """

    supply: int = 1_000_000_000 * R1
    min_stake: int = 1_000 * R1
    unbonding_delay: int = 28 * DAY
    challenge_window: int = DAY
    close_grace: int = 2 * DAY
    cap_period: int = DAY
    bond_base: int = 500 * R1
    bond_rate: int = R1
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
    settler_stake: int = 10_000 * R1
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

    def longest_hold(self) -> int:
        """The same in Unix time, with all the pauses that the guardian may lay over it."""
        longest = self.longest_dispute()
        return longest + MAX_PAUSE * (longest // MAX_PAUSE + 1)

    def check(self) -> None:
        """Refuse what each contract alone would take, but the network must not be run with."""
        if self.settler_stake and self.settler_stake < max(self.min_stake, self.bond_base):
            raise ChainError(
                f"a settler's stake of {self.settler_stake} wei covers no bond, or is below the minimum stake",
                hint="raise settler_stake to min_stake and bond_base at least, or set it to 0",
            )
        longest = self.longest_hold()
        if self.unbonding_delay < longest:
            raise ChainError(
                f"an unbonding delay of {self.unbonding_delay} s ends before a dispute may with pauses ({longest} s)",
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

    def bond_terms(self) -> tuple[int, int]:
        """As the Settlement contract takes them."""
        return (self.bond_base, self.bond_rate)

    def disputes(self) -> tuple[int, ...]:
        """As the Disputes contract takes them."""
        periods = (self.answer_period, self.commit_period, self.reveal_period, self.appeal_period)
        amounts = (self.dispute_bond, self.dispute_penalty, self.juror_stake, self.juror_fee)
        return (*amounts, *periods, self.committee_size)

    def pool(self) -> tuple[int, ...]:
        """As the VerifierPool contract takes them."""
        return (self.pool_min_jurors, self.pool_min_weight, self.pool_max_weight)
