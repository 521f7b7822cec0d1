"""Water in the wells against rain: what the rain explains is no alarm, what stands there without it is."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import numpy as np
import pytest

from alerts.engine import Engine, PointInfo
from alerts.rules import Rule
from alerts.virtual import Formula, formula
from gateway.model import Ms, Samples
from simulators.layout import demo_layout
from simulators.months.cast import DAY, Cast, Planned
from simulators.months.ground import Manholes
from simulators.months.telling import SPRING
from simulators.plant.base import Surroundings
from simulators.plant.drain import CLOUDBURST_MM_H, RainGauge
from simulators.serve import planned_lines
from simulators.site import DRY_MM, site_dict
from tests.unit.simulators.rules_kit import RULES

STEP_S = 300
WELLS = 6
UNITS = {"mh-1/mh.level": "mm", "sump-1/rain.mm_6h": "mm"}
HALF_BLOCKED = 0.3
"""The well stands half a metre higher: still a metre below every limit."""


def shipped() -> Rule:
    return RULES.by_id["manhole.level_dry"]


def expression(dry_mm: float) -> Formula:
    """As the demonstration's site file has it, for a well with this room in dry weather."""
    layout = demo_layout()
    site = site_dict(layout, planned_lines(layout, "lines"))
    entry = next(v for v in site["virtual"] if v["asset"] == "mh-1")
    text = entry["expr"].replace(str(DRY_MM), f"{dry_mm:.0f}")
    return formula(text, entry["unit"], "mh-1", UNITS.get)


class Wells(Manholes):
    """Wells whose level comes with the rain of six hours taken off."""

    def __init__(self, cast: Cast) -> None:
        super().__init__(cast, STEP_S)
        self.rained: deque[np.ndarray] = deque(maxlen=6 * 3600 // STEP_S)
        self.formulas = [expression(mm) for mm in self.clear]

    def move(self) -> None:
        super().move()
        self.rained.append(0.45 * CLOUDBURST_MM_H * np.asarray(self._shower()) * STEP_S / 3600)

    def levels(self, told: Samples) -> tuple[Samples, Samples]:
        """(as measured, without the rain)"""
        row = self.row["mh.level"] * self.n
        own = told[(told.series >= row) & (told.series < row + self.n)]
        rain = np.sum(self.rained, axis=0)
        dry = [
            self.formulas[well].value((v, rain[well]), (0, 0))[0]
            for well, v in zip((own.series - row).tolist(), own.v.tolist(), strict=True)
        ]
        return own, replace(own, v=np.asarray(dry, np.float64))


def alarms(cast: Cast, days: int) -> tuple[list[tuple[str, Ms]], list[tuple[str, Ms]]]:
    """Beginnings by the shipped rule without the rain, and by the same rule on the level alone."""
    wells = Wells(cast)
    row = wells.row["mh.level"] * wells.n
    engines = []
    for tag in ("mh.level_dry", "mh.level"):
        points = [
            PointInfo(row + i, f"{name}/{tag}", name, "months", "manhole", tag, 240.0, name)
            for i, name in enumerate(cast.names)
        ]
        engines.append(Engine([replace(shipped(), tag=tag)], points, start=cast.start))
    found: tuple[list[tuple[str, Ms]], list[tuple[str, Ms]]] = ([], [])
    while wells.now < cast.start + days * DAY:
        told = wells.step()
        measured, dry = wells.levels(told)
        for engine, rows, out in zip(engines, (dry, measured), found, strict=True):
            out += [(f.asset, f.t) for f in engine.process(rows) if f.active]
    return found


def names(n: int) -> tuple[str, ...]:
    return tuple(f"mh-{k}" for k in range(n))


def test_showers_are_no_alarm_once_the_rain_is_taken_off() -> None:
    dry, raw = alarms(Cast(names(WELLS), tuple(range(WELLS)), SPRING), 70)
    assert dry == []
    assert len(raw) >= 3, "without the gauge the same rule takes showers for a blocked sewer"


def test_a_half_blocked_sewer_is_told_within_an_hour_though_far_below_every_limit() -> None:
    onset = SPRING + 30 * DAY
    plot = (Planned(0, "drain_blocked", onset, onset + 4 * DAY, HALF_BLOCKED),)
    dry, _ = alarms(Cast(names(2), (3, 4), SPRING, plot), 34)
    assert [name for name, _ in dry] == ["mh-0"]
    assert onset < dry[0][1] <= onset + 3_600_000


def test_the_gauge_forgets_rain_after_six_hours() -> None:
    gauge, around = RainGauge(), Surroundings(t=0)
    around.dt = 60.0
    for minute in range(8 * 60):
        around.rain = 0.5 if minute < 60 else 0.0
        gauge.step(around)
        if minute == 59:
            assert gauge.values() == pytest.approx({"rain.mm_h": 30.0, "rain.mm_6h": 30.0})
    assert gauge.values()["rain.mm_6h"] == pytest.approx(0.0)
