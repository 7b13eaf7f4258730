"""The digests by which a run and its cases know their inputs: SHA-256 of the bytes, of what lies elsewhere a token."""

import gzip
import zipfile
from hashlib import sha256

import fsspec
import pytest
from zhenyan.inference.errors import InputError
from zhenyan.inference.runs.inputs import describe_inputs

LINE = "家人们今天二号链接拍两盒发三盒\n".encode()


@pytest.fixture
def archive(tmp_path):
    """A zip of a whole member, a compressed one and one that is cut up."""
    path = tmp_path / "归档 一.zip"
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("整.txt", LINE)
        out.writestr("a.txt.gz", gzip.compress(LINE))
        out.writestr("坏.txt", LINE * 9)
    data = path.read_bytes()
    path.write_bytes(data.replace(LINE * 9, LINE * 8 + b"x" * len(LINE)))
    return path


def test_the_digest_is_of_the_bytes_as_they_lie_there(tmp_path, archive):
    (tmp_path / "a.txt").write_bytes(LINE)
    paths = [str(tmp_path / "a.txt"), f"zip://整.txt::{archive}", f"zip://a.txt.gz::{archive}"]
    *plain, packed = [item["sha256"] for item in describe_inputs(paths)]
    assert plain == [sha256(LINE).hexdigest()] * 2
    with zipfile.ZipFile(archive) as opened:
        assert packed == sha256(opened.read("a.txt.gz")).hexdigest()


def test_what_lies_elsewhere_is_known_by_its_token_without_being_fetched(monkeypatch):
    tokens = []
    for line in (LINE, LINE * 2):
        with fsspec.open("memory://digests/a.txt", "wb") as file:
            file.write(line)
        with monkeypatch.context() as closed:
            closed.setattr("fsspec.implementations.memory.MemoryFileSystem._open", None)  # calling it would raise
            tokens += [item["sha256"] for item in describe_inputs(["memory://digests/a.txt"])]
    assert len(set(tokens)) == 2 and None not in tokens


def test_what_can_be_read_of_a_damaged_member_is_read(tmp_path, archive, score):
    """Where it ends its reader says; without a digest it is no file that can't be read."""
    inputs = [f"zip://坏.txt::{archive}", f"zip://整.txt::{archive}"]
    assert [item["sha256"] for item in describe_inputs(inputs)] == [None, sha256(LINE).hexdigest()]
    assert not any("error" in item for item in describe_inputs(inputs))
    folder = score(inputs, tmp_path / "out.jsonl")
    assert folder.summary["rejects"] == 1 and "Bad CRC-32" in (folder.path / "rejects.jsonl").read_text("utf-8")


def test_a_member_that_is_not_there_is_said(archive):
    with pytest.raises(InputError, match=r"^zip://none\.txt::"):
        describe_inputs([f"zip://none.txt::{archive}"])
