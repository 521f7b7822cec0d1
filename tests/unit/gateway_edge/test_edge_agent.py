"""The whole edge in real time on fake devices, against a core in memory."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from gateway.adapters.clock import SystemClock
from gateway.codec import Data, EventMessage
from gateway.edge import link
from gateway.edge.agent import DeviceConfig, Edge, EdgeConfig, LineConfig
from gateway.model import Point
from gateway.ports import Answer, Decoded, Span
from tests.unit.gateway_edge.edge_fakes import (
    FakeCore,
    FakeDriver,
    FakeModel,
    FakeUnit,
    MemoryUplink,
    control,
    points,
    until,
)


class Site:
    """One line, one pump (analog, counting), its run state and a call button."""

    def __init__(self, folder: Path, clock: SystemClock | None = None) -> None:
        self.folder = folder
        self.clock = clock or SystemClock()
        self.core = FakeCore()
        self.count = 0
        self.unit = FakeUnit(value=self._value, rtt_s=0.001)
        pts = [
            *points(3, period_s=0.1),
            Point("pump-1", "run", kind="digital", period_s=0.1),
            Point("lift-1", "call", kind="digital", period_s=0.1, life=True),
        ]
        self.model: FakeModel = FakeModel.dense(pts)
        self.alarms: list[bool] = []
        self.keyed = True
        self.state, self.call = 0, 0
        self.uplink: MemoryUplink

    def _value(self, address: int) -> int:
        if address == 3:
            return self.state
        if address == 4:
            return self.call
        self.count += 1
        return self.count % 60_000

    def edge(self) -> Edge:
        driver = FakeDriver(self.clock, {1: self.unit})
        config = EdgeConfig(
            "garden", "gw-1", [LineConfig("bus", driver, [DeviceConfig("d1", 1, self.model)])],
            self.folder, "cfg", "1.0", tick_s=0.02, account_s=0.5,
        )  # fmt: skip

        def make(hello: object) -> MemoryUplink:
            self.uplink = MemoryUplink(hello, self.core)  # type: ignore[arg-type]
            return self.uplink

        return Edge(
            config, self.clock, make, self.alarms.append, control(self.folder) if self.keyed else None
        )

    @contextlib.asynccontextmanager
    async def running(self, *, up: bool = True) -> AsyncIterator[Edge]:
        edge = self.edge()
        task = asyncio.create_task(edge.run())
        await asyncio.wait_for(edge.started.wait(), 10)
        self.uplink.link(up=up)
        try:
            yield edge
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def seen(self, lane: str) -> list[Data | EventMessage]:
        return [m for m in self.core.messages if m.lane == lane]

    def balanced(self, boot: str) -> bool:
        account = self.core.account(boot)
        assert all(d.residual == 0 for d in account.devices.values())
        stored = sum(d.stored for d in account.devices.values())
        return stored == self.core.stored[boot] + account.outbox


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


async def test_readings_arrive_on_their_lanes_and_the_balance_closes_when_polling_stops(site: Site) -> None:
    async with site.running() as edge:
        await until(lambda: len(site.seen("live")) > 5)
        site.state = site.call = 1
        await until(lambda: len(site.seen("event")) >= 2 and len(site.seen("state")) >= 2)
        site.uplink.core_says(cmd="stop_polling", id="c1")
        await until(lambda: edge.drained)
        asked = site.count
        assert (
            "reply",
            {"id": "c1", "cmd": "stop_polling", "ok": True, "boot": edge.boot},
        ) in site.core.other
        account = site.core.account(edge.boot)
        assert account.outbox == 0
        assert account.facts["polling"] == 0
        assert site.balanced(edge.boot)
        d = account.devices["d1"]
        assert d.due % 5 == 0
        assert d.stored == sum(len(rows) for rows in site.core.series().values())
        assert d.suppressed > 0
        await asyncio.sleep(0)
        assert site.count == asked
    event = site.seen("event")[-1]
    assert isinstance(event, EventMessage)
    assert (event.v, event.id) == (1.0, f"gw-1-{edge.boot}-{event.seq}")
    assert all(not m.hist for m in site.core.messages if isinstance(m, Data))


async def test_presence_is_said_with_boot_and_connection(site: Site) -> None:
    async with site.running() as edge:
        await until(lambda: any(leaf == "birth" for leaf, _ in site.core.other) and bool(site.core.messages))
        topic, will = site.uplink.hello.will()
        client_id = site.uplink.hello.client_id
        site.uplink.link(up=False)
        await until(lambda: not site.uplink.connected)
        site.uplink.link(up=True)
        await until(lambda: sum(leaf == "birth" for leaf, _ in site.core.other) == 2)
    statuses = [body for leaf, body in site.core.other if leaf == "status"]
    assert [(s["online"], s["boot"], s["conn"]) for s in statuses] == [
        (True, edge.boot, 1), (True, edge.boot, 2),
    ]  # fmt: skip
    assert topic == "steward/v1/garden/gw-1/status"
    assert b'"conn":2' in will
    birth = next(body for leaf, body in site.core.other if leaf == "birth")
    assert (birth["cfg"], birth["sw"], set(birth["tabs"])) == ("cfg", "1.0", set(site.core.tables))
    async with site.running():
        await until(lambda: len({m.boot for m in site.core.messages}) == 2)
        assert site.uplink.hello.client_id == client_id
        assert b'"conn":4' in site.uplink.hello.will()[1]


async def test_an_outage_becomes_backlog_behind_events_and_nothing_is_lost(site: Site) -> None:
    async with site.running() as edge:
        await until(lambda: len(site.seen("live")) > 3)
        site.uplink.link(up=False)
        await until(lambda: not site.uplink.connected)
        start = site.count
        site.call = site.state = 1
        await until(lambda: site.count > start + 40)
        site.uplink.order.clear()
        site.uplink.link(up=True)
        await until(lambda: bool(site.seen("backlog")))
        site.uplink.core_says(cmd="stop_polling")
        await until(lambda: edge.drained)
    assert site.balanced(edge.boot)
    backlog = site.seen("backlog")
    assert all(isinstance(m, Data) and m.hist for m in backlog)
    order = [m.lane for m in site.core.messages]
    first = order.index("backlog")
    assert "event" in order[:first]
    assert "state" in order[:first]
    values = [v for k in range(3) for _, v in site.core.series()[f"pump-1/v.p{k}"]]
    assert sorted(values) == sorted(set(values))
    assert site.core.duplicates < 20


async def test_a_deaf_core_is_an_alarm_on_the_spot_and_everything_is_sent_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "SILENT_CORE_S", 0.5)
    async with site.running() as edge:
        await until(lambda: len(site.seen("live")) > 3)
        site.uplink.deaf = True
        await until(lambda: site.alarms == [True])
        site.uplink.deaf = False
        site.uplink.command(cmd="resend")
        await until(lambda: site.alarms == [True, False])
        site.uplink.core_says(cmd="stop_polling")
        await until(lambda: edge.drained)
    assert site.balanced(edge.boot)
    assert any(a.facts["core_silent"] for a in site.core.accounts)


async def test_lost_receipts_make_duplicates_and_no_loss(site: Site) -> None:
    async with site.running() as edge:
        await until(lambda: len(site.seen("live")) > 2)
        site.uplink.mute = True
        seen = len(site.core.messages)
        await until(lambda: len(site.core.messages) > seen + 5)
        site.uplink.mute = False
        site.uplink.command(cmd="resend")
        await until(lambda: site.core.duplicates > 0)
        site.uplink.core_says(cmd="stop_polling")
        await until(lambda: edge.drained)
    assert site.balanced(edge.boot)


async def test_a_table_is_sent_again_on_request(site: Site) -> None:
    async with site.running():
        await until(lambda: bool(site.core.tables))
        (tab,) = site.core.tables
        site.core.tables.clear()
        site.uplink.command(cmd="table", tab=tab, id=1)
        site.uplink.command(cmd="table", tab="ffffffffffff", id=2)
        site.uplink.command(cmd="dance", id=3)
        site.uplink.core_says(cmd="retry", device="d1", id="4")
        site.uplink.core_says(cmd="retry", device="nobody", id="5")
        await until(lambda: len([x for x in site.core.other if x[0] == "reply"]) == 5)
        assert set(site.core.tables) == {tab}
        replies = [body for leaf, body in site.core.other if leaf == "reply"]
        assert [r["ok"] for r in replies] == [True, False, False, True, False]


async def test_a_command_that_cannot_be_answered_is_refused_and_the_edge_goes_on(site: Site) -> None:
    async with site.running():
        await until(lambda: bool(site.core.tables))
        deep = b'{"cmd":"x","id":' + b"[" * 300 + b"]" * 300 + b"}"
        site.uplink.heard(site.uplink.hello.subscribe[1], deep)
        seen = site.count
        site.uplink.command(cmd="dance", id=3)
        await until(lambda: any(x[0] == "reply" for x in site.core.other))
        await until(lambda: site.count > seen + 10)
    assert [body["id"] for leaf, body in site.core.other if leaf == "reply"] == [3]


async def test_a_second_start_sends_what_the_first_kept(site: Site) -> None:
    async with site.running(up=False) as first:
        await until(lambda: site.count > 60)
    async with site.running() as second:
        await until(lambda: site.core.stored[first.boot] > 0)
        site.uplink.core_says(cmd="stop_polling")
        await until(lambda: second.drained)
    assert site.balanced(second.boot)
    kept = site.core.account(first.boot).devices["d1"]
    assert (kept.residual, kept.stored) == (0, site.core.stored[first.boot])
    values = [v for k in range(3) for _, v in site.core.series()[f"pump-1/v.p{k}"]]
    assert sorted(values) == [float(k) for k in range(1, site.count + 1)]


async def test_text_travels_as_an_event_when_it_changes(site: Site) -> None:
    class Talking(FakeModel):
        text = "door open"

        def decode(self, answer: Answer) -> Decoded:
            d = super().decode(answer)
            return Decoded(d.index[:1], d.v[:1], d.q[:1], {1: {"text": self.text}})

    talking = Talking([*points(1, period_s=0.1), Point("panel", "note", kind="text", period_s=0.1)],
                      [Span("holding", 0), Span("holding", 1)])  # fmt: skip
    site.model = talking
    async with site.running() as edge:
        await until(lambda: len(site.seen("live")) > 3)
        talking.text = "door shut"
        await until(lambda: len(site.seen("event")) >= 2)
        site.uplink.core_says(cmd="stop_polling")
        await until(lambda: edge.drained)
        assert site.balanced(edge.boot)
    texts = [m.attrs["text"] for m in site.seen("event") if isinstance(m, EventMessage)]
    assert texts == ["door open", "door shut"]


async def test_site_time_may_run_faster_than_real_time(tmp_path: Path) -> None:
    site = Site(tmp_path, SystemClock(speed=5.0))
    site.model = FakeModel.dense(points(3, period_s=1.0))
    async with site.running() as edge:
        await until(lambda: len(site.seen("live")) > 8)
        site.uplink.core_says(cmd="stop_polling")
        await until(lambda: edge.drained)
    t = [t for t, _ in site.core.series()["pump-1/v.p0"]]
    steps = sorted(b - a for a, b in itertools.pairwise(t))
    assert 800 < steps[len(steps) // 2] < 1200


def test_a_point_read_by_two_devices_is_refused(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.model = FakeModel.dense([*points(1), *points(1)])

    async def run(check: Callable[[], Edge]) -> None:
        await check().run()

    with pytest.raises(ValueError, match="read by two devices"):
        asyncio.run(run(site.edge))
