"""Manholes and septic tanks in columns; the figures are those of `simulators.plant.ground`."""

from __future__ import annotations

import numpy as np

from simulators.months.columns import Any_, Columns, Tag, state

GAS = {"grid": 0.1, "period_s": 300.0, "deadband": 0.5}


class Manholes(Columns):
    """Battery-fed sensors under covers; some lie in a road, where wheels shake them for a second or two."""

    KIND, MODEL = "manhole", "manhole"
    TAGS = (
        Tag("mh.tilt", 0.08, 0.1, 600, 0.5),
        state("mh.moved"),
        Tag("mh.level", 3.0, 1.0, 600, 10.0),
        *(Tag(f"mh.{gas}", sigma, **GAS) for gas, sigma in (
            ("ch4", 0.1), ("h2s", 0.06), ("o2", 0.02), ("co", 0.15),
        )),
        Tag("mh.batt", 0.0, 0.1, 3600),
    )  # fmt: skip

    def begin(self) -> None:
        """Covers in place."""
        n, fixed = self.n, self.dice.fixed
        self.tilt_rest, self.clear = fixed("tilt", 0.4, 1.2), fixed("clear", 1500, 1900)
        self.road = np.where(fixed("road", 0, 1) < 0.5, fixed("traffic", 0.05, 0.3), 0.0)
        self.level, self.ch4, self.h2s = self.clear.copy(), np.full(n, 1.2), np.full(n, 0.8)
        self.o2, self.co, self.backed = np.full(n, 20.8), np.full(n, 1.5), np.zeros(n)
        self.batt = fixed("batt", 62, 95)
        self.batt_rest = self.batt.copy()
        self.wet = np.zeros(n)

    def move(self) -> None:
        """Gas gathers, water rises with rain and falls slower."""
        gas, h2s, co = self.fault("manhole_gas"), self.fault("manhole_h2s"), self.fault("manhole_co")
        breath = 0.8 * np.sin((self.hour - 4) / 24 * 2 * np.pi)
        self.ch4 = self.toward(self.ch4, 1.6 + breath + 34.0 * gas, np.where(gas, 4.0, 60.0))
        self.h2s = self.toward(self.h2s, 1.0 + 0.4 * breath + 11.0 * np.maximum(gas, h2s), 4.0)
        self.o2 = self.toward(self.o2, 20.8 - 0.6 * gas - self._lack(), 4.0)
        self.co = self.toward(self.co, np.where(co, 20.0 + 25.0 * co, 1.5), 4.0)
        self.backed = self.toward(self.backed, self.fault("drain_blocked"), 120.0)
        self.wet = self.toward(self.wet, 0.45 * self._shower() + self.fault("rain"), 900.0)
        full = np.maximum(1400.0 * self.wet, (self.clear - 90.0) * self.backed)
        sewage = 40.0 * np.sin((self.hour - 9) / 24 * 2 * np.pi)
        tau = np.where(self.backed > 0.01, 90.0, 400.0)
        self.level = self.toward(self.level, np.maximum(10.0, self.clear - full - sewage), tau)
        fade = self.worn("battery_fade") * np.maximum(0.0, self.batt_rest - 20.0)
        age = 0.03 * (self.now - self.cast.start) / 86_400_000
        self.batt = np.maximum(2.0, self.batt_rest - age - fade)
        self._traffic()

    def _lack(self) -> Any_ | float:
        lack = self.fault("manhole_oxygen")
        return 4.4 * lack

    def _shower(self) -> Any_:
        begins = 18 * self.dice.daily("shower from", self.day)
        falls = (self.dice.daily("shower", self.day) < 0.25) & (self.clock_h >= begins)
        return falls & (self.clock_h < begins + 4)

    def _traffic(self) -> None:
        """Wheels: tilted for at most two seconds, then back; a loose cover all the time, less far."""
        busy = self.road * (0.15 + 0.85 * ((self.clock_h > 6) & (self.clock_h < 23))) * self.dt / 60
        who = np.flatnonzero(self.dice.uniform("wheel") < busy)
        at = self.dice.uniform("wheel at")[who] * max(0.0, self.dt - 4)
        self._pulse(who, at, 3.0 + 12.0 * self.dice.uniform("wheel by")[who], 1.2 + 0.8 * at / self.dt)
        loose = np.flatnonzero(self.amid("manhole_rocking"))
        for k in range(max(1, int(self.dt // 15)) if len(loose) else 0):
            some = loose[self.dice.uniform(f"rock? {k}")[loose] < self.dt / 15]
            at = 15.0 * k + min(6.0, self.dt / 2) * self.dice.uniform(f"rock {k}")[some]
            self._pulse(some, at, 5.5 + 3.5 * self.dice.uniform(f"rocks {k}")[some], 1.2 + 0 * at)

    def _pulse(self, who: Any_, at: Any_, by: Any_, lasts: Any_) -> None:
        self.tell("mh.tilt", who, at, np.round(self.tilt_rest[who] + by, 1))
        self.tell("mh.tilt", who, at + lasts, np.round(self.tilt_rest[who], 1))

    def read(self) -> None:
        """Tilt in °, level in mm below the cover, gases in %LEL, mg/m³ and %vol."""
        moved = self.fault("manhole_open")
        self.put("mh.tilt", np.where(moved, 12.0 + 30.0 * moved, self.tilt_rest))
        self.put("mh.moved", self.amid("manhole_open"))
        self.put("mh.level", self.level)
        for tag in ("ch4", "h2s", "o2", "co", "batt"):
            self.put(f"mh.{tag}", getattr(self, tag))


class Septics(Columns):
    """Septic tanks with a relief valve. `emptied` is harmless: the level goes down at once."""

    KIND, MODEL = "septic", "septic"
    TAGS = (
        Tag("sep.ch4", 0.1, **GAS),
        Tag("sep.h2s", 0.08, **GAS),
        Tag("sep.pressure", 0.015, 0.01, 300),
        Tag("sep.level", 2.0, 1.0, 600),
        state("sep.relief"),
    )

    def begin(self) -> None:
        """A tank some months after it was emptied."""
        n, fixed = self.n, self.dice.fixed
        self.ch4, self.h2s, self.kpa = np.full(n, 2.2), np.full(n, 1.6), np.full(n, 0.3)
        self.room_mm, self.vent = fixed("level", 700, 1000), fixed("vent", 0.2, 0.45)
        self.fill = fixed("fill", 0.3, 1.2)
        self.gassy = fixed("gas", 0.8, 1.3)

    def move(self) -> None:
        """Gas and pressure follow the vent."""
        gas, h2s = self.fault("septic_gas"), self.fault("septic_h2s")
        warm = self.gassy * (1 + 0.012 * (self.outside_c - 18))
        self.ch4 = self.toward(self.ch4, 2.2 * warm + 32.0 * gas, 6.0)
        self.h2s = self.toward(self.h2s, 1.6 * warm + np.maximum(9.0 * gas, 12.0 * h2s), 6.0)
        blocked = 7.0 * self.fault("vent_blocked") + self.worn("vent_ramp") * (2.0 - self.vent)
        self.kpa = self.toward(self.kpa, self.vent * warm + 3.2 * gas + blocked, 10.0)

    def read(self) -> None:
        """Level in mm to the cover, pressure in kPa."""
        days = (self.now - self.cast.start) / 86_400_000
        rise = self.fill * days + self.worn("septic_fill") * (self.room_mm - 300.0)
        daily = 8.0 * np.sin((self.hour - 9) / 24 * 2 * np.pi)
        self.put("sep.ch4", self.ch4)
        self.put("sep.h2s", self.h2s)
        self.put("sep.pressure", self.kpa)
        self.put("sep.level", self.room_mm - rise - daily + 150.0 * self.fault("emptied"))
        self.put("sep.relief", self.kpa > 5.0)
