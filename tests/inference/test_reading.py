"""Readers: every format, every nasty file; no row is lost with a bad one."""

import gzip
import itertools
import json

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from zhenyan.inference.errors import InputError
from zhenyan.inference.io import Options, Reject, read_items, resolve_inputs
from zhenyan.inference.io.opening import detect_encoding
from zhenyan.inference.io.utterances import split_utterances

LINE = "喝这个茶三高就降下来了"


def read(path, **options):
    items = list(read_items(str(path), Options(**options)))
    return [i for i in items if not isinstance(i, Reject)], [i for i in items if isinstance(i, Reject)]


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-32"])
def test_encodings_are_detected_and_said(tmp_path, encoding):
    options = Options()
    path = write(tmp_path / "a.csv", f"文本,价格\n{LINE},九块九\n", encoding)
    (item,) = read_items(str(path), options)
    assert item.text == LINE and item.record["价格"] == "九块九"
    assert any(encoding in n for n in map(str, options.notes)) == (encoding in ("gb18030", "utf-16", "utf-32"))


def test_paths_are_inputs_and_a_single_one_is_no_list(tmp_path):
    path = write(tmp_path / "a.txt", LINE)
    assert resolve_inputs([path]) == [str(path)] and [item.text for item in read_items(path, Options())] == [LINE]
    for single in (path, str(path)):
        with pytest.raises(InputError, match="expected several inputs; put a single one into a list"):
            resolve_inputs(single)


def test_detection_is_not_fooled_by_a_cut_character():
    assert detect_encoding(("好" * 100).encode()[:-1], complete=False) == "utf-8"
    assert detect_encoding(("好" * 100).encode("gb18030"), complete=True) == "gb18030"
    assert detect_encoding(("好" * 100).encode("gb18030")[:-1], complete=False) == "gb18030"


def test_broken_json_lines_lose_only_themselves(tmp_path):
    good = json.dumps({"text": LINE, "id": "x"}, ensure_ascii=False)
    path = write(tmp_path / "a.jsonl", f'{good}\n{{"text": \n[1]\n{{"text": null}}\n{{"text": ["a"]}}\n\n{good}\n')
    items, rejects = read(path)
    assert [i.record["id"] for i in items] == ["x", "x"]
    assert [r.place for r in rejects] == ["line 2", "line 3", "line 4", "line 5"]
    assert "not JSON" in rejects[0].reason and "list" in rejects[1].reason


def test_missing_text_column_lists_the_columns(tmp_path):
    path = write(tmp_path / "a.csv", "商品,备注\n茶,好\n")
    with pytest.raises(InputError, match=r"商品, 备注.*--text-column"):
        list(read_items(str(path), Options()))
    items, _ = read(path, text_column="备注")
    assert items[0].text == "好"
    with pytest.raises(InputError, match="no column '没有'"):
        list(read_items(str(path), Options(text_column="没有")))


def test_csv_with_line_breaks_nul_and_ragged_rows(tmp_path):
    path = write(tmp_path / "a.csv", 'text,b\n"第一行\n第二行",1\n坏行\n好\0行,2\n,3\n')
    items, rejects = read(path)
    assert [i.text for i in items] == ["第一行\n第二行", "好行"]
    assert [r.reason for r in rejects] == ["1 fields, the header has 2", "column 'text' is empty"]


def test_empty_files(tmp_path):
    for name in ("a.csv", "a.jsonl", "a.txt", "a.srt"):
        assert read(write(tmp_path / name, "")) == ([], [])


