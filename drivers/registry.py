"""Line kinds: what may stand in a site file as `kind:` of a line, and how its driver is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from drivers.ascii_line import AsciiLineDriver, AsciiLineOptions
from drivers.dlt645 import Dlt645Driver, Dlt645Options
from drivers.gb26875 import Gb26875Driver, Gb26875Options
from drivers.gst_printer import GstPrinterDriver, GstPrinterOptions
from drivers.modbus import AsciiDriver, RtuDriver, RtuTcpDriver, TcpDriver
from drivers.modbus_options import ModbusAsciiOptions, RtuOptions, RtuTcpOptions, TcpOptions
from gateway.config.site import check_as
from gateway.config.yamlmarks import Marks
from gateway.errors import BadInput
from gateway.ports import Clock, Driver


@dataclass(frozen=True, slots=True)
class DriverKind:
    """A kind of line: the model of its `options`, and the factory of its driver."""

    kind: str
    options: type[BaseModel]
    factory: Callable[[Any, Clock], Driver]


BUSES = frozenset({"modbus_rtu", "modbus_rtu_tcp", "modbus_ascii"})
"""Kinds with Modbus units on one wire, of which 0 is everybody's address."""
_KINDS: dict[str, DriverKind] = {}
DRIVERS: Mapping[str, DriverKind] = MappingProxyType(_KINDS)


def register(kind: str, options: type[BaseModel], factory: Callable[[Any, Clock], Driver]) -> None:
    """Add a kind of line. Raises ValueError when the name is taken."""
    if kind in _KINDS:
        raise ValueError(f"line kind {kind!r} is registered twice")
    _KINDS[kind] = DriverKind(kind, options, factory)


def make_driver(kind: str, options: Mapping[str, Any], clock: Clock) -> Driver:
    """The driver of a line. Raises BadInput for an unknown kind, Problems for wrong options."""
    if kind not in DRIVERS:
        raise BadInput(f"there is no line kind {kind!r}", field="kind", hint=f"known: {', '.join(DRIVERS)}")
    entry = DRIVERS[kind]
    return entry.factory(check_as(entry.options, dict(options), Marks(), ("options",)), clock)


register("modbus_tcp", TcpOptions, TcpDriver)
register("modbus_rtu", RtuOptions, RtuDriver)
register("modbus_rtu_tcp", RtuTcpOptions, RtuTcpDriver)
register("modbus_ascii", ModbusAsciiOptions, AsciiDriver)
register("ascii_line", AsciiLineOptions, AsciiLineDriver)
register("dlt645", Dlt645Options, Dlt645Driver)
register("gb26875", Gb26875Options, Gb26875Driver)
register("gst_printer", GstPrinterOptions, GstPrinterDriver)
