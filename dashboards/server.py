"""Serves the application in the event loop of the caller, who alone handles signals."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from dashboards.web import Web
from gateway.errors import Permanent

log = logging.getLogger(__name__)

LOOK_S = 10.0


class _Server(uvicorn.Server):
    """uvicorn that leaves signals alone.

    Its own capture raises SIGTERM again after serving, and the `finally` of every other task of the process
    would be skipped.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Tells that connections are accepted."""
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Does nothing."""
        yield


async def serve(
    app: FastAPI,
    host: str,
    port: int,
    ready: Callable[[str, int], None] | None = None,
    cert: Path | None = None,
    look_s: float = LOOK_S,
) -> None:
    """Serve until cancelled, then end open streams and stop within about a second.

    port 0 takes a free one; `ready(host, port)` is called with the real one when connections are accepted ·
    cert: file with certificate and key, for HTTPS; looked at every `look_s` real seconds, and a new one
    counts for new connections. Raises Permanent when the address or the certificate cannot be used.
    """
    config = uvicorn.Config(
        app, host, port, log_config=None, access_log=False, lifespan="on", server_header=False,
        timeout_graceful_shutdown=1, timeout_keep_alive=30, ws="none", proxy_headers=False,
        ssl_certfile=cert,
    )  # fmt: skip
    server = _Server(config)
    try:
        config.load()
    except (OSError, ssl.SSLError) as e:
        raise Permanent(f"the certificate {cert} cannot be used: {e}; steward cert make") from e
    watch = asyncio.create_task(_watch_cert(config.ssl, cert, look_s), name="web.certificate")
    task = asyncio.create_task(_run(server), name="web.server")
    waiting = asyncio.create_task(server.listening.wait(), name="web.listening")
    try:
        await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
        if not task.done() and ready is not None:
            ready(host, _port(server))
        await asyncio.shield(task)
    finally:
        watch.cancel()
        waiting.cancel()
        web = app.state.web
        assert isinstance(web, Web)
        web.hub.close()
        server.should_exit = True
        await asyncio.wait([task, waiting, watch])


async def _watch_cert(context: ssl.SSLContext | None, cert: Path | None, look_s: float) -> None:
    """Take a renewed certificate into the context that new connections use."""
    if context is None or cert is None:
        return
    taken = await asyncio.to_thread(_written, cert)
    while True:
        await asyncio.sleep(look_s)
        now = await asyncio.to_thread(_written, cert)
        if now == taken:
            continue
        taken = now
        try:
            context.load_cert_chain(cert)
        except (OSError, ssl.SSLError) as e:
            log.warning(
                "certificate not taken file=%s cause=%r; the old one stays: steward cert renew", cert, str(e)
            )
        else:
            log.info("certificate taken file=%s", cert)


def _written(path: Path) -> int:
    """When the file was replaced, in the file system's own count; 0 when it is gone."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


async def _run(server: _Server) -> None:
    try:
        await server.serve()
    except SystemExit as e:  # uvicorn has logged the cause (address in use, no such host)
        raise Permanent(
            f"the pages cannot listen on {server.config.host}:{server.config.port}; "
            "choose another port, or stop what uses it"
        ) from e


def _port(server: Any) -> int:
    return int(server.servers[0].sockets[0].getsockname()[1])
