"""Logins on any database: locking out, ending, nothing kept in the clear. Imported by a module that gives `database`."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
import sqlalchemy as sa
from review_helpers import Browser, make_site
from zhenyan.inference.review import schema
from zhenyan.inference.review.errors import LoginLocked, LoginRefused


def test_too_many_wrong_passwords_lock_a_name_for_a_while(site, clock):
    for _ in range(5):
        with pytest.raises(LoginRefused):
            site.logins.enter("ann", "wrong password", "10.0.0.1")
    for password in ("wrong password", "correct horse battery"):
        with pytest.raises(LoginLocked):
            site.logins.enter("ann", password, "10.0.0.2")
    assert site.logins.enter("ben", "correct horse battery", "10.0.0.3")
    clock.forward(minutes=16)
    assert site.logins.enter("ann", "correct horse battery", "10.0.0.2")


def test_an_address_that_is_locked_locks_no_name_and_leaves_no_trace(tmp_path, database):
    site = make_site(tmp_path, database=database, address_failures=2)
    for name, fault in (("n1", LoginRefused), ("n2", LoginRefused), ("n3", LoginLocked), *[("ann", LoginLocked)] * 8):
        with pytest.raises(fault):
            site.logins.enter(name, "wrong password", "10.0.0.9")
    with site.database.read() as connection:
        keys = set(connection.execute(sa.select(schema.throttle.c.key)).scalars())
    assert keys == {"address:10.0.0.9", "name:n1", "name:n2"}
    assert site.logins.enter("ann", "correct horse battery", "10.0.0.2")


def test_the_present_password_is_not_guessed_by_who_is_logged_in(site, clock):
    ann = Browser(site, "ann")
    wrong = {"old": "wrong password", "password": "another battery staple"}
    assert [ann.submit("/account", **wrong).status_code for _ in range(7)] == [400] * 5 + [429] * 2
    right = wrong | {"old": "correct horse battery"}
    locked = ann.submit("/account", **right)
    assert locked.status_code == 429 and "too many wrong passwords" in locked.text
    clock.forward(minutes=16)
    assert ann.submit("/account", **right).status_code == 200
    assert site.logins.enter("ann", "another battery staple", "10.0.0.2")


@pytest.mark.parametrize("brought_back", [False, True])
def test_a_new_password_ends_the_lock(site, brought_back):
    for _ in range(6):
        with pytest.raises((LoginRefused, LoginLocked)):
            site.logins.enter("ann", "wrong password", "10.0.0.1")
    if brought_back:
        site.accounts.remove("ann")
        site.accounts.add("ann", "reviewer", "another battery staple")
    else:
        site.accounts.set_password("ann", "another battery staple")
    assert site.logins.enter("ann", "another battery staple", "10.0.0.2")


def test_tries_made_at_once_do_not_outrun_the_limit(tmp_path, database):
    site = make_site(tmp_path, database=database, lockout=timedelta(hours=1))
    answers = []

    def attempt():
        try:
            site.logins.enter("ann", "wrong password", "10.0.0.1")
        except (LoginRefused, LoginLocked) as fault:
            answers.append(type(fault))

    threads = [threading.Thread(target=attempt) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (answers.count(LoginRefused), answers.count(LoginLocked)) == (5, 7)


def test_a_login_ends_when_idle_when_old_and_with_its_reviewer(site, clock):
    cookie = site.logins.enter("ann", "correct horse battery", "10.0.0.1")
    assert site.logins.who(cookie).name == "ann"
    clock.forward(minutes=50)
    assert site.logins.who(cookie) is not None
    clock.forward(minutes=61)
    assert site.logins.who(cookie) is None
    cookie = site.logins.enter("ann", "correct horse battery", "10.0.0.1")
    for _ in range(15):
        clock.forward(minutes=55)
        site.logins.who(cookie)
    assert site.logins.who(cookie) is None
    cookie = site.logins.enter("ann", "correct horse battery", "10.0.0.1")
    site.accounts.remove("ann")
    assert site.logins.who(cookie) is None
    with pytest.raises(LoginRefused):
        site.logins.enter("ann", "correct horse battery", "10.0.0.1")


def test_no_password_or_cookie_is_kept_in_the_clear(site):
    cookie = site.logins.enter("ann", "correct horse battery", "10.0.0.1")
    with site.database.read() as connection:
        kept = [str(row) for table in schema.metadata.sorted_tables for row in connection.execute(sa.select(table))]
    assert not any(cookie in row or "correct horse battery" in row for row in kept)


def test_what_no_database_holds_is_refused_or_finds_nothing(tmp_path, database):
    """NUL and lone surrogates in names and filters, and numbers over what an id can be."""
    site = make_site(tmp_path, database=database)
    for name in ("ann\0", "\ud800"):
        with pytest.raises(LoginRefused):
            site.logins.enter(name, "correct horse battery", "10.0.0.1")
    ann, admin = Browser(site, "ann"), Browser(site, "adm")
    assert "f000001" not in ann.get("/?stream=%00&label=%00").text
    assert "f000001" in ann.get("/").text
    assert ann.submit("/start", stream="\0", label="\0").status_code == 200
    for number in ("9" * 30, str(2**31)):
        for step in ("skip", "decide"):
            assert ann.submit(f"/work/{number}/{step}", verdict="accept", version="1").status_code == 404
    assert ann.get("/finding/%00").status_code in (404, 422)
    assert admin.submit("/reviewers", do="remove", name="ann\0").status_code == 400
