"""Label Studio's fields one by one: what each may hold, what is refused, what survives the way out and back."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime

import pytest
from review_helpers import LABELS, decide, finding, make_site, skip, user
from zhenyan.inference.errors import InputError
from zhenyan.inference.review.database import database_url, open_database
from zhenyan.inference.review.exchange import reviewed
from zhenyan.inference.review.exports import decisions
from zhenyan.inference.review.imports import take_annotations
from zhenyan.inference.review.labelstudio import Unclear, configuration, read_annotations, tasks
from zhenyan.inference.review.listing import find
from zhenyan.inference.review.marks import mark
from zhenyan.inference.review.undo import undo

CHOICE = {"from_name": "labels", "to_name": "text", "type": "choices", "value": {"choices": ["price_fraud"]}}


def take(site, path):
    return take_annotations(site.desk, LABELS, read_annotations(path, site.run, Unclear()))


def task(site, annotations, field="annotations", finding="f000001"):
    return {"data": {"finding": finding, "run": site.run.digest, "text": "x"}, field: annotations}


def write(tmp_path, *given):
    path = tmp_path / "export.json"
    path.write_text(json.dumps(given), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("annotation", "said"),
    [
        ({"reviewer": 5}, "'reviewer' must be a reviewer's name, found int"),
        ({"reviewer": ["a"]}, "'reviewer' must be a reviewer's name, found list"),
        ({"completed_by": ["a"]}, "'completed_by' must be an e-mail or a number, found list"),
        ({"completed_by": {"email": {}, "id": []}}, "'completed_by' must be an e-mail or a number, found list"),
        ({"completed_by": True}, "'completed_by' must be an e-mail or a number, found bool"),
        ({"reviewer": "n" * 70}, "expected 1 to 60 printable characters"),
        ({"completed_by": int("9" * 400)}, "expected 1 to 60 printable characters"),
        ({"result": [CHOICE | {"value": ["price_fraud", 3]}]}, "'choices' must be text or a list of texts, found int"),
        ({"result": [CHOICE | {"value": None}]}, "'choices' must be text or a list of texts, found NoneType"),
        (
            {"result": [CHOICE | {"value": {"choices": {"a": 1}}}]},
            "'choices' must be text or a list of texts, found dict",
        ),
        (
            {"result": [CHOICE | {"value": {"choices": [["a"]]}}]},
            "'choices' must be text or a list of texts, found list",
        ),
        ({"lead_time": int("9" * 400)}, "'lead_time' must be 0 to 1,000,000,000 seconds, found 99999"),
        ({"lead_time": float("nan")}, "'lead_time' must be 0 to 1,000,000,000 seconds, found nan"),
        ({"lead_time": -1}, "'lead_time' must be 0 to 1,000,000,000 seconds, found -1"),
        ({"lead_time": "long"}, "'lead_time' must be 0 to 1,000,000,000 seconds, found 'long'"),
        ({"lead_time": True}, "'lead_time' must be 0 to 1,000,000,000 seconds, found True"),
    ],
)
def test_values_of_another_kind_are_named_with_their_place(site, tmp_path, annotation, said):
    path = write(
        tmp_path, task(site, [{"result": [CHOICE]}]), task(site, [{"result": []} | annotation], finding="f000002")
    )
    with pytest.raises(InputError) as caught:
        take(site, path)
    assert str(caught.value).startswith(f"{path}: task 2, annotation 1: ")
    assert said in str(caught.value)
    assert [find(site.database, site.run, f"f{n:06d}")[0].state for n in (1, 2)] == ["open", "open"]


@pytest.mark.parametrize(("field", "kind"), [("reviewer", "a reviewer's name"), ("annotator", "an e-mail or a number")])
def test_json_min_is_held_to_the_same(site, tmp_path, field, kind):
    row = {"finding": "f000001", "run": site.run.digest, "labels": "price_fraud", field: [1]}
    with pytest.raises(InputError, match=f"task 1: '{field}' must be {kind}, found list"):
        take(site, write(tmp_path, row))


def test_spaces_around_a_name_make_no_other_annotator(site, tmp_path):
    spaces = " " * 90  # longer than a name in the log may be
    path = write(
        tmp_path,
        task(site, [{"result": [CHOICE], "reviewer": "amy"}, {"result": [CHOICE], "reviewer": f"{spaces}amy\n"}]),
    )
    assert [one.annotator for one in read_annotations(path, site.run, Unclear())] == ["amy", "amy"]
    assert take(site, path).decisions == 1
    assert {entry["who"] for entry in decisions(site.database, site.run, "f000001")} == {"amy"}
    blank = write(tmp_path, task(site, [{"result": [CHOICE], "reviewer": "  "}]))
    assert [one.annotator for one in read_annotations(blank, site.run, Unclear())] == ["label-studio"]


@pytest.mark.parametrize("content", ["[" * 200_000, '[{"a": ' * 100_000])
@pytest.mark.parametrize("ending", ["json", "csv"])
def test_deep_nesting_is_said(site, tmp_path, content, ending):
    path = tmp_path / f"deep.{ending}"
    path.write_text(content if ending == "json" else f'labels\n"{content[:100_000].replace(chr(34), chr(34) * 2)}"\n')
    with pytest.raises(InputError, match=r"nested too deeply") as caught:
        take(site, path)
    assert str(path) in str(caught.value)


def test_a_choice_nested_in_lists_is_refused_and_not_followed(site, tmp_path):
    path = tmp_path / "deep.json"
    deep = "[" * 900 + "]" * 900
    path.write_text(f'[{{"finding": "f000001", "run": "{site.run.digest}", "labels": {deep}}}]')
    with pytest.raises(InputError, match="task 1: 'choices' must be text"):
        take(site, path)


@pytest.mark.parametrize("key", ["f\0", "\ud800"])
def test_a_finding_that_no_database_could_hold_is_unknown(site, tmp_path, key):
    with pytest.raises(InputError, match="task 1, annotation 1: no finding"):
        take(site, write(tmp_path, task(site, [{"result": []}], finding=key)))


@pytest.mark.parametrize(
    ("first", "second"),
    [("2026-11-24T10:00:00", "2026-11-24T11:00:00Z"), ("2026-11-24T18:30:00+08:00", "2026-11-24T11:00:00")],
)
def test_times_with_and_without_a_zone_are_told_apart(site, tmp_path, first, second):
    """Whichever comes first in the file: a time without a zone is UTC."""
    given = [{"result": [], "created_at": first}, {"result": [CHOICE], "created_at": second}]
    for number, order in enumerate((given, given[::-1]), 1):
        take(site, write(tmp_path, task(site, order, finding=f"f{number:06d}")))
        row, _ = find(site.database, site.run, f"f{number:06d}")
        assert row.labels == ["price_fraud"]


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-10:00", "yesterday", 5, None])
def test_a_time_that_is_none_is_the_time_of_the_import(site, clock, tmp_path, moment):
    take(site, write(tmp_path, task(site, [{"result": [], "created_at": moment}])))
    _, (reading,) = find(site.database, site.run, "f000001")
    assert reading.decided == clock.now


def test_older_exports_call_them_completions(site, tmp_path):
    done = take(site, write(tmp_path, task(site, [{"result": [CHOICE], "lead_time": 7.5}], "completions")))
    assert done.decisions == 1
    assert find(site.database, site.run, "f000001")[0].labels == ["price_fraud"]


def test_tasks_tell_how_long_a_decision_took_and_who_settled(tmp_path, clock):
    site = make_site(tmp_path, clock=clock, second_share=1.0)
    for name, labels, seconds in (("ann", None, 12), ("ben", [], 30), ("lea", [], 7)):
        item = site.desk.open(user(site, name), "f000001")
        clock.forward(seconds=seconds)
        site.desk.decide(user(site, name), item.reading, item.version, labels)
    made = next(tasks(site.run, reviewed(site.database, site.run)))["annotations"]
    assert [(one["reviewer"], one["lead_time"], one["ground_truth"]) for one in made] == [
        ("ann", 12.0, False), ("ben", 30.0, False), ("lea", 7.0, True),
    ]  # fmt: skip


def test_times_and_seconds_survive_the_way_to_another_database(site, clock, tmp_path):
    item = site.desk.open(user(site, "ann"), "f000001")
    clock.forward(seconds=42)
    site.desk.decide(user(site, "ann"), item.reading, item.version, None)
    made = list(tasks(site.run, reviewed(site.database, site.run)))
    for annotation in made[0]["annotations"]:  # as Label Studio may write it, without the zone
        annotation["created_at"] = annotation["created_at"].replace("+00:00", "")
    other = make_site(tmp_path, database=open_database(database_url(None, f"sqlite:///{tmp_path}/other.db")))
    take(other, write(tmp_path, *made))
    _, (reading,) = find(other.database, other.run, "f000001")
    assert reading.decided == datetime(2026, 11, 24, 9, 0, 42, tzinfo=UTC)
    with other.database.read() as connection:
        seconds = connection.exec_driver_sql("SELECT seconds FROM log WHERE action = 'import'").scalar()
    assert (seconds, decisions(other.database, other.run, "f000001")[0]["who"]) == (42.0, "ann")


def as_label_studio_returns(task):
    """Its own: what is imported is whose who imports it, our number in `import_id`, `reviewer` dropped."""
    kept = ("result", "was_cancelled", "ground_truth", "lead_time")
    return task | {"annotations": [
        {name: one[name] for name in kept} | {"id": 900 + n, "import_id": one["id"], "completed_by": 1,
                                              "created_at": "2026-11-28T10:00:00Z"}
        for n, one in enumerate(task["annotations"])
    ]}  # fmt: skip


def test_decisions_that_went_through_label_studio_are_no_second_readers(tmp_path):
    site = make_site(tmp_path, second_share=1.0)
    for name, key, labels in (("ann", 1, None), ("ben", 1, []), ("lea", 1, []), ("ann", 2, None)):
        item = site.desk.open(user(site, name), f"f{key:06d}")
        site.desk.decide(user(site, name), item.reading, item.version, labels)
    item = site.desk.open(user(site, "ann"), "f000003")
    site.desk.skip(user(site, "ann"), item.reading, item.version)
    before = list(reviewed(site.database, site.run))
    returned = [as_label_studio_returns(one) for one in tasks(site.run, before)]
    done = take(site, write(tmp_path, *returned))
    assert (done.decisions, done.skips, done.known, done.reviewers) == (0, 0, 5, [])
    assert list(reviewed(site.database, site.run)) == before
    returned[1]["annotations"][0]["result"] = [CHOICE]  # changed over there, by whoever imported it
    done = take(site, write(tmp_path, *returned))
    assert (done.decisions, done.known, done.reviewers) == (1, 4, ["label-studio:1"])


@pytest.mark.parametrize("through", [as_label_studio_returns, lambda task: task])
def test_what_was_taken_back_since_it_went_out_does_not_return(tmp_path, through):
    """Through Label Studio, or the file of tasks itself."""
    site = make_site(tmp_path, second_share=1.0)
    decide(site, "f000001", None)
    skip(site, "f000002", "ben")
    mark(site.desk, user(site, "lea"), "m7-3", finding(7, label="price_fraud"))
    old = write(tmp_path, *map(through, tasks(site.run, reviewed(site.database, site.run))))
    for name in ("ann", "ben", "lea"):
        undo(site.desk, user(site, name))
    before = list(reviewed(site.database, site.run))
    done = take(site, old)
    assert (done.decisions, done.skips, done.known, done.reviewers) == (0, 0, 3, [])
    assert list(reviewed(site.database, site.run)) == before
    assert find(site.database, site.run, "m7-3")[0].state == "withdrawn"


def as_json_min(number, task, *added):
    """A task that was imported at ten, as JSON_MIN has it, newest first; `added`: labels, by whom, at which hour."""
    chosen = [look["result"][0]["value"]["choices"] for look in task["annotations"] if look["result"]]
    given = [*((labels, 1, 10) for labels in chosen), *added]
    return [task["data"] | {
        "id": number, "labels": labels[0] if len(labels) == 1 else {"choices": labels}, "annotator": who,
        "annotation_id": 100 * number + n, "created_at": f"2026-11-28T{hour}:00:00.5Z",
        "updated_at": f"2026-11-28T{hour}:00:00.5Z", "lead_time": 7.5,
    } for n, (labels, who, hour) in enumerate(given)][::-1]  # fmt: skip


def write_minimal(tmp_path, ending, rows):
    """JSON_MIN, or the CSV that Label Studio makes of the same rows."""
    path = tmp_path / f"minimal.{ending}"
    if ending == "json":
        path.write_text(json.dumps(rows), encoding="utf-8")
        return path
    flat = [{key: json.dumps(cell) if isinstance(cell, dict) else cell for key, cell in row.items()} for row in rows]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, sorted({key for row in flat for key in row}), quoting=csv.QUOTE_NONNUMERIC)
        writer.writeheader()
        writer.writerows(flat)
    return path


def read_once_and_exported(tmp_path):
    """A site where two read each finding, and its tasks: one finding was read by one, another by two and settled."""
    site = make_site(tmp_path, second_share=1.0)
    decide(site, "f000001", None)
    for name, labels in (("ann", ["price_fraud", "food_safety"]), ("ben", None), ("lea", None)):
        decide(site, "f000002", labels, name)
    return site, list(tasks(site.run, reviewed(site.database, site.run)))


@pytest.mark.parametrize("ending", ["json", "csv"])
def test_decisions_that_come_back_without_their_number_are_no_second_readers_either(tmp_path, ending):
    site, made = read_once_and_exported(tmp_path)
    before = list(reviewed(site.database, site.run))
    rows = [row for number, task in enumerate(made, 31) for row in as_json_min(number, task)]
    done = take(site, write_minimal(tmp_path, ending, rows))
    assert (done.decisions, done.known, done.reviewers) == (0, 4, [])
    assert list(reviewed(site.database, site.run)) == before and before[0].state == "open"


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("ending", ["json", "csv"])
def test_a_second_reader_of_the_same_labels_is_told_from_what_went_out(tmp_path, ending, order):
    """Also the one who imported the tasks, in whatever order the rows stand, and once however often they come."""
    site, made = read_once_and_exported(tmp_path)
    made[2]["data"]["decided"] = made[0]["data"]["decided"]  # no mark of this finding's
    rows = [
        *as_json_min(31, made[0], (["food_safety"], 2, 11)),
        *as_json_min(32, made[1], (["food_safety"], 1, 12), (["price_fraud"], 2, 12)),
        *as_json_min(33, made[2], (["food_safety"], 1, 12)),
    ]
    path = write_minimal(tmp_path, ending, rows[::order])
    done = take(site, path)
    assert (done.decisions, done.known) == (4, 4)
    row, readings = find(site.database, site.run, "f000001")
    assert (row.state, sorted(one.name for one in readings)) == ("accepted", ["ann", "label-studio:2"])
    done = take(site, path)
    assert (done.decisions, done.known) == (0, 8)


def test_tasks_do_not_tell_in_words_what_was_decided(tmp_path):
    """Label Studio's list of tasks shows their data to who is to read blindly; its page what the configuration names."""
    _, made = read_once_and_exported(tmp_path)
    assert len(made[1]["data"]["decided"].split()) == 3 and "decided" not in made[2]["data"]
    assert not any(label in made[1]["data"]["decided"] for label in LABELS)
    assert "$decided" not in configuration([(label, label) for label in LABELS])


