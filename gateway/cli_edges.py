"""Commands to edges that run: joined to the command line by `gateway.cli`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway.app.runner import run_until_signalled

SiteArg = Annotated[Path, typer.Argument(metavar="SITE.yaml", help="the site file")]
DataOpt = Annotated[Path, typer.Option("--data", metavar="DIR", help="data directory")]
JsonOpt = Annotated[bool, typer.Option("--json", help="machine-readable output")]
BrokerOpt = Annotated[str, typer.Option(metavar="URL", help="mqtt://user:password@host:port")]
DATA = Path("data")


def add_commands(app: typer.Typer) -> None:
    """`reload` and `push`."""
    app.command(epilog="Examples: steward reload --data /var/lib/steward · steward reload site.yaml --json")(
        reload
    )
    app.command(epilog="Example: steward push site.yaml --gateway gw-2 --minutes 5")(push)


def reload(
    site: Annotated[
        Path | None, typer.Argument(metavar="[SITE.yaml]", help="must be the file that it runs with")
    ] = None,
    data: DataOpt = DATA,
    as_json: JsonOpt = False,
) -> None:
    """Let a running Steward, or a running edge, take up its changed site file.

    The file is checked first: one that is wrong changes nothing, exit code 2. Lines and devices that are the
    same go on without missing a poll; the core starts anew, and edges keep what they read meanwhile.
    """
    from gateway.app.reloading import reload_command

    sys.exit(run_until_signalled(reload_command(site, data, as_json=as_json)))


def push(
    site: SiteArg,
    gateway: Annotated[str, typer.Option(help="which edge; not needed for one")] = "",
    data: DataOpt = DATA,
    broker: BrokerOpt = "",
    minutes: Annotated[float, typer.Option(min=0.05, max=60, help="how long it is on trial")] = 2.0,
    as_json: JsonOpt = False,
) -> None:
    """Send an edge on another machine its part of the site file, over the bus.

    The edge checks it, tries it out, and keeps it only when its devices answer as before and this command has
    heard it; otherwise it goes back by itself. Exit code 0 when it was kept.
    """
    from gateway.app.pushing import Wish
    from gateway.app.pushing import push as push_to

    wish = Wish(site, gateway, data.absolute(), broker, minutes)
    sys.exit(run_until_signalled(push_to(wish, as_json=as_json)))
