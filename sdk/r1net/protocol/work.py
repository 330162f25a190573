"""Leases: the work a node is given, and what it answers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from r1net.protocol.canonical import Address, Hash, Message, Signature, Wei, sha256
from r1net.protocol.evidence import Finding, GradientFinding
from r1net.protocol.gradients import GradientCommitment
from r1net.protocol.job import PolicyVersion
from r1net.protocol.reach import DialOrder, Reach
from r1net.protocol.trace import Split, trace_tree

Capability = Literal["rollout", "train", "verify"]


class WorkRequest(Message):
    """Body of POST /v1/work. The coordinator holds the request for up to `wait` seconds when it has nothing.

    `floors` are the prices below which the worker takes no work: token -> least wei for a rollout token and for a
    trained one. Jobs that pay in any other token aren't offered. Without floors it takes anything.
    """

    capabilities: tuple[Capability, ...] = Field(min_length=1)
    holds: dict[Hash, int] = Field(default_factory=dict, description="job id -> policy version held in memory")
    floors: dict[Address, Wei] | None = Field(default=None, max_length=32)
    without: tuple[Hash, ...] = Field(default=(), max_length=64, description="jobs to get no work of now")
    only: Hash | None = Field(default=None, description="the job to get work of, and of no other")
    wait: float = Field(default=10.0, ge=0, le=30)


class RolloutTask(Message):
    """Sample the completions of `groups` with policy `version`. Problems and seeds are derived from the job."""

    kind: Literal["rollout"] = "rollout"
    split: Split
    round: int
    version: PolicyVersion
    groups: tuple[int, ...] = Field(min_length=1)


class TrainerSlot(Message):
    """One trainer's place in an averaging group, and the admitted bundles whose gradient it computes.

    `tokens` are the completion tokens of these bundles that count: what the slot is paid for.
    """

    worker: Address
    peer_id: str
    maddrs: tuple[str, ...]
    bundles: tuple[Hash, ...]
    tokens: int = Field(ge=0)


class TrainTask(Message):
    """Compute your slot's gradient, average over exactly these slots, step, report.

    `attempt` numbers the tries of a round: an attempt that loses a trainer is given up, never mixed into the next.
    The averaging group's key is derived from (job, round, attempt).
    `groups` are the groups that count, None meaning all of the round's. `tokens` is the number of their completion
    tokens and `sequences` that of their completions, all slots together: the losses are normalised by them.
    `reward_std` is the unbiased standard deviation of their shaped rewards (r1net.shaping); `scale_rewards` "batch"
    divides by it.
    """

    kind: Literal["train"] = "train"
    round: int
    attempt: int
    version: PolicyVersion
    slots: tuple[TrainerSlot, ...] = Field(min_length=1)
    groups: tuple[int, ...] | None = None
    tokens: int = Field(ge=0)
    sequences: int = Field(ge=0)
    reward_std: float = Field(ge=0)


class PublishTask(Message):
    """A version has its majority: upload its files. With `salt`, prove that you hold them too (`possession`) instead:
    the version counts once its files can be had from two places."""

    kind: Literal["publish"] = "publish"
    version: PolicyVersion
    salt: Hash | None = None


class VerifyTask(Message):
    """Replay the completions at `positions` of a bundle with the policy `version` that they name, and vote on it:
    first a `VoteCommitment`, then the `Vote` itself."""

    kind: Literal["verify"] = "verify"
    split: Split
    round: int
    version: PolicyVersion
    bundle: Hash
    positions: tuple[int, ...] = Field(min_length=1)


class RecomputeTask(Message):
    """Compute the gradient of one slot of an attempt anew, and what the attempt's step must lead to, and vote on the
    trainer's `statement`, a blob, as on a bundle."""

    kind: Literal["recompute"] = "recompute"
    train: TrainTask
    worker: Address
    statement: Hash

    @property
    def round(self) -> int:
        """The attempt's round."""
        return self.train.round

    @property
    def version(self) -> PolicyVersion:
        """The version that the step was made from."""
        return self.train.version

    @property
    def slot(self) -> TrainerSlot:
        """The slot that is checked."""
        return next(slot for slot in self.train.slots if slot.worker == self.worker)


Task = Annotated[RolloutTask | TrainTask | PublishTask | VerifyTask | RecomputeTask, Field(discriminator="kind")]


class Lease(Message):
    """A time-limited right to do one task. Kept alive by heartbeats; lost leases go to somebody else."""

    id: str
    job_id: Hash
    worker: Address
    expires_at: float = Field(description="Unix seconds")
    heartbeat_every: float = Field(gt=0, description="seconds")
    task: Task


