"""Addresses of inputs: what is found can be opened under the address it is given, and no password is kept."""

import gzip
import os
import re
import tarfile
import threading
import warnings
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.implementations.zip import ZipFileSystem
from zhenyan.inference.errors import InputError, Unavailable
from zhenyan.inference.io import Options, read_items, reading, resolve_inputs
from zhenyan.inference.runs.inputs import input_files

LINE = "喝这个茶三高就降下来了"


class System:
    """A filesystem of some files, such as a server has them."""

    def __init__(self, *files):
        self.files = files

    def find(self, path):
        """The file, or what lies below the folder."""
        return [name for name in self.files if name == path or name.startswith(path.rstrip("/") + "/")]

    def glob(self, path):
        """Files in the folder of the pattern."""
        return self.find(path.rsplit("/", 1)[0])


@pytest.mark.parametrize(
    ("address", "path", "found"),
    [
        ("hdfs://nn2:8020/archive/x.csv", "/archive/x.csv", ["hdfs://nn2:8020/archive/x.csv"]),
        ("hdfs://nn2:8020/archive/", "/archive", ["hdfs://nn2:8020/archive/x.csv", "hdfs://nn2:8020/archive/y/z.csv"]),
        ("hdfs://nn2:8020/archive/*.csv", "/archive/*.csv",
         ["hdfs://nn2:8020/archive/x.csv", "hdfs://nn2:8020/archive/y/z.csv"]),
        ("hdfs:///archive/y", "/archive/y", ["hdfs:///archive/y/z.csv"]),
        ("ftp://user@host/archive/y", "/archive/y", ["ftp://user@host/archive/y/z.csv"]),
        ("ftp://user@host", "", ["ftp://user@host/archive/x.csv", "ftp://user@host/archive/y/z.csv"]),
    ],
)  # fmt: skip
def test_an_address_keeps_its_host(monkeypatch, address, path, found):
    monkeypatch.setattr(reading, "filesystem", lambda name: (System("/archive/x.csv", "/archive/y/z.csv"), path))
    assert resolve_inputs([address]) == found


@pytest.fixture
def elsewhere():
    """The address of a folder on a filesystem that isn't this machine's, and a way to put files there."""
    import fsspec

    system = fsspec.filesystem("memory")

    def given(*names):
        for name in names:
            system.pipe(f"/elsewhere/{name}", LINE.encode())
        return "memory://elsewhere"

    yield given
    system.rm("/elsewhere", recursive=True)


def test_what_a_folder_elsewhere_holds_and_nobody_reads_is_noted(elsewhere):
    address = elsewhere("a.txt", "d/b.zip", "d/c.ZIP", "d/e.txt", "old.xls", "d/README", "~$f.xlsx", "Thumbs.db")
    elsewhere(".hidden", ".git/x.doc", "o.run/x.db", "d/o.run/parts/1.tmp")
    notes = []
    assert input_files([address], [], notes) == [f"{address}/a.txt", f"{address}/d/e.txt"]
    (note,) = map(str, notes)
    assert note.startswith(f"{address}: left out 2 .zip, ") and "1 .xls, " in note and "1 other file (README); " in note
    assert note.endswith("read a zip by zip://::FILE.zip; save .xls as .xlsx")
    assert sum(map(int, re.findall(r"\d+(?= \.?[a-z])", note))) == 4
    for quiet in (f"{address}/*", f"{address}/a.txt"):
        resolve_inputs([quiet], notes)
    assert len(notes) == 1


def test_a_folder_elsewhere_of_nothing_readable_says_what_it_holds(elsewhere):
    address = elsewhere("b.doc")
    with pytest.raises(InputError, match=r"no such file, folder or glob.*left out 1 \.doc; save documents as \.txt"):
        resolve_inputs([address])
    with pytest.raises(InputError, match=r"b\.doc: no such file[^;]*$"):  # it is named itself, nothing left it out
        resolve_inputs([f"{address}/b.doc"])


def test_what_a_web_server_lists_beside_its_files_is_none_left_out(monkeypatch):
    listed = System(*(f"http://host/d/{name}" for name in ("x.txt", "", "?C=M;O=A", "e/", "e/?C=N;O=D", "e/y.rar")))
    monkeypatch.setattr(reading, "filesystem", lambda name: (listed, name))
    notes = []
    assert resolve_inputs(["http://host/d"], notes) == ["http://host/d/x.txt"]
    assert [*map(str, notes)] == ["http://host/d: left out 1 .rar; unpack archives"]


