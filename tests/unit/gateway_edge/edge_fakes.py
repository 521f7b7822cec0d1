"""Small devices behind the ports, for tests of the edge."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from gateway.codec import Account, Ack, Data, EventMessage, PointTable, Status, Topic
from gateway.codec.signed import sign
from gateway.edge.config import EdgeConfig, Hello
from gateway.edge.control import Control
from gateway.edge.stage import Stage
from gateway.model import GOOD, Kind, Point
from gateway.ports import Answer, Block, Clock, Decoded, DeviceException, Garbled, LineDown, NoAnswer, Span

KEY = b"k" * 32
"""What the edges of tests obey."""
FOR_EVER = 1 << 52
"""An `until` that no test's clock reaches, ms."""


def control(folder: Path) -> Control:
    """Of an edge that may be commanded, and is sent no configuration."""

    def load(site: Path) -> EdgeConfig:
        raise AssertionError(f"{site} was not to be loaded")

    return Control(KEY, Stage(folder / "config"), load)


def signed(boot: str, id_: str = "", **body: Any) -> dict[str, Any]:
    """A command as the core makes it."""
    return sign(KEY, {"id": id_ or secrets.token_hex(6), "boot": boot, "until": FOR_EVER, **body})


def points(
    n: int, asset: str = "pump-1", *, kind: Kind = "analog", period_s: float = 1.0, life: bool = False,
    deadband: float = 0.0, silence_s: float = 60.0,
) -> list[Point]:  # fmt: skip
    return [
        Point(
            asset, f"v.p{k}", kind=kind, period_s=period_s, life=life, deadband=deadband, silence_s=silence_s
        )
        for k in range(n)
    ]


@dataclass
class FakeModel:
    """One holding register per span (its first), value = word; keyed by the address that was asked for."""

    points: Sequence[Point]
    spans: Sequence[Span]
    max_registers: int = 125
    max_gap: int | None = None

    @classmethod
    def dense(cls, pts: Sequence[Point], start: int = 0, step: int = 1) -> FakeModel:
        return cls(pts, [Span("holding", start + step * k, 1) for k in range(len(pts))])

    def decode(self, answer: Answer) -> Decoded:
        block = answer.block
        inside = [
            n
            for n, s in enumerate(self.spans)
            if s.area == block.area
            and block.address <= s.address
            and s.address + s.count <= block.address + block.count
        ]
        v = np.array([float(answer.words[self.spans[n].address - block.address]) for n in inside], np.float64)
        return Decoded(np.array(inside, np.intp), v, np.full(len(inside), GOOD, np.uint8))


@dataclass
class FakeUnit:
    """How a unit behaves; `value` gives the word at an address."""

    value: Callable[[int], int] = lambda address: address
    illegal: frozenset[int] = frozenset()
    silent: bool = False
    short: bool = False
    code: int = 0
    busy_at: frozenset[int] = frozenset()
    rtt_s: float = 0.01


@dataclass
class FakeDriver:
    """A line in virtual or real time, by the clock that it is given."""

    clock: Clock
    units: dict[int, FakeUnit]
    down: bool = False
    log: list[tuple[float, Block]] = field(default_factory=list)
    opened: int = 0

    async def open(self) -> None:
        if self.down:
            raise LineDown("no such port")
        self.opened += 1

    async def close(self) -> None:
        return

    async def read(self, block: Block, timeout_s: float) -> Answer:
        self.log.append((self.clock.monotonic(), block))
        unit = self.units[block.unit]
        if self.down:
            raise LineDown("unplugged")
        if unit.silent:
            await self.clock.sleep_real(timeout_s)
            raise NoAnswer("no answer")
        if unit.rtt_s:
            await self.clock.sleep_real(unit.rtt_s)
        if unit.short:
            raise Garbled("18 registers instead of 20")
        if unit.code:
            raise DeviceException(unit.code)
        if block.address in unit.busy_at:
            raise DeviceException(6)
        if unit.illegal & set(range(block.address, block.address + block.count)):
            raise DeviceException(2)
        words = [unit.value(a) for a in range(block.address, block.address + block.count)]
        return Answer(block, self.clock.now(), np.array(words, np.uint16), rtt_s=unit.rtt_s)


@dataclass
class FakeSink:
    """Collects what a line says."""

    values: dict[int, list[tuple[int, float]]] = field(default_factory=dict)
    gaps: Counter[tuple[int, str]] = field(default_factory=Counter)
    lessons: dict[int, Any] = field(default_factory=dict)
    count: Counter[int] = field(default_factory=Counter)

    def readings(self, device: int, gid: Any, t: int, v: Any, q: Any, attrs: Mapping[int, Any]) -> None:
        self.count[device] += len(gid)
        for g, x in zip(gid.tolist(), v.tolist(), strict=True):
            self.values.setdefault(g, []).append((t, x))

    def gap(self, device: int, cause: str, points: int) -> None:
        self.gaps[device, cause] += points

    def learned(self, device: int, lessons: Any) -> None:
        self.lessons[device] = list(lessons)


