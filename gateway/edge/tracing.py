"""The command `trace`: the frames of a line, for somebody who is far away from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from gateway.edge.config import LineConfig

NEWEST = 200
"""Frames in one reply; with their bytes below the 64 kB of a message."""
LONGEST = 200
"""Characters of a frame's bytes in a reply."""


class Frame(Protocol):
    """One frame. t: site time, ms · direction: out or in · hex: its bytes · unit: whom it was about."""

    @property
    def t(self) -> int:
        """When."""

    @property
    def direction(self) -> str:
        """Which way."""

    @property
    def hex(self) -> str:
        """What."""

    @property
    def unit(self) -> int | None:
        """Who."""


@runtime_checkable
class Traced(Protocol):
    """A driver that can record its frames."""

    def trace(self, on: bool) -> None:
        """Record from now on, or stop."""

    def frames(self, unit: int | None = None) -> Sequence[Frame]:
        """What was recorded, oldest first."""


def trace(lines: Sequence[LineConfig], body: Mapping[str, Any]) -> dict[str, Any]:
    """The reply to {"line", "on"?, "unit"?}: switches when `on` is given, and gives the newest frames.

    Values are readings, which the core has anyway; what is written to a device is not recorded.
    """
    line = next((x for x in lines if x.id == body.get("line")), None)
    if line is None:
        return {"ok": False, "code": "no_line", "error": f"there is no line {body.get('line')!r:.60}"}
    driver, on, unit = line.driver, body.get("on"), body.get("unit")
    if not isinstance(driver, Traced):
        return {"ok": False, "code": "driver", "error": f"the driver of line {line.id} cannot record frames"}
    if unit is not None and not isinstance(unit, int):
        return {"ok": False, "code": "unit", "error": f"unit: a number is needed, not {unit!r:.20}"}
    frames = driver.frames(unit)
    if isinstance(on, bool):
        driver.trace(on)
    shown = [[f.t, f.direction, f.unit, f.hex[:LONGEST]] for f in frames[-NEWEST:]]
    return {"ok": True, "line": line.id, "frames": shown, "left_out": len(frames) - len(shown)}
