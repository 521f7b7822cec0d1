"""The detectors of one series on NAB, beside detectors that know nothing.

NAB (numenta/NAB): labelled series of machines, traffic and artificial ones. One threshold for all files is
searched with the labels, as its protocol says; `held out` takes each group's threshold from the other groups
alone. The first detection in a window earns by its earliness, each one outside costs by its distance, the
first 15 % of a file (at most 750 values) do not count; 0 is a detector that never alarms, 100 a perfect one.
The data is not part of this tree; it is looked for in `../shared/data/nab`, or where the argument says.
`PYTHONPATH=. python benchmarks/nab.py [DIR]`.
"""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alerts.backtest import ALARM, score

F8 = NDArray[np.float64]
I8 = NDArray[np.int64]
DATA = Path(__file__).parents[2] / "shared/data/nab"
TRIAL, TRIAL_MOST = 0.15, 750
OUTSIDE, IN_TRIAL = -1, -2
DETECTORS = ("baseline", "threshold", "random", "ones", "null")
PUBLISHED = (
    ("ARTime", 74.9), ("Numenta HTM", 70.1), ("CAD OSE", 69.9), ("KNN-CAD", 58.0), ("Relative Entropy", 54.6),
    ("windowed Gaussian", 39.6),
)  # fmt: skip
"""Standard profile, from the scoreboard of the data set, over all of its 58 files."""


@dataclass(frozen=True)
class Profile:
    """What a false detection and a missed window cost; a found one earns 1."""

    name: str
    false: float
    missed: float


STANDARD, LOW_FP, LOW_FN = PROFILES = (
    Profile("standard", 0.11, 1.0), Profile("low FP", 0.22, 1.0), Profile("low FN", 0.11, 2.0),
)  # fmt: skip


@dataclass(frozen=True)
class Series:
    """One file. where: number of the window that a value lies in, or `OUTSIDE`, `IN_TRIAL` · worth: what a
    detection there is worth, before the profile's cost."""  # fmt: skip

    name: str
    times: list[str]
    values: F8
    windows: tuple[tuple[int, int], ...]
    where: I8 = field(init=False)
    worth: F8 = field(init=False)

    def __post_init__(self) -> None:
        where, worth = weigh(len(self.values), self.windows)
        object.__setattr__(self, "where", where)
        object.__setattr__(self, "worth", worth)

    @property
    def group(self) -> str:
        """Folder."""
        return self.name.split("/", 1)[0]


def sigmoid(y: F8) -> F8:
    """1 − 2/(1+e^(−5y)), and −1 beyond three widths."""
    low: F8 = np.where(y > 3, -1.0, 2.0 / (1.0 + np.exp(5.0 * np.minimum(y, 3.0))) - 1.0)
    return low


def weigh(n: int, windows: Sequence[tuple[int, int]]) -> tuple[I8, F8]:
    """Where each value lies and what a detection there is worth. Windows: first and last index."""
    where, worth, at = np.full(n, OUTSIDE), np.full(n, -1.0), np.arange(n)
    top = float(sigmoid(np.asarray(-1.0)))
    for k, (a, b) in enumerate(windows):
        width = b - a + 1
        where[a : b + 1] = k
        worth[a : b + 1] = sigmoid(-(b - at[a : b + 1] + 1) / width) / top
        end = windows[k + 1][0] if k + 1 < len(windows) else n
        worth[b + 1 : end] = sigmoid((at[b + 1 : end] - b) / max(width - 1, 1))
    where[: min(math.floor(TRIAL * n), TRIAL_MOST)] = IN_TRIAL
    return where, worth


def load(folder: Path = DATA) -> list[Series]:
    """All labelled files that are there, by name."""
    labels: dict[str, list[list[str]]] = {}
    if (folder / "windows.json").exists():
        labels = json.loads((folder / "windows.json").read_text())
    return [read(folder, name, labels[name]) for name in sorted(labels) if (folder / name).exists()]


def read(folder: Path, name: str, windows: Sequence[Sequence[str]]) -> Series:
    """One file with its windows, whose ends are times that occur in it."""
    with (folder / name).open() as file:
        rows = list(csv.reader(file))[1:]
    times = [r[0] for r in rows]
    index = {t: k for k, t in reversed(list(enumerate(times)))}
    spans = tuple((index[a[:19]], index[b[:19]]) for a, b in windows)
    return Series(name, times, np.asarray([float(r[1]) for r in rows]), spans)


Scores = dict[str, F8]
"""By name of the file."""


def run(detector: str, data: Sequence[Series]) -> Scores:
    """Scores of one detector over all files; each file by itself."""
    if detector == "null":
        return {s.name: np.zeros(len(s.values)) for s in data}
    return {s.name: score(s.times, s.values, detector) for s in data}


@dataclass(frozen=True)
class Mark:
    """NAB score, the threshold that it was reached with, false detections, windows found."""

    score: float
    threshold: float
    false: int
    found: int


