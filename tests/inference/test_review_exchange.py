"""Decisions out as rows, tables and Label Studio tasks, and annotations in."""

import csv
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from review_helpers import LABELS, Browser, decide, finding, make_site, skip, state, user
from zhenyan.inference.errors import ConfigError, InputError
from zhenyan.inference.io.times import seconds
from zhenyan.inference.review.exchange import reviewed, table_rows
from zhenyan.inference.review.exports import decisions, write_export
from zhenyan.inference.review.imports import take_annotations
from zhenyan.inference.review.labelstudio import Unclear, configuration, read_annotations, tasks


def test_the_table_has_every_finding_and_no_formulas(tmp_path):
    site = make_site(tmp_path, [finding(1, "=HYPERLINK(1)"), finding(2, "多行\n“引号”,逗号")])
    decide(site, "f000002", ["price_fraud"])
    skip(site, "f000001", "ben")
    write_export(site.database, site.run, "csv", tmp_path / "out.csv", site.bundle.labels)
    with (tmp_path / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["原话"], first["决定"], first["跳过"]) == ("'=HYPERLINK(1)", "待审查", "ben")
    told = ("原话", "决定", "决定类别", "审查人")
    assert tuple(second[name] for name in told) == ("多行\n“引号”,逗号", "已改类", "类别2", "ann")


def test_an_unknown_kind_is_refused(site, tmp_path):
    with pytest.raises(ConfigError, match="rows, labelstudio, csv, xlsx"):
        write_export(site.database, site.run, "xml", tmp_path / "x", site.bundle.labels)


@pytest.mark.parametrize(
    ("kind", "name"), [("csv", "y.jsonl"), ("rows", "x.csv"), ("labelstudio", "x.xml"), ("csv", "x"), ("xlsx", "x.csv")]
)
def test_an_ending_of_another_kind_is_refused(site, tmp_path, kind, name):
    ending = Path(name).suffix or "a name without ending"
    with pytest.raises(ConfigError, match=rf"--to {kind} writes \.\w+, not {ending}"):
        write_export(site.database, site.run, kind, tmp_path / name, site.bundle.labels)
    assert not (tmp_path / name).exists()


def exported(site, tmp_path):
    path = tmp_path / "tasks.json"
    write_export(site.database, site.run, "labelstudio", path, site.bundle.labels)
    return path, json.loads(path.read_text(encoding="utf-8"))


def test_label_studio_tasks(site, tmp_path):
    decide(site, "f000002", [])
    skip(site, "f000003")
    _, made = exported(site, tmp_path)
    assert len(made) == 6
    prediction = made[0]["predictions"][0]
    assert (prediction["model_version"], prediction["score"]) == (site.run.bundle, 0.9)
    choice, span = prediction["result"]
    assert choice["value"] == {"choices": ["food_safety"]}
    assert made[0]["data"]["text"][span["value"]["start"] : span["value"]["end"]] == span["value"]["text"]
    assert [task["annotations"] for task in made[:1]] == [[]]
    empty, cancelled = made[1]["annotations"][0], made[2]["annotations"][0]
    assert (empty["result"], empty["was_cancelled"], cancelled["was_cancelled"]) == ([], False, True)
    config = (tmp_path / "tasks.config.xml").read_text(encoding="utf-8")
    assert all(f'value="{label}"' in config for label in LABELS)
    names = {region["from_name"] for region in prediction["result"]}
    assert all(f'name="{name}"' in config for name in names | {"text"})


def test_a_configuration_that_nobody_changed_is_written_anew(site, tmp_path):
    """Also one of before notes had a place in it."""
    path, kept = exported(site, tmp_path)[0].with_suffix(".config.xml"), []
    for old in (path.read_text(encoding="utf-8"), re.sub(r"  <TextArea.*\n", "", path.read_text(encoding="utf-8"))):
        path.write_text(old, encoding="utf-8")
        exported(site, tmp_path)
        kept.append(path.read_text(encoding="utf-8"))
    assert kept[0] == kept[1] and "<TextArea" in kept[0]
    path.write_text(kept[0].replace("<View>", "<View> "), encoding="utf-8")
    with pytest.raises(ConfigError, match="was changed by hand"):
        exported(site, tmp_path)


def test_the_configuration_escapes_names():
    assert '"&lt;&amp;"' in configuration([("a", "<&")])


def take(site, path, unclear=None):
    unclear = unclear or Unclear()
    return take_annotations(site.desk, LABELS, read_annotations(path, site.run, unclear))


def annotation(choices, who=3, cancelled=False, at="2026-11-24T10:00:00Z", **more):
    result = [{"from_name": "labels", "to_name": "text", "type": "choices", "value": {"choices": choices}}]
    result = result if choices else []
    return {
        "completed_by": who,
        "result": result,
        "was_cancelled": cancelled,
        "created_at": at,
        "lead_time": 7.5,
    } | more


def annotate(site, tmp_path, **given):
    """The site's own tasks with these annotations, by finding."""
    _, made = exported(site, tmp_path)
    for task in made:
        task["annotations"] = given.get(task["data"]["finding"], [])
    path = tmp_path / "annotated.json"
    path.write_text(json.dumps(made), encoding="utf-8")
    return path


