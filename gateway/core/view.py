"""The read model: what the core knows now, in the form in which pages show it."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.config.site import Site
from gateway.model import Asset, Level, Ms, Point, Reason, Samples, Scope, level_of, quality

ACCOUNT_S = 10.0
"""Seconds between two accounts of an edge."""

AHEAD_MS = 60_000
"""A time stamp further ahead of the core's clock is doubtful."""

Value = tuple[Ms, float | None, int]


def stale_after_s(p: Point) -> float:
    """Seconds without proof after which a value is stale: 3 × max(period, account interval)."""
    return 3 * max(p.period_s, ACCOUNT_S)


class _Columns:
    """What staleness needs of each value, as columns that grow."""

    def __init__(self) -> None:
        self.t = np.zeros(0, np.int64)
        self.limit = np.zeros(0, np.int64)
        self.silence = np.zeros(0, np.int64)
        self.device = np.zeros(0, np.int64)
        self.seen = np.zeros(0, np.bool_)
        self.stale = np.zeros(0, np.bool_)
        self.doubtful = np.zeros(0, np.bool_)

    def grow(self, n: int) -> None:
        """Room for `n` rows."""
        for name, old in vars(self).items():
            new = np.zeros(n, old.dtype)
            new[: len(old)] = old
            setattr(self, name, new)


