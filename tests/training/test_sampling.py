"""Choosing what to label next: doubt, spread, near duplicates, quotas, inputs and outputs."""

from __future__ import annotations

import json
import re
import shutil
from datetime import datetime
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner
from zhenyan.inference.errors import ConfigError, InputError
from zhenyan.inference.io import Options
from zhenyan.training.candidates import Candidates, Opinion, read_candidates
from zhenyan.training.cli import data
from zhenyan.training.dataset import targets
from zhenyan.training.rows import read_rows
from zhenyan.training.sample_output import check_output, sample_rows, sample_tasks, write_sample
from zhenyan.training.sampling import choose, embed, measure, shortlist, spread
from zhenyan.training.schema import load_schema

LABELS = ("food_safety", "price_fraud", "public_order")


def opinion(rows, seed, labels=LABELS, model="m"):
    scores = np.random.default_rng(seed).beta(0.4, 2, (rows, len(labels)))
    return Opinion(model, tuple(labels), scores, np.full(len(labels), 0.4))


@pytest.fixture(scope="module")
def corpus():
    """Rows of two authors: one to choose from, one labelled already."""
    return [read_rows(f"data/corpus/b{number:02d}.jsonl") for number in (1, 2)]


@pytest.fixture(scope="module")
def candidates(corpus):
    records = [{"source": row.origin, "id": row.id, "text": row.text} for row in corpus[0]]
    return Candidates(records, [opinion(len(records), 1, model="a"), opinion(len(records), 2, model="b")])


@pytest.fixture
def run(tmp_path):
    """A finished run as `zhenyan score` leaves it: an output with scores, and its folder."""
    rows = [
        {"id": f"u{i}", "text": f"第{i}号链接{word}今天给大家上", "labels": [], "scores": {"x": 0.1 * i, "y": 0.5}, "model": "b-1"}
        for i, word in enumerate(("鱼胶肽", "酱油醋", "棉拖鞋", "电热毯"), 1)
    ]  # fmt: skip
    output = tmp_path / "out.jsonl"
    output.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    folder = tmp_path / "out.jsonl.run"
    folder.mkdir()
    manifest = {
        "bundle": "b-1",
        "output": "out.jsonl",
        "thresholds": {"x": 0.3, "y": 0.9},
        "options": {},
        "inputs": [{"path": "in.txt"}],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    summary = {"rows": 4, "hits": 1, "rejects": 2, "findings": 1, "output_sha256": ""}
    (folder / "summary.json").write_text(json.dumps(summary))
    return output


@pytest.mark.parametrize(
    ("margins", "uncertainty", "disagreement"),
    [
        ([0.0], 1.0, 0.0),
        ([2.0], np.exp(-2), 0.0),
        ([-2.0], np.exp(-2), 0.0),
        ([3.0, 3.0], np.exp(-3), 0.0),
        ([-20.0, 20.0], 1.0, 1.0),
    ],
)
def test_doubt_is_nearness_to_the_threshold_and_disagreement(margins, uncertainty, disagreement):
    found = measure(np.array(margins).reshape(-1, 1, 1))
    assert found.uncertainty.item() == pytest.approx(uncertainty)
    assert found.disagreement.item() == pytest.approx(disagreement, abs=1e-6)


def test_more_disagreement_is_more_doubt():
    apart = [measure(np.array([-d, d]).reshape(2, 1, 1)).disagreement.item() for d in (0.5, 1, 2, 4)]
    assert apart == sorted(apart) and len(set(apart)) == 4


def test_spread_takes_the_product_of_doubt_and_distance():
    """Against a plain implementation of the rule, on random unit vectors."""
    rng = np.random.default_rng(0)
    vectors, known = (
        v / np.linalg.norm(v, axis=1, keepdims=True) for v in (rng.normal(size=(30, 4)), rng.normal(size=(5, 4)))
    )
    doubt = rng.random((30, 2))
    picked = [place for place, *_ in spread(vectors, known, doubt, [1], 8)]
    assert len(picked) == 8
    seen = list(known)
    for turn, place in enumerate(picked):
        weight = doubt[:, 1] if turn == 0 else doubt.max(1)
        value = [
            -1 if i in picked[:turn] else weight[i] * min(1 - max(v @ k for k in seen), 1)
            for i, v in enumerate(vectors)
        ]
        assert place == int(np.argmax(value))
        seen.append(vectors[place])


def test_spread_avoids_what_is_labelled_and_repeats():
    vectors = np.array([[1.0, 0], [1.0, 0], [0, 1.0]])
    doubt = np.array([[0.9], [0.8], [0.5]])
    assert [place for place, *_ in spread(vectors, np.array([[1.0, 0]]), doubt, [], 1)] == [2]
    assert [place for place, *_ in spread(vectors, np.zeros((0, 2)), doubt, [], 2)] == [0, 2]
    assert len(list(spread(vectors, np.zeros((0, 2)), doubt, [], 10))) == 3


def test_near_duplicates_go_the_more_doubted_one_stays():
    text = "这个茶喝完三高就降下来了你们放心喝没有副作用"
    texts = [text + "啊", text, "今天到手价五十九块九拍一发三", "原价一千九百八今天直播间九十九带走"]
    doubt = np.array([[0.2], [0.9], [0.5], [0.4]])
    assert shortlist(texts, doubt, [], 4, 0) == ([1, 2, 3], 1)
    assert shortlist(texts, doubt, ["原价一千九百八今天直播间九十九块带走"], 4, 0) == ([1, 2], 2)


def test_vectors_tell_wording_apart_and_survive_tiny_inputs():
    vectors, known = embed(["喝茶降血压", "喝茶能降血压", "手机壳包邮"], ["手机壳不包邮"], seed=0)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] and known @ vectors[2] > known @ vectors[0]
    assert embed(["好"], [], seed=0)[0].tolist() == [[1.0]] and embed(["🙂"], ["　"], seed=0)[0].shape[0] == 1


