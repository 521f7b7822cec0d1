"""The detectors with their memory: live engine, back-fill engines, journal entries, snapshots."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence

import numpy as np
import orjson

from alerts.engine import Engine, PointInfo
from alerts.ruleset import RuleSet
from gateway.core.journal import Snapshots, pack, unpack
from gateway.model import Asset, Finding, Ms, Point, Samples
from gateway.ports import StateStore

log = logging.getLogger(__name__)

Entry = tuple[str, Ms, bytes]


class Brain:
    """Feeds the engine and remembers what it fed, so that a crash changes nothing.

    Every public feeding method returns findings and appends to `entries`, which the core commits with the
    turn. `device_of` gives (edge, device) of a point; the core's own points have neither.
    """

    def __init__(
        self,
        rules: RuleSet,
        assets: Mapping[str, Asset],
        device_of: Mapping[str, tuple[str, str]],
        snapshots: Snapshots,
    ) -> None:
        self._assets, self._device_of = assets, device_of
        self._snapshots = snapshots
        self.engine = Engine(rules, [])
        self._forks: dict[str, Engine] = {}
        self._series: dict[int, str] = {}
        self._states: set[int] = set()
        self.entries: list[Entry] = []

    def add_points(self, points: Mapping[int, Point]) -> None:
        """Make series known to the engine; idempotent."""
        fresh = {s: p for s, p in points.items() if s not in self._series and p.asset in self._assets}
        if not fresh:
            return
        infos = []
        for series, p in fresh.items():
            asset = self._assets[p.asset]
            gateway = self._device_of.get(p.id, ("", ""))[0]
            self._series[series] = gateway
            if p.kind != "analog" or p.life:
                self._states.add(series)
            device = self._device_of.get(p.id, ("", ""))[1]
            infos.append(
                PointInfo(series, p.id, p.asset, asset.estate, asset.kind, p.tag, p.period_s, device)
            )
        self.engine.add_points(infos)

    def series_of(self, gateway: str) -> list[int]:
        """Series that an edge reads."""
        return [s for s, g in self._series.items() if g == gateway]

    # ── feeding ───────────────────────────────────────────────────────────────────────────────────────

    def live(self, samples: Samples, now: Ms) -> list[Finding]:
        """Samples in (nearly) the order of time."""
        if not len(samples):
            return []
        self.entries.append(("live", now, pack(samples)))
        return self._live(samples)

    def _live(self, samples: Samples) -> list[Finding]:
        return self.engine.process(samples)

    def late(self, samples: Samples, now: Ms) -> list[Finding]:
        """Samples of an outage: states go to the live engine, the rest to the back-fill engine."""
        if not len(samples):
            return []
        self.entries.append(("late", now, pack(samples)))
        return self._late(samples)

    def _late(self, samples: Samples) -> list[Finding]:
        out: list[Finding] = []
        gateways = np.array([self._series.get(int(s), "") for s in samples.series])
        for gateway in sorted(set(gateways.tolist())):
            engine = self._forks.get(gateway, self.engine)
            found = engine.process(samples[gateways == gateway])
            out += [dataclasses.replace(f, late=True) for f in found]
        return out

    def tick(self, times: Mapping[str, Ms], now: Ms) -> list[Finding]:
        """Let timers run: per edge its own event time, the core's own points at `now` (gateway "")."""
        found = self._tick(times)
        if found:
            self.entries.append(("tick", now, orjson.dumps(dict(times))))
        return found

    def _tick(self, times: Mapping[str, Ms]) -> list[Finding]:
        out: list[Finding] = []
        for gateway, t in sorted(times.items()):
            out += self.engine.tick(t, self.series_of(gateway))
        return out

    def prove(self, series: Sequence[int], t: Ms, now: Ms) -> list[Finding]:
        """The rounds of these series succeeded up to t: unchanged values are held, not missing."""
        if not series:
            return []
        self.entries.append(("prove", now, orjson.dumps([t, list(series)])))
        return self.engine.prove(series, t)

    def gap(self, gateway: str, now: Ms) -> None:
        """An edge is back after an outage: keep the state of the gap's start for its backlog."""
        self.entries.append(("gap", now, gateway.encode()))
        self._gap(gateway)

    def _gap(self, gateway: str) -> None:
        series = [s for s in self.series_of(gateway) if s not in self._states]
        self._forks[gateway] = self.engine.fork(series)

    def filled(self, gateway: str, now: Ms) -> None:
        """The edge's backlog is drained; the live engine goes on alone."""
        if gateway in self._forks:
            self.entries.append(("filled", now, gateway.encode()))
            del self._forks[gateway]

    @property
    def filling(self) -> frozenset[str]:
        """Edges whose backlog is being evaluated."""
        return frozenset(self._forks)

    # ── memory ────────────────────────────────────────────────────────────────────────────────────────

    def take_entries(self) -> list[Entry]:
        """Journal entries since the last call."""
        out, self.entries = self.entries, []
        return out

    def snapshot(self, position: int) -> int | None:
        """Write one; how far the journal may be trimmed, or None while a backlog is being evaluated."""
        return None if self._forks else self._snapshots.write(position, self.engine.snapshot())

    def restore(self, state: StateStore) -> int:
        """Newest readable snapshot, then the journal, muted; how many entries were replayed."""
        position = 0
        for at, blob in self._snapshots.newest():
            try:
                self.engine.restore(blob)
            except (ValueError, KeyError, OSError) as e:
                log.warning("snapshot unreadable position=%d reason=%r; an older one is used", at, str(e))
                continue
            position = at
            break
        entries = state.journal(position)
        for _, kind, t, blob in entries:
            self._replay(kind, t, blob)
        return len(entries)

    def _replay(self, kind: str, t: Ms, blob: bytes) -> None:
        if kind == "live":
            self._live(unpack(blob))
        elif kind == "late":
            self._late(unpack(blob))
        elif kind == "tick":
            self._tick(orjson.loads(blob))
        elif kind == "prove":
            until, series = orjson.loads(blob)
            self.engine.prove(series, until)
        elif kind == "gap":
            self._gap(blob.decode())
        elif kind == "filled":
            self._forks.pop(blob.decode(), None)
        else:
            log.error("journal entry of unknown kind=%s t=%d is skipped", kind, t)
