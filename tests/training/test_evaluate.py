"""What `zhenyan evaluate` measures, explains and writes."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
import yaml
from rich.console import Console
from typer.testing import CliRunner
from zhenyan.inference.errors import ConfigError
from zhenyan.training import cli, evasion
from zhenyan.training.baselines import TfidfBaseline
from zhenyan.training.compare import any_difference
from zhenyan.training.config import ThresholdConfig
from zhenyan.training.evaluate import (
    comparison_table,
    decider,
    evaluate,
    evasion_table,
    false_alarms,
    label_columns,
    labelled,
    minimal_pairs,
    quality,
    slices,
)
from zhenyan.training.evaluation_run import Options, evaluate_bundle, read_sets
from zhenyan.training.mistakes import FALSE_ALARM, MISSED, hardest, nearest_rows
from zhenyan.training.rows import Row, read_rows, text_key
from zhenyan.training.schema import load_schema

SCHEMA = load_schema()
FOOD, FRAUD = (SCHEMA.ids.index(label) for label in ("food_safety", "price_fraud"))


def scores_of(rows: int, **columns: list[float]) -> np.ndarray:
    """Scores of 0 but for the named labels."""
    scores = np.zeros((rows, len(SCHEMA.ids)))
    for label, values in columns.items():
        scores[:, SCHEMA.ids.index(label)] = values
    return scores


def test_what_nobody_annotated_counts_nowhere():
    rows = [
        Row("茶能降血压", ("food_safety",)),
        Row("原价九百九", ("price_fraud",), annotated=("food_safety",)),
        Row("两盒装"),
    ]
    data = labelled(rows, SCHEMA.ids)
    scores = scores_of(3, food_safety=[0.9, 0.1, 0.2], price_fraud=[0.1, 0.9, 0.8])
    found = evaluate(data, scores, scores >= 0.5, SCHEMA)
    assert found["labels"]["food_safety"]["f1"] == 1
    assert (found["labels"]["price_fraud"]["positives"], found["labels"]["price_fraud"]["predicted"]) == (0, 1)
    assert found["any_violation"] | {"low": 0, "high": 0} == {
        "precision": 0.5, "recall": 1, "f1": pytest.approx(2 / 3), "low": 0, "high": 0, "positives": 1, "predicted": 2,
    }  # fmt: skip
    assert found["false_alarms"]["all"] == {"rows": 2, "rate": 0.5}  # the second violates by nothing looked for
    assert set(found["precision_recall"]) == set(found["average_precision"]) == {"food_safety"}
    assert sum(found["reliability"]["count"]) == 3 * len(SCHEMA.ids) - (len(SCHEMA.ids) - 1)
    table = np.array(found["confusion"]["table"])
    assert table[FOOD, FOOD] == 1 and table[-1, FRAUD] == 1 and table[-1, -1] == 1 and table.sum() == 3


def test_rows_in_which_nobody_looked_are_no_compliant_rows():
    data = labelled([Row("一", annotated=()), Row("二")], SCHEMA.ids)
    scores = scores_of(2, food_safety=[0.9, 0.9])
    assert evaluate(data, scores, scores >= 0.5, SCHEMA)["false_alarms"]["all"] == {"rows": 1, "rate": 1.0}


def cells_of(rows: int, *cells: tuple[int, int]) -> np.ndarray:
    """Decisions or truth, bool (rows, labels): True in the named cells."""
    array = np.zeros((rows, len(SCHEMA.ids)), dtype=bool)
    for cell in cells:
        array[cell] = True
    return array


def test_evasion_is_measured_where_somebody_looked():
    rows = [Row("降血压的茶", ("food_safety",), annotated=("food_safety",)), Row("两盒装", annotated=("food_safety",))]
    plain = lambda texts: cells_of(2, (0, FOOD), (1, FRAUD))  # noqa: E731
    found = evasion_table(labelled(rows, SCHEMA.ids), plain)
    assert found["plain"] == 1 and found["mean_fall"] == found["worst_fall"] == 0


def test_the_worst_disguise_is_the_one_with_the_largest_fall(monkeypatch):
    """Of two rows the first disguise hides none, the second both, the third one."""
    changes = {
        "none": lambda text, _: text,
        "all": lambda text, _: "藏",
        "one": lambda text, _: text.replace("茶", "藏"),
        "punctuation": lambda text, _: "藏",  # is no disguise
    }
    monkeypatch.setattr(evasion, "TRANSFORMS", changes)
    data = labelled([Row("降压茶", ("food_safety",)), Row("降压酒", ("food_safety",))], SCHEMA.ids)
    seen = lambda texts: cells_of(2, *((i, FOOD) for i, text in enumerate(texts) if "藏" not in text))  # noqa: E731
    found = evasion_table(data, seen)
    assert {name: one["fall"] for name, one in found["transforms"].items()} == pytest.approx(
        {"none": 0, "all": 1, "one": 1 / 3, "punctuation": 1}
    )
    assert found["worst_fall"] == 1 and found["mean_fall"] == pytest.approx(4 / 9)


def test_scores_count_where_somebody_looked_only():
    """The row that nobody looked at for price fraud has the worst score there is, and the decision that it makes."""
    rows = [Row("原价九百九", ("price_fraud",)), Row("降压茶", annotated=("food_safety",)), Row("两盒装")]
    data = labelled(rows, SCHEMA.ids)
    scores = scores_of(3, price_fraud=[0.8, 1.0, 0.2])
    found = quality(data, scores, scores >= 0.5, SCHEMA)
    assert found["labels"]["price_fraud"]["predicted"] == 1 and found["micro"]["precision"] == 1
    assert found["average_precision"] == {"price_fraud": 1}
    cells = 2 * len(SCHEMA.ids) + 1
    assert found["calibration_error"] == pytest.approx(2 * 0.2 / cells)


def test_a_label_without_scores_counts_for_calibration_and_ranking_nowhere():
    rows = [Row("原价九百九", ("price_fraud", "food_safety")), Row("降压茶"), Row("两盒装")]
    scores = np.full((3, len(SCHEMA.ids)), np.nan)
    scores[:, FRAUD] = [0.8, 0.1, 0.2]
    found = evaluate(labelled(rows, SCHEMA.ids), scores, scores >= 0.5, SCHEMA)
    assert found["calibration_error"] == pytest.approx(0.5 / 3) and sum(found["reliability"]["count"]) == 3
    assert found["average_precision"] == {"price_fraud": 1} and set(found["precision_recall"]) == {"price_fraud"}
    assert found["labels"]["food_safety"]["positives"] == 1 and found["labels"]["food_safety"]["recall"] == 0


def test_pairs_are_right_when_both_sides_are():
    """Two right, one right and one wrong, and a row whose counterpart isn't there."""
    pairs = ["p", "p", "q", "q", "r"]
    data = labelled(
        [Row(f"第{i}行", ("food_safety",), meta={"pair": pair}) for i, pair in enumerate(pairs)], SCHEMA.ids
    )
    decided = cells_of(5, (0, FOOD), (1, FRAUD), (2, FOOD), (4, FOOD))  # of another label is right here, too
    assert minimal_pairs(data, decided) == {"pairs": 2, "both_right": 0.5}


