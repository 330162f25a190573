"""The schema that the migrations make is the one that the tables describe, also for a database with rows in it."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, text

from r1coordinator.store.database import _config, migrate
from r1coordinator.store.tables import Base
from tests.unit.coordinator.network import World, run
from tests.unit.coordinator.test_no_reward import EXACT, PUZZLES, job_spec


def test_the_migrations_make_the_tables(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'r1.db'}"
    migrate(url)
    engine = create_engine(url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    engine.dispose()


def test_rows_survive_the_way_down_and_up_again(world: World) -> None:
    """Going back to revision 0002, what had no reward counts as 0."""
    job_id = world.submit(job_spec(environment=PUZZLES, rewards=(EXACT,)))
    run(world, [world.node(1)], job_id)
    world.kill()
    url = world.settings.database
    engine = create_engine(url)
    command.downgrade(_config(url), "0002")
    with engine.connect() as connection:
        assert set(connection.scalars(text("SELECT reward FROM traces"))) == {0.0}
    command.upgrade(_config(url), "head")
    with engine.connect() as connection:
        assert set(connection.execute(text("SELECT prompt_tokens, spread FROM bundles"))) == {(0, "[]")}
        assert connection.scalar(text("SELECT count(*) FROM traces")) == 22
    engine.dispose()
    world.start()
    assert world.job(job_id)["state"] == "completed"
