"""Times of rows: dates become seconds, what can't be read is kept aside, and only lines close together are joined."""

import datetime
import json
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from zhenyan.inference.io import Options, read_items
from zhenyan.inference.io.items import Item
from zhenyan.inference.io.times import clock, seconds
from zhenyan.inference.runs.inputs import Placed
from zhenyan.inference.runs.scoring import neighbours

LINE = "喝这个茶三高就降下来了"
DATE = "2026-11-27 20:15:03"
AT = datetime.datetime(2026, 11, 27, 20, 15, 3, tzinfo=datetime.UTC).timestamp()


def records(path, **options):
    return [item.record for item in read_items(str(path), Options(**options))]


def lines(tmp_path, *rows, **options):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"text": LINE} | row) + "\n" for row in rows), encoding="utf-8")
    return list(read_items(str(path), Options(**options)))


@pytest.mark.parametrize(
    ("value", "want"),
    [
        ("01:02:03.5", 3723.5), ("02:03,5", 123.5), (7, 7.0), ("x", None), (True, None), (None, None),
        (DATE, AT), ("2026/11/27 20:15", AT - 3), ("2026-11-27T20:15:03.5Z", AT + 0.5), ("2026年11月27日 20:15:03", AT),
        ("2026-11-27T20:15:03+08:00", AT), (datetime.datetime(2026, 11, 27, 20, 15, 3), AT), (datetime.time(0, 1, 2), 62.0),
        (datetime.timedelta(days=1), 86400.0), ("2026-11-27", None), ("2026-13-27 20:15:03", None),
        ("1970-01-01 08:00:00", None), (10**20, None), (10**400, None), (float("nan"), None), (float("inf"), None),
        (-1, None), ("-1", None), ("9" * 400, None), ("1:2:3:4", None), ([1], None),
        ("2026-11-27 下午8:15", AT - 3), ("2026年11月27日20时15分03秒", AT), ("2026/11/27 8:15:03 PM", AT), ("上午12:15", 900.0),
        ("下午8时15分", 72900.0), ("00时10分05秒", 605.0), ("1小时2分", 3720.0), ("5秒", 5.0), ("00：01：02", 62.0),
        ("上午13:00", None), ("00:00:01:12", None), ("27/11/2026 20:15:09", None), ("12:15 Pm", 44100.0), ("3点", 10800.0),
        ("1.5秒", 1.5), ("12.5秒", 12.5), ("0.8秒", 0.8), ("2.5分钟", 150.0), ("1.5小时", 5400.0), ("１．５ 小時", 5400.0),
        ("100秒", 100.0), ("120分", 7200.0), ("1分2.5秒", 62.5), ("100小时2分", 360120.0), ("PM8时15分", 72900.0),
        ("2026-11-27 20时15分03秒", AT), ("1,5秒", None), ("-5秒", None), ("－5秒", None), ("+5秒", None), ("1e5秒", None),
        ("1_5秒", None), ("1.5分2秒", None), ("8.30点", None), ("2026-11-27 1.5小时", None),
        (1764245703000, 1764245703.0), ("1764245703250", 1764245703.25), (20261127201503, AT), ("20261127201503", AT),
        (20261127201503.0, AT), ("20261327201503", None), (19700101080000, None), (250000000000000, None),
        (202611272015, AT - 3), ("202611272015", AT - 3), (202611272015.0, AT - 3), ("202613272015", None), ("190001010000", None),
        (20261127, None), ("20261127", None), (20261327, 20261327.0), (20261127.5, 20261127.5), ("20261127 20:15", AT - 3),
        ("20261127 20:15:03", AT), ("20261127T20:15:03", AT), ("20261127 下午8:15", AT - 3), ("2026112 20:15", None),
        ("20261127 ", None), ("20261327 20:15", None),
    ],
)  # fmt: skip
def test_seconds_of_times_dates_and_of_what_is_no_time(value, want):
    assert seconds(value) == want


@pytest.mark.parametrize("value", [202611272015, 20261127, 20261127.0])
def test_digits_of_other_units_are_no_date(value):
    """A recording of five hours in milliseconds, a long one in ticks."""
    assert seconds(value, 1e3) == value / 1e3 and seconds(str(value), 1e7) == value / 1e7


def test_a_time_is_shown_as_it_was_meant():
    assert (clock(AT), clock(3723.9), clock(1.7e12)) == (DATE, "1:02:03", "472222222:13:20")


