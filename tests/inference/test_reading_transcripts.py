"""Transcripts in text files: times and speakers of the layouts that tools export, and copy that only names times."""

import time
from datetime import UTC, datetime
from operator import length_hint

import pytest
from zhenyan.inference.io import Options, Reject, read_items
from zhenyan.inference.io.transcripts import running_text

ONE, TWO, THREE = "我糖尿病三年了血糖老是高", "喝这个牛初乳奶粉一个月就好了", "家里老人高血压脑梗的"


def read(path, content, **options):
    """Items of a file of this content, and the notes."""
    path.write_text(content, encoding="utf-8")
    asked = Options(**options)
    return list(read_items(str(path), asked)), [*map(str, asked.notes)]


def outline(path, content):
    """(place, speaker, start, end, text) of every item."""
    items, _ = read(path, content)
    return [
        (i.place, i.reason)
        if isinstance(i, Reject)
        else (i.place, *map(i.record.get, ("speaker", "start", "end")), i.text)
        for i in items
    ]


def rows(*times, speakers=(None, None, None), lines=(1, 2, 3)):
    """What is wanted of the three texts with these (start, end)."""
    texts = (ONE, TWO, THREE)
    return [(f"line {n}", who, *when, text) for n, who, when, text in zip(lines, speakers, times, texts, strict=False)]


APART = ((5.0, None), (25.0, None), (75.0, None))  # too far from one another for so few words
_EVENING = datetime(2026, 11, 24, 20, 14, tzinfo=UTC).timestamp()
DATED = tuple((_EVENING + start, None) for start, _ in APART)
MINUTES = tuple((_EVENING + start, None) for start in (0, 0, 60))
S1, S2 = "说话人 1", "说话人 2"


