"""Checks of whether workers can be reached, as rows: orders to dial given, answered, and what follows from them."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Collection, Sequence

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from r1coordinator.scheduling import reach
from r1coordinator.scheduling.context import Context
from r1coordinator.scheduling.leases import live_workers
from r1coordinator.scheduling.model import WorkerState
from r1coordinator.store.tables import DialRow, WorkerRow
from r1net.errors import ProtocolError, Refused
from r1net.protocol.reach import DialOrder, DialReport, Reach
from r1net.protocol.signing import Domain, dialled_values

_HOUR = 3600.0


def check_reach(s: Session, ctx: Context, now: float) -> bool:
    """Give the orders that are due, and conclude what can be concluded; whether there is any news."""
    s.flush()
    late = (DialRow.state == "given", DialRow.given_at < now - reach.DIAL_SECONDS)
    s.execute(update(DialRow).where(*late).values(state="lapsed"))
    heard = now - ctx.settings.lost_after_seconds
    due = list(s.scalars(select(WorkerRow).where(WorkerRow.check_due <= now, WorkerRow.last_seen >= heard)))
    if not due:
        return False
    workers = {state.worker: state for state in live_workers(s, ctx.settings, now)}
    open_orders = select(DialRow.dialler).where(DialRow.state == "given")
    outstanding = Counter(s.scalars(open_orders))
    news = False
    for row in due:
        if row.worker in workers:
            news |= _check(s, ctx, row, workers[row.worker], [*workers.values()], outstanding, now)
    return news


def forget_dials(s: Session, now: float) -> None:
    """Drop the orders that nothing depends on any more."""
    s.execute(delete(DialRow).where(DialRow.given_at < now - _HOUR))


def orders_for(s: Session, worker: str) -> tuple[DialOrder, ...]:
    """What a worker is to dial now. Each order is told once: one that is lost lapses, and others are asked."""
    rows = s.execute(
        select(DialRow, WorkerRow.peer_id)
        .join(WorkerRow, (WorkerRow.worker == DialRow.worker) & (WorkerRow.check_number == DialRow.check_number))
        .where(DialRow.dialler == worker, DialRow.state == "given", DialRow.fetched.is_(False))
    ).all()
    for row, _ in rows:
        row.fetched = True
    return tuple(
        DialOrder(id=row.order_id, worker=row.worker, peer_id=peer_id, maddrs=tuple(row.maddrs), nonce=row.nonce)
        for row, peer_id in rows
    )


def reach_of(s: Session, worker: str) -> Reach:
    """What is known of a worker's being reached."""
    return Reach.model_validate(s.get_one(WorkerRow, worker).reach)


def answered(s: Session, domain: Domain, dialler: str, report: DialReport) -> None:
    """What came of an order. Refused where it isn't the caller's, has been answered, or isn't proven; a proof that is
    none leaves the order open, so that whoever was fooled may still say what is true."""
    row = s.get(DialRow, report.id)
    if row is None or row.dialler != dialler:
        raise Refused("unknown_order", f"{dialler} has no order {report.id[:40]}", status=404)
    if row.state != "given":
        raise Refused("stale_order", f"the order is {row.state}", status=409)
    if report.maddr is not None and report.proof is not None:
        if report.maddr not in row.maddrs:
            raise Refused("false_proof", "the order doesn't name this address", status=422)
        _require_proof(domain, row, report.proof)
    row.state, row.maddr = report.outcome, report.maddr


def _require_proof(domain: Domain, row: DialRow, proof: str) -> None:
    try:
        signer = domain.signer("Dialled", dialled_values(row.worker, row.nonce), proof)
    except ProtocolError as error:
        raise Refused("false_proof", error.message, status=422) from error
    if signer != row.worker:
        raise Refused("false_proof", f"signed by {signer}, not by the worker {row.worker}", status=422)


