"""Sump pits in columns; the figures are those of `simulators.plant.drain`."""

from __future__ import annotations

import numpy as np

from simulators.months.chance import F8
from simulators.months.columns import Bool, Columns, Index, Tag, state
from simulators.plant.drain import (
    BACK_S,
    BOTH_M,
    DEPTH_M,
    HI_M,
    HIHI_M,
    PIT_M2,
    PUMP_M3H,
    RAIN_M3H,
    SEEP_M3H,
    START_M,
    STOP_M,
    SURGE_M3H,
)


class Sumps(Columns):
    """Two pumps in turn. Starts and stops happen at their true instants, between the steps."""

    KIND, MODEL = "drain", "sump"
    TAGS = (
        Tag("sump.level", 0.003, 0.001, 300, 0.01),
        *(state(f"sump.{name}_float") for name in ("hi", "hihi")),
        *(state(f"sump.pump{n}.{name}") for n in (1, 2) for name in ("run", "fault", "auto")),
        *(Tag(f"sump.pump{n}.current", 0.05, 0.01, 600, 0.3) for n in (1, 2)),
        *(state(f"sump.pump{n}.starts", 900) for n in (1, 2)),
    )

    def begin(self) -> None:
        """Half-full pits."""
        fixed = self.dice.fixed
        self.level = fixed("level", 0.5, 0.85)
        self.seep = SEEP_M3H * fixed("seep", 0.6, 1.5)
        self.able = np.stack([PUMP_M3H * fixed(f"able{k}", 0.93, 1.05) for k in (1, 2)])
        self.amps = np.stack([fixed(f"amps{k}", 7.2, 8.4) for k in (1, 2)])
        self.lead = np.zeros(self.n, np.int64)
        self.on = np.zeros((2, self.n), np.bool_)
        self.starts = np.round(np.stack([fixed(f"starts{k}", 1500, 3000) for k in (1, 2)]))
        self.back_s = np.zeros(self.n)
        self.rain = np.zeros(self.n)
        self.damp = np.zeros(self.n)

    def move(self) -> None:
        """Inflow, pumping, and the two switches of level."""
        inflow = self._inflow()
        out = self._outflow()
        net = (inflow - out.sum(axis=0)) / PIT_M2 / 3600
        new = self.level + net * self.dt
        stop = self.on.any(axis=0) & (new <= STOP_M) & (net < 0)
        able = ~self.amid("sump_pumps_fail")
        start = ~self.on.any(axis=0) & (new >= START_M) & able
        more = self.on.any(axis=0) & ~self.on.all(axis=0) & (new >= BOTH_M) & able
        new = self._stop(stop, net, inflow, new)
        new = self._start(start, net, inflow, new)
        if more.any():
            who = np.flatnonzero(more)
            second = np.where(self.on[0, who], 1, 0).astype(np.int64)
            self._switch(second, who, np.zeros(len(who)), value=True)
        dead = self.on.any(axis=0) & ~able
        self.on[:, dead] = False
        self.level = self._capped(new)

    def _inflow(self) -> F8:
        hour = self.hour
        use = 1 + 0.25 * self.swing * np.sin((hour - 9) / 24 * 2 * np.pi)
        self.damp = self.wander(self.damp, "damp", 0.12, 6 * 3600)
        wet = self._shower() + self.fault("rain")
        self.rain = self.toward(self.rain, wet, 900.0)
        grown = 1 + 2.0 * np.minimum(1.0, self.worn("seepage") * 10) * self.fault("seepage")
        inflow = self.seep * np.maximum(0.3, use + self.damp) * grown + RAIN_M3H * self.rain
        back = np.minimum(self.back_s, self.dt) / self.dt
        self.back_s = np.maximum(0.0, self.back_s - self.dt)
        share = np.where(self.amid("check_valve_sump"), 0.97 + 0.02 * self.fault("check_valve_sump"), 0.0)
        inflow = inflow + back * share * (START_M - STOP_M) * PIT_M2 * 3600 / BACK_S
        much = self.able.sum(axis=0) * (0.9 + 0.06 * self.fault("both_needed"))
        inflow = inflow + self.amid("both_needed") * (much - self.seep)
        high = self.amid("sump_high") | (np.asarray(self.fault("float_stuck")) >= 0.5)
        inflow = inflow + SURGE_M3H * (high & (self.level < self._top()))
        out: F8 = inflow + 120.0 * self.fault("sump_pumps_fail")
        return out

    def _shower(self) -> F8:
        """Ordinary rain: on one day of four, up to six hours, at most half of one pump."""
        u = self.dice.daily("shower", self.day)
        begins = 18 * self.dice.daily("shower from", self.day)
        lasts = 1 + 5 * self.dice.daily("shower for", self.day)
        falls = (u < 0.25) & (self.clock_h >= begins) & (self.clock_h < begins + lasts)
        strong: F8 = falls * 0.14 * self.dice.daily("shower of", self.day)
        return strong

    def _top(self) -> F8:
        severity = np.maximum(self.fault("sump_high"), self.fault("float_stuck"))
        return np.where(severity > 0, 1.45 + 0.45 * severity, DEPTH_M)

    def _capped(self, level: F8) -> F8:
        surge = self.amid("sump_high") | (np.asarray(self.fault("float_stuck")) >= 0.5)
        top = np.where(surge, self._top(), DEPTH_M)
        return np.clip(level, 0.1, np.maximum(top, self.level * surge))

    def _outflow(self) -> F8:
        worn = 1 - 0.5 * self.worn("pump_wear")
        clogged = 1 - np.where(self.amid("sump_clog"), 0.97 + 0.03 * self.fault("sump_clog"), 0.0)
        dry = 1 - 0.9 * self.amid("pump_dry")
        out: F8 = self.on * self.able * worn * clogged * dry
        return out

    def _switch(self, pump: Index, who: Index, after_s: F8, *, value: bool) -> None:
        """Pumps (0, 1) of pits go on or off inside the step."""
        for k in (0, 1):
            mine = pump == k
            chosen = who[mine]
            if not len(chosen):
                continue
            self.on[k, chosen] = value
            self.tell(f"sump.pump{k + 1}.run", chosen, after_s[mine], float(value))
            if value:
                self.starts[k, chosen] += 1
            amps = self._amps(k)[chosen] if value else 0.0
            self.tell(f"sump.pump{k + 1}.current", chosen, after_s[mine], amps)

    def _start(self, start: Bool, net: F8, inflow: F8, new: F8) -> F8:
        if not start.any():
            return new
        who = np.flatnonzero(start)
        after = np.clip((START_M - self.level[who]) / net[who], 0.0, self.dt - 0.1)
        self.tell("sump.level", who, after, np.maximum(self.level[who], START_M))
        self._switch(self.lead[who], who, after, value=True)
        net_on = (inflow - self._outflow().sum(axis=0))[who] / PIT_M2 / 3600
        at = np.maximum(self.level[who], START_M)
        new[who] = at + net_on * (self.dt - after)
        return new

    def _stop(self, stop: Bool, net: F8, inflow: F8, new: F8) -> F8:
        if not stop.any():
            return new
        who = np.flatnonzero(stop)
        after = np.clip((STOP_M - self.level[who]) / net[who], 0.0, self.dt - 0.1)
        self.tell("sump.level", who, after, STOP_M)
        for k in (0, 1):
            mine = self.on[k, who]
            self._switch(np.full(int(mine.sum()), k, np.int64), who[mine], after[mine], value=False)
        self.lead[who] = 1 - self.lead[who]
        self.back_s[who] = np.where(self.amid("check_valve_sump")[who], BACK_S, 0.0)
        new[who] = STOP_M + inflow[who] / PIT_M2 / 3600 * (self.dt - after)
        return new

    def _amps(self, k: int) -> F8:
        jam = np.where(self.amid("sump_jam"), 1.55 + 0.25 * self.fault("sump_jam"), 1.0)
        out: F8 = self.amps[k] * jam * np.where(self.amid("pump_dry"), 0.45, 1.0)
        return out

    def read(self) -> None:
        """Level in m; the floats are independent of the probe."""
        stuck = np.broadcast_to(self.fault("float_stuck"), (self.n,))
        up, down = (stuck > 0) & (stuck < 0.5), stuck >= 0.5
        self.put("sump.level", self.level)
        self.put("sump.hi_float", ((self.level >= HI_M) | up) & ~down)
        self.put("sump.hihi_float", self.level >= HIHI_M)
        for k in (0, 1):
            self.put(f"sump.pump{k + 1}.run", self.on[k])
            self.put(f"sump.pump{k + 1}.fault", self.amid("sump_pumps_fail"))
            self.put(f"sump.pump{k + 1}.auto", 1.0 if k else ~self.amid("sump_pump_manual"))
            self.put(f"sump.pump{k + 1}.current", self._amps(k) * self.on[k])
            self.put(f"sump.pump{k + 1}.starts", self.starts[k])
