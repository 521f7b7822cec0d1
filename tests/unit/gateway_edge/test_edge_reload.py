"""Another configuration while the edge runs: what is the same goes on untouched, and nothing is lost.

Lines and devices live in virtual time, so that a poll that is missed is a poll that is missed.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from gateway.adapters.clock import ManualClock
from gateway.codec import Account, Data, EventMessage
from gateway.edge.agent import DeviceConfig, Edge, EdgeConfig, LineConfig
from gateway.edge.config import Hello
from gateway.edge.reload import Change
from gateway.errors import WorkFailed
from gateway.model import Point
from gateway.ports import Block
from tests.unit.gateway_edge.edge_fakes import (
    FakeCore,
    FakeDriver,
    FakeModel,
    FakeUnit,
    MemoryUplink,
    control,
    points,
)

PERIOD_S = 0.5


class StrictCore(FakeCore):
    """A message that comes before its table has come too early."""

    def _keep(self, message: Data | EventMessage | Account) -> None:
        assert isinstance(message, Account) or message.tab in self.tables
        super()._keep(message)


@dataclass
class Plant:
    """Devices whose every register counts their requests, so that no two readings are alike."""

    folder: Path
    clock: ManualClock = field(default_factory=ManualClock)
    core: FakeCore = field(default_factory=StrictCore)
    counts: dict[str, int] = field(default_factory=dict)
    drivers: dict[str, list[FakeDriver]] = field(default_factory=dict)
    uplinks: list[MemoryUplink] = field(default_factory=list)

    def unit(self, name: str) -> FakeUnit:
        def value(_address: int) -> int:
            self.counts[name] = self.counts.get(name, 0) + 1
            return self.counts[name] % 60_000

        return FakeUnit(value=value, rtt_s=0.01)

    def device(self, name: str, pts: Sequence[Point] | None = None, unit: int = 1) -> DeviceConfig:
        pts = pts if pts is not None else points(3, name, period_s=PERIOD_S)
        return DeviceConfig(name, unit, FakeModel.dense(pts), content=f"{name} {unit} {pts!r}")

    def line(self, *devices: DeviceConfig, name: str = "", content: str = "the same address") -> LineConfig:
        driver = FakeDriver(self.clock, {d.unit: self.unit(d.id) for d in devices})
        id_ = name or f"to-{devices[0].id}"
        self.drivers.setdefault(id_, []).append(driver)
        return LineConfig(id_, driver, devices, content=content)

    def config(self, lines: Sequence[LineConfig], cfg: str = "one") -> EdgeConfig:
        return EdgeConfig("garden", "gw-1", lines, self.folder, cfg, "1", tick_s=0.01, account_s=1.0)

    def make(self, hello: Hello) -> MemoryUplink:
        self.uplinks.append(MemoryUplink(hello, self.core))
        return self.uplinks[-1]

    @contextlib.asynccontextmanager
    async def running(self, config: EdgeConfig, *, up: bool = True) -> AsyncIterator[Edge]:
        edge = Edge(config, self.clock, self.make, control=control(self.folder))
        task = asyncio.create_task(edge.run())
        try:
            async with asyncio.timeout(10):
                await edge.started.wait()
            self.uplinks[-1].link(up=up)
            yield edge
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def until(self, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        """Let virtual time go on until it is true; the deadline is in real time."""
        async with asyncio.timeout(seconds):
            while not condition():
                await self.clock.advance(0.02)
                await asyncio.sleep(0.001)

    async def go(self, site_seconds: float) -> None:
        end = self.clock.monotonic() + site_seconds
        await self.until(lambda: self.clock.monotonic() >= end)

    async def change(self, edge: Edge, config: EdgeConfig) -> Change:
        """Apply it while time goes on."""
        task = asyncio.create_task(edge.apply(config))
        await self.until(task.done)
        return task.result()

    async def end(self, edge: Edge) -> None:
        self.uplinks[-1].core_says(cmd="stop_polling")
        await self.until(lambda: edge.drained)

    def check_balance(self, edge: Edge) -> None:
        account = self.core.account(edge.boot)
        for name, d in account.devices.items():
            assert d.residual == 0, (name, d)
            kept = sum(len(rows) for id_, rows in self.core.series().items() if id_.startswith(f"{name}/"))
            assert d.stored == kept, (name, d)
        assert account.outbox == 0


def polls(driver: FakeDriver) -> list[float]:
    return [at for at, _ in driver.log]


def blocks(driver: FakeDriver) -> set[Block]:
    return {block for _, block in driver.log}


def on_grid(times: Sequence[float], period: float = PERIOD_S) -> bool:
    """Every round of the grid once, from the first to the last."""
    steps = [round((b - a) / period, 3) for a, b in itertools.pairwise(times)]
    return all(step == 1.0 for step in steps)


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return Plant(tmp_path)


async def test_of_fifty_devices_the_one_that_was_edited_changes_and_the_others_miss_no_poll(
    plant: Plant,
) -> None:
    devices = [plant.device(f"meter-{n}") for n in range(50)]
    async with plant.running(plant.config([plant.line(d) for d in devices])) as edge:
        await plant.go(5)
        held = set(plant.core.tables)
        edited = [*points(3, "meter-7", period_s=PERIOD_S), Point("meter-7", "v.new", period_s=PERIOD_S)]
        again = [plant.device(d.id, edited if d.id == "meter-7" else d.model.points) for d in devices]
        change = await plant.change(edge, plant.config([plant.line(d) for d in again], "two"))
        assert (change.changed, change.stopped, change.started) == (("to-meter-7",), (), ())
        assert len(change.kept) == 49
        in_use = {line.id: line.driver for line in edge.config.lines}
        assert all(in_use[f"to-{d.id}"] is plant.drivers[f"to-{d.id}"][0] for d in devices)
        await plant.go(5)
        await plant.end(edge)
    for n in range(50):
        first, second = plant.drivers[f"to-meter-{n}"]
        assert {b.count for b in blocks(first)} == ({3, 4} if n == 7 else {3})
        assert not second.log
        assert first.opened == 1
        assert len(polls(first)) >= 19
        assert on_grid(polls(first)), n
    plant.check_balance(edge)
    account = plant.core.account(edge.boot)
    for name, d in account.devices.items():  # the end of all polling may interrupt one round of each
        assert set(d.gaps) <= {"stopped"}
        assert sum(d.gaps.values()) <= (4 if name == "meter-7" else 3)
    assert held < set(plant.core.tables)
    births = [body for leaf, body in plant.core.other if leaf == "birth"]
    assert [b["cfg"] for b in births] == ["one", "two"]
    assert set(births[1]["tabs"]) == set(plant.core.tables)
    assert "meter-7/v.new" in plant.core.series()


async def test_a_round_that_another_address_interrupts_is_booked_as_stopped(plant: Plant) -> None:
    slow = plant.device("slow")
    first = plant.line(slow)
    first.driver.units[1].rtt_s = 10.0  # type: ignore[attr-defined]  # a FakeDriver
    async with plant.running(plant.config([first])) as edge:
        await plant.until(lambda: bool(plant.drivers["to-slow"][0].log))
        moved = plant.line(plant.device("slow", points(2, "slow")), content="another address")
        change = await plant.change(edge, plant.config([moved]))
        assert (change.stopped, change.started, change.changed) == (("to-slow",), ("to-slow",), ())
        await plant.until(lambda: len(plant.core.series().get("slow/v.p0", [])) > 3)
        await plant.end(edge)
    gaps = plant.core.account(edge.boot).devices["slow"].gaps
    assert gaps["stopped"] % 3 == 0
    assert 3 <= gaps["stopped"] <= 5
    plant.check_balance(edge)


async def test_devices_come_go_and_return_and_every_reading_keeps_its_name(plant: Plant) -> None:
    a, b, c = (plant.device(name) for name in ("a", "b", "c"))
    async with plant.running(plant.config([plant.line(a), plant.line(b)])) as edge:
        for lines in ([a, c], [c], [b, c, a], [c, b]):
            await plant.go(2)
            await plant.change(edge, plant.config([plant.line(d) for d in lines]))
        await plant.go(2)
        await plant.end(edge)
    plant.check_balance(edge)
    for name in "abc":
        values = [v for k in range(3) for _, v in plant.core.series()[f"{name}/v.p{k}"]]
        assert len(values) == len(set(values)), "a reading came under another point's name"
        assert max(values) <= plant.counts[name]
    assert set(plant.core.account(edge.boot).devices) == {"a", "b", "c"}
    assert set(plant.core.series()) == {f"{d}/v.p{k}" for d in "abc" for k in range(3)}


async def test_what_waited_in_the_outbox_decodes_as_it_was_written(plant: Plant) -> None:
    async with plant.running(
        plant.config([plant.line(plant.device("a")), plant.line(plant.device("b"))])
    ) as edge:
        await plant.go(2)
        plant.uplinks[-1].link(up=False)
        await plant.go(5)
        renamed = [Point("a", f"w.q{k}", period_s=PERIOD_S) for k in range(3)]
        await plant.change(
            edge, plant.config([plant.line(plant.device("a", renamed)), plant.line(plant.device("b"))], "two")
        )
        await plant.go(5)
        assert not any(id_.startswith("a/w.") for id_ in plant.core.series())
        plant.uplinks[-1].link(up=True)
        await plant.until(lambda: len(plant.core.series().get("a/w.q0", [])) > 5)
        await plant.end(edge)
    series = plant.core.series()
    last_old, first_new = series["a/v.p0"][-1][0], series["a/w.q0"][0][0]
    assert last_old < first_new
    assert len(series["a/v.p0"]) >= 12
    plant.check_balance(edge)


@pytest.mark.parametrize("content", ["the same address", "another address"])
async def test_a_neighbour_on_a_changed_line_keeps_what_it_has_taught(plant: Plant, content: str) -> None:
    old, new = plant.device("old", unit=1), plant.device("new", unit=2)
    first = plant.line(old, new, name="bus")
    first.driver.units[1].illegal = frozenset({1})  # type: ignore[attr-defined]  # a FakeDriver
    async with plant.running(plant.config([first])) as edge:
        await plant.until(lambda: "exception" in edge_gaps(plant, edge, "old"))
        await plant.go(2)
        shorter = plant.device("new", points(1, "new", period_s=PERIOD_S), unit=2)
        again = plant.line(old, shorter, name="bus", content=content)
        again.driver.units[1].illegal = frozenset({1})  # type: ignore[attr-defined]  # a FakeDriver
        await plant.change(edge, plant.config([again]))
        used = plant.drivers["bus"][content != "the same address"]
        before = len(used.log)
        await plant.go(3)
        await plant.end(edge)
    asked = {(b.address, b.count) for _, b in used.log[before:] if b.unit == 1}
    assert asked == {(0, 1), (2, 1)}, "refused addresses were asked again"
    plant.check_balance(edge)


async def test_a_device_that_moves_to_a_line_that_stays_leaves_its_neighbours_breaker_behind(
    plant: Plant,
) -> None:
    mover, mate, other = plant.device("mover"), plant.device("mate"), plant.device("other", unit=2)
    bus = plant.line(mover, mate, name="bus")
    bus.driver.units[1].silent = True  # type: ignore[attr-defined]  # a FakeDriver
    async with plant.running(plant.config([bus, plant.line(other, name="lan")])) as edge:
        await plant.go(6)
        assert edge.answering() == {"mover": False, "mate": False, "other": True}
        lan = plant.line(mover, other, name="lan")
        plant.drivers["lan"][0].units[1] = plant.unit("mover")
        change = await plant.change(edge, plant.config([plant.line(mate, name="bus"), lan]))
        assert change.changed == ("bus", "lan")
        await plant.go(3)
        assert edge.answering() == {"mover": True, "mate": False, "other": True}
        await plant.end(edge)
    assert on_grid([at for at, b in plant.drivers["lan"][0].log if b.unit == 2])
    assert len(plant.core.series()["mover/v.p0"]) >= 4
    plant.check_balance(edge)


def edge_gaps(plant: Plant, edge: Edge, device: str) -> dict[str, int]:
    if not any(a.boot == edge.boot for a in plant.core.accounts):
        return {}
    return dict(plant.core.account(edge.boot).devices[device].gaps)


async def test_what_cannot_be_applied_changes_nothing(plant: Plant) -> None:
    config = plant.config([plant.line(plant.device("a"))])
    async with plant.running(config) as edge:
        await plant.go(2)
        doubled = [plant.device("a"), plant.device("b", points(3, "a", period_s=PERIOD_S))]
        with pytest.raises(ValueError, match=r"a/v\.p0 is read by two devices"):
            await plant.change(edge, plant.config([plant.line(d) for d in doubled]))
        with pytest.raises(ValueError, match="new start"):
            await edge.apply(replace(config, gateway="gw-2"))
        await plant.go(2)
        await plant.end(edge)
        with pytest.raises(WorkFailed, match="next start"):
            await plant.change(edge, plant.config([plant.line(plant.device("b"))]))
    assert on_grid(polls(plant.drivers["to-a"][0]))
    assert set(plant.core.series()) == {f"a/v.p{k}" for k in range(3)}
    plant.check_balance(edge)
