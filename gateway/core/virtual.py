"""Virtual points while the core runs: each change of an input makes a sample, and so does the proof of life.

Inputs hold their last value (report by exception) for as long as their device's rounds prove it. A point
speaks for the time up to which all of its inputs are known; one that has stayed behind longer than it may
makes it BAD. Backlog of an outage is not worked out again: that stretch stays without virtual samples.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from alerts.virtual import Formula
from gateway.core.intake import Readings, Turn
from gateway.core.view import stale_after_s
from gateway.model import Level, Ms, Point, Reason, Samples, quality
from gateway.ports import StateStore

AGAIN_MS: Ms = 10_000
"""A value that does not change is told again this often while its inputs are proven."""
UNSEEN = quality(Level.BAD, Reason.NEVER_SEEN)
STALE = quality(Level.BAD, Reason.DEVICE_STALE)
Row = tuple[int, Ms, float, int]
"""(series, t, v, quality)."""


@dataclass(slots=True)
class _Input:
    """One input: its newest value, up to when it is proven, and up to when an account proved it."""

    device: tuple[str, str]
    hold_ms: Ms
    t: Ms = 0
    v: float = math.nan
    q: int = UNSEEN
    proven: Ms = 0
    account: Ms = 0
    of: list[int] = field(default_factory=list)


class Virtuals:
    """`points`: by series."""

    def __init__(
        self,
        specs: Mapping[str, tuple[Point, Formula]],
        points: Mapping[str, Point],
        device_of: Mapping[str, tuple[str, str]],
        state: StateStore,
    ) -> None:
        ids = [id_ for _, f in specs.values() for id_ in f.inputs]
        names = sorted({*specs, *ids})
        series = state.series([(n.split("/", 1)[0], n.split("/", 1)[1]) for n in names]) if names else {}
        sid = {f"{asset}/{tag}": s for (asset, tag), s in series.items()}
        self.points = {sid[id_]: point for id_, (point, _) in specs.items()}
        self._formulas = {sid[id_]: f for id_, (_, f) in specs.items()}
        self._wires = {sid[id_]: [sid[i] for i in f.inputs] for id_, (_, f) in specs.items()}
        self._inputs: dict[int, _Input] = {}
        for own, wires in self._wires.items():
            for s, id_ in zip(wires, self._formulas[own].inputs, strict=True):
                hold = round(stale_after_s(points[id_]) * 1000)
                self._inputs.setdefault(s, _Input(device_of.get(id_, ("", "")), hold)).of.append(own)
        self._watched = np.asarray(sorted(self._inputs), np.int64)
        self._told: dict[int, Ms] = {}
        self._edges = {s: device_of.get(p.id, ("", ""))[0] for s, p in self.points.items()}

    @property
    def series(self) -> list[int]:
        """Of the points and their inputs."""
        return [*self.points, *self._inputs]

    def restore(self, last: Samples) -> None:
        """After a start: what the detectors were fed last, so that both stand at the same place.

        What held its value without a sample counts as proven once more until the next account.
        """
        newest = int(last.t.max()) if len(last) else 0
        for s, t, v, q in _rows(last):
            if s in self._inputs:
                self._take(self._inputs[s], t, v, q)
                self._inputs[s].proven = newest
            elif s in self.points:
                self._told[s] = t

    # ── what comes in ─────────────────────────────────────────────────────────────────────────────────

    def extend(self, turn: Turn) -> None:
        """Put what follows from all live readings of a turn behind the last ones of its edge."""
        live = {n: s for n, s in enumerate(turn.steps) if isinstance(s, Readings) and not s.late}
        if not (live and len(self._watched)):
            return
        rows: dict[int, list[Row]] = {}
        for row in self._follow(Samples.concat([step.samples for step in live.values()])):
            edge = self._edges[row[0]]
            place = max((n for n, step in live.items() if step.gateway == edge), default=max(live))
            rows.setdefault(place, []).append(row)
        for n, more in rows.items():
            turn.steps[n] = replace(live[n], samples=Samples.concat([live[n].samples, _samples(more)]))

    def _follow(self, samples: Samples) -> Iterator[Row]:
        some = samples[np.isin(samples.series, self._watched)]
        some = some[np.argsort(some.t, kind="stable")]
        changed: set[int] = set()
        at: Ms = 0
        for s, t, v, q in _rows(some):
            if t > at:
                yield from self._tell(changed, at)
                changed = set()
            mine = self._inputs[s]
            if t < mine.t:
                continue  # late: something newer is known
            self._take(mine, t, v, q)
            changed.update(mine.of)
            at = t
        yield from self._tell(changed, at)

    def _take(self, mine: _Input, t: Ms, v: float, q: int) -> None:
        mine.t, mine.v, mine.q, mine.proven = t, v, q, max(mine.proven, t)

    def _tell(self, series: Collection[int], t: Ms) -> Iterator[Row]:
        for own in sorted(series):
            # What comes a little late changes the value from now on, not what was said before.
            self._told[own] = at = max(t, self._told.get(own, 0) + 1)
            yield (own, at, *self._value(own, t))

    def _value(self, own: int, t: Ms) -> tuple[float, int]:
        inputs = [self._inputs[s] for s in self._wires[own]]
        qualities = [i.q if t - i.proven <= i.hold_ms else max(i.q, STALE) for i in inputs]
        if any(i.t == 0 for i in inputs):
            return math.nan, UNSEEN
        return self._formulas[own].value([i.v for i in inputs], qualities)

    # ── what time brings ──────────────────────────────────────────────────────────────────────────────

    def prove(self, gateway: str, devices: Collection[str], t: Ms) -> None:
        """The rounds of these devices succeeded up to t."""
        for mine in self._inputs.values():
            if mine.device[0] == gateway and mine.device[1] in devices and mine.t > 0:
                mine.account = max(mine.account, t)
                mine.proven = max(mine.proven, t)

    def due(self) -> list[tuple[str, Samples]]:
        """By edge: points whose value is due once more, or whose inputs have grown too old."""
        out: dict[str, list[Row]] = {}
        for own, wires in self._wires.items():
            inputs = [self._inputs[s] for s in wires]
            newest = max(i.account for i in inputs)
            behind = any(newest - i.proven > i.hold_ms for i in inputs)
            t = newest if behind else min(i.account for i in inputs)
            if t - self._told.get(own, 0) >= AGAIN_MS:
                self._told[own] = t
                out.setdefault(self._edges[own], []).append((own, t, *self._value(own, t)))
        return [(edge, _samples(rows)) for edge, rows in sorted(out.items())]


def _rows(samples: Samples) -> Iterator[Row]:
    yield from zip(
        samples.series.tolist(), samples.t.tolist(), samples.v.tolist(), samples.q.tolist(), strict=True
    )


def _samples(rows: Sequence[Row]) -> Samples:
    series, t, v, q = zip(*rows, strict=True)
    return Samples.of(series, t, v, q)
