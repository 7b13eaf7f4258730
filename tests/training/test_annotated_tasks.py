"""Sampled lines that were annotated in Label Studio come back as rows that can be checked, hashed and trained on."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner
from zhenyan.inference.errors import ConfigError, InputError
from zhenyan.training.annotated_tasks import import_tasks
from zhenyan.training.candidates import Candidates, Opinion
from zhenyan.training.cli import data
from zhenyan.training.dataset import targets
from zhenyan.training.rows import read_rows, text_key
from zhenyan.training.sample_output import write_sample
from zhenyan.training.sampling import choose
from zhenyan.training.schema import Change, load_schema

SCHEMA = load_schema()
LINES = (
    "这个茶喝完血压就降下来了",
    "原价一千九百八今天九十九",
    "棉拖鞋包邮到家",
    "全网销量第一的电热毯",
    "贴上膏药腰就不疼",
)


def tasks(tmp_path, labels=SCHEMA.ids, ids=True, schema=SCHEMA):
    """What `zhenyan data sample -o next.json` writes about the lines, as Label Studio exports it unannotated."""
    records = [
        {"source": f"a.txt line {n}", "text": text} | ({"id": f"u{n}"} if ids else {}) for n, text in enumerate(LINES)
    ]
    scores = np.random.default_rng(0).random((len(LINES), len(labels)))
    found = Candidates(records, [Opinion("m", tuple(labels), scores, np.full(len(labels), 0.5))]).named(schema)
    write_sample(tmp_path / "next.json", found, choose(found, [], len(LINES), 0, seed=0), schema)
    made = json.loads((tmp_path / "next.json").read_text(encoding="utf-8"))
    return [task | {"id": n, "annotations": []} for n, task in enumerate(made, 101)]


def annotation(*choices, who=3, cancelled=False):
    value = {"choices": list(choices)}
    region = {"from_name": "labels", "to_name": "text", "type": "choices", "origin": "manual", "value": value}
    return {"completed_by": who, "result": [region] if choices else [], "was_cancelled": cancelled,
            "created_at": "2026-11-24T10:00:00Z", "lead_time": 7.5}  # fmt: skip


def minimal(task, choices=None, who=3):
    """The task as JSON_MIN has it: its fields beside the annotation's, without what is empty."""
    return task["data"] | {"id": task["id"], "annotator": who, "annotation_id": 5, "lead_time": 1.5} | (
        {"labels": choices} if choices else {}
    ) | {"created_at": "2026-11-24T10:00:00Z", "updated_at": "2026-11-24T10:00:00Z"}  # fmt: skip


def saved(tmp_path, exported):
    path = tmp_path / "annotated.json"
    path.write_text(json.dumps(exported, ensure_ascii=False), encoding="utf-8")
    return path


def called(*words):
    return CliRunner().invoke(data, list(map(str, words)), catch_exceptions=False)


def test_from_tasks_to_checked_and_hashed_rows(tmp_path):
    made = tasks(tmp_path)
    made[0]["annotations"] = [annotation("food_safety", "price_fraud")]
    made[1]["annotations"] = [annotation()]
    made[2]["annotations"] = [annotation(cancelled=True)]
    output = tmp_path / "mine.jsonl"
    said = called("import", saved(tmp_path, made), "-o", output).output
    assert "2 rows of 5 tasks; left out: 1 skipped, 2 without labels; annotators differ on 0" in said
    first, second = read_rows(output)
    told = made[0]["data"]
    assert (first.text, first.id, first.meta["source"]) == (told["text"], told["id"], told["source"])
    assert set(first.labels) == {"food_safety", "price_fraud"} and second.labels == ()
    assert first.annotated is None and targets([first, second], SCHEMA.ids)[1].all()
    assert {"before", "after"}.isdisjoint(first.meta) and first.meta["why"] == told["why"]
    assert called("check", output).exit_code == 0
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "lines.json").write_text(json.dumps(LINES, ensure_ascii=False), encoding="utf-8")
    assert "2 records added" in called("hash", output, "-o", tmp_path / "hashed.jsonl", "--cache", cache).output


def test_json_min_and_what_it_does_not_tell(tmp_path):
    made = tasks(tmp_path)
    exported = [minimal(made[0], "food_safety"), minimal(made[1], {"choices": ["food_safety", "price_fraud"]}), minimal(made[2])]  # fmt: skip
    result = called("import", saved(tmp_path, exported), "-o", tmp_path / "mine.jsonl")
    assert "2 rows of 3 tasks; left out: 0 skipped, 1 without labels" in result.output
    assert "JSON_MIN doesn't tell a skip" in result.output
    rows = read_rows(tmp_path / "mine.jsonl")
    assert [row.id for row in rows] == [text_key(row.text)[:12] for row in rows], "its ids are the tasks'"
    assert [len(row.labels) for row in rows] == [1, 2] and "annotator" not in rows[0].meta


