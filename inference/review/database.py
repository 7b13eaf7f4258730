"""Opening the review database: SQLite in the run's folder, or PostgreSQL by URL; migrated at start."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, Connection, Engine, make_url
from zhenyan.inference.errors import ConfigError
from zhenyan.inference.review import schema
from zhenyan.inference.review.errors import CannotWrite
from zhenyan.inference.runs.store import REVIEW, RunFolder

_LOCK = 7_401_205_308  # advisory lock that two sites starting at once on one PostgreSQL take in turn
_WRITES = "zhenyan_writes"
_NO_URL = (
    "--database: not a database URL; expected postgresql://user:password@host:port/name, in the password %40 for @, "
    "%3A for :, %2F for /"
)
_FULL, _READ_ONLY = ("its disk is full", "磁盘已满"), ("it is read-only", "数据库为只读")
_UNWRITABLE = {  # how SQLite's names of errors and PostgreSQL's codes begin
    "SQLITE_FULL": _FULL, "53100": _FULL, "SQLITE_READONLY": _READ_ONLY, "25006": _READ_ONLY,
    "SQLITE_BUSY": ("another program holds it", "其他程序正在占用"),
    "SQLITE_IOERR": ("its disk doesn't take the data", "磁盘读写错误"),
    "SQLITE_CANTOPEN": ("its file can't be opened", "无法打开数据库文件"),
}  # fmt: skip


@dataclass(frozen=True)
class Database:
    """A migrated database. Reads see one state; writes are whole or not at all, one after the other on SQLite."""

    engine: Engine

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for queries."""
        with self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that commits when the block ends and rolls back when it raises.

        CannotWrite when the disk is full, the database read-only or in another process's hands.
        """
        try:
            with self.engine.execution_options(**{_WRITES: True}).begin() as connection:
                yield connection
        except sa.exc.DBAPIError as error:
            if why := _why(error.orig):
                raise CannotWrite(*why) from None
            raise

    @contextmanager
    def alone(self) -> Iterator[Connection]:
        """A write that also waits for every other `alone` write: for what two sites starting at once must not do twice."""
        with self.write() as connection:
            _wait_for_turn(connection)
            yield connection

    def secret(self) -> str:
        """The site's signing key, which the first migration drew."""
        with self.read() as connection:
            query = sa.select(schema.secret.c.value).where(schema.secret.c.name == "csrf")
            return str(connection.scalar(query))

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()


def _why(error: BaseException | None) -> tuple[str, str] | None:
    """Why nothing can be written, in English and Chinese; None for what isn't the database's state."""
    code = getattr(error, "sqlite_errorname", None) or getattr(error, "sqlstate", None) or ""
    return next((why for start, why in _UNWRITABLE.items() if code.startswith(start)), None)


def database_url(folder: RunFolder | None, url: str | None) -> URL:
    """The URL asked for, else the file in the run's folder; ConfigError names what is supported."""
    if url is None:
        if folder is None:
            raise ConfigError("which review database? Name a run's folder with --run or a database with --database")
        return URL.create("sqlite", database=str(folder.path / REVIEW))
    try:
        parsed = make_url(url)
    except (sa.exc.ArgumentError, ValueError):  # without its message, which quotes what stands behind the colon
        raise ConfigError(_NO_URL) from None
    if "@" in f"{parsed.host}{parsed.database}" and parsed.get_backend_name() != "sqlite":  # a password's end
        raise ConfigError(_NO_URL)
    kind = parsed.get_backend_name()
    if kind not in ("sqlite", "postgres", "postgresql"):
        raise ConfigError(f"--database: {kind} is not supported; use postgresql://user@host/name or sqlite:///file")
    if kind == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise ConfigError("--database: an SQLite database in memory would be gone at the end; use sqlite:///file")
    return parsed.set(drivername="sqlite" if kind == "sqlite" else "postgresql+psycopg")


def open_database(url: URL, make: bool = True) -> Database:
    """Connect and migrate; ConfigError with the URL (its password hidden) when that can't be done.

    `make`: whether an SQLite file that isn't there is made.
    """
    file = url.database if url.get_backend_name() == "sqlite" else None
    # A file's name as it is, for SQLAlchemy writes Chinese in percent signs
    shown = url.render_as_string(hide_password=True) if file is None else f"sqlite:///{file}"
    if not make and file is not None and not Path(file).exists():
        raise ConfigError(f"{shown}: no such review database; `zhenyan reviewers add` or `zhenyan review` makes one")
    try:
        engine = _engine(url)
        _migrate(engine)
    except CommandError:
        raise ConfigError(f"{shown}: made by a newer zhenyan; install that version or name another database") from None
    except sa.exc.DBAPIError as error:
        reason = str(error.orig).strip().splitlines()[0]
        raise ConfigError(f"{shown}: {reason}; check that it exists and can be written") from None
    return Database(engine)


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(url, pool_pre_ping=True, pool_size=5, max_overflow=20)
    _make_private(Path(str(url.database)))
    # One for each thread of the site at least: writes that wait for the file leave connections to read with.
    engine = sa.create_engine(url, connect_args={"timeout": 30}, pool_size=5, max_overflow=60)
    sa.event.listen(engine, "connect", _set_up_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _make_private(path: Path) -> None:
    """A new file that only its owner can read: it holds password hashes."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; name a file that can be written") from None


def _set_up_sqlite(connection: sqlite3.Connection, _: object) -> None:
    """Transactions are begun by _begin_sqlite, not by the driver, which would begin them too late."""
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "foreign_keys=ON", "recursive_triggers=ON", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    """A write takes the lock at once: reading first and locking later would let two claims see the same free finding."""
    writes = connection.get_execution_options().get(_WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _migrate(engine: Engine) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    with engine.execution_options(**{_WRITES: True}).begin() as connection:
        _wait_for_turn(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _wait_for_turn(connection: Connection) -> None:
    """On PostgreSQL only; on SQLite writes already follow one another."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))


def insert(connection: Connection, table: sa.Table, **values: Any) -> int:
    """Insert a row and return its id."""
    key = connection.execute(table.insert().values(**values)).inserted_primary_key
    assert key is not None  # a single row was inserted, so there is one
    return int(key[0])


def insert_new(connection: Connection, table: sa.Table, **values: Any) -> None:
    """Insert a row unless one with its key is there already, also when two do so at once."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(dialect.insert(table).values(**values).on_conflict_do_nothing())
