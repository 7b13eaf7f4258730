"""What folders and globs hold: nothing that isn't read goes unsaid, whatever it is called."""

import errno
import glob
import os

import pytest
from zhenyan.inference.errors import InputError
from zhenyan.inference.io import Options, Reject, folders, read_items, resolve_inputs
from zhenyan.inference.io.names import real_path, shown
from zhenyan.inference.runs.inputs import describe_inputs, input_files, stamps, unread_of, work_units

LINE = "喝这个茶三高就降下来了"


def given(path, content=f"{LINE}\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return str(path)


def scored(*inputs):
    """What a run reads of the inputs: the texts, and the reasons of what it can't read."""
    files = input_files(inputs, [], [])
    unread = unread_of(describe_inputs(files))
    items = [placed.item for work in work_units(files, Options(), unread=unread) for placed in work.items]
    return [i.text for i in items if not isinstance(i, Reject)], [i.reason for i in items if isinstance(i, Reject)]


@pytest.fixture
def closed(tmp_path, monkeypatch):
    """A folder that may not be listed, in one that may."""
    given(tmp_path / "a.txt")
    given(tmp_path / "open" / "b.txt")
    given(tmp_path / "closed" / "c.txt")
    scandir = os.scandir

    def guarded(path):
        if str(path).endswith("closed"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    return str(tmp_path / "closed")


@pytest.mark.parametrize(("pattern", "texts"), [("", 2), ("*/*.txt", 1), ("**/*.txt", 2), ("**", 2)])
def test_a_folder_that_cant_be_listed_is_named(tmp_path, closed, pattern, texts):
    found, reasons = scored(str(tmp_path / pattern))
    assert found == [LINE] * texts
    assert reasons == [f"{closed}: the folder can't be listed (Permission denied); let it be read, or move it away"]


def test_alone_it_is_an_error(closed):
    with pytest.raises(InputError, match=r"closed: the folder can't be listed"):
        scored(closed)
    with pytest.raises(InputError, match=r"closed: the folder can't be listed"):
        read_items(closed, Options())


def test_a_glob_that_doesnt_look_into_a_folder_doesnt_name_it(tmp_path, closed):
    assert scored(str(tmp_path / "*.txt"), str(tmp_path / "open" / "*")) == ([LINE] * 2, [])


@pytest.mark.parametrize("pattern", ["", "**/*.txt"])
def test_a_path_too_long_is_named_and_costs_no_other(tmp_path, monkeypatch, pattern):
    given(tmp_path / "a.txt")
    monkeypatch.chdir(tmp_path)
    for _ in range(20):
        os.mkdir("很长的直播间" * 14)
        os.chdir("很长的直播间" * 14)
    with open("z.txt", "w", encoding="utf-8") as file:
        file.write(LINE)
    found, (reason,) = scored(str(tmp_path / pattern))
    assert found == [LINE]
    assert reason.startswith(f"{tmp_path}/很长的直播间") and reason.endswith(
        ": File name too long; move it to a folder with a shorter path"
    )


GBK = os.fsdecode("直播间".encode("gbk"))
LATIN = os.fsdecode(b"caf\xe9.txt")


def test_names_that_arent_utf_8_are_told_as_text_and_opened_where_they_lie(tmp_path):
    given(tmp_path / GBK / f"{GBK}.txt")
    given(tmp_path / LATIN)
    files = input_files([str(tmp_path)], [], [])
    assert files == [f"{tmp_path}/caf\\xe9.txt", f"{tmp_path}/直播间/直播间.txt"]
    assert [real_path(path) for path in files] == [f"{tmp_path}/{LATIN}", f"{tmp_path}/{GBK}/{GBK}.txt"]
    assert all(item["sha256"] for item in describe_inputs(files)) and None not in stamps(files)
    assert [item.record["stream"] for path in files for item in read_items(path, Options())] == ["caf\\xe9", "直播间"]
    assert resolve_inputs([*files, f"{tmp_path}/{GBK}"]) == files  # as they were told, or as they are
    assert resolve_inputs([str(tmp_path / GBK / "*")]) == files[1:]


def test_a_name_is_not_told_as_that_of_another_file(tmp_path):
    given(tmp_path / f"{GBK}.txt", "旧\n")
    given(tmp_path / "直播间.txt", "新\n")
    files = resolve_inputs([str(tmp_path)])
    escaped = os.fsencode(GBK).decode("utf-8", "backslashreplace")
    assert sorted(files) == [f"{tmp_path}/{escaped}.txt", f"{tmp_path}/直播间.txt"] and "\\xb2" in escaped
    assert [item.text for path in sorted(files) for item in read_items(path, Options())] == ["旧", "新"]
    assert shown("直播间\\x.txt") == real_path("直播间\\x.txt") == "直播间\\x.txt"


def test_a_run_of_names_that_arent_utf_8(tmp_path, score):
    given(tmp_path / "in" / f"{GBK}.txt")
    folder = score([str(tmp_path / "in")], tmp_path / "out.jsonl")
    assert [item["path"] for item in folder.manifest["inputs"]] == [f"{tmp_path}/in/直播间.txt"]
    assert folder.summary["rows"] == 1 and next(folder.streams())["stream"] == "直播间"


def test_what_a_folder_holds_and_nobody_reads_is_noted_once(tmp_path):
    left = (
        "a.zip",
        "d/b.zip",
        "d/c.ZIP",
        "old.xls",
        "d/README",
        ".hidden",
        ".git/x",
        "~$a.xlsx",
        "Thumbs.db",
        "o.run/x.db",
    )
    for name in (*left, "a.txt"):
        given(tmp_path / "in" / name)
    given(tmp_path / "other" / "b.txt")
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "other")
    (tmp_path / "in" / "gone.txt").symlink_to("nowhere")
    (tmp_path / "in" / "round.txt").symlink_to("round.txt")
    notes = []
    assert input_files([str(tmp_path / "in")], [], notes) == [str(tmp_path / "in" / "a.txt")]
    (note,) = map(str, notes)
    said, *remedies = note.removeprefix(f"{tmp_path}/in: left out ").split("; ")
    assert sorted(said.split(", ")) == [
        "1 .xls",
        "1 linked folder",
        "1 other file (README)",
        "2 broken links",
        "3 .zip",
    ]
    assert sorted(remedies) == [
        "name linked folders themselves", "read a zip by zip://::FILE.zip", "save .xls as .xlsx"
    ]  # fmt: skip
    resolve_inputs([str(tmp_path / "other")], notes)
    assert len(notes) == 1


@pytest.mark.parametrize(
    ("name", "remedy"), [("a.zip", r"zip://::FILE\.zip"), ("a.ZIP", r"zip://::FILE\.zip"), ("a.doc", r"\.txt")]
)
def test_a_named_file_of_a_known_ending_says_how_to_read_it(tmp_path, name, remedy):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(InputError, match=rf"is not known; readable are .*; .*{remedy}"):
        resolve_inputs([str(tmp_path / name)])


def test_a_folder_of_nothing_readable_says_what_it_holds(tmp_path):
    given(tmp_path / "a.xls")
    with pytest.raises(InputError, match=r"no such file, folder or glob.*left out 1 \.xls; save \.xls as \.xlsx"):
        resolve_inputs([str(tmp_path)])


def test_a_note_names_the_most_frequent_endings(tmp_path):
    for number in range(10):
        for copy in range(10 - number):
            given(tmp_path / f"{copy}.x{number}")
    left = folders.in_folder(str(tmp_path), lambda _: False).left_out("d")[0].text.english
    assert left.startswith("left out 10 .x0, 9 .x1, ") and left.endswith(", 3 .x7, 3 other files (2 .x8, 1 .x9)")


def test_a_note_names_the_kinds_that_can_be_had_read_first(tmp_path):
    for number in range(10):
        for copy in range(3):
            given(tmp_path / f"{copy}.x{number}")
    for name in ("a.md", "b.ssa", "c.eaf", "c.TextGrid", "d.pdf", "d.doc", "e.xml", "f.lrc"):
        given(tmp_path / name)
    left = folders.in_folder(str(tmp_path), lambda _: False).left_out("d")[0].text.english
    said, *remedies = left.removeprefix("left out ").split("; ")
    said, others = said.split(", 30 other files ")
    kinds = said.split(", ")
    assert others == f"({', '.join(f'3 .x{number}' for number in range(10))})"
    assert sorted(kinds) == ["1 .doc", "1 .eaf", "1 .lrc", "1 .md", "1 .pdf", "1 .ssa", "1 .textgrid", "1 .xml"]
    assert sorted(remedies) == [
        "convert .lrc to .srt in a subtitle editor, or rename it to .txt", "convert .xml (弹幕) to .ass or .csv",
        "export .eaf and .TextGrid as .srt", "rename .md to .txt", "rename .ssa to .ass", "save documents as .txt",
    ]  # fmt: skip


PATTERNS = ["*", "*.txt", "*/*.txt", "**", "**/*.txt", "d/**/*.txt", "d/*", "*/e/f.txt", "d/e/[fg].txt", "./*.txt", "d//*",
            ".*", "**/.*", ".h/*", "d/../*.txt", "l*/*", "**/e/*", "a.tx[t]", "no/*", "a.txt/*", "*/", "**/**/f.txt"]  # fmt: skip


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_globs_are_those_of_the_module_glob(tmp_path, monkeypatch, pattern, absolute):
    for name in ("a.txt", ".b.txt", ".h/c.txt", "d/e/f.txt", "d/e/g.txt", "d/h.csv", "other/i.txt"):
        given(tmp_path / name)
    (tmp_path / "linked").symlink_to("other")
    monkeypatch.chdir(tmp_path)
    pattern = f"{tmp_path}/{pattern}" if absolute else pattern
    found = folders.of_glob(pattern, lambda _: True)
    assert found.inputs() == sorted({hit for hit in glob.glob(pattern, recursive=True) if os.path.isfile(hit)})


def test_a_glob_goes_round_no_circle(tmp_path):
    given(tmp_path / "d" / "a.txt")
    for name in ("one", "two"):
        (tmp_path / "d" / name).symlink_to("..")
    assert resolve_inputs([f"{tmp_path}/**/*.txt"]) == [f"{tmp_path}/d/a.txt"]


def test_files_without_an_ending_are_named_and_endings_counted(tmp_path):
    for name in ("b", "a", "LICENSE", "README", *(f"a.x{number}" for number in range(25)), "a.txt"):
        given(tmp_path / name)
    left = folders.in_folder(str(tmp_path), lambda name: name.endswith(".txt")).left_out("d")[0].text.english
    named, others = left.split(", 21 other files ")
    assert named.count("1 .x") == 8 and others.startswith("(1 .x") and others.endswith(" …)")
    assert others.count("1 .x") == 12 and sum(f", {name}" in others for name in ("b", "a", "LICENSE", "README")) == 3


@pytest.mark.parametrize(
    ("ending", "remedy"),
    [
        (".xlsm", "as .xlsx"),
        (".ndjson", "rename .ndjson to .jsonl"),
        (".sbv", "convert .sbv to .srt"),
        (".ods", "as .xlsx"),
    ],
)
def test_files_of_usual_programs_say_how_they_are_had_read(tmp_path, ending, remedy):
    for name in (*(f"{copy}.x{number}" for number in range(9) for copy in range(2)), f"a{ending}", "a.txt"):
        given(tmp_path / name)
    notes = []
    resolve_inputs([str(tmp_path)], notes)
    assert f"left out 1 {ending}, " in str(notes[0]) and remedy in str(notes[0]).split("; ")[1]