@pytest.mark.parametrize(("copies", "shown"), [(15, True), (14, False)])
def test_slices_need_fifteen_rows(copies, shown):
    rows = [Row(f"第{i}行", ("food_safety",), channel="copy" if i < copies else "live") for i in range(copies + 15)]
    found = slices(labelled(rows, SCHEMA.ids), cells_of(len(rows), *((i, FOOD) for i in range(copies))), SCHEMA)
    assert ("channel" in found) == shown
    if shown:
        assert {name: (one["rows"], one["any_violation"]["f1"]) for name, one in found["channel"].items()} == {
            "copy": (15, 1), "live": (15, 0)}  # fmt: skip


def test_parts_resample_whole_rooms_too():
    rows = [Row(f"第{i}行", ("food_safety",), meta={"room": f"r{i % 2}"}) for i in range(60)]
    decided = cells_of(60, *((i, FOOD) for i in range(0, 60, 2)))  # right in one room, wrong in the other
    clear = slices(
        labelled([*rows, *(replace(row, contested=True) for row in rows)], SCHEMA.ids),
        np.concatenate([decided] * 2),
        SCHEMA,
    )["contested"]["clear"]
    assert clear["any_violation"]["high"] == 1.0


def test_a_row_in_which_no_label_was_looked_for_is_no_compliant_one():
    data = labelled(
        [Row("降压茶", annotated=()), Row("两盒装"), Row("三盒装", ("food_safety",), annotated=("food_safety",))],
        SCHEMA.ids,
    )
    assert data.told.tolist() == [False, True, True]
    assert false_alarms(data, cells_of(3, (0, FRAUD), (1, FRAUD)) & data.seen)["all"] == {"rows": 1, "rate": 1.0}


