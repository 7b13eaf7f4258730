"""Subtitles of other programs: markup, times and fields as they write them; and what a file is called."""

import time

import pytest
from zhenyan.inference.io import Options, Reject, read_items
from zhenyan.inference.io.documents import stream_name

LINE, OTHER = "喝这个茶三高就降下来了", "今天二号链接拍两盒"
TIMES = "a cue's times can't be read; write both like 00:01:02.000"


def outline(path, content):
    """(text, start, end) of the items and (place, reason) of the rejects, in order."""
    path.write_text(content, encoding="utf-8")
    return [
        (i.place, i.reason) if isinstance(i, Reject) else (i.text, i.record["start"], i.record["end"])
        for i in read_items(str(path), Options())
    ]


@pytest.mark.parametrize(
    ("words", "want"),
    [
        ("喝这个茶三高就<00:00:02.000>降下来了", LINE),
        ("喝<00:00:01.200><c>这个茶</c><00:01.900><c.colorE5E5E5>三高就降下来了</c>", LINE),
        ("<v 张三>喝这个茶</v><i>三高就降下来了</i>", LINE),
        ("A&amp;B &lt;牌&gt; 三盒&nbsp;&nbsp;一单", "A&B <牌> 三盒 一单"),
    ],
)
def test_webvtt_markup_is_not_speech(tmp_path, words, want):
    content = f"WEBVTT\nKind: captions\n\n00:00:01.000 --> 00:00:03.500 align:start position:0%\n{words}\n\n00:04.000 --> 00:05.000\n{OTHER}\n"
    assert outline(tmp_path / "a.vtt", content) == [(want, 1.0, 3.5), (OTHER, 4.0, 5.0)]


@pytest.mark.parametrize("block", [
    f"NOTE {OTHER}\n\n", f"NOTE\n{OTHER}\n{LINE}\n\n", "STYLE\n::cue { color: red }\n\n", "REGION\nid:a\nlines:3\n\n",
    f"NOTE {OTHER}\n", f"NOTE\t{OTHER}\n{LINE}\n",  # the cue behind it ends it, too
    "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:00.000\n\n",  # pieces of a stream in one file
])  # fmt: skip
@pytest.mark.parametrize(
    ("name", "head"), [("a.vtt", ""), ("a.srt", ""), ("a.srt", "\ufeff\n")]
)  # its header tells, too
def test_comments_and_styles_of_webvtt_are_not_speech(tmp_path, name, head, block):
    cues = [f"00:0{at}.000 --> 00:0{at}.900\n{LINE}\n\n" for at in (1, 2)]
    content = f"{head}WEBVTT\n\n" + "".join(block + cue for cue in cues) + block
    assert outline(tmp_path / name, content) == [(LINE, 1.0, 1.9), (LINE, 2.0, 2.9)]


def test_a_word_of_a_webvtt_cue_like_those_that_begin_comments_is_said(tmp_path):
    content = "WEBVTT\n\nNOTE1\n00:01.000 --> 00:02.000\n新款\nNOTE 50\n\nSTYLE 款\n\nNOTEBOOK\n"
    assert outline(tmp_path / "a.vtt", content) == [("新款 NOTE 50 STYLE 款 NOTEBOOK", 1.0, 2.0)]


def test_entities_of_srt_stay_as_they_are_written(tmp_path):
    assert outline(tmp_path / "a.srt", "1\n00:00:01,000 --> 00:00:02,000\n{\\an8}甲 &amp; 3<4\\N乙\n") == [
        ("甲 &amp; 3<4 乙", 1.0, 2.0)
    ]


