"""What is HTTP and what isn't, sent over a socket to the service's own server, in this process and without a model."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import SimpleNamespace

import pytest
import uvicorn
from zhenyan.inference.serve.app import create_app
from zhenyan.inference.serve.connections import Protocol, Server
from zhenyan.inference.serve.keys import KeyFile
from zhenyan.inference.serve.settings import Settings
from zhenyan.inference.serve.sockets import bind


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """Its address and a key."""
    file = tmp_path_factory.mktemp("service") / "keys.json"
    key = KeyFile(file).add("shop")
    app = create_app(Settings(keys=file), SimpleNamespace(bundle=SimpleNamespace(id="none", label_ids=("a",))))
    config = uvicorn.Config(app, log_config=None, lifespan="off", loop="asyncio", http=Protocol, ws="none")
    server, listener = Server(config, 30, 30), bind("127.0.0.1", 0)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    yield listener.getsockname(), key.encode()
    server.should_exit = True
    thread.join()


def head(key: bytes, *headers: bytes) -> bytes:
    """Of a request to classify; an empty `key` sends none."""
    own = [b"authorization: Bearer " + key] if key else []
    lines = [b"POST /v1/classify HTTP/1.1", b"host: x", b"content-type: application/json", *own, *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def answers(connection: socket.socket, until: bytes) -> bytes:
    """What comes until this is in it, or the connection is closed where it is b""; a reset counts as closed."""
    got = b""
    with contextlib.suppress(ConnectionResetError):
        while not (until and until in got) and (more := connection.recv(65_536)):
            got += more
    return got


def test_a_refusal_before_the_body_that_was_announced_ends_the_connection(service):
    """Nobody knows whether the body comes: what the client sent next was taken for it."""
    address, key = service
    waits = b"content-length: 2", b"expect: 100-continue"
    with socket.create_connection(address, 30) as connection:
        connection.sendall(head(b"", *waits))
        refused = answers(connection, b"")
    assert refused.startswith(b"HTTP/1.1 401 ") and b"\r\nconnection: close\r\n" in refused
    with socket.create_connection(address, 30) as connection:
        connection.sendall(head(key, *waits))
        assert answers(connection, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"{}" + head(key, b"content-length: 2") + b"[]")
        read = answers(connection, b"given a list of 0")
    assert read.count(b"HTTP/1.1 422 ") == 2 and b"connection: close" not in read


@pytest.mark.parametrize(("chunk", "number", "status"), [(1, 9_000, 422), (64, 12_000, 422), (1, 12_000, 400)])
def test_a_body_of_crumbs_is_none(service, chunk, number, status):
    """Two million chunks of a byte, which no key was needed to send, kept a worker from all others for many seconds."""
    address, key = service
    body = (b"%x\r\n%s\r\n" % (chunk, b" " * chunk)) * number + b"2\r\n{}\r\n0\r\n\r\n"
    with socket.create_connection(address, 30) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(head(key, b"transfer-encoding: chunked") + body)
        got = answers(connection, b"given an object" if status == 422 else b"")
    assert got.startswith(b"HTTP/1.1 %d " % status) or (status == 400 and not got)  # lost to a reset


def test_a_body_that_turns_out_broken_after_its_refusal_is_no_fault_of_the_service(service, caplog):
    """Its log had a traceback."""
    address, _ = service
    with socket.create_connection(address, 30) as connection:
        connection.sendall(head(b"", b"transfer-encoding: chunked") + b"1\r\n \r\n")
        assert b" 401 " in answers(connection, b"Bearer KEY")
        connection.sendall(b"no length\r\n")
        assert answers(connection, b"") == b""
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []
