"""The database: one writer at a time, short transactions, and a schema that must be at its newest revision."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, QueuePool, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.orm import Session

from r1net.errors import PreflightError, UsageError
from r1net.urls import redact, scrub

_MIGRATIONS = Path(__file__).parent / "migrations"
_WRITES = "r1_writes"
_ADVISORY_LOCK = 8420
_BUSY_SECONDS = 30


def _prepare_sqlite(engine: Engine) -> None:
    """WAL, and transactions begun by hand: the driver's own rules don't cover reads and can't take the lock early."""

    @event.listens_for(engine, "connect")
    def _connected(connection: object, _record: object) -> None:
        connection.isolation_level = None  # type: ignore[attr-defined]
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={_BUSY_SECONDS}000"):
            connection.execute(f"PRAGMA {pragma}")  # type: ignore[attr-defined]

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _prepare_postgresql(engine: Engine) -> None:
    """The same rule as SQLite's: one writer at a time."""

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        if connection.get_execution_options().get(_WRITES, False):
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})


class Database:
    """Sessions for reading and for writing. Rows may be used after their session has ended."""

    def __init__(self, url: str) -> None:
        try:
            self.engine = create_engine(url)
            self._pulse = create_engine(url, poolclass=QueuePool, pool_size=1, max_overflow=0)
        except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
            raise UsageError(
                f"cannot use database {redact(url)}: {scrub(str(error))}",
                hint="give an SQLAlchemy URL such as sqlite:///r1.db",
            ) from error
        for engine in (self.engine, self._pulse):
            if engine.dialect.name == "sqlite":
                _prepare_sqlite(engine)
            elif engine.dialect.name == "postgresql":
                _prepare_postgresql(engine)
        self._reader = self.engine.execution_options()
        self._writer = self.engine.execution_options(**{_WRITES: True})
        self._lock = threading.Lock()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A read-only view of one moment."""
        with Session(self._reader, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that sees no other writer; committed at the end, rolled back on an exception."""
        with self._lock, Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    def ping(self) -> None:
        """Read something, on a connection that nothing else uses."""
        with self._pulse.connect() as connection:
            connection.execute(text("SELECT version_num FROM alembic_version")).first()

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()
        self._pulse.dispose()


@contextmanager
def telling() -> Iterator[None]:
    """What the database refuses while the program starts, in words: a file that is none of its own or can't be written
    to, a full disk, a server that isn't there. Raises PreflightError."""
    try:
        yield
    except DBAPIError as error:
        hint = "check the database URL, the rights to its file, and the room on its disk"
        raise PreflightError(f"cannot use the database: {scrub(str(error.orig)).strip()}", hint=hint) from error


def _config(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config


def migrate(url: str) -> str:
    """Bring the schema to its newest revision, creating the SQLite file's folder; returns the revision."""
    Database(url).close()  # refuses a URL that means nothing
    file = make_url(url).database
    if make_url(url).get_backend_name() == "sqlite" and file:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
    config = _config(url)
    with telling():
        command.upgrade(config, "head")
    return str(ScriptDirectory.from_config(config).get_current_head())


def require_head(database: Database) -> None:
    """Raises PreflightError unless the schema is at its newest revision."""
    head = ScriptDirectory(str(_MIGRATIONS)).get_current_head()
    with telling(), database.engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    if current != head:
        found = f"at revision {current}" if current else "empty"
        raise PreflightError(f"the database is {found}, this version needs {head}", hint="run `r1coordinator migrate`")