def test_files_in_an_archive_are_found_and_read(tmp_path):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as out:
        for name in ("d/x.txt", "d/y.txt", "z.txt"):
            out.writestr(name, LINE)
    inside = [f"zip://{name}::{archive}" for name in ("d/x.txt", "d/y.txt", "z.txt")]
    assert resolve_inputs([f"zip://::{archive}"]) == inside
    assert resolve_inputs([f"zip://d::{archive}"]) == resolve_inputs([f"zip://d/*.txt::{archive}"]) == inside[:2]
    for name in inside:
        assert resolve_inputs([name]) == [name]
        (item,) = read_items(name, Options())
        assert item.text == LINE and item.record["stream"] == name.split("::")[0].rsplit("/", 1)[-1].removesuffix(
            ".txt"
        )


def test_an_at_in_an_archives_name_is_no_password(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile("主播@小杨.zip", "w") as out:
        out.writestr("a@b.txt", LINE)
    assert resolve_inputs(["zip://::主播@小杨.zip"]) == ["zip://a@b.txt::主播@小杨.zip"]
    (item,) = read_items("zip://a@b.txt::主播@小杨.zip", Options())
    assert item.record == {"text": LINE, "stream": "a@b"}


class Unmarked(zipfile.ZipInfo):
    """A member whose name has no mark of UTF-8, as old programs write GBK and macOS UTF-8."""

    encoding = "gbk"

    def _encodeFilenameFlags(self):
        return self.filename.encode(self.encoding), self.flag_bits & ~0x800


@pytest.mark.parametrize("encoding", ["gbk", "utf-8"])
def test_a_members_name_is_shown_as_it_was_written(tmp_path, encoding):
    archive, member = tmp_path / "w.zip", Unmarked("d/直播间一a.srt.gz")
    member.encoding = encoding
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr(member, gzip.compress(f"1\n00:00:01,000 --> 00:00:02,000\n{LINE}\n".encode()))
    (path,) = resolve_inputs([f"zip://::{archive}"])
    assert "直播间" not in path  # it is opened under the name that the archive gives it
    (item,) = read_items(path, Options())
    assert item.record["stream"] == "直播间一a"


@pytest.mark.parametrize("name", ["séance", "直播间一", "café", "Ñandú", "talk 1"])
def test_a_members_name_that_is_right_stays(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "w.zip", "w") as out:
        out.writestr(f"{name}.txt", LINE)
    (path,) = resolve_inputs([f"zip://::{tmp_path / 'w.zip'}"])
    (item,) = read_items(path, Options())
    assert item.record["stream"] == name


@pytest.mark.parametrize("name", ["", " "])
def test_an_empty_name_is_not_the_working_folder(tmp_path, monkeypatch, name):
    (tmp_path / "a.txt").write_text(LINE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="name is empty"):
        resolve_inputs([name])
    assert resolve_inputs(["."]) == ["a.txt"]


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("zip://a.txt::{}", "File is not a zip file; check that the address is whole"),
        ("github://a", "'org' and 'repo'; check that the address is whole"),
        ("http://", "check the address and what it names"),
        ("nothing://a", "is the fsspec filesystem for this address installed"),
    ],
)
def test_whatever_a_filesystem_raises_is_said_with_its_address(tmp_path, address, words):
    (tmp_path / "copy.csv").write_text("no archive", encoding="utf-8")
    address = address.format(tmp_path / "copy.csv")
    with pytest.raises(InputError) as error:
        resolve_inputs([address])
    assert str(error.value).startswith(f"{address}: ") and words in str(error.value)


def test_a_filesystem_that_fails_without_a_word_is_named(monkeypatch):
    class Silent(System):
        def find(self, path):
            raise KeyError

    monkeypatch.setattr(reading, "filesystem", lambda name: (Silent(), "x"))
    with pytest.raises(InputError, match="hdfs://x: KeyError; check the address"):
        resolve_inputs(["hdfs://x"])


