"""What came of a cheat, read from where anybody may read: the coordinator's public routes, the chain, and, of what was
false, the node's own log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from eth_account.signers.local import LocalAccount
from pydantic import BaseModel

from r1net import Client, Run, Verification
from r1net.deterrence import Cheat as Odd
from r1net.deterrence import odds
from r1net.protocol.checks import CheckView, VoteView
from r1net.protocol.job import JobView
from r1net.protocol.pricing import Work, asked
from r1net.protocol.settlement import ClaimProof
from r1net.protocol.views import AccountRewards, NodeView
from r1net.transport import Transport
from r1node.claims import claim_all
from tests.adversarial.network.catalogue import Cheat
from tests.adversarial.network.crews import Crews, Node
from tests.adversarial.network.lies import failures_of, lies_of

_PAGE = 500
_CLAIMS = 100
_VOTERS_FAULTS = ("false_vote", "missed_plant")


class Outcome(BaseModel):
    """One cheat. Pieces of work (submissions, gradients, votes) are counted by the node's own word for what is false:
    `lies` told, of which `failures` tells how many were refused or came to nothing, by code; `drawn` were repeated,
    `caught` found bad by two owners, `cleared` found good; of the repeated ones' `traces`, `bad_traces` are bad by
    themselves. `votes` of a verifier, of which `wrong` were contradicted, and `disputed` taken to court.

    Wei: `worth`, what the drawn lies and the votes would have been paid; `paid`, what they are paid; `claimed`, what
    the owners got out of the contracts, for honest work too. `rate`: the probability that a piece of that kind is drawn
    in the same job at the default rate; `profit` what the lie brings there on average until it is caught, None where
    nothing catches it, or where it was never admitted.
    """

    name: str
    kind: str
    does: str
    fate: str
    lies: int
    failures: dict[str, int]
    drawn: int
    caught: int
    cleared: int
    traces: int
    bad_traces: int
    votes: int
    wrong: int
    disputed: int
    worth: int
    paid: int
    claimed: int
    standing: float
    reasons: dict[str, int]
    honest_rejected: int
    honest_charged: dict[str, int]
    job: str
    rate: float
    profit: int | None
    seconds: float

    @property
    def stands(self) -> bool:
        """Whether the network held: the cheat met its fate, and nobody honest suffered."""
        unharmed = not self.honest_rejected and not self.honest_charged and self.job == "completed"
        return unharmed and self.lies > 0 and self._met

    @property
    def _met(self) -> bool:
        match self.fate:
            case "caught":
                return self.caught > 0 and not self.paid and self.profit is not None and self.profit < 0
            case "refused":
                return sum(self.failures.values()) == self.lies and not self.drawn
            case "unpaid":
                return not self.paid
            case "outvoted":
                charged = any(self.reasons.get(fault) for fault in _VOTERS_FAULTS)
                return self.paid < self.worth and charged and self.disputed > 0
            case "dear":
                return self.profit is not None and self.profit < 0
            case _:
                return True


def mistaken(row: CheckView, vote: VoteView) -> bool:
    """Whether a vote says something else than what is known or was found."""
    return (not vote.finding.faults) != (row.state == "holds" and not row.planted)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _blind(votes: Sequence[tuple[CheckView, VoteView]]) -> float | None:
    """The share of votes that show a verifier up: of those on planted copies, where it clears them."""
    planted = [(row, vote) for row, vote in votes if row.planted and mistaken(row, vote)]
    asked = [row for row, _ in votes if row.planted or not planted]
    return _share(len(planted) or sum(mistaken(*one) for one in votes), len(asked))


class Reading:
    """Begins before a job, so that what happens during it can be told from what was before."""

    def __init__(self, client: Client, crews: Crews, honest: Collection[str]) -> None:
        self._client, self._crews, self._honest = client, crews, honest
        self._source: Transport = client.transport
        self._charged = self._charges()

    def outcome(self, cheat: Cheat, run: Run, crew: Sequence[Node], seconds: float) -> Outcome:
        """What came of a cheat in a job that is over."""
        view = run.view()
        rows = list(self._source.walk(f"/v1/jobs/{run.job_id}/checks", CheckView, _PAGE))
        real = [row for row in rows if not row.planted]
        lies = {lease for node in crew for lease in lies_of(node.process.said)}
        drawn = [row for row in real if row.lease_id in lies and row.votes]
        judged = [row for row in rows if row.state in ("holds", "failed")]
        workers, owners = {node.worker for node in crew}, {node.owner.address for node in crew}
        votes = [(row, vote) for row in judged for vote in row.votes if vote.worker in workers]
        nodes = [node for node in self._source.get_many("/v1/nodes", NodeView) if node.worker in workers]
        caught = sum(row.state == "failed" for row in drawn)
        refused = Counter(code for node in crew for code in failures_of(node.process.said))
        wrong = [row for row, vote in votes if mistaken(row, vote)]
        rate, profit = self._odds(cheat, view, _share(caught, len(drawn)) if drawn else _blind(votes))
        return Outcome(
            name=cheat.name,
            kind=cheat.kind,
            does=cheat.does,
            fate=cheat.fate,
            lies=len(lies),
            failures=dict(refused),
            drawn=len(drawn),
            caught=caught,
            cleared=sum(row.state == "holds" for row in drawn),
            traces=sum(len(row.positions) for row in drawn),
            bad_traces=sum(max(len(vote.bad) for vote in row.votes) for row in drawn),
            votes=len(votes),
            wrong=len(wrong),
            disputed=self._disputed(owners),
            worth=self._worth(
                view, [(row.kind, row.votes[0]) for row in drawn] + [("verification", v) for _, v in votes]
            ),
            paid=self._paid(owners, lies),
            claimed=sum(self._claimed(owner) for owner in {node.owner.address: node.owner for node in crew}.values()),
            standing=max(node.standing for node in nodes),
            reasons=dict(sum((Counter(node.reasons) for node in nodes), Counter())),
            honest_rejected=sum(row.owner in self._honest and row.state in ("failed", "dropped") for row in real),
            honest_charged=dict(self._charges() - self._charged),
            job=view.state,
            rate=rate,
            profit=profit,
            seconds=round(seconds, 1),
        )

    def _charges(self) -> Counter[str]:
        """What honest workers were ever charged with, and how much of their work was refused."""
        nodes = [node for node in self._source.get_many("/v1/nodes", NodeView) if node.owner in self._honest]
        found = sum((Counter(node.reasons) for node in nodes), Counter[str]())
        return found + Counter(refused=sum(node.rejected for node in nodes))

    def _disputed(self, owners: set[str]) -> int:
        disputes = self._client.chain.disputes
        return sum(disputes.dispute(number).accused in owners for number in range(1, disputes.count() + 1))

    def _worth(self, view: JobView, told: Iterable[tuple[str, VoteView]]) -> int:
        """What pieces of work of some kinds would have been paid, each with a vote on it, or that it is: as many tokens
        as the vote counts, since every trace was repeated."""
        return sum(asked(Work(kind, vote.finding.tokens), view.spec.prices) for kind, vote in told)

    def _paid(self, owners: set[str], lies: set[str]) -> int:
        rewards = [self._source.get(f"/v1/accounts/{owner}/rewards", AccountRewards) for owner in owners]
        return sum(row.amount for one in rewards for row in one.earnings if row.lease_id in lies)

    def _claimed(self, owner: LocalAccount) -> int:
        """What its owner gets out of the contracts, as `r1node claim` does it."""
        proofs = self._source.walk(f"/v1/accounts/{owner.address}/claims", ClaimProof, _CLAIMS)
        return sum(claim.paid for claim in claim_all(self._crews.chain(owner), owner.address, proofs))

    def _odds(self, cheat: Cheat, view: JobView, caught: float | None) -> tuple[float, int | None]:
        """In the same job at the default rate; nothing is to be said of what was never drawn."""
        if caught is None:
            return 0.0, None
        spec = view.spec.model_copy(update={"verification": Verification()})
        odd = Odd(cheat.name, cheat.kind, cheat.saves, caught)
        (found,) = odds(spec, spec.payment_token, self._client.chain.at_risk(), (odd,))
        return found.rate, found.profit
