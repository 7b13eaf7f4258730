"""Labelled tables, of every kind that is scored, come in as rows that can be checked and trained on, or not at all."""

from __future__ import annotations

import json
from datetime import date

import openpyxl
import pyarrow
import pytest
from pyarrow import parquet
from typer.testing import CliRunner
from zhenyan.inference.errors import InputError
from zhenyan.inference.io.writing import write_output
from zhenyan.training.cli import data
from zhenyan.training.rows import read_rows

LINES = ("喝完血压就降，原价一千九", "两盒装今天发", "贴上膏药腰就不疼", "棉拖鞋包邮到家")


def called(*words):
    return CliRunner().invoke(data, list(map(str, words)), catch_exceptions=False)


def imported(tmp_path, file, *more):
    """What is said of a file whose labels stand in 标签."""
    return called("import", file, "-o", tmp_path / "mine.jsonl", "--labels-column", "标签", *more).output


def csv(tmp_path, *lines):
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def rows(tmp_path):
    return read_rows(tmp_path / "mine.jsonl")


def test_from_a_table_to_checked_rows(tmp_path):
    file = csv(
        tmp_path, "文案,标签,channel,domain,备注", f'"{LINES[0]}",food_safety；价格违法,抖音,tea,', f"{LINES[1]},,copy,,甲",
        f"{LINES[2]},合规,live,, ",
    )  # fmt: skip
    said = imported(tmp_path, file, "--batch", "mine")
    assert "mine.jsonl: 3 rows, 2 of them compliant; left out: 0 repeated lines, 0 that could not be read" in said
    first, second, third = rows(tmp_path)
    assert (first.text, first.labels, first.channel) == (LINES[0], ("food_safety", "price_fraud"), "copy")
    assert first.meta == {"batch": "mine", "input.channel": "抖音", "domain": "tea"}
    assert (second.labels, second.annotated, second.meta["备注"]) == ((), None, "甲")
    assert (third.channel, third.group) == ("live", "mine") and len({first.id, second.id, third.id}) == 3
    assert called("check", tmp_path / "mine.jsonl").exit_code == 0


def workbook(path, records):
    sheet = openpyxl.Workbook()
    for record in ([*records[0]], *([*one.values()] for one in records)):
        sheet.active.append([json.dumps(one) if isinstance(one, list) else one for one in record])
    sheet.save(path)


def lines(path, records):
    path.write_text("".join(json.dumps(one, default=str) + "\n" for one in records), encoding="utf-8")


def columns(path, records):
    parquet.write_table(pyarrow.Table.from_pylist(records), path)


@pytest.mark.parametrize(("name", "write"), [("a.xlsx", workbook), ("a.jsonl", lines), ("a.parquet", columns)])
def test_every_kind_of_table_that_is_scored_is_read(tmp_path, name, write):
    labels = (["food_safety", "价格违法"], None, [], ["public_order"])
    if name == "a.xlsx":
        labels = (*labels[:2], "", *labels[3:])
    write(
        tmp_path / name,
        [{"话术": text, "标签": one, "日期": date(2026, 11, 24)} for text, one in zip(LINES, labels, strict=True)],
    )
    imported(tmp_path, tmp_path / name, "--batch", "mine")
    assert [row.labels for row in rows(tmp_path)] == [("food_safety", "price_fraud"), (), (), ("public_order",)]
    assert all("2026-11-24" in row.meta["日期"] and "话术" not in row.meta for row in rows(tmp_path))


@pytest.mark.parametrize(
    "cell",
    ["food_safety;虚假宣传", "food_safety；false_propaganda", "虚假宣传,food_safety", "虚假宣传，食品安全违法宣称", "虚假宣传、food_safety",
     "虚假宣传|food_safety", "虚假宣传/food_safety", "虚假宣传／食品安全违法宣称", " 虚假宣传  food_safety\n", '["虚假宣传", "food_safety"]', "['food_safety', 'false_propaganda']"],
)  # fmt: skip
def test_several_labels_in_a_cell(tmp_path, cell):
    quoted = cell.replace('"', '""')
    imported(tmp_path, csv(tmp_path, "text,标签", f'{LINES[1]},"{quoted}"'), "--batch", "mine")
    assert [row.labels for row in rows(tmp_path)] == [("false_propaganda", "food_safety")]


@pytest.mark.parametrize("cell", ["合规", "compliant", "Compliant", "COMPLIANT"])
def test_compliant_in_any_case_is_no_label(tmp_path, cell):
    imported(tmp_path, csv(tmp_path, "text,标签", f"{LINES[1]},{cell}"), "--batch", "mine")
    assert [row.labels for row in rows(tmp_path)] == [()]


def test_a_column_says_which_labels_were_looked_for(tmp_path):
    file = csv(tmp_path, "text,标签,annotated", f"{LINES[1]},,虚假宣传;food_safety", f"{LINES[2]},food_safety,")
    imported(tmp_path, file, "--batch", "mine")
    assert [row.annotated for row in rows(tmp_path)] == [("false_propaganda", "food_safety"), None]


def test_lines_of_rooms_need_no_batch(tmp_path):
    imported(
        tmp_path, csv(tmp_path, "text,标签,直播间,开始", f"{LINES[1]},,甲的房间,00:01:05", f"{LINES[2]},,乙的房间,65")
    )
    assert [(row.group, row.writer, row.channel, row.meta["start"]) for row in rows(tmp_path)] == [
        ("甲的房间", "", "live", 65.0), ("乙的房间", "", "live", 65.0)
    ]  # fmt: skip


