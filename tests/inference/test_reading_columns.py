"""Which columns and sheets of a table are read, and that no field of a row is lost."""

import gzip
import json
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from zhenyan.inference.classifier import Prediction
from zhenyan.inference.errors import InputError
from zhenyan.inference.io import Options, Reject, read_items, tables, workbooks
from zhenyan.inference.io.items import Item
from zhenyan.inference.runs.inputs import Placed, Work
from zhenyan.inference.runs.scoring import own_fields, score_part

LINE = "喝这个茶三高就降下来了"


def given(path, text):
    path.write_text(text, encoding="utf-8")
    return str(path)


def workbook(path, **sheets):
    import openpyxl

    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return str(path)


@pytest.mark.parametrize(
    ("header", "read", "others"),
    [("标题,文案", "文案", "标题"), ("文案,text", "text", "文案"), ("title,文案,内容", "内容", "文案, title")],
)
def test_a_title_is_the_last_choice_and_other_texts_are_noted(tmp_path, header, read, others):
    names = header.split(",")
    path = given(tmp_path / "a.csv", f"{header}\n{header}\n")
    options = Options()
    (item,) = read_items(path, options)
    assert item.text == read
    assert [*map(str, options.notes)] == [
        f"{path}: the text is read from {read}, not from {others}; name another with --text-column"
    ]
    options = Options(text_column=names[0])
    assert [i.text for i in read_items(path, options)] == names[:1] and not options.notes


def test_repeated_columns_are_numbered_or_refused(tmp_path):
    (tmp_path / "b").mkdir()
    arrays = [pa.array([LINE]), pa.array(["甲"]), pa.array(["乙"])]
    for folder, names in ((tmp_path, ["文案", "备注", "备注"]), (tmp_path / "b", ["文案", "文案", "备注"])):
        given(folder / "a.csv", f"{','.join(names)}\n{LINE},甲,乙\n")
        parquet.write_table(pa.Table.from_arrays(arrays, names), folder / "a.parquet")
        workbook(folder / "a.xlsx", Sheet=[names, [LINE, "甲", "乙"]])
    for name in ("a.csv", "a.parquet", "a.xlsx"):
        (item,) = read_items(str(tmp_path / name), Options())
        assert item.record == {"text": LINE, "文案": LINE, "备注": "甲", "备注.2": "乙"}
        with pytest.raises(InputError, match="2 columns are named '文案'; rename"):
            list(read_items(str(tmp_path / "b" / name), Options()))


def test_numbers_pass_over_names_that_are_taken(tmp_path):
    path = given(tmp_path / "a.csv", f"文案,备注,备注,备注.2,备注\n{LINE},甲,乙,丙,丁\n")
    (item,) = read_items(path, Options())
    assert item.record == {"text": LINE, "文案": LINE, "备注": "甲", "备注.3": "乙", "备注.2": "丙", "备注.4": "丁"}


@pytest.mark.parametrize(
    ("header", "read"), [("text,Text", "text"), ("Text,text,x", "Text"), ("TEXT,文案,text", "TEXT")]
)
def test_of_columns_that_differ_in_case_the_first_is_read(tmp_path, header, read):
    names = header.split(",")
    path = given(tmp_path / "a.csv", f"{header}\n{header.replace('ext', 'ext!').replace('EXT', 'EXT!')}\n")
    options = Options()
    (item,) = read_items(path, options)
    assert item.text == f"{read}!"
    others = {name: name.replace("ext", "ext!") for name in names if name != read}
    kept = {f"input.{name}" if name == "text" else name: value for name, value in others.items()}
    assert kept.items() <= item.record.items()
    said = ", ".join(sorted({*others} - {"x"}))
    assert [*map(str, options.notes)] == [
        f"{path}: the text is read from {read}, not from {said}; name another with --text-column"
    ]


def test_times_in_columns_that_differ_in_case(tmp_path):
    (item,) = read_items(given(tmp_path / "a.csv", f"text,Start,start\n{LINE},1,2\n"), Options())
    assert item.record == {"text": LINE, "Start": "1", "start": 1.0, "input.start": "2"}


