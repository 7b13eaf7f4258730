"""Files of everyday tools that are not quite as their format has them are read whole, and fast."""

from __future__ import annotations

import time

import pytest
from zhenyan.inference.io import Options, read_items
from zhenyan.inference.io.opening import detect_encoding

FIRST, SECOND = "00:00:01,000 --> 00:00:02,000", "00:00:03,000 --> 00:00:04,000"


def texts(folder, name, content, **options):
    """Texts of the rows; of a reject its place."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [item.record["text"] if hasattr(item, "record") else item.place for item in read_items(str(path), Options(**options))]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "expected"), [
    ("blank.srt", f"1\n\n{FIRST}\n甲\n\n2\n\n{SECOND}\n乙\n\n3\n", ["甲", "乙"]),
    ("doubled.srt", f"1\n{FIRST}\n甲\n\n2\n{SECOND}\n乙\n".replace("\n", "\r\r\n"), ["甲", "乙"]),
    ("clock.srt", f"1\n{FIRST}\n甲\n\n12:30:00\n\n2\n{SECOND}\n步骤一\n\n步骤1: 左 -> 右\n", ["甲 12:30:00", "步骤一 步骤1: 左 -> 右"]),
    ("number.srt", f"1\n{FIRST}\n100\n\n2\n{SECOND}\n乙\n", ["100", "乙"]),
    ("note.vtt", "WEBVTT\n\nNOTE made at 10: x --> y\n\n00:01.000 --> 00:02.000 align:start\n甲\n", ["甲"]),
    ("space.csv", 'text,id\n"第一行\n第二行" ,1\n乙,2\n', ["第一行\n第二行 ", "乙"]),
    ("inner.csv", 'text,id\n"第一行\n他说"好"的",1\n乙,2\n', ['第一行\n他说好"的"', "乙"]),
    ("open.csv", 'id,text\n1,"没有关\n2,二\n3,三\n4,"四"\n', ["line 2", "二", "三", "四"]),
    ("last.csv", 'id,text\n1,"没有关\n2,他说"第一"\n3,三\n', ["line 2", '他说"第一"', "三"]),
    ("first.tsv", 'text\tid\n"没有关\t1\n他说"第一"\t2\n三\t3\n', ["line 2", '他说"第一"', "三"]),
    ("long.csv", 'id,text\n1,"没有，关, 了\n2,他说"第一"\n', ["line 2", '他说"第一"']),
    ("whole.csv", 'id,text\n1,"一\n2,二\n3,他说""第一"""\n4,四\n', ['一\n2,二\n3,他说"第一"', "四"]),
    ("preamble.jsonl", '{"type": "x"}\n' * 100 + '{"asr": "甲"}\n', [*(f"line {n}" for n in range(1, 101)), "甲"]),
])  # fmt: skip
def test_files_not_quite_as_the_format_has_them(tmp_path, name, content, expected):
    asked = "asr" if name == "preamble.jsonl" else None
    assert texts(tmp_path, name, content, text_column=asked) == expected


def test_a_stray_nul_does_not_make_a_file_utf_16():
    assert detect_encoding("text,note\n好好好好,\0\n坏坏,x\n".encode("gb18030"), True) == "gb18030"
    assert detect_encoding("文案,价格\n好的,九块九\n".encode("utf-16-le"), True) == "utf-16-le"


@pytest.mark.parametrize(("name", "content"), [
    ("wide.csv", "text" + "," * 16_000 + "\n甲" + "," * 16_000 + "\n"), ("dashes.srt", f"{FIRST}\n甲\n\n0:" + "-" * 40_000),
    ("clocks.srt", f"{FIRST}\n甲\n\n" + "1:" * 40_000), ("long.csv", 'text,id\n"' + "行\n" * 60_000 + '",1\n乙,2\n'),
])  # fmt: skip
def test_odd_files_take_no_time(tmp_path, name, content):
    began = time.process_time()
    assert len(texts(tmp_path, name, content)) <= 2
    assert time.process_time() - began < 5
