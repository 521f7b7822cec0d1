"""One round of one job: requests, answers, and what becomes of each point that was due.

Every due point ends as a reading or as a gap with its cause: timeout, garbled, exception, line (the
connection is not there), no_value (the answer held no value for it), error (decoding failed).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gateway.edge.clockguard import ClockGuard
from gateway.edge.connection import Connection, steady_ms
from gateway.edge.refusal import Refusal, Verdict
from gateway.edge.station import Job, Part, Station, Task, Unread
from gateway.edge.stats import BusyMeter
from gateway.edge.unit import Lesson
from gateway.edge.watch import Watch
from gateway.model import GOOD, Ms
from gateway.ports import Answer, Clock, Decoded, DeviceException, Garbled, LineDown, NoAnswer

log = logging.getLogger(__name__)

REFUSED = (2, 3)
"""Illegal data address, illegal data value (MODBUS Application Protocol V1.1b3, section 7)."""
BEHIND = (10, 11)
"""Gateway path unavailable, gateway target failed to respond: the unit behind it is silent."""


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


class Reader:
    """Reads jobs over a connection. `between`: called before each further read of a job not urgent."""

    def __init__(
        self,
        connection: Connection,
        clock: Clock,
        guard: ClockGuard,
        sink: Sink,
        between: Callable[[], Awaitable[None]],
    ) -> None:
        self._connection, self._clock, self._guard, self._sink = connection, clock, guard, sink
        self._between = between
        self._watch = Watch(connection.driver)
        self.busy = BusyMeter(clock.monotonic())

    async def job(self, job: Job, left: Unread, *, probe: bool, line_learnt_s: float) -> None:
        """All reads of a job. probe: the unit is silent; the cheapest read comes first."""
        station, health = job.station, job.station.health
        tasks = job.tasks
        if probe:
            tasks = tuple(sorted(tasks, key=lambda t: (t.read.illegal, t.read.count)))
            health.probed_at = steady_ms(self._clock)
        for n, task in enumerate(tasks):
            if n and not job.life:
                await self._between()
            if task.read.illegal:
                self.book(station, "exception", left, task.read.points)
                continue
            if n and not probe and health.open:
                self.book(station, "breaker", left)
                return
            timeout_s = (
                health.probe_timeout_s(line_learnt_s, task.air_s)
                if health.open
                else health.timeout_s(task.air_s)
            )
            if not await self._survives(station, task, timeout_s, left):
                return

    async def _survives(self, station: Station, task: Task, timeout_s: float, left: Unread) -> bool:
        """One read of a round; False when the rest of the round is lost, and booked."""
        health = station.health
        try:
            await self._one(station, task, timeout_s, left)
        except NoAnswer as e:
            health.failed(e.cause, steady_ms(self._clock))
            self.book(station, e.cause, left)
            return False
        except Garbled as e:
            health.failed(e.cause, steady_ms(self._clock))
            await self._connection.junk()
            self.book(station, e.cause, left, task.read.points)
            if health.open or not self._connection.up:
                self.book(station, e.cause if self._connection.up else "line", left)
                return False
        except LineDown as e:
            await self._connection.hang_up(e)
            self.book(station, e.cause, left)
            return False
        return True

    def book(self, station: Station, cause: str, left: Unread, points: Iterable[int] | None = None) -> None:
        """Gaps for these points, or for all that are left."""
        for k, mine in station.shares(left.take(points)):
            if mine:
                self._sink.gap(station.units[k].index, cause, len(mine))

    # ── one request ───────────────────────────────────────────────────────────────────────────────

    async def _one(self, station: Station, task: Task, timeout_s: float, left: Unread) -> None:
        """Read, decode, hand over. An exception of the device is handled here; silence is the caller's."""
        try:
            answer = await self._ask(station, task, timeout_s)
        except DeviceException as e:
            self._excepted(station, e)
            if e.code in REFUSED and station.may_search(steady_ms(self._clock)):
                await self._search(station, task, left)
            self.book(station, e.cause, left, task.read.points)
            return
        self._hand_over(station, task, answer, left)

    async def _ask(self, station: Station, task: Task, timeout_s: float) -> Answer:
        counts, started = station.health.counts, self._clock.monotonic()
        counts.requests += 1
        try:
            answer = await self._watch.read(task.block, timeout_s)
        except NoAnswer as e:
            counts.causes[e.cause] += 1
            if self._clock.monotonic() - started < timeout_s / 2:
                # The driver did not wait: a late answer is still awaited, and nothing was sent.
                counts.requests -= 1
                counts.held += 1
            else:
                counts.timeouts += 1
            raise
        except Garbled as e:
            counts.causes[e.cause] += 1
            counts.faults[e.cause] += 1
            raise
        except DeviceException as e:
            counts.causes[e.cause] += 1
            counts.exceptions[e.code] += 1
            raise
        except LineDown as e:
            counts.causes[e.cause] += 1
            counts.cut_off += 1
            raise
        except asyncio.CancelledError:
            counts.cut_off += 1
            raise
        finally:
            ended = self._clock.monotonic()
            self.busy.add(ended - started, ended)
        self._guard.check()
        station.health.answered(answer.rtt_s, answer.t, task.air_s)
        self._connection.heard()
        if station.proof is None and not any(station.spans[n].alone for n in task.read.points):
            station.proof = task
        return answer

    def _hand_over(self, station: Station, task: Task, answer: Answer, left: Unread) -> None:
        left.done(task.read)
        t = self._guard.stamp(answer.t)
        for part in task.parts:
            try:
                decoded = part.unit.config.model.decode(answer)
            except Exception as e:
                self.defect(station, part.unit.config.id, e)
                self._sink.gap(part.unit.index, "error", part.count)
                continue
            self._deliver(part, decoded, t)

    def _deliver(self, part: Part, d: Decoded, t: Ms) -> None:
        if d.index is not part.index:
            part.choose(d.index)
        gid, v, q = part.gid, d.v, d.q
        if part.pick is not None:
            v, q = v[part.pick], q[part.pick]
        base = part.unit.base
        attrs = {base + n: a for n, a in d.attrs.items() if part.wanted[n]} if d.attrs else {}
        only_text = [g for g in attrs if g - base not in d.index] if attrs else []
        if only_text:
            gid = np.r_[gid, np.array(only_text, np.intp)]
            v = np.r_[v, np.full(len(only_text), np.nan)]
            q = np.r_[q, np.full(len(only_text), GOOD, np.uint8)]
        if len(gid):
            self._sink.readings(part.unit.index, gid, t, v, q, attrs)
        if len(gid) < part.count:
            self._sink.gap(part.unit.index, "no_value", part.count - len(gid))

    def defect(self, station: Station, device: str, e: Exception) -> None:
        """Something broke that must not."""
        causes = station.health.counts.causes
        if causes["error"] == 0:
            log.error("round failed device=%s; its profile or driver has a defect", device, exc_info=e)
        causes["error"] += 1

    def _excepted(self, station: Station, e: DeviceException) -> None:
        if e.code in BEHIND:
            raise NoAnswer(str(e)) from e
        self._connection.heard()
        station.health.alive()

    # ── addresses that the device refuses ─────────────────────────────────────────────────────────

    async def _search(self, station: Station, task: Task, left: Unread) -> None:
        """Find what exactly is refused, reading all the rest; remember it for a day."""
        refusal = Refusal(task.read, station.spans, [lesson.range for lesson in station.lessons])
        if not refusal.possible:
            return
        steps = refusal.steps()
        try:
            read = next(steps)
            while True:
                read = steps.send(await self._try(station, station.task(read), left))
        except StopIteration:
            pass
        if refusal.legal or await self._proves(station):
            self._learn(station, refusal)
        else:
            station.searched_in_vain(steady_ms(self._clock))

    async def _try(self, station: Station, task: Task, left: Unread) -> Verdict:
        try:
            answer = await self._ask(station, task, station.health.timeout_s(task.air_s))
        except DeviceException as e:
            self._excepted(station, e)
            return Verdict.REFUSED if e.code in REFUSED else Verdict.OTHER
        self._hand_over(station, task, answer, left)
        return Verdict.LEGAL

    async def _proves(self, station: Station) -> bool:
        """A device that refuses everything is not taught by it: something that it once gave must still be."""
        proof = station.proof
        if proof is None:
            return False
        try:
            await self._ask(station, proof, station.health.timeout_s(proof.air_s))
        except DeviceException as e:
            self._excepted(station, e)
            return False
        return True

    def _learn(self, station: Station, refusal: Refusal) -> None:
        station.learn(refusal.lessons, self._clock.now())
        log.info(
            "device refuses addresses device=%s ranges=%s; reads are split from now on",
            ",".join(station.devices), [(r.area, r.start, r.stop) for r in refusal.lessons],
        )  # fmt: skip
        self.tell(station)

    def tell(self, station: Station) -> None:
        """What is known of refused addresses, for each device of the unit."""
        for unit in station.units:
            self._sink.learned(unit.index, unit.lessons)
