"""What comes on an edge's `cmd` topic, each to the one whose business it is."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Protocol

from gateway.edge.config import EdgeConfig
from gateway.edge.sender import SIGNED, Sender
from gateway.edge.stage_push import Pushes
from gateway.edge.tracing import trace
from gateway.edge.writes import Writes

log = logging.getLogger(__name__)


class Host(Protocol):
    """The edge, as far as commands need it."""

    @property
    def config(self) -> EdgeConfig:
        """What holds now."""

    async def stop_polling(self) -> None:
        """Stop reading."""

    async def send_table(self, tab: str) -> bool:
        """Publish a point table again; False when there is none of this name."""

    def resend(self) -> None:
        """Send again what has no receipt, and every value with the next reading."""

    def retry(self, device: str | None) -> bool:
        """Ask a silent device, or all of them, at once; False when there is none of this name."""

    def reply(self, command: Mapping[str, Any], *, ok: bool, **facts: Any) -> None:
        """Answer a command."""


class Commands:
    """Called within the edge's tick. pushes None: this edge takes no configuration over the bus."""

    def __init__(self, host: Host, sender: Sender, writes: Writes, pushes: Pushes | None) -> None:
        self._host, self._sender, self._writes, self._pushes = host, sender, writes, pushes

    async def obey(self, body: dict[str, Any]) -> None:
        """Whatever is wrong with a command, the edge goes on reading."""
        try:
            if body.get("cmd") not in SIGNED or self._sender.admits(body, self._host.reply):
                await self._carry_out(body)
        except Exception:
            log.exception("command failed cmd=%.40r; report this", body.get("cmd"))

    async def _carry_out(self, body: dict[str, Any]) -> None:
        name, host = body.get("cmd"), self._host
        if name == "stop_polling":
            await host.stop_polling()
            host.reply(body, ok=True)
        elif name == "table":
            host.reply(body, ok=await host.send_table(str(body.get("tab"))))
        elif name == "resend":
            host.resend()
            host.reply(body, ok=True)
        elif name == "retry":
            device = body.get("device")
            found = host.retry(device)
            why = {} if found else {"code": "no_device", "error": f"there is no device {device!r:.60}"}
            host.reply(body, ok=found, **why)
        elif name == "trace":
            host.reply(body, **trace(host.config.lines, body))
        elif name == "write":
            self._writes.command(body)
        elif name == "config" and self._pushes is not None:
            self._pushes.config(body)
        elif name == "confirm" and self._pushes is not None:
            self._pushes.confirm(body)
        else:
            host.reply(body, ok=False, error=f"unknown command {name!r:.40}")
