"""`steward dossier`, joined to the command line by `gateway.cli`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import orjson
import typer


def add_commands(app: typer.Typer) -> None:
    """`dossier`."""
    app.command(epilog="Example: steward dossier verify case-1f0c9d2e3a4b.zip --key 3b6a…")(dossier)


def dossier(
    action: Annotated[str, typer.Argument(metavar="verify", help="check a dossier")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="the zip as it was made")],
    key: Annotated[
        str, typer.Option("--key", metavar="HEX", help="public key that must have signed it")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="machine-readable output")] = False,
) -> None:
    """Check a dossier without a network: every hash, and the signature.

    Exit code 0 when all is as it was signed, 1 when something was changed, 2 for a file that is no dossier.
    Without --key the signature proves that nothing was changed since, not who signed: compare the key.
    """
    from gateway.adapters.dossier import verify
    from gateway.app.terminal import console
    from gateway.errors import BadInput

    if action != "verify":
        raise BadInput(f"there is no action {action!r}", field="action", hint="verify")
    found = verify(file, key)
    if as_json:
        sys.stdout.write(orjson.dumps(asdict(found)).decode() + "\n")
    else:
        out = console()
        out.print(f"case {found.case}, {found.files} files, key {found.key}")
        out.print(f"missing: {', '.join(found.missing)}" if found.missing else "nothing is missing")
        for fault in found.faults:
            out.print(f"[bold]wrong:[/bold] {fault}")
        out.print("NOT as it was signed" if found.faults else "all as it was signed")
    sys.exit(1 if found.faults else 0)
