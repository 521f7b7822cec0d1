"""Electricity meters of DL/T 645-2007 on a serial bus (RS-485, usually 2400 8E1). Reads only.

A meter answers 20 to 500 ms after the request, with pauses of up to 500 ms between two bytes (clause 5.3).
Frames carry the meter's address and the data identifier, but no number: an answer that comes after its
time-out cannot be told from the next one of the same request, so the meter is left alone for a while.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from drivers import dlt645_codec as codec
from drivers.dlt645_codec import ANYONE, MORE, READ, READ_ADDRESS, READ_MORE, REFUSED, REPLY, Frame, Item
from drivers.linestats import LineStats, UnitStats
from drivers.serial_port import PortOptions, SerialPort
from drivers.trace import Frame as TracedFrame
from drivers.trace import FrameTrace
from gateway.model import Ms
from gateway.ports import Answer, Block, Clock, DeviceError, DeviceException, Garbled, NoAnswer, Span

QUARANTINE = 3.0
"""A meter that missed its time-out is not asked again before this many time-outs have passed."""
SILENT_CHARS = 3.5
"""The line is free after this many characters of silence (the standard leaves it open; as Modbus does)."""


def _twelve(value: Any) -> str:
    """YAML reads 000000000001 as 1: leading zeros are put back."""
    text = str(value).zfill(12)
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{12}", text):
        raise ValueError(f"{value!r} is no meter address; write the twelve digits on its label, in quotes")
    return text


Address = Annotated[str, BeforeValidator(_twelve)]


class Dlt645Options(PortOptions):
    """A bus of meters.

    addresses: {unit of the device in the site file: the twelve digits on the meter's label} · preamble: FE
    bytes that wake the meters up before a request.
    """

    baud: int = Field(2400, ge=300, le=115200)
    parity: Literal["N", "E", "O"] = "E"
    bytesize: Literal[8] = 8
    preamble: int = Field(4, ge=0, le=codec.MAX_PREAMBLE)
    addresses: dict[Annotated[int, Field(ge=0, le=255)], Address]

    @field_validator("addresses")
    @classmethod
    def _apart(cls, v: dict[int, str]) -> dict[int, str]:
        for address in v.values():
            if address == codec.EVERYONE:
                raise ValueError(f"{address} is the address of all meters; write the one on the label")
            if list(v.values()).count(address) > 1:
                raise ValueError(f"meter {address} stands at two units; each meter has one")
        return v

    @property
    def char_s(self) -> float:
        """Time of one character on the wire: start, data, parity, stop bits."""
        return (1 + self.bytesize + (self.parity != "N") + self.stopbits) / self.baud

    def device_faults(self, unit: int, spans: Sequence[Span]) -> Iterator[tuple[str, str, str]]:
        """(field of the device, what is wrong, what to do), before anything is read."""
        if unit not in self.addresses:
            hint = f'add {unit}: "000000000001" with the digits on the label to options.addresses of the line'
            yield "unit", f"unit {unit} has no meter address", hint
        for span in spans:
            try:
                codec.parse_item(span.sentence)
            except ValueError as e:
                yield "profile", str(e), "choose a profile of DL/T 645 meters"
                return


class Dlt645Driver:
    """One bus with its meters, one request at a time. `stats` counts frames: a long answer takes several."""

    def __init__(self, options: Dlt645Options, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._news = asyncio.Event()
        self._port = SerialPort(options, self._hear, self._news.set)
        self._quiet_from = 0.0
        self._quarantine: dict[str, float] = {}
        self._trace = FrameTrace()
        self._asked: int | None = None
        self._counts = UnitStats()
        self._sent_at = 0.0
        self.stats = LineStats()
        self._forget()

    def trace(self, on: bool) -> None:
        """Begin to record frames, or stop."""
        self._trace.switch(on)

    def frames(self, unit: int | None = None) -> tuple[TracedFrame, ...]:
        """What was recorded, oldest first; of one unit, or of the whole line."""
        return self._trace.frames(unit)

    def _forget(self) -> None:
        self._rest, self._junk, self._foreign = b"", b"", ""
        self._frames: list[tuple[Frame, Ms]] = []

    async def open(self) -> None:
        """Open the port. Raises LineDown. Idempotent when open."""
        if self._port.is_open:
            return
        self._port.open()
        self._forget()
        self.stats.opened += 1

    async def close(self) -> None:
        """Close the port; idempotent."""
        self._port.close()

    async def read(self, block: Block, timeout_s: float) -> Answer:
        """The values of `block.sentence` (see dlt645_codec.Item) as `fields[1:]`; further frames included.

        A refusal is a DeviceException whose code is the error word. A meter that missed its time-out is not
        asked again for QUARANTINE time-outs (NoAnswer at once), unless something of it was heard.
        """
        address, item = self._target(block)
        where = f"meter {address} at {self._options.port}"
        self._counts = self.stats.unit(block.unit)
        if self._clock.monotonic() < self._quarantine.get(address, 0.0):
            self._counts.held += 1
            raise NoAnswer(f"{where}: its late answer is still awaited")
        self._asked = block.unit
        try:
            return await self._read(block, address, item, timeout_s)
        except DeviceError as e:
            self._count(e)
            raise
        except asyncio.CancelledError:
            self._counts.cut_off += self._counts.requests > self._counts.explained
            raise
        finally:
            self._asked = None

    async def _read(self, block: Block, address: str, item: Item, timeout_s: float) -> Answer:
        where = f"meter {address} at {self._options.port}"
        await self._silence()
        started = self._clock.monotonic()
        data, t = b"", self._clock.now()
        try:
            async with asyncio.timeout(timeout_s):
                for number in range(256):
                    frame, t = await self._exchange(address, item, number)
                    data += _part(frame, number)
                    if not frame.control & MORE or len(data) > item.size:
                        break
                    self._counts.answered(t, self._clock.monotonic() - self._sent_at)
        except TimeoutError:
            raise self._missed(address, where, started, timeout_s) from None
        finally:
            self.stats.busy_s += self._clock.monotonic() - started
        try:
            fields = (block.sentence, *item.fields(data))
        except ValueError as e:
            self._foreign = "short" if len(data) < item.size else "long" if len(data) > item.size else "junk"
            raise Garbled(f"{where}: {e}") from None
        now = self._clock.monotonic()
        self._counts.answered(t, now - self._sent_at)
        return Answer(block, t, fields=fields, rtt_s=now - started)

    def _count(self, error: DeviceError) -> None:
        """How the request under way ended; nothing when none was sent."""
        counts = self._counts
        if counts.requests == counts.explained:
            return
        if isinstance(error, DeviceException):
            counts.exceptions[error.code] += 1
        elif isinstance(error, Garbled):
            counts.faults[self._foreign or ("cut" if self._rest else "junk")] += 1
        elif isinstance(error, NoAnswer):
            counts.timeouts += 1
        else:
            counts.cut_off += 1

    async def read_address(self, timeout_s: float) -> str:
        """The address of the only meter on the line; not counted. Raises NoAnswer, Garbled, LineDown."""
        self._counts = UnitStats()
        await self._silence()
        started = self._clock.monotonic()
        try:
            async with asyncio.timeout(timeout_s):
                self._send(Frame(ANYONE, READ_ADDRESS))
                while True:
                    frame, _ = await self._next()
                    if (
                        frame.control == READ_ADDRESS | REPLY
                        and codec.wire_address(frame.address) == frame.data
                    ):
                        return frame.address
        except TimeoutError:
            raise self._missed(ANYONE, self._options.port, started, timeout_s) from None

    def _target(self, block: Block) -> tuple[str, Item]:
        try:
            return self._options.addresses[block.unit], codec.parse_item(block.sentence)
        except KeyError:
            raise NoAnswer(f"unit {block.unit} of {self._options.port} has no meter address") from None
        except ValueError as e:
            raise NoAnswer(f"unit {block.unit} of {self._options.port}: {e}") from None

    async def _exchange(self, address: str, item: Item, number: int) -> tuple[Frame, Ms]:
        """One request and the frame that answers it: this meter, this kind, this identifier."""
        function = READ_MORE if number else READ
        self._send(Frame(address, function, codec.request_data(item.di, number or None)))
        while True:
            frame, t = await self._next()
            if frame.address != address:
                self._foreign = "foreign_unit" if frame.control & REPLY else self._foreign
                continue
            if frame.control == function | REPLY | REFUSED and len(frame.data) == 1:
                word = frame.data[0]
                raise DeviceException(word, f"meter {address}: {item.di:08X}: {codec.error_text(word)}")
            right = frame.control | MORE == function | REPLY | MORE
            if right and frame.data[:4] == codec.request_data(item.di) and _numbered(frame, number):
                return frame, t
            self._foreign = "foreign_function" if frame.control & REPLY else self._foreign

    def _send(self, frame: Frame) -> None:
        self._forget()
        self._port.need()
        data = codec.encode(frame, self._options.preamble)
        self._counts.requests += 1
        self._counts.bytes_out += len(data)
        self._sent_at = self._clock.monotonic()
        self._trace.sent(self._clock.now(), self._asked, data)
        self._port.send(data)

    async def _next(self) -> tuple[Frame, Ms]:
        """The next whole frame, whoever sent it; an adapter that echoes gives our own request first."""
        while not self._frames:
            self._port.need()
            self._news.clear()
            await self._news.wait()
        frame, t = self._frames.pop(0)
        if frame.control & REPLY:
            self._junk += codec.encode(frame, 0)  # until it turns out to be the right one
        return frame, t

    def _missed(self, address: str, where: str, started: float, timeout_s: float) -> Garbled | NoAnswer:
        """What a time-out was: silence, or something that is not the answer."""
        heard = self._junk + self._rest
        if codec.wire_address(address) not in heard:
            self._quarantine[address] = started + QUARANTINE * timeout_s
        if heard:
            shown = heard[:24].hex(" ") + (" …" if len(heard) > 24 else "")
            return Garbled(f"{where}: no answer to this request in {shown}")
        return NoAnswer(f"{where}: nothing in {timeout_s:.3f} s")

    async def _silence(self) -> None:
        """Wait until the line has been silent; what came unasked is thrown away."""
        while True:
            left = self._quiet_from + SILENT_CHARS * self._options.char_s - self._clock.monotonic()
            if left > 0:
                await self._clock.sleep_real(left)
            before = self._quiet_from
            # One turn of the loop reads what the port has already received.
            await asyncio.sleep(0)
            if left <= 0 and self._quiet_from == before:
                return

    def _hear(self, data: bytes) -> None:
        self._quiet_from = self._clock.monotonic()
        frames, self._rest, junk = codec.split(self._rest + data)
        self._junk = (self._junk + junk)[-256:]
        now = self._clock.now()
        self._trace.heard(now, self._asked, data)
        if self._asked is None:
            self.stats.unasked += len(data)
        else:
            self._counts.bytes_in += len(data)
        self._frames += [(frame, now) for frame in frames]
        if frames:
            self._news.set()


def _numbered(frame: Frame, number: int) -> bool:
    """A further frame ends with the number of its request; the first has none."""
    return not number or (len(frame.data) > 4 and frame.data[-1] == number & 0xFF)


def _part(frame: Frame, number: int) -> bytes:
    """The values' bytes of a frame: behind the identifier, without the number of a further frame."""
    return frame.data[4:-1] if number else frame.data[4:]
