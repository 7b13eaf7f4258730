"""Connections as uvicorn keeps them, and what HTTP asks of a server beyond that."""

from __future__ import annotations

import contextlib
import re
import struct
import time
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

_HEAD = 65_536  # bytes of a request's head at most
_SMALL = 64  # bytes under which a chunk is small; reading it takes as long as a large one
_SMALL_CHUNKS = 10_000  # small chunks of a body at most
_ADDRESS = re.compile(rb"https?://[^/?#]*", re.IGNORECASE)


class _Requests(h11.Connection):
    """Refuses a body of two lengths or of crumbs, and takes the path of a target that names scheme and host, too."""

    _small = 0  # small chunks of this request

    def next_event(self) -> Any:
        """The next event; RemoteProtocolError, which becomes a 400 and ends the connection, for what is no HTTP."""
        event = super().next_event()
        if isinstance(event, h11.Data):
            self._small += event.chunk_start and len(event.data) < _SMALL
            if self._small > _SMALL_CHUNKS:
                raise h11.RemoteProtocolError("too many small chunks")
        if not isinstance(event, h11.Request):
            return event
        self._small = 0
        if {b"content-length", b"transfer-encoding"} <= {name for name, _ in event.headers}:
            # A proxy before this may have read the other of the two, and what follows was a body to it (RFC 9112, 6.3).
            raise h11.RemoteProtocolError("content-length and transfer-encoding in one request")
        if (address := _ADDRESS.match(event.target)) is None:
            return event
        path = event.target[address.end() :]
        return h11.Request(
            method=event.method, headers=list(event.headers), http_version=event.http_version,
            target=path if path.startswith(b"/") else b"/" + path,
        )  # fmt: skip

    def send(self, event: Any) -> Any:
        """Bytes of an event. An answer in place of `100 Continue` ends the connection: the body may come or not (RFC 9110, 10.1.1)."""
        if isinstance(event, h11.Response) and self.they_are_waiting_for_100_continue:
            headers = [*event.headers, (b"connection", b"close")]
            event = h11.Response(status_code=event.status_code, headers=headers, reason=event.reason)
        return super().send(event)


class Protocol(H11Protocol):
    """uvicorn's, over `_Requests`."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.conn = _Requests(h11.SERVER, _HEAD)

    def send_400_response(self, msg: str) -> None:
        """Tell what is no HTTP so; where the answer has gone already, the rest of that request was at fault."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()


def unread(connection: Any) -> int:
    """Bytes of answers that the client hasn't taken, the kernel's share included; 0 where the kernel had room for them."""
    waiting: int = connection.transport.get_write_buffer_size()
    if waiting:
        with contextlib.suppress(OSError, ImportError):  # not Linux, or Windows: the kernel's share stays unknown
            import fcntl
            import termios

            sent = connection.transport.get_extra_info("socket").fileno()
            waiting += struct.unpack("i", fcntl.ioctl(sent, termios.TIOCOUTQ, bytes(4)))[0]
    return waiting


class Server(uvicorn.Server):
    """uvicorn that ends connections which bring no request, or whose clients don't take their answers."""

    def __init__(self, config: uvicorn.Config, idle_seconds: float, unread_seconds: float) -> None:
        super().__init__(config)
        self._idle_seconds, self._unread_seconds = idle_seconds, unread_seconds
        self._idle: dict[tuple[Any, Any], float] = {}
        self._unread: dict[Any, tuple[int, float]] = {}  # bytes of answers, and since when they haven't become fewer

    async def on_tick(self, counter: int) -> bool:
        if counter % 5 == 0:
            self._close_idle()
            self._abort_unread()
        return await super().on_tick(counter)

    def waits(self, connection: Any) -> bool:
        """Whether a request is to come: uvicorn's own timer of idleness starts with the first answer."""
        return connection.cycle is None or connection.cycle.response_complete

    def _close_idle(self) -> None:
        """Close connections that send no complete request head."""
        now = time.monotonic()
        connections: Any = self.server_state.connections
        idle = [(one, one.cycle) for one in connections if self.waits(one)]
        self._idle = {key: self._idle.get(key, now) for key in idle}
        for (connection, _), since in self._idle.items():
            if now - since > self._idle_seconds:
                connection.transport.close()

    def _abort_unread(self) -> None:
        """End connections of clients that don't read their answers: closing one would wait until they have."""
        now, stuck = time.monotonic(), {}
        for connection in self.server_state.connections:
            if waiting := unread(connection):
                before, since = self._unread.get(connection, (waiting, now))
                stuck[connection] = waiting, now if waiting < before else since
                if now - stuck[connection][1] > self._unread_seconds:
                    connection.transport.abort()
        self._unread = stuck
