"""Several channels of one machine judged together: what each should read, given the others.

While the machine is healthy each channel is a ridge regression of the others (Hoerl & Kennard 1970). Its
residual is smoothed (EWMA, Roberts 1959), freed from slow drift, and the residuals of all channels are
weighed with one covariance (Hotelling's T², multivariate EWMA after Lowry et al. 1992). Two things make it
stay quiet on machines that warm up and wander:

- The covariance is that of residuals that were *not* fitted: the first quarter predicts the rest, the last
  quarter what came before, and so on. A channel that wanders inside the fit gets wide limits by itself.
- Each channel's zero follows it slowly as long as that channel is well inside its limits, and stands still
  otherwise: drift is followed, a step stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from alerts.detect.channels_input import fit_of, matrix_of, sized, steps_of

F8 = NDArray[np.float64]
I8 = NDArray[np.int64]
Bool = NDArray[np.bool_]

FAST = 0.07
"""Share of a new residual in its smooth value, at the usual interval."""
FOLLOW = 150.0
"""Usual intervals in which a quiet channel's zero follows it."""
LIMIT = 7.0
"""An alarm begins above so many times the mean T² per channel of residuals that were not fitted."""
INSIDE = 0.5
"""A channel's zero follows it while its own square is below this share of the limit."""
HOLD = 10
"""Samples that an alarm outlasts its cause, so that it does not flicker."""
RIDGE = 10.0
"""Penalty, in squared standard deviations of the fit."""
SHRINK = 0.1
"""Share of the diagonal in the covariance (Ledoit & Wolf 2004 in spirit; one figure for all)."""
LEAST = 60
"""Rows that a fit needs at least; and eight per channel."""
PARTS = (0.25, 0.5, 0.75)


@dataclass(frozen=True, slots=True)
class Explained:
    """One row per sample.

    channel: index of the channel that is furthest out, −1 while there is no alarm · value: its reading ·
    expected: what the other channels (and its own slow drift) say it should read; NaN while there is none.
    """

    channel: I8
    value: F8
    expected: F8


def score_channels(timestamps: Sequence[Any] | ArrayLike, matrix: ArrayLike, fit: int) -> tuple[F8, Bool]:
    """How abnormal each sample is, and whether an alarm stands; causal, without labels.

    timestamps: not descending; numbers, datetimes or ISO texts, only ratios of their steps matter · matrix:
    rows are samples, columns channels; NaN or None is a reading that is missing · fit: this many first rows
    are taken as healthy; they get score 0 and no alarm. Scores are in [0, 1]; above 0.5 an alarm begins,
    which ends ten samples after the last such score.

    A channel that never moves in the fit, or has fewer than half of its readings there, is not judged.
    Raises ValueError, which names the entry, for what is no time or number, an infinite value, shapes that
    disagree, time that runs backwards, a fit that is too short (60 rows and eight per channel) or longer than
    the data, or when no channel is left.
    """
    judged = _judge(timestamps, matrix, fit)
    ratio = judged.total / LIMIT
    return ratio / (1.0 + ratio), judged.alarm


def explain_channels(timestamps: Sequence[Any] | ArrayLike, matrix: ArrayLike, fit: int) -> Explained:
    """Which channel each alarm of `score_channels` is about and what it should read; same contract."""
    judged = _judge(timestamps, matrix, fit)
    values = matrix_of(matrix)
    rows = np.arange(len(values))
    worst = judged.kept[np.argmax(judged.share, axis=1)]
    out = np.full(len(values), np.nan)
    channel = np.where(judged.alarm, worst, -1)
    return Explained(
        channel.astype(np.int64),
        np.where(judged.alarm, values[rows, worst], out),
        np.where(judged.alarm, judged.expected[rows, np.argmax(judged.share, axis=1)], out),
    )


@dataclass(frozen=True, slots=True)
class _Judged:
    """total: T² per channel · share: each kept channel's part · expected: in the channels' units."""

    kept: I8
    total: F8
    alarm: Bool
    share: F8
    expected: F8


@dataclass(frozen=True, slots=True)
class Ridge:
    """Each column from the others: `weights[i, j]` is what column i says about column j."""

    mean: F8
    weights: F8

    @classmethod
    def of(cls, rows: F8) -> Ridge:
        """Fitted to rows whose columns have a spread of about one."""
        mean = rows.mean(axis=0)
        centred = rows - mean
        n = centred.shape[1]
        gram = centred.T @ centred + RIDGE * np.eye(n)
        # Regressing each column on all others is reading the inverse of the Gram matrix column by column.
        inverse = np.linalg.inv(gram)
        weights = -inverse / np.diag(inverse)
        np.fill_diagonal(weights, 0.0)
        return cls(mean, weights)

    def residuals(self, rows: F8) -> F8:
        """Reading minus expectation."""
        centred = rows - self.mean
        out: F8 = centred - centred @ self.weights
        return out


