"""The public record of what was drawn and repeated: GET /v1/jobs/{id}/checks."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from r1net.protocol.canonical import Address, Hash, Message
from r1net.protocol.evidence import Finding, GradientFinding
from r1net.protocol.trace import Split

CheckState = Literal["waiting", "spared", "open", "holds", "failed", "dropped"]
"""`waiting` for its block; `spared` by the draw; `open`: drawn, and votes are missing; `holds`; `failed`: two owners or
more found it bad; `dropped`: found bad, and nobody could be found to confirm it, so that it is neither paid nor
punished."""


class VoteView(Message):
    """A verifier's vote, shown when the check is decided."""

    worker: Address
    owner: Address
    commitment: Hash
    finding: Finding | GradientFinding
    bad: tuple[int, ...] = ()
    vote_digest: Hash | None = Field(default=None, description="of the signed vote, by which it can be disputed")
    mistaken: bool = Field(default=False, description="the majority, or the planting, says otherwise")


class CheckView(Message):
    """The draw of one submission, or of one trainer's statement, and what came of it.

    Anyone can repeat the draw: with `block`'s hash and `traces_root`, `r1net.draws.seed` gives the seed, and the seed
    says whether `rate` was reached and which positions are replayed. For a trainer `traces_root` is the digest of its
    attempt's commitments, and the slot's own seed follows with `r1net.draws.slot_seed`.
    """

    number: int
    lease_id: str
    kind: Literal["rollout", "training"] = "rollout"
    split: Split
    round: int
    worker: Address
    owner: Address
    traces_root: Hash
    count: int = Field(ge=1)
    rate: float
    block: int | None = None
    seed: Hash | None = None
    state: CheckState
    positions: tuple[int, ...] = ()
    bundle: Hash | None = Field(default=None, description="the blob that was replayed, once it is decided")
    votes: tuple[VoteView, ...] = ()
    planted: bool = Field(default=False, description="a tampered copy, to test who votes on it; nobody's work")
    decided_at: float | None = None
