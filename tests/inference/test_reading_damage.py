"""Readers of damaged files and wrong encodings: what can't be read is named and costs nothing else."""

import gzip
import random

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from zhenyan.inference.errors import InputError
from zhenyan.inference.io import Options, Reject, read_items, resolve_inputs
from zhenyan.inference.io.opening import detect_encoding

FIRST, SECOND, THIRD = "二号链接两盒装 今天拍明天发", "全网销量第一 没有之一", "喝这个茶三高就降下来了"
ASS = "[Script Info]\nScriptType: v4.00+\n\n[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"


def given(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def outline(path, **options):
    """Texts of the items and (place, reason) of the rejects, in order."""
    items = read_items(path, Options(**options))
    return [(i.place, i.reason) if isinstance(i, Reject) else i.text for i in items]


TIMES = "a cue's times can't be read; write both like 00:01:02.000"


@pytest.mark.parametrize(
    ("name", "text", "want"),
    [
        ("a.srt", f"1\n00:00:01,000 --> 00:00:03,000\n{FIRST}\n\n2\n00:00:XX,500 --> 00:00:05,000\n{SECOND}\n\n"
                  f"3\n00:00:06,000 -> 00:00:09,000\n{THIRD}\n", [FIRST, ("line 6", TIMES), THIRD]),
        ("a.srt", f"1\n0:0:1 -> 0:0:3\n{FIRST}\n\n2\n00:00:03,500 --> 00:00:05,000\n{SECOND}", [("line 2", TIMES), SECOND]),
        ("a.srt", f"1\n00:00:01,000\n{FIRST}\n2\n00:00:03,500 --> 00:00:05,000\n{SECOND}", [("line 2", TIMES), SECOND]),
        ("a.srt", "1\n00:00:01,000 --> 00:00:03,000\n倒数\n3\n\n2\n00:00:03,500 --> 00:00:05,000\n2:1 -> 3:1\n",
         ["倒数 3", "2:1 -> 3:1"]),
        ("a.vtt", f"WEBVTT\n\nfirst\n00:01.000 --> 00:02.000\n{FIRST}\n\nsecond\n00:0x.000 --> 00:04.000\n{SECOND}\n\n"
                  f"third\n00:05.000 --> 00:06.000\n{THIRD}\n", [FIRST, ("line 8", TIMES), THIRD]),
        ("a.ass", f"{ASS}Dialogue: 0,bad,0:00:02.00,Default,,0,0,0,,{FIRST}\nComment: 0,bad,bad,Default,,0,0,0,,x\n"
                  f"Dialogue: 0,0:00:03.00,0:00:04.00,Default,,0,0,0,,{SECOND}\n", [("line 6", TIMES), SECOND]),
        ("a.csv", f'id,文案\n1,{FIRST}\n2,"{SECOND}\n3,{THIRD}\n4,"{FIRST}, 两盒"\n',
         [FIRST, ("line 3", "a quote is opened and not closed"), THIRD, f"{FIRST}, 两盒"]),
        ("a.csv", f'id,文案\n1,"{FIRST}\n2,{SECOND}', [("line 2", "a quote is opened and not closed"), SECOND]),
        ("a.csv", '文案,屏\n"第一行\n第二行",5" screen\n说"好"的,"他说""好"""\n"半"截,1\n', ["第一行\n第二行", '说"好"的', "半截"]),
    ],
)  # fmt: skip
def test_a_broken_part_is_named_and_costs_no_other(tmp_path, name, text, want):
    assert outline(given(tmp_path / name, text)) == want


MINUS = "-00:00:03,000 --> -00:00:02,000"
WIDE = "00：00：01，000 --> 00：00：02，000"


@pytest.mark.parametrize("times", [MINUS, "-00:00:01,000 --> 00:00:00,500", WIDE, "00:00:01，000 --> 00:00:02，000",
                                   "--> -00:00:02,000", "-0：0：1", "00：00：01．000 -> 00：00：02．000"])  # fmt: skip
@pytest.mark.parametrize("first", [True, False])
def test_times_before_0_and_with_wide_marks_are_named_wherever_they_stand(tmp_path, times, first):
    good, bad = f"1\n00:00:05,000 --> 00:00:06,000\n{FIRST}\n", f"2\n{times}\n{SECOND}\n"
    want = [("line 2", TIMES), FIRST] if first else [FIRST, ("line 6", TIMES)]
    assert outline(given(tmp_path / "a.srt", "\n".join([bad, good] if first else [good, bad]))) == want


def test_times_before_0_of_webvtt_are_named(tmp_path):
    cues = f"{MINUS}\n{FIRST}\n\n{WIDE}\n{SECOND}\n\n00:03.000 --> 00:04.000\n{THIRD}\n"
    assert outline(given(tmp_path / "a.vtt", f"WEBVTT\n\n{cues}")) == [("line 3", TIMES), ("line 6", TIMES), THIRD]


def test_words_before_the_first_times_are_named_and_cost_no_cue(tmp_path):
    cue = f"1\n00:00:01,000 --> 00:00:03,000\n{FIRST}\n"
    found = list(read_items(given(tmp_path / "a.srt", f"\n{SECOND}\n{THIRD}\n\n{cue}"), Options()))
    assert found[0] == Reject("line 2", "text before the first cue's times", f"{SECOND} {THIRD}")
    assert [item.text for item in found[1:]] == [FIRST] and len(found) == 2
    for head in ("", "\n\n", "1\n\n", "WEBVTT\nKind: captions\n\n"):
        assert outline(given(tmp_path / "a.srt", head + cue)) == [FIRST]


def test_a_clock_with_wide_marks_inside_a_cue_is_its_words(tmp_path):
    content = f"1\n00:00:01,000 --> 00:00:03,000\n{FIRST}\n12：30：00\n-1：2 分差\n"
    assert outline(given(tmp_path / "a.srt", content)) == [f"{FIRST} 12：30：00 -1：2 分差"]


def test_a_quote_left_open_takes_no_more_lines_than_a_cell_has(tmp_path):
    rows = [f"{n},{FIRST}" for n in range(60_000)]
    found = outline(given(tmp_path / "a.csv", "\n".join(['id,文案\nx,"open', *rows])))
    assert found[0] == ("line 2", "a quote is opened and not closed") and found[1:] == [FIRST] * 60_000


def test_subtitles_without_one_readable_time_are_refused(tmp_path):
    with pytest.raises(InputError, match=rf"a\.srt: no cue found; line 2: {TIMES}"):
        outline(given(tmp_path / "a.srt", f"1\n0:0:1 -> 0:0:3\n{FIRST}\n"))


DAMAGED = f"{FIRST}\n{SECOND}\n".encode()


@pytest.mark.parametrize(
    ("data", "used", "note"),
    [
        (f"{FIRST}\n{SECOND}".encode("utf-16-le"), "utf-16-le", "read as utf-16-le; name --encoding"),
        (f"{FIRST}\n{SECOND}".encode("utf-16-be"), "utf-16-be", "read as utf-16-be; name --encoding"),
        ("id,text\n1,on sale\n".encode("utf-16-le"), "utf-16-le", "read as utf-16-le"),
        (DAMAGED[1:], "utf-8", "read as utf-8, of which line 1 has damaged bytes"),
        (DAMAGED[:-2], "utf-8", "read as utf-8, of which line 2 has damaged bytes"),
        (f"{FIRST}\n{SECOND}".encode("gb18030"), "gb18030", "read as gb18030; name --encoding"),
        (f"{FIRST}\0\n{SECOND}".encode(), "utf-8", None),
    ],
)
def test_encodings_without_a_mark(tmp_path, data, used, note):
    assert detect_encoding(data, complete=True) == used
    options = Options()
    list(read_items(given(tmp_path / "a.txt", data), options))
    assert [note in said for said in map(str, options.notes)] == ([True] if note else [])


def test_a_missing_column_tells_the_encoding_that_was_used(tmp_path):
    path = given(tmp_path / "a.csv", "時,說\n1,二號連結\n".encode("big5"))
    with pytest.raises(InputError, match=r"a\.csv \(read as gb18030\): no text column"):
        outline(path)
    assert outline(path, encoding="big5", text_column="說") == ["二號連結"]


# mtime=0: the content is part of the test's name, and workers that collect a second apart must agree on it.
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.json", '{"text": "a"}\n{"text": "b"}\n', r"rename it to \.jsonl"),
        ("a.csv", f"时间;文案\n1;{FIRST}\n", r"separated by ';'"),
        ("a.csv", f"时间\t文案\n1\t{FIRST}\n", r"name the file \.tsv"),
        ("a.csv", f"第48周直播,\n时间,说的话\n1,{FIRST}\n", "a title stands above the header"),
        ("a.csv", f"{FIRST}\n今天拍两盒\n", "has no header, give it one that names the text's column text"),
        ("a.csv", f"1,{FIRST}\n2,今天拍两盒\n", "has no header, give it one that names the text's column text"),
        ("a.csv", f'"id,文案\n1,{FIRST}\n', "line 1, in the header: a quote is opened and not closed"),
        ("a.xlsx", bytes.fromhex("d0cf11e0a1b11ae1") + b"\0" * 600, "without a password"),
        ("a.csv.gz", b"text\nnot compressed\n", "gzip file is damaged.*get it again"),
        (
            "a.csv.gz",
            gzip.compress(f"文案\n{FIRST * 900}\n".encode(), mtime=0)[:-9],
            "gzip file is damaged.*get it again",
        ),
        ("a.csv.zst", b"text\nnot compressed\n", "zstd file is damaged.*get it again"),
        ("a.parquet.gz", gzip.compress(b"not", mtime=0), "not a readable Parquet file"),
    ],
)
def test_what_is_wrong_with_a_whole_file_comes_with_its_remedy(tmp_path, name, content, words):
    with pytest.raises(InputError, match=words):
        outline(given(tmp_path / name, content))


