"""GB/T 26875.3-2011 application data: what stands inside a frame, as typed objects and back. Pure.

Source: GB/T 26875.3-2011 clauses 7 and 8 (type, number of objects, objects), sizes checked against two public
codecs; a size by type is part of the tests. Types that the standard reserves or leaves to the vendor
(0, 9 to 20, 128 to 254 …) stay raw.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, get_type_hints

from drivers.gb26875_frame import BadFrame, pack_time, unpack_time

TEXT_BYTES = 31

U8 = Annotated[int, "u8"]
U16 = Annotated[int, "u16"]
S16 = Annotated[int, "s16"]
U32 = Annotated[int, "u32"]
Time = Annotated[datetime | None, "time"]
Text31 = Annotated[str, "text31"]
Counted = Annotated[bytes, "counted"]
"""Bytes behind a length byte."""

SIZES = {"u8": 1, "u16": 2, "s16": 2, "u32": 4, "time": 6, "text31": TEXT_BYTES}


@dataclass(frozen=True, slots=True)
class SystemState:
    """1 系统状态. `status`: see gb26875_picture.SYSTEM_BITS."""

    system: U8
    address: U8
    status: U16
    at: Time = None


@dataclass(frozen=True, slots=True)
class PartState:
    """2 部件状态. `part`: loop and address of a detector, call point, module."""

    system: U8
    address: U8
    part_type: U8
    part: U32
    status: U16
    text: Text31 = ""
    at: Time = None


@dataclass(frozen=True, slots=True)
class PartAnalog:
    """3 部件模拟量. `raw` counts steps of the analog type, see ANALOG."""

    system: U8
    address: U8
    part_type: U8
    part: U32
    kind: U8
    raw: S16
    at: Time = None


@dataclass(frozen=True, slots=True)
class Operation:
    """4 操作信息. flags: 0 复位 1 消音 2 手动报警 3 警情消除 4 自检 5 确认 6 测试."""

    system: U8
    address: U8
    flags: U8
    operator: U8
    at: Time = None


@dataclass(frozen=True, slots=True)
class SystemVersion:
    """5 软件版本."""

    system: U8
    address: U8
    major: U8
    minor: U8


@dataclass(frozen=True, slots=True)
class SystemConfig:
    """6 系统配置."""

    system: U8
    address: U8
    text: Counted


@dataclass(frozen=True, slots=True)
class PartConfig:
    """7 部件配置."""

    system: U8
    address: U8
    part_type: U8
    part: U32
    text: Text31 = ""


@dataclass(frozen=True, slots=True)
class SystemTime:
    """8 系统时间."""

    system: U8
    address: U8
    at: Time = None


@dataclass(frozen=True, slots=True)
class UnitState:
    """21 用户信息传输装置状态: 0 正常/测试 1 火警 2 故障 3 主电 4 备电 5 信道 6 监测连接线路."""

    status: U8
    at: Time = None


@dataclass(frozen=True, slots=True)
class UnitOperation:
    """24 用户信息传输装置操作. flags as in Operation, but 5 is 查岗应答."""

    flags: U8
    operator: U8
    at: Time = None


@dataclass(frozen=True, slots=True)
class UnitVersion:
    """25 用户信息传输装置软件版本."""

    major: U8
    minor: U8


@dataclass(frozen=True, slots=True)
class UnitConfig:
    """26 用户信息传输装置配置."""

    text: Counted


@dataclass(frozen=True, slots=True)
class UnitTime:
    """28 用户信息传输装置系统时间."""

    at: Time = None


@dataclass(frozen=True, slots=True)
class ReadSystem:
    """61, 65, 66, 68: read state, version, configuration or time of a system."""

    system: U8
    address: U8


@dataclass(frozen=True, slots=True)
class ReadPart:
    """62, 63, 67: read state, analog value or configuration of a part."""

    system: U8
    address: U8
    part: U32


@dataclass(frozen=True, slots=True)
class ReadOperations:
    """64: read so many operations from a time on."""

    system: U8
    address: U8
    count: U8
    at: Time = None


@dataclass(frozen=True, slots=True)
class ReadUnit:
    """81, 85, 86, 88: read state, version, configuration or time of the device; 89: initialise it."""

    reserved: U8 = 0


@dataclass(frozen=True, slots=True)
class ReadUnitOperations:
    """84: read so many operations of the device from a time on."""

    count: U8
    at: Time = None


@dataclass(frozen=True, slots=True)
class SetTime:
    """90 校时."""

    at: Time = None


@dataclass(frozen=True, slots=True)
class PostCheck:
    """91 查岗. A person has to press a key within so many minutes."""

    minutes: U8


@dataclass(frozen=True, slots=True)
class Raw:
    """A type that is the vendor's own, or reserved: everything behind the type byte."""

    data: bytes


