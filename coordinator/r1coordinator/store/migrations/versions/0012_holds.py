"""Jobs can be held: paused by their submitters, or waiting for more money."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_jobs = sa.table("jobs", *(sa.column(name) for name in ("job_id", "spec", "budget", "funded")))


def upgrade() -> None:
    """Older jobs may spend what their specifications say."""
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("budget", sa.String(length=78), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("funded", sa.String(length=78), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("held", sa.String(length=10), nullable=True))
        batch_op.add_column(sa.Column("held_at", sa.Double(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("steered_at", sa.Double(), nullable=False, server_default="0"))
    connection = op.get_bind()
    for job_id, spec in connection.execute(sa.select(_jobs.c.job_id, _jobs.c.spec)).all():
        budget = str(json.loads(spec)["budget"])
        connection.execute(_jobs.update().where(_jobs.c.job_id == job_id).values(budget=budget, funded=budget))


def downgrade() -> None:
    """As before."""
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        for name in ("budget", "funded", "held", "held_at", "steered_at"):
            batch_op.drop_column(name)
