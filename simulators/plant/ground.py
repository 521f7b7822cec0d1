"""What lies in the ground: manhole covers with gas and level sensors, and the septic tank."""

from __future__ import annotations

from simulators.plant.base import Surroundings, Unit, number_of, toward

SEWER = (1, 2, 3)
"""Manholes of the main sewer by number, in the direction of flow. The fourth one vents the septic tank."""


class Manhole(Unit):
    """Battery-fed sensor under a cover.

    Faults: manhole_open (tilted and moved), drain_blocked (the sewer is blocked behind it: water rises here
    first, then upstream), manhole_rocking (a loose cover), gases, and the others of `simulators.kinds`.
    """

    slow = True

    def __init__(self, asset: str, seed: int) -> None:
        super().__init__(asset, seed)
        self.rest_tilt = 0.4 + self.rng.random() * 0.8
        self.clear_mm = 1700.0 + self.rng.random() * 200
        self.level_mm = self.clear_mm
        self.ch4, self.h2s, self.co, self.lack = 1.2, 0.8, 1.5, 0.0
        self.batt = 88.0 - self.rng.random() * 8
        self.backed = 0.0
        self.place = number_of(asset)

    def step(self, around: Surroundings) -> None:
        """Gas gathers, water rises with rain and falls slower."""
        gas = self.fault("manhole_gas")
        seeping = around.sewer_gas if self.place not in SEWER else 0.0
        self.ch4 = toward(self.ch4, 1.2 + 34.0 * gas + 30.0 * seeping, 4.0 if gas else 60.0, around.dt)
        self.h2s = toward(self.h2s, 0.8 + 11.0 * max(gas, self.fault("manhole_h2s")), 4.0, around.dt)
        co = self.fault("manhole_co")
        self.co = toward(self.co, 20.0 + 25.0 * co if co else 1.5, 4.0, around.dt)
        self.lack = toward(self.lack, 0.6 * gas + 4.4 * self.fault("manhole_oxygen"), 4.0, around.dt)
        self._back_up(around)
        full = max(1400.0 * around.rain, (self.clear_mm - 90.0) * self.backed)
        self.level_mm = toward(self.level_mm, self.clear_mm - full, 90.0 if self.backed else 400.0, around.dt)
        self.batt = max(5.0, self.batt - 1e-6 * around.dt)

    def _back_up(self, around: Surroundings) -> None:
        """Water stands at the blocked manhole first; each one upstream follows two minutes later."""
        if self.place not in SEWER:
            return
        own = self.fault("drain_blocked")
        at, amount = around.blocked
        if own:
            around.blocked = (self.place, toward(amount, own, 120.0, around.dt))
        elif at == self.place:
            amount = toward(amount, 0.0, 120.0, around.dt)
            around.blocked = (at, amount) if amount > 0.01 else (0, 0.0)
        behind = at - self.place
        wanted = around.blocked[1] if own or (behind >= 0 and at) else 0.0
        self.backed = toward(self.backed, wanted, 20.0 + 120.0 * max(0, behind), around.dt)
        self.backed = 0.0 if not wanted and self.backed < 0.01 else self.backed

    def _rocks(self) -> float:
        """A loose cover under traffic: tilted for a second, every 15 s."""
        return 7.0 if self.fault("manhole_rocking") and self.now // 1000 % 15 == 0 else 0.0

    def values(self) -> dict[str, float]:
        """Tilt in °, level in mm below the cover, gases in %LEL, mg/m³ and %vol."""
        n = self.noise
        moved = self.fault("manhole_open")
        tilt = 12.0 + 30.0 * moved if moved else self.rest_tilt + self._rocks()
        return {
            "mh.tilt": max(0.0, tilt + n("tilt", 0.08)),
            "mh.moved": float(moved > 0),
            "mh.level": self.level_mm + n("level", 3.0),
            "mh.ch4": max(0.0, self.ch4 + n("ch4", 0.1)),
            "mh.h2s": max(0.0, self.h2s + n("h2s", 0.06)),
            "mh.o2": 20.8 - self.lack + n("o2", 0.02),
            "mh.co": max(0.0, self.co + n("co", 0.15)),
            "mh.batt": self.batt - self.fault("battery_fade") * max(0.0, self.batt - 20.0),
            "mh.rssi": -88.0 + n("rssi", 1.5),
        }


class Septic(Unit):
    """Septic tank with a relief valve.

    Faults: septic_gas (vent blocked: gas and pressure rise), septic_h2s,
    vent_blocked, and the others of `simulators.kinds`.
    """

    slow = True

    def __init__(self, asset: str, seed: int) -> None:
        super().__init__(asset, seed)
        self.ch4, self.h2s, self.kpa = 2.2, 1.6, 0.3
        self.level_mm = 900.0 + self.rng.random() * 60

    def step(self, around: Surroundings) -> None:
        """Gas and pressure follow the vent."""
        gas = self.fault("septic_gas")
        self.ch4 = toward(self.ch4, 2.2 + 32.0 * gas, 6.0, around.dt)
        h2s = max(9.0 * gas, 12.0 * self.fault("septic_h2s"))
        self.h2s = toward(self.h2s, 1.6 + h2s, 6.0, around.dt)
        blocked = 7.0 * self.fault("vent_blocked") + 1.7 * self.fault("vent_ramp")
        self.kpa = toward(self.kpa, 0.3 + 3.2 * gas + blocked, 10.0, around.dt)
        around.sewer_gas = toward(around.sewer_gas, gas, 120.0, around.dt)

    def values(self) -> dict[str, float]:
        """Level in mm to the cover, pressure in kPa."""
        n = self.noise
        return {
            "sep.ch4": max(0.0, self.ch4 + n("ch4", 0.1)),
            "sep.h2s": max(0.0, self.h2s + n("h2s", 0.08)),
            "sep.pressure": max(0.0, self.kpa + n("kpa", 0.015)),
            "sep.level": self.level_mm
            - self.fault("septic_fill") * (self.level_mm - 300.0)
            + n("level", 2.0),
            "sep.relief": float(self.kpa > 5.0),
        }