def test_dates_of_every_table_become_seconds(tmp_path):
    import openpyxl

    at = datetime.datetime.fromisoformat(DATE)
    (tmp_path / "a.csv").write_text(f"文案,开始时间\n{LINE},{DATE}\n", encoding="utf-8")
    parquet.write_table(pa.table({"文案": [LINE], "开始时间": [at]}), tmp_path / "a.parquet")
    book = openpyxl.Workbook()
    book.active.append(["文案", "开始时间"])
    book.active.append([LINE, at])
    book.save(tmp_path / "a.xlsx")
    for name in ("a.csv", "a.parquet", "a.xlsx"):
        (record,) = records(tmp_path / name)
        assert record["start"] == AT and str(record["开始时间"]) == DATE and "input.start" not in record


@pytest.mark.parametrize("name", ["begin_time", "begin", "时间", "时间戳", "time", "timestamp", "Start Time", "startTime",
                                  "beginTime", "Begin-Time", "START  TIME", "Time Stamp", "开始 时间", "time_ms"])  # fmt: skip
def test_other_names_of_a_start(tmp_path, name):
    (item,) = lines(tmp_path, {name: "00:05", "end_time": 7})
    assert (item.record["start"], item.record["end"]) == (5.0, 7.0)


@pytest.mark.parametrize(
    ("start", "end", "unit"),
    [("Start Time", "End Time", 1), ("startTime", "endTime", 1), ("beginTime", "end-time", 1), ("startTimeMs", "End Time (ms)", 1000)],
)  # fmt: skip
def test_names_of_times_are_known_in_any_spelling_in_tables_and_segments(tmp_path, start, end, unit):
    row = {"text": LINE, start: 5 * unit, end: 7 * unit}
    (tmp_path / "a.csv").write_text(f"Text,{start},{end}\n{LINE},{5 * unit},{7 * unit}\n", encoding="utf-8")
    (tmp_path / "a.json").write_text(json.dumps([row]), encoding="utf-8")
    (tmp_path / "b.json").write_text(json.dumps({"segments": [row]}), encoding="utf-8")
    for name in ("a.csv", "a.json", "b.json"):
        (record,) = records(tmp_path / name)
        assert (record["start"], record["end"]) == (5.0, 7.0)


def test_a_start_comes_before_a_time_and_lists_of_stamps_are_none(tmp_path):
    (item,) = lines(tmp_path, {"timestamp": DATE, "Time": 9, "start": 2})
    assert item.record["start"] == 2.0 and not item.mistimed
    (item,) = lines(tmp_path, {"timestamp": []})
    assert "start" not in item.record and not item.mistimed


@pytest.mark.parametrize(
    ("rows", "noted"),
    [
        ([(61200, 63400), (63400, 65000), (65000, 65100)], True),
        ([(61.2, 63.4), (63400, 65000)], False),
        ([(0, 290), (300, 590)], False),
    ],
)
def test_times_that_look_like_milliseconds_are_noted(tmp_path, rows, noted):
    options = Options()
    (tmp_path / "a.csv").write_text(
        "text,start_time,end_time\n" + "".join(f"{LINE},{a},{b}\n" for a, b in rows), "utf-8"
    )
    starts = [item.record["start"] for item in read_items(str(tmp_path / "a.csv"), options)]
    assert starts == [start for start, _ in rows]
    assert [
        str(tmp_path / "a.csv") in note and "look like milliseconds" in note for note in map(str, options.notes)
    ] == [True] * noted


@pytest.mark.parametrize("start", ["start_s", "start (s)", "startSec", "begin_seconds", "时间（秒）", "开始(秒)", "起始时间(s)",
                                   "时间点", "时间轴"])  # fmt: skip
def test_columns_whose_name_says_seconds_are_times(tmp_path, start):
    (tmp_path / "a.csv").write_text(f"文案,{start},结束(秒)\n{LINE},83.5,84\n{LINE},00:01:25,86\n", "utf-8")
    found = [(i.record["start"], i.record["end"]) for i in read_items(str(tmp_path / "a.csv"), Options())]
    assert found == [(83.5, 84.0), (85.0, 86.0)]


def test_thousands_of_milliseconds_are_parted_by_commas(tmp_path):
    (tmp_path / "a.csv").write_text(f'文案,start_ms,end_ms\n{LINE},"13,500","1,016,000"\n', "utf-8")
    (item,) = read_items(str(tmp_path / "a.csv"), Options())
    assert (item.record["start"], item.record["end"]) == (13.5, 1016.0)
    assert seconds("13,500") == 13.5  # of seconds it is a fraction, as subtitles write it