def test_compressed_parquet(tmp_path):
    parquet.write_table(pa.table({"text": [FIRST]}), tmp_path / "a.parquet")
    assert outline(given(tmp_path / "b.parquet.gz", gzip.compress((tmp_path / "a.parquet").read_bytes()))) == [FIRST]


def test_other_programs_files_are_passed_over_unless_named(tmp_path):
    for name in ("~$a.csv", ".~lock.a.csv", "._a.csv", "a.csv"):
        given(tmp_path / name, "text\n")
    assert resolve_inputs([str(tmp_path)]) == resolve_inputs([f"{tmp_path}/*.csv"]) == [str(tmp_path / "a.csv")]
    assert resolve_inputs([str(tmp_path / "~$a.csv")]) == [str(tmp_path / "~$a.csv")]


def test_a_name_too_long_is_said(tmp_path):
    with pytest.raises(InputError, match="name too long"):
        resolve_inputs([str(tmp_path / f"{'a' * 300}.csv")])


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.txt", "a.csv.gz"])
def test_rows_in_another_encoding_far_down_are_rejects(tmp_path, name):
    form, head = ('{{"text": "{}"}}\n', "") if name == "a.jsonl" else ("{}\n", "text\n" if "csv" in name else "")
    data = (head + form.format(FIRST) * 40_000).encode() + (form.format(SECOND) * 3).encode("gbk")
    path = given(tmp_path / name, gzip.compress(data) if name.endswith(".gz") else data)
    options = Options()
    *items, first, _, last = read_items(path, options)
    assert [item.text for item in items] == [FIRST] * 40_000
    assert first.reason == last.reason == "the text has bytes that are not utf-8; save the file in one encoding"
    assert [*map(str, options.notes)] == [
        f"{path}: read as utf-8, of which {first.place} has damaged bytes; "
        "save the file in one encoding, or name --encoding if that is wrong"
    ]


