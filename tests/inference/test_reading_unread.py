"""What the host says is read before viewers' comments, and fields whose Chinese texts aren't read are told."""

import json

import pytest
from reading_helpers import workbook
from zhenyan.inference.io import Options, Reject, read_items

LINE, OTHER, ASKED = "喝这个茶三高就降下来了", "国家领导人专用的酒", "怎么买"


def read(path, **asked):
    """Texts, with the reasons of rejects, and notes."""
    options = Options(**asked)
    texts = [i.reason if isinstance(i, Reject) else i.text for i in read_items(str(path), options)]
    return texts, [
        note.removeprefix(f"{path}: ").removeprefix(f"{path} sheet Sheet: ") for note in map(str, options.notes)
    ]


def given(path, value):
    rows = [json.dumps(row, ensure_ascii=False) for row in (value if path.suffix == ".jsonl" else [value])]
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


def not_from(text, others):
    return [f"the text is read from {text}, not from {others}; name another with --text-column"]


def other_fields(names):
    return not_from("other fields", names)


@pytest.mark.parametrize(
    "host", ["主播话术", "主播发言", "主播讲解词", "讲解词", "口播文案", "台词", "话术", "字幕内容"]
)
@pytest.mark.parametrize("viewers", ["内容", "content", "评论内容", "弹幕内容"])
def test_what_the_host_says_is_read_before_comments(tmp_path, host, viewers):
    header, row = ["直播间", "时间", viewers, host], ["甲", "00:00:01", ASKED, LINE]
    (tmp_path / "a.csv").write_text(f"{','.join(header)}\n{','.join(row)}\n", encoding="utf-8")
    rows = given(tmp_path / "a.jsonl", [dict(zip(header, row, strict=True))])
    for path in (tmp_path / "a.csv", workbook(tmp_path / "a.xlsx", header, row), rows):
        assert read(path) == ([LINE], not_from(host, viewers))


def test_text_stays_before_all_for_a_run_wrote_there_what_it_read(tmp_path):
    path = given(tmp_path / "a.jsonl", [{"text": LINE, "主播话术": OTHER, "评论内容": LINE}])
    assert read(path)[0] == [LINE]


def test_a_column_with_chinese_that_isnt_read_is_told_whatever_it_is_called(tmp_path):
    rows = (
        ["内容", "主持人说的", "备注", "昵称", "商品"],
        [ASKED, LINE, "已查", "一位很长的用户", "益生菌冻干粉固体饮料"],
    )
    (tmp_path / "a.csv").write_text("".join(",".join(row) + "\n" for row in rows), encoding="utf-8")
    for path in (tmp_path / "a.csv", workbook(tmp_path / "a.xlsx", *rows)):
        assert read(path) == ([ASKED], not_from("内容", "主持人说的"))
        assert read(path, text_column="内容")[1] == []


def test_a_table_that_was_scored_tells_nothing_of_what_the_run_added(tmp_path):
    row = {
        "text": LINE,
        "自写": LINE,
        "evidence": [{"text": f"{LINE}呀"}],
        "source": "养生堂直播间十一月.csv",
        "labels": "a",
    }
    assert read(given(tmp_path / "a.jsonl", [row])) == ([LINE], [])


def test_json_lines_tell_as_tables_do(tmp_path):
    rows = [
        {"title": "茶", "points": [LINE, "好"], "店铺": "甲", "start": "20:15"},
        {"title": "酒", "desc": OTHER, "start": "20:16", "end": "20:17"},
    ]
    short = "20:15, as all its values are written, is read as 20 min 15 s; such rows need seconds too, as h:mm:ss, where hours are meant"
    assert read(given(tmp_path / "a.jsonl", rows)) == (
        ["茶", "酒"],
        [
            "no column is read as the room; where 店铺 names it, add --stream-column 店铺",
            *not_from("title", "points, desc"),
            f"column start: {short}",
        ],
    )
    rows[1] |= {"直播间": "甲", "start": "00:20:16"}
    assert read(given(tmp_path / "a.jsonl", rows))[1] == not_from("title", "points, desc")


def test_a_recognisers_result_in_json_lines_tells_what_stands_beside_it(tmp_path):
    rows = [{"segments": [{"start": 1, "end": 3, "text": text}], "intro": OTHER} for text in (LINE, OTHER)]
    assert read(given(tmp_path / "a.jsonl", rows)) == ([LINE, OTHER], other_fields("intro"))


