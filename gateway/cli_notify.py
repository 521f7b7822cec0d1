"""`steward notify`: joined to the command line by `gateway.cli`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway.errors import BadInput

DATA = Path("data")


def add_notify(app: typer.Typer) -> None:
    """`notify`."""
    app.command(epilog="Example: steward notify test sms site.yaml --to 13800000001")(notify)


def notify(
    what: Annotated[str, typer.Argument(metavar="test", help="what to do")],
    channel: Annotated[str, typer.Argument(metavar="CHANNEL", help="its id in the site file")],
    site: Annotated[Path, typer.Argument(metavar="SITE.yaml", help="the site file")],
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="data directory")] = DATA,
    to: Annotated[str, typer.Option(help="number or address of one person")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="machine-readable output")] = False,
) -> None:
    """Send one test message over one channel and print its receipt, or why there is none.

    A siren is switched by the core alone: test it with `steward write`.
    """
    if what != "test":
        raise BadInput(f"there is no {what!r}", field="what", hint="steward notify test CHANNEL SITE.yaml")
    from gateway.app.channels import test_channel

    sys.exit(test_channel(site, channel, data, to, as_json=as_json))
