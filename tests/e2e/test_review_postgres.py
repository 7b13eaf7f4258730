"""The desk's promises on a real PostgreSQL."""

import threading

import pytest
from review_contract import *  # noqa: F403
from review_contract_logins import *  # noqa: F403
from review_contract_notes import *  # noqa: F403
from review_contract_numbers import *  # noqa: F403
from review_contract_runs import *  # noqa: F403
from review_helpers import make_bundle, make_run
from zhenyan.inference.bundle import load_bundle
from zhenyan.inference.review.database import database_url, open_database
from zhenyan.inference.review.intake import take_in
from zhenyan.inference.review.settings import Settings

pytestmark = pytest.mark.slow


@pytest.fixture
def database(postgres_url):
    opened = open_database(database_url(None, postgres_url))
    yield opened
    opened.close()


def test_the_log_is_not_truncated_either(site):
    read(site, "ann", "f000001", None)  # noqa: F405
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), site.database.write() as connection:  # noqa: F405
        connection.execute(sa.text("TRUNCATE log CASCADE"))  # noqa: F405


def test_a_claim_passes_over_what_another_transaction_is_taking(site):
    """SKIP LOCKED: the second claim neither waits for the first nor gets the same."""
    ann, ben = user(site, "ann"), user(site, "ben")  # noqa: F405
    with site.database.write() as connection:
        first = site.desk._take(connection, ann, site.desk._free(ann, Wanted()))  # noqa: F405
        assert site.desk.claim(ben, Wanted()).finding.key == "f000002"  # noqa: F405
    assert first.finding.key == "f000001"


def test_sites_that_start_at_once_migrate_and_take_in_once(tmp_path, postgres_url):
    run = make_run(tmp_path, [finding(n) for n in range(1, 30)], load_bundle(make_bundle(tmp_path / "bundle")).id)  # noqa: F405
    runs, faults = [], []

    def start():
        try:
            opened = open_database(database_url(None, postgres_url))
            runs.append((opened.secret(), take_in(opened, run, Settings(second_share=0.5))))
            opened.close()
        except Exception as fault:
            faults.append(fault)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert len(set(runs)) == 1


def test_an_older_database_is_brought_up_to_date(tmp_path, postgres_url, monkeypatch):
    check_upgrade(postgres_url, tmp_path, monkeypatch)  # noqa: F405