def _judge(timestamps: Sequence[Any] | ArrayLike, matrix: ArrayLike, fit: int) -> _Judged:
    given = matrix_of(matrix)
    step, fit = steps_of(timestamps, len(given)), fit_of(fit, len(given))
    values, power = sized(given, fit)
    kept = _kept(values, fit)
    here = ~np.isnan(values[:, kept])
    held = _held(values[:, kept], fit)
    spread = held[:fit].std(axis=0)
    scaled = held / spread
    usual = float(np.median(step[1:fit]))
    step = np.clip(step / usual, 0.0, 10.0) if usual > 0 else np.ones(len(step))
    gain = step * FAST / (1.0 - FAST + step * FAST)
    smooth = _smooth(Ridge.of(scaled[:fit]).residuals(scaled), gain, here)
    covariance = _unfitted(scaled[:fit], gain[:fit], here[:fit])
    zero, total, share = _follow(smooth, covariance, step, fit)
    raw = Ridge.of(scaled[:fit]).residuals(scaled)
    with np.errstate(over="ignore"):  # a wild reading beside channels of 1e300
        expected = np.ldexp((scaled - raw + zero) * spread, power[kept])
    return _Judged(kept, total, _hold(total > LIMIT), share, expected)


def _kept(values: F8, fit: int) -> I8:
    """Columns that can be judged. Raises ValueError for a fit that is too short for them."""
    n = len(values)
    if fit < LEAST:
        raise ValueError(f"fit: {fit} of {n} rows; at least {LEAST} healthy rows are needed")
    head = values[:fit]
    there = (~np.isnan(head)).sum(axis=0) * 2 >= fit
    low = np.where(np.isnan(head), np.inf, head).min(axis=0)
    high = np.where(np.isnan(head), -np.inf, head).max(axis=0)
    kept = np.flatnonzero(there & (high - low > 1e-9 * np.abs(high)))
    if not len(kept):
        raise ValueError("matrix: no channel moves within the fit; take a stretch with the machine running")
    if fit < 8 * len(kept):
        raise ValueError(f"fit: {fit} rows for {len(kept)} channels; write at least {8 * len(kept)}")
    return kept.astype(np.int64)


def _held(values: F8, fit: int) -> F8:
    """Missing readings replaced by the last one, at the beginning by the median of the fit."""
    out = values.copy()
    first = np.isnan(out[0])
    out[0, first] = np.nanmedian(values[:fit, first], axis=0) if first.any() else 0.0
    last = np.where(np.isnan(out), 0, np.arange(len(out))[:, None])
    held: F8 = np.take_along_axis(out, np.maximum.accumulate(last, axis=0), axis=0)
    return held


def _smooth(residuals: F8, gain: F8, here: Bool) -> F8:
    """EWMA; a missing reading leaves its channel where it is."""
    out = np.empty_like(residuals)
    state = np.zeros(residuals.shape[1])
    for k in range(len(residuals)):
        state = np.where(here[k], state + gain[k] * (residuals[k] - state), state)
        out[k] = state
    return out


def _unfitted(rows: F8, gain: F8, here: Bool) -> F8:
    """Second moments of smoothed residuals where the model had not seen them."""
    n, columns = rows.shape
    total, count = np.zeros((columns, columns)), 0
    for part in PARTS:
        cut = round(part * n)
        for seen, other in ((slice(0, cut), slice(cut, n)), (slice(n - cut, n), slice(0, n - cut))):
            smooth = _smooth(Ridge.of(rows[seen]).residuals(rows[other]), gain[other], here[other])
            total += smooth.T @ smooth
            count += len(smooth)
    moments = total / count
    shrunk: F8 = (1.0 - SHRINK) * moments + SHRINK * np.diag(np.diag(moments))
    return shrunk + 1e-9 * np.eye(columns)


def _follow(smooth: F8, covariance: F8, step: F8, fit: int) -> tuple[F8, F8, F8]:
    """Zeros, T² per channel and the channels' own squares, from the end of the fit on."""
    n, columns = smooth.shape
    precision = np.linalg.inv(covariance)
    inside = INSIDE * LIMIT * columns / np.diag(precision)
    follow = step / (FOLLOW + step)
    zero, zeros = np.zeros(columns), np.zeros_like(smooth)
    total, share = np.zeros(n), np.zeros_like(smooth)
    for k in range(fit, n):
        off = smooth[k] - zero
        zeros[k] = zero
        total[k] = max(off @ precision @ off, 0.0) / columns
        share[k] = off * off / np.diag(covariance)
        zero = np.where(off * off < inside, zero + follow[k] * off, zero)
    return zeros, total, share


def _hold(beyond: Bool) -> Bool:
    """True up to `HOLD` samples after the last cause."""
    index = np.arange(len(beyond))
    last = np.maximum.accumulate(np.where(beyond, index, -HOLD - 1))
    held: Bool = index - last <= HOLD
    return held