@pytest.mark.parametrize(("day", "start"), [("2026年11月27日（周五）", AT - 3), ("2026-11-27 星期五", AT - 3), ("11月27日", 1215.0),
                                            ("", 1215.0)])  # fmt: skip
def test_an_hour_beside_a_day_that_cant_be_read_is_told(tmp_path, day, start):
    path, options = tmp_path / "a.csv", Options()
    path.write_text(f"日期,时间,文案\n{day},20:15,{LINE}\n{day},20:16,{LINE}\n", "utf-8")
    assert next(iter(read_items(str(path), options))).record["start"] == start
    told = [f"{path}: column 日期: {day or '(blank)'} is no date that can be read, so 20:15 beside it is read as 20 min 15 s "
            "(2 such rows); write dates as 2026-11-27 where hours are meant"]  # fmt: skip
    assert len([*read_items(str(path), options := Options())]) == 2 and [*map(str, options.notes)] == told * (
        start == 1215.0
    )


@pytest.mark.parametrize("start", ["start_ms", "begin_time_ms", "Start_MS", "startMs", "start (ms)", "begin_time.millis",
                                   "开始时间(毫秒)", "开始时间（ms）", "开始毫秒", "時間_毫秒", "时间戳ms"])  # fmt: skip
def test_columns_whose_name_says_milliseconds_are_read_so(tmp_path, start):
    options = Options()
    (tmp_path / "a.csv").write_text(f"文案,{start},end_ms\n{LINE},83500,84000.5\n{LINE},00:01:25,N/A\n", "utf-8")
    first, second = read_items(str(tmp_path / "a.csv"), options)
    assert (first.record["start"], first.record["end"], first.record[start]) == (83.5, 84.0005, "83500")
    assert second.record["start"] == 85.0 and second.mistimed  # a code is no plain number
    assert [*map(str, options.notes)] == [
        f"{tmp_path / 'a.csv'}: column end_ms: 1 of 2 values aren't times or lie before their start, e.g. line 3 'N/A'; "
        "such rows are scored without that time"
    ]


def test_milliseconds_since_1970_are_dates(tmp_path):
    (item,) = lines(tmp_path, {"时间戳(毫秒)": int(AT * 1000)})
    assert item.record["start"] == AT


def test_numbers_too_large_for_seconds_are_dates_or_told(tmp_path):
    options, path = Options(), tmp_path / "a.csv"
    values = (int(AT * 1000), "20261127201508", "20261399201508")
    path.write_text("文案,时间\n" + "".join(f"{LINE},{value}\n" for value in values), encoding="utf-8")
    first, second, third = read_items(str(path), options)
    assert (first.record["start"], second.record["start"], third.mistimed) == (AT, AT + 5, True)
    assert neighbours(*(Placed(0, replace(item, record=item.record | ROOM)) for item in (first, second)))
    assert ["1 of 3 values aren't times, e.g. line 4 '20261399201508'" in note for note in map(str, options.notes)] == [
        True
    ]
    for value in (values[0], "20261127201503", "20261127 20:15:03"):  # what was written is kept, and only once
        (item,) = lines(tmp_path, {"start": value})
        assert item.record == {"text": LINE, "input.start": value, "start": AT}
        assert lines(tmp_path, item.record)[0].record == item.record


def test_ticks_and_milliseconds_of_a_recogniser_are_no_dates(tmp_path):
    ticks = {"nBest": [{"display": LINE}], "offsetInTicks": 2.6e11, "durationInTicks": 1e7}
    segment = {"text": LINE, "begin_time": 1764245703000, "end_time": 1764245704000}
    for value, want in (({"recognizedPhrases": [ticks]}, (26000.0, 26001.0)),
                        ({"sentences": [segment]}, (1764245703.0, 1764245704.0))):  # fmt: skip
        (tmp_path / "a.json").write_text(json.dumps(value), encoding="utf-8")
        (record,) = records(tmp_path / "a.json")
        assert (record["start"], record["end"]) == want


def test_milliseconds_in_columns_that_are_asked_for(tmp_path):
    (item,) = lines(tmp_path, {"from_ms": 1500, "items": 2500}, start_column="from_ms", end_column="items")
    assert (item.record["start"], item.record["end"]) == (1.5, 2500.0)


def test_a_column_of_seconds_comes_before_one_of_milliseconds(tmp_path):
    (item,) = lines(tmp_path, {"start_ms": 9000, "begin": 2, "text_ms": "x"})
    assert item.record == {"text": LINE, "start_ms": 9000, "begin": 2, "text_ms": "x", "start": 2.0}
    (item,) = lines(tmp_path, {"start_ms": 9000, "start": 9.0})  # as it is written
    assert item.record == {"text": LINE, "start_ms": 9000, "start": 9.0}