def test_quotas_come_first_and_the_same_seed_chooses_the_same(candidates, corpus):
    first, second = (choose(candidates, corpus[1], 40, 5, seed=3) for _ in range(2))
    assert first.chosen == second.chosen and len({one.row for one in first.chosen}) == 40
    quotas = [one.column for one in first.chosen if one.by_quota]
    assert sorted(quotas) == sorted([0, 1, 2] * 5) and all(one.by_quota for one in first.chosen[:15])
    seldom = min(range(3), key=lambda c: sum(LABELS[c] in row.labels for row in corpus[1]))
    assert quotas[0] == seldom
    doubt = first.doubts.total.max(1)
    assert doubt[[one.row for one in first.chosen]].mean() > 1.5 * doubt.mean()


def test_quotas_that_need_more_lines_than_wanted_are_refused(candidates):
    with pytest.raises(ConfigError, match="--labels-quota 5 for 3 labels needs 15 lines, --count is 14"):
        choose(candidates, [], 14, 5, seed=0)


def test_models_with_other_labels_are_compared_on_the_shared_ones(candidates):
    other = opinion(len(candidates.records), 5, ("price_fraud", "new", "food_safety"))
    mixed = Candidates(candidates.records, [candidates.opinions[0], other])
    assert mixed.labels == ["food_safety", "price_fraud"]
    assert np.array_equal(other.of(mixed.labels).probabilities, other.probabilities[:, [2, 0]])
    assert {one.column for one in choose(mixed, [], 20, 3, seed=0).chosen} == {0, 1}
    with pytest.raises(InputError, match="no label in common"):
        _ = Candidates(mixed.records, [mixed.opinions[0], opinion(3, 0, ("z",))]).labels


def test_models_are_asked_in_turn(candidates):
    bundle = SimpleNamespace(id="c-9", label_ids=("price_fraud",), thresholds=(0.25,))
    stub = SimpleNamespace(bundle=bundle, score=lambda texts: np.full((len(texts), 1), 0.5))
    asked = candidates.ask([stub])
    assert [one.model for one in asked.opinions] == ["a", "b", "c-9"] and asked.labels == ["price_fraud"]
    assert asked.opinions[2].thresholds.tolist() == [0.25]


def test_lines_come_from_any_readable_file(tmp_path, root):
    (tmp_path / "a.jsonl").write_text(
        '{"text": "好的", "labels": ["x"], "scores": {"x": 1}, "id": 7}\n{"id": 8}\n', "utf-8"
    )
    found = read_candidates([str(tmp_path / "a.jsonl"), str(root / "data/samples")], Options())
    file = f"{tmp_path}/a.jsonl"
    assert found.records[0] == {"source": file, "place": f"{file} line 1", "text": "好的", "id": 7}
    assert {record["source"] for record in found.records if "start" in record} == {"stream"}  # one stream, one group
    assert found.rejects == 1 and not found.opinions and any("start" in record for record in found.records)
    assert found.reasons == (f"{file} line 2: no text column; its columns are id; name one with --text-column",)
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(InputError, match="no line to choose from"):
        read_candidates([str(tmp_path / "empty.jsonl")], Options())


