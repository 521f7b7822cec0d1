"""A sump with two pumps in turn, started and stopped by level."""

from __future__ import annotations

from simulators.plant.base import Surroundings, Unit, number_of

STOP_M, START_M, BOTH_M, HI_M, HIHI_M, DEPTH_M = 0.40, 1.00, 1.20, 1.40, 1.70, 2.00
PIT_M2 = 1.5
PUMP_M3H = 40.0
SEEP_M3H = 1.3
RAIN_M3H = 140.0
SURGE_M3H = 420.0


class Sump(Unit):
    """A pit of 2 m with floats at 1.4 and 1.7 m.

    The first pit drains the pump room and discharges into the first manhole. Faults: sump_high (inflow beyond
    both pumps, up to 1.45 m + 0.45 m × severity), sump_pumps_fail (both tripped, and inflow goes on).
    """

    def __init__(self, asset: str, seed: int) -> None:
        super().__init__(asset, seed)
        self.level = 0.5 + self.rng.random() * 0.35
        self.lead = 1
        self.on = {1: False, 2: False}
        self.starts = {1: 2210.0, 2: 2195.0}
        self.first = number_of(asset) == 1

    def step(self, around: Surroundings) -> None:
        """Inflow, pumping, float switches."""
        broken, surge = self.fault("sump_pumps_fail"), self.fault("sump_high")
        top = DEPTH_M if not surge or broken else 1.45 + 0.45 * surge
        inflow = SEEP_M3H + RAIN_M3H * around.rain + 120.0 * broken
        if surge and self.level < top:
            inflow += SURGE_M3H
        able = around.essential and not broken
        wanted = self._wanted() if able else ()
        for n in (1, 2):
            if n in wanted and not self.on[n]:
                self.starts[n] += 1
            if self.on[n] and n not in wanted and n == self.lead:
                self.lead = 3 - self.lead
            self.on[n] = n in wanted
        out = PUMP_M3H * sum(self.on.values())
        if self.first:  # it discharges into the first manhole; a full sewer takes nothing
            out *= max(0.0, 1.0 - 1.2 * around.blocked[1])
        if surge and self.level >= top:
            out = inflow  # what comes beyond this height runs off elsewhere
        self.level = min(DEPTH_M, max(0.1, self.level + (inflow - out) / PIT_M2 / 3600 * around.dt))
        if self.first:
            around.pit_m = self.level

    def _wanted(self) -> tuple[int, ...]:
        if self.level <= STOP_M:
            return ()
        running = tuple(n for n, on in self.on.items() if on)
        if self.level >= BOTH_M:
            return (1, 2)
        if running:
            return running
        return (self.lead,) if self.level >= START_M else ()

    def values(self) -> dict[str, float]:
        """Level in m above the bottom, by two sensors; the floats are independent of both."""
        broken = bool(self.fault("sump_pumps_fail"))
        out = {
            "sump.level": max(0.0, self.level + self.noise("level", 0.003)),
            "sump.level_plc": max(0.0, self.level + self.noise("plc", 0.004)),
            "sump.hi_float": float(self.level >= HI_M),
            "sump.hihi_float": float(self.level >= HIHI_M),
        }
        for n in (1, 2):
            out[f"sump.pump{n}.run"] = float(self.on[n])
            out[f"sump.pump{n}.fault"] = float(broken)
            out[f"sump.pump{n}.auto"] = 1.0
            out[f"sump.pump{n}.current"] = 7.8 + self.noise(f"a{n}", 0.05) if self.on[n] else 0.0
            out[f"sump.pump{n}.starts"] = self.starts[n]
        return out