def test_rows_of_before_a_new_label_still_tell_of_false_alarms():
    """Nobody looked for the new label in them: what is asked of all of them must not depend on whether they violate."""
    old = tuple(label for label in SCHEMA.ids if label != "price_fraud")
    rows = [Row("降压茶", ("food_safety",), annotated=old), *(Row(f"{i}盒装", annotated=old) for i in range(3))]
    data = labelled(rows, SCHEMA.ids)
    decided = cells_of(4, (0, FOOD), (1, FOOD), (2, FRAUD))
    measured = evaluate(data, decided * 0.9, decided, SCHEMA)
    assert measured["any_violation"]["precision"] == 0.5 and measured["any_violation"]["predicted"] == 2
    assert measured["false_alarms"]["all"] == {"rows": 3, "rate": pytest.approx(1 / 3)}
    better, worse = cells_of(4, (0, FOOD)), decided & data.seen
    assert any_difference(data, better, worse, data.told).b == pytest.approx(2 / 3)


def test_the_table_counts_rows_with_the_label_not_those_decided():
    data = labelled([Row("降压茶", ("food_safety",)), Row("两盒装"), Row("三盒装")], SCHEMA.ids)
    decided = cells_of(3, (0, FOOD), (1, FOOD), (2, FOOD))
    out = io.StringIO()
    table = comparison_table({"it": quality(data, decided * 0.9, decided, SCHEMA)}, SCHEMA, "set")
    Console(file=out, width=160).print(table)
    assert table.row_count == 4  # any violation, core, all, and the one label that a row has
    for words in ("any violation", "all labels, micro", "food_safety"):
        (line,) = [line for line in out.getvalue().splitlines() if words in line]
        assert line.split("│")[2].strip() == "1" and "0.33 1.00 0.500" in line


def test_a_bundle_may_know_other_labels_than_the_schema(classifier):
    labels = ["brand_new", "price_fraud"]
    texts = ["原价九百九现在九块九", "今天两盒装"]
    raw = classifier.score(texts)
    scores = label_columns(classifier, labels, raw)
    assert np.isnan(scores[:, 0]).all()
    assert scores[:, 1].tolist() == raw[:, classifier.bundle.label_ids.index("price_fraud")].tolist()
    assert not decider(classifier, labels)(texts)[:, 0].any()


def test_the_baseline_learns_from_texts_that_share_nothing():
    baseline = TfidfBaseline(["a"]).fit(["根治", "好看", "包邮"], np.array([[True], [False], [False]]))
    scores = baseline.score(["根治", "好看", "包邮"])[:, 0]
    assert scores[0] > max(scores[1:])
    assert TfidfBaseline(["a"]).fit(["根治"], np.array([[True]])).score(["根治"]).tolist() == [[0.0]]


def test_tfidf_baseline_learns_nothing_from_rows_nobody_looked_at():
    texts = ["降血压 茶", "降血压 酒", "两盒 茶", "三盒 酒"] * 6
    truth = np.array([[True], [True], [False], [False]] * 6)
    seen = np.ones_like(truth)
    lies = np.concatenate([truth, ~truth])
    whole = TfidfBaseline(["a"]).fit(texts * 2, lies, np.concatenate([seen, ~seen]))
    half = TfidfBaseline(["a"]).fit(texts * 2, np.concatenate([truth, truth]), np.concatenate([seen, ~seen]))
    assert whole.score(texts) == pytest.approx(half.score(texts))
    whole.choose_thresholds(texts * 2, lies, ThresholdConfig(), np.concatenate([seen, ~seen]))
    assert (whole.decide(texts) == truth).all()


def test_hardest_errors_are_the_most_confident_of_each_label_and_kind():
    rows = [Row(f"第{i}行", ("food_safety",) if i < 4 else ()) for i in range(8)]
    rows.append(Row("没人看过", annotated=("price_fraud",)))
    data = labelled(rows, SCHEMA.ids)
    scores = scores_of(9, food_safety=[0.9, 0.1, 0.39, 0.02, 0.95, 0.5, 0.3, 0.2, 0.99])
    thresholds = np.full(len(SCHEMA.ids), np.inf)
    thresholds[FOOD] = 0.4
    found = hardest(data, scores, thresholds, 2)
    assert [(one.kind, one.row) for one in found] == [(MISSED, 3), (MISSED, 1), (FALSE_ALARM, 4), (FALSE_ALARM, 5)]
    assert {one.column for one in found} == {FOOD}
    assert found[0].margin == pytest.approx(0.95) and found[2].margin == pytest.approx(0.55 / 0.6)


