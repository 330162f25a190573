"""Drawing submissions and attempts by the chain's blocks, and planting tampered copies. Asks the chain, so it runs
apart from the requests."""

from __future__ import annotations

import secrets
from array import array
from collections.abc import Callable, Sequence

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from r1coordinator.chain import ChainPort
from r1coordinator.scheduling.checks import UNDECIDED, awaiting, draw, tokens_to_repeat
from r1coordinator.scheduling.context import Context
from r1coordinator.scheduling.gradients import draw_seed, name_blocks, unseeded
from r1coordinator.scheduling.rates import publish_deadline
from r1coordinator.scheduling.shield import advance_all
from r1coordinator.scheduling.verdicts import expire_checks
from r1coordinator.store.blobs import BlobStore
from r1coordinator.store.database import Database
from r1coordinator.store.rows import get_job, parse_spec
from r1coordinator.store.tables import BlobRow, CheckRow, JobRow
from r1net.deterrence import plant_rate
from r1net.protocol.gradients import GradientStatement, pack, unpack
from r1net.protocol.job import PolicyVersion
from r1net.protocol.pricing import Work, asked
from r1net.protocol.trace import Trace, TraceBundle
from r1net.protocol.turns import sampled

FEWEST_TAMPERED = 4
"""Traces, at least, that a planted copy has: one changed token may be taken for rounding, so many can't."""


def draw_checks(db: Database, ctx: Context, chain: ChainPort, blobs: BlobStore, clock: Callable[[], float]) -> bool:
    """Draw what waits for a block that is mined; whether something changed. Raises ChainError."""
    with db.read() as s:
        states = set(s.scalars(select(CheckRow.state).where(CheckRow.state.in_(UNDECIDED)).distinct()))
        undrawn = "waiting" in states or bool(unseeded(s))
    if undrawn:
        _draw(db, ctx, chain, clock)
    if not states and not undrawn:
        return False
    with db.read() as s:
        rows = s.scalars(select(CheckRow).where(CheckRow.state == "open", CheckRow.tested.is_(False))).all()
        fresh = {row.number: planting(s, ctx, row) for row in rows}
    for number, rate in fresh.items():
        if secrets.randbelow(1000) < 1000 * rate:
            plant(db, blobs, number, clock())
    with db.write() as s:
        s.execute(update(CheckRow).where(CheckRow.number.in_(fresh)).values(tested=True))
    with db.write() as s:
        expired = expire_checks(s, ctx, clock())
    return bool(fresh) or undrawn or expired


def _draw(db: Database, ctx: Context, chain: ChainPort, clock: Callable[[], float]) -> None:
    """Name blocks for submissions and attempts that have none, and draw those whose block is mined."""
    head = chain.head()
    with db.write() as s:
        named = [row.block for row in awaiting(s, head)] + [row.block for row in name_blocks(s, head)]
        blocks = {block for block in named if block is not None}
    hashes = {block: chain.block_hash(block) for block in sorted(blocks)}
    with db.write() as s:
        now = clock()
        rows = [row for row in awaiting(s, head) if row.block in hashes]
        for row in rows:
            draw(s, row, hashes[row.block], now)  # type: ignore[index] # awaiting() gave it one
        attempts = [row for row in name_blocks(s, head) if row.block in hashes]
        for attempt in attempts:
            spec = parse_spec(get_job(s, attempt.job_id).spec)
            draw_seed(s, attempt, hashes[attempt.block], publish_deadline(ctx, spec, now))  # type: ignore[index]
        concerned = {row.job_id for row in rows} | {row.job_id for row in attempts}
        s.flush()
        advance_all(s, ctx, list(s.scalars(select(JobRow).where(JobRow.job_id.in_(concerned)))), now)


def planting(s: Session, ctx: Context, row: CheckRow) -> float:
    """With which probability a drawn piece has a tampered copy beside it."""
    spec = parse_spec(get_job(s, row.job_id).spec)
    work = Work("verification", tokens_to_repeat(s, row))
    return plant_rate(asked(work, spec.prices), ctx.at_risk(spec.payment_token))


def plant(db: Database, blobs: BlobStore, number: int, now: float) -> bool:
    """Have a tampered copy of a drawn submission voted on as well. False when too few of its traces are replayed."""
    with db.read() as s:
        row = s.get_one(CheckRow, number)
        stops = frozenset(parse_spec(get_job(s, row.job_id).spec).stop_token_ids)
    copy: TraceBundle | GradientStatement
    if row.kind == "training":
        copy = misstated(GradientStatement.parse(blobs.get(row.bundle)))
    elif len(row.positions) < FEWEST_TAMPERED:
        return False
    else:
        copy = tampered(TraceBundle.parse(blobs.get(row.bundle)), row.positions, stops)
    digest = blobs.put(copy.canonical())
    with db.write() as s:
        _add(s, row, digest, now)
    return True


def misstated(statement: GradientStatement) -> GradientStatement:
    """A copy with the sketch of another gradient of the same norm: half of the signs are turned round."""
    values = unpack(statement.sketch)
    turned = array("f", (value if secrets.randbits(1) else -value for value in values))
    return statement.model_copy(update={"sketch": pack(turned)})


def tampered(bundle: TraceBundle, positions: Sequence[int], stops: frozenset[int]) -> TraceBundle:
    """A copy in which every trace at one of the positions has another token somewhere, at the same log-probability."""
    known = sorted({token for trace in bundle.traces for token in trace.completion_ids} - stops)
    chosen = set(positions)
    traces = [_tamper(trace, known) if position in chosen else trace for position, trace in enumerate(bundle.traces)]
    return bundle.model_copy(update={"traces": tuple(traces)})


def _tamper(trace: Trace, known: Sequence[int]) -> Trace:
    own = sampled(len(trace.completion_ids), trace.given)
    place = own[secrets.randbelow(max(1, len(own) - 1))]
    others = [token for token in known if token != trace.completion_ids[place]]
    if not others:
        return trace
    ids = list(trace.completion_ids)
    ids[place] = secrets.choice(others)
    return trace.model_copy(update={"completion_ids": tuple(ids)})


def _add(s: Session, row: CheckRow, digest: str, now: float) -> None:
    same = {column.key: getattr(row, column.key) for column in CheckRow.__table__.columns if not column.primary_key}
    changed = {"bundle": digest, "seed": "0x" + secrets.token_hex(32), "planted": True, "tested": True}
    s.add(CheckRow(**same | changed | {"state": "open", "opened_at": now, "decided_at": None}))
    version = PolicyVersion.model_validate_json(row.version).number
    s.merge(BlobRow(job_id=row.job_id, sha256=digest, kind="planted", version=version, limit=0, present=True))
