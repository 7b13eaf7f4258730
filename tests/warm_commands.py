"""`zhenyan` less the seconds of its imports: a process that has imported everything forks one for each command.

Pages and notebooks give dozens of commands, and nine seconds of imports in each were most of what their tests took. A command is
still a process of its own, with the caller's folder, environment, standard streams (which have to be open) and exit status.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

HEAVY = ("matplotlib.backends.backend_agg", "mlflow.onnx", "onnxruntime", "scipy.stats", "transformers.trainer")
START = 120  # seconds for the imports


@contextlib.contextmanager
def commands(settings: dict[str, str]) -> Iterator[dict[str, str]]:
    """`settings` with a `zhenyan` first on PATH that a waiting process runs; it ends with the block."""
    with tempfile.TemporaryDirectory() as place:  # pytest's own folders are too deep for a socket's 107 bytes
        address, shim = Path(place) / "socket", Path(place) / "zhenyan"
        shim.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, "-S", __file__, "call", str(address)])} "$@"\n')
        shim.chmod(0o755)
        # Its standard input ends with this process, however that ends, and the server with it.
        server = subprocess.Popen(
            [sys.executable, __file__, "serve", str(address)], env=settings, stdin=subprocess.PIPE
        )
        try:
            _await(address, server)
            yield settings | {"PATH": f"{place}{os.pathsep}{settings['PATH']}"}
        finally:
            server.communicate(timeout=START)


def _await(address: Path, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START
    while not address.exists():
        assert server.poll() is None and time.monotonic() < end, "the process with the imports did not start"
        time.sleep(0.1)


def serve(address: str) -> None:
    """Import what commands import, then fork for each caller until standard input ends."""
    import gc
    import importlib
    import pkgutil

    import zhenyan.training

    for name in [module.name for module in pkgutil.iter_modules(zhenyan.training.__path__, "zhenyan.training.")]:
        if not name.endswith("__main__"):
            importlib.import_module(name)
    for name in HEAVY:
        importlib.import_module(name)
    gc.freeze()  # else each child goes through all that was imported when it ends, which takes longer than its work
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{address}.new")
    listener.listen()
    os.rename(f"{address}.new", address)  # there from the moment on that it answers
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # From Python 3.12 on; the threads of ONNX Runtime's logger hold nothing while this waits.
    warnings.filterwarnings("ignore", ".*multi-threaded, use of fork", DeprecationWarning)
    while 0 not in select.select([0, listener], [], [])[0]:
        caller, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            return _supervise(caller)
        caller.close()


def _supervise(caller: socket.socket) -> None:
    """Run the caller's command, tell its exit status; end it when the caller is gone."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    message, streams, _, _ = socket.recv_fds(caller, 8, 3)
    wanted = json.loads(caller.makefile("rb").read(int.from_bytes(message)))
    child = os.fork()
    if child == 0:
        return _run(streams, **wanted)
    for one in streams:
        os.close(one)
    ended = os.pidfd_open(child)
    if ended not in select.select([caller, ended], [], [])[0]:
        os.kill(child, signal.SIGTERM)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with contextlib.suppress(BrokenPipeError):
        caller.sendall((status if status >= 0 else 128 - status).to_bytes())
    os._exit(0)


def _run(streams: list[int], folder: str, environment: dict[str, str], arguments: list[str]) -> None:
    for number, one in enumerate(streams):
        os.dup2(one, number)
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w", 1, errors="backslashreplace")
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["zhenyan", *arguments]
    from zhenyan.inference.cli import main

    sys.exit(main())


def call(address: str, arguments: list[str]) -> int:
    """Have the waiting process run `zhenyan` with `arguments`; its exit status."""
    wanted = {"folder": os.getcwd(), "environment": dict(os.environ), "arguments": arguments}
    message = json.dumps(wanted).encode()
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(address)
        socket.send_fds(server, [len(message).to_bytes(8)], [0, 1, 2])
        server.sendall(message)
        return server.recv(1)[0]


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        sys.exit(call(sys.argv[2], sys.argv[3:]))
