"""Why a file or a row isn't read, in Chinese: the reader of the report may know no other language."""

import io
import json
import re

import openpyxl
import pytest
from reading_helpers import workbook
from zhenyan.inference.errors import InputError
from zhenyan.inference.io import Options, Reject, bounds, read_items
from zhenyan.inference.runs.inputs import describe_inputs, unread_of, work_units

LINE = "喝这个茶三高就降下来了"
CUE = f"00:00:01,000 --> 00:00:02,000\n{LINE}\n"
OLE, AS_GZIP = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(512), b"\x1f\x8b" + bytes(20)


def reasons(path, content, options=None):
    """Every reason, in Chinese, that a file of this content isn't read in whole."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    try:
        return [item.reason_zh for item in read_items(str(path), options or Options()) if isinstance(item, Reject)]
    except InputError as error:
        return [error.chinese]


def sheets(*named):
    """The bytes of a workbook with these sheets, each of one cell."""
    book, held = openpyxl.Workbook(), io.BytesIO()
    for title, cell in named:
        book.create_sheet(title).append([cell])
    del book["Sheet"]
    book.save(held)
    return held.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.srt", f"1\n{CUE}\n2\n00:00:0x,000 --> 00:00:09,000\n乙\n", "字幕的时间无法识别；起止时间请写成 00:01:02.000 这样的形式"),
        ("a.srt", f"片头\n\n1\n{CUE}", "第一条字幕的时间之前有文字"),
        ("a.srt", f"1\n{CUE}\n2\n00:00:03,000 --> 00:00:04,000\n", "该条字幕没有文字"),
        ("a.srt", "没有时间", "{path}：没有找到字幕；请确认确是 .srt 文件"),
        ("a.srt", "1\n00:00:0x,000 --> 00:00:09,000\n乙\n", "{path}：没有找到字幕；第2行：字幕的时间无法识别；起止时间请写成 00:01:02.000 这样的形式；请确认确是 .srt 文件"),
        ("a.csv", "编号,数量\n1,2\n", "{path}：没有可作为文本的列；现有的列：编号、数量；请用 --text-column 指定"),
        ("a.csv", "编号,数量\n1,2\n".encode("gb18030"), "{path}（按 gb18030 编码读取）：没有可作为文本的列；现有的列：编号、数量；请用 --text-column 指定"),
        ("a.csv", "数量;文案\n1;乙\n", "；各列是否以 ';' 分隔？如果是，请另存为以逗号分隔的 .csv，或以制表符分隔的 .tsv"),
        ("a.csv", "文案,文案\n1,2\n", "{path}：有 2 列都叫“文案”；请将不是文本的列改名"),
        ("a.csv", f"文案,数量\n{LINE}\n合计,3\n", "这一行有 1 个字段，表头有 2 个"),
        ("a.csv", "数量,文案\n合计,3\n", "这一行是合计，不是语句"),
        ("a.csv", "数量,文案\n1,#REF!\n", "“文案”列是电子表格的错误值 #REF!，不是文本；请改正公式"),
        ("a.csv", 'id,文案\n1,"开\n2,乙\n', "引号没有成对"),
        ("a.jsonl", '{"text":', "不是 JSON（原始信息：Expecting value: line 1 column 9 (char 8)）"),
        ("a.jsonl", '{"text": "甲", "text": "乙"}', "同一对象中有两个“text”键；请只保留一个"),
        ("a.jsonl", f'{{"text": "{LINE}"}}\n[1]', "应为 JSON 对象，实为 list"),
        ("a.jsonl", "[1]", "{path}：以 [ 开头，是 JSON 数组；请改名为 .json，或改为每行一个对象"),
        ("a.jsonl", '{"text": null}', "“text”列是空的"),
        ("a.jsonl", '{"text": [1]}', "“text”列不是文本，而是 list"),
        ("a.jsonl", '{"foo": 1}', "没有可作为文本的列；现有的列：foo；请用 --text-column 指定"),
        ("a.jsonl", '{"text": "<|zh|>"}', "只有语音识别的标记，没有文字"),
        ("a.json", "{", "{path}：不是 JSON（原始信息：Expecting property name"),
        ("a.json", '{"text": "甲"}\n{"text": "乙"}', "；如果是每行一个对象，请改名为 .jsonl"),
        ("a.json", '{"a": 1}', "{path}：没有找到转写内容；可识别的有 Whisper（segments）"),
        ("a.json", '{"segments": [7, {"start": 1, "end": 2, "text": "甲"}]}', "该片段不是 JSON 对象"),
        ("a.json", '{"segments": [{"start": 1, "end": 2, "text": " "}]}', "该片段没有文字"),
        ("draft_content.json", "bm90aGluZw==", "{path}：不是 JSON：剪映的草稿是加密的；请在剪映中将字幕导出为 SRT"),
        ("a.txt", b"%PDF-1.7", "{path}：实为 PDF：请另存为 .txt"),
        ("a.txt", OLE, "{path}：实为旧版 .xls 或 .doc，或设有密码：请另存为不设密码的 .xlsx、.docx 或 .txt"),
        ("a.txt", AS_GZIP, "{path}：实为 gzip 压缩文件：请在文件名后加 .gz"),
        ("a.txt.gz", b"x", "{path}：gzip 压缩文件已损坏（原始信息："),
        ("a.docx", "x", "{path}：不是可读取的 .docx 文件（原始信息：File is not a zip file）；请重新获取，或另存为 .txt"),
        ("a.docx", OLE, "{path}：实为旧版 .doc，或设有密码：请另存为不设密码的 .docx 或 .txt"),
        ("a.xlsx", OLE, "{path}：设有密码，或实为旧版 .xls；请另存为不设密码的 .xlsx"),
        ("a.xlsx", "<html>", "{path}：不是可读取的 XLSX 工作簿：实为 HTML 或 XML；请用电子表格程序打开后另存为 .xlsx，或重新获取"),
        ("a.xlsx", b"PK\x03\x04", "{path}：不是可读取的 XLSX 工作簿：不完整或已损坏（原始信息：File is not a zip file）；请重新获取"),
        ("a.xlsx", sheets(("封面", 7), ("数据", 8)), "{path} 工作表“封面”：没有可作为文本的列；现有的列：7；请用 --text-column 指定；如果表头上方有标题，请删除标题；如果表格没有表头，请加上表头，并将文本列命名为 text；其他工作表：数据；请将要读取的移到最前，或隐藏此表"),
        ("a.parquet", "x", "{path}：不是可读取的 Parquet 文件（原始信息："),
    ],
)  # fmt: skip
def test_why_something_is_not_read_is_said_in_chinese(tmp_path, name, content, said):
    found = reasons(tmp_path / name, content)
    assert any(said.format(path=tmp_path / name) in one for one in found), found
    assert all(re.search("[\u4e00-\u9fff]", one) for one in found)


def test_a_damaged_text_and_a_column_that_is_not_there(tmp_path):
    lost = reasons(tmp_path / "a.txt", f"{LINE}\n".encode() * 9 + "全网第一".encode()[:-1] + b"\n")
    assert lost == ["文本中有不属于 utf-8 编码的字节；请将文件统一保存为一种编码"]
    path = workbook(tmp_path / "a.xlsx", ["文案", "数量"], [LINE, 1])
    asked = reasons(path, path.read_bytes(), Options(start_column="开播"))
    assert asked == [f"{path} 工作表“Sheet”：没有“开播”列（--start-column）；现有的列：文案、数量"]


def test_a_line_over_the_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(bounds, "LINE", 20)
    assert reasons(tmp_path / "a.txt", f"{LINE * 9}\n{LINE}\n") == ["这一行超过 20 个字符；请切成较短的几行"]


def test_files_that_are_gone_or_were_noted_before_reasons_were_chinese(tmp_path):
    (tmp_path / "a.txt").write_text(LINE, encoding="utf-8")
    files = [str(tmp_path / "gone.txt"), str(tmp_path / "a.txt")]
    described = describe_inputs(files)
    (work,) = work_units(files, Options(), unread=unread_of(described))
    assert work.items[0].item.reason_zh == f"{files[0]}：无法读取（原始信息：No such file or directory）"
    old = json.loads(json.dumps(described))
    del old[0]["error_zh"]
    assert unread_of(old)[0].chinese == f"{files[0]}: No such file or directory"