def test_a_channel_that_is_none_of_the_contracts_does_not_spoil_the_row(tmp_path):
    (tmp_path / "a.csv").write_text("text,channel\n好的,抖音\n可以的,copy\n", "utf-8")
    first, second = read_candidates([str(tmp_path / "a.csv")], Options()).records
    assert "channel" not in first and second["channel"] == "copy"


def test_of_many_lines_that_can_not_be_read_the_first_are_told(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "好的"}\n' + "[]\n" * 8, "utf-8")
    found, file = read_candidates([str(tmp_path / "a.jsonl")], Options()), tmp_path / "a.jsonl"
    told = [f"{file} line {number}: expected a JSON object, found list" for number in range(2, 7)]
    assert found.rejects == 8 and found.reasons == (*told, "and 3 more")
    file.write_text('{"text": ""}\n', "utf-8")
    with pytest.raises(InputError, match=r"\(1 could not be read\)\n.*a\.jsonl line 1: column 'text' is empty"):
        read_candidates([str(file)], Options())


def test_a_run_gives_rows_and_an_opinion_by_its_folder_or_its_output(run):
    for name in (run, run.with_name("out.jsonl.run")):
        found = read_candidates([str(name)], Options())
        (held,) = found.opinions
        assert held.model == "b-1" and held.labels == ("x", "y") and held.thresholds.tolist() == [0.3, 0.9]
        assert held.probabilities[:, 0] == pytest.approx([0.1, 0.2, 0.3, 0.4])
        assert found.rejects == 2 and "labels" not in found.records[0] and found.records[0]["id"] == "u1"


def test_a_run_with_a_table_as_output(run):
    folder = run.with_name("out.csv.run")
    run.with_name("out.jsonl.run").rename(folder)
    manifest = json.loads((folder / "manifest.json").read_text()) | {"output": "out.csv"}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    run.with_name("out.csv").write_text("text,labels,score.x,score.y\n好的呀,,0.25,0.5\n", encoding="utf-8-sig")
    found = read_candidates([str(folder)], Options())
    assert found.opinions[0].probabilities.tolist() == [[0.25, 0.5]]
    assert set(found.records[0]) == {"source", "place", "text"}
    run.with_name("out.csv").write_text("text,labels,score.x,score.y\n好的呀,,0.25,\n", encoding="utf-8-sig")
    with pytest.raises(InputError, match=r"out\.csv line 2: a label's score is missing or no number; score the files"):
        read_candidates([str(folder)], Options())


def test_what_is_wrong_with_a_run_is_said(run, tmp_path):
    (tmp_path / "more.txt").write_text("好\n")
    with pytest.raises(InputError, match="give it alone"):
        read_candidates([str(run), str(tmp_path / "more.txt")], Options())
    run.unlink()
    with pytest.raises(InputError, match="is gone; repeat the command"):
        read_candidates([str(run) + ".run"], Options())
    (tmp_path / "out.jsonl.run" / "summary.json").unlink()
    with pytest.raises(InputError, match="hasn't finished"):
        read_candidates([str(run) + ".run"], Options())


def test_rows_say_why_and_teach_nothing_before_they_are_labelled(candidates, tmp_path):
    sample = choose(candidates, [], 12, 2, seed=0)
    check_output(tmp_path / "deep" / "s.jsonl")
    assert write_sample(tmp_path / "deep" / "s.jsonl", candidates, sample, load_schema()) == []
    rows = read_rows(tmp_path / "deep" / "s.jsonl")
    assert len(rows) == 12 and not targets(rows, list(LABELS))[1].any()
    for row, one in zip(rows, sample.chosen, strict=True):
        label = LABELS[one.column]
        assert row.meta["chosen_for"] == label and row.meta["why"].startswith(label) and "bits" in row.meta["why"]
        assert list(row.meta["scores"]) == list(LABELS) and row.meta["models"] == ["a", "b"]
        assert (label in row.labels) == (row.meta["margin"] >= 0) == ("over its threshold" in row.meta["why"])
    assert "quota" in rows[0].meta["why"] and "quota" not in rows[-1].meta["why"]


