"""Detectors over one whole series, as they would have judged it live: causal, with their defaults."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from alerts.detect.baseline import Baseline
from alerts.detect.days import PLAIN, QUARTER
from alerts.detect.episodes import Episodes
from gateway.errors import BadInput
from gateway.model import Ms

F8 = NDArray[np.float64]
I8 = NDArray[np.int64]
Bool = NDArray[np.bool_]

ALARM = 0.5
"""Scores from here on are alarms at the default sensitivity."""
RARE = 3.75
"""Rarity (−ln of the share of blocks) that is worth a score of `ALARM`."""
LEARN_MS: Ms = 86_400_000
LEARN = (50, 750)
"""A day of values only teaches, at least and at most so many of them: scores are 0 there."""
USUAL = 50
"""First values whose median distance is taken as the step; none of them is scored."""
PLAIN_SIGMA = 3.0
"""Where the plain threshold alarms."""
UNSAID: Ms = 2**40
"""In place of an offset: the time does not say whose clock it is of."""
SECONDS = (300_000_000, 5_000_000_000)
"""Numbers that are seconds since 1970 and no milliseconds (1979 to 2128)."""
FURTHEST: Ms = 5_000_000_000_000
"""Times from here on (2128) are in smaller units than milliseconds, or no times."""
LARGEST = 1e150
"""Beyond this a value is judged as this: its square is a number still."""

Detector = Callable[[I8, F8, int, I8], F8]
"""(t ms strictly ascending, finite values, how many of them teach only, ms of the clock on the wall) →
scores in [0, 1]."""


def score(
    timestamps: ArrayLike, values: ArrayLike, detector: str = "baseline", *, zone: tzinfo | None = None
) -> F8:
    """How unusual each value of one series is, 0 to 1, by what came before it alone.

    timestamps: ms since 1970 as whole numbers, datetime64, datetime (without a zone: UTC) or ISO 8601 texts ·
    values: numbers; NaN and infinity are gaps and score 0 · detector: `DETECTORS` · zone: whose hours and
    days of the week they are, where times do not say it themselves by an offset (none: UTC).

    A score above 0 stands where something new begins or gets clearly worse, not as long as it lasts. It
    grows with rarity in this series' own history, so one threshold serves all series; `ALARM` is the default.
    The first day (at least 50, at most 750 values) scores 0. A score never changes by what comes after it:
    those of the beginning of a series are the beginning of its scores. As in the live engine a value whose
    time is not newer than all before it is not judged and scores 0. Raises BadInput: unlike lengths, a time
    or value that is none, times in seconds or microseconds, an unknown detector, series out of order (more
    than half of the values late).
    """
    judge = _known(detector)
    t, v, usable, wall = _usable(timestamps, values, zone)
    result = np.zeros(len(v))
    learn = learning(t[usable])
    with np.errstate(over="ignore"):
        found = judge(t[usable], np.clip(v[usable], -LARGEST, LARGEST), learn, wall[usable])
    found[:learn] = 0.0
    result[usable] = found
    return result


def expectations(timestamps: ArrayLike, values: ArrayLike, *, zone: tzinfo | None = None) -> tuple[F8, F8]:
    """What `baseline` expected of each value, and how rare it was (−ln of the share of blocks; 0: ordinary).

    Input and errors as of `score`; NaN where a value was not judged.
    """
    t, v, usable, wall = _usable(timestamps, values, zone)
    expected, rarity = np.full(len(v), np.nan), np.full(len(v), np.nan)
    series = Baseline(usual_step(t[usable]))
    for n in np.flatnonzero(usable).tolist():
        judged = series.take(int(t[n]), float(v[n]), PLAIN.slot(int(wall[n])))
        expected[n], rarity[n] = judged.expected, judged.rarity
    return expected, rarity


def _usable(timestamps: ArrayLike, values: ArrayLike, zone: tzinfo | None) -> tuple[I8, F8, Bool, I8]:
    """(ms, values, which are judged, ms of the clock on the wall). Raises BadInput."""
    t, shift = _times(timestamps)
    v = _values(values)
    if len(t) != len(v):
        raise BadInput(f"{len(t)} timestamps and {len(v)} values", field="values", hint="one of each")
    newest = np.maximum.accumulate(t) if len(t) else t
    fresh = np.ones(len(t), np.bool_)
    fresh[1:] = t[1:] > newest[:-1]
    if int((~fresh).sum()) * 2 > len(t):
        raise BadInput(
            "more than half of the timestamps are not newer than those before them",
            field="timestamps",
            hint="sort the series by time and keep one value for each",
        )
    unsaid = shift == UNSAID
    wall = t + np.where(unsaid, _offsets(t, zone) if unsaid.any() else 0, shift)
    return t, v, fresh & np.isfinite(v), wall


def alarms(
    timestamps: ArrayLike, values: ArrayLike, detector: str = "baseline", *, zone: tzinfo | None = None
) -> Bool:
    """Where `score` reaches `ALARM`."""
    flags: Bool = score(timestamps, values, detector, zone=zone) >= ALARM
    return flags


def _known(name: str) -> Detector:
    if name not in DETECTORS:
        known = ", ".join(sorted(DETECTORS))
        raise BadInput(f"detector {name!r} is unknown", field="detector", hint=f"known: {known}")
    return DETECTORS[name]


# ── detectors ─────────────────────────────────────────────────────────────────────────────────────────


def usual_step(t: I8) -> Ms:
    """The median distance of the first times, ms."""
    return max(round(float(np.median(np.diff(t[:USUAL])))), 1) if len(t) > 1 else 1000


def learning(t: I8) -> int:
    """How many values only teach: a day of them by their usual step."""
    return min(max(math.ceil(LEARN_MS / usual_step(t)), LEARN[0]), LEARN[1])


def graded(rarity: float) -> float:
    """A rarity as a score: 0 for 0, `ALARM` for `RARE`, towards 1 without reaching it."""
    return rarity / (rarity + RARE)


def _baseline(t: I8, v: F8, learn: int, wall: I8) -> F8:
    series, episodes = Baseline(usual_step(t)), Episodes()
    result = np.zeros(len(v))
    slots = PLAIN.slots(wall).tolist()
    for n, (at, value, slot) in enumerate(zip(t.tolist(), v.tolist(), slots, strict=True)):
        rarity = series.take(at, value, slot).rarity
        if episodes.new(at, rarity):
            result[n] = graded(rarity)
    return result


def _threshold(t: I8, v: F8, learn: int, wall: I8) -> F8:
    """Beyond mean ± 3 standard deviations of what was learnt first."""
    if not len(v):
        return v
    first = v[:learn]
    spread = float(first.std())
    off = np.abs(v - first.mean())
    z = off / spread if spread > 0 else np.where(off > 0, 1e3, 0.0)
    graded_z: F8 = z / (z + PLAIN_SIGMA)
    return graded_z


def _random(t: I8, v: F8, learn: int, wall: I8) -> F8:
    """Chance, always the same: what a detector must be better than."""
    return np.random.default_rng(0).random(len(v))


def _ones(t: I8, v: F8, learn: int, wall: I8) -> F8:
    """Always alarm."""
    return np.ones(len(v))


DETECTORS: dict[str, Detector] = {
    "baseline": _baseline,
    "threshold": _threshold,
    "random": _random,
    "ones": _ones,
}
"""By name; whoever adds one registers it here."""


# ── input ─────────────────────────────────────────────────────────────────────────────────────────────


def _values(values: ArrayLike) -> F8:
    try:
        v = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise _odd_one(_items(values), "values", float, "a number") from None
    if v.ndim != 1:
        raise BadInput(f"{v.ndim} dimensions instead of one", field="values", hint="score one series")
    return v


def _offsets(t: I8, zone: tzinfo | None) -> I8:
    """Of a zone's clock from UTC at these times, ms."""
    if zone is None:
        return np.zeros(len(t), np.int64)
    quarters, back = np.unique(t // QUARTER, return_inverse=True)
    found = [datetime.fromtimestamp(q * (QUARTER // 1000), zone).utcoffset() for q in quarters.tolist()]
    each = [0 if f is None else f // timedelta(milliseconds=1) for f in found]
    out: I8 = np.asarray(each, np.int64)[back]
    return out


def _times(timestamps: ArrayLike) -> tuple[I8, I8]:
    """(ms since 1970, offset of the clock that each was written by; UNSAID where it does not say it)."""
    t, shift = _read(timestamps)
    return t, np.full(len(t), UNSAID, np.int64) if shift is None else shift


def _read(timestamps: ArrayLike) -> tuple[I8, I8 | None]:
    """See `_times`; None where none of them says it."""
    raw = np.asarray(timestamps)
    if raw.ndim != 1:
        raise BadInput(f"{raw.ndim} dimensions instead of one", field="timestamps", hint="score one series")
    if not len(raw):
        return np.zeros(0, np.int64), None
    if raw.dtype.kind == "M":
        if np.isnat(raw).any():
            at = int(np.flatnonzero(np.isnat(raw))[0])
            raise BadInput(f"entry {at}: NaT is no time", field="timestamps", hint="leave such rows out")
        return raw.astype("datetime64[ms]").astype(np.int64), None
    if raw.dtype.kind == "f" and not np.isfinite(raw).all():
        at = int(np.flatnonzero(~np.isfinite(raw))[0])
        raise BadInput(f"entry {at}: {raw[at]} is no time", field="timestamps", hint="leave such rows out")
    if raw.dtype.kind in "iu" or (raw.dtype.kind == "f" and bool((np.floor(raw) == raw).all())):
        t = raw.astype(np.int64)
        if SECONDS[0] <= t.min() and t.max() <= SECONDS[1]:
            raise BadInput(
                "these look like seconds", field="timestamps", hint="multiply by 1000: ms since 1970"
            )
        if t.min() > FURTHEST:
            raise BadInput(
                "these look like microseconds or nanoseconds", field="timestamps", hint="give ms since 1970"
            )
        return t, None
    items = _items(timestamps)
    try:
        both = np.asarray([_ms(x) for x in items], np.int64).reshape(-1, 2)
    except (TypeError, ValueError):
        raise _odd_one(items, "timestamps", _ms, "ISO 8601, such as 2026-03-01 08:15:00") from None
    return both[:, 0], both[:, 1]


def _ms(item: Any) -> tuple[Ms, Ms]:
    """(ms since 1970, offset or UNSAID). Raises TypeError or ValueError for what is no time."""
    if isinstance(item, np.datetime64):
        return int(item.astype("datetime64[ms]").astype(np.int64)), UNSAID
    if isinstance(item, str):
        item = datetime.fromisoformat(item.strip())
    if isinstance(item, int) and not isinstance(item, bool):
        return item, UNSAID
    if not isinstance(item, datetime):
        raise TypeError(item)
    offset = item.utcoffset()
    aware = item if item.tzinfo else item.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000), UNSAID if offset is None else offset // timedelta(milliseconds=1)


def _items(given: Any) -> Sequence[Any]:
    return given.tolist() if isinstance(given, np.ndarray) else list(given)


def _odd_one(items: Sequence[Any], field: str, read: Callable[[Any], Any], hint: str) -> BadInput:
    """Names the first entry that cannot be read."""
    for n, item in enumerate(items):
        try:
            read(item)
        except (TypeError, ValueError):
            return BadInput(f"entry {n}: {item!r:.40} cannot be read", field=field, hint=hint)
    return BadInput("cannot be read", field=field, hint=hint)
