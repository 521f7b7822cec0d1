"""The core loop: one inbox, one writer.

A turn: 1 store the samples, 2 rules, 3 alarms, 4 orders, 5 one SQL transaction; then acknowledge to the
broker, send receipts to the edges and tell the live stream. Events are drained before each telemetry
batch. Nothing else in the process changes state.
"""

from __future__ import annotations

import asyncio
import collections
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import orjson

from alerts.desk import Dispatch, Outcome
from alerts.ruleset import RuleSet
from gateway.codec import Ack, BadMessage, Status, Topic
from gateway.config.site import Site
from gateway.core.balance import Balance
from gateway.core.brain import Brain
from gateway.core.edges import Edges
from gateway.core.hub import Hub
from gateway.core.inbox import Inbox
from gateway.core.intake import Intake, Turn
from gateway.core.journal import Snapshots
from gateway.core.ranges import Applied
from gateway.core.selfcheck import SelfCheck
from gateway.core.sender import Sender
from gateway.core.tables import Tables
from gateway.core.view import View
from gateway.core.words import Words
from gateway.errors import Retryable, StewardError
from gateway.model import Asset, Command, Event, Finding, MessageKey, Ms, Point, Samples
from gateway.ports import Bus, Clock, Commit, Delivery, SampleStore, StateStore

log = logging.getLogger(__name__)

TICK_S = 1.0
SNAPSHOT_S = 30.0
RETRY_S = 1.0
T = TypeVar("T")


@dataclass
class Parts:
    """What the roof hands to the core.

    other: carries out commands that are neither alarm, order, asset nor drill ·
    device_of: point id → (gateway, device) · assets: with one per edge · points: names, codes and ranges of
    the points that the profiles describe.
    """

    site: Site
    clock: Clock
    bus: Bus
    state: StateStore
    samples: SampleStore
    rules: RuleSet
    dispatch: Dispatch
    sender: Sender
    data_dir: Path
    other: Callable[[Command], tuple[Outcome, dict[str, Any]]]
    device_of: Mapping[str, tuple[str, str]]
    assets: Mapping[str, Asset]
    points: Mapping[str, Point] = field(default_factory=dict)


@dataclass
class _Ask:
    command: Command
    answer: asyncio.Future[dict[str, Any]]


