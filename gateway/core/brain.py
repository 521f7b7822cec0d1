"""The detectors with their memory: live engine, back-fills of edges that were cut off, journal, snapshots."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import orjson

from alerts.engine import Engine, PointInfo
from alerts.ruleset import RuleSet
from gateway.core.backfill import LIMIT_ROWS, Backfill, Connection, Proof, is_silence
from gateway.core.journal import Snapshots, bundle, pack, unbundle, unpack
from gateway.model import Asset, Finding, Ms, Point, Samples
from gateway.ports import StateStore

log = logging.getLogger(__name__)

Entry = tuple[str, Ms, bytes]
Readings = Sequence[tuple[str, Samples]]
"""(gateway, its samples); the core's own have no gateway ("")."""

LATE_MS: Ms = 15_000
"""While an edge's outage is worked up, what is older than this was found late."""
LONGEST_PROOF_MS = 24 * 3_600_000


class Brain:
    """Feeds the detectors and remembers what it fed, so that a crash changes nothing.

    Every feeding method returns findings and appends to `entries`, which the core commits with the turn.
    `device_of` gives (gateway, device) of a point; a point without one is the core's own.
    """

    def __init__(
        self,
        rules: RuleSet,
        assets: Mapping[str, Asset],
        device_of: Mapping[str, tuple[str, str]],
        snapshots: Snapshots,
    ) -> None:
        self._assets, self._device_of, self._rules = assets, device_of, rules
        self._snapshots = snapshots
        self.engine = Engine(rules, [])
        self.whole = True
        """Whether the last `restore` found everything that the detectors had been fed."""
        self.fills: dict[str, Backfill] = {}
        self._infos: dict[int, PointInfo] = {}
        self._of: dict[str, list[int]] = {}
        self._of_device: dict[tuple[str, str], list[int]] = {}
        self._values: dict[str, list[int]] = {}
        self._to_start: set[str] = set()
        self._blob: bytes | None = None
        self.entries: list[Entry] = []

    # ── points ────────────────────────────────────────────────────────────────────────────────────────

    def add_points(self, points: Mapping[int, Point]) -> list[Finding]:
        """Make series known to the detectors; idempotent. Gives the ends of conditions that begin anew."""
        fresh = {s: p for s, p in points.items() if s not in self._infos and p.asset in self._assets}
        for series, p in fresh.items():
            asset = self._assets[p.asset]
            gateway, device = owner = self._device_of.get(p.id, ("", ""))
            self._infos[series] = PointInfo(
                series, p.id, p.asset, asset.estate, asset.kind, p.tag, p.period_s, device
            )
            self._of.setdefault(gateway, []).append(series)
            self._of_device.setdefault(owner, []).append(series)
            if not (p.life or p.kind in ("digital", "enum", "text")):  # those never wait with the backlog
                self._values.setdefault(gateway, []).append(series)
            self._to_start.add(gateway)
        if not fresh:
            return []
        self._blob = None
        return self.engine.add_points([self._infos[s] for s in fresh])

    def gateway_of(self, series: int) -> str:
        """The edge that reads it; "" for none."""
        return self._owner(self._infos[series].id) if series in self._infos else ""

    @property
    def waiting(self) -> set[int]:
        """Series of which only a backlog that is still on its way knows the value."""
        return {s for f in self.fills.values() for s in f.waiting}

    # ── feeding ───────────────────────────────────────────────────────────────────────────────────────

    def live(self, readings: Readings, now: Ms) -> list[Finding]:
        """Readings in (nearly) the order of time."""
        found: list[Finding] = []
        for gateway, samples in _merged(readings, self.fills):
            self.entries.append(("live", now, _named(gateway, samples)))
            found += self._live(gateway, samples)
        return self._tellable(found, now)

    def _live(self, gateway: str, samples: Samples) -> list[Finding]:
        self._blob = None
        found = self.engine.process(samples)
        fill = self.fills.get(gateway)
        if fill is not None:
            fill.note(samples)
            if fill.rows > LIMIT_ROWS:
                found += self._filled(gateway)
        return found

    def late(self, gateway: str, samples: Samples, now: Ms) -> list[Finding]:
        """A piece of an edge's backlog."""
        if not len(samples):
            return []
        if gateway not in self.fills:
            # Values can become backlog on a standing connection, too: when no receipts came for long.
            self.gap(gateway, now, None)
        self.entries.append(("late", now, _named(gateway, samples)))
        return self._late(gateway, samples)

    def _late(self, gateway: str, samples: Samples) -> list[Finding]:
        return self.fills[gateway].late(samples, self._made_for(gateway), self._rules.by_id)

    def tick(self, times: Mapping[str, Ms], now: Ms) -> list[Finding]:
        """Let timers run: per edge its own event time, the core's own points (gateway "") at `now`.

        A tick that finds nothing changes nothing but the start of the watch for silence.
        """
        starts = self._to_start & set(times)
        found = self._tick(times)
        if found or starts:
            self._to_start -= starts
            self.entries.append(("tick", now, orjson.dumps(dict(times))))
        return self._tellable(found, now)

    def _tick(self, times: Mapping[str, Ms]) -> list[Finding]:
        found: list[Finding] = []
        for gateway, t in sorted(times.items()):
            series = self._but_waiting(gateway, self._of.get(gateway, ()))
            if series:
                found += self.engine.tick(t, series)
        if found:
            self._blob = None
        return found

    def prove(
        self, gateway: str, devices: Collection[str], clean: Collection[str], span: tuple[Ms, Ms], now: Ms
    ) -> list[Finding]:
        """These devices were read up to the end of the span: unchanged values are held, not missing.

        clean: those of which no round failed within the span.
        """
        if not devices:
            return []
        since, t = span
        if not 0 < t - since <= LONGEST_PROOF_MS:
            since = t
        body = [gateway, since, t, sorted(devices), sorted(clean)]
        self.entries.append(("prove", now, orjson.dumps(body)))
        return self._tellable(self._prove(gateway, since, t, sorted(devices), frozenset(clean)), now)

    def _prove(
        self, gateway: str, since: Ms, t: Ms, devices: Sequence[str], clean: frozenset[str]
    ) -> list[Finding]:
        self._blob = None
        whole = [s for d in devices if d in clean for s in self._of_device.get((gateway, d), ())]
        last = [s for d in devices if d not in clean for s in self._of_device.get((gateway, d), ())]
        fill = self.fills.get(gateway)
        if fill is not None:
            for start, series in ((since, whole), (t, last)):
                if series:
                    fill.prove(Proof(start, t, tuple(series)))
        return self.engine.prove(self._but_waiting(gateway, [*whole, *last]), t)

    def _tellable(self, found: list[Finding], now: Ms) -> list[Finding]:
        """What the live detectors say about an edge whose outage is being worked up.

        No device is silent because its edge was cut off: the back-fill's end says which one really is. States
        come in time order from inside the outage: what they show is found late.
        """
        if not self.fills:
            return found
        out = []
        for f in found:
            if self._owner(f.point) not in self.fills:
                out.append(f)
            elif is_silence(self._rules.by_id[f.rule]):
                out += [] if f.active else [f]
            else:
                out.append(replace(f, late=True) if now - f.t > LATE_MS else f)
        return out

    def owner(self, point: str) -> str:
        """The edge that reads a point; "" for the core's own."""
        return self._owner(point)

    def _owner(self, point: str) -> str:
        return self._device_of.get(point, ("", ""))[0]

    def _but_waiting(self, gateway: str, series: Iterable[int]) -> list[int]:
        fill = self.fills.get(gateway)
        waiting = fill.waiting if fill is not None else frozenset()
        return [s for s in series if s not in waiting]

    # ── outages ───────────────────────────────────────────────────────────────────────────────────────

    def gap(self, gateway: str, now: Ms, conn: Connection | None) -> None:
        """An edge is cut off: keep the state for its backlog. A gap within a back-fill belongs to it."""
        if gateway in self.fills or gateway not in self._of:
            return
        self.entries.append(("gap", now, orjson.dumps([gateway, conn])))
        self._gap(gateway, now, conn)

    def _gap(self, gateway: str, now: Ms, conn: Connection | None) -> None:
        if self._blob is None:
            self._blob = self.engine.snapshot()
        self.fills[gateway] = Backfill(self._blob, now, conn, self._values.get(gateway, ()))

    def kept(self, gateway: str, conn: Connection, now: Ms) -> list[Finding]:
        """The edge has never lost that connection: nothing of it can be out of order.

        Gives what was held back meanwhile: devices that are really silent.
        """
        fill = self.fills.get(gateway)
        if fill is None or fill.conn != conn or fill.started:
            return []
        self.entries.append(("kept", now, gateway.encode()))
        self._kept(gateway)
        silent = (f for f in self.engine.active() if is_silence(self._rules.by_id[f.rule]))
        return [f for f in silent if self._owner(f.point) == gateway]

    def _kept(self, gateway: str) -> None:
        del self.fills[gateway]
        self._to_start.add(gateway)

    def filled(self, gateway: str, now: Ms) -> list[Finding]:
        """The edge's backlog is drained; the live detectors go on from the back-fill's end."""
        if gateway not in self.fills:
            return []
        self.entries.append(("filled", now, gateway.encode()))
        return self._filled(gateway)

    def _filled(self, gateway: str) -> list[Finding]:
        fill = self.fills.pop(gateway)
        end, found = fill.finish(self._made_for(gateway), self._rules.by_id)
        self.engine.adopt(end)
        self._blob = None
        self._to_start.add(gateway)
        return found

    def _made_for(self, gateway: str) -> _Maker:
        assets = {self._infos[s].asset for s in self._of.get(gateway, ())}
        return _Maker(self._rules, [p for p in self._infos.values() if p.asset in assets])

    # ── memory ────────────────────────────────────────────────────────────────────────────────────────

    def take_entries(self) -> list[Entry]:
        """Journal entries since the last call."""
        out, self.entries = self.entries, []
        return out

    def state(self) -> bytes:
        """Everything that a snapshot holds."""
        blobs, fills = [self.engine.snapshot()], {}
        places: dict[int, int] = {}
        for gateway, fill in self.fills.items():
            facts, blob, ahead = fill.state()
            place = places.setdefault(id(blob), len(blobs))
            if place == len(blobs):
                blobs.append(blob)
            blobs.append(pack(ahead))
            fills[gateway] = {**facts, "blob": place, "ahead": len(blobs) - 1}
        return bundle({"fills": fills}, blobs)

    def _load(self, blob: bytes) -> list[Finding]:
        facts, blobs = unbundle(blob)
        ended = self.engine.restore(blobs[0])
        self.fills = {
            gateway: Backfill.load(f, blobs[f["blob"]], unpack(blobs[f["ahead"]]))
            for gateway, f in facts["fills"].items()
        }
        return ended

    def write(self, position: int, state: bytes) -> int:
        """Write `state` as a snapshot of a position; how far the journal may be trimmed. Raises OSError."""
        return self._snapshots.write(position, state)

    def restore(self, state: StateStore) -> tuple[int, list[Finding]]:
        """Newest readable snapshot, then the journal, muted.

        Gives how many entries were replayed, and the ends of conditions whose rule or point is gone.
        """
        position, ended = 0, list[Finding]()
        newest = state.position()
        for at, blob in self._snapshots.newest():
            if at > newest:
                log.warning("snapshot is of another state store position=%d store=%d; left out", at, newest)
                continue
            try:
                ended = self._load(blob)
            except (ValueError, KeyError) as e:
                log.error("snapshot unreadable position=%d reason=%r; an older one is used", at, str(e))
                continue
            position = at
            break
        entries = state.journal(position)
        first = entries[0][0] if entries else newest + 1
        self.whole = first <= position + 1
        for _, kind, t, blob in entries:
            self._replay(kind, t, blob)
        return len(entries), ended

    def active(self) -> tuple[dict[str, Finding], set[str]]:
        """What holds now by condition, and the conditions of that and of all back-fills."""
        live = {f.condition: f for f in self.engine.active()}
        filling = {f.condition for g, fill in self.fills.items() for f in fill.active(self._made_for(g))}
        return live, {*live, *filling}

    def _replay(self, kind: str, t: Ms, blob: bytes) -> None:
        if kind in ("live", "late"):
            gateway, samples = _unnamed(blob)
            if kind == "live":
                self._live(gateway, samples)
            elif gateway in self.fills:
                self._late(gateway, samples)
        elif kind == "tick":
            self._tick(orjson.loads(blob))
        elif kind == "prove":
            gateway, since, until, devices, clean = orjson.loads(blob)
            self._prove(gateway, since, until, devices, frozenset(clean))
        elif kind == "gap":
            gateway, conn = orjson.loads(blob)
            self._gap(gateway, t, (conn[0], conn[1]) if conn else None)
        elif kind in ("filled", "kept"):
            gateway = blob.decode()
            if gateway in self.fills:
                (self._filled if kind == "filled" else self._kept)(gateway)
        else:
            log.error("journal entry of unknown kind=%s t=%d is skipped", kind, t)


class _Maker:
    """Makes the detectors of one edge's assets from a snapshot of all."""

    def __init__(self, rules: RuleSet, points: Sequence[PointInfo]) -> None:
        self._rules, self._points = rules, points

    def __call__(self, blob: bytes) -> Engine:
        engine = Engine(self._rules, self._points)
        engine.restore(blob)
        engine.counts.clear()
        return engine


def _merged(readings: Readings, apart: Collection[str]) -> list[tuple[str, Samples]]:
    """All in one batch, but those of gateways that are being back-filled by themselves."""
    groups: dict[str, list[Samples]] = {}
    for gateway, samples in readings:
        if len(samples):
            groups.setdefault(gateway if gateway in apart else "", []).append(samples)
    return [(g, Samples.concat(parts)) for g, parts in groups.items()]


def _named(gateway: str, samples: Samples) -> bytes:
    name = gateway.encode()
    return bytes([len(name)]) + name + pack(samples)


def _unnamed(blob: bytes) -> tuple[str, Samples]:
    end = 1 + blob[0]
    return blob[1:end].decode(), unpack(blob[end:])
