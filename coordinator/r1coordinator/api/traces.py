"""Admitted traces, for people and for proofs."""

from __future__ import annotations

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Query
from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from r1coordinator.api.wire import Use
from r1coordinator.scheduling.checks import UNDECIDED
from r1coordinator.services import Services
from r1coordinator.store.cache import ByteCache
from r1coordinator.store.retention import require_kept
from r1coordinator.store.rows import get_job, parse_spec
from r1coordinator.store.tables import BundleRow, CheckRow, DueRow, FailedTraceRow, GradientRow, TraceRow, VoteRow
from r1net.errors import Refused
from r1net.protocol.merkle import StandardMerkleTree
from r1net.protocol.settlement import JobEpoch, TraceProof
from r1net.protocol.trace import SignedTrace, Split, TraceBundle, trace_tree
from r1net.protocol.views import TraceView

router = APIRouter(prefix="/v1/jobs/{job_id}/traces", tags=["traces"])

_PAGE_TOKENS = 1 << 18
_TREES = 1 << 21
"""Bytes of lines whose trees are kept."""


def kept_bundle(services: Services, sha256: str) -> TraceBundle:
    """An admitted bundle, parsed; the newest are kept."""
    size = services.blobs.path(sha256).stat().st_size
    return services.bundles.get(sha256, size, lambda: TraceBundle.parse(services.blobs.get(sha256)))


_trees: ByteCache[tuple[StandardMerkleTree, dict[str, int]]] = ByteCache(_TREES)


def _tree(due: DueRow) -> tuple[StandardMerkleTree, dict[str, int]]:
    return _trees.get(due.digest, len(due.part), lambda: _make_tree(due.part))


def _make_tree(line: str) -> tuple[StandardMerkleTree, dict[str, int]]:
    digests = JobEpoch.parse(line).trace_digests
    return trace_tree(list(digests)), {digest: n for n, digest in enumerate(digests)}


def _select(job_id: str, split: Split | None) -> Select[TraceRow, str]:
    query = select(TraceRow, BundleRow.sha256).join(BundleRow, BundleRow.lease_id == TraceRow.lease_id)
    undecided = select(CheckRow.lease_id).where(CheckRow.job_id == job_id, CheckRow.state.in_(UNDECIDED))
    query = query.where(TraceRow.job_id == job_id, TraceRow.lease_id.not_in(undecided))
    return query if split is None else query.where(TraceRow.split == split)


def _page(s: Session, query: Select[TraceRow, str]) -> list[tuple[TraceRow, str]]:
    """The first rows whose completions come to no more tokens than a page may have, one at least."""
    rows: list[tuple[TraceRow, str]] = []
    tokens = 0
    for row, sha256 in s.execute(query).tuples():
        tokens += row.tokens
        if rows and tokens > _PAGE_TOKENS:
            break
        rows.append((row, sha256))
    return rows


@router.get("")
async def get_traces(
    job_id: str,
    services: Use,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    after: Annotated[int | None, Query(ge=0, lt=2**31)] = None,
    split: Split | None = None,
) -> list[TraceView]:
    """Traces in the order of their admission. Without `after` the newest ones; `after=N` leaves the first N out,
    so that a full export asks for after=0 and then adds what it got until nothing comes. Long traces make a page
    shorter than `limit`. Those that wait for a draw or for votes come later, so that no verifier can look them up."""
    return await to_thread.run_sync(_views, services, job_id, limit, after, split, limiter=services.limits.scoring)


def _views(services: Services, job_id: str, limit: int, after: int | None, split: Split | None) -> list[TraceView]:
    with services.db.read() as s:
        require_kept(s, job_id)
        spec = parse_spec(get_job(s, job_id).spec)
        query = _select(job_id, split)
        if after is None:
            rows = _page(s, query.order_by(TraceRow.number.desc()).limit(limit))[::-1]
        else:
            rows = _page(s, query.order_by(TraceRow.number).offset(after).limit(limit))
    traces = [kept_bundle(services, sha256).traces[row.position] for row, sha256 in rows]
    scorer = services.scorers.of(job_id, spec)
    prompts = scorer.prompts([(trace.split, trace.round, trace.group) for trace in traces])
    texts = scorer.texts([trace.completion_ids for trace in traces])
    return [
        TraceView(
            trace_digest=row.digest,
            trace=trace,
            question=prompt.question,
            prompt=prompt.text,
            completion=text,
            epoch=row.epoch,
        )
        for (row, _), trace, prompt, text in zip(rows, traces, prompts, texts, strict=True)
    ]


