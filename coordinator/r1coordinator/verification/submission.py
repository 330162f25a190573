"""A rollout submission from the wire to its receipt."""

from __future__ import annotations

from collections.abc import Callable

from eth_account.signers.local import LocalAccount
from sqlalchemy.orm import Session

from r1coordinator.scheduling.advance import advance
from r1coordinator.scheduling.checks import note
from r1coordinator.scheduling.context import Context
from r1coordinator.scheduling.leases import end, owned, require_active
from r1coordinator.scheduling.metrics import require_modest
from r1coordinator.scheduling.quarantine import fail_job
from r1coordinator.scheduling.rates import measure
from r1coordinator.scheduling.standing import charge
from r1coordinator.store.blobs import BlobStore
from r1coordinator.store.database import Database
from r1coordinator.store.rows import count_refusal, get_job, parse_spec, token_of
from r1coordinator.store.tables import BundleRow, ContributionRow, LeaseRow, TraceRow, WorkerRow
from r1coordinator.verification.admission import Terms, check_bundle
from r1coordinator.verification.codes import CONTENT, REFUSED
from r1coordinator.verification.refusal import refusal
from r1coordinator.verification.scorers import Scorers
from r1net.errors import ProtocolError, Refused, UsageError
from r1net.protocol.job import JobSpec
from r1net.protocol.signing import Domain, receipt_values, submission_values
from r1net.protocol.trace import RolloutSubmission, TraceBundle, trace_tree
from r1net.protocol.work import Receipt, RolloutTask
from r1net.shaping import groups_with_spread


class Admission:
    """Checks submissions and counts them. `changed` is called when the network's state moved."""

    def __init__(
        self,
        db: Database,
        blobs: BlobStore,
        scorers: Scorers,
        ctx: Context,
        domain: Domain,
        key: LocalAccount,
        changed: Callable[[], None],
    ) -> None:
        self._db, self._blobs, self._scorers, self._ctx = db, blobs, scorers, ctx
        self._domain, self._key, self._changed = domain, key, changed

    def submit(self, worker: str, lease_id: str, submission: RolloutSubmission, now: float) -> Receipt:
        """The receipt of a submission; the same submission again brings the same receipt.

        Raises Refused with the cause; a fault of the content also ends the lease.
        """
        require_modest(submission.metrics)
        digests = [trace.digest() for trace in submission.bundle.traces]
        root = trace_tree(digests).root
        with self._db.read() as s:
            lease = owned(s, lease_id, worker)
            known = _known_receipt(s, lease, root)
            if known is not None:
                return known
            require_active(lease)
            if lease.kind != "rollout":
                raise Refused("wrong_kind", f"a {lease.kind} lease takes no rollout", status=409)
            spec = parse_spec(get_job(s, lease.job_id).spec)
        task = RolloutTask.parse(lease.task)
        terms = Terms(lease.job_id, lease.worker, lease_id, task, self._scorers.of(lease.job_id, spec))
        try:
            self._check_signature(submission, lease, root)
            check_bundle(submission.bundle, terms)
        except Refused as error:
            self._refuse(lease, error, now)
            raise
        except UsageError as fault:
            fail_job(self._db, self._ctx, lease.job_id, now, f"its problems or rewards can't be computed: {fault}")
            self._changed()
            raise Refused("job_failed", f"the job is at fault: {fault.message}", status=409) from fault
        evidence = self._blobs.put(submission.bundle.canonical())
        receipt = self._receipt(submission.bundle, lease, root)
        with self._db.write() as s:
            answer = self._store(s, submission, digests, receipt, evidence, now)
        self._changed()
        return answer

    def _check_signature(self, submission: RolloutSubmission, lease: LeaseRow, root: str) -> None:
        values = submission_values(lease.lease_id, root, len(submission.bundle.traces))
        try:
            signer = self._domain.signer("Submission", values, submission.signature)
        except ProtocolError as error:
            raise refusal("bad_signature", error.message) from error
        if signer.lower() != lease.worker.lower():
            raise refusal("bad_signature", f"signed by {signer}, the lease is {lease.worker}'s")

    def _refuse(self, lease: LeaseRow, error: Refused, now: float) -> None:
        with self._db.write() as s:
            count_refusal(s, error.code, error.message, lease.worker, lease.job_id)
            row = s.get_one(LeaseRow, lease.lease_id)
            if error.code in REFUSED and row.state == "active":
                end(row, "refused", now, error.message, error.code)
                if error.code in CONTENT:
                    charge(s, row.worker, "bad_submission", now)
        self._changed()

    def _receipt(self, bundle: TraceBundle, lease: LeaseRow, root: str) -> Receipt:
        tokens = sum(trace.tokens for trace in bundle.traces)
        values = receipt_values(lease.lease_id, lease.worker, root, len(bundle.traces), tokens)
        return Receipt(
            lease_id=lease.lease_id,
            worker=lease.worker,
            traces_root=root,
            accepted=len(bundle.traces),
            tokens=tokens,
            signature=self._domain.sign(self._key, "Receipt", values),
        )

    def _store(
        self,
        s: Session,
        submission: RolloutSubmission,
        digests: list[str],
        receipt: Receipt,
        evidence: str,
        now: float,
    ) -> Receipt:
        lease = s.get_one(LeaseRow, receipt.lease_id)
        known = _known_receipt(s, lease, receipt.traces_root)
        if known is not None:
            return known
        require_active(lease)
        measure(s, lease, receipt.tokens, now)
        end(lease, "done", now)
        job = get_job(s, lease.job_id)
        job.error = None  # whatever hosts said of the job, it can be worked on
        bundle = _bundle_row(parse_spec(job.spec), submission, lease, receipt, evidence, now)
        owner = s.get_one(WorkerRow, lease.worker).owner
        s.add(bundle)
        note(s, self._ctx, job, lease, bundle, owner, receipt.traces_root, now)
        s.add_all(_trace_rows(submission.bundle, digests, lease))
        s.add(
            ContributionRow(
                lease_id=lease.lease_id,
                job_id=lease.job_id,
                kind="rollout",
                account=owner,
                worker=lease.worker,
                round=lease.round,
                tokens=receipt.tokens,
                evidence=evidence,
                token=token_of(parse_spec(job.spec)),
            )
        )
        s.flush()
        advance(s, self._ctx, job, now)
        return receipt


