"""The edge as a whole: lines → filter → outbox → broker; its account, its commands, its own health."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import numpy as np

from gateway.codec import Account, Topic
from gateway.edge.clockguard import ClockGuard
from gateway.edge.commands import Commands
from gateway.edge.config import DeviceConfig, EdgeConfig, Hello, LineConfig, MakeUplink
from gateway.edge.control import Control
from gateway.edge.courier import Courier
from gateway.edge.facts import edge_facts
from gateway.edge.link import Link
from gateway.edge.numbers import Numbers
from gateway.edge.outbox import Outbox, Taken, Turn
from gateway.edge.reload import Change, Fleet, devices_of
from gateway.edge.sender import Sender
from gateway.edge.stage_push import Pushes
from gateway.edge.writes import Writes
from gateway.errors import Permanent, WorkFailed
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
    has been silent for 60 s and False when it is heard again (a relay or a siren) · adopted: told the
    configuration that holds from now on, with the drivers in use · drained: polling has stopped and the core
    has confirmed everything, the closing account included.
    """

    def __init__(
        self,
        config: EdgeConfig,
        clock: Clock,
        make_uplink: MakeUplink,
        local_alarm: Callable[[bool], None] | None = None,
        control: Control | None = None,
        adopted: Callable[[EdgeConfig], None] | None = None,
    ) -> None:
        self._config, self._clock = config, clock
        self._make_uplink, self._local_alarm = make_uplink, local_alarm
        self._adopted = adopted
        self._control, self._pushes = control, None if control is None else Pushes(control, clock, self)
        self._sender: Sender
        self._writes: Writes
        self._commands: Commands
        self._guard = ClockGuard(clock)
        self._outbox = Outbox(config.data_dir / "outbox.db", config.outbox_bytes, config.outbox_days)
        self._writer = ThreadPoolExecutor(1, "outbox")
        self._wake, self._urgent = asyncio.Event(), asyncio.Event()
        self._numbers: Numbers
        self._fleet: Fleet
        self._link: Link
        self._open = False
        self._wishes: deque[tuple[EdgeConfig, asyncio.Future[Change]]] = deque()
        self._account_due = self._account_at = -math.inf
        self._stopped = self._said_empty = False
        self.drained = False
        self.started = asyncio.Event()
        self.boot = ""

    # ── running ───────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Read, keep, deliver. Raises Permanent when the outbox is another process's, or damaged in use."""
        try:
            await self._begin()
            uplink = self._make_uplink(self._link.hello(self._outbox.client_id))
            async with asyncio.TaskGroup() as group:
                group.create_task(self._link.run(uplink), name="uplink")
                group.create_task(self._ticks(), name="edge ticks")
                group.create_task(self._beats(), name="edge beats")
                group.create_task(self._writes.run(), name="edge writes")
                self._fleet.start(group, self._config.lines)
                self.started.set()
        except BaseExceptionGroup as e:
            final = e.subgroup(Permanent)
            if final is None:
                raise
            raise final.exceptions[0] from e
        finally:
            await self._close()

    async def _begin(self) -> None:
        config = self._config
        self.boot = await self._in_writer(self._outbox.open, self._clock.now())
        self._guard.resume(self._outbox.last_t)
        topic = Topic(config.estate, config.gateway, "")
        self._numbers = Numbers(topic, self.boot, self._outbox.first_n, self._notice)
        self._fleet = Fleet(self._numbers, self._clock, self._guard, self._outbox.lessons)
        turn = self._place(config)
        self._link = Link(
            config, self._clock, Courier(self.boot, config.drain_per_s), self._numbers.tables(),
            self._from_link, self._local_alarm, boot=self.boot, conn=self._outbox.conn,
        )  # fmt: skip
        key = self._control.key if self._control is not None else b""
        self._sender = Sender(self._clock, key, self.boot)
        self._writes = Writes(self._clock, self._sender, lambda: self._config.lines, self.reply)
        self._commands = Commands(self, self._sender, self._writes, self._pushes)
        self._add_closing(turn, await self._in_writer(self._outbox.closing))
        await self._commit(turn)
        self._open = True

    def _place(self, config: EdgeConfig) -> Turn:
        """Number the devices; new point tables go into the outbox ahead of the first data that uses them."""
        new = self._numbers.place(devices_of(config.lines))
        return Turn(self._clock.now(), rows=list(new.rows), tables=list(new.tables))

    async def _close(self) -> None:
        """Keep what was read last, with the final account."""
        for _, answer in self._wishes:
            answer.cancel()
        if self._pushes is not None:
            await self._pushes.close()
        if self._open:
            turn = self._turn(account=True)
            try:
                await self._in_writer(self._outbox.commit, turn, {}, self._clock.monotonic())
            except Permanent as e:
                log.error("outbox did not take the last tick cause=%r", str(e))
        await self._in_writer(self._outbox.close)
        self._writer.shutdown()

    async def stop_polling(self) -> None:
        """Stop reading; what was read still goes out, with an account at once and one when all is gone."""
        await self._fleet.stop()
        self._stopped = True
        self._hurry()

    # ── another configuration ─────────────────────────────────────────────────────────────────────

    async def apply(self, config: EdgeConfig) -> Change:
        """Poll by `config` from now on; lines that it does not change go on untouched.

        Only lines and devices change while an edge runs: estate, gateway and data directory must be the
        same, and the bounds of the outbox hold from the next start. Raises ValueError for a doubled point
        and WorkFailed when polling has ended; then nothing has changed.
        """
        same = (config.estate, config.gateway, config.data_dir)
        if same != (self._config.estate, self._config.gateway, self._config.data_dir):
            raise ValueError("another estate, gateway or data directory needs a new start")
        answer: asyncio.Future[Change] = asyncio.get_running_loop().create_future()
        self._wishes.append((config, answer))
        self._hurry()
        return await answer

    async def _apply(self, config: EdgeConfig, answer: asyncio.Future[Change]) -> None:
        if answer.done():  # whoever wished for it has gone
            return
        try:
            change = await self._adopt(config)
        except Permanent:
            raise
        except (ValueError, WorkFailed) as e:
            if not answer.done():
                answer.set_exception(e)
        else:
            if not answer.done():
                answer.set_result(change)

    async def _adopt(self, config: EdgeConfig) -> Change:
        """See `apply`; within the tick, where rows are numbered and written in one order."""
        if self._stopped:
            raise WorkFailed("polling has ended; a new configuration holds from the next start")
        await self._commit(self._place(config))
        change = await self._fleet.change(config.lines)
        # Lines that go on keep their drivers; those of the new configuration were never opened.
        self._config = replace(config, lines=self._fleet.configs)
        self._link.announce(config, self._numbers.tables())
        if self._adopted is not None:
            self._adopted(self._config)
        log.info(
            "configuration applied cfg=%s kept=%d changed=%s stopped=%s started=%s",
            config.cfg_hash, len(change.kept), change.changed, change.stopped, change.started,
        )  # fmt: skip
        return change

    @property
    def config(self) -> EdgeConfig:
        """What holds now."""
        return self._config

    def changing(self) -> AbstractContextManager[None]:
        """While an own site file is read and applied. Raises Conflict while one of the core is taken up."""
        return nullcontext() if self._pushes is None else self._pushes.kept_out()

    @property
    def core_silent(self) -> bool:
        """No receipt for a minute."""
        return self._link.silent

    def answering(self) -> Mapping[str, bool]:
        """Whether each device answers."""
        return self._fleet.answering()

    def reply(self, command: Mapping[str, Any], *, ok: bool, **facts: Any) -> None:
        """Answer a command."""
        self._link.reply(command, ok=ok, **facts)
        self._wake.set()

    async def _in_writer(self, function: Callable[..., Any], *args: Any) -> Any:
        # A cancelled wait must not take back what the writer has not begun: it is counted as kept already.
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._writer, function, *args))

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

    async def _ticks(self) -> None:
        tick = self._config.tick_s
        while True:
            if not self._link.courier.busy:
                await _within(self._wake, BEAT_S)
            await _within(self._urgent, tick)
            self._wake.clear()
            self._urgent.clear()
            while self._link.commands:
                await self._commands.obey(self._link.commands.popleft())
            while self._wishes:
                await self._apply(*self._wishes.popleft())
            if self._pushes is not None:
                self._pushes.step()
            account = self._account_is_due()
            held = await self._in_writer(self._outbox.held) if account else None
            ended = await self._in_writer(self._outbox.closing) if account else ()
            # From here to the commit nothing waits: what the turn took would be lost with a cancellation.
            turn = self._turn(account=account, held=held)
            self._add_closing(turn, ended)
            await self._commit(turn)
            if self._said_empty:
                # A table that no reading ever used stays; it is nobody's loss.
                self.drained = not self._outbox.degraded and not await self._in_writer(self._outbox.held)
            if self._stopped and not self._said_empty and self._outbox.points == 0:
                self._wake.set()

    async def _commit(self, turn: Turn) -> None:
        wants = self._link.courier.wants()
        taken: Taken = await self._in_writer(self._outbox.commit, turn, wants, self._clock.monotonic())
        self._link.courier.accept(wants, taken)
        for device, n in ((d, n) for (boot, d), n in taken.thinned.items() if boot == self.boot):
            self._numbers.tally.thinned_in_store(self._numbers.index(device), n)
        self._link.pump()

    def _turn(self, *, account: bool, held: Held | None = None) -> Turn:
        """Filter and pack what was read since the last tick."""
        numbers = self._numbers
        collector, packer, tally = numbers.collector, numbers.packer, numbers.tally
        batch, attrs = collector.take()
        turn = Turn(self._guard.now(), acks=self._link.take_acks())
        passed = numbers.filter.process(batch, collector.changed(batch, attrs), doubtful=self._guard.doubtful)
        devices = numbers.device_of[batch.gid]
        over = passed & packer.analog(batch) if self._outbox.full else np.zeros(len(batch), np.bool_)
        tally.readings(devices[passed], devices[~passed])
        tally.thinned(devices[over])
        kept = np.flatnonzero(passed & ~over)
        if len(kept):
            facts = {k: attrs[row] for k, row in enumerate(kept.tolist()) if row in attrs} if attrs else {}
            turn.rows = packer.pack(batch[kept], facts, live=self._link.courier.live)
        turn.lessons = {numbers.names[d]: lessons for d, lessons in collector.lessons().items()}
        if self._link.conn != self._outbox.conn:
            self._outbox.conn = self._link.conn
            turn.meta["conn"] = str(self._link.conn)
        turn.delta = tally.delta()
        if account:
            self._add_account(turn, held or {})
        return turn

    # ── the account ───────────────────────────────────────────────────────────────────────────────

    def _account_is_due(self) -> bool:
        now = self._clock.monotonic()
        if (
            self._stopped
            and not self._said_empty
            and self._numbers.collector.empty
            and self._outbox.points == 0
        ):
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

    def _add_account(self, turn: Turn, held: Held) -> None:
        """Cumulative counts with everything of this tick; they are written in the same transaction."""
        waiting = self._outbox.points + sum(r.points for r in turn.rows)
        backlog = self._outbox.backlog + sum(r.points for r in turn.rows if r.lane == "backlog")
        devices = self._numbers.tally.devices()
        account = Account(self.boot, 0, turn.t, devices, waiting, backlog, self.facts(), held=held)
        turn.rows.append(self._numbers.packer.account(account))
        turn.accounts.append(account)

    def _add_closing(self, turn: Turn, ended: Iterable[Account]) -> None:
        """The last word of boots that ended without one, or of which something was thinned since."""
        for account in ended:
            turn.rows.append(self._numbers.packer.account(account))
            turn.accounts.append(account)

    def facts(self) -> dict[str, float]:
        """The edge's own health; part of each account."""
        lines = self._fleet.lines
        return {
            **edge_facts(self._config.data_dir, self._outbox, self._link, self._guard, lines),
            "polling": float(not self._stopped),
            **self._sender.facts(),
            **self._writes.facts(),
            **(self._pushes.facts() if self._pushes is not None else {}),
        }

    # ── commands and the beat ─────────────────────────────────────────────────────────────────────

    async def send_table(self, tab: str) -> bool:
        """Publish a point table again; False when there is none of this name."""
        payload = await self._in_writer(self._outbox.table, tab)
        if payload is not None:
            self._link.send_table(tab, payload)
        return payload is not None

    def resend(self) -> None:
        """Send again what has no receipt, and every value with the next reading."""
        self._link.courier.resend()
        self._numbers.filter.forget()

    def retry(self, device: str | None) -> bool:
        """Ask a silent device, or all of them, at once; False when there is none of this name."""
        found = [line.retry_now(device) for line in self._fleet.lines]  # each of them, not up to the first
        return any(found)

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
