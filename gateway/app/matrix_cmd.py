"""`steward matrix export | check | import`: the responsibility matrix as a spreadsheet."""

from __future__ import annotations

import asyncio
import secrets
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from alerts.bands import Week
from alerts.matrix import Matrix
from alerts.matrix_csv import difference, export_matrix, import_matrix
from alerts.matrix_proof import holes, lost
from gateway.app.asking import Person, asked, connected
from gateway.app.checks import tell_problems
from gateway.app.settings import hole_rows
from gateway.app.setup import load_setup
from gateway.app.terminal import say
from gateway.errors import BadInput, Problems
from gateway.model import Ms


def export(site: Path, out: Path | None, language: str) -> int:
    """The rows of a site file under the shipped ones, to a file or to standard output."""
    if language not in ("zh", "en"):
        raise BadInput(f"{language!r} is no language", field="--lang", hint="zh or en")
    setup = load_setup(site)
    text = export_matrix(setup.matrix, setup.site.timezone, language)
    if out is None:
        sys.stdout.write(text)
    else:
        out.write_text(text, encoding="utf-8", newline="")
    return 0


def check(sheet: Path, site: Path, now: Ms, *, as_json: bool) -> int:
    """Every problem of a spreadsheet with row and column, and what it would change; 0 or 2."""
    setup = load_setup(site)
    zone = setup.site.timezone
    try:
        rows, read = import_matrix(_text(sheet), sheet.name, setup.roles, zone)
        cities = {e.id: e.city for e in setup.site.file.estates}
        matrix = Matrix(rows, setup.roles, cities=cities, week=Week(zone))
        pairs = [(r, a) for a in setup.assets.values() for r in setup.rules if r.asset_kind == a.kind]
    except Problems as e:
        return tell_problems(e.problems, as_json=as_json)
    found = hole_rows([*holes(matrix, pairs, now), *lost(matrix, setup.matrix)], read)
    if found:
        return tell_problems(Problems(found).problems, as_json=as_json)
    change = difference(setup.matrix, [replace(r) for r in rows])
    if as_json:
        say({"ok": True, "rows": len(rows), "pairs": len(pairs), "difference": change})
    else:
        sys.stdout.write(f"{sheet.name}: good: {len(rows)} rows, all {len(pairs)} pairs have their duty\n")
        sys.stdout.write(shown(change))
    return 0


async def send(person: Person, sheet: Path, estate: str, reason: str, *, dry_run: bool, as_json: bool) -> int:
    """Hand the spreadsheet to a Steward that runs; 0 when it holds from now on, 2 when it is refused."""
    text = await asyncio.to_thread(_text, sheet)
    client = await connected(person)
    body = {"text": text, "file": sheet.name, "reason": reason, "estate": estate, "dry_run": dry_run}
    answer = await asked(client, "/api/v1/matrix/import", body, secrets.token_hex(12))
    if as_json:
        say({"ok": True, **answer})
        return 0
    edition = answer.get("edition", "")
    sys.stdout.write(f"edition {edition}\n" if edition else "dry run: nothing is changed\n")
    sys.stdout.write(shown(answer["difference"]))
    return 0


def shown(change: dict[str, list[Any]]) -> str:
    """One line for each thing that differs."""
    lines = [f"+ {i}" for i in change["added"]] + [f"- {i}" for i in change["removed"]]
    lines += [f"~ {c['id']}.{c['field']}: {c['before']!r} → {c['after']!r}" for c in change["changed"]]
    return "".join(f"{line}\n" for line in lines or ["no difference"])


def _text(sheet: Path) -> str:
    try:
        return sheet.read_bytes().decode("utf-8")
    except OSError as e:
        raise BadInput(f"cannot be read: {e.strerror}", file=str(sheet), line=1) from e
    except UnicodeDecodeError as e:
        raise BadInput("is not UTF-8", file=str(sheet), line=1, hint="save it as CSV UTF-8") from e
