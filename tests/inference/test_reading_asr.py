"""JSON of speech recognisers: vendors' forms with their times, what is no segment, and tags that nobody said."""

import json

import pytest
from zhenyan.inference.errors import InputError
from zhenyan.inference.io import Options, Reject, read_items

LINE, OTHER = "喝这个茶三高就降下来了", "今天二号链接拍两盒"
WORDS = [{"text": "喝", "start_time": 125000, "end_time": 125400}]


def given(path, value):
    path.write_text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), encoding="utf-8")
    return str(path)


def outline(path, **options):
    """(text, start, end) of the items and (place, reason) of the rejects, in order."""
    return [
        (i.place, i.reason) if isinstance(i, Reject) else (i.text, i.record.get("start"), i.record.get("end"))
        for i in read_items(path, Options(**options))
    ]


def volcengine(text="text"):
    times = ((LINE, 125000, 127500), (OTHER, 3_600_000, 3_601_020))
    return [{text: said, "start_time": start, "end_time": end, "words": WORDS} for said, start, end in times]


def aliyun():
    common = {"ChannelId": 0, "SilenceDuration": 0, "SpeechRate": 180, "EmotionValue": 6.1}
    return [
        {"Text": LINE, "BeginTime": 125000, "EndTime": 127500, **common},
        {"Text": OTHER, "BeginTime": 3_600_000, "EndTime": 3_601_020, **common},
    ]


def tencent():
    return [
        {"FinalSentence": LINE, "SliceSentence": LINE, "StartMs": 125000, "EndMs": 127500, "SpeakerId": 0, "Words": []},
        {"FinalSentence": OTHER, "SliceSentence": OTHER, "StartMs": 3_600_000, "EndMs": 3_601_020, "SpeakerId": 1},
    ]


def azure(ticks):
    times = [("PT2M5S", "PT2.5S", 1.25e9, 2.5e7), ("PT1H", "PT1.02S", 3.6e10, 1.02e7)]
    return [
        {"recognitionStatus": "Success", "offset": offset, "duration": duration,
         "nBest": [{"lexical": "x", "display": said}, {"display": "y"}]}
        | ({"offsetInTicks": start, "durationInTicks": length} if ticks else {})
        for said, (offset, duration, start, length) in zip((LINE, OTHER), times, strict=True)
    ]  # fmt: skip


def azure_fast(start, length):
    return [{start: 125000, length: 2500, "text": LINE, "words": [{"text": "喝", start: 125000, length: 100}]},
            {start: 3_600_000, length: 1020, "text": OTHER, "confidence": 0.9}]  # fmt: skip


def named(text, start, end, unit=1000, of=str):
    """The two lines, with fields of these names."""
    times = ((LINE, 125, 127.5), (OTHER, 3600, 3601.02))
    return [
        {text: said, start: of(unit * begin), end: of(round(unit * stop, 3)), "speaker": "A"}
        for said, begin, stop in times
    ]


def around(rows):
    """Huawei's segments, which have the text in an object beside its times."""
    return [row | {"result": {"text": row.pop("text"), "score": 0.9}} for row in rows]


def lattice(packed):
    """iFlytek's, whose words stand one by one; of the raw answer every level is a text of JSON."""
    found = [
        {
            "st": {
                "bg": row["bg"],
                "ed": row["ed"],
                "rt": [{"ws": [{"cw": [{"w": w}, {"w": "x"}]} for w in row["onebest"]]}],
            }
        }
        for row in named("onebest", "bg", "ed")
    ]
    rows = {
        "lattice": [{"json_1best": json.dumps(row) if packed else row} for row in found],
        "lattice2": [{"json_1best": {}}],
    }
    return json.dumps(rows) if packed else rows


def amazon(**more):
    words = [{"id": 0, "type": "pronunciation", "alternatives": [{"content": "喝"}], "start_time": "125.0"}]
    return {"jobName": "x", "results": {"transcripts": [{"transcript": LINE + OTHER}], "items": words, **more}}


