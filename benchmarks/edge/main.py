"""The command line of the comparison, for `steward bench edge` and `python -m benchmarks.edge`."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from benchmarks.edge import report
from benchmarks.edge.cases import CASES, MIX, Bench, Plan, Results
from benchmarks.edge.clients import CLIENTS, STEWARD
from benchmarks.edge.truth import Faults
from gateway.app.terminal import say
from gateway.errors import BadInput


def plan_of(
    devices: int = 200, seconds: float = 20.0, peers: str = "all", faults: str = "10,5,5", cases: str = "all"
) -> Plan:
    """Raises BadInput for names that nobody has."""
    try:
        broken = Faults.parse(faults)
    except ValueError as e:
        raise BadInput(str(e), field="--faults") from e
    others = [name for name in CLIENTS if name != STEWARD.name]
    clients = [STEWARD.name, *_chosen(peers, others, "--peers")]
    return Plan(devices, seconds, clients, _chosen(cases, CASES, "--cases"), broken)


def _chosen(text: str, known: Sequence[str], field: str) -> list[str]:
    if text == "all":
        return list(known)
    names = [name for name in text.split(",") if name and name != "none"]
    for name in names:
        if name not in known:
            raise BadInput(f"there is no {name!r}", field=field, hint=f"all, none, or of {', '.join(known)}")
    return names


def run(plan: Plan, *, write: bool = False, as_json: bool = False) -> dict[str, Any]:
    """Measure, print, and put the section into docs/benchmarks.md."""
    console = Console(stderr=as_json, highlight=False)
    results = Bench(plan, console.print).run()
    if write:
        report.write(report.markdown(results, _command(plan)))
    if as_json:
        say(report.as_dict(results))
    else:
        _show(results, console)
    return report.as_dict(results)


def _command(plan: Plan) -> str:
    given = {"--devices": str(plan.devices), "--seconds": f"{plan.seconds:g}"}
    others = [c for c in plan.clients if c != STEWARD.name]
    if len(others) + 1 != len(CLIENTS):
        given["--peers"] = ",".join(others) or "none"
    if tuple(plan.cases) != CASES:
        given["--cases"] = ",".join(plan.cases)
    if plan.faults != MIX:
        given["--faults"] = str(plan.faults)
    return f"steward bench edge {shlex.join(w for pair in given.items() for w in pair)}"


def _show(results: Results, console: Console) -> None:
    console.print("\n" + report.markdown(results, _command(results.plan)), markup=False, soft_wrap=True)


def main() -> None:
    """`python -m benchmarks.edge`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--peers", default="all", help=f"all, none, or of {', '.join(CLIENTS)}")
    parser.add_argument("--faults", default="10,5,5", help="percent dead, exceptions, garbled")
    parser.add_argument("--cases", default="all", help=f"all, or of {', '.join(CASES)}")
    parser.add_argument("--write", action="store_true", help="put the section into docs/benchmarks.md")
    parser.add_argument("--json", action="store_true", dest="as_json")
    given = vars(parser.parse_args())
    write, as_json = given.pop("write"), given.pop("as_json")
    run(plan_of(**given), write=write, as_json=as_json)
