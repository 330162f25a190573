"""The schema that the migrations make is the one that the tables describe, also for a database with rows in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, select, text

from r1coordinator.settlement import ledger
from r1coordinator.settlement.sender import Settler
from r1coordinator.store.database import _config, migrate
from r1coordinator.store.tables import Base, DueRow
from tests.unit.coordinator.network import World, run
from tests.unit.coordinator.test_no_reward import EXACT, PUZZLES, job_spec
from tests.unit.coordinator.test_settlement import dues


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
    for _ in range(2):
        Settler(world.services.db, world.chain, world.settings).step()
    before = dues(world, job_id)
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
    assert dues(world, job_id) == before


def test_epochs_of_old_become_dues_and_are_settled(world: World) -> None:
    """An old epoch that isn't on chain yet is proposed as it is."""
    first = world.submit(job_spec(name="old"))
    run(world, [world.node(1)], first)
    world.chain.away = True
    with world.services.db.read() as s:
        (due,) = s.scalars(select(DueRow)).all()
    with world.services.db.write() as s:
        ledger.open_epoch(s, 1, [due.id])
    before = dues(world, first)
    world.kill()
    command.downgrade(_config(world.settings.database), "0004")
    command.upgrade(_config(world.settings.database), "head")
    world.start()
    assert dues(world, first) == before
    world.chain.away = False
    for _ in range(2):
        Settler(world.services.db, world.chain, world.settings).step()
    assert world.chain.sent == [("propose", 1), ("finalise", 1)]
    assert [due["state"] for due in dues(world, first)] == ["settled"]


def test_dues_of_old_become_lines_with_rewards(world: World) -> None:
    """What was closed before lines had rewards gets them, from its contributions."""
    run(world, [world.node(1), world.node(2)], world.submit())
    with world.services.db.read() as s:
        before = [(due.part, due.digest) for due in s.scalars(select(DueRow))]
    world.kill()
    command.downgrade(_config(world.settings.database), "0008")
    engine = create_engine(world.settings.database)
    with engine.connect() as connection:
        assert "rewards" not in str(connection.scalar(text("SELECT part FROM dues")))
    engine.dispose()
    command.upgrade(_config(world.settings.database), "head")
    world.start()
    with world.services.db.read() as s:
        assert [(due.part, due.digest) for due in s.scalars(select(DueRow))] == before
    for _ in range(2):
        Settler(world.services.db, world.chain, world.settings).step()
    assert world.http.get("/v1/epochs").json()[0]["state"] == "final"


def test_what_waits_is_not_lost_by_going_back(world: World) -> None:
    run(world, [world.node(1)], world.submit(job_spec(name="waiting")))
    world.kill()
    with pytest.raises(RuntimeError, match="1 dues wait"):
        command.downgrade(_config(world.settings.database), "0004")
    command.upgrade(_config(world.settings.database), "head")
    world.start()
