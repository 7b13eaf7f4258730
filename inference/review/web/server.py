"""Serving one review site with uvicorn."""

from __future__ import annotations

import ipaddress
from typing import Any

import typer
import uvicorn
from zhenyan.inference.errors import ConfigError
from zhenyan.inference.review.web.app import create_app
from zhenyan.inference.review.web.site import Site
from zhenyan.inference.serve.connections import Protocol, Server
from zhenyan.inference.serve.sockets import address, bind

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_SLOW = 20.0  # seconds in which a form has to come, and an answer has to be taken further


def serve(site: Site, host: str, port: int, proxy: str | None) -> None:
    """Serve until interrupted. Forwarded headers are believed only from `proxy`."""
    if proxy is not None:
        _check_proxy(proxy)
    with bind(host, port) as listener:
        site.memory.refresh()  # with many decisions this takes seconds, which no reviewer's request should
        scheme = "https" if site.settings.https else "http"
        typer.echo(f"reviewing {site.run.name}: {address(listener, scheme)}")
        if not (site.settings.https or host in _LOOPBACK):
            note = "note: passwords travel unencrypted; put an https proxy before it and give --https --proxy ADDRESS"
            typer.echo(note, err=True)
        # Of a backlog asyncio would log each connection that it has no handle for, thousands a second.
        config = uvicorn.Config(
            create_app(site), log_level="warning", server_header=False, http=Protocol, ws="none", backlog=1,
            proxy_headers=proxy is not None, forwarded_allow_ips=proxy or "",
        )  # fmt: skip
        _Server(config, idle_seconds=_SLOW, unread_seconds=_SLOW).run(sockets=[listener])


class _Server(Server):
    """Waits for the whole of a request: a form is small, and who sends half of one takes a handle from the others."""

    def waits(self, connection: Any) -> bool:
        return super().waits(connection) or connection.cycle.more_body


def _check_proxy(given: str) -> None:
    """ConfigError for what no request comes from, such as a name: all reviewers would count as one address."""
    if given == "*":
        return
    for one in [part for part in map(str.strip, given.split(",")) if part] or [""]:
        try:
            ipaddress.ip_network(one)
        except ValueError as error:
            raise ConfigError(
                f"--proxy {one}: {error}; expected IP addresses or networks, such as 10.0.0.5 or 10.0.0.0/24, or * alone"
            ) from None
