"""Public files over HTTP: whole ones arrive, those that are cut off are named and leave nothing."""

from __future__ import annotations

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