def test_nearest_rows_are_those_of_like_wording():
    known = [Row("今天两盒装的拍一下"), Row("这款茶能降血糖"), Row("这个茶能降血压"), Row("今天三盒装的拍一下")]
    (tea, none) = nearest_rows(["这个茶能降血压", "qq"], known, count=2)
    assert [number for number, _ in tea] == [2, 1] and tea[0][1] == pytest.approx(1) and 0 < tea[1][1] < 1
    assert none == []


@pytest.fixture
def measured_rows(tmp_path: Path, root: Path) -> Path:
    """Some written rows, one of them with a label that it plainly doesn't deserve, another without one it does."""
    rows = [json.dumps({"text": row.text, "labels": list(row.labels)}, ensure_ascii=False) for row in
            read_rows([str(root / "data/corpus/b03.jsonl")])[:40]]  # fmt: skip
    rows.append(
        json.dumps({"text": "今天二号链接两盒装的拍一下<b>就好</b>", "labels": ["food_safety"]}, ensure_ascii=False)
    )
    rows.append(json.dumps({"text": "喝了我们这个茶糖尿病三个月就能停药治好了", "labels": []}, ensure_ascii=False))
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


@pytest.fixture
def measuring_config(tmp_path: Path, root: Path) -> Path:
    """Trains the baselines on one author batch."""
    splits = tmp_path / "splits.yaml"
    splits.write_text("validation: [b02]\ntest: [b03]\n", encoding="utf-8")
    data = {"written": [f"{root}/data/corpus/b0[123].jsonl"], "public_labels": [], "splits": str(splits)}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"data": data}), encoding="utf-8")
    return path


def test_page_and_record_hold_errors_with_evidence_and_training_rows(measured_rows, measuring_config, tmp_path):
    page, record = tmp_path / "out.html", tmp_path / "out.json"
    options = Options(errors=3, page=page, record=record)
    measured = evaluate_bundle(None, [str(measured_rows)], measuring_config, options, Console(quiet=True))
    assert json.loads(record.read_text(encoding="utf-8")) == measured
    assert set(measured["models"]) == {measured["bundle"], "word list", "TF-IDF + logistic regression"}
    errors = measured["models"][measured["bundle"]]["errors"]
    miss = next(e for e in errors if e["kind"] == MISSED and e["text"].startswith("今天二号链接"))
    alarm = next(e for e in errors if e["kind"] == FALSE_ALARM and e["text"].startswith("喝了我们"))
    assert miss["true"] == ["food_safety"] and alarm["label"] in alarm["decided"] and alarm["true"] == []
    for error in (miss, alarm):
        assert error["evidence"] and all(s["label"] == error["label"] for s in error["evidence"])
        assert all(error["text"][s["start"] : s["end"]] == s["text"] for s in error["evidence"])
        assert error["nearest"] and all(re.search(r"b01\.jsonl:\d+$", near["origin"]) for near in error["nearest"])
    html = page.read_text(encoding="utf-8")
    assert html.count("<article") == len(errors) and html.count("<figure>") > 1 and "<mark>" in html
    assert "<b>就好" not in html and not re.search(r"(src|href)=", html)
    assert "Not measured" in html  # the disguises
    assert not measured["trained_on"] and "stand among the training rows" not in html


@pytest.mark.parametrize(
    ("record", "page", "words"),
    [
        ("out.html", "x/../out.html", "--report .*out.html: the command reads this file or writes it otherwise"),
        ("rows.jsonl", "out.html", "--json .*rows.jsonl: the command reads this file"),
        ("out.json", "rows.jsonl", "--report .*rows.jsonl: the command reads this file"),
    ],
)
def test_an_output_over_the_rows_or_the_other_output_is_refused(tmp_path, record, page, words):
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "两盒装", "labels": []}\n', encoding="utf-8")
    options = Options(record=tmp_path / record, page=tmp_path / page)
    with pytest.raises(ConfigError, match=words):
        evaluate_bundle(None, [str(rows)], Path("configs/train/default.yaml"), options, Console(quiet=True))
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def test_what_another_threshold_costs_is_measured(measured_rows, measuring_config, tmp_path):
    page = tmp_path / "out.html"

    def of(*asked):
        options = Options(baselines=False, errors=0, page=page, thresholds=asked)
        console = Console(record=True, quiet=True)
        measured = evaluate_bundle(None, [str(measured_rows)], measuring_config, options, console)
        result = measured["models"][measured["bundle"]]
        return measured["thresholds"], result["labels"]["food_safety"], result["average_precision"]

    none, own, ranking = of()
    assert "thresholds given" not in page.read_text(encoding="utf-8")
    asked, low, same = of("食品安全违法宣称=0.0001")
    told = re.sub("<[^>]+>", "", page.read_text(encoding="utf-8"))
    assert "by the thresholds given: 食品安全违法宣称 food_safety 0.0001; other labels by their own" in told
    assert none is None and asked == {"food_safety": 0.0001} and ranking == same
    assert low["recall"] == 1 > own["recall"] and low["precision"] < own["precision"]