Object = (
    SystemState | PartState | PartAnalog | Operation | SystemVersion | SystemConfig | PartConfig | SystemTime
    | UnitState | UnitOperation | UnitVersion | UnitConfig | UnitTime | ReadSystem | ReadPart | ReadOperations
    | ReadUnit | ReadUnitOperations | SetTime | PostCheck | Raw
)  # fmt: skip

TYPES: dict[int, type[Any]] = {
    1: SystemState, 2: PartState, 3: PartAnalog, 4: Operation, 5: SystemVersion, 6: SystemConfig,
    7: PartConfig, 8: SystemTime,
    21: UnitState, 24: UnitOperation, 25: UnitVersion, 26: UnitConfig, 28: UnitTime,
    61: ReadSystem, 62: ReadPart, 63: ReadPart, 64: ReadOperations, 65: ReadSystem, 66: ReadSystem,
    67: ReadPart, 68: ReadSystem, 81: ReadUnit, 84: ReadUnitOperations, 85: ReadUnit, 86: ReadUnit,
    88: ReadUnit, 89: ReadUnit, 90: SetTime, 91: PostCheck,
}  # fmt: skip

ANALOG: dict[int, tuple[float, str]] = {
    1: (1, ""), 2: (100, "m"), 3: (10, "°C"), 4: (10, "MPa"), 5: (10, "kPa"), 6: (10, "%LEL"), 7: (1, "s"),
    8: (10, "V"), 9: (10, "A"), 10: (10, "L/s"), 11: (10, "m³/min"), 12: (1, "m/s"),
}  # fmt: skip
"""Steps per unit and unit by analog type. A step of 0.1 MPa cannot show 0.07 MPa: prefer type 5."""


def analog_value(o: PartAnalog) -> float | None:
    """In the unit of its type; None for an analog type that the standard does not define."""
    return o.raw / ANALOG[o.kind][0] if o.kind in ANALOG else None


def encode(type_: int, objects: Sequence[Object]) -> bytes:
    """Application data: type, number, objects. Raises BadFrame for objects of another type."""
    if len(objects) == 1 and isinstance(objects[0], Raw):
        return bytes((type_,)) + objects[0].data
    cls = TYPES.get(type_)
    if cls is None or any(type(o) is not cls for o in objects):
        raise BadFrame(f"no objects of type {type_}")
    return bytes((type_, len(objects))) + b"".join(
        _put(code, getattr(o, name)) for o in objects for name, code in LAYOUTS[cls]
    )


def decode(data: bytes) -> tuple[int, list[Object]]:
    """Type and objects. Raises BadFrame when number, sizes and length do not agree."""
    if not data:
        raise BadFrame("no application data")
    cls = TYPES.get(data[0])
    if cls is None:
        return data[0], [Raw(data[1:])]
    if len(data) < 2:
        raise BadFrame(f"type {data[0]} without a number of objects")
    at, found = 2, []
    for _ in range(data[1]):
        values = []
        for _name, code in LAYOUTS[cls]:
            size = SIZES[code] if code != "counted" else 1 + (data[at] if at < len(data) else 0)
            if at + size > len(data):
                raise BadFrame(f"type {data[0]}: {len(data)} bytes are too few for {data[1]} objects")
            values.append(_take(code, data[at : at + size]))
            at += size
        found.append(cls(*values))
    if at != len(data):
        raise BadFrame(f"type {data[0]}: {len(data) - at} bytes behind {data[1]} objects")
    return data[0], found


def _layout(cls: type[Any]) -> tuple[tuple[str, str], ...]:
    hints = get_type_hints(cls, include_extras=True)
    return tuple((f.name, hints[f.name].__metadata__[0]) for f in dataclasses.fields(cls))


LAYOUTS = {cls: _layout(cls) for cls in TYPES.values()}
"""(field, code) of each object, in the order of the wire."""


def _put(code: str, value: Any) -> bytes:
    if code == "time":
        return pack_time(value)
    if code == "text31":
        return text_bytes(value).ljust(TEXT_BYTES, b"\0")
    if code == "counted":
        return bytes((len(value), *value))
    return int(value).to_bytes(SIZES[code], "little", signed=code == "s16")


def _take(code: str, data: bytes) -> Any:
    if code == "time":
        return unpack_time(data)
    if code == "text31":
        return data.split(b"\0", 1)[0].decode("gb18030", "replace").strip()
    if code == "counted":
        return data[1:]
    return int.from_bytes(data, "little", signed=code == "s16")


def text_bytes(text: str, room: int = TEXT_BYTES) -> bytes:
    """GB18030, cut between characters.

    >>> len(text_bytes("走" * 20))
    30
    """
    data = b""
    for char in text:
        more = char.encode("gb18030")
        if len(data) + len(more) > room:
            break
        data += more
    return data