PARAFORMER = [
    {"text": LINE, "begin_time": 125000, "end_time": 127500, "sentence_id": 1, "words": []},
    {"text": OTHER, "begin_time": 3_600_000, "end_time": 3_601_020, "sentence_id": 2, "words": []},
]
BILIBILI = [
    {"from": 125.0, "to": 127.5, "sid": 1, "location": 2, "content": LINE},
    {"from": 3600, "to": 3601.02, "sid": 2, "location": 2, "content": OTHER},
]
FORMS = {
    "Volcengine, subtitles": {"code": 0, "id": "x", "utterances": volcengine()},
    "Volcengine, large model": {"audio_info": {"duration": 9}, "result": {"text": LINE + OTHER, "utterances": volcengine()}},
    "Volcengine, list": {"reqid": "x", "result": [{"text": LINE + OTHER, "utterances": volcengine()}]},
    "Volcengine, first version": {"resp": {"code": 1000, "text": LINE + OTHER, "utterances": volcengine()}},
    "Bilibili's editor": {"utterances": volcengine("transcript")},
    "Paraformer": {"file_url": "u", "properties": {"channels": [0]},
                   "transcripts": [{"channel_id": 0, "text": LINE + OTHER, "sentences": PARAFORMER}]},
    "Bilibili": {"font_size": 0.4, "background_color": "#9C27B0", "lang": "zh", "body": BILIBILI},
    "Aliyun": {"TaskId": "x", "StatusText": "SUCCESS", "Result": {"Sentences": aliyun(), "Words": [{"Word": "喝"}]}},
    "Aliyun, bare": {"Sentences": aliyun()},
    "Tencent": {"Response": {"RequestId": "x", "Data": {"TaskId": 1, "Result": f"[2:5] {LINE}", "ResultDetail": tencent()}}},
    "Tencent, bare": {"ResultDetail": tencent()},
    "Tencent, fast": {"flash_result": [{"channel_id": 0, "text": LINE + OTHER, "sentence_list": volcengine()}]},
    "Azure, ticks": {"source": "u", "combinedRecognizedPhrases": [{"display": LINE}], "recognizedPhrases": azure(True)},
    "Azure, durations": {"recognizedPhrases": azure(False)},
    "Azure, fast": {"durationMilliseconds": 9, "combinedPhrases": [{"text": LINE + OTHER}],
                    "phrases": azure_fast("offsetMilliseconds", "durationMilliseconds")},
    "Azure, fast, preview": {"duration": 9, "combinedPhrases": [{"channel": 0, "text": LINE + OTHER}],
                             "phrases": azure_fast("offset", "duration")},
    "FunASR, speakers by pauses": [{"key": "a", "text": LINE + OTHER, "timestamp": [[0, 100]], "sentence_info": [
        {"sentence": LINE, "start": 125000, "end": 127500, "timestamp": [[0, 100]], "spk": 0},
        {"sentence": OTHER, "start": 3_600_000, "end": 3_601_020, "timestamp": [], "spk": 1}]}],
    "iFlytek": named("onebest", "bg", "ed"),
    "iFlytek, under data": {"err_no": 0, "ok": 0, "data": named("onebest", "bg", "ed")},
    "iFlytek, packed": {"err_no": 0, "ok": 0, "data": json.dumps(named("onebest", "bg", "ed"))},
    "iFlytek, words": lattice(False),
    "iFlytek, raw": {"code": "000000", "content": {"orderInfo": {"status": 4}, "orderResult": lattice(True)}},
    "Baidu": {"log_id": 1, "tasks_info": [{"task_status": "Success", "task_result": {"result": [LINE + OTHER],
              "detailed_result": [row | {"res": [row["res"], "x"]} for row in named("res", "begin_time", "end_time", of=int)]}}]},
    "Huawei": {"status": "FINISHED", "segments": around(named("text", "start_time", "end_time", of=int))},
    "Huawei, fast": {"audio_duration": 9, "flash_result": [
        {"channel_id": 0, "sentences": around(named("text", "start_time", "end_time", of=int))}]},
    "Amazon": amazon(audio_segments=named("transcript", "start_time", "end_time", 1)),
    "AssemblyAI": {"id": "x", "text": LINE + OTHER, "words": [{"text": "喝", "start": 0, "end": 9}],
                   "utterances": named("text", "start", "end", of=int)},
    "Deepgram": {"results": {"channels": [{"alternatives": [{"transcript": LINE + OTHER, "words": []}]}],
                             "utterances": named("transcript", "start", "end", 1, of=float)}},
    "Tencent, text alone": {"Response": {"Data": {"TaskId": 1, "StatusStr": "success", "ResultDetail": [],
                            "Result": f"[2:5.000,2:7.500]  {LINE}\n\n[60:0.000,60:1.020,0]  {OTHER}\n"}}},
    "Tencent, no detail": {"ResultDetail": None, "Result": f"[2:5.000,2:7.500]{LINE}\n[1:0:0.000,1:0:1.020] {OTHER}"},
    "Tencent, bare text": {"Data": {"Result": f"[2:5.000,2:7.500] {LINE}\n[60:0.000,60:1.020] {OTHER}"}},
}  # fmt: skip


