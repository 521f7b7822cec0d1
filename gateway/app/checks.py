"""Commands that look at files: check, profile, verify."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from rich.markup import escape

from alerts.matrix_proof import holes
from gateway.app.channels import channel_faults, secrets_missing
from gateway.app.dispatch import graph_of, matrix_of
from gateway.app.people import names_of, people_faults, roster_of, years
from gateway.app.policy import hole_faults
from gateway.app.setup import Setup, load_setup
from gateway.app.terminal import console, say, table
from gateway.edge.plan import plan
from gateway.errors import BadInput, Problems
from gateway.model import Ms
from gateway.ports import Block, DeviceModel


def check_site(path: Path, now: Ms, *, as_json: bool) -> int:
    """Everything that is wrong with a site file; 0 or 2. now: the week from then on must be covered."""
    try:
        setup = load_setup(path)
    except Problems as e:
        return tell_problems(e.problems, as_json=as_json)
    pairs = [(r, a) for a in setup.assets.values() for r in setup.rules if r.asset_kind == a.kind]
    wrong = [*people_faults(setup), *channel_faults(setup)]
    if wrong:
        return tell_problems(Problems(wrong).problems, as_json=as_json)
    roster = roster_of(setup, None, names_of(setup), years(setup))
    missing = hole_faults(setup.site, holes(matrix_of(setup), pairs, now, roster))
    if missing:
        return tell_problems(Problems(missing).problems, as_json=as_json)
    file = setup.site.file
    counts = {
        "estates": len(file.estates), "assets": len(file.assets), "gateways": len(file.gateways),
        "devices": len(setup.models), "points": len(setup.points), "rules": len(setup.rules),
        "matrix_pairs": len(pairs),
    }  # fmt: skip
    notes = _notes(setup)
    if as_json:
        say({"ok": True, **counts, "notes": notes})
        return 0
    out = console()
    told = ", ".join(f"{k} {v}" for k, v in counts.items() if k != "matrix_pairs")
    proof = f"all {len(pairs)} pairs of rule and asset have their duty"
    out.print(f"[bold]{escape(str(path))}[/bold]: good: {told}; {proof}")
    for note in notes:
        out.print(f"note: {escape(note)}")
    return 0


def _notes(setup: Setup) -> list[str]:
    """What is allowed and may still be a mistake."""
    read = {p.asset for p in setup.points.values()}
    silent = [a for a in setup.site.assets if a not in read]
    notes = [f"no device reads {', '.join(silent)}"] if silent else []
    lone = graph_of(setup).unsupplied()
    if lone:
        notes.append(f"nobody knows the supply of {', '.join(lone)}: name a power asset in depends_on")
    if not setup.site.file.channels:
        notes.append("no channels: nobody is told outside of the pages")
    notes += [f"channels: {name} is not set here; the core needs it" for name in secrets_missing(setup)]
    if not any(p.role == "admin" for p in setup.site.file.people):
        notes.append("no person with role admin: user admin is made at the first start")
    return notes


def tell_problems(problems: list[BadInput], *, as_json: bool) -> int:
    """All of them, as JSON on standard output or one line each on standard error; gives exit code 2."""
    if as_json:
        rows = [
            {"file": p.file, "line": p.line, "field": p.field, "message": p.message, "hint": p.hint}
            for p in problems
        ]
        say({"ok": False, "problems": rows})
    else:
        number = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        sys.stderr.write("".join(f"{p}\n" for p in problems) + number + "\n")
    return 2


def read_plan(model: DeviceModel) -> list[tuple[float, Block]]:
    """How the edge would read a device on TCP: (period in seconds, block)."""
    periods = [p.period_s for p in model.points]
    gap = 50 if model.max_gap is None else model.max_gap
    reads = plan(model.spans, periods, model.max_registers, gap, ())
    return [(r.period_s, r.block(1)) for r in reads]


def check_profile(file: Path, *, as_json: bool) -> int:
    """Validate, print the read plan, decode the cases; 1 when a case does not decode as it says."""
    from drivers.profiles.loader import load_profile
    from drivers.profiles.report import describe

    told = describe(load_profile(str(file), Path()), read_plan)
    if as_json:
        say({"ok": told.ok, **dataclasses.asdict(told)})
        return 0 if told.ok else 1
    out = console()
    out.print(f"[bold]{told.name}[/bold]  {told.title['zh']}  {told.title['en']}  ({told.tier})")
    out.print(f"[dim]{told.source}[/dim]")
    points = [
        (p.tag, p.place, p.type, p.unit, p.kind, f"{p.period_s:g} s", "life" if p.life else "", p.name["en"])
        for p in told.points
    ]
    table(out, "points", ("tag", "place", "type", "unit", "kind", "period", "", "name"), points)
    reads = [(f"{r.period_s:g} s", r.area, r.address, r.count, r.points, r.used) for r in told.reads]
    table(out, "read plan", ("period", "area", "address", "count", "points", "used"), reads)
    cases = [
        (c.case, c.tag, f"{c.value} {c.unit} {c.quality}", c.expected, "ok" if c.ok else "WRONG")
        for c in told.cases
    ]
    table(out, "worked cases", ("case", "tag", "decoded", "by hand", ""), cases)
    return 0 if told.ok else 1


def verify_log(data: Path, *, as_json: bool) -> int:
    """Walk every estate's chain; 1 when an entry was edited, deleted, moved or cut."""
    from gateway.adapters.state import open_state

    if not (data / "state.db").exists():
        raise BadInput(f"there is no state.db in {data}", field="--data", hint="give the data directory")
    state = open_state(data / "state.db")
    try:
        result = {e: state.verify(e) for e in state.estates()}
    finally:
        state.close()
    if as_json:
        say({"ok": not any(v is not None for v in result.values()), "first_bad": result})
    else:
        for estate, bad in result.items():
            sys.stdout.write(f"{estate}: {'sound' if bad is None else f'BAD from entry {bad} on'}\n")
        if not result:
            sys.stdout.write("no events yet\n")
    return 1 if any(v is not None for v in result.values()) else 0
