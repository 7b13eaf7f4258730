"""What a long run asks of the database: which indexes its queries use, and how often and how much is read."""

from __future__ import annotations

import itertools
import re
import weakref
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from review_helpers import Browser, finding, make_site, user
from zhenyan.inference.review import exchange, numbers
from zhenyan.inference.review.desk import Wanted
from zhenyan.inference.review.exchange import Reviewed, corpus_rows, reviewed, table_rows
from zhenyan.inference.review.exports import write_export
from zhenyan.inference.review.likes import Memory
from zhenyan.inference.review.listing import PAGE, Filter, list_findings
from zhenyan.inference.review.undo import undo
from zhenyan.inference.review.web import server

LINES = ("喝了这个茶三高就降下来了啊", "今天二号链接拍两盒发三盒", "家人们右上角福袋点一点", "这款锅不粘的煎蛋给大家看")


@pytest.fixture
def site(tmp_path):
    """Several streams and labels; SQLite plans by its indexes, whatever the number of rows."""
    records = [
        finding(n, LINES[n % 4], stream=f"s{n % 3}", label="price_fraud" if n % 2 else "food_safety")
        for n in range(1, 61)
    ]
    site = make_site(tmp_path, records)
    yield site
    site.database.close()


@contextmanager
def asked(site):
    """Statements that were run meanwhile, each with its parameters."""
    seen = []

    def note(connection, cursor, statement, parameters, context, many):
        if not statement.startswith("BEGIN"):
            seen.append((statement, parameters))

    sa.event.listen(site.database.engine, "before_cursor_execute", note)
    yield seen
    sa.event.remove(site.database.engine, "before_cursor_execute", note)


def plans(site, seen):
    """SQLite's plan for each of these queries, a line a step."""
    with site.database.read() as connection:
        for statement, parameters in seen:
            if statement.startswith(("SELECT", "UPDATE", "DELETE")):
                plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
                yield statement, "\n".join(row.detail for row in plan)


@pytest.mark.parametrize(
    "wanted",
    [Wanted(), Wanted(label="price_fraud"), Wanted(stream="s1"), Wanted(sort="stream"), Wanted(settle=True)],
    ids=str,
)
def test_no_step_of_a_reviewer_reads_the_whole_run(site, wanted):
    """Claims and decisions follow one another under the write lock: one that reads everything holds up everyone."""
    lea = user(site, "lea")
    with asked(site) as seen:
        for step in ("decide", "skip"):
            site.desk.claim(lea, Wanted())
            item = site.desk.claim(lea, wanted) or site.desk.claim(lea, Wanted())
            assert site.desk.current(lea) == item
            assert site.desk.alike(lea, item) > 10
            getattr(site.desk, step)(lea, item.reading, item.version, *([None] if step == "decide" else []))
        assert undo(site.desk, lea) and undo(site.desk, lea)
        site.desk.release(lea)
        site.desk.open(lea, "f000007")
    for statement, plan in plans(site, seen):
        assert "SCAN" not in plan, statement
        assert not re.search(r"SEARCH \w+ USING.*\(run_id=\?\)", plan), f"{statement}\n{plan}"
        for line in re.findall(r"SEARCH finding .*state=\?.*", plan):
            assert "COVERING INDEX" in line or wanted.stream, f"{statement}\n{plan}"


def test_the_last_step_is_found_from_the_newest_back(site):
    ann = user(site, "ann")
    item = site.desk.claim(ann, Wanted())
    site.desk.decide(ann, item.reading, item.version, None)
    with asked(site) as seen:
        undo(site.desk, ann)
    (plan,) = (plan for statement, plan in plans(site, seen) if statement.startswith("SELECT log.id"))
    assert plan.startswith("SEARCH log USING INDEX log_by_reviewer (reviewer_id=?)")
    assert "TEMP B-TREE" not in plan


@pytest.mark.parametrize("page", [1, 2, 99])
@pytest.mark.parametrize(
    "shown",
    [
        {"state": "open"}, {"state": ""}, {"state": "open", "label": "price_fraud"}, {"state": "", "label": "price_fraud"},
        {"state": "open", "stream": "s1"}, {"state": "", "stream": "s1"}, {"state": "open", "sort": "stream"},
        {"state": "", "sort": "stream"},
    ],
    ids=str,
)  # fmt: skip
def test_the_queue_reads_the_records_of_its_page_only(site, shown, page):
    with asked(site) as seen:
        rows = list_findings(site.database, site.run, Filter(page=page, **shown)).rows
    records = [parameters for statement, parameters in seen if "finding.record" in statement]
    assert [len(parameters) for parameters in records] == [len(rows)] * bool(records)
    assert len(rows) <= PAGE
    for statement, plan in plans(site, seen):
        for line in re.findall(r"(?:SEARCH|SCAN) finding.*", plan):
            assert "COVERING INDEX" in line or "INTEGER PRIMARY KEY" in line, f"{statement}\n{plan}"


