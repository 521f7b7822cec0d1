"""Fire systems in columns; the figures are those of `simulators.plant.fire`."""

from __future__ import annotations

import numpy as np

from simulators.months.chance import F8
from simulators.months.columns import Columns, Index, Tag, state
from simulators.plant.fire import JOCKEY_START, JOCKEY_STOP, NATURAL_LEAK

TOP_UP_S = 7.5
"""How long the jockey pump needs from start to stop."""
BITS = ("alarm", "fault", "shield", "supervisory", "started", "main_power_fault", "batt_fault", "bus_fault",
        "manual")  # fmt: skip


class Fires(Columns):
    """Panel, two pumps, jockey pump, tanks, one electrical-fire detector. The jockey's starts are exact."""

    KIND, MODEL = "fire", "fire"
    TAGS = (
        *(state(f"fire.panel.{name}") for name in BITS),
        state("fire.alarm_count"),
        Tag("fire.hydrant_p", 0.0008, 0.001, 300),
        Tag("fire.sprinkler_p", 0.0008, 0.001, 300),
        Tag("fire.main_p", 0.0008, 0.001, 300, 0.004),
        Tag("fire.tank_level", 0.003, 0.001, 600),
        Tag("fire.roof_level", 0.003, 0.001, 600),
        *(state(f"fire.pump{n}.{name}") for n in (1, 2) for name in ("auto", "run", "fault", "power")),
        state("fire.jockey.run"),
        state("fire.jockey.starts", 900),
        Tag("efire.leak1", 2.0, 1.0, 300),
        Tag("efire.temp1", 0.15, 0.1, 300, low=-40),
    )

    def begin(self) -> None:
        """Pressure somewhere between the jockey pump's start and stop."""
        n, fixed = self.n, self.dice.fixed
        self.natural = NATURAL_LEAK * fixed("natural", 0.6, 1.6)
        self.main_p = fixed("main", JOCKEY_START + 0.005, JOCKEY_STOP)
        self.hydrant_p, self.sprinkler = fixed("hydrant", 0.13, 0.19), fixed("sprinkler", 0.15, 0.22)
        self.hydrant_rest = self.hydrant_p.copy()
        self.tank_rest, self.roof = fixed("tank", 3.35, 3.48), fixed("roof", 2.5, 2.65)
        self.leak_rest = fixed("leak", 80, 160)
        self.starts = np.round(fixed("starts", 2500, 4000))
        self.damp, self.leak_ma = np.zeros(n), self.leak_rest.copy()
        self.drawn = np.zeros(n)
        self.run = np.zeros(n, np.bool_)

    def move(self) -> None:
        """Pressure decays, the jockey pump tops it up; a confirmed fire starts the main pump."""
        confirmed = (np.asarray(self.fault("fire_alarm")) >= 0.5) | self.amid("fire_pump_fail")
        able = ~self.amid("fire_pump_fail") & ~self.amid("fire_pump_manual")
        self.run = (confirmed & able) | self.amid("fire_test")
        burst = np.minimum(1.0, self.worn("fire_slow_leak"))
        leak = self.natural * (1 + 5.0 * burst) + 24.0 * NATURAL_LEAK * self.amid("jockey_short_cycling")
        leak = leak + self.fault("pressure_leak") * 0.011 / 60 + 4 * self.natural * self.amid("hydrant_use")
        fell = leak * self.dt
        crosses = (self.main_p - fell <= JOCKEY_START) & ~self.run
        if crosses.any():
            self._top_up(np.flatnonzero(crosses), leak)
        rest = ~crosses & ~self.run
        new = np.where(rest, np.maximum(0.0, self.main_p - fell), self.main_p)
        new = np.where(self.run, self.toward(self.main_p, 0.82, 5.0), new)
        ease = ~self.run & (new > JOCKEY_STOP + 0.02)
        self.main_p = np.where(ease, self.toward(new, JOCKEY_STOP, 8.0), new)
        low = self.fault("hydrant_low")
        target = np.where(low, 0.10 - 0.07 * low, self.hydrant_rest) - 0.02 * self.amid("hydrant_use")
        self.hydrant_p = self.toward(self.hydrant_p, target, 5.0)
        self.damp = self.wander(self.damp, "damp", 12.0, 12 * 3600)
        jump = self.fault("leak_current")
        creep = self.worn("leak_creep") * (300.0 - self.leak_rest)
        ma = np.where(jump, 350.0 + 250.0 * jump, self.leak_rest + self.damp + creep)
        self.leak_ma = self.toward(self.leak_ma, ma, 2.0)
        self.drawn = np.where(
            self.run, self.drawn + 0.0002 * self.dt, np.maximum(0, self.drawn - 2e-6 * self.dt)
        )

    def _top_up(self, who: Index, leak: F8) -> None:
        """The jockey pump runs, several times a step where the main leaks that much."""
        band = JOCKEY_STOP - JOCKEY_START
        at = np.clip((self.main_p[who] - JOCKEY_START) / leak[who], 0.0, self.dt - TOP_UP_S - 1)
        whole = band / leak[who] + TOP_UP_S
        left = who
        while len(left):
            self.starts[left] += 1
            self.tell("fire.main_p", left, at, JOCKEY_START)
            self.tell("fire.jockey.run", left, at, 1.0)
            self.tell("fire.jockey.starts", left, at, self.starts[left])
            self.tell("fire.jockey.run", left, at + TOP_UP_S, 0.0)
            self.main_p[left] = JOCKEY_STOP - leak[left] * (self.dt - at - TOP_UP_S)
            again = at + whole < self.dt - TOP_UP_S - 1
            left, at, whole = left[again], (at + whole)[again], whole[again]

    def read(self) -> None:
        """Panel bits, pressures in MPa, levels in m."""
        alarm, severe = self.amid("fire_alarm") | self.amid("fire_pump_fail"), self.amid("fire_pump_fail")
        two = severe | (np.asarray(self.fault("fire_alarm")) >= 0.5)
        manual = self.amid("fire_pump_manual")
        bits = {
            "alarm": alarm, "started": self.run & alarm, "manual": manual,
            "main_power_fault": self.amid("panel_power"), "batt_fault": self.amid("panel_battery"),
            "bus_fault": self.amid("panel_bus"), "shield": self.amid("panel_shield"),
            "fault": self.amid("panel_fault"),
        }  # fmt: skip
        for name, value in bits.items():
            self.put(f"fire.panel.{name}", value)
        self.put("fire.alarm_count", alarm.astype(np.float64) + two)
        self.put("fire.hydrant_p", self.hydrant_p)
        self.put("fire.sprinkler_p", self.sprinkler - 0.14 * self.fault("sprinkler_low"))
        self.put("fire.main_p", self.main_p)
        evaporates = 0.02 * np.sin(self.day / 9.0)
        lost = self.worn("fire_tank_leak") * (self.tank_rest - 3.15)
        self.put("fire.tank_level", self.tank_rest + evaporates - lost - self.drawn)
        self.put("fire.roof_level", self.roof - 0.9 * self.fault("roof_empty"))
        for n in (1, 2):
            self.put(f"fire.pump{n}.auto", ~manual)
            self.put(f"fire.pump{n}.run", self.run & (n == 1))
            self.put(f"fire.pump{n}.power", 1.0 if n == 2 else ~self.amid("fire_pump_power"))
        warm = 14 + 0.6 * self.outside_c + 4 * np.exp(-(((self.hour - 20) / 3) ** 2))
        self.put("efire.leak1", self.leak_ma)
        self.put("efire.temp1", warm + 70.0 * self.fault("cable_hot"))
