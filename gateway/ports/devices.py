"""Devices: what a driver reads, and how a device model turns it into values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from gateway.errors import Retryable
from gateway.model import (
    Ms,
    Point,
)

Area = Literal["holding", "input", "coil", "discrete", "line"]


@dataclass(frozen=True, slots=True)
class Block:
    """A read of `count` consecutive registers or bits from `address` (0-based, as on the wire).

    For a text line (`area="line"`) `sentence` names the sentence and address and count are 0.
    """

    unit: int
    area: Area
    address: int = 0
    count: int = 0
    sentence: str = ""


@dataclass(slots=True)
class Answer:
    """What a device said to one block.

    `words` has exactly `block.count` entries (registers or 0/1 bits); `fields` holds a text line's fields;
    `t` is the site time at which the reply was complete.
    """

    block: Block
    t: Ms
    words: NDArray[np.uint16] = field(default_factory=lambda: np.empty(0, np.uint16))
    fields: tuple[str, ...] = ()
    rtt_s: float = 0.0


class DeviceError(Retryable):
    """A read that gave no value. `cause` is the gap's cause in accounts."""

    cause = "error"


class NoAnswer(DeviceError):
    """The unit did not answer in time."""

    cause = "timeout"


class Garbled(DeviceError):
    """An answer that is short, long, foreign, late or damaged; it is refused whole."""

    cause = "garbled"


class DeviceException(DeviceError):
    """The device answered with a Modbus exception `code`."""

    cause = "exception"

    def __init__(self, code: int, message: str = "") -> None:
        self.code = code
        super().__init__(message or f"exception {code}")


class LineDown(DeviceError):
    """The connection or serial port is not there."""

    cause = "line"


class Driver(Protocol):
    """One line: a TCP connection or a serial bus. Used by one task at a time."""

    async def open(self) -> None:
        """Connect. Raises LineDown. May be called again after a failure; idempotent when open."""

    async def close(self) -> None:
        """Disconnect; idempotent."""

    async def read(self, block: Block, timeout_s: float) -> Answer:
        """One request, one checked answer. Raises NoAnswer, Garbled, DeviceException, LineDown.

        Never returns data that was not an answer to this very request.
        """


@runtime_checkable
class Writer(Protocol):
    """A driver that can also write, and whose calls may come from several tasks: it takes turns by itself."""

    async def write(self, block: Block, words: Sequence[int], timeout_s: float) -> None:
        """One request, confirmed by the device (which does not prove that it holds the value: read it back).

        words: one register or one bit (0, 1) for each of `block.count`; areas holding and coil. Raises what
        `read` raises; after NoAnswer, Garbled and LineDown nobody knows whether the device took it.
        """


@runtime_checkable
class Listener(Protocol):
    """A driver that hears devices by themselves, besides reading them.

    `on_heard(unit)` is called on the event loop when a unit is heard again of which a read said that it is
    silent: whoever reads need not wait for its next probe.
    """

    on_heard: Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Span:
    """Where one point lives on its device: registers or bits `[address, address + count)` of an area.

    `alone`: never merge this read with others (reading has a side effect).
    """

    area: Area
    address: int = 0
    count: int = 1
    sentence: str = ""
    alone: bool = False


@dataclass(slots=True)
class Decoded:
    """Values from one answer: `index` points into `DeviceModel.points`; a value that is not GOOD may be NaN.

    `attrs` holds text facts by point index (text never travels as a number).
    """

    index: NDArray[np.intp]
    v: NDArray[np.float64]
    q: NDArray[np.uint8]
    attrs: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)


class DeviceModel(Protocol):
    """A profile bound to one device and its assets: what to read, and how words become values."""

    @property
    def points(self) -> Sequence[Point]:
        """The device's points."""

    @property
    def spans(self) -> Sequence[Span]:
        """Where each point lives; parallel to `points`."""

    @property
    def max_registers(self) -> int:
        """Most registers in one read (125 unless the maker allows fewer)."""

    @property
    def max_gap(self) -> int | None:
        """Most unused registers to read for the sake of one merged read; None: the line decides."""

    def decode(self, answer: Answer) -> Decoded:
        """The points that lie wholly inside the answer, keyed by the address that was asked for."""
