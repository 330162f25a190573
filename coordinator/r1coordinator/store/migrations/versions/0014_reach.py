"""Peers are asked whether they can reach a worker."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Of the workers that there are, nothing is known yet."""
    with op.batch_alter_table("workers", schema=None) as batch_op:
        batch_op.add_column(sa.Column("reach", sa.JSON(), nullable=False, server_default="{}"))
        batch_op.add_column(sa.Column("check_number", sa.Integer(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("check_due", sa.Double(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("checking", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "dials",
        sa.Column("order_id", sa.String(length=32), nullable=False),
        sa.Column("worker", sa.String(length=42), nullable=False),
        sa.Column("owner", sa.String(length=42), nullable=False),
        sa.Column("check_number", sa.Integer(), nullable=False),
        sa.Column("dialler", sa.String(length=42), nullable=False),
        sa.Column("by", sa.String(length=42), nullable=False),
        sa.Column("maddrs", sa.JSON(), nullable=False),
        sa.Column("nonce", sa.String(length=66), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("fetched", sa.Boolean(), nullable=False),
        sa.Column("maddr", sa.Text(), nullable=True),
        sa.Column("given_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("order_id"),
    )
    for column in ("worker", "owner", "dialler", "given_at"):
        op.create_index(f"ix_dials_{column}", "dials", [column])


def downgrade() -> None:
    """As before."""
    op.drop_table("dials")
    with op.batch_alter_table("workers", schema=None) as batch_op:
        for name in ("reach", "check_number", "check_due", "checking"):
            batch_op.drop_column(name)
