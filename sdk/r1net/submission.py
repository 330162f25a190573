"""From a specification to a job that is under way: checked, funded, announced, each of them once, whatever interrupts.

Everything that can be refused is refused before money moves: here, by the job's files, and by the coordinator with its
own limits. What it refuses all the same is closed by the same call.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from r1net.amounts import amount_of
from r1net.errors import ChainError, R1Error, Refused, Unreachable, UsageError
from r1net.jobs.pending import Draft, Pending
from r1net.jobs.validate import require_sensible
from r1net.probe import check_job
from r1net.protocol.job import JobSpec, JobView, SubmitJob
from r1net.protocol.upload import UPLOAD_HEADER, UPLOAD_LIFETIME, SignedUpload, Upload

if TYPE_CHECKING:
    from r1net.client import Client

_LAG = 30.0
"""Seconds for which the coordinator's endpoint may be behind the one that the job was funded at."""
_PAUSE = 2.0
_FINAL = (413, 422)
"""Refusals of a job that no other try would change."""


class NotAnnounced(R1Error):
    """A job's money is in the escrow, but the coordinator did not take the job (now). Nothing is lost: the same call
    again, or `client.announce(job_id)`, goes on with the same job; `client.run(job_id).cancel()` gives it up."""

    code = "not_announced"

    def __init__(self, job_id: str, spec: JobSpec, error: R1Error) -> None:
        super().__init__(
            f"job {job_id} is funded, but not announced: {error.message}",
            hint="do the same again: it goes on with this job and pays nothing twice; `r1net stop JOB` gives it up",
        )
        self.job_id, self.spec = job_id, spec


