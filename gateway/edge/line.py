"""One task per line: a TCP connection or a serial bus with its units, its deadlines and its failures.

Every due point ends as a reading or as a gap with its cause: timeout, garbled, exception, line (the
connection is not there), breaker (a silent unit is only probed), missed (the round came too late),
no_value (the answer held no value for it), error (decoding failed), stopped (polling ended in mid-round).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gateway.edge.clockguard import ClockGuard
from gateway.edge.config import LineConfig
from gateway.edge.plan import Range, Read, between, split
from gateway.edge.schedule import Grid, Round
from gateway.edge.unit import Job, Lesson, Unit, Unread
from gateway.model import GOOD, Ms
from gateway.ports import Clock, Decoded, DeviceException, Garbled, LineDown, NoAnswer

log = logging.getLogger(__name__)

REFUSED = (2, 3)
"""Illegal data address, illegal data value (MODBUS Application Protocol V1.1b3, section 7)."""
BEHIND = (10, 11)
"""Gateway path unavailable, gateway target failed to respond: the unit behind it is silent."""
RECONNECT_S = (0.1, 5.0)
PROBE_SPACING_MS = 1000.0
OVERLOAD_ROUNDS = 3
EARLY_MS = 1.0
"""Timers fire a fraction of a millisecond early; without this every round would wake up twice."""


class Sink(Protocol):
    """Where a line puts what it read; called on the event loop."""

    def readings(
        self,
        device: int,
        gid: NDArray[np.intp],
        t: Ms,
        v: NDArray[np.float64],
        q: NDArray[np.uint8],
        attrs: Mapping[int, Mapping[str, Any]],
    ) -> None:
        """Columns of one answer; `attrs` by point number."""

    def gap(self, device: int, cause: str, points: int) -> None:
        """Points that were due and not read."""

    def learned(self, device: int, lessons: Sequence[Lesson]) -> None:
        """All that is known now about addresses which the device refuses."""


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
        self._config, self._units = config, list(units)
        self._driver = config.driver
        self._clock, self._guard, self._sink = clock, guard, sink
        self._grid = Grid()
        self._jobs: list[tuple[Unit, int]] = []
        self._phase = phase or {}
        self._up = False
        self._up_since = 0.0
        self._retry_at = 0.0
        self._pause_s = RECONNECT_S[0]
        self._outage = 0
        self._garbled = 0
        self._probe_free_at = 0.0
        self._overload = 0
        self._late_ms = 0.0
        self.missed = 0

    @property
    def id(self) -> str:
        """From the configuration."""
        return self._config.id

    @property
    def up(self) -> bool:
        """True while the connection stands."""
        return self._up

    @property
    def silent_units(self) -> int:
        """Units with an open breaker."""
        return sum(u.open for u in self._units)

    def take_late(self) -> float:
        """Longest delay of a round behind its deadline (ms) since the last call."""
        late, self._late_ms = self._late_ms, 0.0
        return late

    @property
    def overloaded(self) -> bool:
        """Rounds were missed three times running: more is asked of the line than it can carry."""
        return self._overload >= OVERLOAD_ROUNDS

    async def run(self) -> None:
        """Poll until cancelled."""
        now = self._now()
        for unit in self._units:
            for n, job in enumerate(unit.jobs):
                key = self._phase.get(unit.config.id, self._config.id)
                self._grid.add(len(self._jobs), job.period_ms, start=now, key=key, urgent=job.life)
                self._jobs.append((unit, n))
        task = asyncio.current_task()
        try:
            while True:
                await self._turn()
                if task is not None and task.cancelling():
                    # The Modbus library waits with asyncio.wait_for, which in Python 3.11 swallows a
                    # cancellation that comes together with the answer.
                    raise asyncio.CancelledError
        finally:
            await self._driver.close()

    async def _turn(self) -> None:
        now = self._now()
        if not self._up and self._clock.monotonic() >= self._retry_at:
            await self._connect()
        due = self._grid.pick(now + EARLY_MS)
        if due is not None:
            unit, n = self._jobs[due.job]
            await self._guarded(unit, unit.jobs[n], due)
            return
        for unit in self._units:
            if self._up and unit.overdue(now) and now >= self._probe_free_at:
                await self._guarded(unit, unit.jobs[0], Round(-1, now, 0))
        await self._clock.sleep(max(0.0, self._wake() - self._now()) / 1000)

    def _wake(self) -> float:
        wake = self._grid.next_due()
        if not self._up:
            rest = self._retry_at - self._clock.monotonic()
            wake = min(wake, self._now() + max(0.0, rest) * 1000 * self._clock.speed)
        for unit in self._units:
            if unit.open and unit.life:
                wake = min(wake, max(unit.deadline, self._probe_free_at, self._now() + 100))
        return wake

    def _now(self) -> float:
        """Ms on the steady axis: never steps, runs at site speed."""
        return self._clock.monotonic() * 1000 * self._clock.speed

    # ── the connection ────────────────────────────────────────────────────────────────────────────

    async def _connect(self) -> None:
        try:
            await self._driver.open()
        except LineDown as e:
            self._lost(e)
            return
        if self._outage:
            log.info("line recovered line=%s failures=%d", self.id, self._outage)
        self._up, self._outage, self._garbled = True, 0, 0
        self._up_since = self._now()

    def _lost(self, e: Exception) -> None:
        self._outage += 1
        if self._outage == 1:
            log.warning("line down line=%s cause=%r; check the cable, address and port", self.id, str(e))
            self._pause_s = RECONNECT_S[0]
        else:
            self._pause_s = min(self._pause_s * 2, RECONNECT_S[1])
        self._up = False
        self._retry_at = self._clock.monotonic() + self._pause_s

    async def _hang_up(self, e: Exception) -> None:
        self._lost(e)
        await self._driver.close()

    # ── one round of one job ──────────────────────────────────────────────────────────────────────

    async def _guarded(self, unit: Unit, job: Job, due: Round) -> None:
        """A round; whatever breaks in a profile's code costs that round and not the line."""
        left = Unread(job.reads)
        try:
            await self._round(unit, job, due, left)
        except asyncio.CancelledError:
            self._rest(unit, "stopped", left)
            raise
        except Exception:
            if unit.stats.causes["error"] == 0:
                log.exception("round failed device=%s; its profile or driver has a defect", unit.config.id)
            unit.stats.causes["error"] += 1
            self._rest(unit, "error", left)

    async def _round(self, unit: Unit, job: Job, due: Round, left: Unread) -> None:
        now = self._now()
        self._late_ms = max(self._late_ms, now - due.due)
        if due.missed:
            off = not self._up or due.due - due.missed * job.period_ms < self._up_since
            self._skipped(unit, "line" if off else "missed", due.missed * job.points, overload=not off)
        elif due.job >= 0:
            self._overload = 0
        probe = unit.open
        if not self._up:
            self._rest(unit, "line", left)
        elif probe and due.job >= 0 and not self._may_probe(unit, now):
            self._rest(unit, "breaker", left)
        else:
            await self._reads(unit, job, left, probe=probe)
        if unit.lessons and unit.forget_old(self._clock.now()):
            self._sink.learned(unit.index, unit.lessons)

    def _skipped(self, unit: Unit, cause: str, points: int, *, overload: bool) -> None:
        self._sink.gap(unit.index, cause, points)
        if overload:
            self.missed += points
            self._overload += 1
            if self._overload == OVERLOAD_ROUNDS:
                log.warning("line overloaded line=%s; lengthen periods or split the line", self.id)

    async def _reads(self, unit: Unit, job: Job, left: Unread, *, probe: bool) -> None:
        reads = job.reads
        if probe:
            reads = tuple(sorted(reads, key=lambda r: (r.illegal, r.count)))
            unit.probed_at = self._now()
            self._probe_free_at = unit.probed_at + min(self._shortest(), PROBE_SPACING_MS)
        for read in reads:
            if read.illegal:
                self._close(unit, "exception", read, left)
                continue
            timeout = unit.probe_timeout_s(self._learnt()) if unit.open else unit.timeout_s()
            try:
                await self._one(unit, read, timeout, left)
            except NoAnswer as e:
                unit.failed(e.cause, self._now())
                unit.stats.causes[e.cause] += 1
                self._rest(unit, e.cause, left)
                return
            except Garbled as e:
                await self._refused(unit, e)
                self._close(unit, e.cause, read, left)
                if unit.open or not self._up:
                    self._rest(unit, e.cause if self._up else "line", left)
                    return
            except LineDown as e:
                unit.stats.causes[e.cause] += 1
                await self._hang_up(e)
                self._rest(unit, e.cause, left)
                return

    def _may_probe(self, unit: Unit, now: float) -> bool:
        """One probe per cycle of the line; of several silent units the one that waited longest."""
        if now < unit.probe_at or now < self._probe_free_at:
            return False
        rivals = [
            u for u in self._units if u.open and u.probe_at <= now and u.shortest_ms <= unit.shortest_ms
        ]
        return unit.probed_at <= min(u.probed_at for u in rivals)

    async def _refused(self, unit: Unit, e: Garbled) -> None:
        """Junk: the second in a row on this line closes it, so that both sides start anew.

        It is open again at once: one unit that talks nonsense must not cost the others a round.
        """
        unit.failed(e.cause, self._now())
        unit.stats.causes[e.cause] += 1
        self._garbled += 1
        if self._garbled >= 2:
            self._garbled = 0
            await self._driver.close()
        try:
            await self._driver.open()
        except LineDown as down:
            self._lost(down)

    def _shortest(self) -> float:
        return min(u.shortest_ms for u in self._units)

    def _learnt(self) -> float:
        return max((u.learnt_s for u in self._units), default=0.0)

    # ── one request ───────────────────────────────────────────────────────────────────────────────

    async def _one(self, unit: Unit, read: Read, timeout_s: float, left: Unread) -> None:
        """Read, decode, hand over. An exception of the device is handled here; silence is the caller's."""
        try:
            await self._ask(unit, read, timeout_s, left)
        except DeviceException as e:
            self._excepted(unit, e)
            halves = split(read, unit.config.model.spans) if e.code in REFUSED else None
            if halves is None:
                self._close(unit, e.cause, read, left)
                return
            lessons: list[Range] = []
            legal = await self._bisect(unit, halves, lessons, left)
            if legal:
                self._learn(unit, lessons)

    async def _ask(self, unit: Unit, read: Read, timeout_s: float, left: Unread) -> None:
        unit.stats.requests += 1
        try:
            # The driver keeps its own time; this one only catches a driver that does not come back at all.
            async with asyncio.timeout(2 * timeout_s + 5):
                answer = await self._driver.read(read.block(unit.config.unit), timeout_s)
        except TimeoutError as e:
            raise LineDown("the driver did not come back") from e
        self._guard.check()
        unit.answered(answer.rtt_s, answer.t)
        self._garbled = 0
        decoded = unit.config.model.decode(answer)
        self._hand_over(unit, read, decoded, self._guard.stamp(answer.t), left)

    def _hand_over(self, unit: Unit, read: Read, d: Decoded, t: Ms, left: Unread) -> None:
        """Only the points that this read was made for: others that lie in its gaps are not due now."""
        index, v, q = d.index, d.v, d.q
        mine = index < len(read.wanted)
        mine[mine] = read.wanted[index[mine]]
        if not mine.all():
            index, v, q = index[mine], v[mine], q[mine]
        attrs = {unit.base + n: a for n, a in d.attrs.items() if n in read.points} if d.attrs else {}
        only_text = [gid - unit.base for gid in attrs if gid - unit.base not in index]
        if only_text:
            index = np.r_[index, np.array(only_text, np.intp)]
            v, q = (
                np.r_[v, np.full(len(only_text), np.nan)],
                np.r_[q, np.full(len(only_text), GOOD, np.uint8)],
            )
        left.done(read)
        if len(index):
            self._sink.readings(unit.index, unit.base + index, t, v, q, attrs)
        if len(index) < len(read.points):
            self._sink.gap(unit.index, "no_value", len(read.points) - len(index))

    def _excepted(self, unit: Unit, e: DeviceException) -> None:
        unit.stats.exceptions[e.code] += 1
        unit.stats.causes[e.cause] += 1
        if e.code in BEHIND:
            raise NoAnswer(str(e)) from e
        self._garbled = 0
        unit.alive()

    # ── addresses that the device refuses ─────────────────────────────────────────────────────────

    async def _bisect(self, unit: Unit, halves: tuple[Read, Read], lessons: list[Range], left: Unread) -> int:
        """Read both halves, splitting further; the number of legal reads found.

        Each refusal ends in a lesson: a single span that is refused, or a gap between two legal halves.
        """
        legal, whole = 0, True
        for half in halves:
            try:
                await self._ask(unit, half, unit.timeout_s(), left)
                legal += 1
            except DeviceException as e:
                self._excepted(unit, e)
                whole = False
                smaller = split(half, unit.config.model.spans) if e.code in REFUSED else None
                if smaller is not None:
                    legal += await self._bisect(unit, smaller, lessons, left)
                    continue
                self._close(unit, e.cause, half, left)
                if e.code in REFUSED:
                    lessons.append(Range(half.area, half.address, half.stop))
        if whole:
            lessons.append(between(*halves))
        return legal

    def _learn(self, unit: Unit, lessons: list[Range]) -> None:
        """A device that refuses everything is not taught by it: it may be starting up."""
        unit.learn(lessons, self._clock.now())
        log.info(
            "device refuses addresses device=%s ranges=%s; reads are split from now on",
            unit.config.id, [(r.area, r.start, r.stop) for r in lessons],
        )  # fmt: skip
        self._sink.learned(unit.index, unit.lessons)

    # ── the round's points that are still open ────────────────────────────────────────────────────

    def _close(self, unit: Unit, cause: str, read: Read, left: Unread) -> None:
        left.done(read)
        self._sink.gap(unit.index, cause, len(read.points))

    def _rest(self, unit: Unit, cause: str, left: Unread) -> None:
        if left.points:
            self._sink.gap(unit.index, cause, left.take())
