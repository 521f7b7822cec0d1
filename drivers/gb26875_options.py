"""What may stand under `options:` of a line of kind gb26875."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator

from drivers.gb26875_picture import known_sentence
from gateway.ports import Span


class StationOptions(BaseModel):
    """One device. address: its source address, 12 hex digits as its menu shows them, most significant first.

    bit0_normal: what bit 0 of its state words is when all is normal (1 by the standard; some makers 0) ·
    heartbeat_s: longest silence, real seconds · systems: `type.address` of the systems whose state is asked
    for when it dials in.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    address: str
    bit0_normal: Literal[0, 1] = 1
    heartbeat_s: float = Field(120.0, ge=1, le=86_400)
    systems: tuple[str, ...] = ("1.1",)

    @field_validator("address")
    @classmethod
    def _digits(cls, v: str) -> str:
        if not re.fullmatch("[0-9a-fA-F]{12}", v):
            raise ValueError(f"{v!r} is no address; write the 12 hex digits of the device's menu in quotes")
        return v.lower()

    @field_validator("systems")
    @classmethod
    def _pairs(cls, v: tuple[str, ...]) -> tuple[str, ...]:
        for text in v:
            parts = text.split(".")
            if len(parts) != 2 or not all(p.isdigit() and int(p) < 256 for p in parts):
                raise ValueError(f'{text!r} is no system; write type and address, for example "1.1"')
        return v


class Gb26875Options(BaseModel):
    """Where to listen and who may dial in, by the `unit` of the devices of the line.

    timezone: of the devices' clocks · sync_s: a device's clock that is further off is set; null: never ·
    post_check_h: ask for a person (查岗) every so many hours; 0: never · post_check_min: time to answer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    host: str = Field(min_length=1)
    port: int = Field(26_875, ge=0, le=65_535)
    devices: dict[int, StationOptions] = Field(min_length=1)
    timezone: str = "Asia/Shanghai"
    sync_s: float | None = Field(30.0, ge=1)
    post_check_h: float = Field(0.0, ge=0, le=720)
    post_check_min: int = Field(10, ge=1, le=255)

    @field_validator("devices")
    @classmethod
    def _apart(cls, v: dict[int, StationOptions]) -> dict[int, StationOptions]:
        seen: set[str] = set()
        for unit, station in v.items():
            if not 0 <= unit <= 255:
                raise ValueError(f"unit {unit}: 0 to 255")
            if station.address in seen:
                raise ValueError(f"address {station.address} stands twice; each device has its own")
            seen.add(station.address)
        return v

    @field_validator("timezone")
    @classmethod
    def _zone(cls, v: str) -> str:
        try:
            ZoneInfo(v)
        except (KeyError, ValueError, OSError) as e:
            raise ValueError(f"there is no time zone {v!r}; write for example Asia/Shanghai") from e
        return v

    def device_faults(self, unit: int, spans: Sequence[Span]) -> Iterator[tuple[str, str, str]]:
        """(field of the device, what is wrong, what to do), before anything is heard."""
        if unit not in self.devices:
            hint = f'add {unit}: {{ address: "…" }} to options.devices of the line'
            yield "unit", f"unit {unit} has no address", hint
        for span in spans:
            if span.area == "line" and not known_sentence(span.sentence):
                hint = "write panel, u, s.1.3, p.1.3.40.393433 or a.11.1.91.1.5, or choose another profile"
                yield "profile", f"{span.sentence!r} is no sentence of GB/T 26875.3", hint
                return
