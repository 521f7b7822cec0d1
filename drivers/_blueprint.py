"""Copy me: the smallest complete driver, of a made-up text protocol over TCP, one line each way."""

import asyncio

import numpy as np
from pydantic import BaseModel

from gateway.ports import Answer, Block, Clock, DeviceException, Garbled, LineDown, NoAnswer


class BlueprintOptions(BaseModel, extra="forbid", frozen=True):
    """Where the device listens."""

    host: str
    port: int


class BlueprintDriver:
    """Request `ID UNIT AREA ADDRESS COUNT`; answer `ID UNIT WORD WORD …` or `ID UNIT !EXCEPTION`, same ID."""

    def __init__(self, options: BlueprintOptions, clock: Clock) -> None:
        self._options, self._clock, self._id = options, clock, 0
        self._wire: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def open(self) -> None:
        """Connect. Raises LineDown."""
        try:
            self._wire = self._wire or await asyncio.open_connection(self._options.host, self._options.port)
        except OSError as e:
            raise LineDown(str(e)) from e

    async def close(self) -> None:
        """Disconnect; idempotent."""
        wire, self._wire = self._wire, None
        if wire is not None:
            wire[1].close()

    async def read(self, block: Block, timeout_s: float) -> Answer:
        """One request, one checked answer."""
        if self._wire is None:
            raise LineDown("not connected")
        started, self._id = self._clock.monotonic(), self._id + 1
        head = f"{self._id} {block.unit} "
        self._wire[1].write(f"{head}{block.area} {block.address} {block.count}\n".encode())
        try:
            async with asyncio.timeout(timeout_s):
                while int((line := await self._wire[0].readline()).split(b" ")[0]) < self._id:
                    pass  # the late answer to an earlier request
            words = line.decode().removeprefix(head).split()
            if words and words[0].startswith("!"):
                raise DeviceException(int(words[0][1:]))
            if not line.decode().startswith(head) or len(words) != block.count:
                raise Garbled(repr(line[:80]))
            values = np.array([int(w) for w in words], np.uint16)
        except TimeoutError:
            raise NoAnswer(f"unit {block.unit}") from None
        except (ValueError, OverflowError, OSError) as e:
            await self.close()
            raise Garbled(f"unit {block.unit}: {e}") from e
        return Answer(block, self._clock.now(), values, (), self._clock.monotonic() - started)
