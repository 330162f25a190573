"""Checked training: commitments, statements, and the draw of an attempt."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "gradients",
        sa.Column("lease_id", sa.String(length=64), nullable=False),
        sa.Column("job_id", sa.String(length=66), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("worker", sa.String(length=42), nullable=False),
        sa.Column("commitment", sa.Text(), nullable=False),
        sa.Column("statement", sa.String(length=66), nullable=True),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("signature", sa.String(length=132), nullable=True),
        sa.PrimaryKeyConstraint("lease_id"),
    )
    op.create_index("ix_gradients_attempt", "gradients", ["job_id", "round", "attempt"])
    op.create_index("ix_gradients_statement", "gradients", ["statement"])
    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.add_column(sa.Column("block", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("seed", sa.String(length=66), nullable=True))
        batch_op.add_column(sa.Column("state_by", sa.Double(), nullable=True))
    with op.batch_alter_table("checks", schema=None) as batch_op:
        batch_op.add_column(sa.Column("kind", sa.String(length=10), nullable=False, server_default="rollout"))
        batch_op.add_column(sa.Column("tested", sa.Boolean(), nullable=False, server_default=sa.true()))


def downgrade() -> None:
    op.execute(sa.text("DELETE FROM checks WHERE kind <> 'rollout'"))
    with op.batch_alter_table("checks", schema=None) as batch_op:
        batch_op.drop_column("tested")
        batch_op.drop_column("kind")
    with op.batch_alter_table("attempts", schema=None) as batch_op:
        for name in ("state_by", "seed", "block"):
            batch_op.drop_column(name)
    op.drop_table("gradients")
