"""Serving one review site with uvicorn."""

from __future__ import annotations

import ipaddress

import typer
import uvicorn
from zhenyan.inference.errors import ConfigError
from zhenyan.inference.review.web.app import create_app
from zhenyan.inference.review.web.site import Site
from zhenyan.inference.serve.sockets import address, bind

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


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
        config = uvicorn.Config(
            create_app(site), log_level="warning", server_header=False,
            proxy_headers=proxy is not None, forwarded_allow_ips=proxy or "",
        )  # fmt: skip
        uvicorn.Server(config).run(sockets=[listener])


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