def test_a_line_that_one_annotator_left_without_labels_is_left_out_of_json_min(tmp_path):
    made = tasks(tmp_path)
    exported = [minimal(made[0], "food_safety"), minimal(made[0], who=4), minimal(made[1], "price_fraud")]
    result = called("import", saved(tmp_path, exported), "-o", tmp_path / "mine.jsonl")
    (row,) = read_rows(tmp_path / "mine.jsonl")
    assert row.labels == ("price_fraud",) and "1 rows without labels left out" in result.output


def test_annotators_who_differ_teach_what_they_agree_on(tmp_path):
    made = tasks(tmp_path)
    made[0]["annotations"] = [annotation("food_safety", "price_fraud"), annotation("food_safety", who=4)]
    made[1]["annotations"] = [annotation("food_safety"), annotation("food_safety", who=4), annotation(who=5, cancelled=True)]  # fmt: skip
    done = import_tasks(saved(tmp_path, made), SCHEMA)
    first, second = done.rows
    assert done.differing == 1 and first.labels == second.labels == ("food_safety",)
    assert first.contested and set(SCHEMA.ids) - set(first.annotated) == {"price_fraud"}
    assert not second.contested and second.annotated is None
    said = called("import", tmp_path / "annotated.json", "-o", tmp_path / "mine.jsonl").output
    assert "two readings of 2 rows" in said
    counts = {line.split("│")[1].strip(): [*map(str.strip, line.split("│")[2:6])] for line in said.splitlines() if "│" in line}  # fmt: skip
    assert counts["food_safety"] == ["2", "0", "0", "0"] and counts["price_fraud"] == ["0", "1", "0", "1"]


def test_of_three_annotators_each_two_are_told_by_name(tmp_path):
    made = tasks(tmp_path)
    for number, (first, second) in enumerate([(3, 4), (4, 5), (5, 3), (3, 4)]):
        made[number]["annotations"] = [annotation("food_safety", who=first), annotation(who=second)]
    said = called("import", saved(tmp_path, made), "-o", tmp_path / "mine.jsonl").output
    parts = re.split(r"^label-studio:(\d) \(first\) and label-studio:(\d) \(second\):$", said, flags=re.MULTILINE)
    assert parts[1::3] == ["3", "3", "4"] and parts[2::3] == ["4", "5", "5"]
    cells = [re.search(r"│ food_safety .*", part)[0].split("│")[2:5] for part in parts[3::3]]
    counts = [[int(cell) for cell in row] for row in cells]
    assert counts == [[0, 2, 0], [0, 0, 1], [0, 1, 0]]  # both, first only, second only


def test_labels_that_were_not_offered_are_masked(tmp_path):
    made = tasks(tmp_path, labels=("price_fraud", "food_safety"), ids=False)
    made[0]["data"]["annotated"] = ["price_fraud", "food_safety"]  # all that the schema of the day had
    made[0]["annotations"] = [annotation("food_safety")]
    (row,) = import_tasks(saved(tmp_path, made), SCHEMA).rows
    assert set(row.annotated) == {"food_safety", "price_fraud"} and row.id == text_key(row.text)[:12]


def test_annotators_are_offered_the_labels_of_the_schema_not_those_of_an_older_model(tmp_path):
    by_id = {label.id: label for label in SCHEMA.labels if label.id != "public_order"}
    by_id["food_safety"] = by_id["food_safety"].model_copy(update={"id": "food_claim"})
    labels = [*by_id.values(), SCHEMA.labels[0].model_copy(update={"id": "private_diversion"})]
    changes = [
        Change(kind="rename", labels=["food_safety"], into=["food_claim"], date="2026-11-30"),
        Change(kind="retire", labels=["public_order"], date="2026-11-30"),
        Change(kind="add", labels=["private_diversion"], date="2026-11-30"),
    ]
    schema = SCHEMA.model_copy(update={"labels": labels, "changes": changes})
    made = tasks(tmp_path, schema=schema)
    choices = ElementTree.parse(tmp_path / "next.config.xml").getroot().iter("Choice")
    assert [one.get("alias") for one in choices] == schema.ids == made[0]["data"]["annotated"]
    assert {task["data"]["chosen_for"] for task in made} <= set(schema.ids) - {"private_diversion"}
    made[0]["annotations"] = [annotation("food_claim", "private_diversion")]
    made[1]["annotations"] = [annotation("price_fraud")]
    rows = import_tasks(saved(tmp_path, made), schema).rows
    assert [row.labels for row in rows] == [("food_claim", "private_diversion"), ("price_fraud",)]
    assert [row.annotated for row in rows] == [None, None], "what isn't given is learnt as absent"


def test_a_model_is_asked_by_its_own_names(tmp_path):
    renamed = [label.model_copy(update={"id": "food_claim"}) for label in SCHEMA.labels if label.id == "food_safety"]
    change = Change(kind="rename", labels=["food_safety"], into=["food_claim"], date="2026-11-30")
    schema = SCHEMA.model_copy(update={"labels": renamed, "changes": [change]})
    opinion = Opinion("m", ("other", "food_safety"), np.array([[0.1, 0.9]]), np.array([0.2, 0.8])).named(schema)
    assert opinion.labels == ("other", "food_claim"), "of a label that no version of the schema had nothing is known"
    assert opinion.probabilities.tolist() == [[0.1, 0.9]] and opinion.thresholds.tolist() == [0.2, 0.8]


def test_a_model_that_lost_all_its_labels_is_named_with_the_remedy():
    change = Change(kind="retire", labels=["old_label"], date="2026-11-30")
    schema = SCHEMA.model_copy(update={"changes": [change]})
    with pytest.raises(InputError, match=r"^m has no label of today's schema, .* took away old_label; give --model"):
        Opinion("m", ("old_label",), np.array([[0.1]]), np.array([0.2])).named(schema)


@pytest.mark.parametrize("name", ["annotated.csv", "mine.xlsx", "mine.csv.gz", "mine.txt"])
def test_what_is_no_json_is_refused_with_what_to_do_instead(tmp_path, name):
    (tmp_path / name).write_text("text,labels\n", encoding="utf-8")
    with pytest.raises(
        InputError, match=rf"{name}: no JSON .* CSV doesn't tell .*; export JSON, or .* --labels-column"
    ):
        called("import", tmp_path / name, "-o", tmp_path / "mine.jsonl")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda made: made, "none of 5 tasks gives a row"),
        (lambda made: made[1]["data"].update(annotated=5), "task 2: field 'annotated' must be a list of label ids"),
        (lambda made: made[0]["annotations"].append(annotation("no_such")), "task 1, annotation 1: unknown label no_such\nthe schema has false_propaganda 虚假宣传"),
        (lambda made: made[3]["data"].pop("chosen_for"), "task 4: no fields 'text' and 'chosen_for', .*of your own with --batch"),
    ],
)  # fmt: skip
def test_what_can_not_come_in_is_named_with_its_place(tmp_path, change, said):
    made = tasks(tmp_path)
    change(made)
    with pytest.raises((InputError, ConfigError), match=said) as caught:
        called("import", saved(tmp_path, made), "-o", tmp_path / "mine.jsonl")
    assert "annotated.json" in str(caught.value) and not (tmp_path / "mine.jsonl").exists()
    with pytest.raises(ConfigError, match=r"ending '.json'; rows are written as .jsonl"):
        called("import", tmp_path / "annotated.json", "-o", tmp_path / "annotated.json")


def test_what_has_a_time_was_spoken_and_the_rest_is_copy_unless_the_row_says_so(tmp_path):
    spoken, written, said, *_ = tasks(tmp_path)
    spoken["data"] |= {"start": 0.0, "end": 2.5}
    said["data"] |= {"channel": "live"}
    for task in (spoken, written, said):
        task["annotations"] = [annotation("food_safety")]
    rows = import_tasks(saved(tmp_path, [spoken, written, said]), SCHEMA).rows
    assert [row.channel for row in rows] == ["live", "copy", "live"]


def own(*annotations, **fields):
    """A task of a project that zhenyan didn't make."""
    return {
        "id": 9,
        "data": {"content": "全网销量第一的电热毯", "channel": "抖音", **fields},
        "annotations": [*annotations],
    }


def answer(*choices, control="违规", kind="choices", **more):
    return annotation(**more) | {"result": [{"from_name": control, "type": kind, "value": {kind: list(choices)}}]}


def test_a_project_of_ones_own_comes_in_under_its_batch(tmp_path):
    tasks = [
        own(answer("虚假宣传"), answer("false_propaganda", who=4), domain="bedding"),
        own(answer("合规"), content="棉拖鞋包邮到家", start=3.5),
        own(annotation(cancelled=True), content="原价一千九百八今天九十九"),
    ]
    output = tmp_path / "mine.jsonl"
    said = called("import", saved(tmp_path, tasks), "-o", output, "--batch", "mine", "--text-column", "content").output
    assert "2 rows of 3 tasks; left out: 1 skipped, 0 without labels; annotators differ on 0" in said
    first, second = read_rows(output)
    assert (first.text, first.labels, first.group) == ("全网销量第一的电热毯", ("false_propaganda",), "mine")
    assert (second.labels, second.annotated, second.channel) == ((), None, "live")
    assert first.channel == "copy" and first.meta == {"batch": "mine", "input.channel": "抖音", "domain": "bedding"}
    assert called("check", output).exit_code == 0