@pytest.mark.parametrize(
    ("times", "want"),
    [
        ("100:00:01,000 --> 100:00:02,500", (360001.0, 360002.5)),
        ("1:02:03.5 --> 01:02:04,25", (3723.5, 3724.25)),
        ("00:01,000 --> 00:02,000", (1.0, 2.0)),
        (" 00:00:01,000-->00:00:02,000 X1:100", (1.0, 2.0)),
        ("123456:00:01,000 --> 123456:00:02,000", None),
        ("00:01:02 --> 00:01:05", (62.0, 65.0)),
        ("00:01:02 --> 00:01:05,500", (62.0, 65.5)),
        ("00:01 --> 00:03", None),
        ("00:01:02 --> 00:01:05;500", None),
    ],
)
def test_times_of_srt(tmp_path, times, want):
    found = outline(tmp_path / "a.srt", f"1\n{times}\n{LINE}\n\n2\n200:00:00,000 --> 200:00:01,000\n{OTHER}\n")
    assert found[0] == ((LINE, *want) if want else ("line 2", TIMES))
    assert found[1] == (OTHER, 720000.0, 720001.0)


@pytest.mark.parametrize(
    ("name", "times"),
    [
        ("a.srt", "00:00:0S,000 --> 00:00:07,000"),
        ("a.srt", "OO:OO:O5,OOO --> OO:OO:O7,OOO"),
        ("a.srt", "00:00:05,000 --> 00:00:O7,l00"),
        ("a.srt", "坏时间 --> 坏时间"),
        ("a.vtt", "坏时间 --> 00:00:12.000"),
        ("a.vtt", "0O:05.00S-->00:12.000"),
    ],
)
@pytest.mark.parametrize("above", ["\n2\n", "\n", "2\n"])
def test_times_that_cannot_be_read_begin_a_cue_of_their_own(tmp_path, name, times, above):
    """Glued to the cue before, its words would be found at that one's time."""
    head, dot = ("WEBVTT\n\n", ".") if name.endswith(".vtt") else ("", ",")
    first, third = (f"{at}\n00:00:0{at}{dot}000 --> 00:00:0{at}{dot}900\n" for at in (1, 8))
    content = f"{head}{first}{OTHER}\n{above}{times}\n{LINE}\n\n{third}{OTHER}\n"
    line = content.splitlines().index(times) + 1
    assert outline(tmp_path / name, content) == [
        (OTHER, 1.0, 1.9), (f"line {line}", TIMES), (OTHER, 8.0, 8.9)
    ]  # fmt: skip
    (reject,) = (one for one in read_items(str(tmp_path / name), Options()) if isinstance(one, Reject))
    assert reject.value == f"{times}\n{LINE}"


def test_an_end_before_its_start_is_kept_aside_as_in_tables(tmp_path):
    (tmp_path / "a.srt").write_text(f"1\n00:00:02,000 --> 00:00:01,000\n{LINE}\n", encoding="utf-8")
    (item,) = read_items(str(tmp_path / "a.srt"), Options())
    assert item.record == {"text": LINE, "start": 2.0, "input.end": 1.0, "stream": "a"}


def test_an_arrow_within_a_cues_words_is_said(tmp_path):
    words = "原价199 --> 现价99"
    assert outline(tmp_path / "a.srt", f"1\n00:00:01,000 --> 00:00:02,000\n{LINE}\n{words}\n") == [
        (f"{LINE} {words}", 1.0, 2.0)
    ]


def test_an_empty_cue_is_named_by_its_line_for_a_file_may_count_otherwise(tmp_path):
    content = f"41\n00:00:01,000 --> 00:00:02,000\n{LINE}\n\n43\n00:00:03,000 --> 00:00:04,000\n\n"
    assert outline(tmp_path / "a.srt", content) == [(LINE, 1.0, 2.0), ("line 6", "the cue is empty")]


@pytest.mark.parametrize("words", ["从 00:00:01,000 到 00:00:02,000 都有货", "从 00:00:01.000 到 00:00:02.000 都有货"])
def test_two_times_inside_a_cue_are_its_words(tmp_path, words):
    assert outline(tmp_path / "a.srt", f"1\n00:00:01,000 --> 00:00:02,000\n{words}\n") == [(words, 1.0, 2.0)]


CUE = "{}\n00:00:0{},000 --> 00:00:0{},900\n{}\n"