def test_subtitles_with_bad_times_duplicate_numbers_and_crlf(tmp_path):
    text = ("1\r\n00:00:01,000 --> 00:00:03,500\r\n<i>喝这个</i>茶\r\n三高降\r\n\r\n1\r\n00:00:09,000 --> 00:00:02,000\r\n倒着的\r\n\r\n"
            "3\r\n00:00:10,000 --> 00:00:11,000\r\n \r\n")  # fmt: skip
    items, rejects = read(write(tmp_path / "a.srt", text))
    assert items[0].record == {"text": "喝这个茶 三高降", "start": 1.0, "end": 3.5, "stream": "a"}
    assert items[1].record == {"text": "倒着的", "start": 9.0, "input.end": 2.0, "stream": "a"}
    assert len(items) == 2 and [(r.place, r.reason) for r in rejects] == [("line 11", "the cue is empty")]


def test_vtt_and_ass(tmp_path):
    vtt = write(tmp_path / "a.vtt", f"WEBVTT\n\n00:01.000 --> 00:02.000\n{LINE}\n")
    ass = write(tmp_path / "a.ass", "[Script Info]\nScriptType: v4.00+\n\n[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, "
                f"MarginR, MarginV, Effect, Text\nDialogue: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,{{\\b1}}{LINE}\n")  # fmt: skip
    for path in (vtt, ass):
        (item,), _ = read(path)
        assert (item.text, item.record["start"], item.record["end"]) == (LINE, 1.0, 2.0)


def test_wrong_subtitles_say_so(tmp_path):
    with pytest.raises(InputError, match=r"no cue|not readable"):
        list(read_items(str(write(tmp_path / "a.srt", "这不是字幕文件\n" * 3)), Options()))


def recogniser(text=LINE):
    """The same line as each recogniser writes it, and the times it says."""
    sentence = {"text": text, "start": 1500, "end": 2000}
    row = {"platform": "抖音直播", "room": "某店", "file": "a_000.mp4", "text": text}
    return [
        ({"text": text, "segments": [{"id": 0, "start": 1.5, "end": 2, "text": text, "tokens": [1]}]}, (1.5, 2.0)),
        ([{"start": 1.5, "end": 2.0, "text": f" {text}"}], (1.5, 2.0)),  # faster-whisper's segments, dumped
        ({"transcription": [{"offsets": {"from": 1500, "to": 2000}, "text": text}]}, (1.5, 2.0)),  # whisper.cpp
        ({"text": text, "chunks": [{"timestamp": [1.5, 2.0], "text": text}]}, (1.5, 2.0)),  # transformers
        ({"chunks": [{"timestamp": [1.5, None], "text": text}]}, (1.5, None)),
        ([{"key": "a", "text": text, "sentence_info": [sentence | {"spk": 0}]}], (1.5, 2.0)),  # FunASR
        ([{"key": "a", "stamp_sents": [{"text_seg": " ".join(text[:-1]), "punc": text[-1], "start": 1500, "end": 2000}]}],
         (1.5, 2.0)),
        ([{"key": "a", "text": text, "timestamp": [[1500, 1600], [1700, 2000]]}], (1.5, 2.0)),  # FunASR, each word
        ([{"text": text, "timestamp": "2026-11-24 20:00:00"}], (1795550400.0, None)),
        ([row], None),  # minute files
        ([{"plat_name": "抖音直播", "chanel_name": "某店", "file_name": "a_000.mp4", "asr_result_para": text}], None),
        ({"某店": [{"file": "a.mp4", "text": text}]}, None),
        ({"result": {"某店": {"text": text}}}, None),
    ]  # fmt: skip


@pytest.mark.parametrize(("value", "times"), recogniser())
def test_recognisers_json(tmp_path, value, times):
    path = write(tmp_path / "a.json", json.dumps(value, ensure_ascii=False))
    (item,), _ = read(path)
    assert item.text == LINE
    assert item.record["stream"] == ("某店" if "某店" in json.dumps(value, ensure_ascii=False) else "a")
    found = (item.record.get("start"), item.record.get("end"))
    assert found == (pytest.approx(times, nan_ok=True) if times and None not in times else times or (None, None))


