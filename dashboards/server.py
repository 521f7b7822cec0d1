"""Serves the application in the event loop of the caller, who alone handles signals."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from fastapi import FastAPI

from dashboards.web import Web
from gateway.errors import Permanent

log = logging.getLogger(__name__)


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


async def serve(app: FastAPI, host: str, port: int, ready: Callable[[str, int], None] | None = None) -> None:
    """Serve until cancelled, then end open streams and stop within about a second.

    port 0 takes a free one; `ready(host, port)` is called with the real one when connections are accepted.
    Raises Permanent when the address cannot be used.
    """
    config = uvicorn.Config(
        app, host, port, log_config=None, access_log=False, lifespan="on", server_header=False,
        timeout_graceful_shutdown=1, timeout_keep_alive=30, ws="none", proxy_headers=False,
    )  # fmt: skip
    server = _Server(config)
    task = asyncio.create_task(_run(server), name="web.server")
    waiting = asyncio.create_task(server.listening.wait(), name="web.listening")
    try:
        await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
        if not task.done() and ready is not None:
            ready(host, _port(server))
        await asyncio.shield(task)
    finally:
        waiting.cancel()
        web = app.state.web
        assert isinstance(web, Web)
        web.hub.close()
        server.should_exit = True
        await asyncio.wait([task, waiting])


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