@pytest.mark.parametrize(
    ("words", "want"),
    [
        (("原价\n\n1999\n", "今天只要\n\n99"), ["原价 1999", "今天只要 99"]),  # the next has its number above its times
        (("原价\n\n1999\n\n\n", "今天只要\n\n2\n\n"), ["原价 1999", "今天只要 2"]),
        (("原价\n\n2\n", "今天只要\n\n1"), ["原价 2", "今天只要 1"]),
    ],
)
def test_a_number_alone_after_a_blank_line_is_said(tmp_path, words, want):
    content = "\n".join(CUE.format(at, at, at, said) for at, said in enumerate(words, 1))
    assert [text for text, *_ in outline(tmp_path / "a.srt", content)] == want


def test_the_next_cues_number_is_not_said_where_a_blank_line_parts_it_from_its_times(tmp_path):
    first, second, third = (f"00:00:0{at},000 --> 00:00:0{at},900\n" for at in range(1, 4))
    numbered = f"1\n\n{first}{LINE}\n\n2\n\n{second}{OTHER}\n\n1999\n\n{third}{LINE}\n"
    assert [text for text, *_ in outline(tmp_path / "a.srt", numbered)] == [LINE, f"{OTHER} 1999", LINE]
    without = f"{first}{LINE}\n\n99\n\n{second}{OTHER}\n\n{'9' * 5000}\n"
    assert [text for text, *_ in outline(tmp_path / "a.srt", without)] == [f"{LINE} 99", f"{OTHER} {'9' * 5000}"]


def test_a_clock_alone_in_a_webvtt_cue_is_its_words(tmp_path):
    content = f"WEBVTT\n\n00:01.000 --> 00:02.000\n12:30:00\n\n00:03.000 --> 00:04.000\n{LINE}\n"
    assert outline(tmp_path / "a.vtt", content) == [("12:30:00", 1.0, 2.0), (LINE, 3.0, 4.0)]


def ass(fields, *events):
    styles = "[V4+ Styles]\nFormat: Name, Fontname, Fontsize\nStyle: Default,Arial,20\n"
    return f"[Script Info]\nScriptType: v4.00+\n\n{styles}\n[Events]\n" + "\n".join([fields, *events]) + "\n"


USUAL = "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text"
AT = "0,0:00:01.00,0:00:02.00,Default,,0,0,0,,"


@pytest.mark.parametrize(
    ("fields", "event"),
    [
        (USUAL, f"Dialogue: {AT}{LINE}，真的, 放心"),
        ("Format: Start, End, Text", f"Dialogue: 0:00:01.00,0:00:02.00,{LINE}，真的, 放心"),
        ("Format: End, Start, Style, Text", f"Dialogue: 0:00:02.00,0:00:01,Default,{LINE}，真的, 放心"),
        (
            "Format: Marked, Start, End, Text, Style",
            f"Dialogue: Marked=0,0:00:01.00,0:00:02.00,{LINE}，真的, 放心,Default",
        ),
        ("", f"Dialogue: {AT}{LINE}，真的, 放心"),
    ],
)
def test_the_format_line_of_ass_is_honoured(tmp_path, fields, event):
    assert outline(tmp_path / "a.ass", ass(fields, event)) == [(f"{LINE}，真的, 放心", 1.0, 2.0)]


def test_drawings_of_ass_are_not_speech(tmp_path):
    events = [
        f"Dialogue: {AT}{{\\p1}}m 0 0 l 100 0 100 50",
        f"Dialogue: {AT}{{\\an7\\pos(10,20)\\p2}}m 0 0 l 9 9{{\\p0}}",
        f"Dialogue: {AT}{{\\p1}}m 0 0 l 9 9{{\\p0\\b1}}{LINE}",
        f"Dialogue: {AT}{{\\pos(10,20)}}{OTHER}",
        f"Dialogue: {AT}",
    ]
    assert outline(tmp_path / "a.ass", ass(USUAL, *events)) == [
        (LINE, 1.0, 2.0),
        (OTHER, 1.0, 2.0),
        ("line 14", "the cue is empty"),
    ]