def test_a_header_is_known_in_any_case_and_with_spaces(tmp_path):
    path = given(tmp_path / "a.jsonl", json.dumps({" Text ": LINE, "START": 3}))
    (item,) = read_items(path, Options())
    assert (item.text, item.record["start"]) == (LINE, 3.0)


@pytest.mark.parametrize(
    ("text", "room"), [("ASR Result", "Room Name"), ("asrResult", "channelName"), ("asr-result", "File Name")]
)
def test_a_text_and_a_room_are_known_in_any_spelling(tmp_path, text, room):
    path = given(tmp_path / "a.csv", f"{text},{room},speaker,Start_Sale\n{LINE},甲,乙,丙\n")
    options = Options()
    (item,) = read_items(path, options)
    assert (item.text, item.record["stream"], item.record["speaker"]) == (LINE, "甲", "乙")
    assert "start" not in item.record and not options.notes


def test_of_two_spellings_the_first_is_read(tmp_path):
    options = Options()
    (item,) = read_items(given(tmp_path / "a.csv", f"asrResult,asr_result\n{LINE},x\n"), options)
    assert item.text == LINE and ["not from asr_result" in note for note in map(str, options.notes)] == [True]


def test_rows_of_json_lines_may_name_their_text_differently(tmp_path):
    path = given(tmp_path / "a.jsonl", "".join(json.dumps(row) + "\n" for row in ({"text": "甲"}, {"content": "乙"})))
    assert [item.text for item in read_items(path, Options())] == ["甲", "乙"]


def test_a_column_that_no_row_of_json_lines_has_is_an_error_as_in_csv(tmp_path):
    rows = [{"a": 1}, {"said": LINE}, {"text": LINE}]
    path = given(tmp_path / "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(InputError, match=r"no column 'saidd' \(--text-column\); its columns are a"):
        list(read_items(path, Options(text_column="saidd")))
    items = list(read_items(path, Options(text_column="said")))
    assert [i.place for i in items if isinstance(i, Reject)] == ["line 1", "line 3"]
    assert items[0].reason == "no column 'said' (--text-column); its columns are a" and items[1].text == LINE


def test_few_characters_are_held_while_the_column_asked_for_is_looked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "_FIRST_CHARS", 250)
    lines = (json.dumps({"other": "x" * 90}) + "\n" for _ in range(900))
    assert len(tables._first(lines)) == 3
    path = given(tmp_path / "a.jsonl", "".join(lines) + json.dumps({"said": LINE}))
    assert [i.text for i in read_items(path, Options(text_column="said")) if not isinstance(i, Reject)] == [LINE]
    given(tmp_path / "a.jsonl", json.dumps({"other": "x"}))
    with pytest.raises(InputError, match="no column 'said'"):
        list(read_items(path, Options(text_column="said")))


MODEL = "zhenyan-0123456789ab"


def scored(record):
    return {**own_fields(record), "labels": [], "scores": {"a": 0.1}, "evidence": [], "model": MODEL}


def read_one(tmp_path, record, **options):
    (item,) = read_items(given(tmp_path / "a.jsonl", json.dumps(record)), Options(**options))
    return item.record


@pytest.mark.parametrize("name", ["正文", "商品描述", "卖点文案", "发言"])
def test_what_says_more_comes_before_a_title(tmp_path, name):
    assert read_one(tmp_path, {"标题": "降糖茶", name: LINE, "价格": "9.9"})["text"] == LINE


