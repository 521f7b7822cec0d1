"""The edge as a whole: lines → filter → outbox → broker; its account, its commands, its own health."""

from __future__ import annotations

import asyncio
import logging
import math
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from gateway.codec import Account, Topic
from gateway.edge.clockguard import ClockGuard
from gateway.edge.collect import Collector
from gateway.edge.config import DeviceConfig, EdgeConfig, Hello, LineConfig, MakeUplink
from gateway.edge.courier import Courier
from gateway.edge.filter import Filter
from gateway.edge.line import Line
from gateway.edge.link import Link
from gateway.edge.outbox import Outbox, Taken, Turn
from gateway.edge.pack import TABLE_POINTS, Packer
from gateway.edge.tally import Tally
from gateway.edge.unit import Unit
from gateway.errors import Permanent
from gateway.model import Point
from gateway.ports import Clock

log = logging.getLogger(__name__)

__all__ = ["DeviceConfig", "Edge", "EdgeConfig", "Hello", "LineConfig", "MakeUplink"]

OFFLINE_ACCOUNT_S = 60.0
"""Pause between accounts while the core is out of reach: each of them waits in the outbox."""
BEAT_S = 1.0

Held = Mapping[str, Mapping[str, int]]
"""Lowest number that the outbox holds, by boot and lane."""


