"""What tables and transcripts of other shapes are taken for: two-row headers, other formats, nothing, packed texts."""

import json
from pathlib import Path

import openpyxl
import pytest
from zhenyan.inference.errors import InputError
from zhenyan.inference.io import Options, read_items

LINE = "喝这个茶三高就降下来了"
GROUPS = [["直播信息", None, "内容", None], ["序号", "直播间", "开始时间", "话术"], ["1", "养生堂", "00:00:01", LINE]]


def workbook(path, rows, merged=()):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for cells in merged:
        book.active.merge_cells(cells)
    book.save(path)
    return str(path)


def table(path, rows):
    path.write_text("".join(",".join(cell or "" for cell in row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def read(path, **asked):
    options = Options(**asked)
    return list(read_items(path, options)), [*map(str, options.notes)]


def test_of_two_rows_of_header_the_lower_is_read(tmp_path):
    for path, place in (
        (workbook(tmp_path / "a.xlsx", GROUPS, ["A1:B1", "C1:D1"]), "row"), (table(tmp_path / "a.csv", GROUPS), "line"),
    ):  # fmt: skip
        (item,), notes = read(path)
        assert (item.text, item.record["stream"], item.record["start"], item.place) == (
            LINE,
            "养生堂",
            1.0,
            f"{place} 3",
        )
        assert notes == [f"{path}: the header is read from {place} 2, for the row above it names groups of columns"]


def test_a_name_merged_over_both_rows_of_a_header_counts(tmp_path):
    rows = [["序号", "直播间", "内容", None], [None, None, "时间", "话术"], ["1", "养生堂", "00:00:01", LINE]]
    for path in (workbook(tmp_path / "a.xlsx", rows, ["A1:A2", "B1:B2", "C1:D1"]), table(tmp_path / "a.csv", rows)):
        (item,), _ = read(path)
        assert (item.text, item.record["stream"], item.record["序号"]) == (LINE, "养生堂", "1")


@pytest.mark.parametrize("below", [["1", "内容"], ["标题", "一句话"], ["文案", "直播间"], ["a", "text"]])
def test_a_row_of_data_is_no_header(tmp_path, below):
    rows = [["文案", "直播间"], below]
    for path in (workbook(tmp_path / "a.xlsx", rows), table(tmp_path / "a.csv", rows)):
        assert [item.text for item in read(path)[0]] == [below[0]]
    assert [item.text for item in read(table(tmp_path / "a.csv", GROUPS), text_column="内容")[0]] == [
        "开始时间",
        "00:00:01",
    ]


@pytest.mark.parametrize(
    ("name", "text"), [("a.srt", ""), ("a.csv", "文案,时间\n"), ("a.txt", " \n"), ("a.json", "[]")]
)
def test_a_file_without_rows_is_noted(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert read(str(tmp_path / name)) == ([], [f"{tmp_path / name}: no rows in it: nothing of it is scored"])


@pytest.mark.parametrize("above", [1, 5])
def test_titles_above_the_header_are_passed_over(tmp_path, above):
    titles = [["11月直播话术汇总表"], ["导出时间：2026-11-30"], ["", "一"], ["二"], ["三"]][:above]
    rows = [*titles, ["直播间", "时间", "话术", "备注"], ["养生堂", "00:00:01", LINE, None]]
    for path, place in (
        (workbook(tmp_path / "a.xlsx", rows, ["A1:D1"]), "row"), (table(tmp_path / "a.csv", rows), "line"),
    ):  # fmt: skip
        (item,), notes = read(path)
        assert (item.text, item.record["stream"], item.place) == (LINE, "养生堂", f"{place} {above + 2}")
        assert notes == [f"{path}: the header is read from {place} {above + 1}, for no row above it names a text"]
        assert read(path, text_column="备注")[0][0].reason == "column '备注' is empty"


@pytest.mark.parametrize(
    "rows",
    [
        [["汇总"], ["编号", "话术"], ["1", LINE]],  # 话术 alone may be a cell of data
        [*[["标题行"]] * 6, ["直播间", "话术"], ["养生堂", LINE]],
        [["汇总"], ["直播间", "时间"], ["养生堂", "1"]],
    ],
)
def test_rows_that_surely_are_no_header_are_not_taken_for_one(tmp_path, rows):
    rows = [[f"第{at}周" if cell == "标题行" else cell for cell in row] for at, row in enumerate(rows)]
    for path in (workbook(tmp_path / "a.xlsx", rows), table(tmp_path / "a.csv", rows)):
        with pytest.raises(InputError, match="no text column"):
            read(path)


def test_a_first_sheet_without_a_text_is_passed_over_for_one_that_surely_has_one(tmp_path):
    path = workbook(tmp_path / "a.xlsx", [["本表由系统导出"], ["请勿外传"]])
    book = openpyxl.load_workbook(path)
    for title, state, header in (
        ("旧", "hidden", ["时间", "内容"]), ("表", "visible", ["内容"]), ("话术", "visible", ["时间", "内容"]),
    ):  # fmt: skip
        sheet = book.create_sheet(title)
        sheet.sheet_state = state
        for row in (["十一月"], header, [1, LINE][-len(header) :]):
            sheet.append(row)
    book.save(path)
    (item,), notes = read(path)
    assert (item.text, item.record["start"], item.place) == (LINE, 1.0, "row 3")
    assert notes == [
        f"{path}: read sheet 话术; not read: Sheet, 旧 (hidden), 表",
        f"{path}: the header is read from row 2, for no row above it names a text",
    ]
    with pytest.raises(InputError, match="sheet Sheet: no column '说'"):
        read(path, text_column="说")


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_line_that_tells_excel_the_separator_is_passed_over(tmp_path, mark):
    (tmp_path / "a.csv").write_text(f"{mark}sep=,\n编号,话术\n1,{LINE}\n", encoding="utf-8")
    (item,), notes = read(str(tmp_path / "a.csv"))
    assert (item.record["编号"], item.text, item.place, notes) == ("1", LINE, "line 3", [])


def test_a_formula_without_its_value_is_told_from_an_empty_cell(tmp_path):
    path = workbook(tmp_path / "a.xlsx", [["序号", "话术"], [1, '="喝"&"茶"'], [2, None], [3, LINE]])
    (formula, empty, item), _ = read(path)
    assert formula.reason == (
        "column '话术' holds a formula without its value; open the workbook and save it, or export it as CSV"
    )
    assert (empty.reason, item.text) == ("column '话术' is empty", LINE)


def test_a_row_of_nothing_but_a_formula_without_its_value_is_told(tmp_path):
    formula = '=A2&"药都停了"'
    path = workbook(tmp_path / "a.xlsx", [["文案"], [LINE], [formula], [None], [LINE], [formula]])
    items, _ = read(path)
    assert [item.place for item in items] == ["row 2", "row 3", "row 5", "row 6"]
    assert [getattr(item, "reason", "")[:34] for item in items] == [
        "",
        "column '文案' holds a formula withou",
        "",
        "column '文案' holds a formula withou",
    ]
    items, _ = read(workbook(tmp_path / "b.xlsx", [["文案"], [formula]]))
    assert [item.place for item in items] == ["row 2"]


def test_what_a_file_really_is(tmp_path):
    data = Path(workbook(tmp_path / "whole.xlsx", [["文案"], [LINE]])).read_bytes()
    for name, content, said in (
        ("a.xlsx", b"\xef\xbb\xbf<html><table>", "it is HTML or XML; open it"), ("b.xlsx", LINE.encode(), "it is a text; open it"),
        ("c.xlsx", data[:2000], r"cut off or damaged \(.*\); get it again"), ("d.xlsx", b"", "it is empty; open it"),
        ("e.csv", data, r"is an XLSX workbook or a zip: name it \.xlsx"), ("f.txt", b"%PDF-1.7", "is a PDF"),
    ):  # fmt: skip
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=f"{name}: (not a readable XLSX workbook: )?{said}"):
            read(str(tmp_path / name))


def test_a_format_of_lyrics_is_to_be_converted_not_renamed(tmp_path):
    (tmp_path / "a.lrc").write_text(f"[00:01.00]{LINE}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"convert \.lrc to \.srt in a subtitle editor"):
        read(str(tmp_path / "a.lrc"))


def test_a_text_that_is_json_with_one_text_is_unpacked_and_any_other_is_read_as_it_is(tmp_path):
    packed = [json.dumps({"styles": [], "text": LINE}), json.dumps({"text": LINE, "content": f"{LINE} "})]
    kept = ['{"msg":"全网第一"}', '{"text":"a","content":"b"}', "{喝茶}"]
    draft = {"materials": {"texts": [{"content": text, "type": "subtitle"} for text in [*packed, *kept]]}, "tracks": []}
    (tmp_path / "a.json").write_text(json.dumps(draft), encoding="utf-8")
    assert [item.text for item in read(str(tmp_path / "a.json"))[0]] == [LINE, LINE, *kept]


GROUPED = [["监测", "监测", "内容", "内容"], ["直播间", "时间", "话术", "备注"], ["养生堂", "00:00:01", LINE, "嗯"]]


@pytest.mark.parametrize(
    "groups", [GROUPED[0], ["监测", "", "内容", ""], ["直播间", "", "内容", ""], ["直播间", "内容", "内容", "内容"]]
)
@pytest.mark.parametrize("titles", [[], [["11月直播监测表"]]])
def test_a_row_of_groups_below_a_title_is_no_header(tmp_path, titles, groups):
    rows = [*titles, groups, *GROUPED[1:]]
    for path, place in ((workbook(tmp_path / "a.xlsx", rows), "row"), (table(tmp_path / "a.csv", rows), "line")):
        (item,), notes = read(path)
        assert (item.text, item.record["stream"], item.record["start"]) == (LINE, "养生堂", 1.0)
        at = len(titles) + 2
        assert notes == [f"{path}: the header is read from {place} {at}, for the row above it names groups of columns"]