def test_tasks_fit_the_configuration_beside_them(candidates, tmp_path):
    sample = choose(candidates, [], 6, 1, seed=0)
    (note,) = write_sample(tmp_path / "tasks.json", candidates, sample, load_schema())
    assert note.endswith("tasks.config.xml")
    view = ElementTree.parse(tmp_path / "tasks.config.xml").getroot()
    names = {tag.get("name") for tag in view if tag.get("name")}
    fields = {tag.get("value")[1:] for tag in view if str(tag.get("value")).startswith("$")}
    choices = {tag.get("alias") for tag in view.iter("Choice")}
    tasks = json.loads((tmp_path / "tasks.json").read_text())
    assert len(tasks) == 6 and any(p["result"] for task in tasks for p in task["predictions"])
    for task in tasks:
        assert fields <= set(task["data"]) and [p["model_version"] for p in task["predictions"]] == ["a", "b"]
        for region in (region for p in task["predictions"] for region in p["result"]):
            assert {region["from_name"], region["to_name"]} <= names and set(region["value"]["choices"]) <= choices
    assert [task["data"]["text"] for task in sample_tasks(candidates, sample, LABELS)] == [
        row["text"] for row in sample_rows(candidates, sample)
    ]


def test_a_models_label_that_the_schema_lacks_is_left_out_of_tasks_and_told(candidates, tmp_path):
    schema = load_schema()
    older = opinion(len(candidates.records), 1, (*LABELS, "weight_loss"), "old")
    alone = Candidates(candidates.records, [older]).named(schema)
    sample = choose(alone, [], 40, 10, seed=0)
    _, note = write_sample(tmp_path / "tasks.json", alone, sample, schema)
    assert note.startswith("old: the schema lacks weight_loss, so annotators aren't offered")
    tasks = json.loads((tmp_path / "tasks.json").read_text("utf-8"))
    choices = [c for task in tasks for p in task["predictions"] for r in p["result"] for c in r["value"]["choices"]]
    assert set(choices) == set(LABELS), "a prediction chooses what is offered"
    assert all(task["data"]["annotated"] == schema.ids for task in tasks)
    assert "weight_loss" not in (tmp_path / "tasks.config.xml").read_text("utf-8")


def test_rows_scored_whole_are_not_cut_again(run):
    """As `zhenyan score --no-split` leaves them."""
    rows = [json.loads(line) for line in run.read_text("utf-8").splitlines()]
    rows[1] |= {"text": "家人们今天这个酱油醋到手只要九块九。" * 40, "file": "room.mp4"}
    run.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    shutil.copy(run, run.parent / "unscored.jsonl")
    assert len(read_candidates([str(run.parent / "unscored.jsonl")], Options()).records) > 4, (
        "else the test tells nothing"
    )
    found = read_candidates([str(run)], Options())
    assert found.texts == [row["text"] for row in rows] and found.opinions[0].probabilities.shape == (4, 2)


def test_dates_become_text_in_tasks_as_in_rows(tmp_path):
    record = {
        "text": "今天到手九块九",
        "source": "a.parquet",
        "place": "row 1",
        "at": datetime(2026, 11, 29, 20, 5),
        "x": float("nan"),
    }
    candidates = Candidates([record, record | {"text": "另一句完全不同的话"}], [opinion(2, 0)])
    sample = choose(candidates, [], 2, 0, seed=0)
    for name in ("rows.jsonl", "tasks.json"):
        write_sample(tmp_path / name, candidates, sample, load_schema())
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text("utf-8").splitlines()]
    tasks = [task["data"] for task in json.loads((tmp_path / "tasks.json").read_text("utf-8"))]
    for some in (rows, tasks):
        assert [(one["at"], one["x"]) for one in some] == [("2026-11-29 20:05:00", None)] * 2


def test_the_ending_picks_the_format(tmp_path):
    with pytest.raises(InputError, match=r"ending '.csv'; .jsonl writes rows"):
        check_output(tmp_path / "a.csv")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"--output .*give a folder that may be written"):
        check_output(tmp_path / "file/deep/a.jsonl")


def test_the_command_chooses_from_a_run_without_loading_a_model(run, tmp_path, corpus):
    output = tmp_path / "next.jsonl"
    arguments = ["sample", str(run), "-o", str(output), "--count", "3", "--labelled", "data/corpus/b02.jsonl"]
    result = CliRunner().invoke(data, arguments, catch_exceptions=False)
    assert result.exit_code == 0 and "3 of 4 lines" in result.output and "2 lines could not be read" in result.output
    assert result.output.splitlines()[1] == f"{tmp_path}/out.jsonl.run/rejects.jsonl says which and why"
    first = output.read_bytes()
    assert CliRunner().invoke(data, arguments).exit_code == 0 and output.read_bytes() == first
    assert {row.meta["chosen_for"] for row in read_rows(output)} <= {"x", "y"}


