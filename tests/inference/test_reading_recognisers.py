"""Recognisers' results one by one, word by word, in milliseconds: layouts in which the text or the unit stands elsewhere."""

import json

import pytest
from zhenyan.inference.errors import InputError
from zhenyan.inference.io import Options, Reject, read_items

LINE, OTHER = "全网销量第一，", "没有之一。"
KEPT = ("text", "start", "end", "speaker")


def given(path, *values):
    text = "\n".join(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for value in values)
    path.write_text(text, encoding="utf-8")
    return str(path)


def records(path, **options):
    return [(i.place, i.reason) if isinstance(i, Reject) else i.record for i in read_items(path, Options(**options))]


def kept(path, *names, **options):
    return [tuple(record.get(name) for name in names or KEPT) for record in records(path, **options)]


def words(text, start, end, at=0, of=round, unit=1000):
    """The words of a line, two characters each, of 0.2 seconds."""
    pieces = [text[i : i + 2] for i in range(0, len(text), 2)]
    times = [(at + 0.25 * i, at + 0.25 * i + 0.2) for i in range(len(pieces))]
    name = "Text" if start == "Start" else "text"
    return [
        {"wid": str(i), start: of(unit * a), end: of(unit * b), name: piece}
        for i, (piece, (a, b)) in enumerate(zip(pieces, times, strict=True))
    ]


def paragraph(speaker, end="end_time", **how):
    said = [
        {"sid": str(at), "words": words(text, "start_time", end, at, **how)} for at, text in ((2, LINE), (4, OTHER))
    ]
    return {"pid": "0", "start_time": 2000, "sentences": said} | speaker


def tingwu(*numbers):
    """A paragraph of 听悟, each line with its SentenceId; None: none has one."""
    listed = [
        word | ({} if number is None else {"SentenceId": number})
        for number, at, text in zip(numbers, (2, 4), (LINE, OTHER), strict=True)
        for word in words(text, "Start", "End", at)
    ]
    paragraphs = [{"ParagraphId": "1", "SpeakerId": "7", "Words": listed}]
    return {"TaskId": "t", "Transcription": {"AudioInfo": {"Size": 1}, "Paragraphs": paragraphs}}


MEETING = {
    "minutes": {"keywords": [], "paragraphs": [paragraph({"speaker_info": {"userid": "u", "username": "主播"}})]}
}
PAGE = {"title": "会议", "paragraphs": [paragraph({"speaker": {"user_name": "主播"}})]}
WECOM = {"errcode": 0, "transcripts": {"paragraphs": [paragraph({"speaker_info": {"userid": "主播"}})]}}
TEXTS = [paragraph({"speaker": {"user_name": "主播"}}, "stop_time", of=lambda time: str(round(time)))]
SECONDS = {"list": [paragraph({"speaker": "主播"}, of=float, unit=1)]}


@pytest.mark.parametrize("value", [MEETING, PAGE, WECOM, {"data": {"paragraphs": TEXTS}}, SECONDS])
def test_a_text_that_stands_in_its_words_is_a_line_for_each_sentence(tmp_path, value):
    path = given(tmp_path / "养生堂.json", value)
    assert kept(path) == [(LINE, 2.0, 2.95, "主播"), (OTHER, 4.0, 4.7, "主播")]
    assert kept(path, "stream") == [("养生堂",)] * 2


def test_words_under_a_heading_are_one_line(tmp_path):
    value = {"title": "会议", "words": words(LINE + OTHER, "start", "end", 2), "speaker": "主播"}
    assert kept(given(tmp_path / "a.json", value)) == [(LINE + OTHER, 2.0, 3.45, "主播")]


@pytest.mark.parametrize("options", [{}, {"text_column": "Text"}])
def test_words_of_tingwu_are_a_line_for_each_sentence_id(tmp_path, options):
    path = given(tmp_path / "养生堂.json", tingwu(1, 2))
    want = [(LINE, 2.0, 2.95, "7", "养生堂"), (OTHER, 4.0, 4.7, "7", "养生堂")]
    assert kept(path, "text", "start", "end", "SpeakerId", "stream", **options) == want
    assert kept(given(tmp_path / "b.json", tingwu(None, None)["Transcription"]), "text") == [(LINE + OTHER,)]


def test_words_with_spaces_between_them_keep_these(tmp_path):
    said = [
        {"text": word, "start": n, "end": n + 0.5}
        for n, word in enumerate(("买", "iPhone", "15", "Pro,", "only", "今天"))
    ]
    assert kept(given(tmp_path / "a.json", {"words": said}), "text", "end") == [("买iPhone15Pro, only今天", 5.5)]


