"""A sump with two pumps in turn, started and stopped by level, and a rain gauge."""

from __future__ import annotations

from collections import deque

from simulators.plant.base import Surroundings, Unit, number_of

STOP_M, START_M, BOTH_M, HI_M, HIHI_M, DEPTH_M = 0.40, 1.00, 1.20, 1.40, 1.70, 2.00
PIT_M2 = 1.5
PUMP_M3H = 40.0
SEEP_M3H = 1.3
RAIN_M3H = 140.0
SURGE_M3H = 420.0
BACK_S = 60.0
"""A leaking check valve lets the water in the riser back within this time."""
FLOAT_DOWN = 0.5
CLOUDBURST_MM_H = 60.0


class RainGauge:
    """Rain as a gauge tells it: mm/h now, and mm of the last six hours in steps of ten minutes."""

    def __init__(self) -> None:
        self.mm_h = 0.0
        self._parts = deque([0.0], maxlen=36)
        self._filled_s = 0.0

    def step(self, around: Surroundings) -> None:
        """Catch what falls."""
        self.mm_h = CLOUDBURST_MM_H * around.rain
        if self._filled_s >= 600:
            self._parts.append(0.0)
            self._filled_s = 0.0
        self._filled_s += around.dt
        self._parts[-1] += self.mm_h * around.dt / 3600

    def values(self) -> dict[str, float]:
        """In mm/h and mm."""
        return {"rain.mm_h": self.mm_h, "rain.mm_6h": sum(self._parts)}


class Sump(Unit):
    """A pit of 2 m with floats at 1.4 and 1.7 m.

    The first pit drains the pump room and discharges into the first manhole; the estate's rain gauge hangs on
    its controller's line. Faults: sump_high (inflow beyond
    both pumps, up to 1.45 m + 0.45 m × severity), sump_pumps_fail (both tripped, and inflow goes on), and the
    others of `simulators.kinds`.
    """

    def __init__(self, asset: str, seed: int) -> None:
        super().__init__(asset, seed)
        self.level = 0.5 + self.rng.random() * 0.35
        self.lead = 1
        self.on = {1: False, 2: False}
        self.starts = {1: 2210.0, 2: 2195.0}
        self.first = number_of(asset) == 1
        self.back_s = 0.0
        self.gauge = RainGauge()

    def step(self, around: Surroundings) -> None:
        """Inflow, pumping, float switches."""
        self.gauge.step(around)
        broken = self.fault("sump_pumps_fail")
        stuck = self.fault("float_stuck")
        surge = max(self.fault("sump_high"), stuck if stuck >= FLOAT_DOWN else 0.0)
        top = DEPTH_M if not surge or broken else 1.45 + 0.45 * surge
        seep = SEEP_M3H * (1 + 2.0 * self.fault("seepage"))
        inflow = seep + RAIN_M3H * around.rain + 120.0 * broken + self._back(around.dt)
        if self.fault("both_needed"):
            inflow += 2 * PUMP_M3H * (0.9 + 0.06 * self.fault("both_needed"))
        if surge and self.level < top:
            inflow += SURGE_M3H
        able = around.essential and not broken
        wanted = self._wanted() if able else ()
        for n in (1, 2):
            if n in wanted and not self.on[n]:
                self.starts[n] += 1
            if self.on[n] and n not in wanted and n == self.lead:
                self.lead = 3 - self.lead
                self.back_s = BACK_S if self.fault("check_valve_sump") else 0.0
            self.on[n] = n in wanted
        out = PUMP_M3H * sum(self.on.values()) * self._works()
        if self.first:  # it discharges into the first manhole; a full sewer takes nothing
            out *= max(0.0, 1.0 - 1.2 * around.blocked[1])
        if surge and self.level >= top:
            out = inflow  # what comes beyond this height runs off elsewhere
        self.level = min(DEPTH_M, max(0.1, self.level + (inflow - out) / PIT_M2 / 3600 * around.dt))
        if self.first:
            around.pit_m = self.level

    def _back(self, dt: float) -> float:
        """m³/h that come back through a check valve after a stop."""
        if self.back_s <= 0:
            return 0.0
        self.back_s -= dt
        share = 0.97 + 0.02 * self.fault("check_valve_sump")
        return share * (START_M - STOP_M) * PIT_M2 * 3600 / BACK_S

    def _works(self) -> float:
        """Share of its capacity that a pump brings."""
        worn = 1 - 0.5 * self.fault("pump_wear")
        clogged = 1 - (0.97 + 0.03 * self.fault("sump_clog")) if self.fault("sump_clog") else 1.0
        return worn * clogged * (0.1 if self.fault("pump_dry") else 1.0)

    def _amps(self) -> float:
        jam = 1.55 + 0.25 * self.fault("sump_jam") if self.fault("sump_jam") else 1.0
        return 7.8 * jam * (0.45 if self.fault("pump_dry") else 1.0)

    def _wanted(self) -> tuple[int, ...]:
        if self.level <= STOP_M:
            return ()
        running = tuple(n for n, on in self.on.items() if on)
        if self.level >= BOTH_M:
            return (1, 2)
        if running:
            return running
        return (self.lead,) if self.level >= START_M else ()

    def _float(self) -> bool:
        """A stuck float: below a severity of 0.5 up, else down."""
        stuck = self.fault("float_stuck")
        return stuck < FLOAT_DOWN if stuck else self.level >= HI_M

    def values(self) -> dict[str, float]:
        """Level in m above the bottom, by two sensors; the floats are independent of both."""
        broken = bool(self.fault("sump_pumps_fail"))
        out = {
            "sump.level": max(0.0, self.level + self.noise("level", 0.003)),
            "sump.level_plc": max(0.0, self.level + self.noise("plc", 0.004)),
            "sump.hi_float": float(self._float()),
            "sump.hihi_float": float(self.level >= HIHI_M),
            **self.gauge.values(),
        }
        for n in (1, 2):
            out[f"sump.pump{n}.run"] = float(self.on[n])
            out[f"sump.pump{n}.fault"] = float(broken)
            out[f"sump.pump{n}.auto"] = float(n != 1 or not self.fault("sump_pump_manual"))
            out[f"sump.pump{n}.current"] = self._amps() + self.noise(f"a{n}", 0.05) if self.on[n] else 0.0
            out[f"sump.pump{n}.starts"] = self.starts[n]
        return out
