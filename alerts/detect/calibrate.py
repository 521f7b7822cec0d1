"""From a deviation to how rare it is for this one series: its own tail, counted and extended.

Peaks over a threshold (Pickands 1975; Hill 1975 for the slope of a heavy tail): time is cut into blocks of
`BLOCK` steps, and a decaying histogram counts the logarithm of the largest deviation of each. Above the
deviation that a tenth of the blocks exceed, the tail is taken as exponential in the logarithm, with the mean
excess as its slope. A new series begins with the tail of normally distributed noise and a cautious slope;
its own blocks outweigh both with time.

Only +, −, ×, ÷, comparison and exact splitting of a float are used, so that one value at a time and columns
give the same bits on every machine.
"""

from __future__ import annotations

import math
from array import array
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

F8 = NDArray[np.float64]

BLOCK = 12
"""Steps of one block."""
TAIL = 0.1
"""Share of the blocks that counts as the tail."""
MEMORY = 500.0
"""Blocks after which an old one weighs 1/e."""
NOMINAL = 60.0
"""Blocks that the tail of normal noise weighs at first."""
SLOPE = 0.4
"""Slope of the tail at first: a rarity of e times less needs a deviation larger by 40 %."""
SLOPE_WEIGHT = 20.0
"""Blocks in the tail that this first slope weighs."""
BINS = 28
WIDTH = 0.25
"""Bins of the histogram: from 1 to e^7 standard deviations; the first and the last take what lies beyond."""
TAIL_LN = 2.302585092994046
"""−ln TAIL."""
KEEP = 1.0 - 1.0 / MEMORY

_HALF_ROOT = 0.7071067811865476
_LN2 = 0.6931471805599453
_ODD = (3.0, 5.0, 7.0, 9.0, 11.0, 13.0, 15.0, 17.0)


def ln(x: float) -> float:
    """Natural logarithm of a positive number, to 13 digits."""
    m, e = math.frexp(x)
    if m < _HALF_ROOT:
        m, e = m * 2.0, e - 1
    t = (m - 1.0) / (m + 1.0)
    square, power, total = t * t, t, t
    for n in _ODD:
        power = power * square
        total = total + power / n
    return 2.0 * total + e * _LN2


def ln_columns(x: F8) -> F8:
    """`ln` of every number, the same bits."""
    m, e = np.frexp(x)
    low = m < _HALF_ROOT
    m, e = np.where(low, m * 2.0, m), np.where(low, e - 1, e)
    t = (m - 1.0) / (m + 1.0)
    square, power, total = t * t, t, t
    for n in _ODD:
        power = power * square
        total = total + power / n
    result: F8 = 2.0 * total + e * _LN2
    return result


def _nominal() -> tuple[float, ...]:
    """Weight of each bin for the largest of `BLOCK` deviations of normal noise to one side."""
    below = [(0.5 * (1.0 + math.erf(math.exp(WIDTH * k) / math.sqrt(2.0)))) ** BLOCK for k in range(BINS)]
    edges = [0.0, *below[1:], 1.0]
    return tuple(NOMINAL * (b - a) for a, b in pairwise(edges))


NORMAL_TAIL = _nominal()


def bin_of(log: float) -> int:
    """The bin that a logarithm falls into."""
    return min(max(math.floor(log / WIDTH), 0), BINS - 1)


class Tail:
    """The deviations of one series to one side.

    begin: logarithm of the deviation that `TAIL` of the blocks exceed · slope: of the tail beyond it.
    """

    __slots__ = ("begin", "counts", "slope", "total")

    def __init__(self) -> None:
        self.counts = array("f", NORMAL_TAIL)
        self.total = NOMINAL
        self._fit()

    def rarity(self, deviation: float) -> float:
        """−ln of the share of blocks that reach this deviation (standard deviations); 0 in the body."""
        log = ln(deviation) if deviation > 1e-9 else -99.0
        return TAIL_LN + (log - self.begin) / self.slope if log > self.begin else 0.0

    def learn(self, largest: float) -> None:
        """A block has ended; the old ones fade."""
        self.counts = array("f", [c * KEEP for c in self.counts])
        self.total = self.total * KEEP + 1.0
        self.counts[bin_of(ln(largest)) if largest > 1e-9 else 0] += 1.0
        self._fit()

    def _fit(self) -> None:
        want = TAIL * self.total
        above = moment = 0.0
        k = BINS - 1
        while k > 0 and above + self.counts[k] < want:
            above += self.counts[k]
            moment += self.counts[k] * (WIDTH * (k + 0.5))
            k -= 1
        share = min((want - above) / self.counts[k], 1.0)
        part = self.counts[k] * share
        self.begin = WIDTH * (k + 1 - share)
        excess = moment - self.begin * above + part * (WIDTH * share / 2.0)
        self.slope = (excess + SLOPE * SLOPE_WEIGHT) / (above + part + SLOPE_WEIGHT)


def fit_columns(kept: NDArray[np.floating[Any]], total: F8) -> tuple[F8, F8]:
    """(begin, slope) of tails whose histograms stand in columns; the same bits as `Tail`."""
    counts = kept.astype(np.float64)
    want = TAIL * total
    above, moment = np.zeros_like(total), np.zeros_like(total)
    last = np.full(total.shape, BINS - 1)
    going = np.ones(total.shape, np.bool_)
    for k in range(BINS - 1, 0, -1):
        going = going & (above + counts[k] < want)
        moment = np.where(going, moment + counts[k] * (WIDTH * (k + 0.5)), moment)
        above = np.where(going, above + counts[k], above)
        last = np.where(going, k - 1, last)
    there = np.take_along_axis(counts, last[None], axis=0)[0]
    share = np.minimum((want - above) / there, 1.0)
    part = there * share
    begin = WIDTH * (last + 1 - share)
    excess = moment - begin * above + part * (WIDTH * share / 2.0)
    return begin, (excess + SLOPE * SLOPE_WEIGHT) / (above + part + SLOPE_WEIGHT)
