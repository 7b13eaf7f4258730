"""Tables as platforms export them: their names of texts, rooms and hosts, days beside hours, rows of totals, and what nobody can be sure of."""

import json

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from reading_helpers import workbook
from zhenyan.inference.io import Options, Reject, read_items
from zhenyan.inference.io.times import clock
from zhenyan.inference.runs.inputs import Placed
from zhenyan.inference.runs.scoring import neighbours

LINE = "喝这个茶三高就降下来了"


def table(path, *rows, **asked):
    """Items and notes of rows with commas, as CSV."""
    path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    return read(path, **asked)


def read(path, **asked):
    options = Options(**asked)
    items = list(read_items(str(path), options))
    return items, [
        note.removeprefix(f"{path}: ").removeprefix(f"{path} sheet Sheet: ") for note in map(str, options.notes)
    ]


def not_from(text, others):
    return [f"the text is read from {text}, not from {others}; name another with --text-column"]


@pytest.mark.parametrize(
    "name", ["评论内容", "弹幕内容", "字幕内容", "话术内容", "转写文本", "识别结果", "卖点", "详情描述", "評論內容"]
)
def test_a_platforms_text_comes_before_a_title(tmp_path, name):
    (item,), notes = table(tmp_path / "a.csv", f"标题,{name}", f"第一集,{LINE}")
    assert item.text == LINE and notes == not_from(name, "标题")


def test_what_a_product_is_called_is_the_last_choice(tmp_path):
    (item,), notes = table(tmp_path / "a.csv", "商品名称,商品标题,卖点,详情描述", f"茶,好茶,降,{LINE}")
    assert item.text == LINE and notes == not_from("详情描述", "卖点, 商品标题, 商品名称")
    (item,), notes = table(tmp_path / "a.csv", "商品名称,商品标题", f"茶,{LINE}")
    assert item.text == LINE and notes == not_from("商品标题", "商品名称")


@pytest.mark.parametrize("title", ["标题", "Title", "商品标题", "商品名称"])
def test_longer_chinese_beside_a_title_is_noted(tmp_path, title):
    names, row = ["编号", title, "作者", "摘要", "链接"], ["A1", "第一集", "甲", LINE, "https://example.com/long/link"]
    paths = [workbook(tmp_path / "a.xlsx", names, row), tmp_path / "a.parquet", tmp_path / "a.csv"]
    parquet.write_table(pa.table(dict(zip(names, map(pa.array, zip(row, strict=True)), strict=True))), paths[1])
    paths[2].write_text(f"{','.join(names)}\n{','.join(row)}\n", encoding="utf-8")
    for path in paths:
        assert read(path)[1] == not_from(title, "摘要")
        assert read(path, text_column=title)[1] == []
    assert table(tmp_path / "a.csv", "文案,摘要", "茶,说明")[1] == []  # a text that is no title may be short
    assert table(tmp_path / "a.csv", "文案,录像文件", f"{LINE},养生堂官方直播间_2026-11-27.mp4")[1] == []


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("起始时间", "终止时间"),
        ("评论时间", "end"),
        ("发布时间", "end"),
        ("发言时间", "end"),
        ("讲解时间", "end"),
        ("ts", "end"),
        ("起始時間", "終止時間"),
    ],
)
def test_platforms_names_of_times(tmp_path, start, end):
    (item,), _ = table(tmp_path / "a.csv", f"文案,{start},{end}", f"{LINE},00:00:05,00:00:09")
    assert (item.record["start"], item.record["end"]) == (5.0, 9.0)


@pytest.mark.parametrize("session", ["2026-11-27", "2026-11-27 20:00-23:00"])
def test_when_a_session_was_on_is_no_time_of_its_lines(tmp_path, session):
    (item,), notes = table(tmp_path / "a.csv", "话术,直播时间", f"{LINE},{session}")
    assert "start" not in item.record and not item.mistimed and notes == []


@pytest.mark.parametrize(
    "name",
    [
        "主播昵称",
        "直播间名称",
        "主播",
        "主播名称",
        "房间号",
        "直播间ID",
        "直播间id",
        "room_id",
        "liveRoomId",
        "达人昵称",
        "账号名称",
    ],
)
def test_lines_of_different_rooms_arent_read_together(tmp_path, name):
    items, notes = table(tmp_path / "a.csv", f"{name},时间,文案", f"1,00:00:01,{LINE}", f"2,00:00:05,{LINE}")
    assert [item.record["stream"] for item in items] == ["1", "2"] and not notes
    assert not neighbours(*(Placed(0, item) for item in items))