class View:
    """Latest values with their proof of life, and the site's static truth. `mode_of`: an asset's mode now."""

    def __init__(
        self,
        site: Site,
        assets: Mapping[str, Asset],
        device_of: Mapping[str, tuple[str, str]],
        mode_of: Callable[[str], str],
    ) -> None:
        self.site, self.mode_of = site, mode_of
        self.assets = dict(assets)
        self.lost: Collection[str] = ()
        """Gateways that are silent; set by the core."""
        self._firm_of = site.firm_of
        self._device_of = device_of
        self._points: dict[str, Point] = {}
        self._series: dict[str, int] = {}
        self._on: dict[str, dict[str, None]] = {}
        self._ids: dict[int, str] = {}
        self._last: dict[str, Value] = {}
        self._rows: dict[str, int] = {}
        self._names: list[str] = []
        self._devices: dict[tuple[str, str], int] = {("", ""): 0}
        self._proof = np.zeros(1, np.int64)
        self._c = _Columns()

    def add_point(self, series: int, point: Point) -> None:
        """Make a point known; the richer description (names, codes) wins."""
        known = self._points.get(point.id)
        if known is None or (point.name and not known.name):
            self._points[point.id] = point
        self._series[point.id] = series
        self._on.setdefault(point.asset, {})[point.id] = None
        self._ids[series] = point.id
        row = self._rows.setdefault(point.id, len(self._names))
        if row == len(self._names):
            self._names.append(point.id)
        c, p = self._c, self._points[point.id]
        if row >= len(c.t):
            c.grow(2 * row + 16)
        c.limit[row] = round(stale_after_s(p) * 1000)
        c.silence[row] = round(p.silence_s * 1000)
        c.device[row] = self._device(self._device_of.get(point.id, ("", "")))

    def _device(self, key: tuple[str, str]) -> int:
        n = self._devices.setdefault(key, len(self._devices))
        if n >= len(self._proof):
            self._proof = np.concatenate([self._proof, np.zeros(n + 16, np.int64)])
        return n

    def series_id(self, point: str) -> int | None:
        """Registry id, None when unknown."""
        return self._series.get(point)

    def point(self, point: str) -> Point | None:
        """Static truth of a point."""
        return self._points.get(point)

    def points_on(self, asset: str) -> list[str]:
        """Ids of the points of an asset."""
        return list(self._on.get(asset, ()))

    def point_of(self, series: int) -> str:
        """Point id of a series, "" when unknown."""
        return self._ids.get(series, "")

    # ── values ────────────────────────────────────────────────────────────────────────────────────────

    def take(self, samples: Samples, now: Ms) -> dict[str, dict[str, Value]]:
        """Note newer values; returns what changed by estate.

        A value from the future counts as one of now whose time is doubtful: it must grow old like any other.
        """
        changed: dict[str, dict[str, Value]] = {}
        s = samples[_newest_of_each(samples)]
        ahead = s.t > now + AHEAD_MS
        times = np.where(ahead, now, s.t).tolist()
        doubtful = np.uint8(quality(Level.UNCERTAIN, Reason.CLOCK_STEP))
        qualities = np.where(ahead, np.maximum(s.q, doubtful), s.q).tolist()
        for series, t, v, q in zip(s.series.tolist(), times, s.v.tolist(), qualities, strict=True):
            name = self._ids.get(series)
            if name is None or (name in self._last and self._last[name][0] > t):
                continue
            row = self._rows[name]
            self._last[name] = (t, v if math.isfinite(v) else None, q)
            self._c.t[row], self._c.seen[row], self._c.stale[row] = t, True, False
            changed.setdefault(self._estate(name), {})[name] = self._last[name]
        return changed

    def prove(self, gateway: str, device: str, t: Ms) -> None:
        """The device's rounds succeeded up to t: unchanged values are still true."""
        n = self._device((gateway, device))
        self._proof[n] = max(t, int(self._proof[n]))

    def doubt(self, series: Collection[int]) -> None:
        """Of these the newest value is still on its way: no proof of life helps the one that is known."""
        self._c.doubtful[:] = False
        rows = [self._rows[self._ids[s]] for s in series if s in self._ids]
        self._c.doubtful[rows] = True

    def expire(self, now: Ms) -> dict[str, dict[str, Value]]:
        """Values that became stale by now, or are not any more, by estate."""
        changed: dict[str, dict[str, Value]] = {}
        stale = self._stale_at(now)
        for row in np.flatnonzero(stale != self._c.stale).tolist():
            name = self._names[row]
            self._c.stale[row] = stale[row]
            changed.setdefault(self._estate(name), {})[name] = self._shown(name, stale=bool(stale[row]))
        return changed

    def _stale_at(self, now: Ms) -> NDArray[np.bool_]:
        c = self._c
        proof = np.where(c.device > 0, np.maximum(c.t, self._proof[c.device]), c.t)
        proof = np.where(c.doubtful, c.t, proof)
        silent = (c.device > 0) & (now - c.t > c.silence + c.limit)
        stale: NDArray[np.bool_] = c.seen & ((now - proof > c.limit) | silent)
        return stale

    def _shown(self, name: str, *, stale: bool) -> Value:
        t, v, q = self._last[name]
        if stale and level_of(q) < Level.STALE:
            gateway = self._device_of.get(name, ("", ""))[0]
            q = quality(Level.STALE, Reason.GATEWAY_LOST if gateway in self.lost else Reason.NO_ANSWER)
        return t, v, q

    def values(self, scope: Scope, now: Ms) -> dict[str, Value]:
        """Latest values within scope as of now; the quality is at least STALE when the proof is too old."""
        stale = self._stale_at(now)
        return {
            name: self._shown(name, stale=bool(stale[self._rows[name]]))
            for name in self._last
            if self.allows(scope, name.split("/", 1)[0])
        }

    def value(self, name: str, now: Ms) -> Value | None:
        """One value as of now, as `values` gives it; None when there is none."""
        if name not in self._last:
            return None
        return self._shown(name, stale=bool(self._stale_at(now)[self._rows[name]]))

    def stale(self) -> int:
        """How many values are stale."""
        return int(self._c.stale.sum())

    def __len__(self) -> int:
        return len(self._last)

    def _estate(self, name: str) -> str:
        asset = self.assets.get(name.split("/", 1)[0])
        return asset.estate if asset else ""

    def allows(self, scope: Scope, asset_id: str) -> bool:
        """Whether a scope includes an asset."""
        asset = self.assets.get(asset_id)
        if asset is None:
            return False
        firm = self._firm_of[asset.estate]
        return scope.allows(firm=firm, estate=asset.estate, system=asset.kind)

    def static(self, scope: Scope) -> dict[str, Any]:
        """Site, estates, assets, points and contractors within scope."""
        file = self.site.file
        firms = {f.id: f.name.as_text() for f in file.firms}
        estates = [
            {
                "id": e.id,
                "name": e.name.as_text(),
                "firm": e.firm,
                "firm_name": firms[e.firm],
                "address": e.address.as_text(),
                "households": e.households,
                "complaint_phone": e.complaint_phone,
                "hazards_public": e.hazards_public,
            }
            for e in file.estates
            if scope.allows(firm=e.firm, estate=e.id)
        ]
        assets = [self.asset_dict(a) for a in self.assets if self.allows(scope, a)]
        points = [self._point_dict(p) for p in self._points.values() if self.allows(scope, p.asset)]
        return {
            "site": {
                "id": file.site.id,
                "name": file.site.name.as_text(),
                "timezone": file.site.timezone,
            },
            "estates": estates,
            "assets": assets,
            "points": points,
            "contractors": [
                {"id": c.id, "name": c.name.as_text(), "phone": c.phone, "duty": c.duty}
                for c in file.contractors
            ],
        }

    def asset_dict(self, id_: str) -> dict[str, Any]:
        """One asset as JSON."""
        a = self.assets[id_]
        return {
            "id": a.id,
            "estate": a.estate,
            "system": a.kind,
            "name": dict(a.name),
            "place": dict(a.place),
            "contractor": a.contractor,
            "boundary": a.boundary,
            "depends_on": list(a.depends_on),
            "mode": self.mode_of(a.id),
        }

    def _point_dict(self, p: Point) -> dict[str, Any]:
        return {
            "id": p.id,
            "asset": p.asset,
            "tag": p.tag,
            "unit": p.unit,
            "kind": p.kind,
            "name": dict(p.name),
            "decimals": p.decimals,
            "codes": {str(k): dict(v) for k, v in p.codes.items()},
            "low": p.low,
            "high": p.high,
            "period_s": p.period_s,
            "stale_s": stale_after_s(p),
        }


def _newest_of_each(s: Samples) -> NDArray[np.int64]:
    """Rows that are the newest of their series, the last one where times are equal."""
    order = np.lexsort((np.arange(len(s)), s.t, s.series))
    last = np.ones(len(s), np.bool_)
    last[:-1] = s.series[order][1:] != s.series[order][:-1]
    rows: NDArray[np.int64] = order[last]
    return rows
