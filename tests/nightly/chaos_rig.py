"""A real edge process between devices that break at random and a real broker; the core's half is kept here.

The books are closed from three sides that do not know of each other: what the schedule asked for, what the
devices answered, and what arrived.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiomqtt
import numpy as np
import orjson
import yaml

from gateway.adapters.clock import SystemClock
from gateway.codec import Account, Data
from gateway.model import Level
from tests.contract.mosquitto_server import Mosquitto
from tests.e2e.cli_kit import ROOT, environment
from tests.nightly.chaos_devices import (
    CALL,
    PATIENCE_S,
    POINTS,
    REGISTERS,
    STATES,
    Line,
    RtuLine,
    TcpLine,
    belongs,
    tcp_port,
)
from tests.unit.drivers.wire_devices import on_pty
from tests.unit.gateway_edge.edge_fakes import KEY, FakeCore, signed

ESTATE, GATEWAY = "garden", "gw-1"
OWN = f"steward/v1/{ESTATE}/{GATEWAY}"
PERIOD_S = 0.2
UNITS = {"tcp": (1, 2), "rtu": (3, 4), "calm": (5,)}
"""Units by line; nothing ever happens to `calm`."""
WAIT_S = 90.0
REFUSED = ("timeout", "garbled", "line", "stopped", "no_value", "exception", "error")
"""Causes of gaps behind which a device may have given a right answer that the edge did not believe."""


def text(word: str) -> dict[str, str]:
    return {"zh": word, "en": word}


def profile() -> dict[str, Any]:
    def points(tag: str, area: range, **more: Any) -> dict[str, Any]:
        return {
            "tag": f"{tag}.{{n}}", "name": text(f"{tag} {{n}}"), "area": "holding", "address": area.start,
            "type": "u16", "decimals": 0, "repeat": {"count": len(area), "stride": 1}, **more,
        }  # fmt: skip

    call = {"tag": "call", "name": text("call"), "area": "holding", "address": CALL, "type": "u16",
            "kind": "digital", "life": True}  # fmt: skip
    case = {"name": "the call button", "holding": {CALL: "00 01"}, "expect": {"call": 1}}
    return {
        "name": "chaos", "title": text("chaos"), "kind": "meter", "protocol": "modbus",
        "source": {"document": "tests/nightly/chaos_devices.py"}, "period_s": PERIOD_S,
        "points": [points("r", REGISTERS), points("s", STATES, kind="enum"), call], "cases": [case],
    }  # fmt: skip


def site(lines: dict[str, Line]) -> dict[str, Any]:
    kinds = {"tcp": "modbus_tcp", "rtu": "modbus_rtu", "calm": "modbus_tcp"}
    return {
        "site": {"id": "chaos", "name": text("chaos")},
        "firms": [{"id": "firm", "name": text("firm")}],
        "estates": [{"id": ESTATE, "firm": "firm", "name": text("garden")}],
        "assets": [
            {"id": f"u{unit}", "estate": ESTATE, "kind": "meter", "name": text(f"u{unit}")}
            for units in UNITS.values() for unit in units
        ],
        "gateways": [{"id": GATEWAY, "estate": ESTATE, "lines": [
            {"id": name, "kind": kinds[name], "options": line.options, "devices": [
                {"id": f"dev-{unit}", "unit": unit, "profile": "chaos.yaml", "asset": f"u{unit}",
                 "timeout_s": PATIENCE_S}
                for unit in UNITS[name]
            ]}
            for name, line in lines.items()
        ]}],
    }  # fmt: skip


@dataclass
class Life:
    """One run of the edge process: its polling began and ended at these instants of the real clock."""

    began: float
    ended: float = 0.0
    killed: bool = False


@dataclass
class Rig:
    """`lines`: the devices by line · `core`: what arrived · `lives`: of the edge process, in order."""

    folder: Path
    lines: dict[str, Line]
    broker: Mosquitto
    jumpy: bool = False
    core: FakeCore = field(default_factory=FakeCore)
    lives: list[Life] = field(default_factory=list)
    clock: SystemClock = field(default_factory=SystemClock)
    process: asyncio.subprocess.Process | None = None

    # ── the edge process ──────────────────────────────────────────────────────────────────────────

    async def start_edge(self) -> None:
        """Until it delivers something that it has read itself."""
        module = ["tests.nightly.jumpy_edge"] if self.jumpy else ["gateway", "edge"]
        before = len(self.core.messages)
        with (self.folder / "edge.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", *module, str(self.folder / "site.yaml"), "--data",
                str(self.folder / "data"), cwd=ROOT, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                env=environment(
                    {"STEWARD_MQTT": f"mqtt://127.0.0.1:{self.broker.port}", "STEWARD_EDGE_KEY": KEY.hex()}
                ),
            )  # fmt: skip
        asked = sum(line.number for line in self.lines.values())
        await self.until(lambda: sum(line.number for line in self.lines.values()) > asked)
        self.lives.append(Life(self.clock.monotonic()))
        await self.until(lambda: len(self.core.messages) > before + 5)

    async def kill_edge(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        await self.process.wait()
        self.lives[-1].ended, self.lives[-1].killed = self.clock.monotonic(), True

    def signal_edge(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    async def close(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.terminate()
            try:
                await asyncio.wait_for(self.process.wait(), 20)
            except TimeoutError:
                self.process.kill()
                await self.process.wait()

    # ── the core's half ───────────────────────────────────────────────────────────────────────────

    async def serve(self) -> None:
        """Hears everything, confirms what it has, comes back after the broker."""
        while True:
            with contextlib.suppress(aiomqtt.MqttError):
                async with aiomqtt.Client(
                    "127.0.0.1", self.broker.port, identifier="core", clean_session=False, timeout=5
                ) as client:
                    for leaf in ("points/+", "data", "event", "account", "birth", "status", "reply"):
                        await client.subscribe(f"{OWN}/{leaf}", qos=1)
                    async for m in client.messages:
                        assert isinstance(m.payload, bytes)
                        ack = self.core.take(str(m.topic), m.payload)
                        if ack is not None and ack.upto:
                            await client.publish(f"{OWN}/ack", ack.encode(), qos=1)
            await asyncio.sleep(0.05)

    async def stop_polling(self) -> Account:
        """The last account, after everything that was read has arrived."""
        async with aiomqtt.Client("127.0.0.1", self.broker.port) as client:
            body = signed(self.core.boot, cmd="stop_polling")
            await client.publish(f"{OWN}/cmd", orjson.dumps(body), qos=1)
        await self.until(lambda: any(leaf == "reply" for leaf, _ in self.core.other))
        self.lives[-1].ended = self.clock.monotonic()
        await self.until(lambda: any(self._is_last(a) for a in self.core.accounts))
        return next(a for a in self.core.accounts if self._is_last(a))

    @staticmethod
    def _is_last(account: Account) -> bool:
        return not account.facts.get("polling", 1.0) and not account.outbox

    # ── waiting ───────────────────────────────────────────────────────────────────────────────────

    async def until(self, condition: Callable[[], bool], more_s: float = 0.0) -> None:
        """Poll for WAIT_S and more; a failure shows what the edge said."""
        deadline = self.clock.monotonic() + WAIT_S + more_s
        while not condition():
            gone = self.process is not None and self.process.returncode is not None
            in_time = self.clock.monotonic() < deadline
            assert in_time, f"not within {WAIT_S + more_s:g} s; the edge said: {self.said()[-1500:]}"
            assert not gone, f"the edge ended: {self.said()[-1500:]}"
            await asyncio.sleep(0.02)

    def said(self) -> str:
        """What the edge has logged, and what it printed before it could."""
        logs = [self.folder / "edge.log", *(self.folder / "data" / "logs").glob("*")]
        return "".join(log.read_text(encoding="utf-8", errors="replace") for log in logs if log.is_file())

    async def read_more(self, points: int) -> None:
        """Until the devices have answered so many points more."""
        goal = self.answered() + points
        await self.until(lambda: self.answered() >= goal)

    async def fresh_from_all(self) -> None:
        """Until something that was read from now on has come from every unit."""
        before = self.stored_by_unit()
        await self.until(lambda: all(n > before[u] for u, n in self.stored_by_unit().items()))

    def answered(self) -> int:
        return sum(line.answered.total() for line in self.lines.values())

    def stored_by_unit(self) -> Counter[int]:
        """Values that arrived, by unit."""
        counts: Counter[int] = Counter({unit: 0 for units in UNITS.values() for unit in units})
        for unit, _, _ in self.values():
            counts[unit] += 1
        return counts

    def values(self) -> list[tuple[int, int, float]]:
        """(unit, address, value) of every believed reading that arrived."""
        out = []
        for m in self.core.messages:
            table = self.core.tables[m.tab].points
            rows = (
                zip(m.i.tolist(), m.v.tolist(), m.q.tolist(), strict=True)
                if isinstance(m, Data)
                else [(m.i, m.v, m.q)]
            )
            for i, v, q in rows:
                unit, address = _place(table[i].asset, table[i].tag)
                if unit and q >> 5 < Level.BAD and not np.isnan(v):
                    out.append((unit, address, v))
        return out


def _place(asset: str, tag: str) -> tuple[int, int]:
    """Unit and address of a point; unit 0 for the edge's own points."""
    if asset[0] != "u":
        return 0, 0
    if tag == "call":
        return int(asset[1:]), CALL
    area = REGISTERS if tag[0] == "r" else STATES
    return int(asset[1:]), area.start + int(tag.split(".")[1]) - 1


