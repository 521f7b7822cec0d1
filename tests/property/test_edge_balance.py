"""due = stored + suppressed + thinned + Σ gaps, in points, whatever the devices and the link do."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.adapters.clock import ManualClock
from gateway.codec import Account, Ack, Data, DeviceAccount, EventMessage, Topic
from gateway.edge.clockguard import ClockGuard
from gateway.edge.collect import Collector
from gateway.edge.config import DeviceConfig, LineConfig
from gateway.edge.filter import Filter
from gateway.edge.line import Line
from gateway.edge.outbox import Outbox, Turn, Want
from gateway.edge.pack import Packer
from gateway.edge.tally import Tally, replay
from gateway.edge.unit import Unit
from gateway.model import Point
from tests.unit.gateway_edge.edge_fakes import FakeDriver, FakeModel, FakeUnit

Spec = dict[str, Any]
LANES = ("event", "state", "live", "backlog")

UNIT = st.fixed_dictionaries(
    {
        "points": st.integers(1, 6),
        "period": st.sampled_from([0.1, 0.5, 1.0, 3.0]),
        "deadband": st.sampled_from([0.0, 3.0, 100.0]),
        "kind": st.sampled_from(["analog", "digital"]),
        "life": st.booleans(),
    }
)
WEATHER = st.lists(
    st.fixed_dictionaries(
        {
            "seconds": st.floats(0.05, 4.0),
            "silent": st.booleans(),
            "short": st.booleans(),
            "code": st.sampled_from([0, 0, 2, 6, 11]),
            "down": st.booleans(),
            "rtt": st.sampled_from([0.0, 0.01, 0.4]),
            "live": st.booleans(),
            "step": st.sampled_from([0, 0, -5000, 4000]),
        }
    ),
    min_size=1,
    max_size=12,
)


class Plant:
    """Lines, filter and outbox without the wire; `tick` is what the edge does each tick."""

    def __init__(self, folder: Path, specs: list[Spec]) -> None:
        self.clock = ManualClock()
        self.units = {n: FakeUnit(value=self._value) for n in range(1, len(specs) + 1)}
        self.models = [self._model(n, s) for n, s in enumerate(specs, 1)]
        pts = [p for m in self.models for p in m.points]
        self.names = [f"d{n}" for n in self.units]
        self.owner = np.repeat(np.arange(len(specs)), [len(m.points) for m in self.models])
        self.tally = Tally(self.names)
        self.collector = Collector(pts, self.tally, lambda _urgent: None)
        self.filter = Filter(pts)
        self.box = Outbox(folder / "outbox.db", 40_000)
        boot = self.box.open(self.clock.now())
        self.packer = Packer(Topic("e", "g", ""), boot, pts, self.box.first_n)
        self.boot = boot
        self.driver = FakeDriver(self.clock, self.units)
        self.line = self._line()
        self.deltas: list[bytes] = []
        table = self.packer.tables[0]
        owners = [self.names[d] for d in self.owner.tolist()]
        self.box.commit(Turn(0, tables=[(table.tab, table.encode(), owners)]), {}, 0)

    def _value(self, address: int) -> int:
        return int(self.clock.monotonic() * 7 + address) % 40

    def _model(self, n: int, spec: Spec) -> FakeModel:
        pts = [
            Point(f"a{n}", f"t{k}", kind=spec["kind"], life=bool(spec["life"]),
                  period_s=float(spec["period"]), deadband=float(spec["deadband"]), silence_s=5)
            for k in range(int(spec["points"]))
        ]  # fmt: skip
        return FakeModel.dense(pts, step=3)

    def _line(self) -> Line:
        devices = [
            DeviceConfig(name, n, m, 0.5)
            for n, (name, m) in enumerate(zip(self.names, self.models, strict=True), 1)
        ]
        units, base = [], 0
        for n, d in enumerate(devices):
            units.append(Unit(d, n, base, max_gap=10, min_timeout_s=0.05, lessons=()))
            base += len(d.model.points)
        config = LineConfig("l", self.driver, devices)
        return Line(config, units, self.clock, ClockGuard(self.clock), self.collector)

    def tick(self, *, live: bool, acks: list[Ack] | None = None) -> None:
        batch, _ = self.collector.take()
        passed = self.filter.process(batch)
        self.tally.readings(self.owner[batch.gid[passed]], self.owner[batch.gid[~passed]])
        turn = Turn(self.clock.now(), acks=acks or [])
        turn.rows = self.packer.pack(batch[np.flatnonzero(passed)], {}, live=live)
        turn.delta = self.tally.delta()
        self.deltas.append(turn.delta)
        for (_, device), n in self.box.commit(turn, {}, 0).thinned.items():
            self.tally.thinned_in_store(self.names.index(device), n)

    def waiting(self) -> Counter[str]:
        taken = self.box.commit(Turn(0), {lane: Want(0, 100_000) for lane in LANES}, 0)
        out: Counter[str] = Counter()
        for lane in LANES:
            for row in taken.rows[lane]:
                decoded = EventMessage.decode(row.payload) if lane == "event" else Data.decode(row.payload)
                index = [decoded.i] if isinstance(decoded, EventMessage) else decoded.i.tolist()
                out.update(self.names[self.owner[i]] for i in index)
        return out


def check(plant: Plant) -> None:
    """The account closes, and says exactly what lies in the outbox."""
    account = Account.decode(Account(plant.boot, 1, 0, plant.tally.devices()).encode())
    assert all(d.residual == 0 for d in account.devices.values())
    waiting = plant.waiting()
    assert {k: d.stored for k, d in account.devices.items()} == {k: waiting[k] for k in plant.names}
    assert plant.box.points == waiting.total()


async def live_through(folder: Path, specs: list[Spec], weather: list[Spec]) -> None:
    plant = Plant(folder, specs)
    task = asyncio.create_task(plant.line.run())
    await asyncio.sleep(0)
    victim = plant.units[1]
    for spell in weather:
        victim.silent, victim.short = bool(spell["silent"]), bool(spell["short"])
        victim.code = int(spell["code"])
        victim.rtt_s = float(spell["rtt"])
        plant.driver.down = bool(spell["down"])
        plant.clock.step(int(spell["step"]) / 1000)
        await plant.clock.advance(float(spell["seconds"]))
        plant.tick(live=bool(spell["live"]))
        check(plant)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    plant.tick(live=True)
    check(plant)
    elapsed = plant.clock.monotonic()
    for n, (model, device) in enumerate(zip(plant.models, plant.tally.devices().values(), strict=True)):
        points, period = len(model.points), model.points[0].period_s
        rounds = device.due / points
        probing = elapsed / 29 + 1 if model.points[0].life else 0
        assert rounds == int(rounds), n
        # A round that is not yet picked is not booked; off-grid probes come on top.
        assert elapsed / period - 2 - 2 / period <= rounds <= elapsed / period + 1 + probing
    plant.box.close()
    # A crash now: the deltas alone say the same, except what the outbox thinned and noted itself.
    again = Outbox(folder / "outbox.db", 40_000)
    again.open(0)
    (closing,) = again.closing() or [Account(plant.boot, 1, 0, {})]
    expected = {k: d for k, d in plant.tally.devices().items() if d.due}
    assert closing.devices == expected
    again.close()


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(UNIT, min_size=1, max_size=3), WEATHER)
def test_every_due_point_is_explained_at_every_account(specs: list[Spec], weather: list[Spec]) -> None:
    with TemporaryDirectory() as folder:
        asyncio.run(live_through(Path(folder), specs, weather))


COUNTS = st.lists(
    st.tuples(
        st.sampled_from(["stored", "suppressed", "gap", "thinned"]), st.integers(0, 2), st.integers(1, 9)
    ),
    max_size=30,
)


@given(st.lists(COUNTS, max_size=5))
def test_deltas_add_up_to_the_account(ticks: list[list[tuple[str, int, int]]]) -> None:
    tally = Tally(["a", "b", "c"])
    none = np.empty(0, np.intp)
    deltas = []
    for tick in ticks:
        for what, device, n in tick:
            many = np.full(n, device, np.intp)
            if what == "gap":
                tally.gap(device, "timeout" if n % 2 else "line", n)
            elif what == "stored":
                tally.readings(many, none)
            elif what == "suppressed":
                tally.readings(none, many)
            else:
                tally.thinned(many)
        deltas.append(tally.delta())
    rebuilt = replay({}, [d for d in deltas if d])
    devices = tally.devices()
    assert all(d.residual == 0 for d in devices.values())
    empty = DeviceAccount()
    assert {k: rebuilt.get(k, empty) for k in devices} == devices
