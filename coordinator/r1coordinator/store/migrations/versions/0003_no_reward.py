"""A trace to which none of its job's rewards applies has no reward."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("traces", schema=None) as batch_op:
        batch_op.alter_column("reward", existing_type=sa.Double(), nullable=True)


def downgrade() -> None:
    op.execute(sa.text("UPDATE traces SET reward = 0 WHERE reward IS NULL"))
    with op.batch_alter_table("traces", schema=None) as batch_op:
        batch_op.alter_column("reward", existing_type=sa.Double(), nullable=False)
