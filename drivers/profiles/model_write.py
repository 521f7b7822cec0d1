"""What can never be marked `writable` in a profile."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drivers.profiles.model import PointSpec


def write_problems(p: PointSpec) -> list[str]:
    """Sentences for what is wrong."""
    found = []
    if p.writable and (p.area not in ("holding", "coil") or (p.partial and p.area != "coil")):
        found.append("only a coil or whole holding registers can be `writable`")
    if p.writable and (p.scale_by or p.life or p.value_kind in ("text", "counter")):
        found.append("texts, counters, life safety and what another register scales are never `writable`")
    return found
