"""Alembic's entry: run the migrations on the configured URL."""

from __future__ import annotations

from alembic import context

from r1coordinator.store.database import Database
from r1coordinator.store.tables import Base


def _run() -> None:
    url = context.config.get_main_option("sqlalchemy.url")
    if url is None:
        raise RuntimeError("alembic was started without a database URL")
    database = Database(url)
    with database.engine.connect() as connection:
        context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()
    database.close()


_run()
