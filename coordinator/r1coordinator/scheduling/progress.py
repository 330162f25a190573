"""Where a job stands, from its rows."""

from __future__ import annotations

from sqlalchemy.orm import Session

from r1coordinator.scheduling.context import Context
from r1coordinator.scheduling.model import Progress
from r1coordinator.store.rows import parse_spec, refusals_of, version_of
from r1coordinator.store.tables import JobRow
from r1coordinator.verification.codes import REFUSED
from r1net.prices import price_of


def progress(s: Session, ctx: Context, job: JobRow) -> Progress:
    """Where the job stands, for the rules."""
    refused = refusals_of(s, job.job_id, REFUSED)
    return Progress(
        job_id=job.job_id,
        phase=job.phase,
        round=job.round,
        version=version_of(job),
        price=price_of(parse_spec(job.spec)),
        barred=frozenset(w for w, count in refused.items() if count >= ctx.settings.max_content_refusals),
    )