@asynccontextmanager
async def chaos(folder: Path, seed: int, *, jumpy: bool = False) -> AsyncIterator[Rig]:
    """Devices, broker, core and edge; everything has been read once."""
    tcp, rtu, calm = TcpLine(seed), RtuLine(seed + 1), TcpLine(seed + 2)
    broker = Mosquitto(folder / "broker")
    await broker.start()
    async with tcp_port(tcp), on_pty(rtu), tcp_port(calm):
        rig = Rig(folder, {"tcp": tcp, "rtu": rtu, "calm": calm}, broker, jumpy)
        for name, body in (("chaos", profile()), ("site", site(rig.lines))):
            (folder / f"{name}.yaml").write_text(yaml.safe_dump(body, allow_unicode=True), encoding="utf-8")
        task = asyncio.create_task(rig.serve())
        try:
            await rig.start_edge()
            await rig.fresh_from_all()
            yield rig
        finally:
            await rig.close()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await broker.stop()


# ── the books ─────────────────────────────────────────────────────────────────────────────────────────


def close_the_books(rig: Rig) -> None:
    """Balance, truth and completeness of a whole run. See the module."""
    wrong = [v for v in rig.values() if not belongs(v[2], v[0], v[1])]
    assert not wrong, wrong[:10]
    _each_reading_has_its_own_stamp(rig)
    last = {boot: rig.core.account(boot) for boot in rig.core.stored}
    for boot, account in last.items():
        assert sum(d.stored for d in account.devices.values()) == rig.core.stored[boot], boot
        assert all(d.residual == 0 for d in account.devices.values())
    due, kept, refused = Counter[int](), Counter[int](), Counter[int]()
    for account in last.values():
        for name, d in account.devices.items():
            unit = int(name[4:]) if name.startswith("dev-") else 0
            due[unit] += d.due
            kept[unit] += d.stored + d.suppressed + d.thinned
            refused[unit] += sum(d.gaps.get(cause, 0) for cause in REFUSED)
    _nothing_invented_nothing_lost(rig, kept, refused)
    _as_the_schedule_asked(rig, due)