@pytest.mark.parametrize(
    ("content", "want"),
    [
        (
            f"{S1} 00:00:05\n{ONE}\n\n{S2} 00:00:25\n{TWO}\n\n{S1} 00:01:15\n{THREE}\n",
            rows(*APART, speakers=(S1, S2, S1), lines=(2, 5, 8)),
        ),
        (
            f"发言人1   00:05\n{ONE}\n\n**发言人2** 00:25\n\n{TWO}\n",
            rows(*APART, speakers=("发言人1", "发言人2"), lines=(2, 6)),
        ),
        (
            f"李敏  00:00:05\n{ONE}\n\n王强  00:00:25\n{TWO}\n\n李敏  00:01:15\n{THREE}\n",
            rows(*APART, speakers=("李敏", "王强", "李敏"), lines=(2, 5, 8)),
        ),
        (
            f"李敏 (00:05):\n{ONE}\n王强 (00:26):\n{TWO}\n李敏 (01:15):\n{THREE}\n",
            rows((5.0, None), (26.0, None), (75.0, None), speakers=("李敏", "王强", "李敏"), lines=(2, 4, 6)),
        ),
        (f"0:05\n{ONE}\n0:26\n{TWO}\n1:15\n{THREE}\n", rows((5.0, None), (26.0, None), (75.0, None), lines=(2, 4, 6))),
        (
            f"Speaker 1 00:00:05 - 00:00:09\n{ONE}\nSpeaker 2 00:00:25 - 00:00:29\n{TWO}\n",
            rows((5.0, 9.0), (25.0, 29.0), speakers=("Speaker 1", "Speaker 2"), lines=(2, 4)),
        ),
        (
            f"[00:00:05] 说话人1：{ONE}\n[00:00:25] 说话人2：{TWO}\n[00:01:15] 小美：{THREE}\n",
            [*rows(*APART, speakers=("说话人1", "说话人2"))[:2], ("line 3", None, 75.0, None, f"小美：{THREE}")],
        ),
        (f"说话人1 00:00:05 {ONE}\n说话人2 00:25：{TWO}\n", rows(*APART, speakers=("说话人1", "说话人2"))),
        (f"00:05 说话人1：{ONE}\n00:25 说话人2：{TWO}\n", rows(*APART, speakers=("说话人1", "说话人2"))),
        (f"00:00:05 {ONE}\n00:00:25 {TWO}\n00:01:15 {THREE}\n", rows(*APART)),
        *(
            (
                f"00:00:05{to}00:00:09 {ONE}\n00:00:25{to}00:00:29 {TWO}\n00:01:15{to}00:01:19 {THREE}\n",
                rows((5.0, 9.0), (25.0, 29.0), (75.0, 79.0)),
            )
            for to in (" - ", "-", "\t", " ~ ", "至")
        ),
        (
            f"说话人1 00:00:05-00:00:09 {ONE}\n说话人2 00:25-00:29：{TWO}\n",
            rows((5.0, 9.0), (25.0, 29.0), speakers=("说话人1", "说话人2")),
        ),
        (
            f"00:00:05 {ONE}\n00:00:25 20:15 {TWO}\n00:01:15 {THREE}\n",  # an hour that is spoken of
            [*rows(*APART)[:1], ("line 2", None, 25.0, None, f"20:15 {TWO}"), *rows(*APART)[2:]],
        ),
        (
            f"李敏(00:00:05): {ONE}\n\n王强（00:00:25）：{TWO}\n\n李敏(00:01:15): {THREE}\n",
            rows(*APART, speakers=("李敏", "王强", "李敏"), lines=(1, 3, 5)),
        ),
        (
            f"[00:00.000 --> 00:04.200]  {ONE}\n[00:04.200 --> 01:00:09.000]  {TWO}\n",
            rows((0.0, 4.2), (4.2, 3609.0)),
        ),
        (f"[0.00s -> 4.20s] {ONE}\n[4.20s -> 9.00s] {TWO}\n", rows((0.0, 4.2), (4.2, 9.0))),
        *(
            (
                f"{day}:05{after}{ONE}\n{day}:25{after}{TWO}\n{day.replace('14', '15', 1)}:15{after}{THREE}\n",
                rows(*DATED),
            )
            for day, after in (
                ("2026-11-24 20:14", " "),
                ("[2026/11/24 20:14", "] "),
                ("2026年11月24日20:14", "："),
                ("2026-11-24T20:14", "\t"),
            )
        ),
        (
            f"李敏 2026-11-24 20:14:05\n{ONE}\n王强（2026-11-24 20:14:25）\n{TWO}\n李敏  2026-11-24 20:15:15\n{THREE}\n",
            rows(*DATED, speakers=("李敏", "王强", "李敏"), lines=(2, 4, 6)),
        ),
        (
            f"2026-11-24 20:14:05 小王(12345)\n{ONE}\n\n2026-11-24 20:14:25 【管理员】阿强<a@qq.com>\n{TWO}\n\n"
            f"2026-11-24 20:15:15 小王(12345)\n{THREE}\n",
            rows(*DATED, speakers=("小王(12345)", "【管理员】阿强", "小王(12345)"), lines=(2, 5, 8)),
        ),
        (
            f"2026-11-24 20:14:05 小王\n{ONE}\n\n2026-11-24 20:14:25 小王\n{TWO}\n\n2026-11-24 20:15:15 小王\n{THREE}\n",
            rows(*DATED, speakers=("小王", "小王", "小王"), lines=(2, 5, 8)),
        ),
        (
            f"李敏 2026/11/24 20:14\n{ONE}\n王强 2026年11月24日 20:14\n{TWO}\n李敏 2026-11-24 20:15\n{THREE}\n",
            rows(*MINUTES, speakers=("李敏", "王强", "李敏"), lines=(2, 4, 6)),
        ),
        (f"2026-11-24 20:14 {ONE}\n2026-11-24 20:14 {TWO}\n[2026-11-24 20:15] {THREE}\n", rows(*MINUTES)),
        (f"[ti:直播]\n[00:05.00]{ONE}\n[00:25.00]{TWO}\n[01:15.00]{THREE}\n", rows(*APART, lines=(2, 3, 4))),
    ],
)
def test_layouts_give_times_and_speakers(tmp_path, content, want):
    assert outline(tmp_path / "a.txt", content) == want
    assert outline(tmp_path / "b.txt", content.replace("\n", "\r\n")) == want