def test_a_rows_own_fields_are_kept_under_another_name(tmp_path):
    own = {"model": "P70", "labels": "待审", "scores": 5, "evidence": "有图", "truncated": "否"}
    others = {"text": "SKU-778", "start": 7, "end": 9, "stream": "旧"}
    columns = {"文案": LINE, "从": 1, "到": 2, "间": "新"}
    options = {"text_column": "文案", "start_column": "从", "end_column": "到", "stream_column": "间"}
    row = scored(read_one(tmp_path, own | others | columns, **options))
    assert {key: row[f"input.{key}"] for key in own | others} == own | others
    assert (row["text"], row["start"], row["end"], row["stream"], row["model"]) == (LINE, 1.0, 2.0, "新", MODEL)
    again = scored(read_one(tmp_path, row, **options))
    assert again == row  # scored again: an earlier judgement is replaced, nothing piles up


def test_a_field_that_is_called_as_another_is_kept_under_keeps_its_value():
    row = scored({"text": LINE, "model": "P70", "input.model": "旧"})
    assert (row["model"], row["input.model"], row["input.input.model"]) == (MODEL, "旧", "P70")


def test_a_field_that_only_repeats_what_was_read_gets_no_second_name(tmp_path):
    assert read_one(tmp_path, {"text": LINE, "文案": LINE}, text_column="文案") == {"text": LINE, "文案": LINE}
    assert "input.text" not in read_one(tmp_path, {"text": None, "文案": LINE}, text_column="文案")
    assert read_one(tmp_path, {"text": LINE, "start": "00:01"})["start"] == 1.0


def test_the_judgement_of_a_table_that_was_scored_is_known_by_its_score_columns():
    row = scored(
        {
            "text": LINE,
            "labels": "a",
            "score.a": "0.9",
            "score.b": "0.1",
            "evidence": "[]",
            "model": "zhenyan-ba9876543210",
        }
    )
    assert row == {"text": LINE, "labels": [], "scores": {"a": 0.1}, "evidence": [], "model": MODEL}


def test_another_models_judgement_is_the_rows_own():
    own = {"model": "iPhone 15", "score.taste": "9", "labels": "人工:违法", "evidence": "摘录"}
    row = scored({"text": LINE, **own})
    kept = {"input.model": "iPhone 15", "score.taste": "9", "input.labels": "人工:违法", "input.evidence": "摘录"}
    assert kept.items() <= row.items() and row["labels"] == []


def test_a_table_that_was_scored_again_and_again_holds_one_source_of_before(tmp_path):
    """Each run made input.source one longer: input.input.source."""
    row = {
        "text": LINE,
        "source": "a.csv line 2",
        "labels": "a",
        "score.a": "0.9",
        "evidence": "[]",
        "model": "zhenyan-ba9876543210",
    }
    again = scored(row)
    assert again["source"] == "a.csv line 2"  # it may be the row's own
    kept = scored(row | {"source": "b.csv line 2", "input.source": "a.csv line 2"})
    assert "source" not in kept and kept["input.source"] == "a.csv line 2"
    own = {"text": LINE, "source": "店", "input.source": "旧"}
    assert own.items() <= scored(own).items()  # never judged, so both are its own


@pytest.mark.parametrize("asked", [{}, {"start_column": "Start"}])
def test_a_table_with_the_times_that_were_read_gets_no_second_ones(tmp_path, asked):
    """`start` was compared as text with the seconds of `Start`, and kept as input.start, input.input.start."""
    record = {"text": LINE, "Start": "00:00:01", "start": 1.0}
    for path in (given(tmp_path / "a.csv", f"text,Start,start\n{LINE},00:00:01,1.0\n"),
                 given(tmp_path / "a.jsonl", json.dumps(record))):  # fmt: skip
        (item,) = read_items(path, Options(**asked))
        assert item.record == record


def test_a_score_of_a_rows_own_is_no_earlier_judgement():
    row = scored({"text": LINE, "score.taste": 5, "labels": "甜"})
    assert (row["score.taste"], row["input.labels"]) == (5, "甜")


