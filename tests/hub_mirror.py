"""A local server that speaks the Hub's endpoints for folders named as Hub ids: what HF_ENDPOINT may point at."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "c" * 40


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Mirror

    def do_GET(self) -> None:
        """A file, or what the API says about a repository."""
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        self.server.asked.append((self.command, "/".join(parts)))
        if parts[:2] == ["api", "models"] and len(parts) >= 4:
            self._api(parts[2] + "/" + parts[3], parts[4:])
        elif len(parts) >= 5 and parts[2] == "resolve":
            self._file("/".join(parts[:2]), "/".join(parts[4:]))
        else:
            self._fail("EntryNotFound")

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _api(self, repository: str, rest: list[str]) -> None:
        folder = self.server.root / repository
        if not folder.is_dir():
            return self._fail("RepoNotFound", 401)
        files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        if rest[:1] == ["tree"]:
            if len(rest) > 2:  # a folder inside: none of these repositories has one
                return self._fail("EntryNotFound")
            known = [{"type": "file", "path": f, "size": (folder / f).stat().st_size, "oid": COMMIT} for f in files]
            return self._send(json.dumps(known).encode())
        if rest[:1] in ([], ["revision"]):
            described = {"id": repository, "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]}
            return self._send(json.dumps(described).encode())
        return self._fail("EntryNotFound")

    def _file(self, repository: str, name: str) -> None:
        if not (self.server.root / repository).is_dir():
            return self._fail("RepoNotFound", 401)
        path = self.server.root / repository / name
        if not path.is_file():
            return self._fail("EntryNotFound")
        content = path.read_bytes()
        return self._send(content, ETag=f'"{hashlib.sha256(content).hexdigest()}"')

    def _fail(self, code: str, status: int = 404) -> None:
        self._send(b"{}", status, **{"X-Error-Code": code})

    def _send(self, content: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), "X-Repo-Commit": COMMIT, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)


class Mirror(ThreadingHTTPServer):
    """Serves the repositories below `root`; `asked` lists method and path of every request."""

    daemon_threads = True

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.root = root
        self.asked: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        """Value for HF_ENDPOINT."""
        return f"http://127.0.0.1:{self.server_port}"


@contextlib.contextmanager
def mirror(root: Path) -> Iterator[Mirror]:
    """A running mirror."""
    with Mirror(root) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()
