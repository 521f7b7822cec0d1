"""Writes over real Modbus: what is not allowed does not reach the device, the rest is read back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from drivers.modbus import TcpDriver, TcpOptions
from gateway.adapters.clock import SystemClock
from gateway.codec.signed import sign
from gateway.edge.config import DeviceConfig, LineConfig, Writable
from gateway.edge.sender import Sender
from gateway.edge.writes import Writes
from gateway.model import Point
from gateway.ports import Block, Span
from tests.unit.gateway_edge.edge_fakes import FakeModel, until

KEY = b"k" * 32
BOOT = "1790000000000-abc"
POINTS = [Point("pump-1", "set_p"), Point("pump-1", "out_p"), Point("pump-1", "run", kind="digital"),
          Point("lift-1", "call", kind="digital", life=True)]  # fmt: skip
SPANS = [Span("holding", 4), Span("holding", 5), Span("coil", 3), Span("holding", 7)]


@dataclass
class Device:
    """A Modbus device that keeps what is written; `mode` says how it behaves."""

    mode: str = "ok"
    written: list[tuple[int, int, list[int]]] = field(default_factory=list)

    async def action(
        self, function: int, start: int, address: int, count: int, registers: list[int], writes: Any
    ) -> ExcCodes | None:
        if writes is None:
            return None
        if self.mode == "refuses":
            return ExcCodes.ILLEGAL_ADDRESS
        self.written.append((function, address, [int(w) for w in writes]))
        if self.mode == "bends" and function in (6, 16):
            writes[0] = int(writes[0]) + 1  # keeps another value than it confirms
        return None


@contextlib.asynccontextmanager
async def served(device: Device) -> AsyncIterator[int]:
    bits = SimData(0, values=[False] * 16, datatype=DataType.BITS)
    words = SimData(0, count=20, values=30, datatype=DataType.REGISTERS)
    unit = SimDevice(1, simdata=([bits], [bits], [words], [words]), action=device.action)
    server: Any = ModbusTcpServer(unit, address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    try:
        yield server.transport.sockets[0].getsockname()[1]
    finally:
        await server.shutdown()


class Rig:
    """Writes on one line, and the replies."""

    def __init__(self, port: int, key: bytes = KEY) -> None:
        self.clock = SystemClock()
        self.driver = TcpDriver(TcpOptions(host="127.0.0.1", port=port), self.clock)
        allowed = (
            Writable(0, Block(1, "holding", 4, 1), 10, 50, 3, (), lambda v: [round(v)]),
            Writable(2, Block(1, "coil", 3, 1), 0, 1, 60, ("manager", "li"), lambda v: [round(v)]),
            Writable(3, Block(1, "holding", 7, 1), 0, 1, 60, (), lambda v: [round(v)]),
        )
        device = DeviceConfig("d1", 1, FakeModel(POINTS, SPANS), 0.5, writes=allowed)
        lines = [LineConfig("bus", self.driver, [device])]
        self.replies: list[dict[str, Any]] = []
        self.writes = Writes(self.clock, Sender(self.clock, key, BOOT), lambda: lines, self._reply)

    def _reply(self, command: Any, **answer: Any) -> None:
        self.replies.append({"id": command.get("id"), **answer})

    def body(self, **changes: Any) -> dict[str, Any]:
        return {"cmd": "write", "id": "w1", "boot": BOOT, "point": "pump-1/set_p", "value": 40.0,
                 "reason": "night", "by": "li", "role": "manager",
                 "until": self.clock.now() + 60_000, **changes}  # fmt: skip

    async def ask(self, *, signed_by: bytes = KEY, **changes: Any) -> dict[str, Any]:
        before = len(self.replies)
        self.writes.command(sign(signed_by, self.body(**changes)))
        await until(lambda: len(self.replies) > before)
        return self.replies[-1]


@contextlib.asynccontextmanager
async def rig_of(device: Device, key: bytes = KEY) -> AsyncIterator[Rig]:
    async with served(device) as port:
        rig = Rig(port, key)
        await rig.driver.open()
        task = asyncio.create_task(rig.writes.run())
        try:
            yield rig
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await rig.driver.close()


async def holds(rig: Rig, block: Block) -> list[int]:
    words: list[int] = (await rig.driver.read(block, 1.0)).words.tolist()
    return words


async def test_a_register_and_a_coil_are_written_and_read_back() -> None:
    device = Device()
    async with rig_of(device) as rig:
        done = await rig.ask()
        assert done == {"id": "w1", "ok": True, "result": "done", "old": 30.0, "new": 40.0}
        assert await holds(rig, Block(1, "holding", 4, 1)) == [40]
        on = await rig.ask(id="w2", point="pump-1/run", value=1)
        assert (on["result"], on["old"], on["new"]) == ("done", 0.0, 1.0)
        assert await holds(rig, Block(1, "coil", 3, 1)) == [1]
        assert [w[:2] for w in device.written] == [(6, 4), (5, 3)]
        assert rig.writes.facts()["writes_done"] == 2


REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("not_listed", {"point": "pump-1/out_p"}),
    ("not_listed", {"point": "nowhere/x"}),
    ("not_listed", {"point": "lift-1/call"}),
    ("range", {"value": 50.1}),
    ("range", {"value": 9}),
    ("value", {"value": "40"}),
    ("value", {"value": True}),
    ("value", {"value": None}),
    ("late", {"until": 1}),
    ("late", {"until": None}),
    ("boot", {"boot": "1780000000000-abc"}),
    ("person", {"point": "pump-1/run", "value": 1, "by": "olga", "role": "operator"}),
    ("signature", {"id": 7}),
]


@pytest.mark.parametrize(("code", "changes"), REFUSED)
async def test_a_refused_write_leaves_the_device_unchanged(code: str, changes: dict[str, Any]) -> None:
    device = Device()
    async with rig_of(device) as rig:
        answer = await rig.ask(**changes)
        assert (answer["ok"], answer["result"], answer["code"]) == (False, "refused", code)
        assert answer["error"]
        assert device.written == []
        assert await holds(rig, Block(1, "holding", 0, 20)) == [30] * 20


async def test_who_has_not_the_key_writes_nothing() -> None:
    device = Device()
    async with rig_of(device) as rig:
        assert (await rig.ask(signed_by=b"x" * 32))["code"] == "signature"
        changed = {**sign(KEY, rig.body()), "value": 50.0}
        rig.writes.command(changed)
        assert rig.replies[-1]["code"] == "signature"
    async with rig_of(device, key=b"") as rig:
        assert (await rig.ask())["code"] == "no_key"
        assert (await rig.ask(signed_by=b""))["code"] == "no_key"
    assert device.written == []


async def test_the_same_command_is_carried_out_once() -> None:
    device = Device()
    async with rig_of(device) as rig:
        first = await rig.ask()
        again = await rig.ask()
        assert again == first
        assert len(device.written) == 1


async def test_so_many_writes_a_minute_and_no_more() -> None:
    device = Device()
    async with rig_of(device) as rig:
        results = [await rig.ask(id=f"w{n}", value=20 + n) for n in range(5)]
        assert [r["result"] for r in results] == ["done"] * 3 + ["refused"] * 2
        assert {r.get("code") for r in results[3:]} == {"rate"}
        assert await holds(rig, Block(1, "holding", 4, 1)) == [22]
        assert (await rig.ask(id="other", point="pump-1/run", value=1))["result"] == "done"


async def test_a_device_that_keeps_another_value_is_a_mismatch_until_it_takes_one() -> None:
    device = Device(mode="bends")
    async with rig_of(device) as rig:
        answer = await rig.ask()
        assert (answer["result"], answer["old"], answer["new"]) == ("mismatch", 30.0, 41.0)
        assert rig.writes.facts()["writes_unmatched"] == 1.0
        device.mode = "ok"
        assert (await rig.ask(id="w2"))["result"] == "done"
        assert rig.writes.facts()["writes_unmatched"] == 0.0


async def test_a_device_that_refuses_is_told_with_its_exception() -> None:
    device = Device(mode="refuses")
    async with rig_of(device) as rig:
        answer = await rig.ask()
        assert (answer["result"], answer["code"]) == ("failed", "exception")
        assert "exception 2" in answer["error"]
        assert await holds(rig, Block(1, "holding", 4, 1)) == [30]


async def test_a_line_that_is_down_fails_and_the_next_write_goes_through() -> None:
    device = Device()
    async with rig_of(device) as rig:
        await rig.driver.close()
        answer = await rig.ask()
        assert (answer["result"], answer["code"]) == ("failed", "line")
        await rig.driver.open()
        assert (await rig.ask(id="w2"))["result"] == "done"


async def test_the_polls_of_the_line_go_on_beside_writes() -> None:
    device = Device()
    async with rig_of(device) as rig:

        async def poll() -> int:
            for _ in range(200):
                answer = await rig.driver.read(Block(1, "holding", 5, 2), 1.0)
                assert answer.words.tolist() == [30, 30]
            return 200

        polling = asyncio.create_task(poll())
        for n in range(30):
            assert (await rig.ask(id=f"w{n}", point="pump-1/run", value=n % 2))["result"] == "done"
        assert await polling == 200