@pytest.mark.parametrize("value", FORMS.values(), ids=FORMS)
def test_vendors_times_come_out_in_seconds(tmp_path, value):
    path = given(tmp_path / "2026.11.24 养生堂.json", value)
    assert outline(path) == [(LINE, 125.0, 127.5), (OTHER, 3600.0, pytest.approx(3601.02))]
    assert {i.record["stream"] for i in read_items(path, Options())} == {"2026.11.24 养生堂"}


def test_an_everyday_word_over_other_lists_is_no_recognisers(tmp_path):
    value = {"text": LINE, "sentences": ["喝这个茶", "三高就降下来了"], "body": "x",
             "phrases": [{"text": "三高", "offset": 4}]}  # fmt: skip
    (item,) = read_items(given(tmp_path / "a.json", value), Options())
    assert item.text == LINE and (item.record["sentences"], item.record["phrases"]) == (
        value["sentences"],
        value["phrases"],
    )


def test_words_that_amazon_lists_beside_the_text_are_no_rows(tmp_path):
    assert outline(given(tmp_path / "a.json", amazon())) == [(LINE + OTHER, None, None)]


def test_a_segment_without_words_or_of_another_form_is_a_reject(tmp_path):
    value = {
        "lattice": [{"json_1best": best} for best in ("x", {}, 5, {"st": {"rt": [{"ws": None}]}}, {"st": {"rt": []}})]
    }
    assert [reason for _, reason in outline(given(tmp_path / "a.json", value))] == ["the segment has no text"] * 5
    assert outline(given(tmp_path / "b.json", {"detailed_result": [{"res": []}]})) == [
        ("segment 1", "the segment has no text")
    ]


def test_tencents_lines_without_times_are_read_and_silence_is_none(tmp_path):
    value = {"TaskId": 1, "Result": f"{LINE}\n[0:1.000,0:2.000]  {OTHER}", "ResultDetail": None}
    assert outline(given(tmp_path / "a.json", value)) == [(LINE, None, None), (OTHER, 1.0, 2.0)]
    assert outline(given(tmp_path / "b.json", value | {"Result": " ", "ResultDetail": []})) == []
    with pytest.raises(InputError, match="no transcript found"):
        outline(given(tmp_path / "c.json", {"Result": "failed"}))


