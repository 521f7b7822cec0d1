"""`steward cert`, joined to the command line by `gateway.cli`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

DATA = Path("data")


def add_commands(app: typer.Typer) -> None:
    """`cert`."""
    app.command(epilog="Examples: steward cert make --name core.example.org · steward cert renew")(cert)


def cert(
    action: Annotated[str, typer.Argument(metavar="make|renew|show")],
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="data directory")] = DATA,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="HOST", help="host name or address of this machine; repeatable"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="machine-readable output")] = False,
) -> None:
    """Certificates of the installation's own for MQTT and the pages, in DIR/tls.

    `make` also makes the authority, once; `renew` makes new ones for the same names, which a running Steward
    takes at once and without a loss; `show` says how long they are good. Edges trust the file
    DIR/edges/GATEWAY.ca.pem, named there by STEWARD_CA.
    """
    from gateway.adapters.clock import SystemClock
    from gateway.app.cert import cert_command

    sys.exit(cert_command(action, data, name or [], SystemClock().now(), as_json=as_json))
