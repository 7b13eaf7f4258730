"""What other programs write, within or beside the letter of their formats, is read whole or refused with its name."""

import datetime as dt
import re
import zipfile

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from reading_helpers import workbook
from zhenyan.inference.errors import InputError
from zhenyan.inference.io import Options, Reject, read_items, workbooks

LINE, OTHER = "全网销量第一 没有之一", "二号链接两盒装 今天拍明天发"


def read(path, **options):
    """Items; rejects as (place, reason)."""
    found = read_items(str(path), Options(**options))
    return [(item.place, item.reason) if isinstance(item, Reject) else item for item in found]


def texts(path, **options):
    return [item if isinstance(item, tuple) else item.text for item in read(path, **options)]


def changed(path, part, pattern, new):
    """The workbook with a part of it written as another program would."""
    with zipfile.ZipFile(path) as book:
        parts = {name: book.read(name) for name in book.namelist()}
    parts[part], times = re.subn(pattern, new, parts[part])
    assert times
    with zipfile.ZipFile(path, "w") as book:
        for name, content in parts.items():
            book.writestr(name, content)
    return path


SHEET = "xl/worksheets/sheet1.xml"


@pytest.mark.parametrize("size", [b'<dimension ref="A1"/>', b'<dimension ref="A1:A2"/>', b""])
def test_a_sheet_is_read_whole_whatever_size_it_says(tmp_path, size):
    path = workbook(tmp_path / "a.xlsx", ["文案", "房间"], [LINE, "甲"], [OTHER, "乙", "多出"])
    first, second = read(changed(path, SHEET, rb"<dimension [^>]*/>", size), stream_column="房间")
    assert (first.text, first.record["stream"]) == (LINE, "甲")
    assert (second.text, second.record["stream"], second.record["column3"]) == (OTHER, "乙", "多出")


def test_short_rows_keep_their_empty_cells(tmp_path):
    path = workbook(tmp_path / "a.xlsx", ["文案", "备注"], [LINE])
    assert "备注" in read(path)[0].record


def test_lengths_of_a_day_and_more_are_times_and_escaped_characters_themselves(tmp_path):
    path = workbook(
        tmp_path / "a.xlsx", ["文案", "start"], [LINE, dt.timedelta(hours=25, seconds=3)], [OTHER, dt.datetime(1900, 1, 1, 1, 30)],
        ["前_x000D_\n后 a_x", dt.timedelta(milliseconds=1500)],
    )  # fmt: skip
    items = read(path)
    assert [item.record["start"] for item in items] == [90003.0, 91800.0, 1.5]
    assert items[2].text == "前\r\n后 a_x"


@pytest.mark.parametrize(
    ("part", "pattern", "new"),
    [
        ("xl/styles.xml", rb"<fill>.*?</fill>", b"<fill/>"),
        (SHEET, rb"<c r=\"A2\" t=\"[^\"]*\">.*?</c>", b'<c r="A2" t="s"><v>99</v></c>'),
    ],
)
def test_a_workbook_that_openpyxl_trips_over_is_named(tmp_path, part, pattern, new):
    path = changed(workbook(tmp_path / "a.xlsx", ["文案"], [LINE]), part, pattern, new)
    with pytest.raises(InputError, match=r"a\.xlsx: not a readable XLSX workbook"):
        read(path)


def test_texts_that_would_fill_the_memory_are_refused_before_they_are_read(tmp_path, monkeypatch):
    path = workbook(tmp_path / "a.xlsx", ["文案"], [LINE])
    monkeypatch.setattr(workbooks, "_WHOLE", 100)
    with pytest.raises(InputError, match=r"a\.xlsx: its texts and styles unpack to 0 MiB, over 0; save it as \.csv"):
        read(path)


ROWS = (
    '{"text":"欢迎来到直播间"}', f'{{"text":"{LINE}","room":"甲","start_time":"00:01:02"}}',
    f'{{"text":"{OTHER}","room":"乙","start_time":"00:05:00"}}',
)  # fmt: skip


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0)])
@pytest.mark.parametrize("asked", [{}, {"stream_column": "room"}])
def test_json_rows_may_leave_out_what_is_empty(tmp_path, order, asked):
    (tmp_path / "a.jsonl").write_text("\n".join(ROWS[at] for at in order), "utf-8")
    items = {item.text: item.record for item in read(tmp_path / "a.jsonl", **asked)}
    assert (items[LINE]["stream"], items[LINE]["start"]) == ("甲", 62.0)
    assert (items[OTHER]["stream"], items[OTHER]["start"]) == ("乙", 300.0)
    assert "start" not in items["欢迎来到直播间"]


