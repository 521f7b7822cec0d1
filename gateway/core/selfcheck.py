"""Steward's own health as ordinary points of ordinary assets, with ordinary alarms."""

from __future__ import annotations

import shutil
from collections.abc import Mapping

from gateway.config.site import Site
from gateway.core.edges import Edges
from gateway.model import Asset, Ms, Point, Samples
from gateway.ports import StateStore

SILENCE_S = 10.0


def gateway_assets(site: Site) -> dict[str, Asset]:
    """One asset of kind `gateway` per edge, so that its loss is an alarm like any other."""
    return {
        g.id: Asset(g.id, g.estate, "gateway", {"zh": f"网关 {g.id}", "en": f"Gateway {g.id}"})
        for g in site.file.gateways
    }


class SelfCheck:
    """Makes the core's own samples: per edge `gw.online`, `gw.outbox`, `gw.disk_free`."""

    def __init__(self, state: StateStore, site: Site, edges: Edges) -> None:
        self._edges = edges
        self._last: dict[int, tuple[Ms, float]] = {}
        wanted = [
            Point(g.id, tag, unit, "digital" if tag == "gw.online" else "analog", silence_s=SILENCE_S)
            for g in site.file.gateways
            for tag, unit in (("gw.online", ""), ("gw.outbox", ""), ("gw.disk_free", "%"))
        ]
        ids = state.series([(p.asset, p.tag) for p in wanted])
        self.points = {ids[p.asset, p.tag]: p for p in wanted}

    def samples(self, now: Ms, facts: Mapping[str, float]) -> Samples:
        """What changed since the last call, and everything every `SILENCE_S`."""
        rows: list[tuple[int, float]] = []
        disk = shutil.disk_usage(".")
        for series, p in self.points.items():
            edge = self._edges[p.asset]
            if p.tag == "gw.online":
                value = float(edge.online and not edge.silent(now))
            elif p.tag == "gw.outbox":
                value = float(edge.account.outbox if edge.account else 0)
            else:
                free = edge.account.facts.get("disk_free_pct") if edge.account else None
                value = float(free) if free is not None else 100.0 * disk.free / disk.total
            last = self._last.get(series)
            due = last is None or now - last[0] >= SILENCE_S * 1000
            if due or (last is not None and p.tag == "gw.online" and value != last[1]):
                self._last[series] = (now, value)
                rows.append((series, value))
        return Samples.of([s for s, _ in rows], [now] * len(rows), [v for _, v in rows])