@pytest.mark.parametrize("more", [{}, {"labels": "甜"}])
def test_a_score_of_a_rows_own_that_is_called_as_one_of_a_label_is_kept_under_another_name(more):
    """Tables held the run's alone, and JSON lines both."""
    own = {"score.a": "我的", "score.taste": 5, **more}
    classifier = SimpleNamespace(
        bundle=SimpleNamespace(id=MODEL, label_ids=("a",)), explain=False, clear_cache=lambda: None,
        predict=lambda texts, explain: [Prediction(text, (), {"a": 0.1}) for text in texts],
    )  # fmt: skip
    work = Work(0, None, (Placed(0, Item({"text": LINE, **own}, "line 1")),))
    row = json.loads(score_part(classifier, work, context=False).splitlines()[0])["row"]
    kept = {"input.score.a": "我的", "score.taste": 5, **{f"input.{key}": value for key, value in more.items()}}
    judged = {"labels": [], "scores": {"a": 0.1}, "evidence": [], "model": MODEL}
    assert row == {"text": LINE, **kept, **judged}


def test_the_first_sheet_with_rows_is_read_and_the_others_are_named(tmp_path):
    path = workbook(tmp_path / "a.xlsx", 空=[], 一月=[[None], ["文案"], [LINE]], 二月=[["文案"], ["x"]], 末=[])
    options = Options()
    (item,) = read_items(path, options)
    assert (item.text, item.place) == (LINE, "row 3")
    assert [*map(str, options.notes)] == [f"{path}: read sheet 一月; not read: 二月"]
    with pytest.raises(InputError, match="sheet 说明: no text column"):
        list(read_items(workbook(tmp_path / "b.xlsx", 说明=[["甲", "乙"]], 数据=[["文案"]]), Options()))
    assert list(read_items(workbook(tmp_path / "c.xlsx", 空=[]), Options())) == []


def test_hidden_sheets_are_not_read_but_named(tmp_path):
    import openpyxl

    path = workbook(tmp_path / "a.xlsx", 旧=[["文案"], ["x"]], 新=[["文案"], [LINE]], 底=[["文案"], ["y"]])
    book = openpyxl.load_workbook(path)
    book["旧"].sheet_state, book["底"].sheet_state = "hidden", "veryHidden"
    book.active = 1
    book.save(path)
    options = Options()
    assert [item.text for item in read_items(path, options)] == [LINE]
    assert [*map(str, options.notes)] == [f"{path}: read sheet 新; not read: 旧 (hidden), 底 (hidden)"]
    book["新"].delete_rows(1, 2)
    book.save(path)
    options = Options()
    assert list(read_items(path, options)) == []
    empty = f"{path}: no rows in it: nothing of it is scored"
    assert [*map(str, options.notes)] == [f"{path}: read no sheet; not read: 旧 (hidden), 底 (hidden)", empty]


def test_of_a_workbook_that_begins_with_instructions_the_other_sheets_are_named(tmp_path):
    import openpyxl

    path = workbook(tmp_path / "a.xlsx", 说明=[["本表由运营填写"], ["请勿改动"]], 数据=[["文案"], [LINE]], 空=[])
    moved = "move the one to be read to the front, or hide this one"
    with pytest.raises(InputError, match=f"sheet 说明: no text column; .*; other sheets: 数据 - {moved}$"):
        list(read_items(path, Options()))
    with pytest.raises(InputError, match=f"sheet 说明: no column '说' .*; other sheets: 数据 - {moved}$"):
        list(read_items(path, Options(text_column="说")))
    book = openpyxl.load_workbook(path)
    book["数据"].sheet_state = "hidden"
    book.save(path)
    with pytest.raises(InputError, match=r"other sheets: 数据 \(hidden\) - show the one to be read, hide this one$"):
        list(read_items(path, Options()))
    book["数据"].sheet_state, book["说明"].sheet_state = "visible", "hidden"
    book.active = 1
    book.save(path)
    assert [item.text for item in read_items(path, Options())] == [LINE]
    with pytest.raises(InputError, match="no text column") as error:
        list(read_items(workbook(tmp_path / "b.xlsx", 说明=[["甲", "乙"]]), Options()))
    assert "other sheets" not in str(error.value)


