"""Bonded challenges, judged by a committee of staked verifiers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from eth_abi.abi import encode
from eth_hash.auto import keccak

from r1net.chain.contract import BoundContract
from r1net.chain.models import TxReceipt, enhex, unhex
from r1net.chain.reasons import Reverted
from r1net.chain.sender import Sender
from r1net.errors import ChainError

WEIGHT_GAS = 400_000
"""Spare gas where a weight in the pool changes: its tree keeps one entry for each block, so that the first change in a
block costs more than an estimate in a block with another one says."""


class DisputePhase(IntEnum):
    """Where a dispute stands."""

    NONE = 0
    OPEN = 1
    DRAWING = 2
    VOTING = 3
    DECIDED = 4
    RESOLVED = 5


class Verdict(IntEnum):
    """What a juror says, and what a committee finds."""

    NONE = 0
    GUILTY = 1
    INNOCENT = 2


@dataclass(frozen=True)
class DisputeState:
    """A dispute. Stakes in wei of R1, times in seconds of the settlement's clock; `epoch` is 0 for a trace, else `line`
    is the disputed one in it. `deadline`
    ends the present step (to answer, to commit, to appeal), `reveal_until` the reveals; the draw needs a block after
    `draw_block`. `round` counts committees, `appeals` only those that an appeal called for."""

    dispute_id: int
    challenger: str
    deadline: int
    phase: DisputePhase
    verdict: Verdict
    round: int
    appeals: int
    redrawn: bool
    accused: str
    bond: int
    at_risk: int
    epoch: int
    line: int
    draw_block: int
    reveal_until: int


@dataclass(frozen=True)
class Ballot:
    """A juror's part in one round. `seats` are the votes that he casts as one, 0 if he was not drawn. `commitment` is
    None until he commits, `vote` NONE until he reveals. `at_risk` is what he loses if he is not with the verdict."""

    seats: int
    at_risk: int
    commitment: str | None
    vote: Verdict


@dataclass(frozen=True)
class Docket:
    """What the court knows of a line or a trace. Each acquittal doubles the bond of the next dispute, four times at
    most; a conviction is final."""

    open: int
    acquittals: int
    convicted: bool


@dataclass(frozen=True)
class SignedSubmission:
    """A worker's signed submission: the protocol's EIP-712 `Submission(lease, tracesRoot, count)`."""

    lease: str
    traces_root: str
    count: int
    signature: str


class Disputes:
    """The Disputes contract. Bonds are locked from the account's stake in the registry, not transferred."""

    def __init__(self, address: str, sender: Sender, first_block: int = 0) -> None:
        self.address = address
        self._contract = BoundContract("Disputes", address, sender)
        self._sender = sender
        self._first_block = first_block

    def penalty(self) -> int:
        """What a conviction takes of the accused's stake, in wei, before appeals."""
        return int(self._contract.call("parameters")[1])

    def answer_period(self) -> int:
        """Seconds that an accused has to answer, by the settlement's clock."""
        return int(self._contract.call("parameters")[4])

    def challenge_line(self, epoch: int, line: int, evidence: str) -> int:
        """Challenge a line that is not paid yet, and freeze it, and no other. `evidence` is a digest, each taken once.
        Returns the dispute's number."""
        return self._opened(self._contract.send("challengeLine", epoch, line, unhex(evidence)))

    def challenge_trace(
        self, submission: SignedSubmission, trace_digest: str, proof: Sequence[str], evidence: str
    ) -> int:
        """Challenge a trace that a worker has signed for. After an acquittal this needs another evidence. Returns the
        dispute's number."""
        signed = (submission.lease, unhex(submission.traces_root), submission.count, unhex(submission.signature))
        nodes = [unhex(node) for node in proof]
        receipt = self._contract.send("challengeTrace", signed, unhex(trace_digest), nodes, unhex(evidence))
        return self._opened(receipt)

    def answer(self, dispute_id: int, reply: str) -> TxReceipt:
        """Answer an accusation, with the digest of the answer; calls for a committee."""
        return self._contract.send("answer", dispute_id, unhex(reply))

    def draw(self, dispute_id: int) -> TxReceipt:
        """Draw the committee, once its block is mined."""
        return self._contract.send("draw", dispute_id, spare=WEIGHT_GAS)

    def commit(self, dispute_id: int, verdict: Verdict, salt: str) -> TxReceipt:
        """Commit to a vote. Keep the salt (32 bytes, random, `0x` hex): without it the vote cannot be revealed."""
        juror, round_ = self._account(), self.dispute(dispute_id).round
        fields = [dispute_id, round_, juror, int(verdict), unhex(salt)]
        commitment = keccak(encode(["uint256", "uint256", "address", "uint8", "bytes32"], fields))
        return self._contract.send("commit", dispute_id, commitment)

    def reveal(self, dispute_id: int, verdict: Verdict, salt: str) -> TxReceipt:
        """Reveal a committed vote. A juror who does not loses stake for each of his seats."""
        return self._contract.send("reveal", dispute_id, int(verdict), unhex(salt))

    def tally(self, dispute_id: int) -> TxReceipt:
        """Count the votes after the reveals."""
        return self._contract.send("tally", dispute_id, spare=WEIGHT_GAS)

    def appeal(self, dispute_id: int) -> TxReceipt:
        """Ask for a larger committee of other jurors; for the loser, twice at most, against two and four more bonds."""
        return self._contract.send("appeal", dispute_id)

    def resolve(self, dispute_id: int) -> TxReceipt:
        """End a dispute whose answer or appeal did not come in time."""
        return self._contract.send("resolve", dispute_id, spare=WEIGHT_GAS)

    def dispute(self, dispute_id: int) -> DisputeState:
        """A dispute's state."""
        challenger, deadline, phase, verdict, *rest = self._contract.call("disputeOf", dispute_id)
        return DisputeState(dispute_id, challenger, deadline, DisputePhase(phase), Verdict(verdict), *rest)

    def line_docket(self, epoch: int, line: int) -> Docket:
        """What the court knows of a line."""
        return Docket(*self._contract.call("lineDocket", epoch, line))

    def trace_docket(self, worker: str, trace_digest: str) -> Docket:
        """What the court knows of a worker's trace."""
        return Docket(*self._contract.call("traceDocket", worker, unhex(trace_digest)))

    def ballot(self, dispute_id: int, round_: int, juror: str) -> Ballot:
        """A juror's part in a round."""
        commitment, _, at_risk, seats, vote = self._contract.call("ballotOf", dispute_id, round_, juror)
        return Ballot(seats, at_risk, enhex(commitment) if any(commitment) else None, Verdict(vote))

    def committee(self, dispute_id: int, round_: int = 0) -> list[str]:
        """The jurors of a round, each once however many seats he has."""
        return [str(juror) for juror in self._contract.call("committeeOf", dispute_id, round_)]

    def count(self) -> int:
        """Number of disputes so far; the newest has this number."""
        return int(self._contract.call("disputeCount"))

    def against(self, accused: str) -> list[DisputeState]:
        """The unresolved disputes that an owner has to answer or await."""
        opened = self._contract.logs("DisputeOpened", from_block=self._first_block, accused=accused)
        found = [self.dispute(int(event["disputeId"])) for event in opened]
        return [dispute for dispute in found if dispute.phase is not DisputePhase.RESOLVED]

    def involving(self, owner: str) -> list[tuple[DisputeState, str]]:
        """The unresolved disputes that may hold an owner's stake, each with his part: accused, challenger or juror."""
        first, logs = self._first_block, self._contract.logs
        drawn = [event for event in logs("CommitteeDrawn", from_block=first) if owner in event["committee"]]
        found = (
            ("accused", logs("DisputeOpened", from_block=first, accused=owner)),
            ("challenger", logs("DisputeOpened", from_block=first, challenger=owner)),
            ("juror", drawn),
        )
        parts = {int(event["disputeId"]): part for part, events in found for event in events}
        states = [(self.dispute(number), part) for number, part in sorted(parts.items())]
        return [(state, part) for state, part in states if state.phase is not DisputePhase.RESOLVED]

    def duties(self, juror: str) -> list[DisputeState]:
        """The disputes in which a juror has a vote to commit or to reveal now."""
        drawn = self._contract.logs("CommitteeDrawn", from_block=self._first_block)
        seats = [event for event in drawn if juror in event["committee"]]
        found = [(int(event["round"]), self.dispute(int(event["disputeId"]))) for event in seats]
        return [one for round_, one in found if one.phase is DisputePhase.VOTING and one.round == round_]

    def subject(self, dispute_id: int) -> tuple[str, str]:
        """What a dispute is about (a trace's digest or a line's subject), and the digest of the evidence."""
        event = self._contract.logs("DisputeOpened", from_block=self._first_block, disputeId=dispute_id)[0]
        return enhex(event["subject"]), enhex(event["evidence"])

    def slashed(self, receipt: TxReceipt) -> int:
        """What the loser lost, in wei of R1, from the receipt of the step that resolved a dispute."""
        return int(self._contract.event(receipt, "DisputeResolved")["slashed"])

    def _opened(self, receipt: TxReceipt) -> int:
        return int(self._contract.event(receipt, "DisputeOpened")["disputeId"])

    def _account(self) -> str:
        if self._sender.account is None:
            raise ChainError("this needs an account, but the connection is read-only", hint="pass account=…")
        return str(self._sender.account.address)


