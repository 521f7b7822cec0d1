"""Booster stations in columns; the figures are those of `simulators.plant.water`."""

from __future__ import annotations

import numpy as np

from simulators.months.chance import F8
from simulators.months.columns import Bool, Columns, Tag, Value, state
from simulators.plant.water import (
    FILL_M3H,
    FILL_OFF,
    FILL_ON,
    PER_PUMP_M3H,
    PUMP_STOP,
    PUMPS,
    ROTATE_S,
    SET_P,
    SLEEP_M3H,
    STAGE_HOLD_S,
    TANK_M2,
)

WORN_OUT = 0.4
"""Share of its head that an impeller has lost when it needs 50 Hz for an ordinary morning."""


class Waters(Columns):
    """Three variable-speed pumps at constant pressure, with a tank."""

    KIND, MODEL = "water", "water"
    TAGS = (
        Tag("ws.in_p", 0.002, 0.001, 300),
        Tag("ws.out_p", 0.0015, 0.001),
        Tag("ws.set_p", 0, 0.001, 900),
        Tag("ws.tank_level", 0.002, 0.01, 300),
        Tag("ws.flow", 0.05, 0.01),
        Tag("ws.total", 0, 0.1, 900),
        Tag("ws.turbidity", 0.006, 0.001, 300),
        Tag("ws.cl", 0.004, 0.001, 300),
        Tag("ws.ph", 0.01, 0.01, 300),
        Tag("ws.room_temp", 0.1, 0.1, 600, low=-40),
        *(state(f"ws.{name}") for name in ("room_flood", "door", "power")),
        *(state(f"ws.pump{n}.{name}") for n in PUMPS for name in ("run", "fault", "auto")),
        *(Tag(f"ws.pump{n}.freq", 0.03, 0.01, 300, 0.3) for n in PUMPS),
        *(Tag(f"ws.pump{n}.current", 0.08, 0.01, 300, 0.5) for n in PUMPS),
        *(state(f"ws.pump{n}.starts", 900) for n in PUMPS),
    )

    def begin(self) -> None:
        """A station at work, some way through its day."""
        n, fixed = self.n, self.dice.fixed
        self.scale = fixed("scale", 0.7, 1.3)
        self.night = fixed("night", 0.9, 1.9) * self.scale
        self.late = fixed("late", -0.8, 0.8)
        self.p, self.in_p = np.full(n, SET_P), fixed("in", 0.23, 0.29)
        self.in_rest, self.tank = self.in_p.copy(), fixed("tank", 1.8, 2.1)
        self.filling = np.zeros(n, np.bool_)
        self.sway, self.q = np.zeros(n), np.full(n, 5.0)
        self.duty, self.wanted = np.zeros(n, np.int64), np.ones(n, np.int64)
        self.staged_s, self.rotate_s = fixed("staged", 0, STAGE_HOLD_S), fixed("rotate", 0, ROTATE_S)
        self.run, self.down = np.zeros((3, n), np.bool_), np.zeros((3, n), np.bool_)
        self.starts = np.round(np.stack([fixed(f"starts{k}", 4000, 6000) for k in PUMPS]))
        self.freq, self.total = np.zeros((3, n)), fixed("total", 10_000, 90_000)
        self.turb, self.cl = fixed("ntu", 0.2, 0.35), fixed("cl", 0.34, 0.5)
        self.turb_rest, self.cl_rest = self.turb.copy(), self.cl.copy()
        self.friction = fixed("friction", 0.95, 1.05)
        self.ramp, self.cycle_s = np.zeros(n), fixed("cycle", 0, 240)
        self.asleep = np.zeros(n, np.bool_)

    def move(self) -> None:
        """Demand, tank, staging, pressure."""
        self._demand()
        self._tank()
        self._staging()
        self._pressure()
        self.total += self._flow() * self.dt / 3600
        bad = self.fault("water_quality")
        turb = self.turb_rest + 1.6 * bad + self.worn("turbidity_creep") * (1.0 - self.turb_rest)
        left = 1 - self.worn("chlorine_decay") * (1 - 0.05 / self.cl_rest)
        self.turb = self.toward(self.turb, turb, 20.0)
        self.cl = self.toward(self.cl, np.maximum(0.0, self.cl_rest * left - 0.39 * bad), 20.0)
        self._frequency()

    def _demand(self) -> None:
        hour = (self.hour - self.late) % 24
        late = 1.5 if self.rest else 0.0
        morning = np.exp(-(((hour - 7.5 - late) / (1.6 + 0.8 * self.rest)) ** 2))
        evening = np.exp(-(((hour - 19.5) / 2.4) ** 2))
        noon = (1.6 if self.rest else 0.5) * np.exp(-(((hour - 12.5) / 2.0) ** 2))
        day = 3.0 / (1 + np.exp(-(hour - 6.5) * 3)) / (1 + np.exp((hour - 23.0) * 3))
        away = 1 + 0.4 * (self.dice.fixed("away", -1, 0.6) if self.holiday else 0.0)
        use = day + self.swing * (7.5 * morning + 8.5 * evening + noon)
        self.sway = self.wander(self.sway, "sway", 0.45, 90.0)
        hot = 1 + 0.12 * self.fault("heat_wave")
        q = self.night + self.scale * away * hot * use + self.sway * np.sqrt(use / 8 + 0.05)
        leak = 1.5 * self.fault("night_leak") * np.minimum(1.0, self.worn("night_leak") * 40.0)
        self.q = np.maximum(0.3 * self.night, q) + leak

    def _tank(self) -> None:
        dry, wash = self.amid("tank_low"), self.amid("tank_wash")
        self.in_p = self.toward(self.in_p, np.where(dry, 0.005, self.in_rest), 5.0)
        self.filling = (self.tank <= FILL_ON) | (self.filling & (self.tank < FILL_OFF))
        fills = np.where(wash, self.tank < 0.9, self.filling) & ~dry  # one half is washed, one half feeds
        inflow = np.where(fills, FILL_M3H, 0.0) + 30.0 * self.fault("float_valve")
        drain = self._flow() + 400.0 * self.fault("tank_low") * (self.tank > 0.15)
        drain = drain + 14.0 * wash * (self.tank > 1.3)
        self.tank = np.clip(self.tank + (inflow - drain) / TANK_M2 / 3600 * self.dt, 0.05, 2.95)

    def _staging(self) -> None:
        self.staged_s += self.dt
        self.rotate_s += self.dt
        may = self.staged_s >= STAGE_HOLD_S
        more = may & (self.wanted < 3) & (self.q > PER_PUMP_M3H * self.wanted)
        less = may & (self.wanted > 1) & (self.q < PER_PUMP_M3H * (self.wanted - 1) - 2.0)
        self.wanted += more.astype(np.int64) - less
        self.staged_s[more | less] = 0.0
        turn = self.rotate_s >= ROTATE_S
        self.duty[turn] = (self.duty[turn] + 1) % 3
        self.rotate_s[turn] = 0.0
        place = (np.arange(3)[:, None] - self.duty) % 3
        trip = np.broadcast_to(self.fault("pump_trip"), (self.n,))
        first = (place == 0) & ~self.down.any(axis=0)
        self.down = (trip > 0) & ((trip >= 1.0) | self.down | first)
        order = np.where(self.down, 9, place)
        rank = (order[:, None] > order[None]).sum(axis=1)
        self.asleep = self._sleeps()
        able = (self.tank > PUMP_STOP) & ~self.amid("room_power") & ~self.asleep
        on = (rank < self.wanted) & (order < 9) & able
        self.starts += on & ~self.run
        self.run = on

    def _sleeps(self) -> Bool:
        """A vessel without air or a check valve that leaks back: 70 s of work, a rest, and again."""
        bad = np.maximum(self.fault("short_cycling"), self.fault("check_valve"))
        if not np.any(bad):
            return self._nobody
        self.cycle_s = self.cycle_s + self.dt
        whole = np.where(self.amid("short_cycling"), 360.0 - 180.0 * bad, 360.0 - 120.0 * bad)
        asleep: Bool = (bad > 0) & (self.q < SLEEP_M3H) & (self.cycle_s % whole >= 70.0)
        return asleep

    def _pressure(self) -> None:
        loss = np.zeros(self.n)
        for kind, share in (("pump_stall", 0.75), ("low_pressure", 0.45), ("burst", 0.62)):
            loss = np.maximum(loss, share * self.fault(kind))
        leak = self.fault("pressure_leak")
        grown = np.minimum(0.25, self.ramp + leak * 0.006 / 60 * self.dt)
        self.ramp = np.where(self.amid("pressure_leak"), grown, 0.0)
        head = np.where(self.amid("dry_run"), 0.05, SET_P * (1.0 - loss) - self.ramp)
        on = self.run.any(axis=0)
        target = np.where(on, head, np.where(self.asleep, SET_P * 0.94, 0.03))
        self.p = self.toward(self.p, target, np.where(on, 4.0, np.where(self.asleep, 90.0, 16.0)))

    def _flow(self) -> F8:
        share = np.clip(self.p / SET_P, 0.0, 1.0)
        out: F8 = (self.q + 55.0 * self.fault("burst")) * share
        return out

    def _frequency(self) -> None:
        strained = self.amid("pump_stall") | self.amid("burst") | self.amid("low_pressure") | (self.ramp > 0)
        each = self.q / np.maximum(1, self.run.sum(axis=0))
        worn = 1 - WORN_OUT * self.worn("impeller_wear")
        need = 50.0 * np.sqrt(SET_P / (0.62 * worn * (1 - 0.35 * np.minimum(1.0, each / 20.0) ** 2)))
        goal = np.where(strained | self.amid("dry_run"), 50.0, np.minimum(50.0, need))
        self.freq = np.where(self.run, goal, 0.0)

    def read(self) -> None:
        """Pressures in MPa, flow in m³/h."""
        hunts = self._hunting()
        stained = self.amid("room_door") | self.amid("tank_wash")
        for name, value in (
            ("in_p", self.in_p), ("out_p", self.p + hunts + 0.003 * self.fault("sensor_replaced")),
            ("set_p", SET_P), ("tank_level", self.tank), ("flow", self._flow()), ("total", self.total),
            ("turbidity", self.turb), ("cl", self.cl), ("ph", self._ph()),
            ("room_temp", 15 + 0.4 * self.outside_c), ("door", stained),
            ("room_flood", self.amid("burst") | self.amid("room_flood")),
            ("power", ~self.amid("room_power")),
        ):  # fmt: skip
            self.put(f"ws.{name}", value)
        suction = np.where(self.amid("dry_run"), 0.42, 1.0) * (1.0 + 0.4 * self.fault("pump_stall"))
        for k in PUMPS:
            on, freq = self.run[k - 1], self.freq[k - 1] + 90.0 * hunts * self.run[k - 1]
            self.put(f"ws.pump{k}.run", on)
            self.put(f"ws.pump{k}.fault", self.down[k - 1])
            self.put(f"ws.pump{k}.auto", 1.0 if k != 2 else ~self.amid("ws_pump_manual"))
            self.put(f"ws.pump{k}.freq", freq)
            rubs = 1.0 + 0.3 * self.worn("pump_bearing") * (k == 1)
            amps = (22.0 * (freq / 50.0) ** 2 + 1.2) * self.friction * suction * rubs
            self.put(f"ws.pump{k}.current", amps * on)
            self.put(f"ws.pump{k}.starts", self.starts[k - 1])

    def _ph(self) -> Value:
        return 7.35 + 1.6 * self.fault("ph_off") + 1.1 * self.worn("ph_drift")

    def _hunting(self) -> F8 | float:
        """A drive that hunts: up to ±0.05 MPa with a period of 8 to 20 s."""
        if not self.has("hunting"):
            return 0.0
        depth = self.fault("hunting")
        period = self.dice.fixed("hunting", 8, 20)
        wave: F8 = np.sin(2 * np.pi * self.now / 1000 / period)
        return np.where(self.amid("hunting"), 0.05 * depth * wave, 0.0)