@router.get("/{digest}/proof")
def get_proof(job_id: str, digest: str, services: Use) -> TraceProof:
    """The proof that a trace is in its epoch's anchored tree."""
    row, epoch, due = _settled(services, job_id, digest)
    tree, places = _tree(due)
    return TraceProof(
        job_id=job_id,
        epoch=epoch,
        trace_digest=row.digest,
        proof=tuple(tree.proof(places[row.digest])),
        traces_root=tree.root,
    )


@router.get("/{digest}/submission")
def get_submission(job_id: str, digest: str, services: Use) -> SignedTrace:
    """What the worker signed for when it handed the trace in, a trainer for its statement, or a verifier for its vote:
    the evidence that `Disputes.challengeTrace` takes."""
    with services.db.read() as s:
        alone = _signed_alone(s, job_id, digest)
        if alone is not None:
            require_kept(s, job_id)
            return alone
        row = _signed_trace(s, job_id, digest)
        require_kept(s, job_id)
        bundle = s.get_one(BundleRow, row.lease_id)
    if bundle.signature is None:
        raise Refused("no_signature", "the trace is older than the keeping of signatures", status=404)
    tree = kept_bundle(services, bundle.sha256).tree()
    return SignedTrace(
        job_id=job_id,
        trace_digest=row.digest,
        worker=bundle.worker,
        lease_id=bundle.lease_id,
        traces_root=tree.root,
        count=bundle.traces,
        signature=bundle.signature,
        proof=tuple(tree.proof(row.position)),
        bundle=bundle.sha256,
        position=row.position,
    )


def _signed_alone(s: Session, job_id: str, digest: str) -> SignedTrace | None:
    """A trainer's statement or a verifier's vote: the only leaf of its tree, and its blob's name is its digest."""
    stated = select(GradientRow).where(GradientRow.job_id == job_id, GradientRow.statement == digest)
    voted = select(VoteRow).join(CheckRow, CheckRow.number == VoteRow.check)
    row = s.scalar(stated) or s.scalar(voted.where(CheckRow.job_id == job_id, VoteRow.digest == digest))
    if row is None:
        return None
    return SignedTrace(
        job_id=job_id,
        trace_digest=digest,
        worker=row.worker,
        lease_id=row.lease_id,
        traces_root=trace_tree([digest]).root,
        count=1,
        signature=row.signature or "",
        proof=(),
        bundle=digest,
        position=0,
    )


def _trace(s: Session, job_id: str, digest: str) -> TraceRow:
    get_job(s, job_id)
    row = s.scalar(select(TraceRow).where(TraceRow.job_id == job_id, TraceRow.digest == digest))
    if row is None:
        raise Refused("unknown_trace", f"the job has no trace {digest}", status=404)
    return row


def _signed_trace(s: Session, job_id: str, digest: str) -> TraceRow | FailedTraceRow:
    """A trace that counts, or one of a submission that failed its check."""
    failed = select(FailedTraceRow).where(FailedTraceRow.job_id == job_id, FailedTraceRow.digest == digest)
    return s.scalar(failed.limit(1)) or _trace(s, job_id, digest)


def _settled(services: Services, job_id: str, digest: str) -> tuple[TraceRow, int, DueRow]:
    with services.db.read() as s:
        row = _trace(s, job_id, digest)
        if row.epoch is None:
            raise Refused(
                "not_settled", "the trace's epoch is still open", status=409, hint="ask again after the epoch"
            )
        return row, row.epoch, s.get_one(DueRow, row.due_id)
