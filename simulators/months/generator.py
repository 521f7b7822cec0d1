"""Emergency generators in columns; the figures are those of `simulators.plant.generator`."""

from __future__ import annotations

import numpy as np

from simulators.months.chance import F8
from simulators.months.columns import Bool, Columns, Index, Tag, state
from simulators.plant.generator import ATTEMPTS, CRANK_S, NOTICE_S, REST_S

STEP_S = 60.0
"""Three cranks with their rests fit into one step of this length."""


class Generators(Columns):
    """Sets at rest that are called by a power cut (`called`) or by the weekly test.

    Starts happen at their true instants inside a step of a minute.
    """

    KIND, MODEL = "generator", "generator"
    TAGS = (
        state("gen.state"), state("gen.mode"), Tag("gen.rpm", 2.0, 1.0, 600, 10.0),
        Tag("gen.u", 0.4, 0.1, 600, 2.0), Tag("gen.oil_p", 4.0, 1.0, 600, 15.0),
        Tag("gen.coolant", 0.2, 1.0, 300, low=-40), Tag("gen.fuel", 0.1, 0.5, 300),
        Tag("gen.batt", 0.03, 0.1, 300), state("gen.starts", 900), state("gen.alarm"),
    )  # fmt: skip

    def begin(self) -> None:
        """Standing still, in automatic."""
        if self.dt < STEP_S:
            raise ValueError(f"generators move in steps of {STEP_S:g} s, not {self.dt:g} s")
        n, fixed = self.n, self.dice.fixed
        self.fuel, self.stolen, self.burnt = fixed("fuel", 75, 95), np.zeros(n), np.zeros(n)
        self.batt_rest, self.firing = fixed("batt", 26.8, 27.5), fixed("firing", 3, 5)
        self.coolant, self.starts = np.full(n, 41.0), np.round(fixed("starts", 20, 90))
        self.mode_state, self.alarm = np.zeros(n), np.zeros(n, np.bool_)
        self.running = np.zeros(n, np.bool_)
        self.called = np.zeros(n, np.bool_)

    def move(self) -> None:
        """Start, run, stop."""
        wanted = self._wanted()
        begins, ends = wanted & ~self.called, self.called & ~wanted
        if begins.any():
            self._start(np.flatnonzero(begins))
        if ends.any():
            self.running[ends] = False
            self.alarm[ends] = False
            self.mode_state[ends] = 0.0
        self.called = wanted
        hot = np.where(self.amid("gen_overheat"), 108.0, 82.0)
        self.coolant = self.toward(self.coolant, np.where(self.running, hot, 41.0), 180.0)
        self.burnt += np.where(self.running, 6.0 / 3600 * self.dt, 0.0)
        self._thieves()

    def _thieves(self) -> None:
        """A fifth of the tank within five minutes, read every ten seconds."""
        theft, who = self.fault("fuel_theft"), np.flatnonzero(self.amid("fuel_theft"))
        before = self.stolen
        taken = np.minimum(20.0 * theft + 5.0, before + 0.08 * theft * self.dt)
        self.stolen = np.where(self.amid("fuel_theft"), taken, 0.0)
        for k in range(int(self.dt // 10) if len(who) else 0):
            stolen = before + (self.stolen - before) * 10 * k / self.dt
            left = self.fuel - stolen - self.burnt
            self.tell("gen.fuel", who, 10.0 * k, np.round(left[who]))

    def _wanted(self) -> Bool:
        weekday = (self.day + 3) % 7  # 0 is a Monday
        test = (weekday == 2) & (10.0 <= self.clock_h < 10.25)
        cut = self.amid("genset_fail") | self.amid("hard_start") | self.amid("gen_overheat")
        wanted: Bool = (test & ~self.amid("gen_manual")) | cut | self.amid("gen_oil")
        return wanted

    def _start(self, who: Index) -> None:
        """Cranks of 8 s with rests of 6 s until it fires, at most three."""
        tell = self.tell
        bad = self.amid("genset_fail")[who]
        fires_on = np.where(bad, ATTEMPTS + 1, np.where(self.amid("hard_start")[who], 2, 1))
        tell("gen.state", who, 0.5, 1.0)
        for k in range(1, ATTEMPTS + 1):
            at = NOTICE_S + (k - 1) * (CRANK_S + REST_S)
            turns = who[fires_on >= k]
            if not len(turns):
                break
            self.starts[turns] += 1
            tell("gen.starts", turns, at, self.starts[turns])
            tell("gen.rpm", turns, at + 1.0, 260.0)
            tell("gen.batt", turns, at + 1.0, self._batt()[turns] - 2.0)
            ends = who[fires_on > k]
            tell("gen.rpm", ends, at + CRANK_S, 0.0)
            tell("gen.batt", ends, at + CRANK_S, self._batt()[ends])
            good = who[fires_on == k]
            fired = at + self.firing[good]
            tell("gen.state", good, fired, 2.0)
            tell("gen.rpm", good, fired + 3.0, 1500.0)
            tell("gen.oil_p", good, fired + 3.0, self._oil()[good])
            tell("gen.state", good, fired + 4.0, 3.0)
            self.running[good] = True
            self.mode_state[good] = 3.0
        failed = who[bad]
        tell("gen.alarm", failed, 45.0, 1.0)
        tell("gen.state", failed, 45.0, 5.0)
        self.alarm[failed] = True
        self.mode_state[failed] = 5.0

    def _batt(self) -> F8:
        cold = 0.02 * (self.outside_c - 18)
        out: F8 = self.batt_rest + cold - self.worn("gen_batt_fade") * (self.batt_rest - 24.0)
        return out

    def _oil(self) -> F8:
        return np.where(self.amid("gen_oil"), 70.0, 420.0)

    def read(self) -> None:
        """A stopped set shows zero speed, voltage and oil pressure."""
        on = self.running
        for tag, value in (
            ("state", self.mode_state), ("mode", np.where(self.amid("gen_manual"), 2.0, 1.0)),
            ("rpm", 1500.0 * on), ("u", 230.0 * on), ("oil_p", self._oil() * on),
            ("coolant", self.coolant), ("fuel", np.maximum(0.0, self.fuel - self.stolen - self.burnt)),
            ("batt", self._batt()), ("starts", self.starts), ("alarm", self.alarm),
        ):  # fmt: skip
            self.put(f"gen.{tag}", value)
