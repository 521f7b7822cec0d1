"""The chain in one process: a hand-cranked edge, a broker in memory, the real core on real stores.

Time stands still unless `Rig.run` moves it, so ten minutes take seconds and every crash is repeatable. The
edge uses the real filter, packer, tally and codec; only its lines are replaced by `plant`, what the devices
would answer now.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from gateway.adapters.clock import ManualClock
from gateway.adapters.memory_bus import MemoryBroker, MemoryBus
from gateway.adapters.memory_store import MemoryStore
from gateway.adapters.state import SqlState, open_state
from gateway.app.dispatch import make_dispatch
from gateway.app.settings import Settings
from gateway.app.setup import Setup, load_setup
from gateway.codec import Account, Ack, Status, Topic
from gateway.core.desk import CoreDesk
from gateway.core.loop import Core, Parts
from gateway.core.sender import Sender
from gateway.edge.courier import RANKS
from gateway.edge.filter import Batch, Filter
from gateway.edge.pack import Packer, Row
from gateway.edge.tally import Tally
from gateway.model import EVERYTHING, GOOD, Event, Point
from gateway.ports import Bus, Clock, SampleStore, StateStore

START = 1_790_000_000_000
ESTATE, GATEWAY = "home", "gw-1"


def text(word: str) -> dict[str, str]:
    return {"zh": word, "en": word}


DEVICES: list[dict[str, Any]] = [
    {"id": "ws-plc", "unit": 1, "profile": "steward_pump_station", "asset": "ws-1"},
    {"id": "lift-box", "unit": 2, "profile": "steward_elevator", "asset": "lift-1"},
    {"id": "level", "unit": 3, "profile": "level_qdy30a", "asset": "sump-1",
     "rename": {"level.value": "sump.level"}},
]  # fmt: skip


def site_file(folder: Path, devices: Sequence[Mapping[str, Any]] | None = None, port: int = 15999) -> Path:
    """A small estate: a pump station, a lift and a level sensor on one line of one edge."""
    site = {
        "site": {"id": "rig", "name": text("rig"), "timezone": "Asia/Shanghai"},
        "firms": [{"id": "firm", "name": text("firm"), "phone": "1"}],
        "contractors": [
            {"id": "lm", "name": text("lm"), "phone": "2", "duty": "LM"},
            {"id": "wm", "name": text("wm"), "phone": "3", "duty": "WM"},
        ],
        "estates": [{"id": ESTATE, "firm": "firm", "name": text("home"), "city": "chongqing"}],
        "assets": [
            {"id": "ws-1", "estate": ESTATE, "kind": "water", "name": text("ws"), "contractor": "wm"},
            {"id": "lift-1", "estate": ESTATE, "kind": "elevator", "name": text("lift"), "contractor": "lm"},
            {"id": "sump-1", "estate": ESTATE, "kind": "drain", "name": text("sump")},
        ],
        "gateways": [
            {"id": GATEWAY, "estate": ESTATE, "lines": [
                {"id": "tcp", "kind": "modbus_tcp", "options": {"host": "127.0.0.1", "port": port},
                 "devices": list(DEVICES if devices is None else devices)},
            ]},
        ],
        "people": [
            {"id": "admin", "name": "admin", "role": "admin"},
            {"id": "desk", "name": "desk", "role": "operator", "duties": ["CR"]},
            {"id": "li", "name": "li", "role": "technician", "duties": ["TE"]},
            {"id": "wang", "name": "wang", "role": "supervisor", "duties": ["PM"]},
        ],
        "shifts": [
            {"duty": "CR", "people": ["desk"]}, {"duty": "TE", "people": ["li"]},
            {"duty": "PM", "people": ["wang"]},
        ],
    }  # fmt: skip
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(site, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return path


CALM: dict[str, float] = {
    "ws.power": 1, "ws.in_p": 0.3, "ws.out_p": 0.35, "ws.set_p": 0.35, "ws.tank_level": 1.8, "ws.flow": 10.0,
    "ws.total": 1000, "ws.turbidity": 0.2, "ws.cl": 0.5, "ws.ph": 7.2, "ws.room_temp": 20.0,
    "ws.pump1.run": 1, "ws.pump1.auto": 1, "ws.pump2.auto": 1, "ws.pump3.auto": 1, "ws.pump1.freq": 40.0,
    "lift.door_zone": 1, "lift.door_closed": 1, "lift.mains": 1, "lift.safety_chain": 1, "lift.door_lock": 1,
    "lift.car_call_ok": 1, "lift.service_mode": 1, "lift.floor": 1, "sump.level": 0.4,
}  # fmt: skip
"""What the devices answer while nothing is wrong; other points are 0."""


@dataclass
class Message:
    """One row of the hand-cranked edge's outbox. `sent`: in the present connection."""

    row: Row
    sent: bool = False