def test_json_keeps_a_rows_own_fields_and_takes_named_ones(tmp_path):
    value = [{"said": LINE, "where": "某店", "likes": 3, "file": "x.mp4"}]
    path = write(tmp_path / "a.json", json.dumps(value, ensure_ascii=False), "gb18030")
    options = Options(text_column="said", stream_column="where")
    (item,) = read_items(str(path), options)
    assert item.record == {"text": LINE, **value[0], "stream": "某店"}
    assert [*map(str, options.notes)] == [f"{path}: read as gb18030; name --encoding if that is wrong"]


MINUTE = (
    "喝这个茶三高就降下来了，放心喝。" + "今天二号链接拍两盒，三号链接拍一盒。" * 4 + "没有停顿" * 50 + "，最后三单。"
)


def minute(**more):
    return {"room": "某店", "file": "某店_000.mp4", "text": MINUTE, **more}


@pytest.mark.parametrize(
    ("name", "row", "split", "cut"),
    [
        ("a.jsonl", minute(), None, True),
        ("a.jsonl", minute(), False, False),
        ("a.jsonl", minute(start=0.0, end=60.0), None, False),  # it has a time of its own: a cue
        ("a.jsonl", minute(start=0.0, end=60.0), True, True),
        ("a.jsonl", {"text": MINUTE}, None, False),  # a paragraph of copy
        ("a.jsonl", {"text": MINUTE}, True, True),
        ("a.jsonl", minute(text=LINE), True, False),
        ("a.json", [{"text": MINUTE}], None, True),  # a recogniser's
    ],
)
def test_minutes_are_cut_into_utterances(tmp_path, name, row, split, cut):
    path = write(tmp_path / name, json.dumps(row, ensure_ascii=False))
    items, _ = read(path, split=split)
    assert (len(items) > 1) == cut
    if cut:
        place = "segment 1" if name.endswith(".json") else "line 1"
        assert [i.place for i in items] == [f"{place} utterance {n}" for n in range(1, len(items) + 1)]
        for item in items:  # every one can be found in the row, none is long
            at = item.record["text_offset"]
            assert MINUTE[at : at + len(item.text)] == item.text and len(item.text) <= 160
        assert "".join(i.text for i in items) == MINUTE
        assert [i.record["text_offset"] for i in items] == [0, 16, 34, 52, 70, 88, 248]
        times = {name: row[name] for name in ("start", "end") if name in row} if isinstance(row, dict) else {}
        assert times.keys() == {"start", "end"} & items[0].record.keys()
        assert not times or (items[0].record["start"], items[-1].record["end"]) == (0.0, 60.0)


def test_an_utterance_has_the_times_of_its_words(tmp_path):
    text = ("喝这个茶三高就降下来了放心喝OK吗。" * 10)[:-1]
    words = len(text.replace("OK", "O")) - text.count("。")
    value = [{"key": "a", "text": text, "timestamp": [[1000 * n, 1000 * n + 900] for n in range(words)]}]
    items, _ = read(write(tmp_path / "a.json", json.dumps(value)))
    assert [(i.record["start"], i.record["end"]) for i in items] == [(16 * n, 16 * n + 15.9) for n in range(10)]
    value[0]["timestamp"].pop()  # as many times as words no more: each gets its share
    items, _ = read(write(tmp_path / "a.json", json.dumps(value)))
    assert items[0].record["start"] == 0.0 and items[4].record["end"] == pytest.approx(80, abs=2)


@given(st.text("好，。. ？\n1a", max_size=400))
def test_no_word_is_lost_in_cutting(text):
    spans = split_utterances(text)
    assert all(0 < end - start <= 160 and text[start:end].strip() == text[start:end] for start, end in spans)
    for before, after in itertools.pairwise(spans):  # cut after a sentence, or in one that is too long
        assert before[1] <= after[0]
        assert text[before[1] - 1] in "。？." or after[0] - before[0] > 80
    kept = {at for start, end in spans for at in range(start, end)}
    assert not [c for at, c in enumerate(text) if at not in kept and c not in " \n。.？"]


