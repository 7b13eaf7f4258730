"""Writing: what a format can't hold is cleaned or noted, what can't be written is said."""

import csv
import gc
import json
import os
import resource
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import openpyxl
import pyarrow.parquet as parquet
import pytest
from zhenyan.inference import windows
from zhenyan.inference.errors import InputError
from zhenyan.inference.io import Options, check_output, read_items, resolve_inputs, write_output, writing
from zhenyan.inference.io.jsonlines import dump_line, replacing, write_atomic


def test_parquet_with_a_field_name_that_is_no_text(tmp_path):
    rows = [{"text": "好", "\ud800k": 1, "scores": {"a": 0.1}}]
    write_output(tmp_path / "a.parquet", lambda: rows)
    assert parquet.read_table(tmp_path / "a.parquet").to_pylist() == [{"text": "好", "?k": 1, "scores": {"a": 0.1}}]


def test_what_only_looks_like_a_number_is_guarded(tmp_path):
    formulas = [
        "-inf",
        "+nan",
        "-Infinity",
        "+1_0",
        "-1\n",
        "=1",
        "-１",
        "＝1+1",
        "＋1",
        "－1",
        "＠x",
        "\n=1+1",
        "@1",
        "\t=1",
    ]
    numbers = ["-1.5", "+3e2", "-3", "+1.299E-7", "1_0", "甲=乙"]
    write_output(tmp_path / "a.csv", lambda: [{"text": value} for value in (*formulas, *numbers)])
    with (tmp_path / "a.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [row["text"] for row in csv.DictReader(file)] == [*(f"'{value}" for value in formulas), *numbers]


def test_text_that_a_cell_cuts_is_noted(tmp_path):
    rows = [{"text": "好"}, {"text": "好" * 32_767}, {"text": "好" * 32_768}]
    (note,) = write_output(tmp_path / "a.xlsx", lambda: rows)
    assert "a.xlsx row 4, column text: text cut after 32,767 characters" in str(note)
    assert write_output(tmp_path / "a.csv", lambda: rows) == []


@contextmanager
def room_for(size: int):
    """Files hold no more than so many bytes, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no full device")
def test_a_workbook_that_finds_no_room_is_told_without_a_traceback(tmp_path, monkeypatch):
    ignored = []
    monkeypatch.setattr("sys.unraisablehook", ignored.append)
    with room_for(2000), pytest.raises(InputError, match=r"a\.xlsx: File too large; .* on a disk with room"):
        write_output(tmp_path / "a.xlsx", lambda: [{"text": "好"}])
    gc.collect()
    assert ignored == [] and not list(tmp_path.iterdir())
    monkeypatch.setattr("openpyxl.worksheet._writer.create_temporary_file", lambda: "/dev/full")
    with pytest.raises(
        InputError, match=r"the temporary folder .* can't be written \(.*; make room there, or set TMPDIR"
    ):
        write_output(tmp_path / "a.xlsx", lambda: [{"text": "好" * 30_000}] * 9)


def test_rows_that_cannot_be_read_are_not_told_as_the_temporary_folder(tmp_path):
    def rows():
        yield {"text": "好"}
        raise OSError(5, "Input/output error", "/mnt/x.parts")

    with pytest.raises(InputError, match=r"a\.xlsx: Input/output error") as told:
        write_output(tmp_path / "a.xlsx", rows)
    assert "temporary folder" not in str(told.value)


def test_a_value_that_json_lacks_may_lie_deep():
    value = float("nan")
    for _ in range(500):
        value = [value]
    assert dump_line({"a": value}) == b'{"a":%bnull%b}\n' % (b"[" * 500, b"]" * 500)


def test_characters_that_xml_has_no_room_for_are_replaced_in_a_workbook(tmp_path):
    write_output(tmp_path / "a.xlsx", lambda: [{"text": "全网\uffff第一\ufffe\x01", "甲\uffff": "乙"}])
    rows = openpyxl.load_workbook(tmp_path / "a.xlsx").active.iter_rows(values_only=True)
    assert list(rows) == [("text", "甲\ufffd"), ("全网\ufffd第一\ufffd\ufffd", "乙")]


def test_an_output_that_cant_be_written_says_what_to_name(tmp_path):
    with pytest.raises(InputError, match="name a file in a folder that exists and can be written"):
        write_output(tmp_path / "none" / "a.csv", lambda: [{"text": "好"}])
    for refuses in (check_output, lambda path: write_output(path, lambda: [])):
        with pytest.raises(InputError, match="name too long"):
            refuses(tmp_path / f"{'a' * 300}.csv")
    with pytest.raises(InputError, match="name too long"):  # with what is added while it is written
        write_output(tmp_path / f"{'a' * 249}.csv", lambda: [])
    with pytest.raises(InputError, match="name too long"):
        write_atomic(tmp_path / f"{'a' * 300}.html", [])


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet", "xlsx", "CSV", "Parquet", "XLSX"])
def test_an_output_without_rows_has_the_columns_of_one_with_rows(tmp_path, ending):
    row = {"text": "好", "labels": ["a"], "scores": {"a": 0.5, "b": 0.25}, "evidence": [], "model": "m"}
    found = []
    for name, rows in (("none", []), ("one", [row])):
        path = tmp_path / f"{name}.{ending}"
        write_output(path, lambda rows=rows: rows, labels=["a", "b"])
        match ending.lower():
            case "parquet":
                found.append(parquet.read_schema(path))
            case "xlsx":
                found.append([cell.value for cell in openpyxl.load_workbook(path).active[1]])
            case _:
                found.append(path.read_text("utf-8-sig").splitlines()[0])
    assert found[0] == found[1]


def test_an_output_of_json_lines_without_rows_is_empty(tmp_path):
    write_output(tmp_path / "a.JSONL", lambda: [], labels=["a"])
    assert (tmp_path / "a.JSONL").read_bytes() == b""


def test_a_formula_behind_a_character_that_no_cell_holds_is_text(tmp_path):
    formula = '\x01=HYPERLINK("http://evil.example","x")'
    write_output(tmp_path / "a.xlsx", lambda: [{"text": formula, "\x01=1+1": "\0\x02@x"}])
    cells = [cell for row in openpyxl.load_workbook(tmp_path / "a.xlsx").active.iter_rows() for cell in row]
    assert [cell.value for cell in cells] == ["text", "\ufffd=1+1", f"\ufffd{formula[1:]}", "\ufffd\ufffd@x"]
    assert {cell.data_type for cell in cells} == {"s"}


@pytest.mark.parametrize(("ending", "delimiter"), [("csv", ","), ("tsv", "\t")])
def test_a_table_of_text_is_safe_to_open_in_a_spreadsheet(tmp_path, ending, delimiter):
    path = tmp_path / f"a.{ending}"
    rows = [
        {"labels": ["a", "b"], "=1+1": "=2+2", "text": "好", "scores": {"a": 0.5, "b": 0.25}, "model": "m"},
        {"labels": [], "text": "-3", "late\0": -3, "scores": {"a": 1.0, "b": 0.0}, "model": "m"},
    ]
    write_output(path, lambda: rows)
    assert path.read_bytes().startswith("\ufeff".encode())  # else spreadsheets take it for GBK
    with path.open(encoding="utf-8-sig", newline="") as file:
        header, *found = csv.reader(file, delimiter=delimiter)
    # What was added comes last.
    assert header == ["'=1+1", "text", "late\ufffd", "labels", "score.a", "score.b", "model"]
    assert found == [["'=2+2", "好", "", "a; b", "0.5", "0.25", "m"], ["", "-3", "-3", "", "1.0", "0.0", "m"]]


def test_an_output_whose_name_isnt_utf_8_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"茶\.csv: the output's name isn't UTF-8; name another"):
        check_output(tmp_path / os.fsdecode("茶.csv".encode("gbk")))


@pytest.mark.parametrize("path", [".", "/"])
def test_a_path_without_a_name_is_a_folder(path):
    with pytest.raises(InputError, match="is a folder; name a file"), replacing(Path(path)):
        pass


def test_rows_say_which_texts_were_read_in_part(tmp_path, score, classifier, monkeypatch):
    """Longer than the model's window is still read whole; only what is longer than MAX_CHARS isn't."""
    monkeypatch.setattr(windows, "MAX_CHARS", 400)
    source, whole = tmp_path / "a.jsonl", "好看" * 200
    assert len(classifier.tokenizer.encode(whole).ids) > classifier.bundle.max_tokens
    texts = ["大家好", whole, f"{whole}的"]
    source.write_text("\n".join(json.dumps({"text": text}) for text in texts), encoding="utf-8")
    for ending in ("jsonl", "csv"):
        score(source, tmp_path / f"out.{ending}")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").open("rb")]
    assert [row.get("truncated") for row in rows] == [None, None, True] and "truncated" not in rows[1]
    with (tmp_path / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        table = csv.DictReader(file)
        assert [row["truncated"] for row in table] == ["", "", "True"] and table.fieldnames[-1] == "truncated"
    assert rows[2]["text"] == texts[2]  # the text itself is never cut


def test_a_table_of_texts_that_were_read_whole_has_no_column_for_it(tmp_path, score):
    source, output = tmp_path / "a.txt", tmp_path / "out.csv"
    source.write_text("大家好\n" + "好看" * 80, encoding="utf-8")
    score(source, output)
    header, *rows = csv.reader(output.open(encoding="utf-8-sig", newline=""))
    assert "model" in header and "truncated" not in header and len(rows) == 2


@pytest.mark.parametrize("before", ["old", None])
def test_of_a_link_the_file_behind_it_is_replaced(tmp_path, before):
    (tmp_path / "real").mkdir()
    if before is not None:
        (tmp_path / "real/a.jsonl").write_text(before)
    link = tmp_path / "a.jsonl"
    link.symlink_to("real/a.jsonl")
    write_output(link, lambda: [{"text": "好"}])
    assert link.is_symlink() and link.read_text("utf-8") == '{"text":"好"}\n'
    assert {path.name for path in tmp_path.rglob("*")} == {"real", "a.jsonl"}


def test_an_error_names_the_link_that_was_given(tmp_path):
    (tmp_path / "a.jsonl").symlink_to("nowhere/b.jsonl")
    with pytest.raises(InputError, match=r"/a\.jsonl: No such file or directory; name a file in a folder that exists"):
        write_output(tmp_path / "a.jsonl", lambda: [])


@pytest.mark.parametrize("linked", [False, True])
def test_a_pipe_or_a_device_is_not_replaced(tmp_path, linked):
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to("pipe")
    path = link if linked else pipe
    with pytest.raises(InputError, match=f"{path.name}: is a device or a pipe"), replacing(path):
        pass
    assert pipe.is_fifo() and link.is_symlink() and len(list(tmp_path.iterdir())) == 2


def test_of_two_who_write_one_file_at_once_one_has_written_it(tmp_path):
    """Both wrote to one temporary file: the mixture was published, and neither was told."""
    path = tmp_path / "a.jsonl"
    with replacing(path) as first:
        first.write_bytes(b"a" * 300)
        with replacing(path) as second:
            second.write_bytes(b"b" * 100)
        assert path.read_bytes() == b"b" * 100
    assert path.read_bytes() == b"a" * 300 and list(tmp_path.iterdir()) == [path]


def test_what_stands_where_others_could_guess_it_is_not_written_through(tmp_path):
    other = tmp_path / "other"
    other.write_text("kept")
    (tmp_path / ".a.jsonl.tmp").symlink_to("other")
    write_output(tmp_path / "a.jsonl", lambda: [{"text": "好"}])
    assert other.read_text() == "kept" and not (tmp_path / "a.jsonl").is_symlink()


@pytest.mark.parametrize("mode", [None, 0o600, 0o640, 0o400, 0o777])
def test_a_file_that_is_replaced_keeps_its_mode_and_a_new_one_has_the_usual(tmp_path, mode):
    path, usual = tmp_path / "a.jsonl", tmp_path / "usual"
    usual.touch()
    if mode is not None:
        path.touch()
        path.chmod(mode)
    write_output(path, lambda: [{"text": "好"}])
    assert path.stat().st_mode & 0o777 == (usual.stat().st_mode & 0o777 if mode is None else mode)
    assert path.read_text("utf-8") == '{"text":"好"}\n'


def test_what_fails_leaves_the_file_as_it_was_and_nothing_beside_it(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as part:
        part.write_text("new")
        raise KeyboardInterrupt
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_what_a_killed_writer_left_is_swept_by_the_next_and_what_another_is_writing_stays(tmp_path):
    path = tmp_path / "a.jsonl"
    killed = (
        "import os, pathlib, signal, sys\nfrom zhenyan.inference.io.jsonlines import replacing\n"
        "with replacing(pathlib.Path(sys.argv[1])) as part:\n    part.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", killed, path], check=False)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".a.jsonl.") and left.suffix == ".tmp" and left.read_text() == "half"
    with pytest.raises(InputError, match=r"no such file, folder or glob with readable files \([^;]*$"):
        resolve_inputs([str(tmp_path)])
    for name in (".a.jsonl.mine.tmp", ".b.jsonl.01234567.tmp"):
        (tmp_path / name).touch()
    with replacing(tmp_path / "b.jsonl") as part:
        part.touch()
        with replacing(path) as ours:
            ours.touch()
            write_output(path, lambda: [])
            assert not left.exists() and part.exists() and ours.exists()
    names = {file.name for file in tmp_path.iterdir()}
    assert names == {"a.jsonl", "b.jsonl", ".a.jsonl.mine.tmp"}


def test_half_an_emoji_among_the_deciding_words_goes_into_parquet(tmp_path):
    text = "喝完血\ud83d糖就稳了"
    rows = [{"text": text, "evidence": [{"start": 2, "end": 5, "text": text[2:5], "label": "food_safety"}]}]
    write_output(tmp_path / "a.parquet", lambda: rows)
    (row,) = parquet.read_table(tmp_path / "a.parquet").to_pylist()
    assert row["text"] == text.replace("\ud83d", "?") and row["evidence"][0]["text"] == "血?糖"


@pytest.mark.parametrize("ending", ["csv", "parquet", "xlsx"])
def test_evidence_counts_the_characters_that_are_written(tmp_path, ending):
    text = "\0\x0b今天\0全网销量第一"
    path = tmp_path / f"a.{ending}"
    write_output(
        path, lambda: [{"text": text, "evidence": [{"start": 5, "end": 11, "text": text[5:11], "label": "a"}]}]
    )
    (item,) = read_items(str(path), Options())
    assert item.record["text"][5 - len(text) :] == "全网销量第一"


def test_more_columns_than_a_sheet_has_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "COLUMNS", 3)
    with pytest.raises(InputError, match="a sheet holds 3 columns and these rows have 4 fields; write them as"):
        write_output(tmp_path / "a.xlsx", lambda: [{"text": "好", "a": 1, "b": 2, "c": 3}])
    assert list(tmp_path.iterdir()) == []