class HandEdge:
    """One edge, a second at a time. `kill` forgets everything but the outbox, as kill -9 would."""

    def __init__(
        self, setup: Setup, broker: MemoryBroker, clock: ManualClock, gateway: str = GATEWAY
    ) -> None:
        self.broker, self.clock, self.gateway = broker, clock, gateway
        self.outbox: list[Message] = []
        self.plant: dict[str, float] = dict(CALM)
        self.silent: set[str] = set()
        self.allowed = True
        self.stopped = False
        self.pack_live = True
        self.conn = self.boots = self.n = 0
        self.link = ""  # "", "on"
        self.sent_ever: dict[str, list[tuple[int, float]]] = {}
        self._account_at = 0
        self._before: Account | None = None
        self._subscriber: Any = None
        self.start(setup)

    def start(self, setup: Setup) -> None:
        """A new boot, perhaps with another site file."""
        models = {d: m for (g, d), m in setup.models.items() if g == self.gateway}
        self.estate = next(g.estate for g in setup.site.file.gateways if g.id == self.gateway)
        self.names = list(models)
        self.points: list[Point] = [p for m in models.values() for p in m.points]
        self.device = np.repeat(np.arange(len(models)), [len(m.points) for m in models.values()])
        self.boots += 1
        self.boot = f"{self.clock.now():013d}-{self.boots:06x}"
        self.packer = Packer(Topic(self.estate, self.gateway, ""), self.boot, self.points, self.n + 1)
        self.filter, self.tally = Filter(self.points), Tally(self.names)
        self._keep(self.packer.table_rows())

    def kill(self, setup: Setup) -> None:
        """kill -9 and a restart; the old boot's last word is written by the new one."""
        self.disconnect(will=True)
        old = Account(self.boot, self.packer.next_seq("account"), self.clock.now(), self.tally.devices())
        self.start(setup)
        self._keep([self.packer.account(old)])

    # ── connection ──

    def connect(self) -> None:
        if self.link or not self.broker.up:
            return
        self.conn += 1
        self.link = "on"
        for m in self.outbox:
            m.sent = False
        own = f"steward/v1/{self.estate}/{self.gateway}"
        self._subscriber = self.broker.subscribe((f"{own}/ack", f"{own}/cmd"), self._heard)
        self._publish(f"{own}/status", Status(True, self.boot, self.conn).encode(), retain=True)
        for t in self.packer.tables:
            self._publish(f"{own}/points/{t.tab}", t.encode(), retain=True)

    def disconnect(self, *, will: bool = True) -> None:
        """The link goes; without `will` nobody hears of it (the broker died with it)."""
        if not self.link:
            return
        self.link = ""
        if self._subscriber is not None:
            self.broker.unsubscribe(self._subscriber)
        if will and self.broker.up:
            topic = f"steward/v1/{self.estate}/{self.gateway}/status"
            self.broker.hand_out(topic, Status(False, self.boot, self.conn).encode(), retain=True)

    def _publish(self, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        if not self.allowed:
            return True  # what the access list forbids is PUBACKed and dropped
        return self.broker.publish(topic, payload, retain=retain)

    def _heard(self, topic: str, payload: bytes) -> None:
        if topic.endswith("/cmd"):
            if b'"resend"' in payload:
                self.resend()
                self.filter.forget()
            return
        ack = Ack.decode(payload)
        self.outbox = [
            m
            for m in self.outbox
            if not (m.row.boot == ack.boot and m.row.lane == ack.lane and m.row.seq <= ack.upto)
        ]

    # ── a second ──

    def second(self) -> None:
        """Read what is due, keep it, perhaps an account, send what may be sent."""
        if self.link and not self.broker.up:
            self.disconnect(will=False)
        if not self.stopped:
            self._read()
        now = self.clock.now()
        if now - self._account_at >= (10_000 if self.link else 60_000):
            self.account()
        self.pump()

    def _read(self) -> None:
        now = self.clock.now()
        due = [k for k, p in enumerate(self.points) if now % round(p.period_s * 1000) == 0]
        failed = [k for k in due if self.names[self.device[k]] in self.silent]
        good = np.array([k for k in due if self.names[self.device[k]] not in self.silent], np.intp)
        for k in failed:
            self.tally.gap(int(self.device[k]), "timeout", 1)
        v = np.array([self.plant.get(self.points[k].tag, 0.0) for k in good.tolist()], np.float64)
        batch = Batch(good, np.full(len(good), now, np.int64), v, np.full(len(good), GOOD, np.uint8))
        passed = self.filter.process(batch)
        self.tally.readings(self.device[good[passed]], self.device[good[~passed]])
        kept = np.flatnonzero(passed)
        for k in kept.tolist():
            point = self.points[int(batch.gid[k])]
            self.sent_ever.setdefault(point.id, []).append((int(batch.t[k]), float(batch.v[k])))
        self._keep(self.packer.pack(batch[kept], {}, live=bool(self.link) and self.pack_live))

    def account(self) -> None:
        """The cumulative counts, as of now."""
        self._account_at = now = self.clock.now()
        rows = [m.row for m in self.outbox]
        backlog = sum(r.points for r in rows if r.lane == "backlog")
        held: dict[str, dict[str, int]] = {}
        for r in rows:
            if r.lane != "table":
                lanes = held.setdefault(r.boot, {})
                lanes[r.lane] = min(r.seq, lanes.get(r.lane, r.seq))
        facts = {"connected": float(bool(self.link)), "connections": float(self.conn)}
        points = sum(r.points for r in rows)
        account = Account(self.boot, 0, now, self.tally.devices(), points, backlog, facts, held=held)
        self._keep([self.packer.account(account)])

    def _keep(self, rows: Sequence[Row]) -> None:
        self.outbox += [Message(r) for r in rows]
        self.n = max([self.n, *(r.n for r in rows)])

    def pump(self) -> None:
        """Everything not yet sent in this connection, by rank."""
        if not self.link:
            return
        for lane in RANKS:
            for m in [m for m in self.outbox if m.row.lane == lane and not m.sent]:
                if not self._publish(m.row.topic, m.row.payload, retain=m.row.retain):
                    return
                m.sent = True
                if lane == "table":
                    self.outbox.remove(m)

    def resend(self) -> None:
        """No receipt for long: everything again."""
        for m in self.outbox:
            m.sent = False

    @property
    def waiting(self) -> int:
        """Messages without a receipt."""
        return len(self.outbox)


Wrap = Callable[[Any], Any]


@dataclass
class Wraps:
    """What stands between the core and its ports, for faults."""

    state: Callable[[StateStore], Any] = lambda s: s
    samples: Callable[[SampleStore], Any] = lambda s: s
    bus: Callable[[Bus], Any] = lambda b: b


@dataclass
class Rig:
    """Core, broker and edges with one clock. `samples` and the files of `folder` survive `crash`."""

    folder: Path
    setup: Setup
    clock: ManualClock = field(default_factory=lambda: ManualClock(START))
    broker: MemoryBroker = field(default_factory=MemoryBroker)
    samples: Any = field(default_factory=MemoryStore)
    wraps: Wraps = field(default_factory=Wraps)
    edges: list[HandEdge] = field(default_factory=list)
    core: Core = field(init=False)
    state: SqlState = field(init=False)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def start(self) -> None:
        """A core on what the last one left."""
        self.state = open_state(self.folder / "state.db", durable=False)
        self.core = make_core(
            self.setup, self.wraps.state(self.state), self.wraps.samples(self.samples),
            self.wraps.bus(MemoryBus(self.broker)), self.clock, self.folder,
        )  # fmt: skip
        await self.core.start()
        self._tasks = [asyncio.create_task(self.core.inbox.run())]
        await self.settle()

    async def crash(self) -> None:
        """The core ends as by kill -9: nothing more is written, nothing acknowledged."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.state.close()

    async def restart(self, setup: Setup | None = None) -> None:
        await self.crash()
        self.setup = setup or self.setup
        await self.start()

    async def settle(self) -> None:
        """Until the core has taken everything that the broker has for it."""
        while True:
            for _ in range(4):
                await asyncio.sleep(0)
            while await self.core.step():
                pass
            if not (self.core.inbox.waiting or any(q.waiting for q in self.broker.lanes.values())):
                return
            if not self.broker.up:
                return
            await self.clock.advance(0)

    async def run(self, seconds: int, *, core: bool = True) -> None:
        """Site time goes on; each second the edges work, then the core."""
        for _ in range(seconds):
            await self.clock.advance(1)
            for e in self.edges:
                e.second()
            if core:
                await self.settle()
                await self.core.tick()
                await self.core.freezer.finished()

    async def drain(self, seconds: int = 90) -> None:
        """Polling stops; everything is delivered and accounted for."""
        for e in self.edges:
            e.stopped = True
            e.connect()
            e.resend()
        for _ in range(seconds):
            await self.run(1)
            if all(e.waiting <= 1 for e in self.edges):
                break
        for e in self.edges:
            e.account()
        await self.run(1)

    # ── looking ──

    def events(self, *kinds: str) -> list[Event]:
        return [e for _, e in self.state.events(kinds=kinds, limit=100_000)]

    def alarms(self, rule: str, *kinds: str) -> list[Event]:
        """Facts about alarms of one rule."""
        return [e for e in self.events(*(kinds or ("alarm.raised",))) if e.data.get("rule") == rule]

    def balance(self) -> dict[str, Any]:
        return self.core.balance.sheet(self.core.intake.parked_points).as_dict()

    def value(self, point: str) -> tuple[int, float | None, int]:
        """As a screen would show it now."""
        shown = CoreDesk(self.core, lambda *_: True).snapshot(EVERYTHING)["values"]
        found: tuple[int, float | None, int] = shown[point]
        return found

    def stored(self, point: str) -> list[tuple[int, float]]:
        """Everything that the sample store has of a point."""
        asset, tag = point.split("/")
        (series,) = self.state.series([(asset, tag)]).values()
        s = self.samples.raw(series, 0, 2**53)
        return list(zip(s.t.tolist(), s.v.tolist(), strict=True))

    def proven(self) -> None:
        """Nothing that an edge committed is missing, double or changed, and the balance closes."""
        sent: dict[str, list[tuple[int, float]]] = {}
        for e in self.edges:
            for point, rows in e.sent_ever.items():
                sent.setdefault(point, []).extend(rows)
        for point, rows in sent.items():
            assert self.stored(point) == sorted(rows), point
        sheet = self.balance()
        assert (sheet["residual"], sheet["in_outbox"], sheet["in_flight"]) == (0, 0, 0), sheet
        assert sheet["stored"] == sum(map(len, sent.values()))
        assert self.state.verify(ESTATE) is None


def make_core(
    setup: Setup, state: StateStore, samples: SampleStore, bus: Bus, clock: Clock, folder: Path
) -> Core:
    """The core as the roof builds it, without pages and channels."""
    dispatch = make_dispatch(setup, state)
    settings = Settings(setup, state, dispatch)
    settings.restore()
    return Core(
        Parts(
            setup.site, clock, bus, state, samples, setup.rules, dispatch, Sender(state, [], clock), folder,
            settings.command, setup.device_of, setup.assets, setup.points, virtual=setup.virtual,
        )
    )  # fmt: skip


@contextlib.asynccontextmanager
async def rig(folder: Path, *, start: bool = True, **kwargs: Any) -> AsyncIterator[Rig]:
    """A rig; with `start` one edge is connected and 40 calm seconds have passed."""
    made = Rig(folder, load_setup(site_file(folder)), **kwargs)
    await made.start()
    try:
        if not start:
            yield made
            return
        made.edges.append(HandEdge(made.setup, made.broker, made.clock))
        made.edges[0].connect()
        await made.run(40)
        yield made
    finally:
        await made.crash()
