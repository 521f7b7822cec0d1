"""Incoming supplies with transformer in columns; the figures are those of `simulators.plant.power`."""

from __future__ import annotations

import numpy as np

from simulators.months.columns import Bool, Columns, Tag, state
from simulators.plant.power import TRANSFORMER_KVA, TRIP_C

PHASES = "abc"


class Powers(Columns):
    """630 kVA dry transformers whose load follows the day, the week and the heat."""

    KIND, MODEL = "power", "power"
    TAGS = (
        *(Tag(f"pw.u{p}", 0.5, 0.1) for p in PHASES),
        *(Tag(f"pw.i{p}", 0.6, 0.1, 300) for p in PHASES),
        Tag("pw.p", 0.3, 0.1, 300),
        Tag("pw.pf", 0.002, 0.001, 300),
        Tag("pw.freq", 0.012, 0.01, 300),
        Tag("pw.load", 0.1, 0.1, 300),
        Tag("pw.unbal_u", 0.02, 0.01, 300),
        Tag("pw.leak", 3.0, 1.0, 300),
        *(Tag(f"tr.temp_{p}", 0.2, 0.1, 300, low=-40) for p in PHASES),
        state("tr.fan"),
        state("ats.pos"),
        state("brk1.trip"),
    )

    def begin(self) -> None:
        """Under load."""
        n, fixed = self.n, self.dice.fixed
        self.base_kw, self.peak_kw = fixed("base", 70, 160), fixed("peak", 35, 110)
        self.kw, self.leak_rest = self.base_kw.copy(), fixed("leak", 90, 170)
        self.leak_ma, self.damp = self.leak_rest.copy(), np.zeros(n)
        self.winding = 46.0 + 0.2 * self.kw
        self.fan, self.tripped = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
        self.sway, self.volts = np.zeros(n), fixed("volts", 221, 230)
        self.grid = np.zeros(n)
        self.skew = np.stack([fixed(f"skew{p}", -0.8, 0.8) for p in PHASES])

    def move(self) -> None:
        """Load, winding, residual current."""
        overheats = self.amid("transformer_trip")
        self.tripped = overheats & (self.tripped | (self.winding >= TRIP_C))
        self.live = ~self.amid("power_cut") & ~self.tripped
        evening = np.exp(-(((self.hour - 20.0) / 3.0) ** 2))
        noon = 0.35 * np.exp(-(((self.hour - 12.5) / 2.0) ** 2))
        cooling = 0.03 * np.maximum(0.0, self.outside_c - 26.0)
        use = 1 + (0.12 if self.rest else 0.0) + cooling
        self.sway = self.wander(self.sway, "sway", 3.0, 1200.0)
        need = self.base_kw * 0.9 + self.swing * self.peak_kw * (evening + noon) * use + self.sway
        capacity = TRANSFORMER_KVA * 0.952
        peak = self.base_kw * 0.9 + self.swing * self.peak_kw
        growth = self.worn("load_growth") * np.maximum(0.0, 0.85 * capacity - peak)
        need = need + growth * (0.4 + 0.6 * evening) + self.fault("overload") * 1.08 * capacity
        self.kw = self.toward(self.kw, np.where(self.live, need, 0.0), 2.0)
        self._winding(overheats)
        self.damp = self.wander(self.damp, "damp", 12.0, 12 * 3600)
        jump = self.fault("leak_current")
        creep = self.worn("leak_creep") * (300.0 - self.leak_rest)
        ma = np.where(jump, 350.0 + 250.0 * jump, (self.leak_rest + self.damp + creep) * self.live)
        self.leak_ma = self.toward(self.leak_ma, ma, 2.0)

    def _winding(self, overheats: Bool) -> None:
        room = 0.5 * (self.outside_c - 18)
        hot = self.fault("transformer_hot")
        calm = np.minimum(98.0, 34.0 + 0.13 * self.kw + room) + 30.0 * self.worn("heat_creep")
        cooled = np.where(self.fan, 12.0, 0.0)
        dead = self.amid("fan_fail")
        calm = np.where(dead, 112.0 + 6.0 * self.fault("fan_fail"), calm - cooled * (calm > 80))
        target = np.where(hot, 118.0 + 26.0 * hot, calm)
        target = np.where(overheats, np.where(self.tripped, 60.0, 175.0), target)
        tau = np.where(hot, 15.0, np.where(overheats, 40.0, np.where(dead, 120.0, 900.0)))
        self.winding = self.toward(self.winding, target, tau)
        self.fan = (self.winding > np.where(self.fan, 80.0, 100.0)) & ~dead

    def read(self) -> None:
        """Incoming side: zero while the grid is gone."""
        live = self.live.astype(np.float64)
        self.grid = self.wander(self.grid, "grid", 1.2, 1800.0)
        sag = self.volts + self.grid - 0.006 * self.kw
        shift = np.where(self.amid("voltage_high"), 12.0 + 6.0 * self.fault("voltage_high"), 0.0)
        sag = np.where(shift > 0, 228.0 + shift, sag)
        dip = self.fault("voltage_low")
        sag = np.where(dip, 196.0 - 6.0 * dip, sag)
        volts = np.stack([sag + self.skew[k] for k in range(3)]) * live
        volts[0] = np.where(self.amid("phase_loss"), 0.0, volts[0])
        one = self.fault("unbalance")
        volts[1] = volts[1] * np.where(one, 0.93 - 0.02 * one, 1.0)
        volts[2] = np.where(one, np.maximum(volts[2], 222.0), volts[2])
        mean = volts.mean(axis=0)
        unbal = 100 * np.abs(volts - mean).max(axis=0) / np.maximum(mean, 1.0) * live
        amps = self.kw * 1000 / (3 * 227.0 * 0.952)
        for k, p in enumerate(PHASES):
            self.put(f"pw.u{p}", volts[k])
            self.put(f"pw.i{p}", amps * (volts[k] > 50))
            self.put(f"tr.temp_{p}", self.winding + (0.0, 2.5, -1.5)[k])
        for tag, value in (
            ("pw.p", self.kw), ("pw.pf", (0.952 - 0.09 * self.fault("bad_pf")) * live),
            ("pw.freq", 50.0 * live), ("pw.load", self.kw / 0.952 / TRANSFORMER_KVA * 100),
            ("pw.unbal_u", unbal), ("pw.leak", self.leak_ma), ("tr.fan", self.fan),
            ("ats.pos", 1.0), ("brk1.trip", self.amid("breaker_trip")),
        ):  # fmt: skip
            self.put(tag, value)
