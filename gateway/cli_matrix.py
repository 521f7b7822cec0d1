"""The responsibility matrix: joined to the command line by `gateway.cli`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway.app.runner import run_until_signalled
from gateway.cli_edges import DATA, DataOpt, JsonOpt, UrlOpt, UserOpt
from gateway.errors import BadInput


def add_matrix(app: typer.Typer) -> None:
    """`matrix`."""
    app.command(
        epilog="Examples: steward matrix export site.yaml --out matrix.csv · steward matrix check matrix.csv"
        " --site site.yaml · steward matrix import matrix.csv --user zhao --reason 'new contract' --dry-run"
    )(matrix)


def matrix(
    action: Annotated[str, typer.Argument(metavar="export|check|import")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="export: the site file; else the CSV")],
    site: Annotated[
        Path | None,
        typer.Option(metavar="SITE.yaml", help="with check: whose rules and assets"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="with export: where to; else standard output")
    ] = None,
    lang: Annotated[str, typer.Option(metavar="zh|en", help="with export: language of the headers")] = "zh",
    reason: Annotated[str, typer.Option(help="with import: why; stands in the event log")] = "",
    estate: Annotated[str, typer.Option(help="with import: replace the rows of this estate alone")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="with import: only show the difference")] = False,
    data: DataOpt = DATA,
    user: UserOpt = "",
    url: UrlOpt = "",
    as_json: JsonOpt = False,
) -> None:
    """The responsibility matrix as a spreadsheet: out of a site file, checked, into a running Steward.

    Every problem is named with file, row and column, exit code 2; then what held before holds on. `import`
    asks the running pages, as --user; the password: STEWARD_PASSWORD.
    """
    from gateway.app import matrix_cmd

    if action == "export":
        sys.exit(matrix_cmd.export(file, out, lang))
    if action == "check":
        from gateway.adapters.clock import SystemClock

        if site is None:
            raise BadInput(
                "is missing", field="--site", hint="steward matrix check matrix.csv --site site.yaml"
            )
        sys.exit(matrix_cmd.check(file, site, SystemClock().now(), as_json=as_json))
    if action == "import":
        from gateway.app.asking import Person

        sent = matrix_cmd.send(
            Person(data, url, user), file, estate, reason, dry_run=dry_run, as_json=as_json
        )
        sys.exit(run_until_signalled(sent))
    raise BadInput(f"{action!r} is nothing to do", field="action", hint="export, check or import")
