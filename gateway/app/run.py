"""`steward run`: everything of a site file on this machine."""

from __future__ import annotations

import asyncio
from pathlib import Path

from rich.console import Console

from gateway.adapters.tls import LOCAL
from gateway.app.context import ClockOrigin
from gateway.app.exposure import refuse_plain
from gateway.app.guard import refuse_second
from gateway.app.reload_station import reload_station
from gateway.app.reloading import ALL, serve_reloads
from gateway.app.setup import Setup
from gateway.app.supervise import Options, Station, station


async def run_all(setup: Setup, data: Path, port: int | None, *, lan: bool) -> int:
    """Until SIGINT or SIGTERM. Prints the address, and the first admin password once."""
    await asyncio.to_thread(refuse_second, data)
    console = Console(highlight=False, soft_wrap=True)
    host = "0.0.0.0" if lan else ""  # noqa: S104 - only when asked for
    options = Options(await asyncio.to_thread(data.absolute), port, host, lan=lan)
    refuse_plain(
        setup.site, options.data, web_host=host or setup.site.file.web.host, broker_host=host or LOCAL[0]
    )
    async with station(setup, options, ClockOrigin.here(1.0)) as here:
        await asyncio.to_thread(announce, here, console)
        await serve_reloads(options.data, ALL, setup.site.path, lambda: reload_station(here))
    return 0


def announce(here: Station, console: Console) -> None:
    """Address and, on the first start, the admin's password; it is not kept in clear text."""
    console.print(f"[bold]Steward[/bold] {here.setup.site.file.site.id}: {here.url}/")
    if here.places.admin.exists():
        password = here.places.admin.read_text(encoding="utf-8")
        here.places.admin.unlink()
        console.print(f"first start: user [bold]admin[/bold], password [bold]{password}[/bold] (shown once)")
