"""Every due is a whole line, with its own rewards; epochs are made of lines, and independent of each other."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

from r1net.protocol.canonical import canonical_bytes, sha256
from r1net.protocol.settlement import NO_ROOT, rewards_of, rewards_root

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_DUES = ("id", "job_id", "part", "digest", "amount", "traces", "epoch", "closed_at")
_dues = sa.table("dues", *(sa.column(name) for name in _DUES))
_lines = sa.table("lines", *(sa.column(name) for name in ("epoch", "line", "due_id", "state")))
_EPOCHS = ("epoch", "state", "report", "report_digest", "traces", "amount", "closed_at")
_epochs = sa.table("epochs", *(sa.column(name) for name in _EPOCHS))
_paid = sa.table("contributions", *(sa.column(name) for name in ("due_id", "account", "amount")))
_LINE_STATES = {"open": "open", "proposed": "pending", "final": "final"}


def upgrade() -> None:
    """Epochs that were rejected are forgotten: what they were to settle has moved on."""
    with op.batch_alter_table("dues", schema=None) as batch_op:
        batch_op.add_column(sa.Column("digest", sa.String(length=66), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("sent_as", sa.Integer(), nullable=True))
        batch_op.create_index("ix_dues_digest", ["digest"])
    op.create_table(
        "lines",
        sa.Column("epoch", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("line", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("due_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.PrimaryKeyConstraint("epoch", "line"),
    )
    op.create_index("ix_lines_due_id", "lines", ["due_id"])
    op.create_index("ix_lines_state", "lines", ["state"])
    op.execute(sa.text("DELETE FROM epochs WHERE state IN ('rejected', 'unwound')"))
    op.execute(sa.text("UPDATE dues SET sent_as = epoch"))
    _complete_dues()
    _make_lines()
    with op.batch_alter_table("epochs", schema=None) as batch_op:
        for name in ("report", "report_digest", "rewards_root", "previous_report", "traces", "amount", "closed_at"):
            batch_op.drop_column(name)
        batch_op.add_column(sa.Column("commitment", sa.String(length=66), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("tries", sa.Integer(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("retry_at", sa.Double(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("final_at", sa.BigInteger(), nullable=True))
    op.drop_table("drafts")


def _complete_dues() -> None:
    connection = op.get_bind()
    for due_id, part in connection.execute(sa.select(_dues.c.id, _dues.c.part)).all():
        earned = connection.execute(sa.select(_paid.c.account, _paid.c.amount).where(_paid.c.due_id == due_id)).all()
        rewards = rewards_of((account, int(amount)) for account, amount in earned)
        line = json.loads(part) | {
            "rewards": [reward.model_dump(mode="json") for reward in rewards],
            "rewards_root": rewards_root(rewards),
        }
        _set_part(due_id, line)


def _set_part(due_id: int, part: dict[str, Any]) -> None:
    text = canonical_bytes(part)
    values = {"part": text.decode(), "digest": sha256(text)}
    op.get_bind().execute(_dues.update().where(_dues.c.id == due_id).values(**values))


def _make_lines() -> None:
    connection = op.get_bind()
    for epoch, state in connection.execute(sa.select(_epochs.c.epoch, _epochs.c.state)).all():
        due_ids = connection.scalars(sa.select(_dues.c.id).where(_dues.c.epoch == epoch).order_by(_dues.c.job_id)).all()
        for line, due_id in enumerate(due_ids):
            row = {"epoch": epoch, "line": line, "due_id": due_id, "state": _LINE_STATES[state]}
            connection.execute(_lines.insert().values(**row))


def downgrade() -> None:
    """Before this revision an epoch carries everybody's cumulative rewards: the reports come back without them."""
    op.create_table(
        "drafts",
        sa.Column("report_digest", sa.String(length=66), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("report", sa.Text(), nullable=False),
        sa.Column("dues", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("report_digest"),
    )
    op.create_index("ix_drafts_epoch", "drafts", ["epoch"])
    with op.batch_alter_table("epochs", schema=None) as batch_op:
        for name in ("commitment", "tries", "retry_at", "final_at"):
            batch_op.drop_column(name)
        batch_op.add_column(sa.Column("report", sa.Text(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("report_digest", sa.String(length=66), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("rewards_root", sa.String(length=66), nullable=False, server_default=NO_ROOT))
        batch_op.add_column(sa.Column("previous_report", sa.String(length=66), nullable=True))
        batch_op.add_column(sa.Column("traces", sa.Integer(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("amount", sa.String(length=78), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("closed_at", sa.Double(), nullable=False, server_default="0"))
    _strip_dues()
    _write_reports()
    op.drop_table("lines")
    with op.batch_alter_table("dues", schema=None) as batch_op:
        batch_op.drop_index("ix_dues_digest")
        batch_op.drop_column("digest")
        batch_op.drop_column("sent_as")


def _strip_dues() -> None:
    for due_id, part in op.get_bind().execute(sa.select(_dues.c.id, _dues.c.part)).all():
        line = {name: value for name, value in json.loads(part).items() if name not in ("rewards", "rewards_root")}
        _set_part(due_id, line)


def _write_reports() -> None:
    connection = op.get_bind()
    columns = (_dues.c.part, _dues.c.traces, _dues.c.amount, _dues.c.closed_at)
    for epoch in connection.scalars(sa.select(_epochs.c.epoch)).all():
        dues = connection.execute(sa.select(*columns).where(_dues.c.epoch == epoch).order_by(_dues.c.job_id)).all()
        report = canonical_bytes({"epoch": epoch, "jobs": [json.loads(due.part) for due in dues]})
        values = {
            "report": report.decode(),
            "report_digest": sha256(report),
            "traces": sum(due.traces for due in dues),
            "amount": str(sum(int(due.amount) for due in dues)),
            "closed_at": max((due.closed_at for due in dues), default=0.0),
        }
        connection.execute(_epochs.update().where(_epochs.c.epoch == epoch).values(**values))
