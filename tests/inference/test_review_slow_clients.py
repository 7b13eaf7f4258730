"""The review page is there for others while clients send half of a request, or none."""

from __future__ import annotations

import multiprocessing
import socket
import urllib.request

import pytest
from review_helpers import make_site
from zhenyan.inference.review.web import server


@pytest.fixture
def port(tmp_path, monkeypatch):
    """Where a review listens that waits for three seconds."""
    monkeypatch.setattr(server, "_SLOW", 3.0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        free = listener.getsockname()[1]
    # A process, for uvicorn in a thread can't be told to end.
    process = multiprocessing.get_context("fork").Process(
        target=server.serve, args=(make_site(tmp_path), "127.0.0.1", free, None)
    )
    process.start()
    yield free
    process.terminate()
    process.join()


def opened(port: int) -> socket.socket:
    """A connection, once the page is there."""
    for _ in range(100):
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=10)
        except ConnectionRefusedError:
            multiprocessing.Event().wait(0.1)
    raise AssertionError("the page did not start")


@pytest.mark.parametrize(
    "half",
    [
        b"",
        b"GET /login HTTP/1.1\r\nHost: x\r\n",
        b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 20\r\n\r\nname=",
    ],
    ids=["nothing", "half a head", "half a form"],
)
def test_who_sends_half_of_a_request_is_left(port, half):
    with opened(port) as slow:
        slow.sendall(half)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/login", timeout=10) as answer:
            assert answer.status == 200
        assert slow.recv(100) == b""  # closed, or the time-out of the connection raises
