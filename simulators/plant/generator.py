"""Emergency generator: it starts by itself when the grid goes, or fails to.

A good start takes 11 to 14 s (the limit is 30 s: XF 503-2004, 4.2.2); a bad one is three cranks of 8 s
with rests of 6 s and then an alarm. States are those of the GenComm map: 0 stopped, 1 pre-start,
2 warm-up, 3 running, 4 cooling down, 5 stopped after running.
"""

from __future__ import annotations

from simulators.plant.base import Surroundings, Unit, toward

NOTICE_S, CRANK_S, REST_S, ATTEMPTS = 3.0, 8.0, 6.0, 3
COOL_S = 60.0


class Generator(Unit):
    """A diesel set.

    Faults: genset_fail (does not start; a running one stops), hard_start (fires at the second try),
    gen_overheat and gen_oil (while it runs), and the others of `simulators.kinds`.
    """

    def __init__(self, asset: str, seed: int) -> None:
        super().__init__(asset, seed)
        self.state = 0
        self.timer = 0.0
        self.attempts = 0
        self.firing_s = 3.0 + self.rng.random() * 2.0
        self.rpm = 0.0
        self.coolant = 41.0
        self.fuel = 82.0
        self.hours = 126.4
        self.starts = 58.0
        self.alarm = False
        self.load_kw = 0.0
        self.stolen = 0.0

    @property
    def at_voltage(self) -> bool:
        """True when the transfer switch may close, or stay closed while the set cools down."""
        return self.state in (3, 4) and self.rpm > 1400

    def step(self, around: Surroundings) -> None:
        """Follow the grid."""
        self.timer += around.dt
        broken = self.fault("genset_fail") > 0
        self.load_kw = around.generator_load
        if around.mains:
            self._grid_is_there()
        else:
            self._grid_is_gone(broken)
        cranking = self.state == 1 and self.timer > 0
        target = 1500.0 if self.state in (2, 3, 4) else 260.0 if cranking else 0.0
        self.rpm = toward(self.rpm, target, 1.2, around.dt)
        running = self.state in (2, 3, 4)
        hot = 108.0 if self.fault("gen_overheat") else 82.0
        self.coolant = toward(self.coolant, hot if running else 41.0, 180.0, around.dt)
        theft = self.fault("fuel_theft")
        if theft and self.stolen < 25.0:
            self.stolen += 0.08 * theft * around.dt
            self.fuel = max(0.0, self.fuel - 0.08 * theft * around.dt)
        self.stolen = self.stolen if theft else 0.0
        if running:
            self.hours += around.dt / 3600
            self.fuel = max(0.0, self.fuel - (4.0 + self.load_kw * 0.06) / 3600 * around.dt)
        around.generated = self.at_voltage

    def _grid_is_there(self) -> None:
        if self.state in (2, 3):
            self._enter(4)
        elif self.state == 1 or (self.state == 4 and self.timer >= COOL_S):
            self._enter(0)
        elif self.state == 5 and not self.fault("genset_fail"):  # somebody has repaired and reset it
            self.alarm = False
            self._enter(0)

    def _grid_is_gone(self, broken: bool) -> None:
        if self.state == 4:
            self._enter(3)
        if self.state in (2, 3) and broken:
            self.alarm = True
            self._enter(5)
        elif self.state == 0:
            self._enter(1, -NOTICE_S)
            self.attempts = 1
            self.starts += 1
        elif self.state == 1 and self._fires(broken):
            self._enter(2)
        elif self.state == 1 and self.timer >= CRANK_S:
            self._next_attempt()
        elif self.state == 2 and self.timer >= 4.0:
            self._enter(3)
        elif self.state == 5 and not broken:
            self.alarm = False
            self._enter(0)

    def _fires(self, broken: bool) -> bool:
        stiff = self.fault("hard_start") > 0 and self.attempts < 2
        return not broken and not stiff and self.timer >= self.firing_s

    def _next_attempt(self) -> None:
        if self.attempts >= ATTEMPTS:
            self.alarm = True
            self._enter(5)
        else:
            self.attempts += 1
            self.starts += 1
            self._enter(1, -REST_S)

    def _enter(self, state: int, timer: float = 0.0) -> None:
        self.state, self.timer = state, timer

    def values(self) -> dict[str, float]:
        """Controller readings; a stopped set shows zero speed, voltage and oil pressure."""
        n = self.noise
        turning = self.rpm > 1200
        return {
            "gen.state": float(self.state),
            "gen.mode": 2.0 if self.fault("gen_manual") else 1.0,
            "gen.rpm": max(0.0, self.rpm + (n("rpm", 2.0) if turning else 0.0)) if self.rpm > 20 else 0.0,
            "gen.u": 230.0 + n("u", 0.4) if turning else 0.0,
            "gen.i": self.load_kw * 1000 / (3 * 230.0 * 0.9) if turning else 0.0,
            "gen.p": self.load_kw if turning else 0.0,
            "gen.freq": self.rpm / 30 if turning else 0.0,
            "gen.oil_p": (70.0 if self.fault("gen_oil") else 420.0) + n("oil", 4.0) if turning else 0.0,
            "gen.coolant": self.coolant + n("coolant", 0.2),
            "gen.fuel": self.fuel,
            "gen.batt": 27.1
            - 3.1 * self.fault("gen_batt_fade")
            + n("batt", 0.03)
            - (2.0 if 20 < self.rpm < 400 else 0.0),
            "gen.hours": self.hours,
            "gen.starts": self.starts,
            "gen.alarm": float(self.alarm),
        }