def test_json_without_transcript_says_what_is_known(tmp_path):
    with pytest.raises(InputError, match="Whisper"):
        list(read_items(str(write(tmp_path / "a.json", '{"a": 1}')), Options()))


def test_parquet_with_nulls_numbers_and_lists(tmp_path):
    parquet.write_table(pa.table({"text": [LINE, None, ""], "n": [1, 2, 3]}), tmp_path / "a.parquet")
    items, rejects = read(tmp_path / "a.parquet")
    assert [i.record for i in items] == [{"text": LINE, "n": 1}] and len(rejects) == 2
    parquet.write_table(pa.table({"text": [["a"], ["b"]]}), tmp_path / "b.parquet")
    items, rejects = read(tmp_path / "b.parquet")
    assert not items and "list" in rejects[0].reason
    with pytest.raises(InputError, match="Parquet"):
        list(read_items(str(write(tmp_path / "c.parquet", "not")), Options()))


def test_rows_of_a_workbook_are_read_and_another_file_is_refused(tmp_path):
    import openpyxl

    book = openpyxl.Workbook()
    for row in (["文案", "开始"], [LINE, "00:01:02"], [None, None], [12, 3]):
        book.active.append(row)
    book.save(tmp_path / "a.xlsx")
    items, _ = read(tmp_path / "a.xlsx")
    assert [(i.text, i.record.get("start")) for i in items] == [(LINE, 62.0), ("12", 3.0)]
    with pytest.raises(InputError, match="XLSX"):
        list(read_items(str(write(tmp_path / "b.xlsx", "not")), Options()))


def test_compressed_and_remote(tmp_path):
    import fsspec
    import pyarrow

    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(LINE.encode()))
    with pyarrow.CompressedOutputStream(str(tmp_path / "b.txt.zst"), "zstd") as out:
        out.write(LINE.encode())
    for name in ("a.txt.gz", "b.txt.zst"):
        assert read(tmp_path / name)[0][0].text == LINE
    with fsspec.open("memory://rooms/c.txt", "w", encoding="utf-8") as out:
        out.write(LINE)
    with fsspec.open("memory://rooms/d.parquet", "wb") as out:
        parquet.write_table(pa.table({"text": [LINE]}), out)
    with fsspec.open("memory://rooms/e.jsonl.gz", "wb", compression="gzip") as out:
        out.write(json.dumps({"text": LINE}).encode())
    names = resolve_inputs(["memory://rooms"])
    assert [name.rsplit("/", 1)[-1] for name in names] == ["c.txt", "d.parquet", "e.jsonl.gz"]
    assert {read(name)[0][0].text for name in names} == {LINE}
    assert resolve_inputs(["memory://rooms/*.txt"]) == names[:1]
    assert resolve_inputs([f"file://{tmp_path}"]) == [str(tmp_path / name) for name in ("a.txt.gz", "b.txt.zst")]
    assert resolve_inputs([f"file://{tmp_path}/a.txt.gz"]) == [str(tmp_path / "a.txt.gz")]
    with pytest.raises(InputError, match=r"nothing://x.*installed"):
        resolve_inputs(["nothing://x/a.txt"])
    with pytest.raises(InputError, match="no such file"):
        resolve_inputs(["memory://rooms/none.txt"])


def test_inputs_are_found_in_order_and_missing_ones_named(tmp_path):
    for name in ("b.srt", "a.txt", "c.doc"):
        write(tmp_path / name, "x")
    assert [p.rsplit("/", 1)[-1] for p in resolve_inputs([str(tmp_path)])] == ["a.txt", "b.srt"]
    assert resolve_inputs([str(tmp_path / "*.txt"), str(tmp_path / "a.txt")]) == [str(tmp_path / "a.txt")]
    with pytest.raises(InputError, match=r"c\.doc.*ending"):
        resolve_inputs([str(tmp_path / "c.doc")])
    with pytest.raises(InputError, match="no such file"):
        resolve_inputs([str(tmp_path / "nothing")])