class WorkAnswer(Message):
    """Answer of POST /v1/work: a lease, or nothing yet; whom to dial beside it; and whether others reach the asker."""

    lease: Lease | None = None
    reason: str | None = Field(default=None, description="why there is nothing, in words")
    dials: tuple[DialOrder, ...] = ()
    reach: Reach | None = None


class HeartbeatAnswer(Message):
    """Answer of POST /v1/leases/{id}/heartbeat. A lease that is no longer yours must be dropped at once."""

    alive: bool
    expires_at: float
    reason: str | None = None
    dials: tuple[DialOrder, ...] = ()


class TrainReport(Message):
    """What a trainer reports after its step: the version it came to. The majority's is the next version."""

    lease_id: str
    version: PolicyVersion
    trained_tokens: int = Field(ge=0, description="completion tokens of the own slot")
    metrics: dict[str, float] = Field(default_factory=dict)


class PublishOrder(Message):
    """A publish lease that a trainer was given while it waits for an attempt's outcome; the version is the one that it
    reported. It isn't named here: anybody may read this, and report it without having trained."""

    worker: Address
    lease_id: str
    salt: Hash | None = None


class AttemptOutcome(Message):
    """Answer of GET /v1/jobs/{id}/rounds/{round}/attempts/{attempt}/outcome: whether a trainer keeps its step.

    "agreed" names the version that the network goes on with; a trainer that came to another one must fetch it.
    While "pending", `commitments` has what every slot has committed to, in the order of the slots, once all have;
    `publish` every order that was given for the version with the majority, the newest last: a trainer does its own at
    once; and `seed` the seed of the sketches, once it is drawn.
    """

    state: Literal["pending", "agreed", "abandoned"]
    version: PolicyVersion | None = None
    reason: str | None = None
    commitments: tuple[GradientCommitment, ...] = ()
    publish: tuple[PublishOrder, ...] = ()
    seed: Hash | None = None

    @property
    def news(self) -> int:
        """How much there is to know of a pending attempt; it only grows."""
        return bool(self.commitments) + len(self.publish) + (self.seed is not None)


class PossessionProof(Message):
    """Body of POST /v1/leases/{id}/possession: file -> SHA-256(salt || its bytes), for every file of the version."""

    lease_id: str
    proofs: dict[Hash, Hash] = Field(min_length=1, max_length=4)


class Vote(Message):
    """What a verifier finds of a bundle, or of a trainer's statement. No faults in the finding: it holds.

    `task` is the digest of the VerifyTask or RecomputeTask that it was given. It is signed like a submission with one
    leaf, its digest, so that a contract can take it for evidence.
    """

    job_id: Hash
    lease_id: str
    task: Hash
    finding: Finding | GradientFinding
    bad: tuple[int, ...] = Field(default=(), description="positions of traces that are bad by themselves")

    @property
    def holds(self) -> bool:
        """Whether nothing speaks against the work."""
        return not self.finding.faults

    def commitment(self, salt: str) -> str:
        """What a verifier commits to: SHA-256 of the salt's bytes and the vote's canonical ones."""
        return sha256(bytes.fromhex(salt[2:]) + self.canonical())

    def root(self) -> str:
        """The root of the tree that has the vote as its only leaf."""
        return trace_tree([self.digest()]).root


class VoteCommitment(Message):
    """Body of POST /v1/leases/{id}/commitment. Whoever has committed can't copy another's vote any more."""

    lease_id: str
    commitment: Hash


class VoteReveal(Message):
    """Body of POST /v1/leases/{id}/vote: the vote, and the salt of its commitment. `signature` is EIP-712
    `Submission(string lease, bytes32 tracesRoot, uint256 count)` with the vote's root, and a count of 1."""

    vote: Vote
    salt: Hash
    signature: Signature


class LeaseFailure(Message):
    """A task that could not be done. `code` is a machine word such as "averaging_broken" or "nan_gradient"."""

    lease_id: str
    code: str = Field(pattern=r"^[a-z0-9_]{1,40}$")
    detail: str = Field(max_length=2000)


class Rejection(Message):
    """Why one trace was not accepted."""

    position: int = Field(ge=0, description="index in the bundle")
    code: str
    detail: str


class Receipt(Message):
    """Signed by the coordinator for every submission it accepted: your proof that the work was counted.

    `signature` is EIP-712
    `Receipt(string lease, address worker, bytes32 tracesRoot, uint256 accepted, uint256 tokens)`.
    A repeated submission gets the same receipt.
    """

    lease_id: str
    worker: Address
    traces_root: Hash = Field(description="of the accepted traces; for training, the new version's policy digest")
    accepted: int = Field(ge=0)
    tokens: int = Field(ge=0)
    rejected: tuple[Rejection, ...] = ()
    signature: Signature
