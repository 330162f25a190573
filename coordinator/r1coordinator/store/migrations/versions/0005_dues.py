"""What a job owes is a row of its own, apart from the epoch that settles it. Each epoch so far settles one job."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_DUES = ("id", "job_id", "part", "amount", "traces", "state", "epoch", "tries", "rejections", "retry_at", "error")
_dues = sa.table("dues", *(sa.column(name) for name in (*_DUES, "closed_at")))
_DRAFTS = ("report_digest", "epoch", "report")
_drafts = sa.table("drafts", *(sa.column(name) for name in _DRAFTS), sa.column("dues", sa.JSON))


def _make_tables() -> None:
    op.create_table(
        "dues",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("job_id", sa.String(length=66), nullable=False),
        sa.Column("part", sa.Text(), nullable=False),
        sa.Column("amount", sa.String(length=78), nullable=False),
        sa.Column("traces", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("rejections", sa.Integer(), nullable=False),
        sa.Column("retry_at", sa.Double(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("closed_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "drafts",
        sa.Column("report_digest", sa.String(length=66), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("report", sa.Text(), nullable=False),
        sa.Column("dues", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("report_digest"),
    )
    for table, column in (("dues", "job_id"), ("dues", "state"), ("dues", "epoch"), ("drafts", "epoch")):
        op.create_index(f"ix_{table}_{column}", table, [column])


def _fill() -> None:
    """A due for each epoch; those that aren't final may be on their way, so that their reports are drafts too."""
    connection = op.get_bind()
    rows = connection.execute(
        sa.text("SELECT epoch, state, report, report_digest, traces, amount, error, closed_at FROM epochs")
    ).mappings()
    for row in list(rows):
        report = json.loads(row["report"])
        due = {
            "job_id": report["jobs"][0]["job_id"],
            "part": json.dumps(report["jobs"][0], sort_keys=True, separators=(",", ":")),
            "state": "settled" if row["state"] == "final" else "settling",
            "tries": 0,
            "rejections": 0,
            "retry_at": 0.0,
            **{name: row[name] for name in ("amount", "traces", "epoch", "error", "closed_at")},
        }
        connection.execute(_dues.insert().values(**due))
        due_id = connection.scalar(sa.select(_dues.c.id).where(_dues.c.epoch == row["epoch"]))
        if row["state"] != "final":
            draft = {name: row[name] for name in _DRAFTS}
            connection.execute(_drafts.insert().values(**draft, dues=[due_id]))
        connection.execute(
            sa.text("UPDATE epochs SET previous_report = :previous WHERE epoch = :epoch"),
            {"previous": report.get("previous_report"), "epoch": row["epoch"]},
        )
        for name in ("traces", "contributions"):
            table = sa.table(name, sa.column("due_id"), sa.column("epoch"))
            connection.execute(table.update().where(table.c.epoch == row["epoch"]).values(due_id=due_id))


def upgrade() -> None:
    _make_tables()
    with op.batch_alter_table("epochs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("previous_report", sa.String(length=66), nullable=True))
    for table in ("traces", "contributions"):
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.add_column(sa.Column("due_id", sa.Integer(), nullable=True))
            batch_op.create_index(f"ix_{table}_due_id", ["due_id"])
    _fill()


def downgrade() -> None:
    """Before this revision only an epoch says what is owed: what is in none would be lost."""
    waiting = op.get_bind().scalar(sa.select(sa.func.count()).where(_dues.c.state.in_(("waiting", "held"))))
    if waiting:
        raise RuntimeError(f"{waiting} dues wait to be settled: serve until they are, then go back")
    for table in ("traces", "contributions"):
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.drop_index(f"ix_{table}_due_id")
            batch_op.drop_column("due_id")
    with op.batch_alter_table("epochs", schema=None) as batch_op:
        batch_op.drop_column("previous_report")
    op.drop_table("drafts")
    op.drop_table("dues")
