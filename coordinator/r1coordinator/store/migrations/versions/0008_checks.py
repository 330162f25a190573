"""Sampled replay: draws, votes, and submissions that failed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "checks",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("lease_id", sa.String(length=64), nullable=False),
        sa.Column("job_id", sa.String(length=66), nullable=False),
        sa.Column("split", sa.String(length=10), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("worker", sa.String(length=42), nullable=False),
        sa.Column("owner", sa.String(length=42), nullable=False),
        sa.Column("bundle", sa.String(length=66), nullable=False),
        sa.Column("traces_root", sa.String(length=66), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("rate", sa.Double(), nullable=False),
        sa.Column("block", sa.BigInteger(), nullable=True),
        sa.Column("seed", sa.String(length=66), nullable=True),
        sa.Column("positions", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("planted", sa.Boolean(), nullable=False),
        sa.Column("opened_at", sa.Double(), nullable=False),
        sa.Column("decided_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("ix_checks_lease_id", "checks", ["lease_id"])
    op.create_index("ix_checks_state", "checks", ["state"])
    op.create_index("ix_checks_job", "checks", ["job_id", "split", "round", "state"])
    op.create_table(
        "votes",
        sa.Column("lease_id", sa.String(length=64), nullable=False),
        sa.Column("check", sa.Integer(), nullable=False),
        sa.Column("worker", sa.String(length=42), nullable=False),
        sa.Column("owner", sa.String(length=42), nullable=False),
        sa.Column("tokens", sa.Integer(), nullable=False),
        sa.Column("commitment", sa.String(length=66), nullable=True),
        sa.Column("vote", sa.Text(), nullable=True),
        sa.Column("revealed_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("lease_id"),
    )
    op.create_index("ix_votes_check", "votes", ["check"])
    op.create_table(
        "failed_traces",
        sa.Column("digest", sa.String(length=66), nullable=False),
        sa.Column("lease_id", sa.String(length=64), nullable=False),
        sa.Column("job_id", sa.String(length=66), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("digest", "lease_id"),
    )
    op.create_index("ix_failed_traces_job_id", "failed_traces", ["job_id"])
    with op.batch_alter_table("contributions", schema=None) as batch_op:
        batch_op.alter_column("kind", existing_type=sa.String(length=10), type_=sa.String(length=20))
    with op.batch_alter_table("bundles", schema=None) as batch_op:
        batch_op.add_column(sa.Column("counts", sa.Boolean(), nullable=False, server_default=sa.true()))


def downgrade() -> None:
    """What verifiers earned and isn't closed yet is lost."""
    op.execute(sa.text("DELETE FROM contributions WHERE kind = 'verification'"))
    with op.batch_alter_table("contributions", schema=None) as batch_op:
        batch_op.alter_column("kind", existing_type=sa.String(length=20), type_=sa.String(length=10))
    with op.batch_alter_table("bundles", schema=None) as batch_op:
        batch_op.drop_column("counts")
    for table in ("failed_traces", "votes", "checks"):
        op.drop_table(table)
