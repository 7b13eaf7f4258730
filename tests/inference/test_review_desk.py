"""The desk's promises on SQLite, and what only SQLite needs."""

import pytest
import sqlalchemy as sa
from review_contract import *  # noqa: F403
from review_contract_logins import *  # noqa: F403
from review_contract_notes import *  # noqa: F403
from review_contract_numbers import *  # noqa: F403
from review_contract_runs import *  # noqa: F403
from review_helpers import PEOPLE, make_site
from zhenyan.inference.errors import ConfigError, InputError
from zhenyan.inference.review.database import _why, database_url, open_database
from zhenyan.inference.review.errors import CannotWrite
from zhenyan.inference.review.intake import check_labels, known_run
from zhenyan.inference.runs.store import RunFolder


@pytest.fixture
def database(tmp_path):
    opened = open_database(database_url(None, f"sqlite:///{tmp_path}/review.db"))
    yield opened
    opened.close()


def test_insert_or_replace_does_not_get_round_the_log(site):
    with site.database.read() as connection:
        before = connection.execute(sa.text("SELECT * FROM log")).all()
    assert len(before) == len(PEOPLE)
    for undoes in ("NULL", "1"):
        statement = (
            f"INSERT OR REPLACE INTO log (id, at, who, action, undoes) VALUES (1, '2026-01-01', 'x', 'y', {undoes})"
        )
        with pytest.raises(sa.exc.DBAPIError, match="append-only"), site.database.write() as connection:
            connection.execute(sa.text(statement))


def test_the_file_is_its_owners_alone(tmp_path, database):
    assert (tmp_path / "review.db").stat().st_mode & 0o077 == 0


def test_a_database_of_a_newer_version_is_refused(tmp_path, database):
    with database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigError, match="newer zhenyan"):
        open_database(database_url(None, f"sqlite:///{tmp_path}/review.db"))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://host/name", "mysql is not supported"),
        ("no url", "not a database URL"),
        ("postgresql://me:half@secret:word@host/name", "not a database URL; .* %40 for @"),
        ("postgresql://me:half@secret@host/name", "not a database URL; .* %40 for @"),
        ("postgresql://me:half@secret/word@host/name", "not a database URL; .* %2F for /"),
        ("postgresql://me:secret@host:54x/name", "not a database URL"),
        ("sqlite://", "in memory would be gone"),
        ("sqlite:///:memory:", "in memory would be gone"),
        ("sqlite:////nowhere/at/all.db", "name a file that can be written"),
        ("postgresql://me:secret@127.0.0.1:1/x", "connection failed"),
    ],
)
def test_databases_that_cannot_be_had(url, said):
    with pytest.raises(ConfigError, match=said) as caught:
        open_database(database_url(None, url))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("given", "driver"), [
    ("postgres", "postgresql+psycopg"), ("postgresql+psycopg2", "postgresql+psycopg"),
    ("postgresql+asyncpg", "postgresql+psycopg"), ("sqlite+aiosqlite", "sqlite"),
])  # fmt: skip
def test_the_driver_is_ours_whichever_is_named(given, driver):
    assert database_url(None, f"{given}:///review.db").drivername == driver


def test_a_database_must_be_named(tmp_path):
    with pytest.raises(ConfigError, match="--run"):
        database_url(None, None)
    assert database_url(RunFolder(tmp_path), None).database == str(tmp_path / "review.db")


def test_runs_that_cannot_be_reviewed(tmp_path, site):
    with pytest.raises(ConfigError, match=r"no label food_safety.*--model"):
        check_labels(site.folder, "other-1", ["false_propaganda", "price_fraud", "illegal_endorsement"])
    (site.folder.path / "findings.jsonl").unlink()
    with pytest.raises(InputError, match="hasn't finished"):
        take_in(site.database, site.folder, site.settings)  # noqa: F405
    assert known_run(site.database, site.folder) is None


def test_an_older_database_is_brought_up_to_date(tmp_path, monkeypatch):
    check_upgrade(f"sqlite:///{tmp_path}/old.db", tmp_path, monkeypatch)  # noqa: F405


def test_a_full_disk_is_told_and_takes_no_part_of_a_decision(tmp_path):
    site = make_site(tmp_path)
    ann = user(site, "ann")  # noqa: F405
    item = site.desk.claim(ann, Wanted())  # noqa: F405
    sa.event.listen(site.database.engine, "begin", lambda c: c.exec_driver_sql("PRAGMA max_page_count=1"))
    with pytest.raises(CannotWrite, match=r"its disk is full; nothing was recorded"):
        while True:
            with site.database.write() as connection:
                log.append(connection, site.settings.clock(), "ann", "x" * 20)  # noqa: F405
    with pytest.raises(CannotWrite, match="its disk is full"):
        site.desk.decide(ann, item.reading, item.version, None)
    assert site.desk.current(ann) == item


def test_postgresqls_word_for_a_full_disk_is_known():
    psycopg = pytest.importorskip("psycopg")
    assert _why(psycopg.errors.DiskFull()) == ("its disk is full", "磁盘已满")
    assert _why(psycopg.errors.UniqueViolation()) is None