def test_long_rows_of_many_words_are_no_milliseconds(tmp_path):
    options = Options(split=False)
    (tmp_path / "a.csv").write_text(f"text,start,end\n{LINE * 100},0,600\n", "utf-8")
    assert list(read_items(str(tmp_path / "a.csv"), options)) and not options.notes


def test_what_a_time_field_held_is_kept_aside(tmp_path):
    given = [DATE, "N/A", 10**20, True, -1, "00:05", 7, "", None]
    found = lines(tmp_path, {}, *({"start": value} for value in given))  # the first row has no such column
    rows = [{k: v for k, v in item.record.items() if k != "text"} for item in found[1:]]
    assert rows == [
        {"input.start": DATE, "start": AT}, {"input.start": "N/A"}, {"input.start": 10**20}, {"input.start": True},
        {"input.start": -1}, {"start": 5.0}, {"start": 7.0}, {}, {},
    ]  # fmt: skip
    assert [item.mistimed for item in found[1:]] == [False, True, True, True, True, False, False, False, False]
    again = lines(tmp_path, found[1].record)
    assert again[0].record == found[1].record  # read again: nothing piles up
    (item,) = lines(tmp_path, {"从": "?", "start": 7}, start_column="从")
    assert item.record == {"text": LINE, "从": "?", "input.start": 7}


ROOM = {"stream": "s"}


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        (ROOM | {"start": "2026-11-27 20:15:03"}, ROOM | {"start": "2026-11-27 20:15:08"}, True),
        (ROOM | {"start": "2026-11-27 20:15:03"}, ROOM | {"start": "2026-11-29 08:15:03"}, False),
        (ROOM | {"start": "2026-11-27 20:15:03"}, ROOM | {"start": "2026-11-27 20:14:03"}, False),
        (ROOM | {"start": 1}, ROOM | {"start": 5}, True),
        (ROOM | {"start": 1}, ROOM | {"start": 90}, False),
        (ROOM | {"start": 1, "end": 80}, ROOM | {"start": 90}, True),
        (ROOM | {"start": 1, "end": "N/A"}, ROOM | {"start": 5}, True),
        (ROOM | {"start": "N/A"}, ROOM | {"start": 5}, False),
        (ROOM | {"start": "N/A"}, ROOM, False),
        (ROOM, ROOM | {"start": 5}, True),
        (ROOM, ROOM, True),
        ({"start": DATE, "账号": "甲"}, {"start": DATE, "账号": "乙"}, False),  # no time codes of one recording
        ({"start": "N/A"}, {"start": "N/A"}, False),
        ({"stream": ""}, {"stream": ""}, False),
    ],
)
def test_lines_are_joined_only_when_they_are_close(tmp_path, first, second, together):
    placed = [Placed(0, item) for item in lines(tmp_path, first, second)]
    assert all(isinstance(one.item, Item) for one in placed) and neighbours(*placed) == together


def test_a_time_that_cant_be_read_is_known_of_rows_in_json_too(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"text": f"<|zh|>{LINE}", "start": "N/A"}, {"text": LINE}]), encoding="utf-8")
    assert [(item.text, item.mistimed) for item in read_items(str(path), Options())] == [(LINE, True), (LINE, False)]


def test_of_a_range_the_first_time_is_read_and_what_a_start_held_is_kept(tmp_path):
    given = ["20:15-20:16", f"{DATE} - 2026-11-27 20:16:00", "00:01:02 ~ 00:01:05", "2026-11-27 20:15:03-08:00", "5-10"]
    found = lines(tmp_path, *({"start": value} for value in given))
    assert [item.record.get("start") for item in found] == [1215.0, AT, 62.0, AT, None]
    assert [item.record["input.start"] for item in found] == given


@pytest.mark.parametrize("column", ["时间段", "起止时间"])
def test_a_column_of_ranges_holds_times(tmp_path, column):
    found = lines(tmp_path, {column: "00:01:02-00:01:05"}, {column: "00:02:02至00:02:05"})
    assert [item.record.get("start") for item in found] == [62.0, 122.0]


@pytest.mark.parametrize("column", ["直播间", "stream"])
def test_a_room_is_named_without_the_spaces_around_it(tmp_path, column):
    rooms = [
        item.record.get("stream")
        for item in lines(tmp_path, *({column: room} for room in ("七号房", "七号房 ", " ", "\u3000")))
    ]
    assert rooms == ["七号房", "七号房", None, None]


