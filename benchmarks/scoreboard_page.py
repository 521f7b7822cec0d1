"""The scoreboard's figures as data and as a page."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from benchmarks.scoreboard import ROOT, Board
from simulators.kinds import KINDS
from simulators.months.cast import DEVELOPMENT, SEEDS_OF_DEVELOPMENT, prior_of, start_of
from simulators.months.score import Score, Tally

PUBLIC = ("nab", "skab", "ltown")
DATA = ROOT.parent / "shared" / "data"
DAY_S = 86_400.0


def quantile(values: Sequence[float], q: float) -> float:
    """Nearest rank; NaN for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))] if ordered else float("nan")


def summed(tallies: Iterable[Tally]) -> Tally:
    """All of them as one."""
    out = Tally()
    for tally in tallies:
        out.add(tally)
    return out


def sort_of(row: str) -> str:
    """hard, trend or life."""
    return KINDS[row.partition(", ")[0]].sort


def by_sort(score: Score, sort: str) -> Tally:
    """All rows of a sort; false alarms counted once a rule, however many rows expect it."""
    rows = {k: t for k, t in score.by.items() if sort_of(k[1]) == sort}
    total = summed(rows.values())
    seen: dict[tuple[str, str], int] = {}
    for (model, row), tally in rows.items():
        name, _, severe = row.partition(", ")
        seen[model, KINDS[name].rule_for(model, 1.0 if severe else 0.0)] = tally.false
    total.false = sum(seen.values())
    return total


def figures(board: Board) -> dict[str, Any]:
    """Everything of the page as plain data."""
    calm, months = sum(board.named.calm.values()), sum(board.named.calm_months.values())
    return {
        "seeds_from": board.plan.first,
        "samples": board.samples,
        "cpu_s": round(sum(board.seconds.values()), 1),
        **{f"f1_{sort}": round(by_sort(board.named, sort).f1, 4) for sort in ("hard", "trend", "life")},
        **{
            f"recall_{sort}": round(by_sort(board.named, sort).recall, 4)
            for sort in ("hard", "trend", "life")
        },
        "false_alarms_calm": calm,
        "asset_months_calm": round(months, 1),
        "false_per_asset_month": round(calm / months, 4) if months else None,
        "life_missed": {f"{m}/{k}": len(v[1]) for (m, k), v in board.life.items() if v[1]},
        "life_cases": sum(v[0] for v in board.life.values()),
        "missed": {f"{m}/{k}": t.missed[:3] for (m, k), t in sorted(board.named.by.items()) if t.missed},
        "false": {f"{m}/{r}": n for (m, r), n in sorted(board.named.false.items())},
        "where": {f"{m}/{r}": board.named.examples[m, r] for m, r in sorted(board.named.false)},
        "any_alarm": {name: _any(score) for name, score in board.any.items()},
    }


def _any(score: Score) -> dict[str, float]:
    total = summed(score.by.values())
    months = sum(score.months.values())
    false = sum(score.false.values())
    precision = total.found / max(1, total.found + false)
    return {
        "recall": round(total.recall, 4),
        "precision": round(precision, 4),
        "f1": round(2 * total.found / max(1, total.found + false + total.labels), 4),
        "false_per_asset_month": round(false / max(1e-9, months), 3),
    }


# ── the page ──────────────────────────────────────────────────────────────────────────────────────────


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Markdown."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return [*lines, *(f"| {' | '.join(str(c) for c in row)} |" for row in rows), ""]