def at(threshold: float, scores: Scores, data: Sequence[Series], profile: Profile) -> Mark:
    """The score with a given threshold."""
    raw, false, found = 0.0, 0, 0
    for s in data:
        hit = (scores[s.name] >= threshold) & (s.where != IN_TRIAL)
        outside = hit & (s.where == OUTSIDE)
        raw += profile.false * float(s.worth[outside].sum())
        false += int(outside.sum())
        for k in range(len(s.windows)):
            inside = hit & (s.where == k)
            raw += float(s.worth[inside].max()) if inside.any() else -profile.missed
            found += bool(inside.any())
    return Mark(_scaled(raw, data, profile), threshold, false, found)


def best(scores: Scores, data: Sequence[Series], profile: Profile) -> Mark:
    """The score with the threshold that suits the labels best; infinity where none is better than silence."""
    total, top, threshold = -profile.missed * _windows(data), -profile.missed * _windows(data), math.inf
    heights, worth, window = _detections(scores, data)
    gained: dict[int, float] = {}
    for n, (height, w, k) in enumerate(zip(heights, worth, window, strict=True)):
        if k < 0:
            total += profile.false * w
        elif w > gained.get(k, -profile.missed):
            total += w - gained.get(k, -profile.missed)
            gained[k] = w
        last_of_its_height = n + 1 == len(heights) or heights[n + 1] != height
        if last_of_its_height and total > top:
            top, threshold = total, height
    return at(threshold, scores, data, profile)


def _detections(scores: Scores, data: Sequence[Series]) -> tuple[list[float], list[float], list[int]]:
    """Height, worth and window (−1: none) of every value that counts, highest first."""
    heights, worth, window, before = [], [], [], 0
    for s in data:
        counts = (s.where != IN_TRIAL) & (scores[s.name] > 0)
        heights.append(scores[s.name][counts])
        worth.append(s.worth[counts])
        window.append(np.where(s.where[counts] >= 0, s.where[counts] + before, -1))
        before += len(s.windows)
    order = np.argsort(-np.concatenate(heights), kind="stable")
    h, w, k = (np.concatenate(c)[order].tolist() for c in (heights, worth, window))
    return h, w, k


def _windows(data: Sequence[Series]) -> int:
    return sum(len(s.windows) for s in data)


def _scaled(raw: float, data: Sequence[Series], profile: Profile) -> float:
    nothing = -profile.missed * _windows(data)
    return 100.0 * (raw - nothing) / (_windows(data) - nothing)


def held_out(scores: Scores, data: Sequence[Series], profile: Profile = STANDARD) -> dict[str, Mark]:
    """Each group that has windows, with the threshold of all other groups."""
    groups = sorted({s.group for s in data if s.windows})
    marks = {}
    for g in groups:
        others, own = [s for s in data if s.group != g], [s for s in data if s.group == g]
        marks[g] = at(best(scores, others, profile).threshold, scores, own, profile)
    return marks


def pooled(marks: dict[str, Mark], data: Sequence[Series]) -> float:
    """Held-out marks, weighed by windows."""
    weights = {g: _windows([s for s in data if s.group == g]) for g in marks}
    return sum(marks[g].score * w for g, w in weights.items()) / sum(weights.values())


def halves(scores: Scores, data: Sequence[Series], times: int = 30) -> float:
    """Mean score of one half of the files with the threshold of the other, over random halves."""
    rng, total = np.random.default_rng(5), 0.0
    for _ in range(times):
        order = rng.permutation(len(data))
        parts = [[data[k] for k in order[: len(data) // 2]], [data[k] for k in order[len(data) // 2 :]]]
        for own, other in (parts, parts[::-1]):
            mark = at(best(scores, other, STANDARD).threshold, scores, own, STANDARD)
            total += mark.score * _windows(own) / _windows(data)
    return total / times


def table(data: Sequence[Series], say: Callable[[str], None] = print) -> None:
    """Every detector beside the others, as Markdown."""
    groups = sorted({s.group for s in data if s.windows})
    say(f"{len(data)} files, {sum(len(s.values) for s in data):,} values, {_windows(data)} windows\n")
    say("| detector | standard | low FP | low FN | found, false | threshold given | halves | held out: "
        + " | ".join(groups) + " | pooled |")  # fmt: skip
    say("|---|" + "---|" * (len(groups) + 7))
    for name in DETECTORS:
        scores = run(name, data)
        marks = [best(scores, data, p) for p in PROFILES]
        out = held_out(scores, data)
        cells = [f"{m.score:.1f}" for m in marks]
        cells += [f"{marks[0].found}, {marks[0].false}", f"{at(ALARM, scores, data, STANDARD).score:.1f}"]
        cells += [f"{halves(scores, data):.1f}", *(f"{out[g].score:.1f}" for g in groups)]
        say(f"| {name} | {' | '.join(cells)} | {pooled(out, data):.1f} |")
    say("\n" + " · ".join(f"{name} {figure}" for name, figure in PUBLISHED) + " (published, all 58 files)")


if __name__ == "__main__":
    found = load(Path(sys.argv[1]) if len(sys.argv) > 1 else DATA)
    if not found:
        sys.exit(f"no windows.json with its files in {sys.argv[1] if len(sys.argv) > 1 else DATA}")
    table(found)