def test_no_errors_asked_no_texts_kept(measured_rows, measuring_config, tmp_path):
    record = tmp_path / "out.json"
    command = ["evaluate", "--rows", str(measured_rows), "--config", str(measuring_config), "--no-baselines"]
    app = typer.Typer()
    cli.register(app)
    done = CliRunner().invoke(app, [*command, "--json", str(record), "--errors", "0"])
    assert done.exit_code == 0, done.output
    assert "两盒装" not in record.read_text(encoding="utf-8")
    measured = json.loads(record.read_text(encoding="utf-8"))
    assert list(measured["models"]) == [measured["bundle"]] and measured["rows"] == 42


def test_rows_that_are_trained_on_are_counted_and_the_baseline_learns_without_them(
    measuring_config, tmp_path, root, monkeypatch
):
    measured_file = root / "data/corpus/b01.jsonl"  # a training batch; its first row stands in another file, too
    copy = tmp_path / "copy.jsonl"
    first = json.loads(measured_file.read_text(encoding="utf-8").splitlines()[0])
    again = {"id": "x1", "text": f"{first['text']}！", "labels": first["labels"], "batch": "other"}
    other = {"id": "x2", "text": "今天两盒装的拍一下", "labels": [], "batch": "other"}
    copy.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in (again, other)), encoding="utf-8")
    settings = yaml.safe_load(measuring_config.read_text(encoding="utf-8"))
    settings["data"] |= {"written": [*settings["data"]["written"], str(copy)], "public_labels": []}
    measuring_config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    learnt = []
    fit = TfidfBaseline.fit
    monkeypatch.setattr(
        TfidfBaseline, "fit", lambda self, texts, *more: learnt.append(texts) or fit(self, texts, *more)
    )
    out = io.StringIO()
    options = Options(baselines=False, errors=1, page=tmp_path / "out.html")
    sets, console = [str(measured_file)], Console(file=out, width=200)
    measured = evaluate_bundle(None, sets, measuring_config, options, console)
    rows = len(read_rows(measured_file))
    assert measured["trained_on"] == rows and f"{rows:,} of these rows stand among the training rows" in out.getvalue()
    assert f"{rows:,} of the rows stand among the training rows" in (tmp_path / "out.html").read_text(encoding="utf-8")
    evaluate_bundle(None, sets, measuring_config, Options(errors=0), Console(quiet=True))
    assert learnt == [["今天两盒装的拍一下"]]
    with pytest.raises(ConfigError, match="no training row is left for TF-IDF; add --no-baselines"):
        evaluate_bundle(None, [*sets, str(copy)], measuring_config, Options(errors=0), Console(quiet=True))


def test_a_hashed_set_is_joined_and_a_missing_text_is_said(measuring_config, tmp_path):
    text = "前一句。这个茶喝完血压就降了"
    place = {"doc": text_key(text), "start": 4, "end": len(text)}
    record = {"id": "1", "sha256": text_key(text[4:]), **place, "labels": []}
    hashed = tmp_path / "hashed.jsonl"
    hashed.write_text(json.dumps(record) + "\n", encoding="utf-8")
    cache, settings = tmp_path / "cache", yaml.safe_load(measuring_config.read_text(encoding="utf-8"))
    settings["data"]["public_cache"] = str(cache)
    measuring_config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    command = ["evaluate", "--rows", str(hashed), "--config", str(measuring_config), "--no-baselines"]
    app = typer.Typer()
    cli.register(app)
    with pytest.raises(ConfigError, match="1 hashed labels find no text"):
        CliRunner().invoke(app, command, catch_exceptions=False)
    cache.mkdir()
    (cache / "texts.jsonl").write_text(json.dumps({"text": text}, ensure_ascii=False), encoding="utf-8")
    done = CliRunner().invoke(app, [*command, "--json", str(tmp_path / "out.json")])
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["rows"] == 1


@pytest.mark.parametrize(
    ("held", "said"),
    [("", "no labelled row to measure on"), ('{"text": "两盒装", "labels": [], "annotated": []}', "nobody looked for")],
)
def test_rows_that_measure_nothing_are_named(tmp_path, held, said):
    (tmp_path / "none.jsonl").write_text(held, encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"none\.jsonl: {said}"):
        read_sets([str(tmp_path / "none.jsonl")], tmp_path, SCHEMA)