class VerifierPool:
    """The nodes that are willing to judge."""

    def __init__(self, address: str, sender: Sender) -> None:
        self.address = address
        self._contract = BoundContract("VerifierPool", address, sender)

    def join(self) -> TxReceipt:
        """Offer to judge; for active nodes."""
        return self._contract.send("join", spare=WEIGHT_GAS)

    def quit(self) -> TxReceipt:
        """Judge no more. The pool holds the stake for `EXIT_BLOCKS` more; then `release` it."""
        return self._contract.send("quit", spare=WEIGHT_GAS)

    def update(self, owner: str) -> TxReceipt:
        """Renew a verifier's weight after his stake changed; removes him if he is no longer active."""
        return self._contract.send("update", owner, spare=WEIGHT_GAS)

    def release(self, owner: str) -> TxReceipt:
        """Let go of the stake of an owner who left long enough ago."""
        return self._contract.send("release", owner)

    def releasable_from(self, owner: str) -> int | None:
        """The block from which on `release` lets go of an owner's stake, 0 where it does already; None where the pool
        holds none, or the owner is still in it."""
        try:
            self._contract.call("release", owner)
        except Reverted as refusal:
            if refusal.name != "NotReleasable":
                raise
            return int(refusal.values["block_"]) or None
        return 0

    def ready(self) -> bool:
        """Whether there are jurors and weight enough: no epoch can be proposed otherwise."""
        return bool(self._contract.call("ready"))

    def weight(self, owner: str) -> int:
        """How much of an owner's stake counts in a draw, in wei of R1; 0 outside the pool."""
        return int(self._contract.call("weightOf", owner))

    def size(self) -> int:
        """How many verifiers there are."""
        return int(self._contract.call("size"))

    def contains(self, owner: str) -> bool:
        """Whether an owner is a verifier."""
        return bool(self._contract.call("contains", owner))