@pytest.mark.parametrize(
    ("value", "streams"),
    [
        ({"subtitles": [{"text": LINE}], "warnings": []}, {"a"}),
        ({"某店": [{"text": LINE}]}, {"某店"}),
        ({"shop1": [{"text": LINE}], "shop2": [{"text": OTHER}]}, {"shop1", "shop2"}),
        ({"shop1": [{"file": "x.mp4", "text": LINE}]}, {"shop1"}),
        ({"Data": {"shop1": {"segments": [{"text": LINE}]}}}, {"shop1"}),
    ],
)
def test_a_key_over_plain_segments_is_no_room(tmp_path, value, streams):
    assert {i.record["stream"] for i in read_items(given(tmp_path / "a.json", value), Options())} == streams


@pytest.mark.parametrize(
    ("value", "streams"),
    [
        ({"minute": {"sentences": PARAFORMER}}, {"a"}),
        ({"minute": {"id": 1, "lines": [{"text": LINE}]}, "meta": {"id": 1}}, {"a"}),
        ({"某店": {"sentences": PARAFORMER}}, {"某店"}),
        ({"zhang": {"segments": [{"text": LINE}]}, "wang": {"segments": [{"text": OTHER}]}}, {"zhang", "wang"}),
        ({"shop": {"file": "x.mp4", "text": LINE}}, {"shop"}),
    ],
)
def test_a_plain_word_over_an_object_is_no_room(tmp_path, value, streams):
    assert {i.record["stream"] for i in read_items(given(tmp_path / "a.json", value), Options())} == streams


def draft(*texts, **materials):
    """A draft of 剪映, its texts shown one after the other in the opposite order, 1.5 seconds each."""
    shown = [{"material_id": str(at), "target_timerange": {"start": 2_000_000 * (len(texts) - at), "duration": 1_500_000}}
             for at in range(len(texts))]  # fmt: skip
    video = {"material_id": "v", "target_timerange": {"start": 0, "duration": 9_000_000}, "clip": {"alpha": 1}}
    return {
        "canvas_config": {"ratio": "original"}, "keyframes": {"texts": []}, "platform": {"os": "windows"},
        "materials": {"audios": [{"id": "m", "name": "x"}], "videos": [{"id": "v", "material_name": "x"}],
                      "texts": [{"id": str(at), "content": json.dumps({"text": text})} for at, text in enumerate(texts)]} | materials,
        "tracks": [{"type": "video", "segments": [video]}, {"type": "text", "segments": []}, {"type": "text", "segments": shown}],
    }  # fmt: skip


def test_a_drafts_texts_have_the_times_of_their_clips(tmp_path):
    path = given(tmp_path / "养生堂.json", draft(OTHER, LINE))
    assert outline(path) == [(LINE, 2.0, 3.5), (OTHER, 4.0, 5.5)]
    assert {i.record["stream"] for i in read_items(path, Options())} == {"养生堂"}


def test_what_a_draft_doesnt_show_is_read_without_times(tmp_path):
    value = draft(LINE)
    value["tracks"][-1]["segments"][0]["target_timerange"] = None
    assert outline(given(tmp_path / "a.json", value)) == [(LINE, None, None)]
    inner = draft(OTHER)
    inner["tracks"] = inner["tracks"][:1]
    path = given(tmp_path / "b.json", draft(LINE, drafts=[{"id": "c", "draft": inner}]))
    assert outline(path) == [(LINE, 2.0, 3.5), (OTHER, None, None)]  # a compound clip
    assert {i.record["stream"] for i in read_items(path, Options())} == {"b"}
    assert outline(given(tmp_path / "c.json", draft())) == []


def test_clips_of_a_timeline_are_no_transcript(tmp_path):
    clips = {"segments": [{"material_id": "v", "target_timerange": {"start": 0, "duration": 1}}]}
    assert outline(given(tmp_path / "a.json", {"tracks": [clips], "lines": [{"text": LINE}]})) == [(LINE, None, None)]
    assert outline(given(tmp_path / "b.json", {"text": LINE, **clips})) == [(LINE, None, None)]