@pytest.mark.parametrize(
    ("kind", "piece"), [("ass", "{\\p1"), ("ass", "{"), ("ass", "{\\p1}m"), ("srt", "<a"), ("srt", " "), ("vtt", "<1:")]
)
def test_odd_markup_takes_no_time(tmp_path, kind, piece):
    head = {"ass": ass(USUAL, f"Dialogue: {AT}")[:-1]}.get(kind, "00:00:01,000 --> 00:00:02,000\n<")
    began = time.process_time()
    assert len(outline(tmp_path / f"a.{kind}", head + piece * 40_000 + LINE)) <= 1
    assert time.process_time() - began < 5


def test_a_cue_that_is_all_markup_is_named(tmp_path):
    override = "{\\"
    first = f"1\n00:00:01,000 --> 00:00:02,000\n{LINE}{override * 1001}\n\n"
    content = f"{first}2\n00:00:03,000 --> 00:00:04,000\n{'<b>' * 499}{OTHER}{'</b>' * 499}\n"
    assert outline(tmp_path / "a.srt", content) == [("line 2", "a cue has over 1000 tags"), (OTHER, 3.0, 4.0)]


VOICED = "WEBVTT\n\n00:01.000 --> 00:02.000\n{}\n"
NAMED = AT.replace("Default,,", "Default,主播,")


@pytest.mark.parametrize(
    ("name", "content", "speaker", "text"),
    [
        ("a.vtt", VOICED.format(f"<v 主播小美>{LINE}</v>"), "主播小美", LINE),
        ("a.vtt", VOICED.format(f"<v.loud A&amp;B>{LINE}"), "A&B", LINE),
        ("a.vtt", VOICED.format(f"<v 甲>{LINE}</v>\n<v 乙>{OTHER}</v>"), None, f"{LINE} {OTHER}"),  # of both
        ("a.vtt", VOICED.format(f"发言人 2：{LINE}"), "发言人 2", LINE),
        ("a.vtt", VOICED.format(f"<v 甲>说话人 1：{LINE}"), "甲", f"说话人 1：{LINE}"),
        ("a.srt", f"1\n00:00:01,000 --> 00:00:02,000\n说话人 1: {LINE}\n", "说话人 1", LINE),
        ("a.srt", f"1\n00:00:01,000 --> 00:00:02,000\nSpeaker_01:\n{LINE}\n", "Speaker_01", LINE),
        ("a.srt", f"1\n00:00:01,000 --> 00:00:02,000\n主播小美: {LINE}\n", None, f"主播小美: {LINE}"),
        ("a.srt", "1\n00:00:01,000 --> 00:00:02,000\n说话人 1:\n", None, "说话人 1:"),
        ("a.ass", ass(USUAL, f"Dialogue: {NAMED}{LINE}，真的, 放心"), "主播", f"{LINE}，真的, 放心"),
        ("a.ass", ass("Format: Start, End, Text", f"Dialogue: 0:00:01.00,0:00:02.00,{LINE}"), None, LINE),
    ],
)
def test_who_speaks_is_a_field_of_its_own(tmp_path, name, content, speaker, text):
    (tmp_path / name).write_text(content, encoding="utf-8")
    (item,) = read_items(str(tmp_path / name), Options())
    assert (item.record.get("speaker"), item.text) == (speaker, text)
    assert ("speaker" in item.record) == (speaker is not None)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("2026.11.24 养生堂.srt", "2026.11.24 养生堂"),
        ("rooms/2026.11.24 美妆.SRT.gz", "2026.11.24 美妆"),
        ("talk.mp4.zh-CN.vtt", "talk"),
        ("talk.zh.srt", "talk"),
        ("talk.chs&eng.ass.zst", "talk"),
        ("talk.ai-zh.srt", "talk"),
        ("talk.wav.json", "talk"),
        ("v1.2.txt", "v1.2"),
        ("妙记.mp4.docx", "妙记"),
        ("talk.zh.txt", "talk.zh"),
        ("某店.a.srt", "某店.a"),
        (".srt", ".srt"),
        ("s3://bucket/day.1/room.1.srt", "room.1"),
        ("zip://day.1/room.1.srt::s3://bucket/a.zip", "room.1"),
    ],
)
def test_only_known_endings_are_cut_from_a_files_name(path, name):
    assert stream_name(path) == name