@pytest.mark.parametrize(
    ("value", "unread"),
    [
        ({"products": [{"title": "好茶", "desc": LINE, "points": [OTHER, "好"]}]}, "desc, points"),
        ({"comments": [{"content": ASKED}], "subtitles": [{"st": 1.0, "line": LINE}, {"st": 2.0, "line": OTHER}]}, "line"),
        ({"data": {"list": [{"content": ASKED}]}, "asr_segments": [{"begin_ms": 0, "words": LINE}]}, "words"),
        ({"text": "欢迎宝宝", "result": f"{LINE} {OTHER}"}, "result"),
        ({"live": {"intro": OTHER, "desc": LINE}, "segments": [{"start": 0, "end": 2, "text": "欢迎宝宝"}]}, "intro, desc"),
        ([{"text": ASKED}, {"译文": "x", "原文": LINE, "text": "买"}], "原文"),
    ],
)  # fmt: skip
def test_fields_of_json_whose_chinese_isnt_read_are_told(tmp_path, value, unread):
    path = given(tmp_path / "a.json", value)
    assert read(path)[1] == other_fields(unread)
    if "segments" not in value:
        name = unread.split(", ")[0]
        assert LINE in "".join(read(path, text_column=name)[0]) and read(path, text_column=name)[1] == []


@pytest.mark.parametrize(
    "value",
    [
        {"text": f"{LINE}，{OTHER}。", "segments": [{"start": 0, "end": 2, "text": LINE}, {"start": 2, "end": 4, "text": OTHER}]},
        {"segments": [{"start": 0, "end": 2, "text": LINE, "words": [{"word": LINE}], "alternative": OTHER}]},
        [{"text": LINE, "user": "一位很长的用户", "nick_name": "一位很长的用户", "图片地址": "养生堂直播间的图片"}],
        [{"text": LINE, "note": "已经查"}, {"text": OTHER, "parts": [OTHER[:6], OTHER[2:]]}],
    ],
)  # fmt: skip
def test_what_was_read_in_another_form_and_names_are_not_told(tmp_path, value):
    assert read(given(tmp_path / "a.json", value))[1] == []


def test_many_fields_are_counted_and_those_told_already_are_left_out(tmp_path):
    value = [{"content": ASKED, "评论内容": OTHER} | {f"f{at}": f"{LINE}{at}" for at in range(10)}]
    assert read(given(tmp_path / "a.json", value))[1] == [
        *not_from("content", "评论内容"),
        *other_fields(", ".join(f"f{at}" for at in range(8)) + " and 2 more"),
    ]


def test_what_a_note_tells_of_a_file_is_not_taken_for_another_whose_name_begins_its_own(tmp_path):
    options = Options()
    given(tmp_path / "a.jsonl", [{"text": ASKED, "intro": LINE}])
    given(tmp_path / "a.json", {"segments": [{"start": 0, "end": 2, "text": ASKED}], "intro": LINE})
    for name in ("a.jsonl", "a.json"):
        list(read_items(str(tmp_path / name), options))
    assert [note.partition(": ")[2] for note in map(str, options.notes)] == [
        *not_from("text", "intro"),
        *other_fields("intro"),
    ]


def aws(words, text=None):
    said = "".join(one["alternatives"][0]["content"] for one in words) if text is None else text
    return {"jobName": "j", "results": {"transcripts": [{"transcript": said}], "items": words}}


def word(content, start=None, end=None, **more):
    kind = "punctuation" if start is None else "pronunciation"
    times = {} if start is None else {"start_time": start, "end_time": end}
    return {"type": kind, "alternatives": [{"confidence": "1", "content": content}], **times, **more}


WORDS = [word("全网第一", "0.1", "0.9"), word("没有之一", "0.9", "1.2"), word("。"), word("明天发货", "2.0", "2.9")]


def test_amazons_words_give_their_times_where_there_are_no_segments(tmp_path):
    for path in (given(tmp_path / "a.json", aws(WORDS)), given(tmp_path / "b.jsonl", [aws(WORDS)])):
        records = [item.record for item in read_items(str(path), Options())]
        assert [(r["text"], r["start"], r["end"]) for r in records] == [
            ("全网第一没有之一。", 0.1, 1.2),
            ("明天发货", 2.0, 2.9),
        ]


def test_amazons_lines_end_where_another_speaks_or_a_line_is_full(tmp_path):
    two = [word("好", "1", "2", speaker_label="spk_0"), word("买", "2", "3", speaker_label="spk_1")]
    records = [item.record for item in read_items(str(given(tmp_path / "a.json", aws(two))), Options())]
    assert [(r["text"], r["speaker"]) for r in records] == [("好", "spk_0"), ("买", "spk_1")]
    many = [word("好", str(at), str(at + 1)) for at in range(200)]
    items = list(read_items(str(given(tmp_path / "a.json", aws(many))), Options()))
    assert [(len(i.text), i.record["start"], i.record["end"]) for i in items] == [(160, 0.0, 160.0), (40, 160.0, 200.0)]


def test_words_of_amazon_that_are_not_the_text_or_have_no_times_are_no_lines(tmp_path):
    untimed = [word("全网第一"), word("没有之一")]
    for value in (aws(WORDS, LINE), aws(untimed, LINE)):
        assert read(given(tmp_path / "a.json", value))[0] == [LINE]