class Core:
    """See the module. `run` goes on until cancelled; `ready` is set when state is restored."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        site = parts.site
        self.clock = parts.clock
        self.hub = Hub(site.firm_of)
        self.edges = Edges({g.id: g.estate for g in site.file.gateways})
        self.tables = Tables(parts.state, parts.assets)
        self.applied = Applied(parts.state.applied())
        self.intake = Intake({g.id: g.estate for g in site.file.gateways}, self.tables, self.applied)
        self.view = View(site, parts.assets, parts.device_of)
        self.balance = Balance()
        snapshots = Snapshots(parts.data_dir / "snapshots")
        self.brain = Brain(parts.rules, parts.assets, parts.device_of, snapshots)
        self.selfcheck = SelfCheck(parts.state, site, self.edges)
        self.words = Words(parts.rules, self.view.point, site.timezone)
        self.ready = asyncio.Event()
        self.turns = 0
        self.last_turn: Ms = 0
        self._wake = asyncio.Event()
        self._inbox = Inbox(parts.bus, parts.clock, self._wake)
        self._asks: collections.deque[_Ask] = collections.deque()
        self._since_snapshot = 0.0

    # ── life ──────────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Restore, then read, think and write until cancelled."""
        await asyncio.to_thread(self._restore)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._inbox.run(), name="core.inbox")
            group.create_task(self._loop(), name="core.loop")
            group.create_task(self.parts.sender.run(), name="core.sender")
            self.ready.set()

    def _restore(self) -> None:
        state = self.parts.state
        for _, body in state.records("balance"):
            self.balance.load(body)
        self._learn_points()
        state.commit(Commit(events=self._registrations()))
        replayed = self.brain.restore(state)
        newest = self.parts.samples.latest(list(self.tables.points), self.clock.now() - 24 * 3_600_000)
        self.view.take(newest)
        open_ = len(self.parts.dispatch.book.alarms)
        log.info("core restored replayed=%d conditions=%d values=%d", replayed, open_, len(self.view))

    def _registrations(self) -> list[Event]:
        """One fact per asset, from which on its time counts; known ones are left out by the store."""
        now = self.clock.now()
        return [
            Event(f"asset.registered:{a.id}", a.estate, now, "asset.registered", a.id, asset=a.id)
            for a in self.parts.assets.values()
        ]

    def _learn_points(self) -> None:
        points = {**self.tables.points, **self.selfcheck.points}
        for series, point in points.items():
            self.view.add_point(series, self.parts.points.get(point.id, point))
        self.brain.add_points(points)

    # ── the inbox ─────────────────────────────────────────────────────────────────────────────────────

    async def submit(self, command: Command) -> dict[str, Any]:
        """Put a command into the inbox; its effect. Raises what the life cycle raises."""
        known = await asyncio.to_thread(self.parts.state.command, command.id)
        if known is not None:
            return known
        ask = _Ask(command, asyncio.get_running_loop().create_future())
        self._asks.append(ask)
        self._wake.set()
        return await ask.answer

    # ── the loop ──────────────────────────────────────────────────────────────────────────────────────

    async def _loop(self) -> None:
        next_tick = self.clock.monotonic()
        while True:
            inbox = self._inbox
            if inbox.events:
                await self._turn(inbox.take(inbox.events))
            elif inbox.status:
                await self._status_message(inbox.status.popleft())
            elif self._asks:
                await self._command(self._asks.popleft())
            elif inbox.data:
                await self._turn(inbox.take(inbox.data))
            if self.clock.monotonic() >= next_tick:
                next_tick = self.clock.monotonic() + TICK_S / max(1.0, self.clock.speed)
                await self._tick()
            if not (inbox.waiting or self._asks):
                await self._rest(next_tick)

    async def _rest(self, until: float) -> None:
        self._wake.clear()
        try:
            await asyncio.wait_for(self._wake.wait(), max(0.0, until - self.clock.monotonic()))
        except TimeoutError:
            return

    async def _turn(self, deliveries: Sequence[Delivery]) -> None:
        now = self.clock.now()
        turn = await asyncio.to_thread(self.intake.read, deliveries)
        if self.tables.fresh:
            self._learn_points()
        live, late = Samples.concat(turn.live), Samples.concat(turn.late)
        await self._insist(lambda: self._store(turn, live, late), "sample store")
        self._hear(turn, live, now)
        findings = self.brain.live(live, now) + self.brain.late(late, now) + self._accounts(turn, now)
        for (gateway, boot), points in turn.points.items():
            self.balance.stored(gateway, boot, points)
        await self._commit(self._judge(findings, now), now, turn.facts, turn.keys)
        await self._after(turn, live, late, now)

    def _store(self, turn: Turn, live: Samples, late: Samples) -> None:
        if len(live):
            self.parts.samples.append(live, turn.keys_live, historical=turn.replayed)
        if len(late):
            self.parts.samples.append(late, turn.keys_late, historical=True)

    def _hear(self, turn: Turn, live: Samples, now: Ms) -> None:
        newest: dict[str, Ms] = {}
        for key in turn.keys_live:
            newest.setdefault(key.gateway, 0)
        for _, gateway, account in turn.accounts:
            newest[gateway] = max(newest.get(gateway, 0), account.t)
        if len(live):
            top = int(live.t.max())
            for gateway in {k.gateway for k in turn.keys_live}:
                newest[gateway] = max(newest[gateway], top)
        for gateway, t in newest.items():
            self.edges[gateway].heard(t, now)

    def _accounts(self, turn: Turn, now: Ms) -> list[Finding]:
        found: list[Finding] = []
        for _, gateway, account in turn.accounts:
            gained = self.balance.account(gateway, account)
            edge = self.edges[gateway]
            edge.account = account
            proven = [device for device, points in gained.items() if points > 0]
            for device in proven:
                self.view.prove(gateway, device, account.t)
            found += self.brain.prove(self._series_of(gateway, proven), account.t, now)
            if account.backlog == 0 and gateway in self.brain.filling:
                self.brain.filled(gateway, now)
        return found

    def _series_of(self, gateway: str, devices: Sequence[str]) -> list[int]:
        wanted = {(gateway, d) for d in devices}
        ids = (self.view.series_id(p) for p, owner in self.parts.device_of.items() if owner in wanted)
        return [i for i in ids if i is not None]

    def _judge(self, findings: Sequence[Finding], now: Ms) -> Outcome:
        return self.parts.dispatch.step(self.words(findings), now)

    async def _after(self, turn: Turn, live: Samples, late: Samples, now: Ms) -> None:
        try:
            await self.parts.bus.ack(turn.done)
            await self._receipts(turn, now)
            await self._ask_tables()
        except Retryable as e:
            log.warning("receipts wait reason=%r; the edges will send again", str(e))
        self._tell_values(self.view.take(live), now)
        self._tell_values(self.view.take(late), now)

    async def _receipts(self, turn: Turn, now: Ms) -> None:
        lanes = {(k.gateway, k.boot, k.lane) for k in turn.keys} | _lanes_of(turn.done)
        for gateway, boot, lane in sorted(lanes):
            upto = self.applied.upto((gateway, boot, lane))
            edge = self.edges[gateway]
            if upto:
                topic = Topic(edge.estate, gateway, "ack")
                await self.parts.bus.publish(str(topic), Ack(boot, lane, upto).encode())
                edge.last_receipt = now

    async def _ask_tables(self) -> None:
        for estate, gateway, tab in sorted(self.intake.wanted):
            body = orjson.dumps({"cmd": "table", "tab": tab})
            await self.parts.bus.publish(str(Topic(estate, gateway, "cmd")), body)

    async def _status_message(self, d: Delivery) -> None:
        try:
            topic, status = Topic.parse(d.topic), Status.decode(d.payload)
        except BadMessage as e:
            self.intake.rejected["status"] += 1
            log.warning("status refused topic=%s reason=%r", d.topic, str(e))
            return
        gateway = topic.gateway
        if gateway not in self.edges or self.edges[gateway].estate != topic.estate:
            return
        edge, now = self.edges[gateway], self.clock.now()
        news = edge.status(status)
        if news is None:
            return
        kind = "gateway.online" if news else "gateway.offline"
        if news:
            edge.arrived = now
            self.brain.gap(gateway, now)
        data = {"boot": status.boot, "conn": status.conn}
        event = Event(
            f"{kind}:{gateway}:{status.boot}:{status.conn}", edge.estate, now, kind, gateway, data=data
        )
        await self._commit(self._judge([], now), now, [event], [])
        self.hub.publish(edge.estate, "h", {"gateway": gateway, "online": bool(news)})

    async def _command(self, ask: _Ask) -> None:
        now = self.clock.now()
        try:
            command = ask.command.received(now)
            known = command.kind.split(".")[0] in ("alarm", "order", "asset", "drill")
            act = self.parts.dispatch.command if known else self.parts.other
            outcome, answer = act(command)
        except StewardError as e:
            if not ask.answer.done():
                ask.answer.set_exception(e)
            return
        await self._commit(outcome, now, [], [], answers={ask.command.id: answer})
        if not ask.answer.done():
            ask.answer.set_result(answer)

    async def _tick(self) -> None:
        now = self.clock.now()
        times = {e.id: t for e in self.edges.all.values() if (t := e.time(now)) is not None}
        own = self.selfcheck.samples(now, self.health_points())
        self._learn_points()
        if len(own):
            await self._insist(lambda: self.parts.samples.append(own, [], historical=False), "sample store")
        findings = self.brain.live(own, now) + self.brain.tick({**times, "": now}, now)
        first, second = self._judge(findings, now), self.parts.dispatch.tick(now)
        await self._commit(first, now, [], [])
        await self._commit(second, now, [], [])
        self._tell_values(self.view.take(own), now)
        self._tell_values(self.view.expire(now), now)
        self.last_turn = now
        await self._maybe_snapshot()

    async def _maybe_snapshot(self) -> None:
        if self.clock.monotonic() - self._since_snapshot < SNAPSHOT_S:
            return
        self._since_snapshot = self.clock.monotonic()
        trim = self.brain.snapshot(self.parts.state.position())
        if trim is not None:
            await asyncio.to_thread(self.parts.state.trim_journal, trim)

    # ── writing ───────────────────────────────────────────────────────────────────────────────────────

    async def _commit(
        self,
        outcome: Outcome,
        now: Ms,
        facts: Sequence[Event],
        keys: Sequence[MessageKey],
        answers: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        commit = Commit(
            events=[*facts, *outcome.events],
            records=[*outcome.records, *self.tables.records(), *self.balance.records()],
            notices=list(outcome.notices),
            applied=list(keys),
            journal=self.brain.take_entries(),
            commands=list(answers or {}),
            answers=dict(answers or {}),
        )
        if not _empty(commit):
            await self._insist(lambda: self.parts.state.commit(commit), "state store")
            self.turns += 1
        if commit.notices:
            self.parts.sender.wake()
        self._tell(outcome)

    def _tell(self, outcome: Outcome) -> None:
        dispatch = self.parts.dispatch
        for id_ in sorted(outcome.changed_alarms):
            alarm = dispatch.book.alarms[id_]
            self.hub.publish(alarm.estate, "a", alarm.as_dict(), alarm.system)
        for id_ in sorted(outcome.changed_orders):
            order = dispatch.orders.orders.get(id_)
            if order is not None:
                self.hub.publish(order.estate, "o", order.as_dict(), order.system)

    async def _insist(self, work: Callable[[], T], what: str) -> T:
        """Blocking work in a thread, again and again while it fails: without it nothing may go on."""
        tries = 0
        while True:
            try:
                out = await asyncio.to_thread(work)
            except Retryable as e:
                tries += 1
                if tries == 1:
                    log.error(
                        "%s cannot write reason=%r; intake waits, edges keep their outbox", what, str(e)
                    )
                await self.clock.sleep_real(RETRY_S)
                continue
            if tries:
                log.warning("%s writes again after tries=%d", what, tries)
            return out

    def _tell_values(self, changed: Mapping[str, Mapping[str, Any]], now: Ms) -> None:
        for estate, values in changed.items():
            if estate:
                self.hub.publish(estate, "v", {"t": now, "values": values})

    def health_points(self) -> dict[str, float]:
        """Figures about the core itself that become ordinary points."""
        bus = self.parts.bus.health()
        return {
            "core.parked": float(self.intake.parked),
            "core.rejected": float(sum(self.intake.rejected.values())),
            "core.inbox": float(self._inbox.waiting),
            **{f"broker.{k}": float(v) for k, v in bus.items()},
        }


def _lanes_of(done: Sequence[Delivery]) -> set[tuple[str, str, str]]:
    """Lanes of redelivered messages: their receipt may have been lost, so it is sent again."""
    out = set()
    for d in done:
        try:
            body = orjson.loads(d.payload)
            out.add((Topic.parse(d.topic).gateway, str(body["boot"]), str(body["lane"])))
        except (BadMessage, orjson.JSONDecodeError, KeyError, TypeError):
            continue
    return out


def _empty(c: Commit) -> bool:
    return not (c.events or c.records or c.notices or c.applied or c.journal or c.commands)
