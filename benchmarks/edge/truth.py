"""What the simulated devices hold and who of them is broken; known to the devices and to the judge alone.

60 holding registers in 3 blocks of 20. A value says which device and register it belongs to, so that a value
under a wrong name shows: 8 bits of the device, 6 of the register, and 2 that count the requests for its
block, so that every reading differs from the one before.
"""

from __future__ import annotations

from dataclasses import dataclass

BLOCKS = (0, 100, 200)
"""First address of each block; too far apart to be read in one request."""
REGISTERS = 20
POINTS = len(BLOCKS) * REGISTERS
UNIT = 1
"""Unit address of a device that has a port of its own."""

HEALTHY, DEAD, EXCEPTION, GARBLED = range(4)
NAMES = ("healthy", "dead", "exception", "garbled")
POISON = 0x8000
"""Flipped in every value of a garbled answer: one of them that gets through is counted as wrong."""


def register_at(address: int) -> int:
    """0 to 59. Raises ValueError for an address that no device has."""
    block, offset = divmod(address, BLOCKS[1] - BLOCKS[0])
    if block >= len(BLOCKS) or offset >= REGISTERS:
        raise ValueError(f"there is no register at {address}")
    return block * REGISTERS + offset


def word(device: int, register: int, count: int) -> int:
    """What the device answers for one register at its `count`-th request for the block."""
    return (device & 0xFF) << 8 | register << 2 | count & 3


def belongs(value: float, device: int, register: int) -> bool:
    """Whether a published value can have come from this register of this device."""
    return int(value) >> 2 == word(device, register, 0) >> 2


@dataclass(frozen=True, slots=True)
class Faults:
    """Percent of the devices that are dead, answer exceptions, or answer garbled."""

    dead: int = 0
    exception: int = 0
    garbled: int = 0

    @classmethod
    def parse(cls, text: str) -> Faults:
        """`10,5,5`. Raises ValueError."""
        parts = [int(part) for part in text.split(",")]
        if len(parts) != 3 or min(parts) < 0 or sum(parts) >= 100:
            raise ValueError(f"{text!r}: write three percentages below 100 in all, e.g. 10,5,5")
        return cls(*parts)

    def __str__(self) -> str:
        return f"{self.dead},{self.exception},{self.garbled}"

    def of(self, device: int, devices: int) -> int:
        """What is wrong with a device; the broken ones are spread over all of them."""
        place = (device * 37) % devices if devices % 37 else device
        rank = place * 100
        for kind, percent in ((DEAD, self.dead), (EXCEPTION, self.exception), (GARBLED, self.garbled)):
            if rank < percent * devices:
                return kind
            rank -= percent * devices
        return HEALTHY