def funasr(*keys, **more):
    """FunASR's answer to several recordings."""
    said = [{"text": LINE, "start": 0, "end": 900}, {"text": OTHER, "start": 900, "end": 2000}]
    return [{"key": key, "text": LINE + OTHER, "timestamp": [[0, 100]], "sentence_info": said} | more for key in keys]


def test_several_recordings_of_funasr_are_streams_by_key(tmp_path):
    found = list(read_items(given(tmp_path / "a.json", funasr("养生堂_1127", "茶叶姐_1127")), Options()))
    assert [(i.record["stream"], i.record["key"], i.text) for i in found] == [
        (key, key, text) for key in ("养生堂_1127", "茶叶姐_1127") for text in (LINE, OTHER)
    ]
    texts = {"results": [{"key": "甲", "text": LINE}, {"key": "乙", "text": OTHER}]}
    found = list(read_items(given(tmp_path / "b.json", texts), Options()))
    assert [(i.record["stream"], i.record["key"], i.text) for i in found] == [("甲", "甲", LINE), ("乙", "乙", OTHER)]


@pytest.mark.parametrize(
    ("value", "streams"),
    [
        (funasr("甲"), {"a"}),
        (funasr("甲", "甲"), {"a"}),
        (funasr("rand_key_2yW4Acq9GFz6Y", "rand_key_1t9EwL56nGisi"), {"a"}),
        (funasr("甲", "乙", room="某店"), {"某店"}),
        ({"某店": funasr("甲", "乙")}, {"某店"}),
        ([{"key": "1", "start": 1, "text": LINE}, {"key": "2", "start": 3, "text": OTHER}], {"a"}),
        ([{"key": 1, "text": LINE}, {"key": 2, "text": OTHER}], {"a"}),
    ],
)
def test_a_key_that_names_no_recording_is_no_stream(tmp_path, value, streams):
    assert {i.record["stream"] for i in read_items(given(tmp_path / "a.json", value), Options())} == streams


@pytest.mark.parametrize(
    ("value", "rejects"),
    [
        ([{"id": 1}, {"text": LINE}, {"text": None}, {"id": 4}, "x"], {1, 3, 4, 5}),
        ([{"text": LINE}, {"text": 5}, {"text": " "}, {"rows": []}], {2, 3, 4}),
        ({"text": LINE, "segments": ["x", {"text": LINE}, None, {"start": 1}]}, {1, 3, 4}),
        ([{"text": None}], {1}),
        ({"tags": ["x"], "rows": [{"text": LINE}]}, set()),
    ],
)
def test_what_has_no_text_is_named_with_its_place(tmp_path, value, rejects):
    found = list(read_items(given(tmp_path / "a.json", value), Options()))
    assert {i.place for i in found if isinstance(i, Reject)} == {f"segment {n}" for n in rejects}
    assert all(i.reason for i in found if isinstance(i, Reject))
    assert all(i.text == LINE for i in found if not isinstance(i, Reject))


@pytest.mark.parametrize(
    "value",
    [{"text": "", "segments": [], "language": "zh"}, {"result": {"text": "", "utterances": []}}, {"body": []}, []],
)
def test_a_recording_in_which_nothing_is_said_is_no_error(tmp_path, value):
    assert outline(given(tmp_path / "a.json", value)) == []


def test_a_text_without_segments_is_read_whole(tmp_path):
    rows = [{"room": "某店", "content": LINE, "sentences": []}, {"transcript": OTHER, "utterances": []}]
    assert [text for text, *_ in outline(given(tmp_path / "rows.json", rows))] == [LINE, OTHER]
    beside = {"body": [], "data": [{"text": LINE}]}
    assert [text for text, *_ in outline(given(tmp_path / "c.json", beside))] == [LINE]
    assert [text for text, *_ in outline(given(tmp_path / "d.json", {"segments": [], "utterances": volcengine()}))] == [
        LINE,
        OTHER,
    ]
    assert outline(given(tmp_path / "a.json", {"text": LINE, "utterances": []})) == [(LINE, None, None)]
    with pytest.raises(InputError, match=r"no transcript found.*recognizedPhrases"):
        outline(given(tmp_path / "b.json", {"code": 500, "errors": []}))


