"""The read model: what the core knows now, in the form in which pages show it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from gateway.config.site import Site
from gateway.model import Asset, Level, Ms, Point, Reason, Samples, Scope, level_of, quality

ACCOUNT_S = 10.0
"""Seconds between two accounts of an edge."""

Value = tuple[Ms, float | None, int]


def stale_after_s(p: Point) -> float:
    """Seconds without proof after which a value is stale: 3 × max(period, account interval)."""
    return 3 * max(p.period_s, ACCOUNT_S)


class View:
    """Latest values with their proof of life, and the site's static truth."""

    def __init__(
        self, site: Site, assets: Mapping[str, Asset], device_of: Mapping[str, tuple[str, str]]
    ) -> None:
        self.site = site
        self.assets = dict(assets)
        self._firm_of = site.firm_of
        self._device_of = device_of
        self._points: dict[str, Point] = {}
        self._series: dict[str, int] = {}
        self._ids: dict[int, str] = {}
        self._last: dict[str, Value] = {}
        self._proof: dict[tuple[str, str], Ms] = {}
        self._stale: set[str] = set()

    def add_point(self, series: int, point: Point) -> None:
        """Make a point known; the richer description (names, codes) wins."""
        known = self._points.get(point.id)
        if known is None or (point.name and not known.name):
            self._points[point.id] = point
        self._series[point.id] = series
        self._ids[series] = point.id

    def series_id(self, point: str) -> int | None:
        """Registry id, None when unknown."""
        return self._series.get(point)

    def point(self, point: str) -> Point | None:
        """Static truth of a point."""
        return self._points.get(point)

    def point_of(self, series: int) -> str:
        """Point id of a series, "" when unknown."""
        return self._ids.get(series, "")

    def take(self, samples: Samples) -> dict[str, dict[str, Value]]:
        """Note newer values; returns what changed by estate."""
        changed: dict[str, dict[str, Value]] = {}
        order = np.argsort(samples.t, kind="stable")
        rows = zip(
            samples.series[order].tolist(), samples.t[order].tolist(), samples.v[order].tolist(),
            samples.q[order].tolist(), strict=True,
        )  # fmt: skip
        for series, t, v, q in rows:
            name = self._ids.get(series)
            if name is None or (name in self._last and self._last[name][0] > t):
                continue
            value = (t, None if math.isnan(v) else v, q)
            self._last[name] = value
            self._stale.discard(name)
            changed.setdefault(self._estate(name), {})[name] = value
        return changed

    def prove(self, gateway: str, device: str, t: Ms) -> None:
        """The device's rounds succeeded up to t: unchanged values are still true."""
        key = (gateway, device)
        self._proof[key] = max(t, self._proof.get(key, 0))

    def expire(self, now: Ms) -> dict[str, dict[str, Value]]:
        """Values that became stale by now, by estate; with level STALE and the reason."""
        changed: dict[str, dict[str, Value]] = {}
        for name in self._last:
            if name not in self._stale and self._is_stale(name, now):
                self._stale.add(name)
                changed.setdefault(self._estate(name), {})[name] = self.value(name)
            elif name in self._stale and not self._is_stale(name, now):
                self._stale.discard(name)
                changed.setdefault(self._estate(name), {})[name] = self.value(name)
        return changed

    def value(self, name: str) -> Value:
        """Latest value; its quality is at least STALE when the proof is too old."""
        t, v, q = self._last[name]
        if name in self._stale and level_of(q) < Level.STALE:
            q = quality(Level.STALE, Reason.NO_ANSWER)
        return t, v, q

    def stale(self) -> int:
        """How many values are stale."""
        return len(self._stale)

    def __len__(self) -> int:
        return len(self._last)

    def _is_stale(self, name: str, now: Ms) -> bool:
        point = self._points[name]
        limit = stale_after_s(point) * 1000
        t = self._last[name][0]
        device = self._device_of.get(name)
        proof = max(t, self._proof.get(device, 0)) if device else t
        silent = now - t > point.silence_s * 1000 + limit
        return now - proof > limit or (device is not None and silent)

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

    def values(self, scope: Scope) -> dict[str, Value]:
        """Latest values within scope."""
        return {name: self.value(name) for name in self._last if self.allows(scope, name.split("/", 1)[0])}

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
            "mode": a.mode,
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