@pytest.mark.parametrize(
    "content",
    [
        f"优惠 20:00 开始\n{ONE}\n20:30 抽奖\n{TWO}\n21:00 下播\n",
        f"[20:15] 福袋\n{ONE}\n{TWO}\n{THREE}\n好\n[20:40] 抽奖\n坏\n[21:00] 下播\n",  # a few lines of many
        "[20:15] 小美：在吗\n[20:15] 主播：在\n[20:15] 小美：多少钱\n[20:16] 主播：九块九\n",  # a chat by the minute
        f"第一场 20:00\n{ONE}\n第二场 20:30\n{TWO}\n第三场 21:00\n{THREE}\n",  # a programme
        f"开场 20:03\n{ONE}\n秒杀 20:17\n{TWO}\n抽奖 20:31\n{THREE}\n",
        f"2026-11-24 20:15\n{ONE}\n2026-11-25 20:17\n{TWO}\n2026-11-26 20:31\n{THREE}\n",
        f"2026-11-24 20:15:03\n{ONE}\n2026-11-25 20:17:13\n{TWO}\n2026-11-26 20:31:23\n{THREE}\n",  # articles
        f"{ONE}\n2026-11-24 20:15:03 开播\n{TWO}\n",
        f"首场 2026-11-24 20:00\n{ONE}\n秒杀 2026-11-25 20:00\n{TWO}\n抽奖 2026-11-26 20:00\n{THREE}\n",  # a programme
        "".join(f"2026年11月{day}日20:14:05，{ONE}\n" for day in (24, 25, 26)),
        "福袋 00:20:03\n秒杀 00:20:17\n抽奖 00:20:31\n",  # no words of anybody
        f"距结束 02:13:45\n{ONE}\n{TWO}\n",
        f"倒计时 02:13:45\n{ONE}\n倒计时 01:13:45\n{TWO}\n倒计时 00:13:45\n{THREE}\n",  # back
        "\n".join([f"{ONE}{n}" for n in range(20)] + [f"{S1} 00:00:05", TWO]),  # a transcript is quoted
        f"比例 1:2\n{ONE}\n1:30:1 配方\n{TWO}\n",
        f"Speaker 1: {ONE}\n",
        f"[1] {ONE}\n[2] {TWO}\n[3] {THREE}\n",
        f"{ONE}\n双十二活动\n20:00→22:00 全场五折\n{TWO}\n",  # when something is on
        f"{ONE}\n双十二活动\n20:00 -> 22:00 全场五折\n{TWO}\n",
        f"20:00→22:00 全场五折\n{ONE}\n22:00→24:00 全场八折\n{TWO}\n",
        f"{ONE}\n双十二活动\n20:00:00 -> 22:00:00 全场五折\n{TWO}\n",
        f"[20:13] {ONE}\n[20:14] {TWO}\n[20:16] {THREE}\n",  # chats by the minute
        f"欢迎来到粉丝群\n小美 20:13\n{ONE}\n阿强 20:14\n{TWO}\n小美 20:17\n{THREE}\n",
        "".join(f"小美 {time}\n{ONE}\n" for time in [*(f"23:{n}" for n in range(48, 60)), "00:01", "00:03"]),
        f"文案\n如字幕：\n00:00:01,000 --> 00:00:04,000\n{ONE}\n\n以上。\n{TWO}\n{THREE}\n",  # a subtitle is quoted
        f"文案\n00:00:01,000 --> 00:00:04,000\n{ONE}\n",
        "".join(f"{ONE}\n{TWO}\n00:00:0{n},000 --> 00:00:0{n},900\n{THREE}\n好\n" for n in (1, 2)),  # two are
        f"WEBVTT字幕\n{ONE}\n",
    ],
)
def test_copy_and_chats_that_name_times_stay_as_they_are(tmp_path, content):
    items, notes = read(tmp_path / "a.txt", content)
    kept = [(f"line {n}", line) for n, line in enumerate(content.splitlines(), 1) if line]
    assert [(i.place, i.text) for i in items] == kept and notes == []
    assert not any({"start", "speaker"} & i.record.keys() for i in items)