def test_a_repeated_line_comes_in_once_and_a_line_without_a_text_is_named(tmp_path):
    file = csv(tmp_path, "text,标签,备注", f"{LINES[1]},,", f"{LINES[1]}。,compliant,", ",food_safety,缺")
    said = imported(tmp_path, file, "--batch", "mine")
    assert "1 rows, 1 of them compliant; left out: 1 repeated lines, 1 that could not be read" in said
    assert f"{file} line 4: column 'text' is empty" in said and len(rows(tmp_path)) == 1


@pytest.mark.parametrize(
    ("table", "more", "said"),
    [
        (["text,label", "甲,"], ("--batch", "mine"), r"mine\.csv line 2: no column '标签' \(--labels-column\); its columns are text, label$"),
        (["text,标签", "甲,假货", "乙,", "丙,food_safety x"], ("--batch", "mine"),
         r"mine\.csv line 2: unknown label 假货\n.*mine\.csv line 4: unknown label x\nthe schema has .*food_safety 食品安全违法宣称"),
        (["text,标签", "甲,合规；food_safety"], ("--batch", "mine"), "line 2: both compliant and food_safety; take one out$"),
        (["text,标签,annotated", "甲,food_safety,价格违法"], ("--batch", "mine"), "line 2: label food_safety isn't in `annotated`"),
        (["text,标签,annotated", "甲,,假货"], ("--batch", "mine"), "line 2, column 'annotated': unknown label 假货"),
        (["text,标签", "甲,"], (), "line 2: no batch and no room; name who wrote or labelled these lines with --batch$"),
        (["text,标签", "甲,", "甲！,food_safety"], ("--batch", "mine"), r"line 3: the text of .*mine\.csv line 2 with other labels; keep"),
        (["text,标签,annotated", "甲,,food_safety", "甲！,,"], ("--batch", "mine"),
         r"line 3: the text of .*mine\.csv line 2 with other labels in `annotated`; keep"),
        (["text,标签,kind", "甲,food_safety,plain"], ("--batch", "mine"), "line 2: kind plain is of compliant rows"),
        (["text,标签,domain", '甲,,"tea "'], ("--batch", "mine"), "line 2: field 'domain' must not begin or end with a space"),
        (["text,标签", ",food_safety"], ("--batch", "mine"), r"no line with a text\n.*line 2: column 'text' is empty$"),
        (["a,标签", "甲,"], ("--batch", "mine"), "no text column; its columns are a, 标签; name one with --text-column"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_by_line_and_nothing_is_written(tmp_path, table, more, said):
    with pytest.raises(InputError, match=said):
        imported(tmp_path, csv(tmp_path, *table), *more)
    assert not (tmp_path / "mine.jsonl").exists()


def test_of_many_faults_the_first_are_told(tmp_path):
    with pytest.raises(InputError) as caught:
        imported(tmp_path, csv(tmp_path, "text,标签", *(f"第{n}行,假货" for n in range(30))), "--batch", "mine")
    *faults, more, known = str(caught.value).splitlines()
    assert len(faults) == 20 and more == "and 10 more" and known.startswith("the schema has")


@pytest.mark.parametrize("name", ["scored.jsonl", "scored.csv", "scored.parquet"])
def test_what_a_model_said_of_a_line_is_no_part_of_its_row(tmp_path, name):
    """In what `zhenyan score` wrote of a colleague's table, whose own `labels` are `input.labels` there."""
    scored = [
        {"text": text, "domain": "tea", "input.labels": told, "labels": ["price_fraud"], "scores": {"price_fraud": 0.9},
         "evidence": [{"start": 0, "end": 2, "text": text[:2], "label": "price_fraud"}], "model": "zhenyan-1"}
        for text, told in zip(LINES[:2], ("food_safety", None), strict=True)
    ]  # fmt: skip
    write_output(tmp_path / name, lambda: scored)
    arguments = ["-o", tmp_path / "mine.jsonl", "--labels-column", "input.labels", "--batch", "mine"]
    said = called("import", tmp_path / name, *arguments).output
    score = "score.LABEL" if name == "scored.csv" else "scores"
    assert f"what a model said of the lines: column evidence, labels, model, {score}; give a column" in said
    assert [(row.labels, row.meta) for row in rows(tmp_path)] == [
        (("food_safety",), {"domain": "tea", "batch": "mine"}), ((), {"domain": "tea", "batch": "mine"})
    ]  # fmt: skip


def test_a_reviews_table_of_findings_is_no_table_of_labelled_lines(tmp_path):
    """An open finding would count as a compliant line."""
    file = csv(tmp_path, "原话,触发词语,决定,标签,决定类别", "喝了三高就降,三高就降,待审查,,")
    with pytest.raises(InputError, match="export with --to rows instead"):
        imported(tmp_path, file, "--batch", "mine", "--text-column", "原话")
    assert not (tmp_path / "mine.jsonl").exists()


def test_an_encoding_that_was_not_detected_can_be_named(tmp_path):
    """The note of the detected one says so."""
    file = tmp_path / "mine.csv"
    file.write_bytes("text,tag\n棉拖鞋包郵到家,\n".encode("big5"))
    named = ["--labels-column", "tag", "--batch", "mine", "--encoding", "big5"]
    called("import", file, "-o", tmp_path / "mine.jsonl", *named)
    assert [row.text for row in rows(tmp_path)] == ["棉拖鞋包郵到家"]


def test_notes_name_no_option_that_this_command_lacks(tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text("店铺,时间,text,tag\n甲,00:00:01,棉拖鞋包邮到家,\n", encoding="utf-8")
    told = called("import", file, "-o", tmp_path / "mine.jsonl", "--labels-column", "tag", "--batch", "mine").output
    assert "no column is read as the room" in told and "--stream-column" not in told