def test_annotations_come_in_skips_and_compliant_lines_apart(site, tmp_path):
    path = annotate(
        site, tmp_path,
        f000001=[annotation(["food_safety"])],
        f000002=[annotation([])],
        f000003=[annotation([], cancelled=True)],
        f000004=[annotation(["price_fraud", "food_safety"], who={"id": 9, "email": "zhou@example.org"})],
    )  # fmt: skip
    done = take(site, path)
    assert (done.decisions, done.skips, done.known) == (3, 1, 0)
    assert done.reviewers == ["label-studio:3", "zhou@example.org"]
    got = [state(site, f"f{n:06d}") for n in range(1, 6)]
    assert got == [("accepted", ["food_safety"]), ("rejected", []), ("open", None),
                   ("relabelled", ["food_safety", "price_fraud"]), ("open", None)]  # fmt: skip
    again = take(site, path)
    assert (again.decisions, again.skips, again.known, again.reviewers) == (0, 0, 4, [])
    (entry,) = decisions(site.database, site.run, "f000001")
    assert (entry["who"], entry["action"], entry["model"]) == ("label-studio:3", "import", site.run.bundle)
    assert site.accounts.verify("zhou@example.org", "") is None


def test_several_annotators_agree_or_not(site, tmp_path):
    path = annotate(
        site, tmp_path,
        f000001=[annotation(["food_safety"], 1), annotation(["food_safety"], 2)],
        f000002=[annotation(["food_safety"], 1), annotation([], 2), annotation([], 3, cancelled=True)],
    )  # fmt: skip
    assert take(site, path).decisions == 4
    assert state(site, "f000001") == ("accepted", ["food_safety"])
    assert state(site, "f000002") == ("disputed", None)


def test_an_annotators_last_word_counts(site, tmp_path):
    later = annotation([], at="2026-11-24T12:00:00Z")
    path = annotate(site, tmp_path, f000001=[annotation(["food_safety"]), later, annotation(["price_fraud"])])
    take(site, path)
    assert state(site, "f000001") == ("rejected", [])
    assert take(site, path).known == 1


def test_our_own_export_changes_nothing_when_it_comes_back(tmp_path):
    site = make_site(tmp_path, second_share=1.0)
    decide(site, "f000001", None)
    decide(site, "f000001", [], "ben")
    decide(site, "f000001", [], "lea")
    skip(site, "f000002")
    before = [state(site, f"f{n:06d}") for n in range(1, 7)]
    path, _ = exported(site, tmp_path)
    done = take(site, path)
    assert (done.decisions, done.skips, done.known) == (0, 0, 4)
    assert [state(site, f"f{n:06d}") for n in range(1, 7)] == before


def test_decisions_travel_from_one_database_to_another(site, tmp_path):
    decide(site, "f000001", None)
    decide(site, "f000002", [], "ben")
    path, _ = exported(site, tmp_path)
    from zhenyan.inference.review.database import database_url, open_database

    other = make_site(tmp_path, database=open_database(database_url(None, f"sqlite:///{tmp_path}/other.db")))
    assert other.run.digest == site.run.digest
    take(other, path)
    assert [state(other, f"f{n:06d}") for n in (1, 2)] == [state(site, f"f{n:06d}") for n in (1, 2)]
    assert next(reviewed(other.database, other.run)).deciders == ["ann"]


@pytest.mark.parametrize(
    ("value", "labels"),
    [
        ("price_fraud", ["price_fraud"]),
        ({"choices": ["price_fraud", "food_safety"]}, ["food_safety", "price_fraud"]),
        (["price_fraud", {"choices": ["food_safety"]}], ["food_safety", "price_fraud"]),
    ],
)
def test_labels_of_a_json_min_export_are_taken(site, tmp_path, value, labels):
    path = tmp_path / "min.json"
    row = {"id": 1, "finding": "f000001", "run": site.run.digest, "text": "x", "annotator": 4, "labels": value}
    path.write_text(json.dumps([row]), encoding="utf-8")
    take(site, path)
    assert state(site, "f000001")[1] == labels


