"""The tables. Messages are kept as the JSON they travelled as; what is searched for has a column."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Dialect, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator


class WeiColumn(TypeDecorator[int]):
    """A token amount: up to 2^256, more than any SQL integer holds."""

    impl = String(78)
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> str | None:
        return None if value is None else str(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> int | None:
        return None if value is None else int(value)


class Base(DeclarativeBase):
    """Root of the mapped classes."""


class JobRow(Base):
    """A job's place in its state machine. `version_*` is the newest agreed version. `budget` is what it may spend:
    its specification's, and what its escrow got since it had `funded`. `held`: why it gives out no new work.
    `suspicion` has the trainers that were part of attempts that failed: worker -> [points, the first round that starts
    with it again]."""

    __tablename__ = "jobs"
    job_id: Mapped[str] = mapped_column(String(66), primary_key=True)
    number: Mapped[int] = mapped_column(unique=True)
    spec: Mapped[str] = mapped_column(Text)
    spec_digest: Mapped[str] = mapped_column(String(66))
    state: Mapped[str] = mapped_column(String(20), index=True)
    phase: Mapped[str] = mapped_column(String(20))
    round: Mapped[int]
    attempt: Mapped[int]
    version_number: Mapped[int]
    version_policy: Mapped[str] = mapped_column(String(66))
    version_optimizer: Mapped[str | None] = mapped_column(String(66))
    created_at: Mapped[float]
    round_started_at: Mapped[float]
    epoch_cap: Mapped[int] = mapped_column(WeiColumn)
    budget: Mapped[int] = mapped_column(WeiColumn)
    funded: Mapped[int] = mapped_column(WeiColumn)
    held: Mapped[str | None] = mapped_column(String(10))
    held_at: Mapped[float]
    steered_at: Mapped[float]
    settled_round: Mapped[int]
    settled_policy: Mapped[str] = mapped_column(String(66))
    error: Mapped[str | None] = mapped_column(Text)
    suspicion: Mapped[dict[str, list[float]]] = mapped_column(JSON)


class BlobRow(Base):
    """A blob that a job expects, or has. `version` is 0 for the model's own files."""

    __tablename__ = "blobs"
    job_id: Mapped[str] = mapped_column(String(66), primary_key=True)
    sha256: Mapped[str] = mapped_column(String(66), primary_key=True, index=True)
    kind: Mapped[str] = mapped_column(String(20), primary_key=True)
    version: Mapped[int]
    limit: Mapped[int] = mapped_column(BigInteger)
    present: Mapped[bool]


class WorkerRow(Base):
    """One worker, as of its last session, its last request for work, and the last look at the registry: `slots` is how
    many workers its owner's stake is good for, `refused` why it gets no work. `reach` is what peers' dialling has shown
    (r1net.protocol.reach.Reach) by the check `check_number`, which goes on while `checking`; the next is due at
    `check_due`."""

    __tablename__ = "workers"
    worker: Mapped[str] = mapped_column(String(42), primary_key=True)
    owner: Mapped[str] = mapped_column(String(42), index=True)
    peer_id: Mapped[str] = mapped_column(String(200))
    maddrs: Mapped[list[str]] = mapped_column(JSON)
    software: Mapped[str] = mapped_column(String(200))
    hardware: Mapped[str] = mapped_column(String(200))
    capabilities: Mapped[list[str]] = mapped_column(JSON)
    holds: Mapped[dict[str, int]] = mapped_column(JSON)
    last_seen: Mapped[float]
    floors: Mapped[dict[str, str] | None] = mapped_column(JSON)
    avoids: Mapped[list[str]] = mapped_column(JSON)
    slots: Mapped[int | None]
    refused: Mapped[str | None] = mapped_column(Text)
    reach: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    check_number: Mapped[int] = mapped_column(default=0)
    check_due: Mapped[float] = mapped_column(default=0.0)
    checking: Mapped[bool] = mapped_column(default=False)


