"""Notes on what was read: in English and Chinese, those of a kind told together."""

from __future__ import annotations

import re
from string import Formatter

import pytest
from zhenyan.inference.io import note_kinds
from zhenyan.inference.io.note_kinds import (
    BEFORE_FIRST_TIME,
    CUT_CELL,
    CUT_SPEECH,
    DAMAGED,
    HEADER_BELOW,
    LEFT_OUT,
    OTHER_TEXTS,
    READ_AS,
    SAME_FILE,
    SHEET,
    TWO_CLOCKS,
)
from zhenyan.inference.io.notes import Kind, Words, by_kind, chinese_place

KINDS = {name: kind for name, kind in vars(note_kinds).items() if isinstance(kind, Kind)}
NAME_IT = "name --encoding if that is wrong"


def left_out(place, what, remedy=""):
    return LEFT_OUT.of(place, what=Words(what, what), remedies=Words(remedy, remedy))


def stream(name):
    return Words(f"stream {name}", f"直播“{name}”")


@pytest.mark.parametrize("name", KINDS)
def test_both_languages_tell_the_same_values(name):
    kind = KINDS[name]
    for words in (kind.said, kind.remedy):
        english, chinese = ({field for _, field, _, _ in Formatter().parse(text) if field} for text in words)
        assert english == chinese and bool(words.english) == bool(words.chinese)
        assert re.findall("--[a-z-]+", words.english) == re.findall("--[a-z-]+", words.chinese)
    assert re.search("[\u4e00-\u9fff]", kind.said.chinese) and kind.said.english.isascii()


@pytest.mark.parametrize(
    ("notes", "english", "chinese"),
    [
        ([], [], []),
        ([READ_AS.of("a.txt", encoding="gb18030")], [f"a.txt: read as gb18030; {NAME_IT}"],
         ["a.txt：按 gb18030 编码读取；如有误，请用 --encoding 指定编码"]),
        ([SHEET.of("a.xlsx", sheet="一", others="二"), SHEET.of("b.xlsx", sheet="三", others=["四", "五"])],
         ["2 files: read sheet …; not read: …: a.xlsx, b.xlsx"], ["2 个文件：读取了工作表“…”；未读取：…：a.xlsx、b.xlsx"]),
        ([SAME_FILE.of(name, other="a") for name in "lm"], ["2 files: the same file as a, scored once: l, m"],
         ["2 个文件：与 a 是同一个文件，只评分一次：l、m"]),
        ([DAMAGED.of(f"{n}.txt", encoding="utf-8", where=Words(f"line {n}", f"第{n}行")) for n in range(4)],
         ["4 files: read as utf-8, of which … has damaged bytes; save the file in one encoding, or name --encoding if that "
          "is wrong: 0.txt, 1.txt, 2.txt …"],
         ["4 个文件：按 utf-8 编码读取，其中…有损坏的字节；请将文件统一保存为一种编码；如编码判断有误，请用 --encoding 指定：0.txt、1.txt、2.txt …"]),
        ([left_out("d", "3 .zip", "unpack"), left_out("e", "1 .zip", "unpack"), left_out("f", "1 .docx")],
         ["2 folders: left out …; unpack: d, e", "f: left out 1 .docx"], ["2 个文件夹：未读取 …；unpack：d、e", "f：未读取 1 .docx"]),
        ([CUT_SPEECH.of(f"{n}.json", count=n * 1000) for n in (1, 2)],
         ["2 files: 3,000 rows of running speech are cut into utterances, a row each; --no-split keeps them whole: 1.json, 2.json"],
         ["2 个文件：3,000 行连续口语已切分为语句，每句一行；加 --no-split 则保持整行：1.json、2.json"]),
        ([CUT_CELL.of(Words(f"o.xlsx row {n}, column a", f"o.xlsx 第{n}行“a”列"), limit="32,767") for n in (2, 3)],
         ["2 cells: text cut after 32,767 characters, what a cell of XLSX holds: o.xlsx row 2, column a, o.xlsx row 3, column a"],
         ["2 个单元格：文本在第 32,767 个字符处截断，XLSX 单元格只能容纳这么多：o.xlsx 第2行“a”列、o.xlsx 第3行“a”列"]),
        ([TWO_CLOCKS.of(stream(name)) for name in "23"],
         ["2 streams: time codes in some rows and dates in others; it is shown by rows, for they have no common range: stream 2, stream 3"],
         ["2 场直播：部分行是时间码，部分行是日期；两者没有共同的起止范围，因此按行展示：直播“2”、直播“3”"]),
        ([READ_AS.of("a.txt", encoding=encoding) for encoding in ("gb18030", "utf-16")],
         [f"a.txt: read as gb18030; {NAME_IT}", f"a.txt: read as utf-16; {NAME_IT}"],
         ["a.txt：按 gb18030 编码读取；如有误，请用 --encoding 指定编码", "a.txt：按 utf-16 编码读取；如有误，请用 --encoding 指定编码"]),
        ([BEFORE_FIRST_TIME.of("a.txt", lines=Words("1 line", " 1 行"), first=Words("line 1 '甲'", "第1行“甲”"))],
         ["a.txt: before the first time: 1 line, from line 1 '甲' on; not scored, as a title or a summary; what is to be scored "
          "there belongs in a file of its own"],
         ["a.txt：第一个时间之前有 1 行，自第1行“甲”起；视为标题或摘要，未作评分；其中需要评分的内容，请另存为一个文件"]),
    ],
)  # fmt: skip
def test_notes_of_a_kind_are_told_together(notes, english, chinese):
    assert by_kind(notes) == list(map(Words, english, chinese))


@pytest.mark.parametrize(
    ("place", "chinese"),
    [
        ("a.docx table 2", "a.docx 表2"),
        ("a row 3.csv", "a row 3.csv"),
        ("a.XLSX sheet 话术 一", "a.XLSX 工作表“话术 一”"),
        ("a.xlsx.gz sheet 1", "a.xlsx.gz 工作表“1”"),
        ("a.csv (read as gb18030)", "a.csv（按 gb18030 编码读取）"),
        ("a.docx table 2 row 3 utterance 1", "a.docx 表2 第3行第1句"),
    ],
)
def test_the_part_of_a_file_is_named_in_chinese_and_the_file_as_it_is(place, chinese):
    row = Words("row 3", chinese_place("row 3"))
    assert HEADER_BELOW.of(place, row=row).words.chinese.startswith(f"{chinese}：表头读自第3行，")


def test_advice_is_left_out_where_its_option_is_missing():
    note = OTHER_TEXTS.of("a.csv", text="文案", others=["标题"])
    assert note == note.within({"--text-column", "--encoding"})
    assert str(note.within({"--encoding"})) == "a.csv: the text is read from 文案, not from 标题"