class FakeCore:
    """The core's half of the wire: de-duplicates, keeps what is due once, sends receipts."""

    def __init__(self) -> None:
        self.seen: dict[tuple[str, str], set[int]] = {}
        self.tables: dict[str, PointTable] = {}
        self.messages: list[Data | EventMessage] = []
        self.accounts: list[Account] = []
        self.other: list[tuple[str, dict[str, Any]]] = []
        self.duplicates = 0
        self.given_up: Counter[tuple[str, str]] = Counter()
        self.stored: Counter[str] = Counter()

    def take(self, topic: str, payload: bytes) -> Ack | None:
        """One delivery; the receipt to send."""
        leaf = Topic.parse(topic).leaf
        message: Data | EventMessage | Account
        if leaf == "points":
            table = PointTable.decode(payload)
            self.tables[table.tab] = table
            return None
        if leaf == "data":
            message = Data.decode(payload)
        elif leaf == "event":
            message = EventMessage.decode(payload)
        elif leaf == "account":
            message = Account.decode(payload)
        else:
            self.other.append((leaf, orjson.loads(payload)))
            return None
        seen = self.seen.setdefault((message.boot, message.lane), set())
        if message.seq in seen:
            self.duplicates += 1
        else:
            seen.add(message.seq)
            self._keep(message)
        # What the outbox holds no more was given up when it was full; an account says so.
        upto = self.given_up[message.boot, message.lane]
        while upto + 1 in seen:
            upto += 1
        return Ack(message.boot, message.lane, upto)

    def _keep(self, message: Data | EventMessage | Account) -> None:
        if isinstance(message, Account):
            self.accounts.append(message)
            for boot, lanes in message.held.items():
                for lane, lowest in lanes.items():
                    self.given_up[boot, lane] = max(self.given_up[boot, lane], lowest - 1)
            return
        self.messages.append(message)
        self.stored[message.boot] += len(message.i) if isinstance(message, Data) else 1

    @property
    def boot(self) -> str:
        """Of the edge that said last that it is there."""
        return str([body for leaf, body in self.other if leaf == "birth"][-1]["boot"])

    def account(self, boot: str) -> Account:
        return max((a for a in self.accounts if a.boot == boot), key=lambda a: a.seq)

    def series(self) -> dict[str, list[tuple[int, float]]]:
        """(t, v) by point id, in time order."""
        out: dict[str, list[tuple[int, float]]] = {}
        for m in self.messages:
            table = self.tables[m.tab].points
            if isinstance(m, Data):
                for i, dt, v in zip(m.i.tolist(), m.dt.tolist(), m.v.tolist(), strict=True):
                    out.setdefault(table[i].id, []).append((m.t + dt, v))
            else:
                out.setdefault(table[m.i].id, []).append((m.t, m.v))
        return {k: sorted(v) for k, v in out.items()}


class MemoryUplink:
    """An uplink straight into a FakeCore. `link(up)` plugs and unplugs; `deaf`: publishes go nowhere."""

    def __init__(self, hello: Hello, core: FakeCore) -> None:
        self.hello, self.core = hello, core
        self.deaf = self.mute = False
        self.order: list[str] = []
        self._up = False
        self._wanted = asyncio.Event()
        self._changed = asyncio.Event()
        self._on_message: Callable[[str, bytes], None] = lambda _t, _p: None

    @property
    def connected(self) -> bool:
        return self._up

    def link(self, *, up: bool) -> None:
        if up:
            self._wanted.set()
        else:
            self._wanted.clear()
        self._changed.set()

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        if not self._up:
            return False
        self.order.append(Topic.parse(topic).leaf)
        if not self.deaf:
            ack = self.core.take(topic, payload)
            if ack is not None and not self.mute:
                loop = asyncio.get_running_loop()
                loop.call_soon(self._on_message, self.hello.subscribe[0], ack.encode())
        return True

    def command(self, **body: Any) -> None:
        """Somebody says it; signed by nobody."""
        self.heard(self.hello.subscribe[1], orjson.dumps(body))

    def core_says(self, **body: Any) -> None:
        """The core says it, to the edge that is connected."""
        boot = Status.decode(self.hello.will()[1]).boot
        self.command(**signed(boot, **{"id_" if k == "id" else k: v for k, v in body.items()}))

    def heard(self, topic: str, payload: bytes) -> None:
        self._on_message(topic, payload)

    async def run(self, on_message: Callable[[str, bytes], None], on_state: Callable[[bool], None]) -> None:
        self._on_message = on_message
        while True:
            if self._wanted.is_set() != self._up:
                self._up = not self._up
                on_state(self._up)
            self._changed.clear()
            await self._changed.wait()


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Poll with a deadline."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.01)


async def stop(*tasks: asyncio.Task[Any]) -> None:
    """Cancel until they are done: asyncio.wait_for swallows a cancellation that comes with its result."""
    while pending := [t for t in tasks if not t.done()]:
        for t in pending:
            t.cancel()
        await asyncio.wait(pending, timeout=1)
    await asyncio.gather(*tasks, return_exceptions=True)
