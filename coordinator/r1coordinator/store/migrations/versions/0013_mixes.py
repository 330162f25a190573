"""Rounds of jobs with a curriculum have weights of their own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Older jobs have none."""
    op.create_table(
        "mixes",
        sa.Column("job_id", sa.String(length=66), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("weights", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "round"),
    )


def downgrade() -> None:
    """As before."""
    op.drop_table("mixes")
