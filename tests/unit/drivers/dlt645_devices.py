"""A DL/T 645 meter for driver tests that misbehaves on demand, at the far end of a pseudo-terminal.

It is written without the codec under test: frames are put together by hand.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np

from gateway.ports import Answer, Block, Driver
from tests.unit.drivers.far_end import far_end
from tests.unit.drivers.wire_devices import Device, Reply

PART = 60
"""Values of 3 bytes in one frame; more are fetched with further frames."""


class InWords:
    """The driver under the contract of those that read registers: a word is a value of six digits."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.open, self.close = driver.open, driver.close

    async def read(self, block: Block, timeout_s: float) -> Answer:
        """The same wish in words of DL/T 645: count and address become the identifier."""
        di = 0x02 << 24 | block.count << 16 | block.address
        asked = Block(block.unit, "line", sentence=f"{di:08X} {block.count}*XXXXXX")
        answer = await self.driver.read(asked, timeout_s)
        assert answer.block == asked
        words = np.array([int(text) for text in answer.fields[1:]], np.uint16)
        return Answer(block, answer.t, words, (), answer.rtt_s)


def frame(address: bytes, control: int, data: bytes) -> bytes:
    """A whole frame, address and data as on the wire before the shift."""
    body = b"\x68" + address + b"\x68" + bytes((control, len(data)))
    body += bytes((b + 0x33) % 256 for b in data)
    return body + bytes((sum(body) % 256, 0x16))


class MeterDevice(Device):
    """Any address; the value of a word is six digits of BCD."""

    modes = (
        "silent", "short", "long", "foreign meter", "bad checksum", "other function", "other identifier",
        "junk", "half", "no end",
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.held: list[int] = []
        self.more = False

    def receive(self, request: bytes, send: Reply) -> None:
        """A request for a further frame belongs to the request before."""
        if request[8] == 0x12:
            self.number -= 1
        super().receive(request, send)

    def reply(self, request: bytes) -> list[bytes]:
        address, control, data = request[1:7], request[8], bytes((b - 0x33) % 256 for b in request[10:-2])
        if self.mode == "junk":
            return [b"\x99" * 9]
        if self.mode == "exception":
            return [frame(address, 0xD1, b"\x02")]
        if control == 0x11:
            self.held = self.words(int.from_bytes(data[:2], "little"), data[2])
        body = self._part(control, data, self.held)
        return self._spoilt(frame(*self._head(address, control), body), address, body)

    def _part(self, control: int, data: bytes, words: list[int]) -> bytes:
        """The values of one frame; the control code learns whether more are to come in `_head`."""
        at = PART * (data[4] if control == 0x12 else 0)
        part = words[at : at + PART]
        self.more = len(words) > at + PART
        if self.mode in ("short", "long"):
            part = part[:-1] if self.mode == "short" else [*part, 1]
        di = data[:4] if self.mode != "other identifier" else bytes((data[0] ^ 1,)) + data[1:4]
        digits = b"".join(bytes.fromhex(f"{w:06d}")[::-1] for w in part)
        return di + digits + (data[4:] if control == 0x12 else b"")

    def _head(self, address: bytes, control: int) -> tuple[bytes, int]:
        if self.mode == "foreign meter":
            address = bytes((address[0] ^ 1,)) + address[1:]
        if self.mode == "other function":
            control = 0x14
        return address, control | 0x80 | (0x20 if self.more else 0)

    def _spoilt(self, whole: bytes, address: bytes, body: bytes) -> list[bytes]:
        if self.mode == "bad checksum":
            return [whole[:-2] + bytes((whole[-2] ^ 0x10,)) + whole[-1:]]
        if self.mode == "half":
            return [whole[:-3]]
        if self.mode == "no end":
            return [whole[:-1]]
        if self.mode == "in pieces":
            return [b"\xfe\xfe" + whole[:3], whole[3:11], whole[11:]]
        if self.mode == "echo first":
            return [b"\xfe" + frame(address, 0x11, body[:4]), whole]
        if self.mode == "junk first":
            return [b"\x99\x68\x16\xfe\xfe" + whole]
        if self.mode == "twice":
            return [whole + whole]
        return [whole]


def _request(held: bytearray) -> bytes:
    """Requests are taken off the wire by their length."""
    at = held.find(0x68)
    if at < 0 or len(held) <= at + 9 or len(held) < (end := at + 12 + held[at + 9]):
        return b""
    request = bytes(held[at:end])
    assert request[-2:] == bytes((sum(request[:-2]) % 256, 0x16))
    del held[:end]
    return request


@asynccontextmanager
async def on_meter_pty(device: MeterDevice, baud: int = 115200) -> AsyncIterator[MeterDevice]:
    """The meter at the far end of a pseudo-terminal, which has no parity."""
    async with far_end(_request, lambda request, end: device.receive(request, end.write)) as end:
        addresses = {n: f"202611220{n:03d}" for n in range(256)}
        device.options = {"port": end.path, "baud": baud, "parity": "N", "addresses": addresses}
        yield device
