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
from r1coordinator.scheduling.watch import owed_by
from r1coordinator.settlement.ledger import parts_of
from r1coordinator.settlement.report import report_text
from r1coordinator.store.cache import ByteCache
from r1coordinator.store.rows import get_job, parse_spec, token_of
from r1coordinator.store.tables import ContributionRow, DueRow, EpochRow, LineRow
from r1net.errors import Refused
from r1net.protocol.merkle import StandardMerkleTree
from r1net.protocol.pricing import Work, asked
from r1net.protocol.settlement import ClaimProof, DueView, EpochReport, JobEpoch, reward_tree
from r1net.protocol.views import AccountRewards, Earning, EpochView, JobCost, LineView

router = APIRouter(prefix="/v1", tags=["money"])

_SHOWN = 1000
_ADDRESS = r"^0x[0-9a-fA-F]{40}$"
Account = Annotated[str, Path(pattern=_ADDRESS), AfterValidator(to_checksum_address)]
Token = Annotated[Annotated[str, AfterValidator(to_checksum_address)] | None, Query(pattern=_ADDRESS)]


_LINES = 1 << 21
"""Bytes of lines that are kept parsed, with their trees."""
_lines: ByteCache[tuple[JobEpoch, StandardMerkleTree]] = ByteCache(_LINES)


def _line_and_tree(due: DueRow) -> tuple[JobEpoch, StandardMerkleTree]:
    """A line that pays somebody, and the tree of its rewards."""

    def make() -> tuple[JobEpoch, StandardMerkleTree]:
        part = JobEpoch.parse(due.part)
        return part, reward_tree(part.rewards)

    return _lines.get(due.digest, len(due.part), make)


@router.get("/epochs")
def get_epochs(services: Use) -> list[EpochView]:
    """Every epoch and where its settlement stands. What is in none yet: GET /v1/jobs/{id}/dues."""
    columns = (LineRow.epoch, LineRow.state, DueRow.job_id, DueRow.digest, DueRow.traces, DueRow.amount)
    query = select(*columns).join(DueRow, DueRow.id == LineRow.due_id).order_by(LineRow.epoch, LineRow.line)
    with services.db.read() as s:
        epochs = list(s.scalars(select(EpochRow).order_by(EpochRow.epoch)))
        lines: dict[int, list[LineView]] = {row.epoch: [] for row in epochs}
        for epoch, state, job_id, digest, traces, amount in s.execute(query):
            view = {"job_id": job_id, "state": state, "report": digest, "traces": traces, "amount": amount}
            lines[epoch].append(LineView.model_validate(view))
    return [_epoch_view(row, lines[row.epoch]) for row in epochs]


def _epoch_view(row: EpochRow, lines: Sequence[LineView]) -> EpochView:
    return EpochView.model_validate(
        {
            "epoch": row.epoch,
            "state": row.state,
            "lines": tuple(lines),
            "traces": sum(line.traces for line in lines),
            "amount": sum(line.amount for line in lines),
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


@router.get("/jobs/{job_id}/cost")
def get_cost(job_id: str, services: Use) -> JobCost:
    """What the job has cost so far."""
    with services.db.read() as s:
        job = get_job(s, job_id)
        owed = owed_by(s, job)
        token = token_of(parse_spec(job.spec))
        unsettled = min(owed.open, max(0, job.budget - owed.closed))  # beyond the budget pay is cut in proportion
        return JobCost(job_id=job.job_id, token=token, budget=job.budget, closed=owed.closed, open=unsettled)


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
    """The public report: the epoch's lines, whose digests are on chain."""
    with services.db.read() as s:
        parts = parts_of(s, epoch)
    if not parts:
        raise Refused("unknown_epoch", f"there is no epoch {epoch}", status=404)
    return Response(report_text(epoch, services.chain.chain_id(), parts), media_type="application/json")


@router.get("/accounts/{account}/claims")
def get_claims(
    account: Account,
    services: Use,
    limit: Annotated[int, Query(ge=1, le=100)] = 100,
    after: Annotated[int, Query(ge=0, lt=2**31)] = 0,
) -> list[ClaimProof]:
    """What the account needs to claim, for each line that is paid and pays it, in order; `after=N` leaves the first N
    out. What is claimed already is on chain, in the events of the rewards contract."""
    with services.db.read() as s:
        earned = select(ContributionRow.due_id).where(ContributionRow.account == account, ContributionRow.amount != 0)
        query = select(LineRow.epoch, DueRow).join(DueRow, DueRow.id == LineRow.due_id)
        query = query.where(LineRow.state == "final", LineRow.due_id.in_(earned))
        rows = s.execute(query.order_by(LineRow.epoch, LineRow.line).offset(after).limit(limit)).tuples().all()
    return [_claim(epoch, due, account) for epoch, due in rows]


def _claim(epoch: int, due: DueRow, account: str) -> ClaimProof:
    part, tree = _line_and_tree(due)
    index, reward = next((n, row) for n, row in enumerate(part.rewards) if row.account == account)
    return ClaimProof(
        epoch=epoch,
        job_id=due.job_id,
        token=part.token,
        index=index,
        account=account,
        amount=reward.amount,
        proof=tuple(tree.proof(index)),
    )


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
        closed = {row.due_id for row in rows}
        final = set(s.scalars(select(DueRow.id).where(DueRow.state == "settled", DueRow.id.in_(closed))))
    paid = sum(amounts[row.lease_id] for row in rows if row.due_id in final)
    return AccountRewards(
        account=account,
        token=chosen,
        final=paid,
        pending=sum(amounts.values()) - paid,
        earnings=_earnings(rows[-_SHOWN:], amounts, lost),
    )


@router.get("/accounts/{account}/earnings")
def get_earnings(
    account: Account,
    services: Use,
    limit: Annotated[int, Query(ge=1, le=_SHOWN)] = _SHOWN,
    after: Annotated[int, Query(ge=0, lt=2**31)] = 0,
) -> list[Earning]:
    """All that an account has earned in all tokens, in an order that stays; `after=N` leaves the first N rows out. Work
    that is accepted meanwhile may move rows on by one: take each lease once."""
    with services.db.read() as s:
        query = select(ContributionRow).where(ContributionRow.account == account).order_by(ContributionRow.lease_id)
        rows = list(s.scalars(query.offset(after).limit(limit)))
        lost = _lost(s)
        amounts = {row.lease_id: 0 if row.due_id in lost else _amount(s, row) for row in rows}
    return list(_earnings(rows, amounts, lost))


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