def test_times_that_cant_be_read_are_counted_by_column(tmp_path):
    options, path = Options(), tmp_path / "a.csv"
    values = ("00:00:01:12", "00:00:02", "", "27/11/2026 20:15:09")
    path.write_text("文案,时间\n" + "".join(f"{LINE},{value}\n" for value in values), encoding="utf-8")
    assert len(list(read_items(str(path), options))) == 4
    assert [*map(str, options.notes)] == [
        f"{path}: column 时间: 2 of 3 values aren't times, e.g. line 2 '00:00:01:12'; such rows are scored without that time"
    ]


def test_a_date_alone_in_a_workbook_is_no_time(tmp_path):
    import openpyxl

    book, options = openpyxl.Workbook(), Options()
    for row in (["文案", "时间"], [LINE, datetime.date(2026, 11, 27)], [LINE, datetime.datetime(2026, 11, 28)]):
        book.active.append(row)
    book.save(tmp_path / "a.xlsx")
    first, second = read_items(str(tmp_path / "a.xlsx"), options)
    assert "start" not in first.record and first.record["时间"] == "2026-11-27"
    assert clock(second.record["start"]) == "2026-11-28 00:00:00"  # its cell shows an hour
    assert "column 时间: 1 of 2 values aren't times, e.g. row 2 '2026-11-27'" in str(options.notes[0])


@pytest.mark.parametrize(
    ("shown_as", "hour"),
    [
        ('[$-zh-CN]yyyy"年"m"月"d"日"', False), ('yyyy-mm-dd "h"', False), ("[White]yyyy-mm-dd", False),
        (r"yyyy\-mm\-dd\h", False), ('[$-zh-CN]yyyy"年"m"月"d"日" h:mm', True), (r"yyyy\-mm\-dd\ HH:mm", True),
    ],
)  # fmt: skip
def test_only_a_format_with_an_hour_makes_a_date_a_start(tmp_path, shown_as, hour):
    import openpyxl

    book = openpyxl.Workbook()
    book.active.append(["文案", "时间"])
    book.active.append([LINE, datetime.datetime(2026, 11, 28)])
    book.active["B2"].number_format = shown_as
    book.save(tmp_path / "a.xlsx")
    (record,) = records(tmp_path / "a.xlsx")
    assert ("start" in record) == hour and record["时间"] == "2026-11-28" + " 00:00:00" * hour


def test_an_end_before_its_start_is_none(tmp_path):
    wrong, right = lines(tmp_path, {"start": "00:10", "end": "00:09"}, {"start": 5, "end": 5})
    assert (wrong.record["start"], wrong.record["input.end"]) == (10.0, "00:09") and "end" not in wrong.record
    assert (right.record["start"], right.record["end"]) == (5.0, 5.0)
    (tmp_path / "b.json").write_text(json.dumps({"segments": [{"start": 2, "end": 1, "text": LINE}]}), "utf-8")
    assert [(row["start"], "end" in row) for row in records(tmp_path / "b.json")] == [(2.0, False)]


def test_an_end_before_its_start_is_told_as_such(tmp_path):
    options, path = Options(), tmp_path / "a.csv"
    path.write_text(f"文案,start,end\n{LINE},10,5\n{LINE},10,15\n", encoding="utf-8")
    first, second = read_items(str(path), options)
    assert "end" not in first.record and second.record["end"] == 15
    (note,) = map(str, options.notes)
    assert note == (
        f"{path}: column end: 1 of 2 values aren't times or lie before their start, e.g. line 2 '5'; such rows are scored without that time"
    )


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("25:61:61", None), ("0:60:00", None), ("1:02:60", None), ("1：75：00", None), ("1:00:75.5", None),
        ("25:59:59", 93599.0), ("100:00:00", 360000.0), ("75:30", 4530.0), ("90分30秒", 5430.0), ("120分", 7200.0), ("90秒", 90.0),
    ],
)  # fmt: skip
def test_minutes_and_seconds_of_an_hour_end_at_59(written, read):
    assert seconds(written) == read


def test_a_length_of_many_seconds_as_azure_may_write_it(tmp_path):
    phrase = {"offset": "PT1M90.5S", "duration": "PT75S", "nBest": [{"display": "好"}]}
    (tmp_path / "a.json").write_text(json.dumps({"recognizedPhrases": [phrase]}), encoding="utf-8")
    (item,) = read_items(str(tmp_path / "a.json"), Options())
    assert (item.record["start"], item.record["end"]) == (150.5, 225.5)
