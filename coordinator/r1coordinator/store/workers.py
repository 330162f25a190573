"""Workers, their sessions, and the nonces they used."""

from __future__ import annotations

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from r1coordinator.store.tables import AttemptRow, GrantRow, LeaseRow, NonceRow, SessionRow, WorkerRow
from r1net.errors import Refused
from r1net.protocol.reach import Reach
from r1net.protocol.session import OpenSession

_REOPEN = "open a new session"
_REMEMBERED_SESSION = 86400.0
"""Seconds after its end for which a session is told from one that never was."""
_UNTIL_IT_ASKS = ["rollout"]
"""What a worker that has just come is taken to do: groups are kept for it, but no trainer's slot."""


def open_session(s: Session, request: OpenSession, session_id: str, now: float, slots: int | None = None) -> None:
    """Remember the session and what the worker says of itself; older sessions of the worker end. `slots` is how many
    workers its owner's stake is good for.

    A grant opens one session: who has read it on the way gains nothing by sending it again.
    """
    grant = request.grant
    if s.get(GrantRow, grant.nonce) is not None:
        raise Refused("replayed_grant", "this grant has opened a session before", status=409, hint="sign a new one")
    s.add(GrantRow(nonce=grant.nonce, worker=grant.worker, expires=grant.expires))
    s.execute(update(SessionRow).where(SessionRow.worker == grant.worker).values(revoked=True))
    row = s.get(WorkerRow, grant.worker)
    if row is None:
        row = WorkerRow(worker=grant.worker, maddrs=[], reach={}, check_number=0)
        s.add(row)
    if not _still_there(row, request):
        row.reach, row.checking, row.check_number, row.check_due = {}, False, row.check_number + 1, now
    row.owner, row.peer_id, row.maddrs = grant.owner, grant.peer_id, list(request.maddrs)
    row.software, row.hardware = request.software, request.hardware
    row.capabilities, row.holds, row.last_seen = _UNTIL_IT_ASKS, {}, now
    row.floors, row.avoids, row.slots, row.refused = None, [], slots, None
    s.add(
        SessionRow(
            session_id=session_id,
            worker=grant.worker,
            session_key=grant.session_key,
            expires=grant.expires,
            revoked=False,
        )
    )
    s.flush()


def _still_there(row: WorkerRow, request: OpenSession) -> bool:
    """Whether the worker announces every address at which it was reached. Others may come and go beside them."""
    reach = Reach.model_validate(row.reach)
    return reach.state == "reachable" and set(reach.maddrs) <= set(request.maddrs)


def session_of(s: Session, session_id: str, now: float) -> SessionRow:
    """The session, or a refusal."""
    row = s.get(SessionRow, session_id)
    if row is None:
        raise Refused("unknown_session", "there is no such session", status=401, hint=_REOPEN)
    if row.revoked:
        raise Refused("session_superseded", "the worker has opened another session", status=401, hint=_REOPEN)
    if row.expires <= now:
        raise Refused("session_expired", "the session has expired", status=401, hint=_REOPEN)
    return row


def live_of(s: Session, owner: str, since: float) -> list[str]:
    """The workers of an owner that were heard of since then."""
    return list(s.scalars(select(WorkerRow.worker).where(WorkerRow.owner == owner, WorkerRow.last_seen >= since)))


def require_welcome(s: Session, worker: str) -> None:
    """Refuse a worker whose owner's stake no longer stands."""
    reason = s.scalar(select(WorkerRow.refused).where(WorkerRow.worker == worker))
    if reason is not None:
        raise Refused("inactive_owner", reason, status=403, hint="see `r1node status`; stake, then try again")


def use_nonce(s: Session, session_id: str, nonce: str, forget_at: float) -> None:
    """Refuse a nonce that was used before."""
    if s.get(NonceRow, (session_id, nonce)) is not None:
        raise Refused("replayed", "this request was received before", status=401, hint="sign again with a new nonce")
    s.add(NonceRow(session_id=session_id, nonce=nonce, forget_at=forget_at))
    s.flush()


def forget_nonces(s: Session, now: float) -> None:
    """Drop the nonces whose requests or grants would be refused as too old, and sessions that ended long ago."""
    s.execute(delete(NonceRow).where(NonceRow.forget_at < now))
    s.execute(delete(GrantRow).where(GrantRow.expires < now))
    s.execute(delete(SessionRow).where(SessionRow.expires < now - _REMEMBERED_SESSION))


def touch(s: Session, worker: str, now: float) -> None:
    """The worker was heard of."""
    s.execute(update(WorkerRow).where(WorkerRow.worker == worker).values(last_seen=now))


def left(s: Session, worker: str, since: float) -> None:
    """The worker has said that it leaves: it counts as one that was last heard of before `since`."""
    s.execute(update(WorkerRow).where(WorkerRow.worker == worker).values(last_seen=since))


def resume_clocks(s: Session, now: float) -> float:
    """After a restart: the time while the coordinator was down counts for nobody. Returns its seconds.

    The last sign of a worker is the last moment at which the coordinator certainly was there.
    """
    last = s.scalar(select(func.max(WorkerRow.last_seen)))
    gone = max(0.0, now - last) if last is not None else 0.0
    moved = {
        "expires_at": LeaseRow.expires_at + gone,
        "issued_at": LeaseRow.issued_at + gone,
        "deadline": LeaseRow.deadline + gone,
    }
    s.execute(update(WorkerRow).values(last_seen=WorkerRow.last_seen + gone))
    s.execute(update(LeaseRow).where(LeaseRow.state == "active").values(moved))
    s.execute(update(AttemptRow).where(AttemptRow.state == "pending").values(started_at=AttemptRow.started_at + gone))
    return gone