def test_json_min_does_not_tell_a_skip_from_a_compliant_line(site, tmp_path):
    path = tmp_path / "min.json"
    path.write_text(json.dumps([{"finding": "f000001", "run": site.run.digest, "annotator": 4}]), encoding="utf-8")
    unclear = Unclear()
    assert take(site, path, unclear).decisions == 0
    assert unclear.rows == 1
    assert state(site, "f000001") == ("open", None)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not a JSON file"),
        ("{}", "expected a list of tasks, found dict"),
        ("[1]", "task 1: expected an object, found int"),
        ('[{"data": {"text": "x"}}]', "task 1: no field 'finding'"),
        ('[{"data": []}]', "task 1: no field 'finding'"),
        ('[{"data": {"finding": "f000001"}}]', "task 1: no field 'run'; give Label Studio's export"),
        ('[{"data": {"finding": "f000001", "run": "feed"}}]', "belongs to run feed, .*; name the run that"),
        ('[{"data": {"finding": "f9", "run": "RUN"}, "annotations": [{"result": []}]}]', "no finding 'f9'"),
        ('[{"data": {"finding": "f000001", "run": "RUN"}, "annotations": 3}]', "must be a list"),
        ('[{"data": {"finding": "f000001", "run": "RUN"}, "annotations": [3]}]', "annotation 1: expected an object"),
        ('[{"finding": "f000001", "run": "RUN", "labels": "nonsense"}]', "label nonsense is unknown; there are"),
        ('[{"finding": "f000001", "run": "RUN", "labels": 3}]', "must be text or a list"),
    ],
)
def test_files_that_cannot_come_in(site, tmp_path, content, said):
    path = tmp_path / "bad.json"
    path.write_text(content.replace("RUN", site.run.digest), encoding="utf-8")
    with pytest.raises(InputError, match=said) as caught:
        take(site, path)
    assert str(path) in str(caught.value)
    with pytest.raises(InputError, match="no such file"):
        take(site, tmp_path / "none.json")


def test_one_wrong_annotation_takes_none_in(site, tmp_path):
    path = annotate(site, tmp_path, f000001=[annotation(["food_safety"])], f000002=[annotation(["no_such"])])
    with pytest.raises(InputError, match=r"task 2, annotation 1: label no_such"):
        take(site, path)
    assert state(site, "f000001") == ("open", None)


def test_an_import_does_not_take_a_reading_out_of_someones_hands(site, tmp_path):
    held = site.desk.open(user(site, "ann"), "f000001")
    take(site, annotate(site, tmp_path, f000001=[annotation(["food_safety"])]))
    assert state(site, "f000001") == ("open", None)
    site.desk.decide(user(site, "ann"), held.reading, held.version, None)
    assert state(site, "f000001") == ("accepted", ["food_safety"])


def test_surrogates_and_nul_survive_every_export(tmp_path):
    site = make_site(tmp_path, [finding(1, "坏\ud800字\x00符")])
    decide(site, "f000001", None)
    (task,) = tasks(site.run, reviewed(site.database, site.run))
    assert task["data"]["text"] == "坏\ud800字\x00符"
    for kind, ending in (("rows", "jsonl"), ("csv", "csv"), ("xlsx", "xlsx"), ("labelstudio", "json")):
        write_export(site.database, site.run, kind, tmp_path / f"x.{ending}", site.bundle.labels)
    assert json.loads((tmp_path / "x.jsonl").read_text(encoding="utf-8"))["text"] == "坏\ud800字\x00符"


def test_exports_over_http(site):
    decide(site, "f000001", None)
    lea = Browser(site, "lea")
    assert json.loads(lea.get("/export/rows").text)["labels"] == ["food_safety"]
    assert len(lea.get("/export/labelstudio").json()) == 6
    assert lea.get("/export/csv").text.startswith("\ufeff编号,直播间,")
    assert lea.get("/export/xlsx").content.startswith(b"PK")
    assert lea.get("/export/xml").status_code == 404
    case = lea.get("/finding/f000001/case.json")
    assert "attachment" in case.headers["content-disposition"]
    assert [entry["who"] for entry in case.json()["decisions"]] == ["ann"]
    assert lea.get("/finding/f9/case.json").status_code == 404


def test_a_table_and_tasks_tell_the_time_of_the_text_they_hold(tmp_path):
    """A claim is said at 10 s, more plainly at 600 s: the finding's text and place are of the second."""
    place = {"file": "a.srt", "place": "cue 2", "start": 600.0, "end": 603.0}
    times = [{"place": "cue 1", "start": 10.0, "end": 13.0}, place]
    site = make_site(tmp_path, [finding(1, place=place, times=times)])
    (row,) = table_rows(site.run, reviewed(site.database, site.run), site.bundle.labels)
    assert (row["时间"], row["文件"], row["位置"]) == ("0:10:00", "a.srt", "第2段")
    (task,) = tasks(site.run, reviewed(site.database, site.run))
    assert task["data"]["start"] == 600.0


def test_the_table_tells_times_as_the_page_does_and_decisions_by_beijings_clock(tmp_path):
    night = datetime(2026, 11, 27, 16, 30, 5, 250_000, tzinfo=UTC)
    said = seconds("2026-11-27 20:15:03")
    places = [{"place": "line 1", "start": said}, {"place": "line 2", "start": 3725.5}, {"place": "line 3"}]
    found = [finding(n, place={"file": "a.csv", **at}, times=[at]) for n, at in enumerate(places, 1)]
    site = make_site(tmp_path, found, clock=lambda: night)
    decide(site, "f000001", None)
    rows = list(table_rows(site.run, reviewed(site.database, site.run), site.bundle.labels))
    assert [row["时间"] for row in rows] == ["2026-11-27 20:15:03", "1:02:05", "第3行"]
    assert [row["决定时间"] for row in rows] == ["2026-11-28 00:30:05", None, None]