@pytest.mark.parametrize("more", [{"text": LINE}, {"content": LINE}])
def test_a_text_beside_its_words_is_read_and_not_they(tmp_path, more):
    assert kept(given(tmp_path / "a.json", [{"words": words(LINE, "start", "end")} | more]), "text") == [(LINE,)]


SEGMENTS = [{"id": 0, "start": 0.0, "end": 4.5, "text": LINE}, {"id": 1, "start": 5.0, "end": 9.5, "text": OTHER}]
SENTENCES = [{"text": LINE, "start": 0, "end": 4500, "spk": 0}, {"text": OTHER, "start": 5000, "end": 9500, "spk": 1}]
WHISPER = {"text": LINE + OTHER, "segments": SEGMENTS, "language": "zh"}
LONG = "喝这个茶三高就降下来了放心喝好吗。" * 10
STAMPED = {"text": LONG, "timestamp": [[100 * n, 100 * n + 90] for n in range(160)]}


def funasr(key):
    return {"key": key, "text": LINE + OTHER, "timestamp": [[0, 100]], "sentence_info": SENTENCES}


def test_a_line_for_each_recording_is_read_by_its_segments(tmp_path):
    path = given(tmp_path / "a.jsonl", WHISPER, {"text": "单独一行"}, funasr("养生堂"), funasr("rand_key_2yW4"))
    found = records(path)
    assert [record["text"] for record in found] == [LINE, OTHER, "单独一行", LINE, OTHER, LINE, OTHER]
    assert found[1] == {"text": OTHER, "start": 5.0, "end": 9.5, "id": 1, "stream": "a.jsonl", "language": "zh"}
    assert found[2] == {"text": "单独一行"}
    assert found[4] == {"text": OTHER, "start": 5.0, "end": 9.5, "spk": 1, "stream": "养生堂", "key": "养生堂"}
    assert found[6]["stream"] == "a.jsonl"
    assert [item.place for item in read_items(path, Options())][1:3] == ["line 1 segment 2", "line 2"]


def test_words_of_a_line_give_its_utterances_times_as_in_json(tmp_path):
    value = STAMPED | {"key": "养生堂", "room": "某店"}
    paths = given(tmp_path / "a.json", value), given(tmp_path / "b.jsonl", value)
    lines, rows = (kept(path, "text", "start", "end", "stream", "key") for path in paths)
    assert lines == rows and len(rows) == 10 and rows[1] == (LONG[:17], 1.6, 3.19, "某店", "养生堂")
    path = given(tmp_path / "c.jsonl", *({"key": key, "Text": LINE, "timestamp": [[0, 900]]} for key in ("甲", "乙")))
    assert kept(path, "text", "start", "end", "stream") == [(LINE, 0.0, 0.9, "甲"), (LINE, 0.0, 0.9, "乙")]


def test_a_recognisers_answer_around_the_segments_is_read(tmp_path):
    timed = {"text": LINE, "start_time": 125000, "end_time": 127500}
    answer = {"url": "u", "result": {"text": LINE, "utterances": [timed, "x"]}}
    assert kept(given(tmp_path / "b.jsonl", MEETING)) == [(LINE, 2.0, 2.95, "主播"), (OTHER, 4.0, 4.7, "主播")]
    path = given(tmp_path / "a.jsonl", answer, {"result": {"text": LINE}})
    assert records(path) == [
        {"text": LINE, "start": 125.0, "end": 127.5, "stream": "a.jsonl", "url": "u"},
        ("line 1 segment 2", "the segment is no object"),
        ("line 2", "no text column; its columns are result; name one with --text-column"),
    ]


def test_fields_of_a_row_stand_beside_its_segments_own(tmp_path):
    row = WHISPER | {"id": "v1", "start": "20:15", "file": "x.mp4", "notes": "长" * 1001, "tags": ["茶"]}
    first, second = records(given(tmp_path / "a.jsonl", row))
    assert second == {
        "text": OTHER, "start": 5.0, "end": 9.5, "id": 1, "stream": "x.mp4", "file": "x.mp4",
        "language": "zh", "input.id": "v1", "input.start": "20:15",
    }  # fmt: skip
    assert first.keys() == second.keys()