class DialRow(Base):
    """An order to `dialler`, a worker of the owner `by`, to dial `worker` of `owner`. `state`: "given", what came of it
    (r1net.protocol.reach.DialReport), or "lapsed"; `maddr` is where the worker was reached."""

    __tablename__ = "dials"
    order_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    worker: Mapped[str] = mapped_column(String(42), index=True)
    owner: Mapped[str] = mapped_column(String(42), index=True)
    check_number: Mapped[int]
    dialler: Mapped[str] = mapped_column(String(42), index=True)
    by: Mapped[str] = mapped_column(String(42))
    maddrs: Mapped[list[str]] = mapped_column(JSON)
    nonce: Mapped[str] = mapped_column(String(66))
    state: Mapped[str] = mapped_column(String(10))
    fetched: Mapped[bool]
    maddr: Mapped[str | None] = mapped_column(Text)
    given_at: Mapped[float] = mapped_column(index=True)


class RateRow(Base):
    """How fast a worker is at one kind of work of one job: an exponential mean of accepted tokens a second, as of its
    last task, at `updated_at`."""

    __tablename__ = "rates"
    job_id: Mapped[str] = mapped_column(String(66), primary_key=True)
    worker: Mapped[str] = mapped_column(String(42), primary_key=True)
    kind: Mapped[str] = mapped_column(String(10), primary_key=True)
    rate: Mapped[float]
    updated_at: Mapped[float]


class StandingRow(Base):
    """What a worker, or an owner by its workers, has against its name: `points` as of `updated_at`, when the last were
    added; `reasons` counts what they were for."""

    __tablename__ = "standings"
    account: Mapped[str] = mapped_column(String(42), primary_key=True)
    points: Mapped[float]
    reasons: Mapped[dict[str, int]] = mapped_column(JSON)
    updated_at: Mapped[float]


class SessionRow(Base):
    """An Ed25519 session key that a worker granted."""

    __tablename__ = "sessions"
    session_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    worker: Mapped[str] = mapped_column(String(42), index=True)
    session_key: Mapped[str] = mapped_column(String(66))
    expires: Mapped[int]
    revoked: Mapped[bool]


class NonceRow(Base):
    """A nonce that was used, kept until its request's timestamp is too old anyway."""

    __tablename__ = "nonces"
    session_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    nonce: Mapped[str] = mapped_column(String(64), primary_key=True)
    forget_at: Mapped[float] = mapped_column(index=True)


class GrantRow(Base):
    """The nonce of a session grant that was taken, kept until the grant has expired anyway."""

    __tablename__ = "grants"
    nonce: Mapped[str] = mapped_column(String(66), primary_key=True)
    worker: Mapped[str] = mapped_column(String(42))
    expires: Mapped[int] = mapped_column(BigInteger, index=True)


class LeaseRow(Base):
    """A lease. `state`: active, done, reported, refused, failed, expired or revoked; `reason` says why it ended.
    `deadline` is when it ends whatever is heard of it; `proof` is what was sent to prove possession."""

    __tablename__ = "leases"
    lease_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    job_id: Mapped[str] = mapped_column(String(66))
    worker: Mapped[str] = mapped_column(String(42))
    kind: Mapped[str] = mapped_column(String(10))
    split: Mapped[str | None] = mapped_column(String(10))
    round: Mapped[int]
    attempt: Mapped[int]
    version: Mapped[int]
    groups: Mapped[list[int]] = mapped_column(JSON)
    task: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(10))
    code: Mapped[str | None] = mapped_column(String(40))
    reason: Mapped[str | None] = mapped_column(Text)
    acknowledged: Mapped[bool]
    offers: Mapped[int]
    issued_at: Mapped[float]
    expires_at: Mapped[float]
    deadline: Mapped[float]
    ended_at: Mapped[float | None]
    proof: Mapped[dict[str, str] | None] = mapped_column(JSON)
    __table_args__ = (
        Index("ix_leases_job", "job_id", "kind", "round", "state"),
        Index("ix_leases_worker", "worker", "state"),
        Index("ix_leases_state", "state", "expires_at"),
    )