def test_damage_beside_the_text_is_noted_and_a_mark_of_earlier_damage_is_a_character(tmp_path):
    options = Options()
    path = given(tmp_path / "a.csv", f"text,b\n{FIRST}\ufffd,1\n".encode())
    assert [item.text for item in read_items(path, options)] == [f"{FIRST}\ufffd"] and not options.notes
    given(tmp_path / "a.csv", f"text,b\n{FIRST},1\n{FIRST},".encode() + b"\xff\n")
    assert [item.text for item in read_items(path, options)] == [FIRST, FIRST]
    assert ["line 3 has damaged bytes" in note for note in map(str, options.notes)] == [True]


@pytest.mark.parametrize("name", ["undefined", "nothing", "base64", "utf\0"])
def test_an_encoding_that_is_none_is_refused(tmp_path, name):
    with pytest.raises(InputError, match=r"--encoding '.*' is unknown; usual ones are utf-8"):
        outline(given(tmp_path / "a.txt", FIRST), encoding=name)


def test_damaged_utf_8_is_told_from_gbk_by_how_much_of_it_is_whole():
    words = THIRD * 100
    other = words[:3].encode("gb18030")
    damaged = (words[:20].encode() + other) * 9  # 91 of 100 bytes in whole characters
    assert damaged.decode("gb18030") and detect_encoding(damaged, complete=True) == "utf-8"
    mixed = words[:200].encode("gb18030") + words[:600].encode()  # 82
    assert mixed.decode("gb18030") and detect_encoding(mixed, complete=True) == "gb18030"


