"""Fire system: alarm panel, two fire pumps, jockey pump, tanks, one electrical-fire detector."""

from __future__ import annotations

from simulators.plant.base import Surroundings, Unit, toward

JOCKEY_START, JOCKEY_STOP = 0.28, 0.34
NATURAL_LEAK = 0.05 / 3600
"""MPa/s: a jockey start about every 70 min."""

PANEL_BITS = {
    "alarm": 1,
    "fault": 2,
    "shield": 3,
    "supervisory": 4,
    "started": 5,
    "main_power_fault": 8,
    "batt_fault": 9,
    "bus_fault": 10,
    "manual": 11,
}
"""Bits of the panel's state word; bit 0 is normal running (GB/T 26875.3, system state)."""


class Fire(Unit):
    """Panel, pumps and pressures as one asset.

    Faults: fire_alarm (severity below 0.5: one detector, else two), pressure_leak (in the main: the jockey
    pump starts ever more often), and the others of `simulators.kinds`.
    """

    def __init__(self, asset: str, seed: int) -> None:
        super().__init__(asset, seed)
        self.main_p = 0.30 + self.rng.random() * 0.03
        self.hydrant_p = 0.16
        self.jockey = False
        self.jockey_starts = 3100.0
        self.tank = 3.42
        self.pumping = False
        self.unpowered_s = 0.0
        self.leak_ma = 120.0

    def step(self, around: Surroundings) -> None:
        """Pressure decays, the jockey pump tops it up; a confirmed fire starts the main pump."""
        dt = around.dt
        self.unpowered_s = 0.0 if around.essential else self.unpowered_s + dt
        manual = self.fault("fire_pump_manual") > 0
        confirmed = self.fault("fire_alarm") >= 0.5 or self.fault("fire_pump_fail") > 0
        self.pumping = confirmed and around.essential and not manual and not self.fault("fire_pump_fail")
        around.recall = confirmed
        starts = self.main_p < JOCKEY_START and around.essential and not self.jockey
        if starts:
            self.jockey, self.jockey_starts = True, self.jockey_starts + 1
        elif self.main_p > JOCKEY_STOP or not around.essential:
            self.jockey = False
        burst = 5.0 * self.fault("fire_slow_leak") + 24.0 * (self.fault("jockey_short_cycling") > 0)
        leak = NATURAL_LEAK * (1 + burst) + self.fault("pressure_leak") * 0.011 / 60
        self.main_p = max(0.0, self.main_p - leak * dt + (0.008 * dt if self.jockey else 0.0))
        if self.pumping:
            self.main_p = toward(self.main_p, 0.82, 5.0, dt)
            self.tank = max(0.2, self.tank - 0.0002 * dt)
        elif self.main_p > JOCKEY_STOP + 0.02:
            self.main_p = toward(self.main_p, JOCKEY_STOP, 8.0, dt)
        low = self.fault("hydrant_low")
        self.hydrant_p = toward(self.hydrant_p, 0.10 - 0.07 * low if low else 0.16, 5.0, dt)
        leak_ma = self.fault("leak_current")
        self.leak_ma = toward(self.leak_ma, 350.0 + 250.0 * leak_ma if leak_ma else 120.0, 2.0, dt)

    def panel(self) -> dict[str, bool]:
        """The panel's state bits by name."""
        alarm = self.fault("fire_alarm") + self.fault("fire_pump_fail")
        return {
            "alarm": alarm > 0,
            "fault": self.fault("panel_fault") > 0,
            "shield": self.fault("panel_shield") > 0,
            "supervisory": False,
            "started": self.pumping,
            "main_power_fault": self.unpowered_s > 5.0 or self.fault("panel_power") > 0,
            "batt_fault": self.fault("panel_battery") > 0,
            "bus_fault": self.fault("panel_bus") > 0,
            "manual": self.fault("fire_pump_manual") > 0,
        }

    def values(self) -> dict[str, float]:
        """Panel word and bits, pressures in MPa, levels in m."""
        n = self.noise
        bits = self.panel()
        alarm = 1.0 if self.fault("fire_pump_fail") else self.fault("fire_alarm")
        auto = float(not bits["manual"])
        power = float(self.unpowered_s == 0.0)
        word = 1 | sum(1 << PANEL_BITS[name] for name, on in bits.items() if on)
        return {
            "fire.panel.state": float(word),
            **{f"fire.panel.{name}": float(on) for name, on in bits.items()},
            "fire.alarm_count": 0.0 if not alarm else 1.0 if alarm < 0.5 else 2.0,
            "fire.hydrant_p": max(0.0, self.hydrant_p + n("hydrant", 0.0008)),
            "fire.sprinkler_p": 0.19 - 0.14 * self.fault("sprinkler_low") + n("sprinkler", 0.0008),
            "fire.main_p": max(0.0, self.main_p + n("main", 0.0008)),
            "fire.tank_level": self.tank - 0.27 * self.fault("fire_tank_leak") + n("tank", 0.003),
            "fire.roof_level": 2.60 - 0.9 * self.fault("roof_empty") + n("roof", 0.003),
            "fire.pump1.auto": auto,
            "fire.pump1.run": float(self.pumping),
            "fire.pump1.fault": 0.0,
            "fire.pump1.power": 0.0 if self.fault("fire_pump_power") else power,
            "fire.pump2.auto": auto,
            "fire.pump2.run": 0.0,
            "fire.pump2.fault": 0.0,
            "fire.pump2.power": power,
            "fire.jockey.run": float(self.jockey),
            "fire.jockey.starts": self.jockey_starts,
            "efire.leak1": self.leak_ma + 170.0 * self.fault("leak_creep") + n("efire", 2.0),
            "efire.temp1": 34.0 + 70.0 * self.fault("cable_hot") + n("etemp", 0.15),
        }