class JobRefused(R1Error):
    """The coordinator refused a job for good after it was funded. Its escrow is closed, and from `refundable_at` (Unix
    seconds) on `client.run(job_id).refund()` brings the money back."""

    code = "job_refused"

    def __init__(self, job_id: str, reason: str, refundable_at: int) -> None:
        when = datetime.fromtimestamp(refundable_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
        super().__init__(
            f"the coordinator refused job {job_id}: {reason}; its escrow is closed",
            hint=f"mend it and submit it anew; the money comes back from {when} on: r1net refund {job_id}",
        )
        self.job_id, self.reason, self.refundable_at = job_id, reason, refundable_at


class Submission:
    """The steps of one client's jobs."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.pending = Pending(client.files.root / "pending")

    def check(self, spec: JobSpec, folder: Path, accept_weak_verifier: bool) -> None:
        """All that can be told before money moves. Raises UsageError, Refused, Unreachable."""
        require_sensible(spec)
        self._client.say("making the job's problems, and trying its rewards on them")
        check_job(spec, folder, self._client.files.path, accept_weak_verifier)
        self.ask(spec)

    def ask(self, spec: JobSpec) -> None:
        """Whether the coordinator would take a job, by its own limits. Raises Refused, Unreachable."""
        self._client.transport.tell("/v1/jobs/check", spec)

    def submit(self, spec: JobSpec, folder: Path, accept_weak_verifier: bool) -> JobView:
        """Check, fund and announce; the job as it stands. The same again is the same job, until it is announced."""
        with self.pending.alone(spec):
            return self._submit(spec, folder, accept_weak_verifier)

    def _submit(self, spec: JobSpec, folder: Path, accept_weak_verifier: bool) -> JobView:
        draft = self._funded(spec, folder)
        if draft is None:
            self.check(spec, folder, accept_weak_verifier)
            draft = self._fund(spec, folder)
            self._client.say(f"job {draft.job_id} is funded; if anything interrupts, the same again goes on with it")
        else:
            self._client.say(f"job {draft.job_id} was funded before: going on with it")
        assert draft.job_id is not None
        return self.announce(draft.job_id, spec, folder)

    def announce(self, job_id: str, spec: JobSpec, folder: Path) -> JobView:
        """Tell the coordinator, and upload what is missing. Raises NotAnnounced, JobRefused."""
        try:
            view = self._told(job_id, spec)
            own = {ref.sha256: folder / name for name, ref in spec.model.files.items()}
            files = self._client.files
            self._upload(view, own | {name: files.require(name) for name in view.missing_blobs if name not in own})
            if view.missing_blobs:
                view = self._client.transport.get(f"/v1/jobs/{job_id}", JobView)
        except (Unreachable, Refused) as error:
            raise NotAnnounced(job_id, spec, error) from error
        if view.state == "failed" and not view.traces_accepted:
            raise self._closed(job_id, spec, UsageError(view.error or "no reason given"))
        self.pending.forget(job_id)
        return view

    def _told(self, job_id: str, spec: JobSpec) -> JobView:
        until = time.monotonic() + _LAG
        while True:
            try:
                return self._client.transport.post("/v1/jobs", SubmitJob(job_id=job_id, spec=spec), JobView)
            except Refused as error:
                if error.status in _FINAL and not error.code.startswith("http_"):  # a proxy's word ends no job
                    raise self._closed(job_id, spec, error) from error
                if error.code != "unfunded_job" or time.monotonic() > until:
                    raise
                time.sleep(_PAUSE)

    def _closed(self, job_id: str, spec: JobSpec, reason: R1Error) -> R1Error:
        """Close the escrow of a job that nobody will work on; what to tell its submitter."""
        words = f"{reason.message} ({reason.hint})" if reason.hint else reason.message
        try:
            chain = self._client.chain
            if not chain.escrow.job(job_id).closed_at:
                chain.escrow.close(job_id)
            refundable_at = chain.escrow.job(job_id).closed_at + chain.escrow.close_grace()
        except ChainError as error:
            return NotAnnounced(job_id, spec, UsageError(f"{words}; and its escrow is not closed: {error.message}"))
        self.pending.forget(job_id)
        return JobRefused(job_id, words, refundable_at)

    def _draft(self, spec: JobSpec, folder: Path) -> Draft:
        deployment = self._client.deployment
        return Draft(
            spec=spec,
            folder=str(folder.resolve()),
            chain_id=deployment.chain_id,
            escrow=deployment.address("JobEscrow"),
            block=0,
        )

    def _funded(self, spec: JobSpec, folder: Path) -> Draft | None:
        """The job that an earlier call paid for and didn't bring to its end: kept here, or found on chain."""
        if not self.pending.has(spec):
            return None
        draft = self.pending.like(self._draft(spec, folder))
        if draft is None:
            return None
        escrow = self._client.chain.escrow
        job_id = draft.job_id or escrow.find_job(self._client.address, spec.digest(), draft.block)
        if job_id is None:
            return None
        if escrow.job(job_id).closed_at:
            self.pending.forget(job_id)
            return None
        return self.pending.keep(draft.model_copy(update={"job_id": job_id, "folder": str(folder.resolve())}))

    def _fund(self, spec: JobSpec, folder: Path) -> Draft:
        chain = self._client.chain
        self._require_funds(spec)
        fresh = self._draft(spec, folder).model_copy(update={"block": chain.head()})
        draft = self.pending.like(fresh) or self.pending.keep(fresh)
        r1 = spec.payment_token.lower() == chain.token.address.lower()
        self._client.say(f"paying {amount_of(spec.budget, r1)} into the job's escrow")
        job_id = chain.escrow.create_job(spec.payment_token, spec.budget, spec.budget, spec.digest())
        return self.pending.keep(draft.model_copy(update={"job_id": job_id, "folder": fresh.folder}))

    def _require_funds(self, spec: JobSpec) -> None:
        """Before anything is approved or sent. Raises ChainError."""
        chain, account = self._client.chain, self._client.address
        r1 = spec.payment_token.lower() == chain.token.address.lower()
        held = chain.token_at(spec.payment_token).balance(account)
        if held < spec.budget:
            raise ChainError(
                f"the budget is {amount_of(spec.budget, r1)}, but {account} holds {amount_of(held, r1)}",
                hint="lower the budget, or send the account more",
            )
        if not chain.coin_balance(account):
            raise ChainError(f"{account} has no coin to pay for gas", hint="send it some of the chain's own coin")

    def _upload(self, view: JobView, paths: Mapping[str, Path]) -> None:
        """Send the files that are missing, each with the submitter's signature."""
        from r1net.protocol.signing import upload_values  # noqa: PLC0415 - loads eth_account

        for digest in view.missing_blobs:
            self._client.say(f"uploading {paths[digest].name} ({paths[digest].stat().st_size / 1e6:,.1f} MB)")
            upload = Upload(job_id=view.job_id, expires=int(time.time()) + UPLOAD_LIFETIME // 2)
            signature = self._client.sign("Upload", upload_values(upload))
            signed = SignedUpload(upload=upload, signature=signature)
            self._client.transport.put_blob(digest, paths[digest], {UPLOAD_HEADER: signed.model_dump_json()})