@pytest.mark.parametrize("empty", [None, ""])
def test_an_empty_time_of_a_row_stands_beside_no_segment(tmp_path, empty):
    path = given(tmp_path / "a.jsonl", WHISPER | {"start": empty, "end": empty, "file": None})
    assert records(path)[1] == {
        "text": OTHER, "start": 5.0, "end": 9.5, "id": 1, "stream": "a.jsonl", "file": None, "language": "zh"
    }  # fmt: skip


CLAIM = "祖传秘方 根治糖尿病"


@pytest.mark.parametrize("ending", ["json", "jsonl"])
@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"text": CLAIM, "segments": [{"start": 0, "end": 8, "text": "甲"}]}, [CLAIM, "甲"]),
        ({"text": CLAIM, "body": [{"from": 1, "content": "这个主播说得真好我也要去买一盒"}]}, [CLAIM, "这个主播说得真好我也要去买一盒"]),
        ({"字幕": CLAIM, "title": "茶", "segments": [{"start": 0, "end": 8, "text": "甲"}]}, [CLAIM, "甲"]),
        ({"text": "<|zh|><|NEUTRAL|><|Speech|>甲乙，", "sentence_info": [{"text": "甲 乙", "start": 0, "end": 900}]}, ["甲 乙"]),
        ({"title": CLAIM, "segments": [{"start": 0, "end": 8, "text": "甲"}]}, ["甲"]),
        ({"text": "！", "segments": [{"start": 0, "end": 8, "text": "甲"}]}, ["甲"]),
    ],
)  # fmt: skip
def test_a_text_that_its_segments_leave_out_is_read_before_them(tmp_path, row, said, ending):
    path = given(tmp_path / f"a.{ending}", row)
    assert kept(path, "text", "stream") == [(text, "a.jsonl" if ending == "jsonl" else "a") for text in said]


def test_a_text_beside_its_segments_has_the_rows_fields_and_not_the_segments(tmp_path):
    row = {"id": "v1", "text": CLAIM, "start": "1:15", "room": "某店", "segments": SEGMENTS}
    first, second, _ = records(given(tmp_path / "a.jsonl", row))
    fields = {"id": "v1", "room": "某店", "stream": "某店", "text": CLAIM, "start": 75.0}
    assert {name: first[name] for name in fields} == fields and "segments" not in first
    assert (second["text"], second["start"], second["input.start"]) == (LINE, 0.0, "1:15")


@pytest.mark.parametrize(
    ("row", "options"),
    [
        ({"text": LINE, "chunks": [LINE], "segments": [{"text": LINE}]}, {}),
        ({"text": LINE, "transcription": ["x"], "timestamp": []}, {}),
        ({"text": LINE, "timestamp": "00:05"}, {}),
        (WHISPER, {"text_column": "text"}),
    ],
)
def test_rows_of_a_table_stay_as_they_are(tmp_path, row, options):
    (record,) = records(given(tmp_path / "a.jsonl", row), **options)
    assert record == row | ({"start": 5.0} if row.get("timestamp") else {})


def test_a_result_that_repeats_a_key_is_a_reject(tmp_path):
    row = {"lattice": [{"json_1best": '{"st": {"bg": "0", "bg": "1"}}'}]}
    assert records(given(tmp_path / "a.jsonl", row)) == [("line 1", "the key 'bg' stands twice in an object")]


def table(path, *rows):
    return given(path, "start\tend\ttext", *rows)


def noted(path, **options):
    """Starts and ends, and whether a note says that they are milliseconds."""
    asked = Options(**options)
    times = [(item.record.get("start"), item.record.get("end")) for item in read_items(path, asked)]
    return times, any("read as milliseconds" in note for note in map(str, asked.notes))


def test_times_of_whispers_own_table_are_milliseconds(tmp_path):
    path = table(tmp_path / "a.tsv", f"0\t4500\t{LINE}", f"5000\t9500\t{OTHER}")
    assert noted(path) == ([(0.0, 4.5), (5.0, 9.5)], True)


def test_seconds_in_such_a_table_stay_seconds(tmp_path):
    for name, first, options in (
        ("a", "0\t4", {}),
        ("b", "0.5\t4500", {}),
        ("c", "0\t4500", {"start_column": "start"}),
    ):
        times, told = noted(table(tmp_path / f"{name}.tsv", f"{first}\t{LINE}", f"5\t9\t{OTHER}"), **options)
        assert times == [tuple(map(float, first.split("\t"))), (5.0, 9.0)] and not told
    path = given(tmp_path / "d.tsv", "start\tend\ttext\troom", f"0\t4500\t{LINE}\t甲")
    assert noted(path) == ([(0.0, 4500.0)], False)
    assert noted(table(tmp_path / "e.tsv", f"{'9' * 5000}\t4\t{LINE}", f"5\t9\t{OTHER}"))[1] is False