def test_the_control_of_the_labels_is_named_where_there_are_several(tmp_path):
    sure = {"from_name": "sure", "type": "choices", "value": {"choices": ["high"]}}
    task = own(answer("food_safety"), text="贴上膏药腰就不疼")
    task["annotations"][0]["result"].append(sure)
    words = ("import", saved(tmp_path, [task]), "-o", tmp_path / "mine.jsonl", "--batch", "mine")
    with pytest.raises(
        InputError, match=r"not choices of one control, but answers of sure \(choices\), 违规 \(choices\); name"
    ):
        called(*words)
    with pytest.raises(InputError, match="no choices of a control 'label', but answers of sure"):
        called(*words, "--labels-column", "label")
    called(*words, "--labels-column", "违规")
    assert [row.labels for row in read_rows(tmp_path / "mine.jsonl")] == [("food_safety",)]


def test_json_min_of_ones_own_project_names_its_field(tmp_path):
    tasks = [{"id": 1, "text": "两盒装", "违规": "合规", "annotator": 3}, {"id": 2, "text": "三盒装", "annotator": 3}]
    words = ("import", saved(tmp_path, tasks), "-o", tmp_path / "mine.jsonl", "--batch", "mine")
    with pytest.raises(
        InputError, match=r"none of 2 tasks gives a row.*name the field of the labels, .* --labels-column$"
    ):
        called(*words)
    assert "1 rows of 2 tasks" in called(*words, "--labels-column", "违规").output
    (row,) = read_rows(tmp_path / "mine.jsonl")
    assert row.labels == () and row.meta == {"batch": "mine"}


def test_what_a_project_calls_note_is_its_own_affair(tmp_path):
    """Only the review's tasks have notes, of a length and kind of their own."""
    task = own(answer("food_safety"), text="贴上膏药腰就不疼")
    text = {"from_name": "note", "type": "textarea", "value": {"text": ["说来话长" * 200]}}
    task["annotations"][0]["result"].append(text)
    minimal = {"id": 2, "text": "两盒装", "labels": "合规", "note": 5, "annotator": 3}
    output = tmp_path / "mine.jsonl"
    called("import", saved(tmp_path, [task, minimal]), "-o", output, "--batch", "mine")
    assert [row.labels for row in read_rows(output)] == [("food_safety",), ()]


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (own(answer("food_safety")), "task 1: no text in field 'text'; its fields are content, channel; name another with"),
        (own(answer("假货"), text="甲"), "task 1, annotation 1: unknown label 假货\nthe schema has"),
        (own(answer("合规", "food_safety"), text="甲"), "annotation 1: both compliant and food_safety; take one out"),
        (own(answer("food_safety", control="label", kind="labels"), text="甲"), r"but answers of label \(labels\)"),
        (own(answer("food_safety"), text="甲", kind="plain"), "task 1: kind plain is of compliant rows"),
        (own(answer("food_safety"), text="甲", finding="f000001"), "task 1: is a task of `zhenyan review-export`"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_project_of_ones_own_is_told(tmp_path, task, said):
    with pytest.raises(InputError, match=said):
        called("import", saved(tmp_path, [task]), "-o", tmp_path / "mine.jsonl", "--batch", "mine")
    with pytest.raises(ConfigError, match="--text-column: is of tables and your own projects; name who labelled"):
        called("import", tmp_path / "annotated.json", "-o", tmp_path / "mine.jsonl", "--text-column", "content")
    assert not (tmp_path / "mine.jsonl").exists()


@pytest.mark.parametrize("short", [False, True])
def test_notes_on_sampled_tasks_stay_with_the_row(tmp_path, short):
    made = tasks(tmp_path)
    text = {"from_name": "note", "to_name": "text", "type": "textarea", "value": {"text": ["问过卖家"]}}
    made[0]["annotations"] = [annotation("food_safety")]
    made[0]["annotations"][0]["result"].append(text)
    if short:
        made = [minimal(made[0], "food_safety") | {"note": "问过卖家"}]
    (row,) = import_tasks(saved(tmp_path, made), SCHEMA).rows
    assert row.meta["notes"] == ["问过卖家"] and "note" not in row.meta