GBK = [FIRST, SECOND, THIRD] * 5


def in_gbk(name, lines):
    cue = "\n{0}\n00:00:{0:02},000 --> 00:00:{0:02},900\n{1}"
    rows = [cue.format(at, line) for at, line in enumerate(lines, 1)] if name == "a.srt" else lines
    return ("文案\n" * (name == "a.csv") + "\n".join(rows)).encode("gbk")


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.srt"])
@pytest.mark.parametrize("cut", [True, False])
def test_a_damaged_byte_of_gbk_costs_no_other_line(tmp_path, name, cut):
    data = in_gbk(name, GBK)
    at = len(data) - 1 if cut else data.index("链".encode("gbk"))
    options = Options()
    path = given(tmp_path / name, data[:at] + (b"" if cut else b"\xff") + data[at + 1 :])
    found = list(read_items(path, options))
    lost = -1 if cut else 0
    assert found[lost].reason == "the text has bytes that are not gb18030; save the file in one encoding"
    assert [item.text for item in found if not isinstance(item, Reject)] == (GBK[:-1] if cut else GBK[1:])
    assert ["read as gb18030" in note for note in map(str, options.notes)] == [True, True]
    assert "has damaged bytes" in str(options.notes[1])


@pytest.mark.parametrize(
    ("encoding", "lines"),
    [
        ("cp950", ["家人們，這款膠原蛋白飲喝一個月年輕十歲", "全網銷量第一，沒有之一！今天下單買一送一"]),
        ("utf-16-le", GBK),
        ("utf-16-be", GBK),
    ],
)
def test_other_encodings_are_known_with_a_byte_too_few(encoding, lines):
    data = ("\n".join(lines) + "。").encode(encoding)
    assert detect_encoding(data[:-1], complete=True) == encoding


def test_what_holds_much_utf_8_or_is_no_text_is_not_read_as_damaged_gbk():
    mixed = b"\n".join(line.encode("utf-8" if at % 2 else "gbk") for at, line in enumerate(GBK)) + b"\xff"
    assert detect_encoding(mixed, complete=True) == "utf-8"
    assert detect_encoding(random.Random(1).randbytes(5000), complete=True) == "utf-8"
    assert detect_encoding(("Très bon thé, élevé à la montagne. " * 5).encode("latin-1") + b"\xff", True) == "utf-8"


ROW = f"\n茶,{FIRST}"


@pytest.mark.parametrize(
    ("data", "asked"),
    [("商品,文案".encode()[:-1] + ROW.encode() * 9, {}), (f"商品,文案{ROW}".encode("gbk"), {"encoding": "utf-8"})],
)
def test_a_damaged_header_tells_the_encoding_and_its_option(tmp_path, data, asked):
    with pytest.raises(InputError, match=r"no text column.*the header has bytes that are not utf-8: name --encoding"):
        outline(given(tmp_path / "a.csv", data), **asked)


@pytest.mark.parametrize("asked", [None, "said"])
def test_columns_of_a_file_that_is_no_table_do_not_fill_pages(tmp_path, asked):
    path = given(tmp_path / "a.csv", ",".join(f"{n}{'图' * 900}" for n in range(2_000)))
    with pytest.raises(InputError, match=r"its columns are 0图{39}, 1图{39}, .* and 1,950 more") as told:
        list(read_items(path, Options(text_column=asked)))
    assert len(str(told.value)) < 50 * 42 + 300


def test_blank_lines_of_a_table_are_no_rows_and_places_are_last_lines(tmp_path):
    path = given(tmp_path / "a.csv", f'文案,屏\n\n{FIRST},1\n , \n"上\n下",2\n{THIRD}\n,\n{SECOND},3\n')
    found = [(i.place, i.reason if isinstance(i, Reject) else i.text) for i in read_items(path, Options())]
    assert found == [
        ("line 3", FIRST),
        ("line 6", "上\n下"),
        ("line 7", "1 fields, the header has 2"),
        ("line 9", SECOND),
    ]
