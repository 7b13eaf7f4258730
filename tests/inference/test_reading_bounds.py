"""Small files that unpack to more than the memory holds are refused, or a row of theirs is, and cost nothing else."""

import gzip
import json
import re
import time
import zipfile

import pyarrow as pa
import pytest
from reading_helpers import workbook
from zhenyan.inference.errors import InputError, Unavailable
from zhenyan.inference.io import Options, Reject, bounds, documents, parquet, read_items, reading, tables, workbooks
from zhenyan.inference.io import transcripts as io_transcripts

FIRST, SECOND = "二号链接两盒装 今天拍明天发", "全网销量第一 没有之一"
LONG = "长" * 200
SHEET = "xl/worksheets/sheet1.xml"
CONTENT = "application/vnd.openxmlformats-officedocument.spreadsheetml"
CUE = f"1\n00:00:01,000 --> 00:00:03,000\n{FIRST}\n\n"


def outline(path, **options):
    """Texts of the items and (place, reason) of the rejects, in order."""
    items = read_items(str(path), Options(**options))
    return [(i.place, i.reason) if isinstance(i, Reject) else i.text for i in items]


@pytest.fixture
def short(monkeypatch):
    """Lines and texts are bounded at 100 characters, what is read whole at 2,000."""
    for module in (bounds, tables, reading):
        monkeypatch.setattr(module, "LINE", 100)
    monkeypatch.setattr(bounds, "WHOLE", 2000)
    monkeypatch.setattr(documents, "_WHOLE", 2000)
    return "is longer than 100 characters; cut it into shorter ones"


def row(text):
    return json.dumps({"text": text}, ensure_ascii=False)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("a.jsonl", [row(FIRST), row(LONG), row(SECOND)]),
        ("a.csv", ["文案", FIRST, LONG, SECOND]),
        ("a.csv", ["文案", FIRST, f'"{LONG}', SECOND]),
        ("a.tsv", ["文案\t屏", f"{FIRST}\t1", f"{LONG}\t2", f"{SECOND}\t3"]),
        ("a.txt", [FIRST, LONG, SECOND]),
    ],
)
def test_a_line_over_the_bound_is_named_and_the_next_is_read(tmp_path, short, name, lines, end, packed):
    content = end.join(lines).encode()
    path = tmp_path / (f"{name}.gz" if packed else name)
    path.write_bytes(gzip.compress(content) if packed else content)
    at = lines.index(next(line for line in lines if LONG in line)) + 1
    found = outline(path)
    assert sorted(map(str, found)) == sorted(map(str, [FIRST, (f"line {at}", f"the line {short}"), SECOND]))


def test_a_line_over_the_bound_shows_its_beginning_and_is_not_held(tmp_path, short):
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join([row(FIRST), row(LONG * 1000)]))
    reject = list(read_items(str(path), Options()))[1]
    assert reject.value == row(LONG)[:80]


def test_a_long_line_inside_a_quoted_field_costs_no_row_below_it(tmp_path, short):
    path = tmp_path / "a.csv"
    path.write_text(f'文案,屏\n"一\n{LONG}\n二",1\n{FIRST},2\n')
    found = outline(path)
    assert found[0] == ("line 2", f"the line {short}") and found[-1] == FIRST


# Over the bound together; just it, with quotes and comma.
@pytest.mark.parametrize("other", [f"{'甲' * 60}\n{'乙' * 60}", "丙" * 95])
def test_a_record_whose_lines_reach_the_bound_costs_no_row_below_it(tmp_path, short, other):
    (tmp_path / "a.csv").write_text(f'文案,备注\n{FIRST},"{other}"\n{SECOND},无\n', encoding="utf-8")
    found = outline(tmp_path / "a.csv")
    assert found[-1] == SECOND and len(found) == 2


def test_a_header_over_the_bound_is_an_error_that_names_its_line(tmp_path, short):
    path = tmp_path / "a.csv"
    path.write_text(f"{LONG}\n{FIRST}\n")
    with pytest.raises(InputError, match=rf"a\.csv: line 1, in the header: the line {short}"):
        outline(path)


def test_a_row_of_more_fields_than_a_table_has_is_named_before_anything_is_made_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "COLUMNS", 10)
    path = tmp_path / "a.csv"
    path.write_text(f"文案,屏\n{FIRST},1\n{',' * 20}\n{SECOND},2\n")
    few = "21 fields, where a table has 10 columns at most; write it in several tables"
    assert outline(path) == [FIRST, ("line 3", few), SECOND]
    path.write_text(f"文案{',' * 20}\n{FIRST},1\n")
    with pytest.raises(InputError, match="line 1, in the header: 21 fields, where a table has 10 columns"):
        outline(path)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.srt", CUE * 50, "over 2,000 characters, compressed or not; save it in several files"),
        ("a.vtt", "WEBVTT\n\n" + CUE * 50, "save it in several files"),
        ("a.txt", CUE * 50, "save it in several files"),
        ("a.json", json.dumps([{"text": FIRST}] * 200), r"over 2,000 characters.* write its rows as \.jsonl"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_file_that_is_read_whole_is_bounded_unpacked(tmp_path, short, name, text, words, packed):
    path = tmp_path / (f"{name}.gz" if packed else name)
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    with pytest.raises(InputError, match=words) as error:
        outline(path)
    assert path.name in str(error.value)


def test_a_text_of_json_over_the_bound_is_a_reject_and_the_next_is_read(tmp_path, short):
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"text": FIRST}, {"text": LONG}, {"text": SECOND}], ensure_ascii=False))
    assert outline(path) == [FIRST, ("segment 2", f"the text {short}"), SECOND]


