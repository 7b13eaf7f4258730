"""The listening socket: bound once, shared by all workers, closed without losing a connection."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import select
import socket
import struct
import time

from zhenyan.inference.errors import ConfigError

_BACKLOG = 2048
_SO_ATTACH_FILTER = 26
_PATIENCE = 10.0  # seconds that workers have to accept connections that had begun
# Classic BPF on the TCP header: drop a packet with SYN and without ACK, let all others pass.
_DROP_SYN = ((0x30, 0, 0, 13), (0x54, 0, 0, 0x12), (0x15, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))


class _Listener(socket.socket):
    """Keeps its backlog whatever a worker asks for: asyncio takes one number for this and for how much it accepts."""

    def listen(self, backlog: int = _BACKLOG, /) -> None:
        super().listen(_BACKLOG)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; ConfigError when the address is unknown or taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's delay (40 ms an answer) off only where the protocol number is given.
    listener = _Listener(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, TypeError, UnicodeError) as error:  # TypeError: the name can't be encoded
        listener.close()
        why = error.strerror if isinstance(error, OSError) else "not a host name"
        raise ConfigError(f"cannot listen on {host}:{port}: {why}; {_remedy(host, error)}") from None
    listener.listen()
    return listener


def _remedy(host: str, error: Exception) -> str:
    if host.count(":") == 1:
        return "the port goes into --port"
    taken = isinstance(error, OSError) and error.errno in (errno.EADDRINUSE, errno.EACCES)
    return "choose another --port" if taken else "name an address of this machine with --host"


def address(listener: socket.socket, scheme: str = "http") -> str:
    """Where it listens, as a URL."""
    host, port = listener.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def refuse_new(listener: socket.socket) -> None:
    """Let no new connection begin, then wait until the workers have accepted those that had.

    The kernel completes handshakes before anybody accepts: closing the socket at once would reset clients that have
    sent their request already. Dropped attempts are repeated by the client's kernel and refused once all is closed.
    """
    code = b"".join(struct.pack("HBBI", *step) for step in _DROP_SYN)
    buffer = ctypes.create_string_buffer(code)
    program = struct.pack("HL", len(_DROP_SYN), ctypes.addressof(buffer))
    with contextlib.suppress(OSError):  # not Linux: the window stays, a few milliseconds wide
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
    end, quiet = time.monotonic() + _PATIENCE, 0
    while quiet < 3 and time.monotonic() < end:
        quiet = 0 if select.select([listener], [], [], 0)[0] else quiet + 1
        time.sleep(0.01)
