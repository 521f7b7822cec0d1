"""Night flow on L-Town: leaks found within seven days, beside alarms on random nights.

BattLeDIM L-Town (2019): inflows of a simulated town at 5 minutes with the truth of its leaks. Scored
strictly: one alarm is credited to one leak; an abrupt leak within seven days of its start, an incipient one
until its peak; everything else is false. With so many leaks random alarms are often credited: they stand
beside.
The data is not part of this tree (GPL-3.0, EUPL-1.2); it is looked for in `../shared/data/ltown`, or where
the argument says (`flows*.csv`, `leaks*.csv`). `PYTHONPATH=. python benchmarks/ltown.py [DIR]`.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alerts.detect.night import DAY, WARM, night_changes

DATA = Path(__file__).parents[2] / "shared/data/ltown"
INFLOWS = {"p227_m3h": 1.0, "p235_m3h": 1.0, "pump1_m3h": -1.0}
"""Both inflows of the town, less what its pump lifts into the tank of the upper zone."""
WITHIN = 7 * DAY
MORNING = 4 * 3_600_000


@dataclass(frozen=True)
class Leak:
    """start, credit: from when until when an alarm is right, ms of local time."""

    pipe: str
    abrupt: bool
    start: int
    credit: int


@dataclass(frozen=True)
class Score:
    """Leaks found, and alarms that are nobody's."""

    abrupt: tuple[str, ...]
    incipient: tuple[str, ...]
    false: int


def ms(text: str) -> int:
    """Milliseconds of a local time."""
    return int(np.datetime64(text.replace(" ", "T"), "ms").astype(np.int64))


def flows(folder: Path) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Times and the columns of `INFLOWS`."""
    rows: list[dict[str, str]] = []
    for path in sorted(folder.glob("flows*.csv")):
        rows += csv.DictReader(path.read_text().splitlines())
    t = np.asarray([ms(row["timestamp"]) for row in rows], np.int64)
    order = np.argsort(t, kind="stable")
    return t[order], np.asarray([[float(row[c]) for c in INFLOWS] for row in rows])[order]


def leaks(folder: Path, first: int, last: int) -> list[Leak]:
    """Leaks that begin within the recording, abrupt ones first."""
    found = []
    for path in sorted(folder.glob("leaks*.csv")):
        for row in csv.DictReader(path.read_text().splitlines()):
            start, abrupt = ms(row["start"]), row["kind"] == "abrupt"
            if first <= start <= last:
                found.append(Leak(row["pipe"], abrupt, start, start + WITHIN if abrupt else ms(row["peak"])))
    return sorted(found, key=lambda x: (not x.abrupt, x.start))


def judge(alarms: Sequence[int], truth: Sequence[Leak]) -> Score:
    """One alarm, one leak."""
    left, right, false = list(truth), list[Leak](), 0
    for t in sorted(alarms):
        hit = next((x for x in left if x.start <= t <= x.credit), None)
        if hit is None:
            false += 1
        else:
            left.remove(hit)
            right.append(hit)
    return Score(
        tuple(x.pipe for x in right if x.abrupt), tuple(x.pipe for x in right if not x.abrupt), false
    )


def ours(t: NDArray[np.int64], columns: NDArray[np.float64]) -> list[int]:
    """As shipped: when the night flow has risen for good."""
    return [c.t for c in night_changes(t, columns, signs=list(INFLOWS.values())) if c.rise > 0]


def threshold(t: NDArray[np.int64], columns: NDArray[np.float64]) -> list[int]:
    """Night mean above 1.1 times that of the first ten nights; once until it falls below."""
    total = columns @ np.asarray(list(INFLOWS.values()))
    night = (t % DAY >= 2 * 3_600_000) & (t % DAY < MORNING)
    days = np.unique(t[night] // DAY)
    means = np.asarray([total[night & (t // DAY == d)].mean() for d in days])
    above = means > 1.1 * means[:WARM].mean()
    begin = above & ~np.concatenate(([False], above[:-1]))
    begin[:WARM] = False
    return [int(d) * DAY + MORNING for d in days[begin]]


def chance(n: int, t: NDArray[np.int64], truth: Sequence[Leak]) -> tuple[float, float, float]:
    """Mean found abrupt, found incipient and false of `n` alarms on random nights."""
    rng = np.random.default_rng(1)
    days = np.unique(t // DAY)[WARM:]
    scores = [
        judge((rng.choice(days, n, replace=False) * DAY + MORNING).tolist(), truth) for _ in range(2000)
    ]
    rows = [(len(s.abrupt), len(s.incipient), s.false) for s in scores]
    a, i, f = np.mean(rows, axis=0)
    return float(a), float(i), float(f)


def main(folder: Path) -> int:
    """Print the tables; 2 where the data is absent."""
    if not list(folder.glob("flows*.csv")):
        print(f"no flows*.csv in {folder}: give the folder of L-Town as the argument", file=sys.stderr)
        return 2
    t, columns = flows(folder)
    truth = leaks(folder, int(t[0]), int(t[-1]))
    abrupt = sum(x.abrupt for x in truth)
    print(
        f"L-Town, {len(np.unique(t // DAY))} nights, {abrupt} abrupt and {len(truth) - abrupt} other leaks\n"
    )
    print("| detector | alarms | abrupt within 7 days | incipient before the peak | false |")
    print("|---|---|---|---|---|")
    every = [int(d) * DAY + MORNING for d in np.unique(t // DAY)[WARM:]]
    rows = (
        ("night_changes", ours(t, columns)),
        ("plain threshold", threshold(t, columns)),
        ("all nights", every),
    )
    for name, alarms in rows:
        s = judge(alarms, truth)
        print(f"| {name} | {len(alarms)} | {len(s.abrupt)} | {len(s.incipient)} | {s.false} |")
    n = len(rows[0][1])
    for k in (n, 2 * n):
        a, i, f = chance(k, t, truth)
        print(f"| random nights, mean of 2,000 | {k} | {a:.1f} | {i:.1f} | {f:.1f} |")
    for leak in (x for x in truth if x.abrupt):
        first = next((a for a in rows[0][1] if leak.start <= a <= leak.credit), None)
        print(f"{leak.pipe}: " + (f"{(first - leak.start) / DAY:.1f} days" if first else "not within 7 days"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else DATA))
