"""Copy me: the smallest complete driver, for a made-up text protocol over TCP, one line each way.

Request `ID UNIT AREA ADDRESS COUNT`, answer `ID UNIT WORD WORD …` or `ID UNIT !EXCEPTION`.
"""

from __future__ import annotations

import asyncio

import numpy as np
from pydantic import BaseModel

from gateway.ports import Answer, Block, Clock, DeviceException, Garbled, LineDown, NoAnswer


class BlueprintOptions(BaseModel, extra="forbid", frozen=True):
    """Where the device listens."""

    host: str
    port: int


class BlueprintDriver:
    """One connection, one request at a time; an answer counts only with the id of the request."""

    def __init__(self, options: BlueprintOptions, clock: Clock) -> None:
        self._address, self._clock, self._id = (options.host, options.port), clock, 0
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def open(self) -> None:
        """Connect. Raises LineDown."""
        try:
            self._streams = self._streams or await asyncio.open_connection(*self._address)
        except OSError as e:
            raise LineDown(f"{self._address}: {e}") from e

    async def close(self) -> None:
        """Disconnect; idempotent."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
            await asyncio.sleep(0)

    async def read(self, block: Block, timeout_s: float) -> Answer:
        """One request, one checked answer."""
        if self._streams is None:
            raise LineDown("not connected")
        started, self._id = self._clock.monotonic(), self._id + 1
        head = f"{self._id} {block.unit}"
        self._streams[1].write(f"{head} {block.area} {block.address} {block.count}\n".encode())
        try:
            async with asyncio.timeout(timeout_s):
                while int((line := await self._streams[0].readline()).split(b" ")[0] or 0) < self._id:
                    if not line:
                        raise LineDown("cut off")
            words = line.decode().removeprefix(head).split()
            if words and words[0].startswith("!"):
                raise DeviceException(int(words[0][1:]))
            if not line.decode().startswith(head + " ") or len(words) != block.count:
                raise Garbled(repr(line[:80]))
            values = np.array([int(w) for w in words], np.uint16)
        except TimeoutError:
            raise NoAnswer(f"unit {block.unit}") from None
        except (ValueError, OverflowError) as e:
            raise Garbled(str(e)) from e
        except OSError as e:
            await self.close()
            raise LineDown(str(e)) from e
        return Answer(block, self._clock.now(), values, (), self._clock.monotonic() - started)
