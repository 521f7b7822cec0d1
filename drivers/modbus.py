"""The four ways in which Modbus travels: TCP, RTU, RTU over TCP, ASCII. What they share is in modbus_line."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from drivers.modbus_frames import ASCII, EXCEPTIONS, MORE, RTU, TCP, Ask, Fault, Refused, whole_frames
from drivers.modbus_line import ModbusDriver
from drivers.modbus_options import ModbusAsciiOptions, RtuOptions, RtuTcpOptions, TcpOptions
from drivers.modbus_port import Port, serial_params, tcp_params
from gateway.ports import Clock, DeviceError, DeviceException, LineDown, NoAnswer

__all__ = [
    "EXCEPTIONS", "AsciiDriver", "ModbusAsciiOptions", "RtuDriver", "RtuOptions", "RtuTcpDriver",
    "RtuTcpOptions", "TcpDriver", "TcpOptions",
]  # fmt: skip

TIMER_S = 0.001
"""Timers of the loop end on whole milliseconds; what is left of a silence is waited for in its turns."""
BABBLE_S = 1.0
"""A bus that is not silent for this long is not asked."""


class TcpDriver(ModbusDriver):
    """One Modbus TCP connection, with one request in flight. After junk it connects anew by itself."""

    wire = TCP

    def __init__(self, options: TcpOptions, clock: Clock) -> None:
        super().__init__(options, clock, f"{options.host}:{options.port}")
        self._options = options

    def _make_port(self) -> Port:
        return Port(tcp_params(self._options), self.wire.name, self._hear, self._lost)

    async def _ready(self, ask: Ask) -> None:
        if self._port is not None and not whole_frames(self._port.recv_buffer):
            self._drop_for_now()  # half a frame came without a request: what follows cannot be told apart
        await super()._ready(ask)

    async def _recover(self, ask: Ask, error: DeviceError, until: float) -> DeviceError:
        if isinstance(error, LineDown):
            await self.close()
        elif isinstance(error, Refused) and not (self._ear.heard and whole_frames(self._ear.heard)):
            self._drop_for_now()
            await asyncio.sleep(0)
        return error


class _BusDriver(ModbusDriver):
    """Frames without an id on a shared bus: silence between frames, and late answers are outwaited.

    A unit that missed its time-out may still answer: for QUARANTINE time-outs it is not asked again (NoAnswer
    at once), since its late answer could not be told from the next one. Other units are. An answer that is
    later than that and has the very shape of the one then awaited cannot be recognised by anybody.
    """

    def __init__(
        self, options: RtuOptions | RtuTcpOptions | ModbusAsciiOptions, clock: Clock, where: str
    ) -> None:
        super().__init__(options, clock, where, echo=options.local_echo)
        self._bus = options
        self._quarantine: dict[int, float] = {}

    async def _ready(self, ask: Ask) -> None:
        await super()._ready(ask)
        if self._clock.monotonic() < self._quarantine.get(ask.unit, 0.0):
            self.stats.unit(ask.unit).held += 1
            raise NoAnswer(f"unit {ask.unit} of {self._where}: its late answer is still awaited")
        if not await self._silence():
            self.stats.unit(ask.unit).held += 1
            raise Refused(Fault.BABBLE, f"{self._where} is never silent: somebody talks without being asked")

    async def _silence(self) -> bool:
        """Wait until the bus has been silent for 3.5 characters; what came unasked is thrown away."""
        given_up = self._clock.monotonic() + BABBLE_S + self._bus.silence_s
        while self._clock.monotonic() < given_up:
            left = self._ear.quiet_from + self._bus.silence_s - self._clock.monotonic()
            if left > 0:
                await self._wait(left)
            before = self._ear.quiet_from
            # One turn of the loop reads what the port has already received.
            await asyncio.sleep(0)
            if left <= 0 and self._ear.quiet_from == before:
                return True
        return False

    async def _wait(self, seconds: float) -> None:
        """To the fraction of a millisecond: late by one, a bus loses a tenth of its time."""
        end = self._clock.monotonic() + seconds
        if seconds > TIMER_S:
            await self._clock.sleep_real(seconds - TIMER_S)
        while self._clock.monotonic() < end:  # noqa: ASYNC110  # no event and no timer is this exact
            await asyncio.sleep(0)

    async def _recover(self, ask: Ask, error: DeviceError, until: float) -> DeviceError:
        """Let an answer that is about to begin go by: the time of a whole frame, then silence."""
        if isinstance(error, LineDown):
            await self.close()
            return error
        if isinstance(error, DeviceException):
            # An exception is five bytes: the first five of a damaged answer may look like one.
            unasked = self.stats.unasked
            await self._silence()
            if self.stats.unasked == unasked:
                return error
            error = Refused(Fault.LONG, f"unit {ask.unit} of {self._where}: {MORE}")
        elif not (isinstance(error, Refused) and self._was_its_own(ask, error)):
            self._distrust(ask, until)
        await self._clock.sleep_real(self.wire.chars(ask) * self._bus.char_s)
        await self._silence()
        return error

    def _was_its_own(self, ask: Ask, error: Refused) -> bool:
        """The unit was heard and damaged: it has answered, however badly. A sound frame may be a late one."""
        return error.fault in (Fault.CRC, Fault.CUT) and self.wire.speaker(self._ear.heard) == ask.unit

    def _distrust(self, ask: Ask, until: float) -> None:
        if ask.exact is not None:
            return  # a late confirmation names its address and value: it passes for nothing else
        self._quarantine[ask.unit] = until + self.wire.chars(ask) * self._bus.char_s


class _SerialDriver(_BusDriver):
    """A serial port of this machine."""

    def __init__(self, options: RtuOptions | ModbusAsciiOptions, clock: Clock) -> None:
        super().__init__(options, clock, options.port)
        self._options = options

    def _make_port(self) -> Port:
        return Port(serial_params(self._options), self.wire.name, self._hear, self._lost)

    def _ready_port(self, port: Port) -> None:
        if self._options.rs485 is None:
            return
        try:
            port.switch_rts(self._options.rs485)
        except (ValueError, OSError, NotImplementedError) as e:
            raise LineDown(f"{self._where} cannot switch RTS by itself (option rs485): {e}") from e

    def _hint(self) -> str:
        if not Path(self._where).exists():
            return ": there is no such port"
        if not os.access(self._where, os.R_OK | os.W_OK):
            return ": no permission; add this user to the group of the port (dialout)"
        return ": another program may hold it"


class RtuDriver(_SerialDriver):
    """A serial bus with Modbus RTU."""

    wire = RTU


class AsciiDriver(_SerialDriver):
    """A serial bus with Modbus ASCII."""

    wire = ASCII


class RtuTcpDriver(_BusDriver):
    """RTU frames through TCP to a serial converter: the rules of the bus behind it hold."""

    wire = RTU

    def __init__(self, options: RtuTcpOptions, clock: Clock) -> None:
        super().__init__(options, clock, f"{options.host}:{options.port}")
        self._options = options

    def _make_port(self) -> Port:
        return Port(tcp_params(self._options), self.wire.name, self._hear, self._lost)
