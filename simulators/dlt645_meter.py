"""Electricity meters of DL/T 645-2007 on one paced serial bus: they answer, refuse, stay silent or garble."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import serial

from drivers import dlt645_codec as codec
from drivers.dlt645_codec import ANYONE, MORE, READ, READ_ADDRESS, READ_MORE, REFUSED, REPLY, Frame
from drivers.profiles.model import Profile
from simulators.devices import Counts
from simulators.rtu_bus import serial_bus

NO_DATA = 0x02
"""Error word: no such data."""
TURN_S = 0.02
"""A meter answers after 20 to 500 ms (clause 5.3)."""

Values = Callable[[], Mapping[str, Sequence[float]]]
"""Present numbers of a meter by `sentence` (see dlt645_codec.Item)."""


@dataclass
class Meter:
    """One meter. fault: silent · exception · garbled · short · late (answers after `late_s`)."""

    address: str
    values: Values
    fault: str = ""
    late_s: float = 0.6
    frame_bytes: int = codec.MAX_DATA - 5
    counts: Counts = field(default_factory=Counts)
    _held: bytes = b""

    def answer(self, asked: Frame) -> Frame | None:
        """What it says to a request to itself; None when it keeps silent."""
        self.counts.requests += 1
        if self.fault == "silent" or asked.control not in (READ, READ_MORE, READ_ADDRESS):
            self.counts.silent += 1
            return None
        if asked.control == READ_ADDRESS:
            self.counts.answers += 1
            return Frame(self.address, READ_ADDRESS | REPLY, codec.wire_address(self.address))
        data = None if self.fault == "exception" else self._data(asked)
        if data is None:
            self.counts.exceptions += 1
            return Frame(self.address, asked.control | REPLY | REFUSED, bytes((NO_DATA,)))
        self.counts.answers += 1
        if self.fault == "short":
            self.counts.short += 1
            data = data[:-1]
        at = self.frame_bytes * (asked.data[4] if asked.control == READ_MORE else 0)
        more = MORE if len(data) > at + self.frame_bytes else 0
        part = data[at : at + self.frame_bytes]
        number = asked.data[4:5] if asked.control == READ_MORE else b""
        return Frame(self.address, asked.control | REPLY | more, asked.data[:4] + part + number)

    def _data(self, asked: Frame) -> bytes | None:
        """All bytes behind the identifier; further frames go on with what the first one found."""
        if asked.control == READ:
            di = int.from_bytes(asked.data[:4], "little")
            held = {codec.parse_item(s).di: (codec.parse_item(s), v) for s, v in self.values().items()}
            if di not in held:
                return None
            item, numbers = held[di]
            self._held = item.data(numbers)
        return self._held


def profile_values(profile: Profile, values: Mapping[str, float]) -> dict[str, list[float]]:
    """Numbers by sentence of a meter with these values by tag; what is not given is 0."""
    out = {p.sentence: [0.0] * len(codec.parse_item(p.sentence).values) for p in profile.expanded}
    for p in profile.expanded:
        out[p.sentence][p.address - 1] = (values.get(p.tag, 0.0) - p.offset) / p.scale
    return out


@dataclass
class MeterBus:
    """The client's end of the wire and the meters at the other."""

    path: str
    meters: dict[str, Meter]
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def heard(self, frame: Frame, port: serial.Serial) -> None:
        """One request on the wire: every meter that it is for answers."""
        for meter in self.meters.values():
            if frame.address in (meter.address, ANYONE) and (answer := meter.answer(frame)) is not None:
                task = asyncio.create_task(self._say(meter, answer, port), name=f"meter.{meter.address}")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _say(self, meter: Meter, answer: Frame, port: serial.Serial) -> None:
        await asyncio.sleep(meter.late_s if meter.fault == "late" else TURN_S)
        data = bytearray(codec.encode(answer, preamble=1))
        if meter.fault == "garbled":
            data[-2] ^= 0x55
        with contextlib.suppress(serial.SerialException):  # the bus has gone down meanwhile
            port.write(bytes(data))

    async def stop(self) -> None:
        """No further answers."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def meter_bus(
    meters: Sequence[Meter], baud: int = 2400, parity: str = "E", link: Path | None = None
) -> AsyncIterator[MeterBus]:
    """Meters behind a device file, at the pace of the baud rate. A pseudo-terminal itself has no parity."""
    async with serial_bus(baud, parity, link) as wire:
        port = serial.Serial(wire.inner, timeout=0, exclusive=True)
        bus = MeterBus(wire.outer, {m.address: m for m in meters})
        rest = b""

        def ready() -> None:
            nonlocal rest
            frames, rest, _ = codec.split(rest + os.read(port.fileno(), 4096))
            for frame in frames:
                bus.heard(frame, port)

        loop = asyncio.get_running_loop()
        loop.add_reader(port.fileno(), ready)
        try:
            yield bus
        finally:
            loop.remove_reader(port.fileno())
            await bus.stop()
            port.close()