def test_an_export_sorts_no_records(site):
    with asked(site) as seen:
        assert len(list(reviewed(site.database, site.run))) == 60
    (plan,) = (plan for statement, plan in plans(site, seen) if "finding.record" in statement)
    assert plan == "SEARCH finding USING INDEX finding_in_order (run_id=?)"


@pytest.mark.parametrize(
    ("kind", "ending"), [("csv", "csv"), ("xlsx", "xlsx"), ("rows", "jsonl"), ("labelstudio", "json")]
)
def test_an_export_goes_over_the_findings_once(site, tmp_path, kind, ending):
    with asked(site) as seen:
        write_export(site.database, site.run, kind, tmp_path / f"x.{ending}", site.bundle.labels)
    assert sum("finding.record" in statement for statement, _ in seen) == 1


def test_the_tables_columns_are_those_of_its_rows(site):
    row = next(table_rows(site.run, reviewed(site.database, site.run), site.bundle.labels))
    assert list(row) == list(exchange.TABLE)


def test_rows_are_written_as_they_come(site, tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr("zhenyan.inference.review.exports.write_output", lambda path, rows: given.append(rows()))
    write_export(site.database, site.run, "rows", tmp_path / "x.jsonl", site.bundle.labels)
    assert iter(given[0]) is given[0]


def test_lines_that_wait_for_their_findings_keep_no_whole_record(site):
    class Record(dict):
        """A dict that can be watched."""

    watched = []

    def findings():
        for one in reviewed(site.database, site.run):
            record = Record(one.record)
            watched.append(weakref.ref(record))
            yield Reviewed(record, "accepted", (record["label"],), site.settings.clock(), ())

    next(corpus_rows(site.run, findings()))
    assert len(watched) == 60
    assert sum(one() is not None for one in watched) <= 1


def decide(site, *numbers_):
    ann = user(site, "ann")
    for n in numbers_:
        item = site.desk.open(ann, f"f{n:06d}")
        site.desk.decide(ann, item.reading, item.version, None)


def records_read(seen):
    return [len(parameters) for statement, parameters in seen if "finding.record" in statement]


def test_the_memory_of_earlier_decisions_reads_what_is_new_only(site):
    decide(site, *range(1, 41))
    memory = Memory(site.database)
    with asked(site) as seen:
        memory.refresh()
    assert records_read(seen) == [40]
    decide(site, 41)
    with asked(site) as seen:
        memory.like(0, "没有一个字相同")
    assert records_read(seen) == [1]
    with asked(site) as seen:
        assert len(memory.like(0, LINES[1])) == 5
    assert len(seen) == 3  # the log's last number, the nearest findings, and the notes on them
    assert memory._index and not any(LINES[1] in str(part) for part in vars(memory).values())


def test_the_server_reads_earlier_decisions_before_its_first_request(site, monkeypatch):
    decide(site, 1)
    known = []
    monkeypatch.setattr("uvicorn.Server.run", lambda *_, **__: known.append(set(site.memory._known)))
    server.serve(site, "127.0.0.1", 0, None)
    assert [len(ids) for ids in known] == [1]


def test_numbers_are_added_up_by_the_database(site):
    decide(site, *range(1, 41))
    with asked(site) as seen:
        by_label = numbers.precision(site.database, site.run)
        assert numbers.agreement(site.database, site.run) == []
        (pace,) = numbers.throughput(site.database, site.run, site.settings)
    assert (pace.who, pace.decisions) == ("ann", 40)
    assert {one.label: (one.stand, one.decided) for one in by_label} == {
        "food_safety": (20, 20),
        "price_fraud": (20, 20),
    }
    with site.database.read() as connection:
        assert [len(connection.exec_driver_sql(*query).all()) for query in seen] == [2, 0, 1]


def test_readings_of_two_are_added_up_by_the_database(tmp_path):
    site = make_site(tmp_path, [finding(n) for n in range(1, 41)], second_share=1.0)
    for who, n in itertools.product(("ann", "ben"), range(1, 41)):
        item = site.desk.open(user(site, who), f"f{n:06d}")
        site.desk.decide(user(site, who), item.reading, item.version, None if n % 2 else [])
    with asked(site) as seen:
        every, pair = numbers.agreement(site.database, site.run)
    assert (every.pairs, every.kappa, pair.pairs) == (40, 1.0, 40)
    with site.database.read() as connection:
        assert [len(connection.exec_driver_sql(*query).all()) for query in seen] == [2]  # accepted by both, rejected
    site.database.close()


def test_pages_of_a_long_queue_are_complete(site):
    pages = [Browser(site, "ann").get(f"/?state=all&page={n}").text for n in (1, 2, 3)]
    assert [len(set(re.findall(r'href="/finding/(f\d+)"', page))) for page in pages] == [50, 10, 0]
