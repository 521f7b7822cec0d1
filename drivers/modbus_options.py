"""What may stand under `options:` of a Modbus line, odd devices included."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Parity = Literal["N", "E", "O"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Quirks(_Strict):
    """What odd devices need.

    connect_pause_s: wait after connecting before the first request · gap_s: rest between the end of one
    exchange and the next request · close_idle_s: close the connection when no request follows within this
    time, so that a device with a single connection is free for others between rounds; null: stay connected.
    """

    connect_pause_s: float = Field(0.0, ge=0, le=30)
    gap_s: float = Field(0.0, ge=0, le=10)
    close_idle_s: float | None = Field(None, ge=0.01, le=60)


# Of several bases the last one's fields come first: the address, then the bus, then the oddities.


class _Address(_Strict):
    """`timeout` (s) is for connecting."""

    host: str = Field(min_length=1)
    port: int = Field(502, ge=1, le=65535)
    timeout: float = Field(3.0, gt=0, le=60)


class TcpOptions(Quirks, _Address):
    """A Modbus TCP connection."""


class _Bus(_Strict):
    """A serial bus, near or behind a converter. local_echo: the adapter hears what it sends itself."""

    baud: int = Field(9600, ge=300, le=1_000_000)
    parity: Parity = "N"
    stopbits: Literal[1, 2] = 1
    bytesize: Literal[7, 8] = 8
    local_echo: bool = False

    @property
    def char_s(self) -> float:
        """Time of one character on the wire: start, data, parity, stop bits."""
        return (1 + self.bytesize + (self.parity != "N") + self.stopbits) / self.baud

    @property
    def silence_s(self) -> float:
        """3.5 characters; 1.75 ms above 19,200 baud (Modbus over Serial Line V1.02, 2.5.1.1)."""
        return 3.5 * self.char_s if self.baud <= 19200 else 0.00175


class Rs485(_Strict):
    """The kernel switches the transmitter of an RS-485 port with RTS (Linux, `TIOCSRS485`).

    rts_on_send: level of RTS while sending; the other one while receiving · delays (s) before and after.
    """

    rts_on_send: bool = True
    delay_before_s: float = Field(0.0, ge=0, le=0.1)
    delay_after_s: float = Field(0.0, ge=0, le=0.1)


class _Port(_Strict):
    """`port` is the device file."""

    port: str = Field(min_length=1)


class _Opening(_Strict):
    """`timeout` (s) is for opening the port. rs485: null where the hardware switches."""

    timeout: float = Field(3.0, gt=0, le=60)
    rs485: Rs485 | None = None


class RtuOptions(Quirks, _Opening, _Bus, _Port):
    """A serial bus with Modbus RTU: eight data bits (Modbus over Serial Line V1.02, 2.5.1)."""

    bytesize: Literal[8] = 8


class ModbusAsciiOptions(Quirks, _Opening, _Bus, _Port):
    """A serial bus with Modbus ASCII: seven data bits and even parity by default (V1.02, 2.5.2)."""

    bytesize: Literal[7, 8] = 7
    parity: Parity = "E"


class RtuTcpOptions(Quirks, _Bus, _Address):
    """RTU frames through a TCP connection to a serial converter; `baud` … are those of the bus behind it."""

    bytesize: Literal[8] = 8