@pytest.mark.parametrize(
    ("header", "stream"),
    [
        ("主播,直播间,时间,文案", "二"), ("主播昵称,房间号,时间,文案", "二"), ("直播间ID,直播间名称,时间,文案", "二"),
        ("主播,file,时间,文案", "二"), ("主播,主播昵称,时间,文案", "二"), ("主播,店铺,备注,文案", None),
    ],
)  # fmt: skip
def test_a_host_is_a_room_only_where_nothing_else_is_and_rows_have_times(tmp_path, header, stream):
    (item,), notes = table(tmp_path / "a.csv", header, f"一,二,00:00:01,{LINE}")
    assert item.record.get("stream") == stream and not notes


def test_a_column_that_may_name_the_room_is_told(tmp_path):
    rows = ("店铺,时间,文案", f"甲,00:00:01,{LINE}", f"乙,00:00:05,{LINE}")
    _, notes = table(tmp_path / "a.csv", *rows)
    assert notes == ["no column is read as the room; where 店铺 names it, add --stream-column 店铺"]
    items, notes = table(tmp_path / "a.csv", *rows, stream_column="店铺")
    assert [item.record["stream"] for item in items] == ["甲", "乙"] and not notes
    assert not table(tmp_path / "a.csv", "编号,时间,文案", f"1,00:00:01,{LINE}")[1]  # one recording
    assert not table(tmp_path / "a.csv", "时间,店铺话术", f"1,{LINE}", text_column="店铺话术")[1]