@pytest.mark.parametrize("chunk", [64, 1 << 20])
def test_merged_cells_have_their_value_in_every_row(tmp_path, monkeypatch, chunk):
    import openpyxl

    monkeypatch.setattr(workbooks, "_CHUNK", chunk)
    rows = [["甲", "a", "x"], [None, "b"], [None, "c"], ["乙", "d", "y"], [None, "e"], [None, None, "z"]]
    path = workbook(tmp_path / "a.xlsx", 表=[["第48周"], ["直播间", "文案", "主播"], *rows])
    book = openpyxl.load_workbook(path)
    book.active.delete_rows(1)
    for merged in ("A2:A4", "A5:A6", "C2:D3", "B6:B7"):
        book.active.merge_cells(merged)
    book.save(path)
    items = list(read_items(path, Options()))
    assert [item.record.get("stream") for item in items] == ["甲", "甲", "甲", "乙", "乙"]
    assert [item.record["主播"] for item in items] == ["x", "x", None, "y", None]
    assert [item.place for item in items] == [f"row {at}" for at in range(2, 7)]  # a merged text is scored once


def test_a_text_merged_over_rows_takes_no_value_from_what_begins_beside_it(tmp_path):
    import openpyxl

    rows = [["甲", LINE], ["乙", None], [None, "买"], [None, None], ["丁", "好"]]
    path = workbook(tmp_path / "a.xlsx", 表=[["直播间", "文案"], *rows])
    book = openpyxl.load_workbook(path)
    for merged in ("B2:B3", "A3:A5"):
        book.active.merge_cells(merged)
    book.save(path)
    assert [(item.text, item.record["stream"], item.place) for item in read_items(path, Options())] == [
        (LINE, "甲", "row 2"),
        ("买", "乙", "row 4"),
        ("好", "丁", "row 6"),
    ]


def test_an_empty_sheet_of_charts_is_passed_over(tmp_path):
    import openpyxl

    book = openpyxl.load_workbook(workbook(tmp_path / "a.xlsx", 表=[["文案"], [LINE]]))
    book.create_chartsheet("图")
    book.save(tmp_path / "a.xlsx")
    options = Options()
    assert [item.text for item in read_items(str(tmp_path / "a.xlsx"), options)] == [LINE] and not options.notes


@pytest.mark.parametrize("fault", ["#REF!", "#N/A", "#VALUE!", "#DIV/0!", "#NAME?"])
def test_a_spreadsheets_error_is_no_text(tmp_path, fault):
    rows = [["时间", "文案"], [fault, LINE], ["00:00:05", fault], ["00:00:09", f"{fault}号"]]
    given(tmp_path / "a.csv", "".join(",".join(row) + "\n" for row in rows))
    for path in (workbook(tmp_path / "a.xlsx", 表=rows), str(tmp_path / "a.csv")):
        first, reject, last = read_items(path, Options())
        assert (first.text, last.text) == (LINE, f"{fault}号")
        assert (reject.reason, reject.value) == (
            f"column '文案' holds {fault}, a spreadsheet's error, not a text; mend its formula",
            fault,
        )


def test_a_workbook_of_charts_is_refused(tmp_path):
    import openpyxl

    for name, drawn in (("a.xlsx", True), ("b.xlsx", False)):
        book = openpyxl.Workbook()
        sheet = book.create_chartsheet("图")
        if drawn:
            sheet.add_chart(openpyxl.chart.BarChart())
        book.remove(book.active)
        book.save(tmp_path / name)
        with pytest.raises(InputError, match=r"has no worksheet|not a readable XLSX"):
            list(read_items(str(tmp_path / name), Options()))


def test_a_compressed_workbook(tmp_path):
    workbook(tmp_path / "a.xlsx", 表=[["文案"], [LINE]])
    (tmp_path / "a.xlsx.gz").write_bytes(gzip.compress((tmp_path / "a.xlsx").read_bytes()))
    assert [i.text for i in read_items(str(tmp_path / "a.xlsx.gz"), Options())] == [LINE]
