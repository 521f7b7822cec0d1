"""Lighting, meters and call buttons in columns; the figures are those of `simulators.plant.services`."""

from __future__ import annotations

import numpy as np

from simulators.months.columns import Columns, Tag, Value, state
from simulators.plant.services import CIRCUITS, DAWN, DUSK, MIDNIGHT_OFF

COUNTER_TOP = 1_000_000.0
"""Where the counter of an electricity meter begins anew, kWh."""


class Lightings(Columns):
    """Four circuits by the clock."""

    KIND, MODEL = "lighting", "lighting"
    TAGS = (
        Tag("lt.lux", 0.0, 1.0, 300),
        state("lt.mode"),
        *(state(f"lt.c{n}.on") for n in CIRCUITS),
        *(Tag(f"lt.c{n}.current", 0.03, 0.01, 300, 0.3) for n in CIRCUITS),
    )

    def begin(self) -> None:
        """Lamps of each circuit."""
        self.amps = {n: amps * self.dice.fixed(f"amps{n}", 0.85, 1.15) for n, amps in CIRCUITS.items()}

    def move(self) -> None:
        """Follow the schedule."""
        dark = self.clock_h >= DUSK or self.clock_h < DAWN
        evening = DUSK <= self.clock_h < MIDNIGHT_OFF
        self.on: dict[int, Value] = {1: ~self.amid("light_dark"), 2: dark, 3: evening, 4: evening}

    def read(self) -> None:
        """`on` is what the contactor reports."""
        light = min(self.clock_h - 5.5, 19.0 - self.clock_h)
        cloud = 0.3 + 0.7 * self.dice.daily("cloud", self.day)
        self.put("lt.lux", 3.0 + max(0.0, min(1.0, light / 3.0)) * 9000.0 * cloud)
        self.put("lt.mode", 1.0)
        for n in CIRCUITS:
            share = 1.0 - 0.98 * self.fault("light_out") if n == 1 else 1.0
            self.put(f"lt.c{n}.on", self.on[n])
            self.put(f"lt.c{n}.current", self.amps[n] * share * self.on[n])


class EnergyMeters(Columns):
    """Sub-meters of common areas."""

    KIND, MODEL = "meter", "energy_meter"
    TAGS = (Tag("em.kwh", 0, 0.01, 300), Tag("em.p", 0.15, 0.001, 300))

    def begin(self) -> None:
        """Somewhere in its life."""
        left = self.dice.fixed("left", 300, 40_000)
        self.kwh = np.where(self.amid("meter_rollover"), COUNTER_TOP - left, 2 * left)
        self.base = self.dice.fixed("base", 22, 40)
        self.kw = self.base.copy()
        self.reset, self.jumped = np.zeros(self.n, np.bool_), np.zeros(self.n, np.bool_)

    def move(self) -> None:
        """Count energy; the counter begins anew at its end."""
        evening = 9.0 if self.clock_h >= DUSK or self.clock_h < DAWN else 0.0
        left_on = 8.0 * self.amid("night_load") * (self.clock_h < 6.0)
        self.kw = self.toward(self.kw, self.base + self.swing * evening + left_on, 60.0)
        step = np.where(self.amid("meter_stuck"), 0.0, self.kw * self.dt / 3600)
        fresh = self.amid("meter_reset") & ~self.reset
        jump = self.amid("meter_jump") & ~self.jumped
        self.kwh = np.where(fresh, 0.0, self.kwh + step + 500.0 * jump) % COUNTER_TOP
        self.reset, self.jumped = self.amid("meter_reset"), self.amid("meter_jump")

    def read(self) -> None:
        """Energy in kWh, power in kW."""
        self.put("em.kwh", self.kwh)
        self.put("em.p", self.kw)


class WaterMeters(Columns):
    """Meters of the municipal supply."""

    KIND, MODEL = "meter", "water_meter"
    TAGS = (
        Tag("wm.m3", 0, 0.001, 300), Tag("wm.flow", 0.05, 0.01, 60), Tag("wm.batt", 0.002, 0.001, 3600),
    )  # fmt: skip

    def begin(self) -> None:
        """Somewhere in its life."""
        self.m3, self.scale = self.dice.fixed("m3", 10_000, 90_000), self.dice.fixed("scale", 0.6, 1.5)
        self.flow, self.sway = 6.0 * self.scale, np.zeros(self.n)
        self.batt_rest = self.dice.fixed("batt", 3.5, 3.65)
        self.reset, self.jumped = np.zeros(self.n, np.bool_), np.zeros(self.n, np.bool_)

    def move(self) -> None:
        """Count water."""
        day = 1 / (1 + np.exp(-(self.hour - 6.0) * 2)) / (1 + np.exp((self.hour - 23.0) * 2))
        peaks = np.exp(-(((self.hour - 7.5) / 1.6) ** 2)) + np.exp(-(((self.hour - 19.5) / 2.4) ** 2))
        away = 0.75 if self.holiday else 1.0
        self.sway = self.wander(self.sway, "sway", 0.3, 600.0)
        use = self.scale * (2.0 + away * (3.0 * day + 4.0 * self.swing * peaks)) + self.sway * (0.3 + day)
        leak = 1.5 * self.fault("night_leak") * np.minimum(1.0, self.worn("night_leak") * 40.0)
        self.flow = self.toward(self.flow, np.maximum(0.3, use + leak), 120.0)
        step = np.where(self.amid("meter_stuck"), 0.0, self.flow * self.dt / 3600)
        fresh = self.amid("meter_reset") & ~self.reset
        jump = self.amid("meter_jump") & ~self.jumped
        self.m3 = np.where(fresh, 0.0, self.m3 + step + 500.0 * jump) % 100_000.0
        self.reset, self.jumped = self.amid("meter_reset"), self.amid("meter_jump")

    def read(self) -> None:
        """Volume in m³, flow in m³/h, battery in V."""
        self.put("wm.m3", self.m3)
        self.put("wm.flow", self.flow)
        self.put("wm.batt", self.batt_rest - self.worn("battery_fade") * (self.batt_rest - 3.2))


class Calls(Columns):
    """Emergency call points."""

    KIND, MODEL = "call", "call"
    TAGS = (*(state(f"call.{name}") for name in ("active", "ack", "selftest", "line")),
            Tag("call.batt", 0.01, 0.01, 600))  # fmt: skip

    def begin(self) -> None:
        """Nobody calls."""
        self.batt_rest = self.dice.fixed("batt", 13.2, 13.6)
        self.was = np.zeros(self.n, np.bool_)

    def move(self) -> None:
        """Answered calls are answered within 40 s."""
        calls = self.amid("call_button") | self.amid("call_unanswered") | self.amid("call_answered")
        begins, ends = np.flatnonzero(calls & ~self.was), np.flatnonzero(self.was & ~calls)
        self.was = calls
        answered = begins[self.amid("call_answered")[begins]]
        after = 10.0 + 28.0 * self.dice.uniform("answered")[answered]
        self.tell("call.active", begins, 0.5, 1.0)
        self.tell("call.ack", answered, after, 1.0)
        self.tell("call.active", ends, 0.5, 0.0)
        self.tell("call.ack", ends, 0.5, 0.0)

    def read(self) -> None:
        """Active from the press until somebody ends it."""
        self.put("call.active", self.was)
        self.put("call.ack", self.was & self.amid("call_answered"))
        self.put("call.selftest", ~self.amid("call_selftest"))
        self.put("call.line", ~self.amid("call_line"))
        self.put("call.batt", self.batt_rest - self.worn("battery_fade") * (self.batt_rest - 12.0))