def test_an_older_export_does_not_undo_a_newer_one(site, tmp_path):
    week = [task(site, [{"result": result, "completed_by": 7, "created_at": f"2026-11-{day}T09:00:00Z"}])
            for result, day in (([CHOICE], 20), ([], 27))]  # fmt: skip
    found = []
    for number in (0, 1, 0):
        done = take(site, write(tmp_path, week[number]))
        found.append((done.decisions, done.known, find(site.database, site.run, "f000001")[0].labels))
    assert found == [(1, 0, ["price_fraud"]), (1, 0, []), (0, 1, [])]


def test_an_edited_annotation_is_of_the_time_of_its_edit(site, tmp_path):
    """Label Studio keeps created_at when an annotation is edited."""
    at = {"completed_by": 7, "created_at": "2026-11-20T09:00:00Z"}
    take(site, write(tmp_path, task(site, [at | {"result": [CHOICE], "updated_at": "2026-11-20T09:00:00Z"}])))
    take(site, write(tmp_path, task(site, [at | {"result": [], "updated_at": "2026-11-21T09:00:00Z"}])))
    row, (reading,) = find(site.database, site.run, "f000001")
    assert row.labels == [] and reading.decided == datetime(2026, 11, 21, 9, tzinfo=UTC)


def test_a_reading_whose_lease_ran_out_takes_the_annotation(site, clock, tmp_path):
    item = site.desk.open(user(site, "ann"), "f000001")
    clock.forward(days=1)
    take(site, write(tmp_path, task(site, [{"result": [CHOICE], "completed_by": 7}])))
    row, readings = find(site.database, site.run, "f000001")
    assert (row.labels, [one.id for one in readings]) == (["price_fraud"], [item.reading])