def test_times_of_funasrs_sentences_alone_are_milliseconds(tmp_path):
    path = given(tmp_path / "a.json", [row | {"room": "甲"} for row in SENTENCES])
    assert noted(path) == ([(0.0, 4.5), (5.0, 9.5)], True)
    assert kept(path, "spk", "stream", "start_ms") == [(0, "甲", 0), (1, "甲", 5000)]
    assert noted(given(tmp_path / "b.json", SENTENCES), end_column="end") == ([(0.0, 4500.0), (5000.0, 9500.0)], False)
    for name, changed in (("c", {"start": 0, "end": 4}), ("d", {"start": 0.5, "end": 4500})):
        assert noted(given(tmp_path / f"{name}.json", [SENTENCES[0] | changed]))[1] is False


def test_lines_that_look_slow_are_noted_with_what_follows_for_their_neighbours(tmp_path):
    options = Options()
    list(read_items(given(tmp_path / "a.csv", "start,end,text", f"0,4500,{LINE}"), options))
    assert "lines with a pause between them not read together" in str(options.notes[0])


def spoken(**more):
    return {"start_time": 0, "end_time": 900, "text": LINE} | more


def aliyun(**more):
    return {"Sentences": [{"Text": LINE, "BeginTime": 0, "EndTime": 900} | more]}


def lattice(**more):
    said = {"bg": "0", "ed": "900", "rt": [{"ws": [{"cw": [{"w": LINE}]}]}]} | more
    return {"lattice": [{"json_1best": json.dumps({"st": said})}]}


@pytest.mark.parametrize(
    ("value", "who"),
    [
        ({"utterances": [spoken(additions={"speaker": "1", "channel_id": "2"})]}, {"speaker": "1"}),
        ({"utterances": [spoken(additions={"channel_id": "2"})]}, {"speaker": "2"}),
        ({"utterances": [spoken(additions="x")]}, {}),
        (lattice(rl="2"), {"speaker": "2"}),
        (lattice(rl="0"), {}),
        (aliyun(ChannelId=1), {"speaker": 1}),
        (aliyun(ChannelId=0, SpeakerId="3"), {"SpeakerId": "3"}),
        ({"sentences": [spoken(begin_time=0, speaker={"user_name": "主播"})]}, {"speaker": "主播"}),
    ],
)
def test_who_speaks_is_kept_wherever_it_stands(tmp_path, value, who):
    (record,) = records(given(tmp_path / "a.json", value))
    assert {name: record[name] for name in record.keys() - {"text", "start", "end", "stream"}} == who


def test_an_encrypted_draft_is_named_with_what_to_do(tmp_path):
    path = given(tmp_path / "draft_content.json", "YjJ3eVZ1dGFi=QmFz")
    with pytest.raises(InputError, match="剪映 encrypts its drafts; export the subtitles there as SRT"):
        records(path)
    for name, text in (("draft_info.json", "{"), ("draft_content.json", ""), ("a.json", "YjJ3eVZ1dGFi=QmFz")):
        with pytest.raises(InputError, match=r"not JSON \("):
            records(given(tmp_path / name, text))


@pytest.mark.parametrize(
    ("value", "column"),
    [
        ({"segments": [{"text": LINE, "start": 1, "end": "oops"}]}, "end"),
        ({"sentence_list": [{"text": LINE, "start_time": 500, "end_time": "oops"}]}, "end_time"),
        ({"ResultDetail": [{"FinalSentence": LINE, "StartMs": 500, "EndMs": "oops"}]}, "EndMs"),
        ({"body": [{"content": LINE, "from": 1, "to": "oops"}]}, "to"),
        ([{"onebest": LINE, "bg": "500", "ed": "oops"}], "ed"),
    ],
)
def test_a_time_of_a_segment_that_cannot_be_read_is_noted(tmp_path, value, column):
    path, options = tmp_path / "asr.json", Options()
    path.write_text(json.dumps(value), encoding="utf-8")
    assert [item.text for item in read_items(str(path), options)] == [LINE]
    told = "1 of 1 values aren't times or lie before their start, e.g. segment 1 'oops'"
    assert [*map(str, options.notes)] == [f"{path}: column {column}: {told}; such rows are scored without that time"]