def test_a_column_asked_for_that_no_row_has_is_named(tmp_path):
    (tmp_path / "a.jsonl").write_text("\n".join(ROWS), "utf-8")
    with pytest.raises(
        InputError, match=r"no column 'rooom' \(--stream-column\); its columns are text, room, start_time"
    ):
        read(tmp_path / "a.jsonl", stream_column="rooom")


def test_parquet_as_pandas_writes_it_and_what_python_cannot_hold(tmp_path):
    def write(name, values, kind):
        parquet.write_table(pa.table({"text": [LINE], "start": pa.array(values, kind)}), tmp_path / name)
        return tmp_path / name

    assert read(write("d.parquet", [62_000_000_001], pa.duration("ns")))[0].record["start"] == 62.0
    assert texts(write("t.parquet", [1_700_000_000_000_000_001], pa.timestamp("ns", "UTC"))) == [LINE]
    with pytest.raises(InputError, match=r"y\.parquet: not a readable Parquet file"):
        read(write("y.parquet", [400_000_000_000_000_000], pa.timestamp("us")))
    bad = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xba\xc3"], pa.binary()).buffers())
    parquet.write_table(pa.table({"text": bad}), tmp_path / "u.parquet")
    with pytest.raises(InputError, match=r"u\.parquet: not a readable Parquet file"):
        read(tmp_path / "u.parquet")


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary(len(LINE.encode()))])
def test_parquets_bytes_are_the_text_they_are(tmp_path, kind):
    table = pa.table({"text": pa.array([LINE.encode()], kind), "房间": pa.array([LINE.encode()], kind)})
    parquet.write_table(table, tmp_path / "a.parquet")
    assert [item.record for item in read(tmp_path / "a.parquet")] == [{"text": LINE, "房间": LINE}]
    parquet.write_table(pa.table({"text": pa.array([b"\xba\xc3", LINE.encode()], pa.binary())}), tmp_path / "b.parquet")
    assert texts(tmp_path / "b.parquet") == [("row 1", "column 'text' holds bytes, expected text"), LINE]


@pytest.mark.parametrize(
    "content", ['[{"text": "甲"},\n{"text": "乙"}]', '\n \n[\n  {"text": "甲"}\n]\n', "[]", '["甲"]\n']
)
def test_an_array_of_json_is_no_json_lines(tmp_path, content):
    (tmp_path / "a.jsonl").write_text(content, "utf-8")
    with pytest.raises(InputError, match=r"a\.jsonl: begins with \[, as a JSON array; rename it to \.json"):
        read(tmp_path / "a.jsonl")


def test_an_array_below_other_rows_is_a_reject(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "甲"}\n["乙"]\n', "utf-8")
    assert texts(tmp_path / "a.jsonl") == ["甲", ("line 2", "expected a JSON object, found list")]


@pytest.mark.parametrize(
    ("name", "head"),
    [("a.srt", "1\n00:00:01,000 --> 00:00:02,000\n"), ("a.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\n")],
)
def test_words_in_braces_are_words_and_overrides_are_not(tmp_path, name, head):
    (tmp_path / name).write_text(head + "{\\an8}喝了这个{糖尿病 停药}大家{看\n", "utf-8")
    assert texts(tmp_path / name) == ["喝了这个{糖尿病 停药}大家{看"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
def test_the_mark_at_the_beginning_is_none_of_the_text_when_the_encoding_is_named(tmp_path, encoding):
    for name, content in (
        ("a.csv", f'"text"\n{LINE}\n'),
        ("a.jsonl", f'{{"text": "{LINE}"}}\n'),
        ("a.txt", f"{LINE}\n"),
    ):
        (tmp_path / name).write_bytes(("\ufeff" + content).encode(encoding))
        assert texts(tmp_path / name, encoding=encoding) == [LINE]


def test_sentences_of_the_older_funasr_form_may_lack_their_punctuation(tmp_path):
    (tmp_path / "a.json").write_text(
        '{"stamp_sents": [{"text_seg": "再 见", "punc": null, "start": 0, "end": 900}]}', "utf-8"
    )
    assert texts(tmp_path / "a.json") == ["再见"]
