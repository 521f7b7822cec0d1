"""`steward demo --lan`: a certificate for this machine's address, and QR codes that a phone can scan."""

from __future__ import annotations

import io
import ipaddress
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import segno
from rich.console import Console

from gateway.adapters import tls_authority as authority
from gateway.adapters.tls import TlsPlaces
from gateway.app.client import Client
from gateway.errors import Forbidden, Retryable, WorkFailed
from gateway.model import Ms

PROBE = ("192.0.2.1", 9)
"""An address of the block for documentation (RFC 5737); nothing is sent to it."""
HOURS, WAITING = 8, 50
DARK = "bright_white on black"
"""The code's light modules are drawn in the foreground."""


def lan_address() -> str:
    """The IPv4 address by which this machine reaches its network. Raises WorkFailed when there is none."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.connect(PROBE)
            found = str(s.getsockname()[0])
    except OSError:
        found = ""
    if not found or ipaddress.ip_address(found).is_loopback:
        raise WorkFailed("this machine has no address in a network; connect it, or leave --lan out")
    return found


def certify(data: Path, address: str, now: Ms) -> None:
    """Certificates of the installation's own authority for this address; the authority stays the same."""
    authority.make(TlsPlaces(data), [address], now)


def qr(text: str) -> str:
    """A QR code as lines of half blocks; to be shown light on dark."""
    out = io.StringIO()
    segno.make(text, error="l", micro=False).terminal(out=out, border=2, compact=True)
    return out.getvalue()


class PhoneCodes:
    """Tells how a phone comes in: the technician's page at once, the first job as soon as there is one."""

    def __init__(
        self, url: str, address: str, console: Console, taken: Callable[[dict[str, Any]], bool]
    ) -> None:
        """url: where the pages listen, with the port · taken: orders that somebody else will work on."""
        parts = urlsplit(url)
        self.base = f"{parts.scheme}://{address}:{parts.port}"
        self._console, self._taken, self._told = console, taken, False

    def warn(self) -> None:
        """That others are let in, where, and how a phone learns to trust the pages."""
        say = partial(self._console.print, soft_wrap=True)
        say("[bold red]--lan: 本机以外也能访问 · this leaves 127.0.0.1[/bold red]")
        say(f"  同一网络中的任何人都能打开 · everybody in this network can open  [bold]{self.base}[/bold]")
        say(f"  手机信任证书 · let the phone trust it (else it warns):  {self.base}/ca.crt")
        say(f"  技术员任务页 · the technician's page:  {self.base}/t")
        say(qr(f"{self.base}/t"), highlight=False, markup=False, style=DARK)

    def follow(self, client: Client) -> None:
        """Once: a one-time link for the most urgent order that waits, as a QR code. Blocking."""
        if self._told:
            return
        try:
            waiting = client.get("/api/v1/orders", open="true", state="DISPATCHED", limit=WAITING)["orders"]
            order: dict[str, Any] | None = next((o for o in waiting if not self._taken(o)), None)
            if order is None:
                return
            body = {"name": "Demo", "firm": "Steward", "hours": HOURS}
            path = client.post(f"/api/v1/orders/{order['id']}/links", body)["path"]
        except (Retryable, Forbidden):
            return  # the core is away for a moment, or the order is: next time
        self._told = True
        title = order["title"]
        told = f"[bold]扫码处理 · scan to work on it:[/bold] {title['zh']} · {title['en']}"
        self._console.print(told, soft_wrap=True)
        self._console.print(f"  {self.base}{path}", highlight=False, soft_wrap=True)
        self._console.print(qr(f"{self.base}{path}"), highlight=False, markup=False, style=DARK)
