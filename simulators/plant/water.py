"""Domestic water booster: municipal inlet, tank, three variable-speed pumps at constant pressure."""

from __future__ import annotations

import math

from simulators.plant.base import Surroundings, Unit, toward

PUMPS = (1, 2, 3)
SET_P = 0.35
TANK_M2 = 24.0
FILL_ON, FILL_OFF, PUMP_STOP = 1.7, 2.3, 0.4
FILL_M3H = 26.0
PER_PUMP_M3H = 9.0
STAGE_HOLD_S = 900.0
"""Pumps are added or taken away at most every 15 min, so that none starts more than 4 times an hour."""

ROOM_FLOODS_M, DROWNS_S = 1.98, 240.0
"""From this level of the pit on water stands in the pump room; so long after that its motors give up."""

STANDBY_S = 3.0
ROTATE_S = 4 * 3600.0
SLEEP_M3H = 4.0
"""Below this demand a station that cannot hold its pressure starts again and again."""


class Water(Unit):
    """Holds 0.35 MPa at the outlet by speed. Severities scale how far the pressure falls.

    Faults: pump_stall (running without head, no fault contact: the station does not notice), pump_trip
    (below 1 the duty pump, at 1 all of them), pressure_leak (slow ramp), the others of `simulators.kinds`.
    """

    def __init__(self, asset: str, seed: int) -> None:
        super().__init__(asset, seed)
        self.p = SET_P
        self.in_p = 0.26
        self.tank = 1.8 + self.rng.random() * 0.3
        self.filling = False
        self.q = 5.0
        self.sway = 0.0
        self.duty = 1
        self.wanted = 1
        self.staged_s = STAGE_HOLD_S
        self.rotate_s = 0.0
        self.running: tuple[int, ...] = (1,)
        self.freq = dict.fromkeys(PUMPS, 0.0)
        self.hours = {n: 3200.0 + 150 * n for n in PUMPS}
        self.starts = {n: 5100.0 + 40 * n for n in PUMPS}
        self.total = 88_100.0 + self.rng.random() * 500
        self.turbidity, self.chlorine = 0.28, 0.42
        self.ramp = 0.0
        self.flood_s = 0.0
        self.trip_s = 0.0
        self.powered = True
        self.drowned_s = 0.0
        self.cycle_s = 0.0
        self.asleep = False

    def step(self, around: Surroundings) -> None:
        """Demand, tank, staging, pressure."""
        dt = around.dt
        self.drowned_s = self.drowned_s + dt if around.pit_m >= ROOM_FLOODS_M else 0.0
        fed = around.essential and around.phases and not self.fault("room_power")
        self.powered = fed and self.drowned_s < DROWNS_S
        self.asleep = self._sleeps(dt)
        self._demand(dt, around.hour)
        self._tank(dt)
        self._staging(dt)
        target = self._target_pressure()
        self.p = toward(self.p, target, self._tau(target), dt)
        for n in PUMPS:
            self._pump(n, dt)
        self.total += self._flow() * dt / 3600
        bad = self.fault("water_quality")
        creep, decay = 0.72 * self.fault("turbidity_creep"), 0.37 * self.fault("chlorine_decay")
        self.turbidity = toward(self.turbidity, 0.28 + 1.6 * bad + creep, 20.0, dt)
        self.chlorine = toward(self.chlorine, 0.42 - 0.39 * bad - decay, 20.0, dt)
        leak = self.fault("pressure_leak")
        self.ramp = min(0.25, self.ramp + leak * 0.006 / 60 * dt) if leak else 0.0
        self.flood_s = self.flood_s + dt if self.fault("burst") else 0.0
        self.trip_s = self.trip_s + dt if self.fault("pump_trip") else 0.0

    def _demand(self, dt: float, hour: float) -> None:
        morning = math.exp(-(((hour - 7.5) / 1.6) ** 2))
        evening = math.exp(-(((hour - 19.5) / 2.4) ** 2))
        self.sway += -self.sway * dt / 90.0 + self.rng.gauss(0.0, 0.45) * math.sqrt(2 * dt / 90.0)
        self.q = max(0.6, 1.6 + 3.0 * (7 <= hour < 23) + 7.5 * morning + 8.5 * evening + self.sway)
        self.q += 1.5 * self.fault("night_leak")

    def _sleeps(self, dt: float) -> bool:
        """A vessel without air or a check valve that leaks back: 70 s of work, a rest, and again."""
        vessel, valve = self.fault("short_cycling"), self.fault("check_valve")
        if not (vessel or valve):
            return False
        self.cycle_s += dt
        whole = 360.0 - 180.0 * vessel if vessel else 360.0 - 120.0 * valve
        return self.q < SLEEP_M3H and self.cycle_s % whole >= 70.0

    def _tank(self, dt: float) -> None:
        dry = self.fault("tank_low")
        self.in_p = toward(self.in_p, 0.005 if dry else 0.26, 5.0, dt)
        if self.tank <= FILL_ON:
            self.filling = True
        elif self.tank >= FILL_OFF:
            self.filling = False
        inflow = (FILL_M3H if self.filling and not dry else 0.0) + 30.0 * self.fault("float_valve")
        drain = self._flow() + 400.0 * dry * (self.tank > 0.15)
        self.tank = min(2.95, max(0.05, self.tank + (inflow - drain) / TANK_M2 / 3600 * dt))

    def _tripped(self) -> tuple[int, ...]:
        trip = self.fault("pump_trip")
        if not trip:
            return ()
        return PUMPS if trip >= 1.0 else (self.duty,)

    def _staging(self, dt: float) -> None:
        self.staged_s += dt
        self.rotate_s += dt
        if self.staged_s >= STAGE_HOLD_S:
            more = self.wanted < len(PUMPS) and self.q > PER_PUMP_M3H * self.wanted
            less = self.wanted > 1 and self.q < PER_PUMP_M3H * (self.wanted - 1) - 2.0
            if more or less:
                self.wanted, self.staged_s = self.wanted + (1 if more else -1), 0.0
        down = self._tripped()
        if self.rotate_s >= ROTATE_S and not self.faults:
            self.duty, self.rotate_s = self.duty % len(PUMPS) + 1, 0.0
        order = [(self.duty - 1 + k) % len(PUMPS) + 1 for k in range(len(PUMPS))]
        fit = [n for n in order if n not in down]
        if down and self.trip_s < STANDBY_S:
            fit = [n for n in fit if n in self.running]
        able = self.powered and self.tank > PUMP_STOP and not self.asleep
        on = tuple(sorted(fit[: self.wanted])) if able else ()
        for n in on:
            if n not in self.running:
                self.starts[n] += 1
        self.running = on

    def _flow(self) -> float:
        share = max(0.0, min(1.0, self.p / SET_P))
        return self.q * share + 55.0 * self.fault("burst") * share

    def _target_pressure(self) -> float:
        if not self.running:
            return SET_P * 0.94 if self.asleep else 0.03
        if self.fault("dry_run"):
            return 0.05
        loss = max(
            0.75 * self.fault("pump_stall"),
            0.45 * self.fault("low_pressure"),
            0.62 * self.fault("burst"),
        )
        return SET_P * (1.0 - loss) - self.ramp

    def _tau(self, target: float) -> float:
        if not self.running:
            return 90.0 if self.asleep else 16.0
        return 4.0 if target < self.p else 2.5

    def _pump(self, n: int, dt: float) -> None:
        on = n in self.running
        strained = bool(
            self.fault("pump_stall") or self.fault("burst") or self.fault("low_pressure") or self.ramp
            or self.fault("dry_run")
        )  # fmt: skip
        head = 0.62 * (1 - 0.4 * self.fault("impeller_wear"))
        each = self.q / max(1, len(self.running))
        need = 50.0 * math.sqrt(SET_P / (head * (1 - 0.35 * min(1.0, each / 20.0) ** 2)))
        goal = (50.0 if strained else min(50.0, need)) if on else 0.0
        self.freq[n] = toward(self.freq[n], goal, 1.5 if on else 0.6, dt)
        if on:
            self.hours[n] += dt / 3600

    def _amps(self, n: int) -> float:
        if n not in self.running:
            return 0.0
        jam = (1.0 + 0.4 * self.fault("pump_stall")) * (0.42 if self.fault("dry_run") else 1.0)
        jam *= 1.0 + 0.3 * self.fault("pump_bearing") * (n == 1)
        return (22.0 * (self.freq[n] / 50.0) ** 2 + 1.2) * jam + self.noise(f"a{n}", 0.08)

    def _hunting(self) -> float:
        """A drive that hunts: up to ±0.05 MPa every 14 s."""
        depth = self.fault("hunting")
        return 0.05 * depth * math.sin(2 * math.pi * self.now / 14_000) if depth else 0.0

    def values(self) -> dict[str, float]:
        """Pressures in MPa, flow in m³/h, total in m³."""
        n = self.noise
        down = self._tripped()
        out = {
            "ws.in_p": max(0.0, self.in_p + n("in", 0.002)),
            "ws.out_p": max(0.0, self.p + self._hunting() + n("out", 0.0015)),
            "ws.set_p": SET_P,
            "ws.tank_level": self.tank + n("tank", 0.002),
            "ws.flow": max(0.0, self._flow() + n("flow", 0.05)),
            "ws.total": self.total,
            "ws.turbidity": max(0.0, self.turbidity + n("ntu", 0.006)),
            "ws.cl": max(0.0, self.chlorine + n("cl", 0.004)),
            "ws.ph": 7.35 + 1.6 * self.fault("ph_off") + 1.1 * self.fault("ph_drift") + n("ph", 0.01),
            "ws.room_flood": float(self.flood_s > 25.0 or self.drowned_s > 0 or self.fault("room_flood") > 0),
            "ws.room_temp": 23.0 + n("room", 0.1),
            "ws.door": float(self.fault("room_door") > 0),
            "ws.power": float(self.powered),
        }
        for k in PUMPS:
            out[f"ws.pump{k}.run"] = float(k in self.running)
            out[f"ws.pump{k}.fault"] = float(k in down)
            out[f"ws.pump{k}.auto"] = float(k != 2 or not self.fault("ws_pump_manual"))
            hertz = self.freq[k] + 90.0 * self._hunting() * (k in self.running)
            out[f"ws.pump{k}.freq"] = hertz if self.freq[k] > 0.5 else 0.0
            out[f"ws.pump{k}.current"] = self._amps(k)
            out[f"ws.pump{k}.hours"] = self.hours[k]
            out[f"ws.pump{k}.starts"] = self.starts[k]
        return out