TAGS = "<|zh|><|NEUTRAL|><|Speech|><|woitn|>"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", [{"key": "a", "text": TAGS + LINE}]),
        ("a.json", {"segments": [{"start": 1, "end": 2, "text": f"<|0.00|>{LINE}<|2.00|>"}]}),
        ("a.txt", f"{TAGS}{LINE}\n"),
        ("a.srt", f"1\n00:00:01,000 --> 00:00:02,000\n{TAGS} {LINE}\n"),
        ("a.vtt", f"WEBVTT\n\n00:01.000 --> 00:02.000\n{TAGS}{LINE}\n"),
        ("a.csv", f"asr,id\n{TAGS}{LINE},1\n"),
    ],
)
def test_recognisers_tags_are_not_speech(tmp_path, name, content):
    (item,) = read_items(given(tmp_path / name, content), Options())
    assert item.record["text"] == item.text == LINE


def test_a_line_of_tags_alone_is_a_reject(tmp_path):
    found = outline(given(tmp_path / "a.txt", f"<|nospeech|><|EMO_UNKNOWN|>\n{LINE}\n价格<|99|\n"))
    assert found == [
        ("line 1", "there are a recogniser's tags and no words"),
        (LINE, None, None),
        ("价格<|99|", None, None),
    ]


def test_times_of_words_fit_a_text_with_tags(tmp_path):
    text = "喝这个茶三高就降下来了放心喝好吗。" * 10
    stamps = [[1000 * n, 1000 * n + 900] for n in range(160)]
    items = list(read_items(given(tmp_path / "a.json", [{"text": TAGS + text, "timestamp": stamps}]), Options()))
    assert [(i.record["start"], i.record["end"]) for i in items] == [(16 * n, 16 * n + 15.9) for n in range(10)]


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_what_is_cut_grows_no_faster_than_the_recording(tmp_path, name):
    text = "".join(f"今天第{n}号链接拍两盒明天就发货。" for n in range(300))
    row = {"room": "某店", "likes": 3, "file": "a.mp4", "text": text, "asr": f"{TAGS}{text}", "plain": text[::-1],
           "words": [{"word": "喝", "start": n} for n in range(3000)], "info": {"n": 1}}  # fmt: skip
    path = given(tmp_path / name, row)
    records = [i.record for i in read_items(path, Options())]
    assert len(records) == 300 and all(r["likes"] == 3 and r["stream"] == "某店" for r in records)
    assert records[0]["words"] == row["words"] and records[0]["plain"] == row["plain"]
    assert not any({"words", "info", "plain", "asr"} & r.keys() for r in records[1:])
    assert len(json.dumps(records)) < 3 * len(json.dumps(row))


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ([{"key": "a", "sentence_info": [{"text": LINE, "start": 0, "end": 900, "spk": 1}]}], {"spk": 1}),
        ({"ResultDetail": [tencent()[1]]}, {"SpeakerId": 1}),
        ({"segments": [{"text": LINE, "id": 7, "speaker": "SPEAKER_01", "tokens": [1]}]}, {"id": 7, "speaker": "SPEAKER_01"}),
        ({"sentences": [PARAFORMER[0] | {"speaker_id": 0}]}, {"speaker_id": 0}),
    ],
)  # fmt: skip
def test_who_speaks_is_kept(tmp_path, value, kept):
    (item,) = read_items(given(tmp_path / "a.json", value), Options())
    assert {key: item.record[key] for key in item.record.keys() - {"text", "start", "end", "stream"}} == kept