def recheck(s: Session, workers: Collection[str], now: float) -> None:
    """Have these dialled soon: they were part of an attempt in which peers did not reach each other, perhaps."""
    for row in s.scalars(select(WorkerRow).where(WorkerRow.worker.in_(workers))):
        checked = Reach.model_validate(row.reach).checked_at or now
        row.check_due = min(row.check_due, max(now, checked + reach.AGAIN_SECONDS))


def _check(
    s: Session,
    ctx: Context,
    row: WorkerRow,
    me: WorkerState,
    workers: Sequence[WorkerState],
    outstanding: Counter[str],
    now: float,
) -> bool:
    """One step of a worker's check; whether there is any news of it."""
    asked = list(
        s.scalars(select(DialRow).where(DialRow.worker == row.worker, DialRow.check_number == row.check_number))
    )
    given = _ask(s, ctx, row, me, workers, outstanding, asked, now)
    words = _words(asked)
    over = not words.given
    before = Reach.model_validate(row.reach)
    if not asked:
        unasked = _unasked(s, row, me, workers, now)
        if unasked is None:
            return False
        after = unasked
    else:
        after = before.model_copy(
            update={
                "state": reach.judge(words, before.state, over=over),
                "checked_at": now if over else before.checked_at,
            }
        )
    if words.reached or words.failed:
        found = tuple(dict.fromkeys(one.maddr for one in asked if one.maddr is not None))
        own = any(one.by == row.owner for one in asked)
        after = after.model_copy(
            update={"peers": words.reached, "failed": words.failed, "own": own, "maddrs": found or before.maddrs}
        )
    row.reach, row.checking = after.model_dump(mode="json"), bool(asked) and not over
    if asked and over:
        row.check_number += 1
        row.check_due = now + _pause(after, words)
    return given or after != before


def _unasked(s: Session, row: WorkerRow, me: WorkerState, workers: Sequence[WorkerState], now: float) -> Reach | None:
    """What follows where nobody was asked; None: nothing. An owner that uses up what strangers dial for it keeps no
    worker's good name by that."""
    if not _may_ask(s, row, now):
        return Reach() if now > row.check_due + reach.RETRY_SECONDS else None
    return Reach(state="unreachable") if reach.stranded(me, workers) else None


def _pause(after: Reach, words: reach.Words) -> float:
    if not words.reached and not words.failed:
        return reach.AGAIN_SECONDS
    return reach.RENEW_SECONDS if after.state == "reachable" else reach.RETRY_SECONDS


def _words(asked: Sequence[DialRow]) -> reach.Words:
    count = Counter(one.state for one in asked)
    return reach.Words(len(asked), count["given"], count["reached"], count["failed"])


def _ask(
    s: Session,
    ctx: Context,
    row: WorkerRow,
    me: WorkerState,
    workers: Sequence[WorkerState],
    outstanding: Counter[str],
    asked: list[DialRow],
    now: float,
) -> bool:
    """Give the orders that the check wants, as rows and in `asked`; whether there were any."""
    before = len(asked)
    while _words(asked).wanted and _may_ask(s, row, now):
        nonce = "0x" + secrets.token_hex(32)
        owners = frozenset(one.by for one in asked)
        found = reach.draw(me, workers, reach.Asked(owners, outstanding), nonce)
        if found is None:
            break
        dialler, maddrs = found
        order = DialRow(
            order_id=ctx.new_id(),
            worker=row.worker,
            owner=row.owner,
            check_number=row.check_number,
            dialler=dialler.worker,
            by=dialler.owner,
            maddrs=list(maddrs),
            nonce=nonce,
            state="given",
            fetched=False,
            maddr=None,
            given_at=now,
        )
        s.add(order)
        asked.append(order)
        outstanding[dialler.worker] += 1
    s.flush()
    return len(asked) > before


def _may_ask(s: Session, row: WorkerRow, now: float) -> bool:
    """Whether strangers may be asked to dial for this owner now."""
    count = select(func.count()).select_from(DialRow).where(DialRow.owner == row.owner, DialRow.given_at > now - _HOUR)
    return (s.scalar(count) or 0) < reach.PER_OWNER
