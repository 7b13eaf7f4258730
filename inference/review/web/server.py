"""Serving one review site with uvicorn."""

from __future__ import annotations

import socket
import sys

import uvicorn
from zhenyan.inference.errors import ConfigError
from zhenyan.inference.review.web.app import create_app
from zhenyan.inference.review.web.site import Site

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; ConfigError when the address can't be had."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror or error}; choose another --port") from None


def serve(site: Site, host: str, port: int, proxy: str | None) -> None:
    """Serve until interrupted. Forwarded headers are believed only from `proxy`."""
    with listen(host, port) as listener:
        scheme = "https" if site.settings.https else "http"
        address = f"[{host}]" if ":" in host else host
        print(f"reviewing {site.run.name}: {scheme}://{address}:{listener.getsockname()[1]}", flush=True)
        if not (site.settings.https or host in _LOOPBACK):
            print("note: passwords travel unencrypted; put an https proxy before it and give --https --proxy ADDRESS",
                  file=sys.stderr)  # fmt: skip
        config = uvicorn.Config(
            create_app(site), log_level="warning", server_header=False,
            proxy_headers=proxy is not None, forwarded_allow_ips=proxy or "",
        )  # fmt: skip
        uvicorn.Server(config).run(sockets=[listener])