HEAD = "养生堂直播 11月24日\n2026年11月24日 下午 8:15｜12分钟 30秒\n\n关键词：\n血糖、链接\n\n"


def test_what_stands_before_the_first_time_is_told_and_not_scored(tmp_path):
    items, notes = read(tmp_path / "a.txt", f"{HEAD}{S1} 00:00:05\n{ONE}\n")
    assert [(i.place, i.text) for i in items] == [("line 8", ONE)]
    (note,) = notes
    assert note.startswith(
        f"{tmp_path}/a.txt: before the first time: 4 lines, from line 1 '养生堂直播 11月24日' on; not "
    )
    _, (note,) = read(tmp_path / "a.txt", f"\n直播\n{S1} 00:00:05\n{ONE}\n")
    assert ": 1 line, from line 2 '直播' on; not scored" in note


def test_words_last_until_the_next_time_where_they_are_long_enough(tmp_path):
    paragraph, more = ONE * 4, TWO * 2
    content = f"{S1} 00:00:05\n{paragraph}\n{more}\n{S2} 00:00:24\n{TWO}\n{S1} 00:10:00\n{THREE}\n"
    assert outline(tmp_path / "a.txt", content) == [
        ("line 2", S1, 5.0, 17.0, paragraph),  # each its share
        ("line 3", S1, 17.0, 24.0, more),
        ("line 5", S2, 24.0, None, TWO),
        ("line 7", S1, 600.0, None, THREE),
    ]


def test_few_words_after_a_date_are_no_name(tmp_path):
    content = f"2026-11-24 20:14:05 开播\n{ONE}\n2026-11-24 20:14:25 抽奖\n{TWO}\n2026-11-24 20:15:15 下播\n{THREE}\n"
    assert [text for *_, text in outline(tmp_path / "a.txt", content)] == ["开播", ONE, "抽奖", TWO, "下播", THREE]


def test_other_times_of_a_lyrics_line_are_no_words(tmp_path):
    content = f"[00:05.00][00:45.00]{ONE}\n[00:25.00] [01:05.00] {TWO}\n[01:15.00]{THREE}\n"
    assert outline(tmp_path / "a.txt", content) == rows(*APART)


def test_a_long_paragraph_of_a_transcript_is_cut(tmp_path):
    said = f"{TWO}真的。" * 20
    items, _ = read(tmp_path / "a.txt", f"{S1} 00:00:00\n{said}\n{S2} 00:01:00\n{ONE}\n")
    *cut, last = items
    assert "".join(i.text for i in cut) == said and len(cut) == 20
    assert cut[0].record["speaker"] == cut[-1].record["speaker"] == S1
    assert (cut[0].record["start"], cut[1].record["start"], cut[-1].record["end"]) == (0.0, 3.0, 60.0)
    assert last.text == ONE and last.record["start"] == 60.0


def test_a_time_that_is_said_is_no_heading_where_all_have_hours(tmp_path):
    content = f"{S1} 00:00:05\n{ONE}\n今晚 20:00\n{S2} 00:00:25\n{TWO}\n"
    assert [text for *_, text in outline(tmp_path / "a.txt", content)] == [ONE, "今晚 20:00", TWO]


