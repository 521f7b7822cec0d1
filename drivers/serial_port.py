"""A serial port whose bytes are heard as they come; what the drivers that are not Modbus share."""

from __future__ import annotations

import asyncio
import termios
from collections.abc import Callable
from typing import Literal

import serial
from pydantic import BaseModel, ConfigDict, Field

from gateway.ports import LineDown

CHUNK = 4096


class PortOptions(BaseModel):
    """What every serial line says; `port` is the device file."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    port: str = Field(min_length=1)
    baud: int = Field(9600, ge=300, le=1_000_000)
    parity: Literal["N", "E", "O"] = "N"
    stopbits: Literal[1, 2] = 1
    bytesize: Literal[7, 8] = 8


class SerialPort:
    """`hear` gets bytes as they come, on the event loop; `lost` is called when the port goes by itself."""

    def __init__(
        self, options: PortOptions, hear: Callable[[bytes], None], lost: Callable[[], None] = lambda: None
    ) -> None:
        self._options, self._hear, self._on_lost = options, hear, lost
        self._port: serial.Serial | None = None
        self._why = ""

    @property
    def is_open(self) -> bool:
        """Whether it is listened to."""
        return self._port is not None

    def open(self) -> None:
        """Begin to listen; what came before is thrown away. Raises LineDown; it must be closed before."""
        o = self._options
        try:
            self._port = serial.Serial(
                o.port, o.baud, o.bytesize, o.parity, o.stopbits, timeout=0, write_timeout=0, exclusive=True
            )
            self._port.reset_input_buffer()
        except (serial.SerialException, OSError, termios.error) as e:  # termios: no such speed or parity
            self.close()
            raise LineDown(f"{o.port} cannot be opened at {o.baud} {o.bytesize}{o.parity}: {e}") from e
        self._why = ""
        asyncio.get_running_loop().add_reader(self._port.fileno(), self._receive)

    def close(self) -> None:
        """Stop listening; idempotent."""
        if self._port is not None:
            asyncio.get_running_loop().remove_reader(self._port.fileno())
            self._port.close()
            self._port = None

    def need(self) -> serial.Serial:
        """The open port. Raises LineDown, with the reason when it was lost."""
        if self._port is None:
            raise LineDown(f"{self._options.port} is closed{self._why}")
        return self._port

    def send(self, data: bytes) -> None:
        """Raises LineDown."""
        try:
            self.need().write(data)
        except (serial.SerialException, OSError) as e:
            self._lose(e)
            raise LineDown(f"{self._options.port}: {e}") from e

    def _receive(self) -> None:
        try:
            data = self.need().read(CHUNK)
        except (serial.SerialException, OSError) as e:
            self._lose(e)
            self._on_lost()
        else:
            self._hear(data)

    def _lose(self, e: Exception) -> None:
        self._why = f": {e}"
        self.close()
