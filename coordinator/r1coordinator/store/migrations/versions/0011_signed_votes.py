"""Votes are signed, so that one that is false can be shown to jurors."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Older votes have no signature: nobody can dispute them."""
    with op.batch_alter_table("votes", schema=None) as batch_op:
        batch_op.add_column(sa.Column("digest", sa.String(length=66), nullable=True))
        batch_op.add_column(sa.Column("signature", sa.String(length=132), nullable=True))
        batch_op.add_column(sa.Column("mistaken", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch_op.create_index("ix_votes_digest", ["digest"])


def downgrade() -> None:
    """As before."""
    with op.batch_alter_table("votes", schema=None) as batch_op:
        batch_op.drop_index("ix_votes_digest")
        for name in ("digest", "signature", "mistaken"):
            batch_op.drop_column(name)
