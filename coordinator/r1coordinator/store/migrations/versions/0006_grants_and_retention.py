"""Grants that were used, and what is deleted some time after a job's end."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "grants",
        sa.Column("nonce", sa.String(length=66), nullable=False),
        sa.Column("worker", sa.String(length=42), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("nonce"),
    )
    with op.batch_alter_table("grants", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_grants_expires"), ["expires"], unique=False)
    op.create_table(
        "retentions",
        sa.Column("job_id", sa.String(length=66), nullable=False),
        sa.Column("over_since", sa.Double(), nullable=False),
        sa.Column("gone_since", sa.Double(), nullable=True),
        sa.Column("swept", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("job_id"),
    )
    with op.batch_alter_table("retentions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_retentions_swept"), ["swept"], unique=False)
    op.create_table(
        "gone_blobs",
        sa.Column("sha256", sa.String(length=66), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("gone_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("sha256"),
    )


def downgrade() -> None:
    for table in ("gone_blobs", "retentions", "grants"):
        op.drop_table(table)