@pytest.mark.parametrize("said", ["今晚 20:00", "价格 9:58", "今晚 20:00\n真的\n今晚 20:00"])
@pytest.mark.parametrize("times", [("说话人1 00:05", "说话人1 00:25"), [f"0:{n}" for n in range(10, 60, 2)]])
def test_a_time_that_is_said_is_no_heading_where_speakers_have_no_names(tmp_path, times, said):
    first, *others = times
    content = f"{first}\n{ONE}\n{said}\n" + "".join(f"{time}\n{TWO}\n" for time in others)
    texts = [text for *_, text in outline(tmp_path / "a.txt", content)]
    assert texts == [ONE, *said.split("\n"), *[TWO] * len(others)]


def test_a_name_among_nameless_speakers_stays_one(tmp_path):
    content = "".join(f"{who}\n{ONE}\n" for who in ("说话人1 00:05", "李敏 00:25", "说话人1 00:45", "李敏 01:05"))
    content += f"{S1} 59:59\n{ONE}\n王强 1:00:05\n{TWO}\n"
    speakers = [who for _, who, *_ in outline(tmp_path / "a.txt", content)]
    assert speakers == ["说话人1", "李敏", "说话人1", "李敏", S1, "王强"]


def test_minutes_from_a_days_last_hour_on_are_no_chat(tmp_path):
    content = f"[20:13] {ONE}\n[22:14] {TWO}\n[24:16] {THREE}\n"
    assert outline(tmp_path / "a.txt", content) == rows((1213.0, None), (1334.0, None), (1456.0, None))


@pytest.mark.parametrize("time", [S1 + " 00:00:{}", "[00:{0}.000 --> 00:{0}.900] 说话人 1：好"])
def test_many_lines_without_times_are_read_as_they_come(time):
    many = 20_000
    texts = [text for n in range(10, 60) for text in (time.format(n), THREE)] + [ONE] * many + [time.format(59), TWO]
    left = iter(texts)
    items = running_text((("line", text) for text in left), "a.txt", "a", Options())
    held = []
    for given, item in enumerate(item for item in items if item.text == ONE):
        assert item.record["start"] == 59.0 and "end" not in item.record  # nobody knows how long each lasts
        held.append(len(texts) - length_hint(left) - given)
    assert len(held) == many and max(held) < 3000


def test_a_layout_holds_beyond_the_lines_that_tell_it(tmp_path):
    content = "".join(f"{S1} {n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}\n{ONE}\n" for n in range(0, 4000, 4))
    found = outline(tmp_path / "a.txt", content)
    assert len(found) == 1000 and found[-1] == ("line 2000", S1, 3996.0, None, ONE)


@pytest.mark.parametrize(
    ("head", "mark"), [("1\n", ","), ("", ","), ("\n\ufeff1\n\n", ","), ("WEBVTT\n\n", "."), ("WEBVTT - 直播\n\n", ".")]
)
def test_subtitles_called_txt_are_subtitles(tmp_path, head, mark):
    times = [f"00:00:0{n}{mark}000 --> 00:00:0{n}{mark}900" for n in (1, 2)]
    content = f"{head}{times[0]}\n{ONE}\n\n2\n{times[1]}\n{TWO}\n"
    assert outline(tmp_path / "a.txt", content) == [("cue 1", None, 1.0, 1.9, ONE), ("cue 2", None, 2.0, 2.9, TWO)]


def test_a_transcript_in_another_encoding(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(f"[00:00:05] 说话人1：{ONE}\n[00:00:35] 说话人2：{TWO}\n".encode("gb18030"))
    assert [(i.record["speaker"], i.record["start"]) for i in read_items(str(path), Options())] == [
        ("说话人1", 5.0),
        ("说话人2", 35.0),
    ]


@pytest.mark.parametrize("piece", [" ", "[", "00:05 ", "说话人 1 00:05", "1:", "0.00s -> ", "**", "甲("])
def test_odd_lines_take_no_time(tmp_path, piece):
    began = time.process_time()
    read(tmp_path / "a.txt", f"[00:05{piece * 100_000}x\n{piece * 100_000}x\n" * 2, split=False)
    assert time.process_time() - began < 5
