"""Public files over HTTP: whole ones arrive, those that are cut off are named and leave nothing."""

from __future__ import annotations

import errno
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from zhenyan.training import public

BODY = "好\t0\n".encode() * 1000


class Server(BaseHTTPRequestHandler):
    """/whole is served as it should be; /short and /chunks end too early."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Connection", "close")
        if self.path == "/chunks":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"400\r\n" + BODY[:100])
        else:
            self.send_header("Content-Length", str(len(BODY)))
            self.end_headers()
            self.wfile.write(BODY if self.path == "/whole" else BODY[:100])
        self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address():
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("path", "said"), [("short", "cut off after 100 of 6,000 bytes; fetch again"), ("chunks", "IncompleteRead.*--from")]
)
def test_a_cut_download_is_refused_even_without_a_digest(tmp_path, address, path, said, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    sources = [
        public.Source(name=f"{name}.tsv", local="", url=f"{address}/{name}", sha256=None) for name in ("whole", path)
    ]
    report = public.fetch(tmp_path, None, sources, lambda _: None)
    assert report.fetched == ["whole.tsv"] and (tmp_path / "whole.tsv").read_bytes() == BODY
    assert re.search(said, report.missing[f"{path}.tsv"])
    assert [found.name for found in tmp_path.iterdir()] == ["whole.tsv"]


@pytest.mark.parametrize(
    ("blocked", "said"),
    [
        ("copy/b.tsv", r"copy/b\.tsv: Permission denied"),
        ("cache/b.tsv", "Is a directory"),
        ("cache/b.tsv.part", "Is a directory"),
    ],
)
def test_a_copy_that_cant_be_made_is_named_and_the_others_are_fetched(tmp_path, monkeypatch, blocked, said):
    copy, cache = tmp_path / "copy", tmp_path / "cache"
    copy.mkdir()
    for name in ("a.tsv", "b.tsv", "c.tsv"):
        (copy / name).write_bytes(BODY)
    if blocked.startswith("cache"):
        (tmp_path / blocked).mkdir(parents=True)
    else:
        monkeypatch.setattr(public.shutil, "copyfile", unreadable(tmp_path / blocked, public.shutil.copyfile))
    sources = [public.Source(name=f"{n}.tsv", local=f"{n}.tsv", url="http://127.0.0.1:9/", sha256=None) for n in "abc"]
    report = public.fetch(cache, copy, sources, lambda _: None)
    assert report.fetched == ["a.tsv", "c.tsv"] and list(report.missing) == ["b.tsv"]
    assert re.search(rf"^b\.tsv: .*{said}; give room or rights, then fetch again", report.missing["b.tsv"])
    assert {path.name for path in cache.iterdir() if path.is_file()} == {"a.tsv", "c.tsv"}


def test_what_is_no_address_is_named_and_the_others_are_fetched(tmp_path, address):
    sources = [public.Source(name=f"{n}.tsv", local=f"{n}.tsv", url=url, sha256=None)
               for n, url in (("a", "notaurl"), ("b", f"{address}/whole"))]  # fmt: skip
    report = public.fetch(tmp_path / "cache", None, sources, lambda _: None)
    assert report.fetched == ["b.tsv"] and report.missing["a.tsv"].startswith("notaurl: unknown url type")


def test_a_full_disk_is_named_and_leaves_no_part(tmp_path, monkeypatch):
    def full(source, target):
        target.write_bytes(BODY[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "a.tsv").write_bytes(BODY)
    monkeypatch.setattr(public.shutil, "copyfile", full)
    source = public.Source(name="a.tsv", local="a.tsv", url="http://127.0.0.1:9/", sha256=None)
    report = public.fetch(tmp_path / "cache", tmp_path, [source], lambda _: None)
    assert re.search(r"^a\.tsv: .*a\.tsv\.part: No space left on device; give room", report.missing["a.tsv"])
    assert not list((tmp_path / "cache").iterdir())


def unreadable(path, copy):
    """`copy`, for which `path` can't be read (the tests may run as root, who reads everything)."""

    def copied(source, target):
        if source == path:
            raise PermissionError(errno.EACCES, "Permission denied", str(source))
        return copy(source, target)

    return copied