class BundleRow(Base):
    """An admitted bundle; the blob `sha256` is its canonical bytes. `signature` is its worker's; bundles older than
    the column have none. `tokens` are those of the completions, `prompt_tokens` those of a prompt for each of them;
    `spread` names the groups whose shaped rewards differ. One that failed its check doesn't count any more."""

    __tablename__ = "bundles"
    lease_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    job_id: Mapped[str] = mapped_column(String(66))
    split: Mapped[str] = mapped_column(String(10))
    round: Mapped[int]
    worker: Mapped[str] = mapped_column(String(42))
    sha256: Mapped[str] = mapped_column(String(66), index=True)
    traces: Mapped[int]
    tokens: Mapped[int]
    prompt_tokens: Mapped[int]
    spread: Mapped[list[int]] = mapped_column(JSON)
    receipt: Mapped[str] = mapped_column(Text)
    signature: Mapped[str | None] = mapped_column(String(132))
    metrics: Mapped[dict[str, float]] = mapped_column(JSON)
    accepted_at: Mapped[float]
    counts: Mapped[bool] = mapped_column(default=True)
    __table_args__ = (Index("ix_bundles_job", "job_id", "split", "round"),)


class CheckRow(Base):
    """The draw of one admitted submission or trainer's statement, and what repeating the work came to
    (`r1net.protocol.checks`). `block` is the first block after it was fixed, whose hash decides. `bundle` is the blob
    that is voted on; a planted one is a tampered copy. `tested`: it was decided whether there is one of this.
    """

    __tablename__ = "checks"
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    lease_id: Mapped[str] = mapped_column(String(64), index=True)
    job_id: Mapped[str] = mapped_column(String(66))
    kind: Mapped[str] = mapped_column(String(10), default="rollout")
    split: Mapped[str] = mapped_column(String(10))
    round: Mapped[int]
    worker: Mapped[str] = mapped_column(String(42))
    owner: Mapped[str] = mapped_column(String(42))
    bundle: Mapped[str] = mapped_column(String(66))
    traces_root: Mapped[str] = mapped_column(String(66))
    count: Mapped[int]
    version: Mapped[str] = mapped_column(Text)
    rate: Mapped[float]
    block: Mapped[int | None] = mapped_column(BigInteger)
    seed: Mapped[str | None] = mapped_column(String(66))
    positions: Mapped[list[int]] = mapped_column(JSON)
    state: Mapped[str] = mapped_column(String(10), index=True)
    planted: Mapped[bool]
    tested: Mapped[bool] = mapped_column(default=False)
    opened_at: Mapped[float]
    decided_at: Mapped[float | None]
    __table_args__ = (Index("ix_checks_job", "job_id", "split", "round", "state"),)


class VoteRow(Base):
    """A verify lease: whose, for which check, and its vote once it is revealed, as the message, with its digest and the
    verifier's signature. `mistaken`: something else was found."""

    __tablename__ = "votes"
    lease_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    check: Mapped[int] = mapped_column(index=True)
    worker: Mapped[str] = mapped_column(String(42))
    owner: Mapped[str] = mapped_column(String(42))
    tokens: Mapped[int]
    commitment: Mapped[str | None] = mapped_column(String(66))
    vote: Mapped[str | None] = mapped_column(Text)
    digest: Mapped[str | None] = mapped_column(String(66), index=True)
    signature: Mapped[str | None] = mapped_column(String(132))
    mistaken: Mapped[bool] = mapped_column(default=False)
    revealed_at: Mapped[float | None]


class FailedTraceRow(Base):
    """A trace of a submission that failed its check: unpaid and out of its round, and still to be shown to jurors."""

    __tablename__ = "failed_traces"
    digest: Mapped[str] = mapped_column(String(66), primary_key=True)
    lease_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    job_id: Mapped[str] = mapped_column(String(66), index=True)
    position: Mapped[int]


