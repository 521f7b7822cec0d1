"""The detector of several channels on SKAB, beside detectors that know nothing.

SKAB v0.9 (waico/SKAB): a real water loop with pump and valves, eight channels at 1 Hz, labelled faults. The
first 400 rows of a run are the fit, without labels; F1, false-alarm rate and missed rate are per sample over
the rest of all runs. An all-ones detector has F1 0.70 there, so F1 counts only beside the false-alarm rate.
The data is not part of this tree (GPL-3.0); it is looked for in `../shared/data/skab`, or where the argument
says. `PYTHONPATH=. python benchmarks/skab.py [DIR]`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alerts.backtest import explain_channels, score_channels

F8 = NDArray[np.float64]
Bool = NDArray[np.bool_]
DATA = Path(__file__).parents[2] / "shared/data/skab"
FIT = 400
CHANNELS = 8
PUBLISHED = (
    ("Conv-AE (best published F1)", 0.78, 13.55, 28.02),
    ("MSET", 0.78, 39.7, 14.1),
    ("T² + Q", 0.76, 26.62, 24.92),
)
"""From the leaderboard of the data set, over all of its 34 runs; ours is over the runs that are there."""


@dataclass(frozen=True)
class Run:
    """One recorded run; `fault` per row."""

    name: str
    times: list[str]
    values: F8
    fault: Bool


@dataclass(frozen=True)
class Result:
    """Per sample; rates in percent."""

    f1: float
    false: float
    missed: float


def load(folder: Path = DATA) -> list[Run]:
    """All labelled runs below a folder, in a fixed order."""
    files = sorted(folder.glob("*/*.csv"), key=lambda p: (p.parent.name, len(p.name), p.name))
    return [run for run in map(read, files) if run.fault.any()]


def read(path: Path) -> Run:
    """One file; without labels nothing in it is a fault."""
    head, *rows = (line.split(";") for line in path.read_text().splitlines())
    names = head[: 1 + CHANNELS]
    values = np.asarray([[float(x) for x in row[1 : len(names)]] for row in rows])
    fault = np.asarray([float(row[len(names)]) > 0 if len(row) > len(names) else False for row in rows])
    return Run(f"{path.parent.name}/{path.stem}", [row[0] for row in rows], values, fault)


Detector = Callable[[Run], Bool]


def ours(run: Run) -> Bool:
    """As shipped."""
    return score_channels(run.times, run.values, fit=FIT)[1]


def threshold(run: Run) -> Bool:
    """Any channel outside what it was in the fit, widened by half of that span."""
    low, high = run.values[:FIT].min(axis=0), run.values[:FIT].max(axis=0)
    more = 0.5 * (high - low)
    out: Bool = ((run.values < low - more) | (run.values > high + more)).any(axis=1)
    return out


def coin(run: Run) -> Bool:
    """True in half of the samples, by chance."""
    return np.random.default_rng(len(run.values)).random(len(run.values)) < 0.5


def ones(run: Run) -> Bool:
    """Always."""
    return np.ones(len(run.values), np.bool_)


DETECTORS: tuple[tuple[str, Detector], ...] = (
    ("score_channels", ours),
    ("plain threshold per channel", threshold),
    ("random, half of the samples", coin),
    ("all ones", ones),
)


def counts(run: Run, alarm: Bool) -> NDArray[np.int64]:
    """Right, false, missed and rightly silent samples after the fit."""
    a, y = alarm[FIT:], run.fault[FIT:]
    return np.asarray([(a & y).sum(), (a & ~y).sum(), (~a & y).sum(), (~a & ~y).sum()])


def result(total: NDArray[np.int64]) -> Result:
    """Figures of summed counts."""
    right, false, missed, silent = (int(x) for x in total)
    f1 = 2 * right / max(2 * right + false + missed, 1)
    return Result(f1, 100 * false / max(false + silent, 1), 100 * missed / max(right + missed, 1))


def evaluate(runs: list[Run], detector: Detector) -> tuple[Result, tuple[float, float]]:
    """Over all runs; and the 5th and 95th percentile of F1 over random halves of them."""
    each = np.asarray([counts(run, detector(run)) for run in runs])
    rng = np.random.default_rng(1)
    half = max(len(runs) // 2, 1)
    f1 = [result(each[rng.permutation(len(runs))[:half]].sum(axis=0)).f1 for _ in range(500)]
    low, high = np.quantile(f1, [0.05, 0.95])
    return result(each.sum(axis=0)), (float(low), float(high))


def quiet(run: Run) -> float:
    """False-alarm rate in percent on a recording without faults, cut into runs of 1,100 rows."""
    alarms = []
    for start in range(0, len(run.values) - 1100 + 1, 1100):
        part = slice(start, start + 1100)
        alarms.append(score_channels(run.times[part], run.values[part], fit=FIT)[1][FIT:])
    return 100 * float(np.concatenate(alarms).mean())


def named(runs: list[Run]) -> dict[int, int]:
    """Which channel the alarms within faults name: samples by channel index."""
    told = [explain_channels(r.times, r.values, fit=FIT).channel[r.fault] for r in runs]
    index, n = np.unique(np.concatenate(told), return_counts=True)
    return {int(k): int(v) for k, v in zip(index, n, strict=True) if k >= 0}


def main(folder: Path) -> int:
    """Print the tables; 2 where the data is absent."""
    runs = load(folder)
    if not runs:
        print(f"no labelled runs below {folder}: give the folder of SKAB as the argument", file=sys.stderr)
        return 2
    print(f"SKAB, {len(runs)} runs, rows after the first {FIT}\n")
    print("| detector | F1 | F1 in random halves | false-alarm % | missed % |\n|---|---|---|---|---|")
    for name, detector in DETECTORS:
        r, (low, high) = evaluate(runs, detector)
        print(f"| {name} | {r.f1:.3f} | {low:.2f} to {high:.2f} | {r.false:.1f} | {r.missed:.1f} |")
    for label, f1, false, missed in PUBLISHED:
        print(f"| published, 34 runs: {label} | {f1:.2f} | | {false:.1f} | {missed:.1f} |")
    free = folder / "anomaly-free/anomaly-free.csv"
    if free.is_file():
        print(f"\nwithout faults: false alarms in {quiet(read(free)):.1f} % of the samples")
    print(f"channels named within faults, samples by index: {named(runs)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else DATA))
