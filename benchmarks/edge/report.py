"""The results as tables, against the goals, and as a dated section of docs/benchmarks.md."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.edge.cases import HELD, Results
from benchmarks.edge.clients import STEWARD, VERSIONS
from benchmarks.edge.run import Figures
from gateway.adapters.clock import SystemClock

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "benchmarks.md"
HEADING = "## Edge beside other gateways"
BEFORE = "## Broker"
BUSY = 0.10
"""Share of both cores in other hands from which on a run counts as one on a busy machine."""

COST, RATIO, LATE_MS, CORE, BYTES = 6.0, 12.0, 5.0, 0.05, 9.0

NOTES = {
    "schedule": "every device once a second, none broken",
    "faults": "the same with {faults} % of the devices dead, answering exceptions, answering garbled; "
    "rounds and lateness are those of the healthy ones",
    "saturation": "as fast as it goes; for Steward and ThingsBoard the shortest period that was held",
}
HEAD = (
    "client", "period s", "points/s arrived", "of a core", "CPU s/Mpt", "× Steward", "B/point", "rounds",
    "late p50/p99/max ms", "wrong", "MB",
)  # fmt: skip


def as_dict(results: Results) -> dict[str, Any]:
    """For --json."""
    plan = results.plan
    return {
        "machine": machine(results), "devices": plan.devices, "seconds": plan.seconds,
        "faults": str(plan.faults), "figures": [f.as_dict() for f in results.figures],
        "outages": [o.as_dict() for o in results.outages], "skipped": results.skipped,
        "goals": [{"goal": name, "figure": figure, "met": met} for name, figure, met in goals(results)],
        "profile": dict(results.profile),
    }  # fmt: skip


def machine(results: Results) -> str:
    """What it ran on, and how much else went on there."""
    others = max((f.others for f in results.figures), default=0.0)
    busy = f"busy with other work (up to {others:.0%} of it)" if others > BUSY else "otherwise idle"
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, {busy}"


def goals(results: Results) -> list[tuple[str, str, bool]]:
    """What Steward set out for, what was measured, and whether that is reached; unmeasured ones left out."""
    out: list[tuple[str, str, bool]] = []
    full, peer = results.find("saturation", STEWARD.name), results.find("saturation", "thingsboard")
    if full and full.cpu_per_million:
        cost = full.cpu_per_million
        out.append((f"CPU s per million points ≤ {COST:g}", f"{cost:.2f}", cost <= COST))
        if peer and peer.cpu_per_million:
            ratio = peer.cpu_per_million / cost
            out.append((f"of ThingsBoard's ≤ 1/{RATIO:g}", f"1/{ratio:.1f}", ratio >= RATIO))
    broken = results.find("faults", STEWARD.name)
    if broken and broken.rounds is not None and broken.late_p99_ms is not None:
        out.append(("healthy devices: every round", f"{broken.rounds:.2%}", broken.rounds >= 1.0))
        out.append((f"p99 late ≤ {LATE_MS:g} ms", f"{broken.late_p99_ms:.1f}", broken.late_p99_ms <= LATE_MS))
        out.append((f"≤ {CORE:.0%} of a core", f"{broken.core:.1%}", broken.core <= CORE))
    calm = results.find("schedule", STEWARD.name)
    if calm and calm.bytes_per_point:
        bytes_ = calm.bytes_per_point
        out.append((f"bytes per point ≤ {BYTES:g}", f"{bytes_:.1f}", bytes_ <= BYTES))
    away = next((o for o in results.outages if o.client == STEWARD.name), None)
    if away:
        out.append((f"lost with the broker away {away.away_s:g} s: 0", str(away.lost), away.lost == 0))
    mine = [f.wrong for f in results.figures if f.client == STEWARD.name]
    if mine:
        out.append(("wrong values: 0", str(sum(mine)), sum(mine) == 0))
    return out


# ── tables ────────────────────────────────────────────────────────────────────────────────────────────


def markdown(results: Results, command: str) -> str:
    """One dated section."""
    day = datetime.fromtimestamp(SystemClock().now() / 1000, UTC).date()
    plan = results.plan
    setting = (
        f"{machine(results)}. {plan.devices} devices × 60 registers in 3 blocks, {plan.seconds:g} s each,"
        f" one Mosquitto, Steward's outbox durable. {_versions(results)}. `{command}`"
    )
    parts = [f"### {day}", setting]
    for case, note in NOTES.items():
        rows = [f for f in results.figures if f.case == case]
        if rows:
            title = f"**{case}**: {note.format(faults=' / '.join(str(plan.faults).split(',')))}."
            parts += [title, _table(HEAD, [_row(f, results) for f in rows]), *_notes(rows)]
    if results.outages:
        rows_ = [
            [o.client, f"{o.read_away:,}", f"{o.refused:,}", f"{o.lost:,}", f"{o.doubled:,}", str(o.wrong)]
            for o in results.outages
        ]
        head = ("client", "answered meanwhile", "too late for it", "lost", "came twice", "wrong")
        away = results.outages[0].away_s
        parts += [
            f"**outage**: the broker killed with -9, back after {away:g} s, 20 devices.",
            _table(head, rows_),
        ]
    reached = [[name, figure, "yes" if met else "**no**"] for name, figure, met in goals(results)]
    parts += ["**goals**", _table(("goal", "measured", "reached"), reached)] if reached else []
    if results.profile:
        rows_ = [[place, f"{share:.1%}"] for place, share in results.profile]
        parts += [
            "**where Steward's time goes** (sampled on the schedule)",
            _table(("place", "share"), rows_),
        ]
    parts += [f"Left out: {name}: {' '.join(why.split()):.200}." for name, why in results.skipped.items()]
    return "\n\n".join(parts) + "\n"


def _versions(results: Results) -> str:
    present = {f.client for f in results.figures}
    own = [f"{name} {importlib.metadata.version(name)}" for name in ("pymodbus", "aiomqtt", "paho-mqtt")]
    return ", ".join([v.replace("==", " ") for name, v in VERSIONS.items() if name in present] + own)


def _row(f: Figures, results: Results) -> list[str]:
    own = results.find(f.case, STEWARD.name)
    ratio = (
        f"{f.cpu_per_million / own.cpu_per_million:.1f}"
        if own and own.cpu_per_million and f.cpu_per_million
        else "–"
    )
    late = (
        "–" if f.late_p99_ms is None else f"{f.late_p50_ms:.1f} / {f.late_p99_ms:.1f} / {f.late_max_ms:.0f}"
    )
    arrived = f"{f.arrived_per_s:,}"
    if f.read_per_s and f.arrived_per_s < HELD * f.read_per_s:
        arrived += f" of {f.read_per_s:,} read"
    return [
        f.client, f"{f.period_s:g}" if f.period_s else "–", arrived, f"{f.core:.1%}",
        _number(f.cpu_per_million), ratio, _number(f.bytes_per_point),
        "–" if f.rounds is None else f"{f.rounds:.1%}", late, str(f.wrong), f"{f.memory_mb:.0f}",
    ]  # fmt: skip


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _notes(rows: Sequence[Figures]) -> list[str]:
    return [f"{f.client}: {note}." for f in rows for note in f.notes]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


# ── the page ──────────────────────────────────────────────────────────────────────────────────────────


def write(section: str, page: Path = PAGE) -> None:
    """Put a section under its heading, newest first; one of the same day is replaced."""
    text = page.read_text(encoding="utf-8")
    if HEADING not in text:
        text = text.replace(BEFORE, f"{HEADING}\n\n{BEFORE}", 1)
    day = section.split("\n", 1)[0]
    text = re.sub(re.escape(day) + r"\n.*?(?=\n##+ )", "", text, count=1, flags=re.DOTALL)
    start = text.index(HEADING)
    end = text.index("\n## ", start)
    first = text.find("\n### ", start, end)
    at = first + 1 if first >= 0 else end + 1
    text = text[:at] + section + "\n" + text[at:]
    page.write_text(re.sub(r"\n{3,}", "\n\n", text), encoding="utf-8")
