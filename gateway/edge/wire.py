"""Pure: what a request costs on a line.

Modbus over Serial Line V1.02, 2.5.1.1: a frame is unit, PDU and CRC; 3.5 characters of silence stand before
each, 1.75 ms above 19,200 baud.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.ports import Area

BIT_AREAS: tuple[Area, ...] = ("coil", "discrete")
SERIAL_BYTES = 8 + 5
"""A request, and an answer without its data."""


@dataclass(frozen=True, slots=True)
class Wire:
    """Seconds: of a request with an answer that holds nothing, and of each register in an answer."""

    request_s: float
    register_s: float

    @classmethod
    def serial(cls, baud: int, char_bits: int = 10, turnaround_s: float = 0.0) -> Wire:
        """An RTU bus. char_bits: start, data, parity and stop bits · turnaround_s: the device's own time."""
        char_s = char_bits / baud
        silence_s = 3.5 * char_s if baud <= 19_200 else 0.00175
        return cls(SERIAL_BYTES * char_s + 2 * silence_s + turnaround_s, 2 * char_s)

    @property
    def max_gap(self) -> int:
        """Unused registers that cost no more than one more request would."""
        return int(self.request_s / self.register_s + 1e-9)

    def read_s(self, area: Area, count: int) -> float:
        """A request for so many registers or bits, and its answer."""
        return self.request_s + self.register_s * (count / 16 if area in BIT_AREAS else count)


TCP = Wire(request_s=0.002, register_s=0.000_04)
"""Two milliseconds a request, a small device in a local network; one more request is worth 50 registers."""
