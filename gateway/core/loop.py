"""The core loop: one inbox, one writer.

A turn: 1 store the samples, 2 rules, 3 alarms, 4 orders, 5 one SQL transaction; then acknowledge to the
broker, send receipts to the edges and tell the live stream. Events are drained before each telemetry
batch. Nothing else in the process changes state.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from alerts.desk import Outcome
from alerts.orders_unproven import Unproven
from gateway.core.asks import Asks, kept, same
from gateway.core.balance import Balance
from gateway.core.brain import Brain
from gateway.core.content import storable
from gateway.core.edges import Edges
from gateway.core.freezer import Freezer
from gateway.core.hub import Hub
from gateway.core.inbox import Inbox
from gateway.core.intake import Heard, Intake, Readings, Turn
from gateway.core.journal import Snapshots
from gateway.core.parts import Parts as Parts  # noqa: PLC0414 - others import it from here
from gateway.core.presence import Presence
from gateway.core.ranges import Applied
from gateway.core.receipts import Receipts
from gateway.core.reconcile import Reconciler
from gateway.core.selfcheck import SelfCheck
from gateway.core.tables import Tables
from gateway.core.view import View
from gateway.core.virtual import Virtuals
from gateway.core.words import Words
from gateway.core.writer import Writer
from gateway.errors import StewardError, WorkFailed
from gateway.model import Command, Event, Finding, MessageKey, Ms, Point, Samples
from gateway.ports import Commit, Delivery

log = logging.getLogger(__name__)

TICK_S = 1.0
"""Site seconds between two ticks."""
TICK_REAL_S = 0.1
"""And at least so many real ones: what a tick finds carries its exact time, however fast site time runs."""
SNAPSHOT_S = 30.0


class Core:
    """See the module. `run` goes on until cancelled; `ready` is set when state is restored."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        site = parts.site
        self.clock = parts.clock
        self.hub = Hub(site.firm_of)
        estates = {g.id: g.estate for g in site.file.gateways}
        self.edges = Edges(estates, parts.clock.speed)
        self.tables = Tables(parts.state, parts.assets)
        self.virtual = Virtuals(parts.virtual, parts.points, parts.device_of, parts.state)
        self.applied = Applied(parts.state.applied())
        self.intake = Intake(estates, self.tables, self.applied)
        self.view = View(site, parts.assets, parts.device_of, parts.dispatch.book.mode)
        self.balance = Balance()
        snapshots = Snapshots(parts.data_dir / "snapshots")
        self.brain = Brain(parts.rules, parts.assets, parts.device_of, snapshots)
        self.presence = Presence(self.edges, self.brain, self.balance, self.intake)
        self.reconciler = Reconciler(parts.dispatch.book, self.brain, estates)
        self.selfcheck = SelfCheck(parts.state, site, self.edges, parts.data_dir)
        self.freezer = Freezer(parts.dispatch, parts.samples, parts.rules, self.view, self.presence.behind)
        self.words = Words(parts.rules, self.view.point, site.timezone)
        self.writer = Writer(parts.clock, self._while_stuck)
        self.receipts = Receipts(parts.bus, self.edges, self.applied, parts.clock)
        self._learnt: dict[int, Point] = {}
        self.ready = asyncio.Event()
        self.turns = 0
        self.last_turn: Ms = 0
        self._wake = asyncio.Event()
        self.inbox = Inbox(parts.bus, parts.clock, self._wake)
        self.freezer.wake = self._wake.set
        self._cuts = 0
        self.asks = Asks(self._wake)
        self._since_snapshot = parts.clock.monotonic()
        self._snapshot_failed = False

    # ── life ──────────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Restore, then read, think and write until cancelled."""
        await self.start()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.inbox.run(), name="core.inbox")
            group.create_task(self._loop(), name="core.loop")
            group.create_task(self.parts.sender.run(), name="core.sender")
            group.create_task(self.freezer.until_cancelled(), name="core.freezer")
            self.ready.set()

    async def start(self) -> None:
        """Stand where the last run ended, before anything new is read."""
        await self.writer.insist(
            lambda: self.parts.state.commit(Commit(events=self._registrations())), "state store"
        )
        ended, newest = await self.writer.insist(self._restore, "state store")
        now = self.clock.now()
        self.presence.core_was_away(newest, now)
        await self._commit(self._judge(self.reconciler.restored(ended, now), now), [], [])
        self.view.doubt(self.brain.waiting)
        self.view.expire(now)

    def _restore(self) -> tuple[list[Finding], Samples]:
        state, now = self.parts.state, self.clock.now()
        for _, body in state.records("balance"):
            self.balance.load(body)
        self._learn_points()
        replayed, ended = self.brain.restore(state)
        self.virtual.restore(self.brain.engine.last(self.virtual.series))
        series = [*self.tables.points, *self.virtual.points]
        newest = self.parts.samples.latest(series, now - 24 * 3_600_000)
        self.view.take(newest, now)
        open_ = len(self.parts.dispatch.book.alarms)
        log.info("core restored replayed=%d conditions=%d values=%d", replayed, open_, len(self.view))
        return ended, newest

    def _registrations(self) -> list[Event]:
        """One fact per asset, from which on its time counts; known ones are left out by the store."""
        now = self.clock.now()
        return [
            Event(f"asset.registered:{a.id}", a.estate, now, "asset.registered", a.id, asset=a.id)
            for a in self.parts.assets.values()
        ]

    def _learn_points(self) -> list[Finding]:
        """Points of the site file and the core's own; what else is in tables is stored and no more.

        Gives the ends of conditions whose rule looks at more points from now on.
        """
        listed = {s: p for s, p in self.tables.points.items() if p.id in self.parts.device_of}
        points = {**listed, **self.selfcheck.points, **self.virtual.points}
        fresh = {s: p for s, p in points.items() if self._learnt.get(s) is not p}
        self._learnt |= fresh
        for series, point in fresh.items():
            self.view.add_point(series, self.parts.points.get(point.id, point))
        return self.brain.add_points(fresh)

    # ── the inbox ─────────────────────────────────────────────────────────────────────────────────────

    async def submit(self, command: Command) -> dict[str, Any]:
        """Put a command into the inbox; its effect. Raises what the life cycle raises.

        The same key again gives the first answer; with other words it is BadInput.
        """
        known = await asyncio.to_thread(self.parts.state.command, command.id)
        return same(command, known) if known is not None else await self.asks.put(command)

    # ── the loop ──────────────────────────────────────────────────────────────────────────────────────

    async def _loop(self) -> None:
        next_tick = self.clock.monotonic()
        while True:
            await self.step()
            if self.clock.monotonic() >= next_tick:
                next_tick = self.clock.monotonic() + max(TICK_REAL_S, TICK_S / self.clock.speed)
                await self.tick()
            if not (self.inbox.waiting or self.asks.waiting or self.freezer.ready):
                await self._rest(next_tick)

    async def _rest(self, until: float) -> None:
        self._wake.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, until - self.clock.monotonic())):
                await self._wake.wait()

    async def step(self) -> bool:
        """Take the next thing from the inbox; False when there is none."""
        inbox = self.inbox
        if inbox.cuts != self._cuts:
            self._cuts = inbox.cuts
            self.presence.cut_off(self.clock.now())
            self.view.doubt(self.brain.waiting)
        if inbox.status:  # few and small; says whether what follows comes after an outage
            await self._status_message(inbox.status.popleft())
        elif inbox.events:
            await self._turn(inbox.take(inbox.events))
        elif self.asks.waiting:
            await self._command(self.asks.take())
        elif inbox.data:
            await self._turn(inbox.take(inbox.data))
        elif self.freezer.ready:
            await self._commit(self.freezer.take(self.clock.now()), [], [])
        else:
            return False
        return True

    # ── a turn ────────────────────────────────────────────────────────────────────────────────────────

    async def _turn(self, deliveries: Sequence[Delivery]) -> None:
        now = self.clock.now()
        learnt = await self.writer.insist(lambda: self.intake.learn(deliveries), "state store")
        ended = self._learn_points() if learnt else []
        turn = await asyncio.to_thread(self.intake.read, deliveries, self.clock.now())
        self.virtual.extend(turn)
        await self.writer.insist(lambda: self._store(turn), "sample store")
        self._hear(turn, now)
        findings = ended + [f for part in turn.parts() for f in self._think(part, now)]
        for (gateway, boot), points in turn.points.items():
            self.balance.stored(gateway, boot, points)
        await self._commit(self._judge(findings, now), turn.facts, turn.keys)
        await self.parts.bus.ack(turn.done)
        await self.receipts.send(turn.lanes, now)
        await self.receipts.ask(self.intake.wanted)
        await self.receipts.refresh(self.reconciler.to_ask(k.gateway for k in turn.keys))
        self.view.doubt(self.brain.waiting)
        for late in (False, True):
            self._tell_values(self.view.take(turn.samples(late=late), now), now)

    def _store(self, turn: Turn) -> None:
        live, late = turn.samples(late=False), turn.samples(late=True)
        if len(live):
            self.parts.samples.append(live, turn.keys_live, historical=turn.replayed)
        if len(late):
            self.parts.samples.append(late, turn.keys_late, historical=True)

    def _hear(self, turn: Turn, now: Ms) -> None:
        for step in turn.steps:
            t = step.account.t if isinstance(step, Heard) else int(step.samples.t.max())
            self.edges[step.gateway].heard(t, now)
        for gateway, _, _ in turn.again:
            self.edges[gateway].heard(0, now)

    def _think(self, part: Sequence[Readings] | Heard, now: Ms) -> list[Finding]:
        if isinstance(part, Heard):
            return self._account(part, now)
        if part[0].late:
            return [f for r in part for f in self.brain.late(r.gateway, r.samples, now)]
        return self.brain.live([(r.gateway, r.samples) for r in part], now)

    def _account(self, heard: Heard, now: Ms) -> list[Finding]:
        gateway, account = heard.gateway, heard.account
        proven = self.balance.account(gateway, account)
        edge = self.edges[gateway]
        newest = edge.account is None or account.t >= edge.account.t
        if newest:
            edge.account = account
        for device in proven.devices:
            self.view.prove(gateway, device, account.t)
        self.virtual.prove(gateway, proven.devices, account.t)
        found = self.brain.prove(gateway, proven.devices, proven.clean, proven.span, now)
        fill = self.brain.fills.get(gateway)
        drained = account.backlog == 0 and account.facts.get("connected", 1.0) > 0
        if fill is not None and newest and drained and account.t > fill.since:
            found += self.brain.filled(gateway, now)
        return found

    def _judge(self, findings: Sequence[Finding], now: Ms) -> Outcome:
        return self.parts.dispatch.step(self.words(findings), now)

    async def _status_message(self, d: Delivery) -> None:
        now = self.clock.now()
        events, findings = self.presence.status(d, now)
        if events or findings:
            await self._commit(self._judge(findings, now), events, [])
        self.view.doubt(self.brain.waiting)
        self._tell_presence(events)

    # ── people and time ───────────────────────────────────────────────────────────────────────────────

    async def _command(self, asked: Command) -> None:
        command = asked.received(self.clock.now())
        try:
            storable(command.data)
            known = self.parts.dispatch.knows(command.kind)
            outcome, answer = (self.parts.dispatch.command if known else self.parts.other)(command)
        except StewardError as e:
            if isinstance(e, Unproven):  # the refusal is a fact, and written before anybody is told of it
                await self._commit(self.parts.dispatch.tick(command.received_at), [], [])
            self.asks.refuse(command.id, e)
            return
        except Exception:
            # One act that meets a defect must not end the alarms of everybody else.
            log.exception("command failed kind=%s subject=%s; report this", command.kind, command.subject)
            self.asks.refuse(command.id, WorkFailed("this act met a defect; it is in the log of the core"))
            return
        await self._commit(outcome, [], [], answers={command.id: kept(command, answer)})
        self.asks.answer(command.id, answer)

    async def tick(self) -> None:
        """What time alone does."""
        now = self.clock.now()
        silences = self.presence.silences(now)
        times = {e.id: t for e in self.edges.all.values() if (t := e.time(now)) is not None}
        parts = [("", self.selfcheck.samples(now)), *self.virtual.due()]
        own = Samples.concat([samples for _, samples in parts])
        if len(own):
            await self.writer.insist(
                lambda: self.parts.samples.append(own, [], historical=False), "sample store"
            )
        findings = self.brain.live(parts, now) + self.brain.tick({**times, "": now}, now)
        findings += self.reconciler.due(now)
        await self._commit(self._judge(findings, now), silences, [])
        self._tell_presence(silences)
        await self.receipts.ask(self.intake.wanted)
        self.view.lost = [e.id for e in self.edges.all.values() if not e.present(now)]
        self._tell_values(self.view.take(own, now), now)
        self._tell_values(self.view.expire(now), now)
        if self.freezer.look(now):  # also while telemetry never ends
            await self._commit(self.freezer.take(now), [], [])
        self.last_turn = now
        if self.clock.monotonic() - self._since_snapshot >= SNAPSHOT_S:
            await self.snapshot()

    async def snapshot(self) -> None:
        """Write the detectors' state, so that the next start replays little. A full disk costs only that."""
        self._since_snapshot = self.clock.monotonic()
        state, store = self.brain.state(), self.parts.state
        try:
            position = await asyncio.to_thread(store.position)
            upto = await asyncio.to_thread(self.brain.write, position, state)
            await asyncio.to_thread(store.trim_journal, upto)
        except (OSError, WorkFailed) as e:
            if not self._snapshot_failed:
                log.error("snapshot not written reason=%r; the next start replays more", str(e))
            self._snapshot_failed = True
        else:
            if self._snapshot_failed:
                log.warning("snapshots are written again")
            self._snapshot_failed = False

    # ── writing ───────────────────────────────────────────────────────────────────────────────────────

    async def _commit(
        self,
        outcome: Outcome,
        facts: Sequence[Event],
        keys: Sequence[MessageKey],
        answers: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        commit = Commit(
            events=[*facts, *outcome.events],
            records=[
                *outcome.records, *((*gone, None) for gone in outcome.gone), *self.tables.records(),
                *self.balance.records(),
            ],
            notices=list(outcome.notices),
            applied=list(keys),
            journal=self.brain.take_entries(),
            commands=list(answers or {}),
            answers=dict(answers or {}),
        )  # fmt: skip
        if not _empty(commit):
            await self.writer.insist(lambda: self.parts.state.commit(commit), "state store")
            self.turns += 1
        if commit.notices:
            self.parts.sender.wake()
        self._tell(outcome)

    def _while_stuck(self) -> None:
        """Nothing comes in: what is shown grows old all the same."""
        now = self.clock.now()
        self._tell_values(self.view.expire(now), now)
        for estate in self.parts.site.file.estates:
            self.hub.publish(estate.id, "h", {"stuck": self.writer.stuck})

    def _tell(self, outcome: Outcome) -> None:
        dispatch = self.parts.dispatch
        for id_ in sorted(outcome.changed_alarms):
            alarm = dispatch.book.alarms[id_]
            self.hub.publish(alarm.estate, "a", alarm.as_dict(), alarm.system)
        for id_ in sorted(outcome.changed_orders):
            order = dispatch.orders.orders.get(id_)
            if order is not None:
                self.hub.publish(order.estate, "o", order.as_dict(), order.system)

    def _tell_presence(self, events: Sequence[Event]) -> None:
        for e in events:
            online = e.kind == "gateway.online"
            self.hub.publish(e.estate, "h", {"gateway": e.subject, "online": online})

    def _tell_values(self, changed: Mapping[str, Mapping[str, Any]], now: Ms) -> None:
        for estate, values in changed.items():
            if estate:
                self.hub.publish(estate, "v", {"t": now, "values": values})


def _empty(c: Commit) -> bool:
    return not (c.events or c.records or c.notices or c.applied or c.journal or c.commands)