def test_lines_of_one_time_are_held_together_up_to_so_many_characters(tmp_path, monkeypatch):
    monkeypatch.setattr(io_transcripts, "_MOST_CHARS", 20)
    path = tmp_path / "a.txt"
    path.write_text("说话人 1 00:00:05\n" + f"{FIRST}\n" * 4 + "说话人 2 00:00:09\n再见\n")
    held = [len(said) for _, said in io_transcripts._groups(_lines(path), io_transcripts.layout_of(_texts(path)))]
    assert max(held) == 2 and outline(path) == [FIRST] * 4 + ["再见"]


def _texts(path):
    return path.read_text().splitlines()


def _lines(path):
    return ((f"line {at}", text) for at, text in enumerate(_texts(path), 1))


@pytest.mark.parametrize("error", [MemoryError(), pa.ArrowMemoryError("malloc of size 1 failed")])
@pytest.mark.parametrize("name", ["a.jsonl", "a.csv.gz", "a.parquet", "a.xlsx"])
def test_a_file_that_the_memory_does_not_hold_is_named_and_can_be_read_later(tmp_path, monkeypatch, name, error):
    def failing(*_):
        raise error

    path = tmp_path / name
    path.write_bytes(b"")
    monkeypatch.setattr(parquet, "open_seekable", failing)
    monkeypatch.setattr(workbooks, "_items", failing)
    monkeypatch.setattr(tables, "lines_of", failing)
    with pytest.raises(Unavailable, match=rf"{re.escape(name)}: there is not enough memory to read it; close"):
        outline(path)


# Workbooks


def changed(path, part, old, new):
    """The workbook with bytes of a part replaced."""
    with zipfile.ZipFile(path) as book:
        parts = {name: book.read(name) for name in book.namelist()}
    assert old in parts[part]
    parts[part] = parts[part].replace(old, new)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        for name, content in parts.items():
            book.writestr(name, content)
    return path


def with_rows(tmp_path, rows):
    path = workbook(tmp_path / "a.xlsx", ["文案"], [FIRST])
    return changed(path, SHEET, b"</sheetData>", rows.encode() + b"</sheetData>")


def cell(at, text):
    return f'<c r="{at}" t="inlineStr"><is><t>{text}</t></is></c>'


def numbered(number, column="A"):
    return f'<row r="{number}">{cell(f"{column}{number}", SECOND)}</row>'


@pytest.mark.parametrize("name", ["xl/worksheets/shared.xml", "xl/shared.bin"])
def test_a_part_that_is_read_whole_counts_whatever_it_is_called(tmp_path, monkeypatch, name):
    monkeypatch.setattr(workbooks, "_WHOLE", 100_000)
    path = workbook(tmp_path / "a.xlsx", ["文案"], [FIRST])
    shared = f'<Override PartName="/{name}" ContentType="{CONTENT}.sharedStrings+xml"/></Types>'
    changed(path, "[Content_Types].xml", b"</Types>", shared.encode())
    with zipfile.ZipFile(path, "a") as book:
        strings = "<si><t>文案</t></si>" * 10_000
        book.writestr(name, f'<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">{strings}</sst>')
    with pytest.raises(InputError, match=r"its texts and styles unpack to 0 MiB, over 0; save it as \.csv"):
        outline(path)


def test_pictures_and_other_parts_that_nobody_reads_count_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(workbooks, "_WHOLE", 100_000)
    path = workbook(tmp_path / "a.xlsx", ["文案"], [FIRST])
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as book:
        book.writestr("xl/media/image1.xml", bytes(200_000))
    assert outline(path) == [FIRST]


def test_a_sheet_over_the_bound_is_refused_with_its_size(tmp_path, monkeypatch):
    monkeypatch.setattr(workbooks, "_SHEET", 1 << 20)
    rows = "".join(f"<row>{cell(f'A{at}', FIRST)}</row>" for at in range(3, 30_000))
    with pytest.raises(InputError, match=r"a\.xlsx: a sheet unpacks to \d MiB, over 1; save it as \.csv"):
        outline(with_rows(tmp_path, rows))


def test_a_rows_number_that_no_spreadsheet_has_is_refused_at_once(tmp_path):
    path = with_rows(tmp_path, numbered(2_000_000_000))
    with pytest.raises(InputError, match=r"a\.xlsx: .*sheet Sheet has a row with a number over 1,048,576; save it"):
        outline(path)


def test_numbers_of_rows_that_are_left_out_make_no_rows(tmp_path):
    path = with_rows(tmp_path, numbered(100_000))
    assert [item.place for item in read_items(str(path), Options())] == ["row 2", "row 100000"]


@pytest.mark.parametrize("end", ["", ">"])
def test_a_tag_of_many_attributes_takes_no_square_of_its_length(end):
    pattern = re.compile(workbooks._FORMULA.format(column="A").encode())
    begun = time.process_time()
    assert not pattern.search(b"<c" + b' r="A1"' * 50_000 + end.encode())  # 350 KB; 80 seconds as a square
    assert time.process_time() - begun < 5