@pytest.mark.parametrize(("inputs", "output"), [("out.jsonl", "out.jsonl"), ("out.jsonl.run", "out.jsonl"), ("out.jsonl", "rows.jsonl")])  # fmt: skip
def test_the_command_does_not_write_over_what_it_reads(run, tmp_path, inputs, output):
    shutil.copy("data/corpus/b02.jsonl", tmp_path / "rows.jsonl")
    before = (tmp_path / output).read_bytes()
    arguments = ["sample", str(tmp_path / inputs), "-o", str(tmp_path / "out.jsonl.run/.." / output), "--count", "3"]
    result = CliRunner().invoke(data, [*arguments, "--labelled", str(tmp_path / "rows.jsonl")])
    assert isinstance(result.exception, ConfigError) and "--output" in str(result.exception)
    assert (tmp_path / output).read_bytes() == before


def test_lines_that_are_all_labelled_give_none(corpus, run, tmp_path):
    """Enough labelled rows for vectors to be reduced, and no candidate that isn't one of them."""
    labelled = tmp_path / "labelled.jsonl"
    shutil.copy("data/corpus/b02.jsonl", labelled)
    with labelled.open("ab") as rows:
        rows.writelines(run.read_bytes().splitlines(keepends=True))
    for name, empty in (("next.jsonl", ""), ("next.json", "[\n]\n")):
        arguments = ["sample", str(run), "-o", str(tmp_path / name), "--count", "3", "--labelled", str(labelled)]
        result = CliRunner().invoke(data, arguments, catch_exceptions=False)
        assert "0 of 4 lines; 4 near duplicates passed over" in result.output
        assert (tmp_path / name).read_text("utf-8") == empty


@pytest.mark.parametrize(
    ("output", "made", "words"),
    [
        ("next.jsonl", lambda text: text.replace(',"annotated":[]', "", 1), r"somebody's work \(.*next\.jsonl:1\)"),
        ("next.jsonl", lambda text: text.replace('"annotated":[]', '"annotated":["x"]'), "somebody's work"),
        ("next.jsonl", lambda text: "my notes", "isn't what this command writes .*not JSON"),
        ("next.json", lambda text: text.replace('{"data"', '{"annotations": [], "data"', 1), "task 1.*another name"),
        ("next.json", lambda text: "{}", "isn't what this command writes .*expected a list of tasks"),
        (
            "next.config.xml",
            lambda text: text.replace("x", "瘦身"),
            r"next\.config\.xml is there already and was changed",
        ),
        (
            "next.config.xml",
            lambda text: text.replace("</View>", ""),
            "changed by hand; give a name",
        ),
    ],
)
def test_what_a_person_made_of_a_sample_is_not_overwritten(run, tmp_path, output, made, words):
    file = tmp_path / output
    name = output.replace(".config.xml", ".json")
    arguments = ["sample", str(run), "-o", str(tmp_path / name), "--labelled", "data/corpus/b02.jsonl", "--count"]
    for count in ("2", "3"):  # what nobody has touched is written anew
        assert CliRunner().invoke(data, [*arguments, count], catch_exceptions=False).exit_code == 0
    text = file.read_text("utf-8")
    file.write_text(made(text), "utf-8")
    assert file.read_text("utf-8") != text
    result = CliRunner().invoke(data, [*arguments, "2"])
    assert isinstance(result.exception, ConfigError) and re.search(words, str(result.exception))
    assert file.read_text("utf-8") == made(text)


def test_what_readers_note_of_the_files_is_told_and_an_encoding_can_be_named(tmp_path):
    (tmp_path / "a.csv").write_bytes("text\n棉拖鞋包郵到家\n".encode("big5"))
    arguments = ["sample", str(tmp_path / "a.csv"), "-o", str(tmp_path / "next.jsonl"), "--count", "1"]
    arguments += ["--labelled", "data/corpus/b02.jsonl"]
    told = CliRunner().invoke(data, arguments, catch_exceptions=False).output
    assert f"note: {tmp_path / 'a.csv'}: read as gb18030; name --encoding if that is wrong" in told  # Big5 it is
    CliRunner().invoke(data, [*arguments, "--encoding", "big5"], catch_exceptions=False)
    assert json.loads((tmp_path / "next.jsonl").read_text("utf-8"))["text"] == "棉拖鞋包郵到家"
