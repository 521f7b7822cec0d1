"""Steward's own health as ordinary points of ordinary assets, with ordinary alarms."""

from __future__ import annotations

import shutil
from pathlib import Path

from gateway.config.site import Site
from gateway.core.edges import Edge, Edges
from gateway.model import Asset, Ms, Point, Samples
from gateway.ports import StateStore

SILENCE_S = 10.0
OWN_TAGS = {"gw.online": "", "gw.outbox": "", "gw.disk_free": "%"}
"""Tags of the core's own points, with their units."""


def gateway_assets(site: Site) -> dict[str, Asset]:
    """One asset of kind `gateway` per edge, so that its loss is an alarm like any other."""
    return {
        g.id: Asset(g.id, g.estate, "gateway", {"zh": f"网关 {g.id}", "en": f"Gateway {g.id}"})
        for g in site.file.gateways
    }


class SelfCheck:
    """Makes the core's own samples: per edge `gw.online`, `gw.outbox`, `gw.disk_free`.

    After a start an edge of which no status is known is given time to connect before it counts as lost.
    `gw.disk_free` is the smaller share of the edge's disk and the core's.
    """

    def __init__(self, state: StateStore, site: Site, edges: Edges, data_dir: Path) -> None:
        self._edges, self._data_dir = edges, data_dir
        self._last: dict[int, tuple[Ms, float]] = {}
        self._began: Ms | None = None
        wanted = [
            Point(g.id, tag, unit, "digital" if tag == "gw.online" else "analog", silence_s=SILENCE_S)
            for g in site.file.gateways
            for tag, unit in OWN_TAGS.items()
        ]
        ids = state.series([(p.asset, p.tag) for p in wanted])
        self.points = {ids[p.asset, p.tag]: p for p in wanted}

    def samples(self, now: Ms) -> Samples:
        """What changed since the last call, and everything every `SILENCE_S`."""
        rows: list[tuple[int, float]] = []
        self._began = now if self._began is None else self._began
        disk = shutil.disk_usage(self._data_dir)
        own = 100.0 * disk.free / disk.total
        for series, p in self.points.items():
            value = self._value(self._edges[p.asset], p.tag, own, now)
            last = self._last.get(series)
            if value is None:
                continue
            news = last is not None and p.tag == "gw.online" and value != last[1]
            if last is None or news or now - last[0] >= SILENCE_S * 1000:
                self._last[series] = (now, value)
                rows.append((series, value))
        return Samples.of([s for s, _ in rows], [now] * len(rows), [v for _, v in rows])

    def _value(self, edge: Edge, tag: str, own_disk: float, now: Ms) -> float | None:
        if tag == "gw.online":
            online = edge.present(now)
            early = not edge.boot and now - (self._began or now) <= self._edges.patience
            return None if early and not online else float(online)
        account = edge.account
        if tag == "gw.outbox":
            return float(account.outbox if account else 0)
        theirs = account.facts.get("disk_free_pct") if account else None
        return min(own_disk, float(theirs)) if theirs is not None else own_disk
