"""The unit of provenance: one completion, who made it with which policy, and what it scored."""

from __future__ import annotations

import itertools
from typing import Literal

from pydantic import Field, model_validator

from r1net.protocol.canonical import Address, Hash, Message, Signature
from r1net.protocol.merkle import StandardMerkleTree
from r1net.protocol.turns import Span

Split = Literal["train", "heldout"]
FinishReason = Literal["stop", "length"]


class Trace(Message):
    """One completion.

    `logprobs[t]` is the sampler's log-probability (nats, at the sampling temperature, after top-k/top-p) of
    `completion_ids[t]`; the stop token is part of the completion when `finish_reason` is "stop". Of a completion of
    more than one turn the spans `given` were not sampled but answered by the job's tool: there the log-probability is
    0.
    A part of `reward_parts` is None where it does not apply. `reward` is the weighted sum of the others; None where
    no part applies.
    """

    job_id: Hash
    split: Split
    round: int = Field(ge=0)
    group: int = Field(ge=0)
    index: int = Field(ge=0, description="position in the group")
    policy: Hash = Field(description="digest of the policy version that sampled it")
    worker: Address
    prompt_ids: tuple[int, ...] = Field(min_length=1)
    completion_ids: tuple[int, ...] = Field(min_length=1)
    logprobs: tuple[float, ...]
    reward_parts: dict[str, float | None]
    reward: float | None
    finish_reason: FinishReason
    seed: int = Field(ge=0, lt=2**53, description="of the sampler, derived from job, round, group and index")
    given: tuple[Span, ...] = Field(default=(), exclude_if=lambda spans: not spans)

    @model_validator(mode="after")
    def _one_logprob_per_token(self) -> Trace:
        if len(self.logprobs) != len(self.completion_ids):
            raise ValueError("logprobs and completion_ids differ in length")
        edges = [0, *(edge for span in self.given for edge in span), len(self.completion_ids)]
        if any(one >= next_ for one, next_ in itertools.pairwise(edges)):
            raise ValueError("given spans are out of order, empty, or at an end")
        if any(self.logprobs[place] != 0 for begin, end in self.given for place in range(begin, end)):
            raise ValueError("a given token has a log-probability")
        return self

    @property
    def tokens(self) -> int:
        """How many tokens were sampled: what is paid for, trained on and replayed."""
        return len(self.completion_ids) - sum(end - begin for begin, end in self.given)


class TraceBundle(Message):
    """What a rollout lease brings: every completion of its groups. Stored as a blob once admitted."""

    lease_id: str
    traces: tuple[Trace, ...] = Field(min_length=1)

    def tree(self) -> StandardMerkleTree:
        """Merkle tree over the traces' digests, in order."""
        return trace_tree([trace.digest() for trace in self.traces])


class RolloutSubmission(Message):
    """A signed bundle. `signature` is EIP-712 `Submission(string lease, bytes32 tracesRoot, uint256 count)`."""

    bundle: TraceBundle
    signature: Signature
    metrics: dict[str, float] = Field(default_factory=dict)


class SignedTrace(Message):
    """GET /v1/jobs/{id}/traces/{digest}/submission: what a worker signed for when it handed in one trace.

    `signature` is that of `RolloutSubmission`; `proof` leads from the trace to `traces_root`. `bundle` names the blob
    with all traces of the submission, this one at `position`: a contract needs only the rest.
    """

    job_id: Hash
    trace_digest: Hash
    worker: Address
    lease_id: str
    traces_root: Hash
    count: int = Field(ge=1)
    signature: Signature
    proof: tuple[Hash, ...]
    bundle: Hash
    position: int = Field(ge=0)


def trace_tree(digests: list[str]) -> StandardMerkleTree:
    """The provenance tree: one leaf `["bytes32"]` for each trace digest."""
    return StandardMerkleTree.of([(digest,) for digest in digests], ["bytes32"])