class Edge:
    """One edge. `run` until cancelled; stopping leaves everything that was read in the outbox.

    make_uplink: builds the connection for a persistent client id · local_alarm: told True when the core
    has been silent for 60 s and False when it is heard again (a relay or a siren).
    """

    def __init__(
        self,
        config: EdgeConfig,
        clock: Clock,
        make_uplink: MakeUplink,
        local_alarm: Callable[[bool], None] | None = None,
    ) -> None:
        self._config, self._clock = config, clock
        self._make_uplink, self._local_alarm = make_uplink, local_alarm
        devices = [d for line in config.lines for d in line.devices]
        self._names = [d.id for d in devices]
        self._points: list[Point] = [p for d in devices for p in d.model.points]
        sizes = [len(d.model.points) for d in devices]
        self._device_of = np.repeat(np.arange(len(sizes), dtype=np.intp), sizes)
        self._tally = Tally(self._names)
        self._collector = Collector(self._points, self._tally, self._notice)
        self._filter = Filter(self._points)
        self._guard = ClockGuard(clock)
        self._outbox = Outbox(config.data_dir / "outbox.db", config.outbox_bytes)
        self._writer = ThreadPoolExecutor(1, "outbox")
        self._wake, self._urgent = asyncio.Event(), asyncio.Event()
        self._lines: list[Line] = []
        self._polling: list[asyncio.Task[None]] = []
        self._packer: Packer | None = None
        self._link: Link
        self._account_due = self._account_at = -math.inf
        self._stopped = self._said_empty = False
        self.started = asyncio.Event()
        self.boot = ""

    # ── running ───────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Read, keep, deliver. Raises Permanent when the outbox is another process's, or damaged in use."""
        try:
            packer = await self._open()
            uplink = self._make_uplink(self._link.hello(self._outbox.client_id))
            async with asyncio.TaskGroup() as group:
                group.create_task(self._link.run(uplink), name="uplink")
                group.create_task(self._ticks(packer), name="edge ticks")
                group.create_task(self._beats(), name="edge beats")
                self._polling = [group.create_task(x.run(), name=f"line {x.id}") for x in self._lines]
                self.started.set()
        except BaseExceptionGroup as e:
            final = e.subgroup(Permanent)
            if final is None:
                raise
            raise final.exceptions[0] from e
        finally:
            await self._close()

    async def _open(self) -> Packer:
        config = self._config
        self.boot = await self._in_writer(self._outbox.open, self._clock.now())
        packer = Packer(
            Topic(config.estate, config.gateway, ""), self.boot, self._points, self._outbox.first_n
        )
        self._link = Link(
            config, self._clock, Courier(self.boot, config.drain_per_s), packer.tables, self._from_link,
            self._local_alarm, boot=self.boot, conn=self._outbox.conn,
        )  # fmt: skip
        self._make_lines()
        turn = Turn(self._clock.now(), rows=packer.table_rows())
        for n, table in enumerate(packer.tables):
            owners = self._device_of[n * TABLE_POINTS : (n + 1) * TABLE_POINTS].tolist()
            turn.tables.append((table.tab, table.encode(), [self._names[d] for d in owners]))
        await self._add_closing(turn, packer)
        await self._commit(turn)
        self._packer = packer
        return packer

    def _make_lines(self) -> None:
        index = base = 0
        for config in self._config.lines:
            units = []
            for device in config.devices:
                lessons = self._outbox.lessons.get(device.id, ())
                units.append(
                    Unit(
                        device, index, base, max_gap=config.max_gap, min_timeout_s=config.min_timeout_s,
                        lessons=lessons,
                    )
                )  # fmt: skip
                index, base = index + 1, base + len(device.model.points)
            # Devices that share a point table are read at the same instants, so that they share messages.
            phase = {u.config.id: f"table {u.base // TABLE_POINTS}" for u in units}
            self._lines.append(Line(config, units, self._clock, self._guard, self._collector, phase=phase))

    async def _close(self) -> None:
        """Keep what was read last, with the final account."""
        if self._packer is not None:
            turn = self._turn(self._packer, account=True)
            try:
                await self._in_writer(self._outbox.commit, turn, {}, self._clock.monotonic())
            except Permanent as e:
                log.error("outbox did not take the last tick cause=%r", str(e))
        await self._in_writer(self._outbox.close)
        self._writer.shutdown()

    async def stop_polling(self) -> None:
        """Stop reading; what was read still goes out, with an account at once and one when all is gone."""
        for task in self._polling:
            task.cancel()
        await asyncio.gather(*self._polling, return_exceptions=True)
        self._stopped = True
        self._hurry()

    @property
    def drained(self) -> bool:
        """Polling has stopped and the core has confirmed everything, the closing account included."""
        return self._said_empty and self._outbox.rows == 0

    async def _in_writer(self, function: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._writer, function, *args)

    # ── the tick: everything since the last one in one commit ─────────────────────────────────────

    def _notice(self, urgent: bool) -> None:
        self._wake.set()
        if urgent:
            self._urgent.set()

    def _from_link(self, changed: bool) -> None:
        """A receipt or a command came; or the link or the core changed: then an account is due."""
        if changed:
            self._hurry()
        else:
            self._wake.set()

    def _hurry(self) -> None:
        """Tick now, with an account."""
        self._account_due = -math.inf
        self._notice(urgent=True)

    async def _ticks(self, packer: Packer) -> None:
        tick = self._config.tick_s
        while True:
            if not self._link.courier.busy:
                await _within(self._wake, BEAT_S)
            await _within(self._urgent, tick)
            self._wake.clear()
            self._urgent.clear()
            while self._link.commands:
                await self._command(self._link.commands.popleft())
            account = self._account_is_due()
            held = await self._in_writer(self._outbox.held) if account else None
            turn = self._turn(packer, account=account, held=held)
            if account:
                await self._add_closing(turn, packer)
            await self._commit(turn)
            if self._stopped and not self._said_empty and self._outbox.points == 0:
                self._wake.set()

    async def _commit(self, turn: Turn) -> None:
        wants = self._link.courier.wants()
        taken: Taken = await self._in_writer(self._outbox.commit, turn, wants, self._clock.monotonic())
        self._link.courier.accept(wants, taken)
        for device, n in ((d, n) for (boot, d), n in taken.thinned.items() if boot == self.boot):
            self._tally.thinned_in_store(self._names.index(device), n)
        self._link.pump()

    def _turn(self, packer: Packer, *, account: bool, held: Held | None = None) -> Turn:
        """Filter and pack what was read since the last tick."""
        batch, attrs = self._collector.take()
        turn = Turn(self._guard.now(), acks=self._link.take_acks())
        passed = self._filter.process(batch, self._collector.changed(batch, attrs))
        devices = self._device_of[batch.gid]
        over = passed & packer.analog(batch) if self._outbox.full else np.zeros(len(batch), np.bool_)
        self._tally.readings(devices[passed], devices[~passed])
        self._tally.thinned(devices[over])
        kept = np.flatnonzero(passed & ~over)
        if len(kept):
            facts = {k: attrs[row] for k, row in enumerate(kept.tolist()) if row in attrs} if attrs else {}
            turn.rows = packer.pack(batch[kept], facts, live=self._link.courier.live)
        turn.lessons = {self._names[d]: lessons for d, lessons in self._collector.lessons().items()}
        if self._link.conn != self._outbox.conn:
            self._outbox.conn = self._link.conn
            turn.meta["conn"] = str(self._link.conn)
        turn.delta = self._tally.delta()
        if account:
            self._add_account(turn, packer, held or {})
        return turn

    # ── the account ───────────────────────────────────────────────────────────────────────────────

    def _account_is_due(self) -> bool:
        now = self._clock.monotonic()
        if self._stopped and not self._said_empty and self._collector.empty and self._outbox.points == 0:
            self._said_empty = True
            return True
        if now < self._account_due:
            return False
        pace = self._config.account_s
        self._account_due = now + max(0.2, min(pace / self._clock.speed, pace))
        if not self._link.courier.live and now - self._account_at < OFFLINE_ACCOUNT_S:
            return False
        self._account_at = now
        return True

    def _add_account(self, turn: Turn, packer: Packer, held: Held) -> None:
        """Cumulative counts with everything of this tick; they are written in the same transaction."""
        waiting = self._outbox.points + sum(r.points for r in turn.rows)
        backlog = self._outbox.backlog + sum(r.points for r in turn.rows if r.lane == "backlog")
        devices = self._tally.devices()
        account = Account(self.boot, 0, turn.t, devices, waiting, backlog, self.facts(), held=held)
        turn.rows.append(packer.account(account))
        turn.accounts.append(account)

    async def _add_closing(self, turn: Turn, packer: Packer) -> None:
        """The last word of boots that ended without one, or of which something was thinned since."""
        for account in await self._in_writer(self._outbox.closing):
            turn.rows.append(packer.account(account))
            turn.accounts.append(account)

    def facts(self) -> dict[str, float]:
        """The edge's own health; part of each account."""
        outbox, courier, guard = self._outbox, self._link.courier, self._guard
        late = max((line.take_late() for line in self._lines), default=0.0)
        disk = shutil.disk_usage(self._config.data_dir)
        return {
            "connected": float(courier.online),
            "connections": float(self._link.conn),
            "core_silent": float(self._link.silent),
            "resent": float(courier.resent),
            "outbox_rows": float(outbox.rows),
            "outbox_bytes": float(outbox.bytes),
            "outbox_in_memory": float(outbox.degraded),
            "outbox_full": float(outbox.full),
            "outbox_moved_aside": float(outbox.moved_aside),
            "disk_free_mb": round(disk.free / 1e6),
            "disk_free_pct": round(100 * disk.free / disk.total, 1),
            "clock_offset_ms": round(guard.offset),
            "clock_steps": float(guard.steps),
            "clock_last_step_ms": round(guard.last_step_ms),
            "lines_down": float(sum(not line.up for line in self._lines)),
            "lines_overloaded": float(sum(line.overloaded for line in self._lines)),
            "units_silent": float(sum(line.silent_units for line in self._lines)),
            "late_max_ms": round(late),
            "polling": float(not self._stopped),
        }

    # ── commands and the beat ─────────────────────────────────────────────────────────────────────

    async def _command(self, body: dict[str, Any]) -> None:
        name, link = body.get("cmd"), self._link
        if name == "stop_polling":
            await self.stop_polling()
            link.reply(body, ok=True)
        elif name == "table":
            tab = str(body.get("tab"))
            payload = await self._in_writer(self._outbox.table, tab)
            if payload is not None:
                link.send_table(tab, payload)
            link.reply(body, ok=payload is not None)
        elif name == "resend":
            link.courier.resend()
            self._filter.forget()
            link.reply(body, ok=True)
        else:
            link.reply(body, ok=False, error=f"unknown command {name!r:.40}")

    async def _beats(self) -> None:
        while True:
            self._link.watch()
            left = self._account_due - self._clock.monotonic()
            if left <= 0:
                self._wake.set()
            await self._clock.sleep_real(max(0.05, min(BEAT_S, left)))


async def _within(event: asyncio.Event, seconds: float) -> None:
    """Wait for the event, at most so long."""
    if event.is_set():
        return
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