def _known_receipt(s: Session, lease: LeaseRow, root: str) -> Receipt | None:
    bundle = s.get(BundleRow, lease.lease_id)
    if bundle is None:
        return None
    receipt = Receipt.parse(bundle.receipt)
    if receipt.traces_root != root:
        raise Refused("stale_lease", "the lease has brought another bundle already", status=409, hint="ask for work")
    return receipt


def _bundle_row(
    spec: JobSpec, submission: RolloutSubmission, lease: LeaseRow, receipt: Receipt, evidence: str, now: float
) -> BundleRow:
    return BundleRow(
        lease_id=lease.lease_id,
        job_id=lease.job_id,
        split=submission.bundle.traces[0].split,
        round=lease.round,
        worker=lease.worker,
        sha256=evidence,
        traces=receipt.accepted,
        tokens=receipt.tokens,
        prompt_tokens=sum(len(trace.prompt_ids) for trace in submission.bundle.traces),
        spread=groups_with_spread(spec, submission.bundle.traces),
        receipt=receipt.model_dump_json(),
        signature=submission.signature,
        metrics=submission.metrics,
        accepted_at=now,
    )


def _trace_rows(bundle: TraceBundle, digests: list[str], lease: LeaseRow) -> list[TraceRow]:
    return [
        TraceRow(
            job_id=trace.job_id,
            digest=digest,
            lease_id=lease.lease_id,
            position=position,
            split=trace.split,
            round=trace.round,
            group=trace.group,
            index=trace.index,
            reward=trace.reward,
            parts=trace.reward_parts,
            tokens=trace.tokens,
            finish_reason=trace.finish_reason,
        )
        for position, (digest, trace) in enumerate(zip(digests, bundle.traces, strict=True))
    ]
