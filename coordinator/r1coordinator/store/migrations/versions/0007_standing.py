"""Standing, measured rates, deadlines, and versions that are agreed only once their files are here."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_LONGEST = 3600
"""Seconds that a lease of before could take."""


def upgrade() -> None:
    waiting = op.get_bind().scalar(
        sa.text("SELECT count(*) FROM jobs WHERE state = 'running' AND published <> version_number")
    )
    if waiting:
        raise RuntimeError(f"{waiting} jobs wait for a version to be published: let the older release finish that")
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("suspicion", sa.JSON(), nullable=False, server_default="{}"))
        batch_op.drop_column("published")
    with op.batch_alter_table("workers", schema=None) as batch_op:
        batch_op.add_column(sa.Column("floors", sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column("avoids", sa.JSON(), nullable=False, server_default="[]"))
        batch_op.add_column(sa.Column("slots", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("refused", sa.Text(), nullable=True))
    with op.batch_alter_table("leases", schema=None) as batch_op:
        batch_op.add_column(sa.Column("deadline", sa.Double(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("proof", sa.JSON(), nullable=True))
    op.execute(sa.text(f"UPDATE leases SET deadline = issued_at + {_LONGEST}"))  # noqa: S608 - a constant
    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.add_column(sa.Column("policy", sa.String(length=66), nullable=True))
        batch_op.add_column(sa.Column("optimizer", sa.String(length=66), nullable=True))
        batch_op.add_column(sa.Column("blamed", sa.JSON(), nullable=False, server_default="[]"))
    op.create_table(
        "rates",
        sa.Column("job_id", sa.String(length=66), nullable=False),
        sa.Column("worker", sa.String(length=42), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("rate", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "worker", "kind"),
    )
    op.create_table(
        "standings",
        sa.Column("account", sa.String(length=42), nullable=False),
        sa.Column("points", sa.Double(), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("account"),
    )


def downgrade() -> None:
    """An attempt whose version was being published is made anew."""
    op.execute(sa.text("UPDATE attempts SET state = 'abandoned', ended_at = started_at WHERE state = 'publishing'"))
    op.drop_table("standings")
    op.drop_table("rates")
    with op.batch_alter_table("attempts", schema=None) as batch_op:
        for name in ("blamed", "optimizer", "policy"):
            batch_op.drop_column(name)
    with op.batch_alter_table("leases", schema=None) as batch_op:
        for name in ("proof", "deadline"):
            batch_op.drop_column(name)
    with op.batch_alter_table("workers", schema=None) as batch_op:
        for name in ("refused", "slots", "avoids", "floors"):
            batch_op.drop_column(name)
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.drop_column("suspicion")
        batch_op.add_column(sa.Column("published", sa.Integer(), nullable=False, server_default="0"))
    op.execute(sa.text("UPDATE jobs SET published = version_number"))