class TraceRow(Base):
    """An admitted trace; its text and tokens are in its bundle at `position`. `due_id` is set when its work is closed,
    `epoch` while the proposal that anchors it stands on chain."""

    __tablename__ = "traces"
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    job_id: Mapped[str] = mapped_column(String(66))
    digest: Mapped[str] = mapped_column(String(66), index=True)
    lease_id: Mapped[str] = mapped_column(String(64))
    position: Mapped[int]
    split: Mapped[str] = mapped_column(String(10))
    round: Mapped[int]
    group: Mapped[int]
    index: Mapped[int]
    reward: Mapped[float | None]
    parts: Mapped[dict[str, float | None]] = mapped_column(JSON)
    tokens: Mapped[int]
    finish_reason: Mapped[str] = mapped_column(String(10))
    epoch: Mapped[int | None] = mapped_column(index=True)
    due_id: Mapped[int | None] = mapped_column(index=True)
    __table_args__ = (
        UniqueConstraint("job_id", "split", "round", "group", "index", name="uq_traces_place"),
        Index("ix_traces_job", "job_id", "number"),
    )


class AttemptRow(Base):
    """One try at a round's training step. `state`: pending, publishing (a majority came to `policy` and `optimizer`,
    whose files are being published), agreed or abandoned. `blamed` are the workers that broke it beyond doubt. `block`
    is the first one after the majority, whose hash gives `seed`; statements are taken until `state_by`."""

    __tablename__ = "attempts"
    job_id: Mapped[str] = mapped_column(String(66), primary_key=True)
    round: Mapped[int] = mapped_column(primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(String(10))
    task: Mapped[str] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)
    started_at: Mapped[float]
    ended_at: Mapped[float | None]
    policy: Mapped[str | None] = mapped_column(String(66))
    optimizer: Mapped[str | None] = mapped_column(String(66))
    blamed: Mapped[list[str]] = mapped_column(JSON)
    block: Mapped[int | None] = mapped_column(BigInteger)
    seed: Mapped[str | None] = mapped_column(String(66))
    state_by: Mapped[float | None]


class GradientRow(Base):
    """What a trainer said of its slot's gradient: its commitment, and once the seed is drawn its statement (`body`,
    whose digest is `statement`) with the signature."""

    __tablename__ = "gradients"
    lease_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    job_id: Mapped[str] = mapped_column(String(66))
    round: Mapped[int]
    attempt: Mapped[int]
    worker: Mapped[str] = mapped_column(String(42))
    commitment: Mapped[str] = mapped_column(Text)
    statement: Mapped[str | None] = mapped_column(String(66), index=True)
    body: Mapped[str | None] = mapped_column(Text)
    signature: Mapped[str | None] = mapped_column(String(132))
    __table_args__ = (Index("ix_gradients_attempt", "job_id", "round", "attempt"),)


class ReportRow(Base):
    """What a trainer reported for its slot. `tokens` is the coordinator's own count of the slot."""

    __tablename__ = "reports"
    lease_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    job_id: Mapped[str] = mapped_column(String(66))
    round: Mapped[int]
    attempt: Mapped[int]
    worker: Mapped[str] = mapped_column(String(42))
    policy: Mapped[str] = mapped_column(String(66))
    optimizer: Mapped[str | None] = mapped_column(String(66))
    tokens: Mapped[int]
    metrics: Mapped[dict[str, float]] = mapped_column(JSON)
    reported_at: Mapped[float]
    __table_args__ = (Index("ix_reports_job", "job_id", "round", "attempt"),)


class RoundRow(Base):
    """A finished round, as the message that is shown."""

    __tablename__ = "rounds"
    job_id: Mapped[str] = mapped_column(String(66), primary_key=True)
    round: Mapped[int] = mapped_column(primary_key=True)
    record: Mapped[str] = mapped_column(Text)


class MixRow(Base):
    """What the groups of a round are drawn with, fixed when it opens: the weights of a job's parts, where the job has a
    curriculum."""

    __tablename__ = "mixes"
    job_id: Mapped[str] = mapped_column(String(66), primary_key=True)
    round: Mapped[int] = mapped_column(primary_key=True)
    weights: Mapped[list[int]] = mapped_column(JSON)


