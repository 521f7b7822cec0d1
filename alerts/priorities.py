"""The priority of an alarm from what happens if nobody acts and how long there is to act. Pure.

The grid follows EEMUA 191 and ISA-18.2 (consequence × time to respond); the bounds are engineering judgement.
A rule that says another priority than the grid gives has to say why (`why_priority`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, cast

Harm = Literal["people", "severe", "major", "minor"]
Priority = Literal[1, 2, 3, 4]

HARMS: Mapping[str, str] = {
    "people": "somebody can be hurt or is locked in",
    "severe": "a service of the whole estate is lost, a protection is gone, or damage is great",
    "major": "a service is lost for some, or equipment is damaged",
    "minor": "a reserve, a measurement or comfort is lost",
}
"""Classes of consequence, the worst first."""

BANDS_S: tuple[float, ...] = (900, 3_600, 14_400)
"""Time to respond: up to 15 minutes, an hour, four hours, or longer."""

GRID: Mapping[str, tuple[int, int, int, int]] = {
    "people": (1, 1, 2, 3),
    "severe": (1, 2, 2, 3),
    "major": (2, 2, 3, 4),
    "minor": (3, 3, 4, 4),
}


def priority_of(harm: str, time_limit_s: float) -> Priority:
    """1 (at once) to 4 (maintenance). Raises KeyError for a class that does not exist."""
    band = sum(time_limit_s > bound for bound in BANDS_S)
    return cast("Priority", GRID[harm][band])
