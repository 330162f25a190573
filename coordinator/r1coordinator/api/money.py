"""Epochs, and what accounts have earned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from eth_utils.address import to_checksum_address
from fastapi import APIRouter, Path, Query, Response
from pydantic import AfterValidator
from sqlalchemy import select
from sqlalchemy.orm import Session

from r1coordinator.api.wire import Number, Use
from r1coordinator.settlement.report import reward_tree
from r1coordinator.store.cache import ByteCache
from r1coordinator.store.rows import get_job, parse_spec
from r1coordinator.store.tables import ContributionRow, DueRow, EpochRow
from r1net.errors import Refused
from r1net.protocol.merkle import StandardMerkleTree
from r1net.protocol.pricing import Work, asked
from r1net.protocol.settlement import ClaimProof, DueView, EpochReport
from r1net.protocol.views import AccountRewards, Earning, EpochView

router = APIRouter(prefix="/v1", tags=["money"])

_SHOWN = 1000
_ADDRESS = r"^0x[0-9a-fA-F]{40}$"
Account = Annotated[str, Path(pattern=_ADDRESS), AfterValidator(to_checksum_address)]
Token = Annotated[Annotated[str, AfterValidator(to_checksum_address)] | None, Query(pattern=_ADDRESS)]


_REPORTS = 1 << 21
"""Bytes of reports that are kept parsed, and of those whose trees are."""
_reports: ByteCache[EpochReport] = ByteCache(_REPORTS)
_trees: ByteCache[StandardMerkleTree] = ByteCache(_REPORTS)


def _parsed(epoch: EpochRow) -> EpochReport:
    return _reports.get(epoch.report_digest, len(epoch.report), lambda: EpochReport.parse(epoch.report))


def _rewards_tree(epoch: EpochRow) -> StandardMerkleTree:
    return _trees.get(epoch.report_digest, len(epoch.report), lambda: reward_tree(_parsed(epoch).rewards))


@router.get("/epochs")
def get_epochs(services: Use) -> list[EpochView]:
    """Every epoch and where its settlement stands. What is in none yet: GET /v1/jobs/{id}/dues."""
    with services.db.read() as s:
        return [_epoch_view(row) for row in s.scalars(select(EpochRow).order_by(EpochRow.epoch))]


def _epoch_view(row: EpochRow) -> EpochView:
    return EpochView.model_validate(
        {
            "epoch": row.epoch,
            "state": row.state,
            "rewards_root": row.rewards_root,
            "report": row.report_digest,
            "traces": row.traces,
            "amount": row.amount,
            "transaction": row.finalise_tx or row.propose_tx,
            "error": row.error,
        }
    )


@router.get("/jobs/{job_id}/dues")
def get_dues(job_id: str, services: Use) -> list[DueView]:
    """What the job owes, oldest first, and where that stands (the newest 1000)."""
    with services.db.read() as s:
        get_job(s, job_id)
        rows = s.scalars(select(DueRow).where(DueRow.job_id == job_id).order_by(DueRow.id.desc()).limit(_SHOWN))
        return [_due_view(row) for row in rows][::-1]


def _due_view(row: DueRow) -> DueView:
    return DueView.model_validate(
        {
            "id": row.id,
            "job_id": row.job_id,
            "state": row.state,
            "amount": row.amount,
            "traces": row.traces,
            "epoch": row.epoch,
            "tries": row.tries,
            "rejections": row.rejections,
            "error": row.error,
            "closed_at": row.closed_at,
        }
    )


@router.get("/epochs/{epoch}/report", response_model=EpochReport)
def get_report(epoch: Number, services: Use) -> Response:
    """The public report, in the very bytes whose digest is on chain."""
    with services.db.read() as s:
        row = s.get(EpochRow, epoch)
    if row is None:
        raise Refused("unknown_epoch", f"there is no epoch {epoch}", status=404)
    return Response(row.report, media_type="application/json")


def _newest_final(s: Session) -> EpochRow | None:
    return s.scalar(select(EpochRow).where(EpochRow.state == "final").order_by(EpochRow.epoch.desc()).limit(1))


@router.get("/accounts/{account}/claim")
def get_claim(account: Account, services: Use, token: Token = None) -> ClaimProof:
    """What the account needs to claim all it has earned in final epochs."""
    with services.db.read() as s:
        epoch = _newest_final(s)
    rewards = _parsed(epoch).rewards if epoch else ()
    for place, row in enumerate(rewards):
        if row.account == account and token in (None, row.token):
            assert epoch is not None
            return ClaimProof(
                token=row.token,
                account=row.account,
                epoch=epoch.epoch,
                cumulative=row.cumulative,
                proof=tuple(_rewards_tree(epoch).proof(place)),
            )
    raise Refused("nothing_to_claim", f"no final epoch pays {account}", status=404, hint="see GET /v1/epochs")


@router.get("/accounts/{account}/rewards")
def get_rewards(account: Account, services: Use, token: Token = None) -> AccountRewards:
    """What an account has earned, final and pending, and the work behind (the newest 1000 rows)."""
    with services.db.read() as s:
        query = select(ContributionRow).where(ContributionRow.account == account)
        rows = list(s.scalars(query.order_by(ContributionRow.epoch.is_(None), ContributionRow.epoch)))
        chosen = token or (rows[0].token if rows else None)
        rows = [row for row in rows if row.token == chosen]
        lost = _lost(s)
        amounts = {row.lease_id: 0 if row.due_id in lost else _amount(s, row) for row in rows}
        final = set(s.scalars(select(EpochRow.epoch).where(EpochRow.state == "final")))
    paid = sum(amounts[row.lease_id] for row in rows if row.epoch in final)
    return AccountRewards(
        account=account,
        token=chosen,
        cumulative=paid,
        pending=sum(amounts.values()) - paid,
        earnings=_earnings(rows[-_SHOWN:], amounts, lost),
    )


def _lost(s: Session) -> dict[int | None, str | None]:
    """The dues that are never paid, and why."""
    rows = s.execute(select(DueRow.id, DueRow.error).where(DueRow.state == "unpayable"))
    lost: dict[int | None, str | None] = {}
    lost.update(rows.tuples().all())
    return lost


def _amount(s: Session, row: ContributionRow) -> int:
    """What the row pays; before its work is closed, what the price list says."""
    if row.amount is not None:
        return row.amount
    prices = parse_spec(get_job(s, row.job_id).spec).prices
    return asked(Work(row.kind, row.tokens), prices)


def _earnings(
    rows: Sequence[ContributionRow], amounts: dict[str, int], lost: dict[int | None, str | None]
) -> tuple[Earning, ...]:
    return tuple(
        Earning(
            job_id=row.job_id,
            kind=row.kind,
            worker=row.worker,
            round=row.round,
            tokens=row.tokens,
            amount=amounts[row.lease_id],
            lease_id=row.lease_id,
            epoch=row.epoch,
            error=lost.get(row.due_id),
        )
        for row in rows
    )
