"""Addresses that hold secrets, or names of others: a password or token is refused and not repeated, and a member's name leads nowhere."""

import re
import socket
import zipfile

import pytest
from zhenyan.inference.errors import InputError
from zhenyan.inference.io import reading, resolve_inputs

LINE = "喝这个茶三高就降下来了"


class System:
    """A filesystem of one file."""

    def __init__(self, file):
        self.file = file

    def find(self, path):
        """The file."""
        return [self.file]


@pytest.mark.parametrize(
    "address",
    [
        "http://alice:s3cr3t@host.example/x.txt",
        "zip://x.txt::ftp://alice:s3cr3t@host.example/a.zip",
        "zip://::ftp://alice:s3cr3t@host.example/a@b.zip",
        "ftp://:s3cr3t@h/x.txt",
        "ftp://alice:s::s3cr3t@h/x.txt",
        "ftp://alice:s3/cr3t@h/x.txt",
        "ftp://alice:s@s3cr3t@h/x.txt",
        "ftp://alice@corp.com:s3cr3t@h/x.txt",
        "sftp://alice@corp.com:s3cr3t@h/x.txt",
        "https://ghp_s3cr3t@h/x.txt",
        "simplecache::http://s3cr3t@h/x.txt",
    ],
)
def test_an_address_with_a_password_is_refused_and_not_repeated(address):
    with pytest.raises(InputError, match="password isn't read; give it by the environment") as error:
        resolve_inputs([address])
    assert not re.search("cr3t|alice", str(error.value))


@pytest.mark.parametrize(
    "address",
    [
        "http://h:8080/a@b.txt",
        "hdfs://h:8020/a@b.txt",
        "abfs://box@account/x.txt",
        "s3://b/a:b@c.txt",
        "hdfs://u@h:8020/a@b.txt",
    ],
)
def test_an_at_behind_a_port_or_in_a_path_is_no_password(monkeypatch, address):
    monkeypatch.setattr(reading, "filesystem", lambda name: (System(address), address))
    assert resolve_inputs([address]) == [address]


@pytest.mark.parametrize("end", ["::file:///{}/other.zip", "::ftp://127.0.0.1:{}/s.srt"])
def test_a_members_name_leads_nowhere_else(tmp_path, end):
    with socket.create_server(("127.0.0.1", 0)) as listener, zipfile.ZipFile(tmp_path / "other.zip", "w") as other:
        other.writestr("y.srt", "1\n00:00:01,000 --> 00:00:02,000\n" + LINE)
        end = end.format(str(tmp_path).lstrip("/") if "file" in end else listener.getsockname()[1])
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as out:
            out.writestr("x.txt", LINE)
            out.writestr(f"._z.srt{end}", LINE)
            out.writestr(f"z.srt{end}", LINE)
            out.writestr(f"y.srt{end}", "1\n00:00:01,000 --> 00:00:02,000\n" + LINE)
        notes = []
        assert resolve_inputs([f"zip://::{tmp_path}/a.zip"], notes) == [f"zip://x.txt::{tmp_path}/a.zip"]
        assert [*map(str, notes)] == [f"zip://::{tmp_path}/a.zip: left out 2 ::-names; rename what has :: in its name"]
        listener.settimeout(0.2)
        with pytest.raises(TimeoutError):
            listener.accept()
