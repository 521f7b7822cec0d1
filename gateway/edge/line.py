"""One task per line: a TCP connection or a serial bus with its units, its deadlines and its failures.

Every due point ends as a reading or as a gap with its cause: those of `reader`, and breaker (a silent unit is
only probed), missed (the round came too late), stopped (polling ended in mid-round, or the device went).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import cast

from gateway.edge.clockguard import ClockGuard
from gateway.edge.config import LineConfig
from gateway.edge.connection import Connection, steady_ms
from gateway.edge.reader import Reader, Sink
from gateway.edge.schedule import Grid, Load, Round
from gateway.edge.station import Job, Station, Unread, stations_of
from gateway.edge.stats import LineStats, UnitStats, WireCounts, unit_stats
from gateway.edge.unit import Unit
from gateway.ports import Clock, Listener

log = logging.getLogger(__name__)

__all__ = ["Line", "Sink"]

PROBE_SPACING_MS = 1000.0
EARLY_MS = 1.0
"""Timers fire a fraction of a millisecond early; without this every round would wake up twice."""
OFF_GRID = -1
"""Job number of a round that no deadline asked for."""


class _GoneError(Exception):
    """The unit that is being read is nobody's any more."""


class Line:
    """`units` in the order of `config.devices`; `phase` spreads lines (same key, same instants)."""

    def __init__(
        self,
        config: LineConfig,
        units: Sequence[Unit],
        clock: Clock,
        guard: ClockGuard,
        sink: Sink,
        *,
        phase: Mapping[str, str] | None = None,
    ) -> None:
        self._config, self._clock, self._sink = config, clock, sink
        self._units = frozenset(units)
        self._stations = stations_of(units, config.wire)
        self._connection = Connection(config.id, config.driver, clock)
        self._reader = Reader(self._connection, clock, guard, sink, self._urgent_first)
        self._grid = Grid()
        self._jobs: dict[int, tuple[Station, int]] = {}
        self._next_job = 0
        self._reading: Station | None = None
        self._load = Load()
        self._phase = phase or {}
        self._probe_free_at = 0.0
        self._wanted: list[Station] = []
        self._asleep: asyncio.Task[object] | None = None
        self._poked = False
        self._late_ms = 0.0
        self._urgent_ms = 0.0
        self.missed = 0
        if isinstance(config.driver, Listener):
            config.driver.on_heard = self._heard

    def _heard(self, unit: int) -> None:
        """A silent unit spoke by itself: it is read now."""
        for station in self._stations:
            if station.number == unit and station.health.open:
                self.retry_now(station.devices[0])

    @property
    def id(self) -> str:
        """From the configuration."""
        return self._config.id

    @property
    def up(self) -> bool:
        """True while the connection stands."""
        return self._connection.up

    @property
    def silent_units(self) -> int:
        """Units with an open breaker."""
        return sum(s.health.open for s in self._stations)

    @property
    def overloaded(self) -> bool:
        """More is asked of the line than it can carry; see `Load`."""
        return self._load.over

    def take_late(self) -> float:
        """Longest delay of a round behind its deadline (ms) since the last call."""
        late, self._late_ms = self._late_ms, 0.0
        return late

    def stats(self) -> LineStats:
        """Counts of now, since this line was made."""
        share = self._reader.busy.share(self._clock.monotonic())
        units = tuple(self._unit_stats(s) for s in self._stations)
        return LineStats(self.id, self.up, self.overloaded, share, self.missed, units)

    def _unit_stats(self, station: Station) -> UnitStats:
        counted = getattr(getattr(self._config.driver, "stats", None), "units", {}).get(station.number)
        return unit_stats(
            station.number, station.devices, cast("WireCounts", counted or station.health.counts),
            silent=station.health.open, timeout_s=station.health.timeout_s(), holes=len(station.lessons),
        )  # fmt: skip

    def retry_now(self, device: str | None = None) -> bool:
        """Probe a silent unit at once, or all of them and the connection; False for an unknown device.

        For somebody who stands before the device: addresses that it refused are tried again too.
        """
        chosen = [s for s in self._stations if device is None or device in s.devices]
        for station in chosen:
            station.health.retry(self._now())
            if station.lessons:
                station.forget()
                self._reader.tell(station)
        self._wanted += [s for s in chosen if s.health.open and s not in self._wanted]
        self._connection.retry_at = 0.0
        self._poke()
        return bool(chosen)

    def replace(
        self, config: LineConfig, units: Sequence[Unit], phase: Mapping[str, str] | None = None
    ) -> None:
        """Poll these from now on; `config` differs from the one before in nothing but its devices.

        The connection stays. A unit number with the very same `units` goes on as it is; one whose devices
        changed keeps its instants, period by period. A round under way ends for whoever stays; one that is
        nobody's any more ends with the request that was sent, and the rest of it is a gap, cause `stopped`.
        """
        self._config, self._phase, self._units = config, phase or {}, frozenset(units)
        self._stations = stations_of(units, config.wire, self._stations)
        self._wanted = [s for s in self._wanted if s in self._stations]
        if self._jobs:
            self._schedule()
            self._poke()

    # ── its life ──────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Poll until cancelled."""
        self._schedule()
        task = asyncio.current_task()
        try:
            while True:
                await self._turn()
                if task is not None and task.cancelling():
                    # The Modbus library waits with asyncio.wait_for, which in Python 3.11 swallows a
                    # cancellation that comes together with the answer.
                    raise asyncio.CancelledError
        finally:
            await self._config.driver.close()

    def _schedule(self) -> None:
        """Deadlines of all jobs; those of one line stand one behind the other, by their time on the wire.

        A job of a unit number and period that were there before keeps their number and instants.
        """
        now, lead = self._now(), 0.0
        before, self._jobs = self._jobs, {}
        held = {(s.number, s.jobs[n].period_ms): number for number, (s, n) in before.items()}
        life = {number: s.jobs[n].life for number, (s, n) in before.items()}
        for station in self._stations:
            key = self._phase.get(station.units[0].config.id, self._config.id)
            for n, job in enumerate(station.jobs):
                number = held.get((station.number, job.period_ms))
                if number is None or life[number] != job.life:
                    number = self._begin(job, now, key, lead, number)
                self._jobs[number] = (station, n)
                lead += job.air_s * 1000 * self._clock.speed
        self._grid.keep(self._jobs)
        self._load.keep(self._jobs)

    def _begin(self, job: Job, now: float, key: str, lead: float, instead_of: int | None) -> int:
        """The number of a new job, which may take the place of an old one."""
        number, self._next_job = self._next_job, self._next_job + 1
        if instead_of is None:
            self._grid.add(number, job.period_ms, start=now, key=key, urgent=job.life, lead_ms=lead)
        else:
            self._grid.resume(number, job.period_ms, self._grid.deadline(instead_of), urgent=job.life)
        return number

    async def _turn(self) -> None:
        if self._connection.wanted:
            await self._connection.connect()
        due = self._grid.pick(self._now() + EARLY_MS)
        if due is not None:
            await self._guarded(self._job(due.job), due)
            return
        await self._off_grid()
        await self._sleep(max(0.0, self._wake() - self._now()) / 1000)

    def _job(self, number: int) -> Job:
        station, n = self._jobs[number]
        return station.jobs[n]

    async def _off_grid(self) -> None:
        """Probes that no round makes in time."""
        now = self._now()
        while self.up and self._wanted:
            await self._guarded(self._wanted.pop().jobs[0], Round(OFF_GRID, now, 0))
        for station in self._stations:
            here = self.up and station in self._stations
            if here and station.health.overdue(now) and now >= self._probe_free_at:
                await self._guarded(station.jobs[0], Round(OFF_GRID, now, 0))

    def _poke(self) -> None:
        """Look again at what is due."""
        if self._asleep is not None and not self._poked:
            self._poked = True
            self._asleep.cancel()

    async def _sleep(self, seconds: float) -> None:
        """Until then, or until `_poke`."""
        task = self._asleep = asyncio.current_task()
        try:
            await self._clock.sleep(seconds)
        except asyncio.CancelledError:
            if not self._poked or task is None or task.uncancel() > 0:
                raise
        finally:
            self._asleep, self._poked = None, False

    def _wake(self) -> float:
        wake = self._grid.next_due()
        if not self.up:
            rest = self._connection.retry_at - self._clock.monotonic()
            wake = min(wake, self._now() + max(0.0, rest) * 1000 * self._clock.speed)
        for station in self._stations:
            health = station.health
            if health.open and health.life:
                wake = min(wake, max(health.deadline, self._probe_free_at, self._now() + 100))
        return wake

    def _now(self) -> float:
        return steady_ms(self._clock)

    # ── one round of one job ──────────────────────────────────────────────────────────────────────

    async def _urgent_first(self) -> None:
        """Life safety does not wait for the end of another unit's round, only for the read under way.

        Raises _GoneError when nobody on the line is read by the rest of that round.
        """
        if self._reading is not None and self._units.isdisjoint(self._reading.units):
            raise _GoneError
        while self._grid.urgent_due(self._now() + EARLY_MS):
            due, started = self._grid.pick(self._now() + EARLY_MS), self._now()
            if due is None:
                return
            await self._guarded(self._job(due.job), due)
            self._urgent_ms += self._now() - started

    async def _guarded(self, job: Job, due: Round) -> None:
        """A round; whatever breaks in a profile's code costs that round and not the line."""
        left, was, started, others = Unread(job), self.overloaded, self._now(), self._urgent_ms
        around, self._reading = self._reading, job.station
        try:
            await self._round(job, due, left)
        except _GoneError:
            self._reader.book(job.station, "stopped", left)
        except asyncio.CancelledError:
            self._reader.book(job.station, "stopped", left)
            raise
        except Exception as e:
            self._reader.defect(job.station, job.station.devices[0], e)
            self._reader.book(job.station, "error", left)
        finally:
            self._reading = around
        if due.job != OFF_GRID:
            took = self._now() - started - (self._urgent_ms - others)
            self._load.took(due.job, took / job.period_ms)
            if self.overloaded and not was:
                log.warning("line overloaded line=%s; lengthen periods or split the line", self.id)

    async def _round(self, job: Job, due: Round, left: Unread) -> None:
        now, station = self._now(), job.station
        self._late_ms = max(self._late_ms, now - due.due)
        if due.job != OFF_GRID:
            self._note_missed(job, due)
        probe = station.health.open
        if not self.up:
            self._reader.book(station, "line", left)
        elif probe and due.job != OFF_GRID and not self._may_probe(station, now):
            self._reader.book(station, "breaker", left)
        else:
            if probe:
                self._probe_free_at = now + min(self._shortest(), PROBE_SPACING_MS)
            await self._reader.job(job, left, probe=probe, line_learnt_s=self._learnt())
        if station.lessons and station.forget_old(self._clock.now()):
            self._reader.tell(station)

    def _note_missed(self, job: Job, due: Round) -> None:
        """Book the rounds that were due before this one."""
        off = not self.up or due.due - due.missed * job.period_ms < self._connection.up_since
        self._load.missed(due.job, 0 if off else due.missed)
        if not due.missed:
            return
        for k, mine in job.station.shares(sorted(job.points)):
            unit = job.station.units[k]
            self._sink.gap(unit.index, "line" if off else "missed", due.missed * len(mine))
        if not off:
            self.missed += due.missed * len(job.points)

    def _may_probe(self, station: Station, now: float) -> bool:
        """One probe per cycle of the line; of several silent units the one that waited longest."""
        health = station.health
        if now < health.probe_at or now < self._probe_free_at:
            return False
        rivals = [
            s.health
            for s in self._stations
            if s.health.open and s.health.probe_at <= now and s.health.shortest_ms <= health.shortest_ms
        ]
        return health.probed_at <= min(h.probed_at for h in rivals)

    def _shortest(self) -> float:
        return min(s.health.shortest_ms for s in self._stations)

    def _learnt(self) -> float:
        return max((s.health.learnt_s for s in self._stations), default=0.0)