def _each_reading_has_its_own_stamp(rig: Rig) -> None:
    for point, rows in rig.core.series().items():
        stamps = [t for t, _ in rows]
        assert len(stamps) == len(set(stamps)), point


def _nothing_invented_nothing_lost(rig: Rig, kept: Counter[int], refused: Counter[int]) -> None:
    """What the devices answered rightly is kept, or told as a gap; after a kill -9 a tick may be missing."""
    killed = sum(life.killed for life in rig.lives)
    for name, line in rig.lines.items():
        for unit in UNITS[name]:
            assert kept[unit] <= line.answered[unit], f"unit {unit}: more was kept than answered"
            missing = line.answered[unit] - kept[unit] - refused[unit]
            assert missing <= killed * 2 * POINTS, f"unit {unit}: {missing} answered points are not told"


def _as_the_schedule_asked(rig: Rig, due: Counter[int]) -> None:
    """Every round of the fixed grid is in the books, whatever became of it: to a tenth and three rounds."""
    rounds = sum((life.ended - life.began) / PERIOD_S for life in rig.lives)
    margin = 0.1 * rounds + 3 * len(rig.lives)
    for units in UNITS.values():
        for unit in units:
            booked = due[unit] / POINTS
            assert abs(booked - rounds) <= margin, f"unit {unit}: {booked:.0f} rounds of {rounds:.0f}"