def span(seconds: float) -> str:
    """Seconds as people write them."""
    if seconds != seconds:
        return "–"
    for size, unit in ((DAY_S, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


INTRO = """# Scoreboard

How well the shipped rules detect, on simulated assets whose faults are known. One command makes this page:
`steward bench detect --write` (`--small`: a look of half a minute). Nothing is tuned by asset, file or story:
the rules are those of `alerts/defaults/rules`.

**What counts.** An alarm is the beginning of a condition. It finds a fault when its rule is the one that the
truth expects and it comes in time: for what is broken at once within the rule's own delay and the allowance
of the label, for what wears before it fails. Any other alarm is a false one, unless the fault's entry in
`simulators/kinds.yaml` names that rule as one that rightly speaks as well. Precision is that of the expected
rule over everything that was told, so it depends on how many faults were told.

**Against tuning.** Rules and defaults are developed on seeds 0–999. The figures below are of seeds {first}
and up{shifted}. Once a page was read and rules were mended after it, its seeds count as seen: the next page
takes others (`--first N`).
"""
SHIFTED = (
    ", which were not looked at before: from 2000 on chance draws for each thousand seeds how far they are "
    "from those of development. Of the first thousand here: instruments with {noise:g} times the noise, "
    "{wild:g} times the wild readings, use {swing:g} times as strong and {shift:+g} h later, {warm:+g} K, "
    "and seasons of ten weeks from {start} on instead of 2 March"
)


def shifted(first: int) -> str:
    """What the assets of these seeds are like, beside those of development."""
    if first < SEEDS_OF_DEVELOPMENT:
        return ""
    p = prior_of(first)
    start = datetime.fromtimestamp(start_of(first) / 1000, timezone(timedelta(hours=8)))
    return SHIFTED.format(noise=p.noise, wild=p.spikes / DEVELOPMENT.spikes, swing=p.swing, shift=p.shift_h,
                          warm=p.warm_c, start=f"{start.day} {start:%B}")  # fmt: skip


LIMITS = """
## What this does not show

- Simulated assets are as good as their models (`simulators/months`): physics-lite; one reading in five
  minutes in a season (a minute in sump pits; transitions at their true instants), every ten seconds in an
  act; a wild reading stands for two seconds, until the edge reads again. No real estate was measured.
- Contacts and trips of lifts and generators come at their true instants, what they measure once a minute.
- Faults come one at a time here; cascades and their roots are told on the plant in ticks of 200 ms.
- The models, the look-alikes and the rules come from the same house. A fault that nobody here thought of is
  not in the table. The public series were made by others.
"""


def page(board: Board, public: Sequence[tuple[str, str]], roots: Sequence[str] = ()) -> str:
    """The page."""
    first = board.plan.first
    lines = [INTRO.format(first=first, shifted=shifted(first)).rstrip(), ""]
    lines += _goals(board) + _detectors(board) + _rows(board) + _calm(board) + _life(board) + list(roots)
    for name, text in public:
        lines += [f"## Public series: {name}", "", "```", text.rstrip(), "```", ""]
    lines += [LIMITS.strip(), ""]
    cpu, months = sum(board.seconds.values()), sum(board.named.months.values())
    told = f"{board.samples / 1e6:.0f} million readings of {months:,.0f} asset-months"
    lines += [f"{told}, judged twice (rules and thresholds) in {cpu / 60:.1f} min of one processor core.", ""]
    return "\n".join(lines)


def _goals(board: Board) -> list[str]:
    named = board.named
    calm, months = sum(named.calm.values()), sum(named.calm_months.values())
    leads = {k[1]: t for k, t in named.by.items() if t.leads}
    wear = [x for k, t in leads.items() if KINDS[k].lead_s >= 7 * DAY_S for x in t.leads]
    slow = [x for k, t in leads.items() if k in ("fire_slow_leak", "seepage") for x in t.leads]
    cases, missed = sum(v[0] for v in board.life.values()), sum(len(v[1]) for v in board.life.values())
    rows = [
        ("faults broken at once, F1", "≥ 0.95", f"{by_sort(named, 'hard').f1:.3f}"),
        ("faults that wear, F1", "≥ 0.85", f"{by_sort(named, 'trend').f1:.3f}"),
        ("lead before the failure, wear, median (p10)", "≥ 7 d",
         f"{span(quantile(wear, 0.5))} ({span(quantile(wear, 0.1))})"),
        ("lead, slow leak of the fire main and seepage, median (p10)", "≥ 24 h",
         f"{span(quantile(slow, 0.5))} ({span(quantile(slow, 0.1))})"),
        ("false alarms per asset-month, nothing wrong", "≤ 0.02",
         f"{calm / months:.4f} ({calm} in {months:,.0f} asset-months)" if months else "–"),
        ("life-safety cases missed", "0", f"{missed} of {cases:,}"),
    ]  # fmt: skip
    return ["## Goals", "", *table(("what", "goal", "measured"), rows)]


def _detectors(board: Board) -> list[str]:
    labels = {
        "steward": "default rules",
        "threshold": "bare thresholds (same limits and contacts, no delay, no dead band)",
        "chance": "chance, as many alarms as the rules",
        "all-ones": "always in alarm",
    }
    rows = []
    for name, label in labels.items():
        x = _any(board.any[name])
        rows.append((label, f"{x['recall']:.3f}", f"{x['precision']:.3f}", f"{x['f1']:.3f}",
                     f"{x['false_per_asset_month']:.3f}"))  # fmt: skip
    text = (
        "Here any alarm of the asset in the fault's time finds it, whatever its rule, so that those with no "
        "rules can be compared. False alarms are per asset-month of everything that was told."
    )
    head = ("detector", "recall", "precision", "F1", "false per asset-month")
    return ["## Beside detectors that know nothing", "", text, "", *table(head, rows)]


def _rows(board: Board) -> list[str]:
    out = ["## By class and fault", ""]
    head = ("fault", "sort", "told", "found", "precision", "recall", "F1", "delay p50", "p95",
            "lead p50 (p10)", "hidden, with an alarm")  # fmt: skip
    for model in board.plan.models:
        rows = []
        for (m, row), t in sorted(board.named.by.items(), key=lambda kv: (sort_of(kv[0][1]), kv[0][1])):
            if m != model:
                continue
            leads = f"{span(quantile(t.leads, 0.5))} ({span(quantile(t.leads, 0.1))})" if t.leads else ""
            delays = ("", "") if t.leads else (span(quantile(t.delays, 0.5)), span(quantile(t.delays, 0.95)))
            score = (f"{t.precision:.2f}", f"{t.recall:.2f}", f"{t.f1:.2f}") if t.labels else ("", "", "")
            hidden = f"{t.hidden}, {t.spoken}" if t.hidden else ""
            rows.append((row, sort_of(row), t.labels, t.found, *score, *delays, leads, hidden))
        out += [f"### {model}", "", *table(head, rows)]
    hidden = (
        "`hidden`: cases too slight to demand an alarm, or that no point shows; those in which the rule of "
        "this fault spoke all the same (a little fire on a hot day) are counted beside it, not as false."
    )
    out += [hidden, ""]
    return out


def _calm(board: Board) -> list[str]:
    named = board.named
    if not named.calm_months:
        return []
    rows = [
        (m, f"{named.calm_months[m]:.0f}", sum(n for (c, _), n in named.calm.items() if c == m),
         ", ".join(f"{r} {n}" for (c, r), n in sorted(named.calm.items()) if c == m) or "–")
        for m in board.plan.models
    ]  # fmt: skip
    text = (
        "Assets with nothing wrong for ten weeks: weekends, holidays, weather and rain, move-in days, tank "
        "washes, weekly tests, replaced sensors, a heat wave, hours without readings, readings late, twice "
        f"or refused. Rightly told or announced, and not counted: {named.allowed} alarms (pump test, "
        "door and level at a tank wash, silence in an outage)."
    )
    head = ("class", "asset-months", "false alarms", "by rule")
    return ["## False alarms where nothing is wrong", "", text, "", *table(head, rows)]


def _life(board: Board) -> list[str]:
    rows = [
        (k, m, f"{done:,}", len(missed), span(quantile(delays, 0.5)), span(quantile(delays, 1.0)))
        for (m, k), (done, missed, delays) in board.life.items()
    ]
    head = ("life-safety kind", "class", "cases", "missed", "delay p50", "longest")
    return ["## Life safety, case by case", "", *table(head, rows)]


def public(say: Callable[[str], None]) -> list[tuple[str, str]]:
    """What the measurements on public series print; those whose data is not there are left out and said."""
    found: list[tuple[str, str]] = []
    for name in PUBLIC:
        script = ROOT / "benchmarks" / f"{name}.py"
        if not script.exists() or not (DATA / name).is_dir():
            say(f"public series {name}: left out, no data or no script")
            continue
        done = subprocess.run(
            [sys.executable, str(script)], cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PATH": ""},
            capture_output=True, text=True, check=False, timeout=900,
        )  # fmt: skip
        if done.returncode:
            say(f"public series {name}: failed: {done.stderr.strip().splitlines()[-1:]}")
            continue
        say(f"public series {name}: measured")
        found.append((name, done.stdout))
    return found
