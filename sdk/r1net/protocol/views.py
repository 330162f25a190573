"""What the coordinator shows to submitters, hosts and onlookers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from r1net.protocol.canonical import Address, Hash, Message, Wei
from r1net.protocol.job import PolicyVersion
from r1net.protocol.problems import MOST_PARTS
from r1net.protocol.reach import Reach
from r1net.protocol.trace import Trace

Weight = Annotated[int, Field(strict=True, ge=1, lt=2**31)]


class NetworkInfo(Message):
    """GET /v1/network: what a node or client must know before it signs anything."""

    chain_id: int
    rpc_url: str | None = Field(default=None, description="an endpoint for everybody; None: bring your own")
    contracts: dict[str, Address]
    coordinator: Address = Field(description="the account that signs receipts and settles")
    software: str


class Problem(Message):
    """An error on the wire, RFC 9457 (application/problem+json), with a machine word and a next step."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    hint: str | None = None


class RoundRecord(Message):
    """A finished round. `metrics` carries TRL's names ("reward", "reward_std", "grad_norm", …), and these of our own:

    groups/drawn, groups/trained                        with dynamic sampling, only the second are trained on
    rollout/accepted_traces, rollout/rejected_traces    the latter are those of refused submissions
    rollout/tokens_per_second, train/tokens_per_second  completion tokens of the whole network in each phase
    seconds/gradient, seconds/averaging                 token-weighted means over the trainers

    `mix`: of a job with a curriculum, the weights that the round's groups were drawn with.
    """

    round: int
    version: PolicyVersion = Field(description="the version the round came to")
    attempt: int
    digests: dict[Address, Hash] = Field(description="worker -> policy digest it reported")
    metrics: dict[str, float]
    traces: int
    tokens: int
    started_at: float
    finished_at: float
    mix: tuple[Weight, ...] | None = Field(default=None, max_length=MOST_PARTS, exclude_if=lambda mix: mix is None)


class RoundMix(Message):
    """GET /v1/jobs/{id}/mix/{round}: what the groups of a round that has opened are drawn with, a weight for each part
    of a mix with a curriculum (`r1net.environments.curriculum`)."""

    job_id: Hash
    round: int
    weights: tuple[Weight, ...] = Field(max_length=MOST_PARTS)


class RoundPage(Message):
    """GET /v1/jobs/{id}/rounds?after=N&wait=S: rounds in order, and the job's state."""

    rounds: tuple[RoundRecord, ...]
    state: str
    phase: str
    error: str | None = None


class EvaluationRecord(Message):
    """Held-out result of one version. The interval is Wilson's, 95 %.

    `problems` counts those that could be judged; without any, the accuracy is 0 and the interval says nothing.
    """

    version: PolicyVersion
    problems: int
    correct: int
    accuracy: float
    low: float
    high: float
    mean_reward: float | None = Field(description="None where no completion has a reward")


class NodeView(Message):
    """One worker as the coordinator sees it."""

    worker: Address
    owner: Address
    peer_id: str
    state: Literal["active", "late", "lost"]
    last_seen: float
    doing: str | None = None
    accepted_tokens: int = 0
    rejected: int = 0
    standing: float = Field(default=0.0, description="points for broken leases, halved with time; 0 is best")
    reasons: dict[str, int] = Field(default_factory=dict, description="what the points were for, ever")
    refused: str | None = Field(default=None, description="why it gets no work now")
    reach: Reach = Reach()


class TraceView(Message):
    """A trace with its text, for people. `epoch` is set once it is anchored."""

    trace_digest: Hash
    trace: Trace
    question: str
    prompt: str
    completion: str
    epoch: int | None = None


class LineView(Message):
    """One job's part of an epoch, and where it stands: `open` until it is on chain, `final` when it is paid. What a
    rejected one was to settle goes into another epoch; `unwound`: its reserve is free again."""

    job_id: Hash
    state: Literal["open", "pending", "final", "rejected", "unwound"]
    report: Hash = Field(description="digest of the line, as it stands on chain")
    traces: int
    amount: Wei


class EpochView(Message):
    """Where an epoch's settlement stands: `open` until it is on chain, `final` when none of its lines can change any
    more. `amount` is the sum over its lines, whatever their tokens."""

    epoch: int
    state: Literal["open", "proposed", "final"]
    lines: tuple[LineView, ...]
    traces: int = 0
    amount: Wei = 0
    transaction: str | None = None
    error: str | None = Field(default=None, description="why it waits, in words")


class JobCost(Message):
    """GET /v1/jobs/{id}/cost: what a job owes for work that was accepted, `closed` in dues and `open` not yet, in the
    smallest unit of `token`; `budget` is what it may spend, with what was put in later."""

    job_id: Hash
    token: Address
    budget: Wei
    closed: Wei
    open: Wei


class Earning(Message):
    """Why an account earned what it did: one row for each contribution. What can never be paid has `amount` 0, and an
    `error` that says why."""

    job_id: Hash
    kind: str
    worker: Address
    round: int
    tokens: int
    amount: Wei
    lease_id: str
    epoch: int | None = None
    error: str | None = None


class AccountRewards(Message):
    """GET /v1/accounts/{address}/rewards: what lines that are paid give the account in one token, claimed or not, what
    is pending, and the rows behind."""

    account: Address
    token: Address | None = None
    final: Wei = 0
    pending: Wei = 0
    earnings: tuple[Earning, ...] = ()