class EvaluationRow(Base):
    """A held-out evaluation, as the message that is shown."""

    __tablename__ = "evaluations"
    job_id: Mapped[str] = mapped_column(String(66), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    record: Mapped[str] = mapped_column(Text)


class ContributionRow(Base):
    """Work that is paid. `amount` and `due_id` are set when it is closed, `epoch` while its proposal stands."""

    __tablename__ = "contributions"
    lease_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    job_id: Mapped[str] = mapped_column(String(66))
    kind: Mapped[str] = mapped_column(String(20))
    account: Mapped[str] = mapped_column(String(42), index=True)
    worker: Mapped[str] = mapped_column(String(42), index=True)
    round: Mapped[int]
    tokens: Mapped[int]
    evidence: Mapped[str] = mapped_column(String(66))
    token: Mapped[str] = mapped_column(String(42))
    epoch: Mapped[int | None] = mapped_column(index=True)
    amount: Mapped[int | None] = mapped_column(WeiColumn)
    due_id: Mapped[int | None] = mapped_column(index=True)
    __table_args__ = (Index("ix_contributions_job", "job_id", "epoch"),)


class DueRow(Base):
    """What a job owes for the work between two closings, fixed for good: `part` is the JobEpoch that settles it, whose
    `digest` goes on chain.

    `state`: waiting, settling (by a line of the epoch `epoch`), settled, unpayable (its escrow can never pay it) or
    held (its lines were rejected too often). `retry_at` is when a waiting one may be looked at again. `sent_as` is the
    highest number under which it may have been sent: a transaction that was given up may still be mined, or come back
    in a reorganisation.
    """

    __tablename__ = "dues"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    job_id: Mapped[str] = mapped_column(String(66), index=True)
    part: Mapped[str] = mapped_column(Text)
    digest: Mapped[str] = mapped_column(String(66), index=True)
    amount: Mapped[int] = mapped_column(WeiColumn)
    traces: Mapped[int]
    state: Mapped[str] = mapped_column(String(10), index=True)
    epoch: Mapped[int | None] = mapped_column(index=True)
    sent_as: Mapped[int | None]
    tries: Mapped[int]
    rejections: Mapped[int]
    retry_at: Mapped[float]
    error: Mapped[str | None] = mapped_column(Text)
    closed_at: Mapped[float]


class EpochRow(Base):
    """An epoch and where its settlement stands: open (not on chain), proposed, or final once none of its lines can
    change any more. `commitment` is what the chain keeps of its content. `retry_at` is when the lines that could not be
    paid may be tried again, `final_at` the newest block when it was found to be final."""

    __tablename__ = "epochs"
    epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    state: Mapped[str] = mapped_column(String(10), index=True)
    commitment: Mapped[str] = mapped_column(String(66))
    propose_tx: Mapped[str | None] = mapped_column(String(66))
    finalise_tx: Mapped[str | None] = mapped_column(String(66))
    tries: Mapped[int]
    retry_at: Mapped[float]
    final_at: Mapped[int | None] = mapped_column(BigInteger)
    error: Mapped[str | None] = mapped_column(Text)


class LineRow(Base):
    """A line of an epoch: the due that it settles, and where it stands: open (not on chain), pending, final, rejected,
    or rejected and unwound."""

    __tablename__ = "lines"
    epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    line: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    due_id: Mapped[int] = mapped_column(index=True)
    state: Mapped[str] = mapped_column(String(10), index=True)


class RefusalRow(Base):
    """How often something was refused; worker and job are empty where they aren't known."""

    __tablename__ = "refusals"
    worker: Mapped[str] = mapped_column(String(42), primary_key=True)
    job_id: Mapped[str] = mapped_column(String(66), primary_key=True)
    code: Mapped[str] = mapped_column(String(40), primary_key=True)
    count: Mapped[int]
    detail: Mapped[str] = mapped_column(Text)


class RetentionRow(Base):
    """A job that is over: since when, since when its files are being deleted, and whether none is left."""

    __tablename__ = "retentions"
    job_id: Mapped[str] = mapped_column(String(66), primary_key=True)
    over_since: Mapped[float]
    gone_since: Mapped[float | None]
    swept: Mapped[bool] = mapped_column(index=True)


class GoneBlobRow(Base):
    """A blob that was here and was deleted, and why."""

    __tablename__ = "gone_blobs"
    sha256: Mapped[str] = mapped_column(String(66), primary_key=True)
    reason: Mapped[str] = mapped_column(Text)
    gone_at: Mapped[float]