@pytest.mark.parametrize(
    ("day", "time", "shown"),
    [
        ("2026-11-20", "20:15:03", "2026-11-20 20:15:03"), ("2026/11/20", "20:15", "2026-11-20 20:15:00"),
        ("20261120", "下午8:15", "2026-11-20 20:15:00"), ("2026年11月20日", "8:15:03 PM", "2026-11-20 20:15:03"),
        ("2026-11-20", "2026-11-21 08:05", "2026-11-21 08:05:00"), ("2026-11-20", "20:15-20:16", "2026-11-20 20:15:00"),
        ("", "00:01:02", "0:01:02"), ("第一场", "00:01:02", "0:01:02"), ("2026-11-20", "62", "0:01:02"),
        ("2026-11-20", "25:01:02", "25:01:02"), ("2026-02-30", "00:01:02", None), ("2026-11-20 00:00:00", "20:15", "2026-11-20 20:15:00"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["日期", "直播日期", "Date"])
def test_a_date_beside_a_time_of_day_is_read_with_it(tmp_path, name, day, time, shown):
    (item,), _ = table(tmp_path / "a.csv", f"直播间,{name},时间,文案", f"甲,{day},{time},{LINE}")
    start = item.record.get("start")
    assert (start if start is None else clock(start)) == shown and item.record[name] == day


def test_lines_of_different_days_arent_read_together(tmp_path):
    days = ("2026-11-20,20:15:00", "2026-11-20,20:15:05", "2026-11-21,20:15:10")
    items, _ = table(tmp_path / "a.csv", "直播间,日期,时间,文案", *(f"甲,{day},{LINE}" for day in days))
    placed = [Placed(0, item) for item in items]
    assert neighbours(*placed[:2]) and not neighbours(*placed[1:])


def test_an_end_after_midnight_is_of_the_next_day_and_nothing_piles_up(tmp_path):
    names = ("直播间", "日期", "start", "end", "文案")
    row = dict(zip(names, ("甲", "2026-11-20", "23:59:58", "00:00:02", LINE), strict=True))
    (item,), _ = table(tmp_path / "a.csv", ",".join(names), ",".join(row.values()))
    assert item.record["end"] - item.record["start"] == 4.0
    assert (item.record["input.start"], item.record["input.end"]) == ("23:59:58", "00:00:02")
    (tmp_path / "b.jsonl").write_text(json.dumps(item.record), encoding="utf-8")
    assert [again.record for again in read(tmp_path / "b.jsonl")[0]] == [item.record]


def test_dates_and_hours_of_workbooks_and_parquet_are_read_together(tmp_path):
    import datetime

    day, hour = datetime.date(2026, 11, 20), datetime.time(20, 15, 3)
    path = workbook(tmp_path / "a.xlsx", ["日期", "时间", "文案"], [day, hour, LINE])
    parquet.write_table(pa.table({"日期": [day], "时间": [hour], "文案": [LINE]}), tmp_path / "a.parquet")
    for one in (path, tmp_path / "a.parquet"):
        (item,), _ = read(one)
        assert clock(item.record["start"]) == "2026-11-20 20:15:03"


def test_a_row_of_totals_is_no_line(tmp_path):
    rows = (["直播间", "时间", "话术"], ["甲", "00:00:01", LINE], ["合计", None, 3], ["甲", "00:00:05", 3])
    paths = [workbook(tmp_path / "a.xlsx", *rows), tmp_path / "a.csv"]
    paths[1].write_text("".join(",".join(str(cell or "") for cell in row) + "\n" for row in rows), encoding="utf-8")
    for path in paths:
        first, total, number = read(path)[0]
        assert isinstance(total, Reject) and (total.reason, total.value) == (
            "a row of totals (合计), not of what was said",
            "3",
        )
        assert (first.text, number.text) == (LINE, "3")
    items, _ = table(tmp_path / "a.csv", "直播间,话术", "小计：,1,", f"总计,{LINE}", "总计,1,200元")
    assert [getattr(item, "text", None) for item in items] == [None, LINE, None]  # the others have too many fields


@pytest.mark.parametrize(
    ("times", "noted"),
    [
        (("20:15", "20:16", ""), True), (("00:05", "20:15"), False), (("20:15", "24:01"), False), (("20:15", "20:15:09"), False),
        (("20:15-20:16", "20:17"), True), (("12", "20:15"), False), ((), False),
    ],
)  # fmt: skip
def test_minutes_that_may_be_hours_are_told(tmp_path, times, noted):
    items, notes = table(tmp_path / "a.csv", "时间,文案", *(f"{time},{LINE}" for time in times))
    told = "column 时间: 20:15, as all its values are written, is read as 20 min 15 s; such rows need seconds too, as h:mm:ss, where hours are meant"
    assert (told in notes) == noted
    assert not noted or items[0].record["start"] == 1215.0
    assert not table(tmp_path / "a.csv", "日期,时间,文案", f"2026-11-20,20:15,{LINE}")[1]


def test_times_beside_a_date_that_no_day_has_are_told(tmp_path):
    def starts(header, *times):
        items, notes = table(tmp_path / "a.csv", header, *(f"2026-11-27,{time},{LINE}" for time in times))
        return [clock(item.record["start"]) for item in items], notes

    dated, name = ["2026-11-27 05:10:00", "2026-11-27 23:10:00", "0:25:10", "1:40:15"], "直播日期,开始时间,文本"
    found, (note,) = starts(name, "05:10", "23:10", "25:10", "100:15")
    assert found == dated and note == (
        "column 开始时间: times that no day has, such as 25:10 (2 of them), are read as minutes and seconds, others (2) as hours "
        "and minutes of the date in 直播日期; rename 直播日期 if all are times of a recording, else write hours as 0:00 to 23:59"
    )
    assert starts("场次日期,开始时间,文本", "05:10", "25:10") == (["0:05:10", "0:25:10"], [])
    for times in (("05:10", "23:10"), ("24:10", "25:10"), ("05:10", "25:10:00")):
        assert starts(name, *times)[1] == []


@pytest.mark.parametrize("name", ["识别结果", "评论内容", "卖点", "商品名称"])
def test_in_json_a_platforms_text_above_rows_hides_none_of_them(tmp_path, name):
    (tmp_path / "a.json").write_text(json.dumps({name: "茶", "回复": [{"text": LINE}]}), encoding="utf-8")
    items, notes = read(tmp_path / "a.json")
    assert [item.text for item in items] == [LINE]
    assert notes == [
        f"the text is read from the rows inside, not from {name} above them; name another with --text-column"
    ]


def test_milliseconds_of_a_recogniser_that_look_like_a_day_are_none(tmp_path):
    phrase = {"text": LINE, "offsetMilliseconds": 20260115, "durationMilliseconds": 500}
    (tmp_path / "a.json").write_text(json.dumps({"phrases": [phrase]}), encoding="utf-8")
    (item,), _ = read(tmp_path / "a.json")
    assert (item.record["start"], item.record["end"]) == (20260.115, 20260.615)
