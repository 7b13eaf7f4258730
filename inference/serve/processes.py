"""Child processes that keep their parent's signals and errors in order."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from zhenyan.inference.errors import ZhenyanError

log = logging.getLogger("zhenyan.serve")

_SENT_WHEN: dict[int, str] = {
    signal.SIGBUS: "is the disk of TMPDIR full, where the metrics are kept?",
    signal.SIGKILL: "killed by hand, or because memory ran out",
}


_parent = os.getppid()  # of this process, as it was forked: when it is another the parent has ended


def orphaned() -> bool:
    """Whether the process that forked this one is gone, also when it went before anybody asked."""
    return os.getppid() != _parent


def _leave(*_: object) -> None:
    raise SystemExit(0)


def fork(body: Callable[..., None], *arguments: Any) -> int:
    """Run `body` in a child process that ends when it returns; SIGTERM ends it at any moment until `body` takes over.

    SIGTERM is held back while forking: a handler inherited from the parent must never run in the child.
    OSError when there is no room for another process.
    """
    global _parent
    child, own = None, os.getpid()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        child = os.fork()
    finally:
        if child != 0:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    if child:
        return child
    _parent, code = own, 1
    try:
        signal.signal(signal.SIGTERM, _leave)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the supervisor decides
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        body(*arguments)
        code = 0
    except ZhenyanError as error:
        log.critical(str(error))
        code = 2
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException as fault:
        log.critical("a process of the service failed", exc_info=fault)
    finally:
        try:
            with contextlib.suppress(Exception):  # nobody reads it any more, or its disk is full
                sys.stderr.flush()
        finally:
            os._exit(code)  # always, or the child would go on as its parent


def ended(child: int = -1) -> tuple[int, str]:
    """Process id of a child that has ended (any, by default) and how it did; 0 and nothing where none has."""
    try:
        dead, status = os.waitpid(child, os.WNOHANG)
    except ChildProcessError:
        return 0, ""
    return (dead, _told(os.waitstatus_to_exitcode(status))) if dead else (0, "")


def _told(code: int) -> str:
    """An exit code in words; of a signal, which leaves no other trace, also what usually sends it."""
    if code >= 0:
        return f"exit status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:  # real-time signals have no names
        name = f"signal {-code}"
    return name + (f" ({_SENT_WHEN[-code]})" if -code in _SENT_WHEN else "")