@pytest.mark.parametrize(
    ("offset", "byte", "words"),
    [(60, 0xFF, "get the file again, or unpack it"), (6, 1, "password required.*unpack it and name it there")],
)
def test_a_damaged_or_locked_archive_is_said(tmp_path, offset, byte, words):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("x.txt", f"{LINE}\n" * 90)
    data = bytearray(archive.read_bytes())
    data[offset] = byte
    data[data.index(b"PK\1\2") + 8] |= byte == 1  # the flag of a password stands twice
    archive.write_bytes(data)
    with pytest.raises(InputError, match=words):
        list(read_items(f"zip://x.txt::{archive}", Options()))


def test_an_archive_is_opened_once_for_all_its_members_and_again_when_another_takes_its_place(tmp_path, monkeypatch):
    import fsspec

    opened, path, open_filesystem = [], tmp_path / "a.zip", fsspec.core.url_to_fs
    monkeypatch.setattr(fsspec.core, "url_to_fs", lambda address: opened.append(address) or open_filesystem(address))
    for said in (LINE, LINE + "了"):
        with zipfile.ZipFile(path, "w") as archive:
            for number in range(5):
                archive.writestr(f"d/{number}.txt", said)
        files = input_files([f"zip://::{path}"], [], [])
        assert [item.text for file in files for item in read_items(file, Options())] == [said] * 5
    assert len(opened) == 2


@pytest.mark.parametrize("place", ["{}", "file://{}", "local://{}", "~/x.zip", "memory://x.zip"])
def test_a_replaced_archive_is_read_anew_however_it_is_named(tmp_path, monkeypatch, place):
    import fsspec

    monkeypatch.setenv("HOME", str(tmp_path))
    place = place.format(tmp_path / "x.zip")
    for said in (LINE, LINE + "了"):
        with fsspec.open(place, "wb") as file, zipfile.ZipFile(file, "w") as archive:
            archive.writestr("a.txt", said)
        assert [item.text for item in read_items(f"zip://a.txt::{place}", Options())] == [said]
    system, path = fsspec.core.url_to_fs(place)
    system.rm(path)


def open_files(folder):
    """How many of a folder's files this process has open."""
    return sum(
        os.readlink(f"/proc/self/fd/{number}").startswith(str(folder))
        for number in os.listdir("/proc/self/fd")
        if os.path.lexists(f"/proc/self/fd/{number}")
    )


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="this system doesn't list open files")
def test_an_archive_is_closed_when_another_one_is_read(tmp_path):
    (tmp_path / "a.txt").write_text(LINE, encoding="utf-8")
    for number in range(3):
        with zipfile.ZipFile(tmp_path / f"{number}.zip", "w") as archive:
            archive.writestr("a.txt", LINE)
        with tarfile.open(tmp_path / f"{number}.tar", "w") as archive:
            archive.add(tmp_path / "a.txt", "a.txt")
        for scheme in ("zip", "tar"):
            address = f"{scheme}://a.txt::{tmp_path / str(number)}.{scheme}"
            assert [item.text for item in read_items(address, Options())] == [LINE]
            assert open_files(tmp_path) == 1


def test_two_threads_share_no_archive(tmp_path):
    """Each thread has the archive to itself: two would move each other's place in it."""
    from zhenyan.inference.io.opening import filesystem

    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.txt", LINE)
    systems = []
    for _ in range(2):
        thread = threading.Thread(target=lambda: systems.append(filesystem(f"zip://a.txt::{tmp_path / 'a.zip'}")[0]))
        thread.start()
        thread.join()
    assert systems[0] is not systems[1]


@pytest.fixture
def web(tmp_path):
    """The address of a web server that has one file, x.txt."""
    (tmp_path / "x.txt").write_text(LINE, encoding="utf-8")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=tmp_path))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_what_a_web_server_answers_is_told(web):
    pytest.importorskip("aiohttp")
    assert resolve_inputs([f"{web}/x.txt"]) == [f"{web}/x.txt"]
    with pytest.raises(InputError, match=r"/y\.txt: 404.*check the address"):
        resolve_inputs([f"{web}/y.txt"])


def test_a_web_server_that_nobody_runs_is_no_missing_file():
    pytest.importorskip("aiohttp")
    with pytest.raises(InputError, match=r"^http://127\.0\.0\.1:9/x\.txt: Cannot connect to host.*check the address"):
        resolve_inputs(["http://127.0.0.1:9/x.txt"])


@pytest.mark.parametrize(
    "address",
    [
        "http://h/x.txt?sig=s3cr3t",
        "HTTPS://h/x.txt?a",
        "https://h/x.txt?sig=s3cr3t::y",
        "https://h/x.txt?a=\nsig=s3cr3t",
        "zip://a.srt::https://h/x.zip?sig=s3cr3t",
    ],
)
def test_a_web_address_with_a_query_is_refused_and_not_repeated(address):
    """A signature would stand in the manifest, the output and the report; and ? was taken for a wildcard."""
    with pytest.raises(
        InputError, match=r"\?…: an address of the web with a query isn't read; fetch the file"
    ) as error:
        resolve_inputs([address])
    assert "s3cr3t" not in str(error.value)


def test_an_empty_folder_elsewhere_is_no_file(elsewhere):
    import fsspec

    system = fsspec.filesystem("memory")
    elsewhere("a.txt")
    system.mkdir("/elsewhere/empty.csv")
    with pytest.raises(InputError, match=r"empty\.csv: no such file, folder or glob with readable files"):
        resolve_inputs(["memory://elsewhere/empty.csv"])
    with pytest.raises(InputError, match=r"no\.csv: no such file or folder; check the address"):
        resolve_inputs(["memory://elsewhere/no.csv"])


def test_a_signature_that_a_redirect_led_to_is_not_repeated(monkeypatch):
    class Redirected(System):
        def find(self, path):
            raise FileNotFoundError(path) from ValueError("403, message='Forbidden', url='https://s/x?sig=s3cr3t'")

    monkeypatch.setattr(reading, "filesystem", lambda name: (Redirected(), "x"))
    with pytest.raises(InputError, match=r"403, message='Forbidden', url='https://s/x\?…; check") as error:
        resolve_inputs(["https://h/x.txt"])
    assert "s3cr3t" not in str(error.value)


def packed(path, *members):
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as file:
        warnings.simplefilter("ignore")  # of a name that is there already
        for name, text in members:
            file.writestr(name, text)
    return f"zip://::{path}"


def test_members_of_a_zip_that_cannot_be_named_are_told(tmp_path):
    address = packed(tmp_path / "a.zip", ("x.txt", "甲"), ("x.txt", "乙"), ("/abs.txt", "丙"), ("d/in.zip", "zip"))
    notes = []
    files = resolve_inputs([address], notes)
    assert [*map(str, notes)] == [
        f"{address}: left out 1 .zip; unpack a zip that lies in an archive first",
        f"{address}: 2 members are called x.txt, of which the last alone is read; unpack the others under other names",
    ]
    assert files == [f"zip:///abs.txt::{tmp_path}/a.zip", f"zip://x.txt::{tmp_path}/a.zip"]
    said = "a member whose name begins with / can't be read by its name; unpack it and name it there"
    with pytest.raises(InputError, match=f"^zip:///abs.txt::.*: {said}$"):
        list(read_items(files[0], Options()))
    assert [item.text for item in read_items(files[1], Options())] == ["乙"]


def test_a_member_that_a_zip_lacks_is_missing_whatever_fsspec_raises(tmp_path, monkeypatch):
    """fsspec before 2026.7 passes on the KeyError of Python's zipfile."""
    monkeypatch.setattr(ZipFileSystem, "_open", lambda self, path, **_: self.zip.open(path))
    address = packed(tmp_path / "a.zip", ("x.txt", "甲")).replace("zip://", "zip://y.txt")
    with pytest.raises(Unavailable, match=r"zip: No such file or directory$") as error:
        list(read_items(address, Options()))
    assert isinstance(error.value.__cause__, FileNotFoundError)


def test_what_is_no_zips_key_error_is_not_taken_for_a_missing_file(monkeypatch):
    def without_key(*_, **__):
        raise KeyError("token")

    monkeypatch.setattr(MemoryFileSystem, "_open", without_key)
    with pytest.raises(InputError, match=r"^memory://a\.txt: 'token'; get the file again"):
        list(read_items("memory://a.txt", Options()))
