"""A traction lift: 18 floors, 1.75 m/s. Trips, doors, passengers; stops where it is when the power goes."""

from __future__ import annotations

import math
from typing import Literal

from simulators.plant.base import Surroundings, Unit, toward

FLOORS = 18
FLOOR_M = 2.9
RATED = 1.75
ACCEL = 0.8
CREEP = 0.3
ZONE_M = 0.15
DOOR_S = 2.8
BUTTON_AFTER_S, BUTTON_HELD_S, BUTTON_AGAIN_S = 20.0, 6.0, 45.0
"""A trapped passenger presses the alarm button after 20 s for 6 s, and again every 45 s."""

Phase = Literal["idle", "boarding", "closing", "moving", "opening", "held", "creeping", "out", "shut"]
HOLDING = ("trap_passenger", "trap_silent", "trap_power", "stopped_between")
"""Faults that hold the car between two floors."""


class Lift(Unit):
    """One car.

    Faults that hold it between two floors with a person in it: trap_passenger (who presses the
    button), trap_silent, trap_power (its own supply fails). Others: see `simulators.kinds`; worn parts show
    what they are like by severity.

    held: stopped between floors · creeping: to the nearest floor at 0.3 m/s · out: out of service at a
    floor with the door open · shut: at a floor, and the door does not open.
    """

    def __init__(self, asset: str, seed: int) -> None:
        super().__init__(asset, seed)
        self.phase: Phase = "idle"
        self.timer = 0.0
        self.pos = float(self.rng.randrange(FLOORS)) * FLOOR_M
        self.target = self.pos
        self.speed = 0.0
        self.door = 0.0  # 0 closed … 1 open
        self.door_time = DOOR_S
        self.passenger = False
        self.waiting = False  # somebody stands at the door and will get in
        self.mains = True
        self.recall = False
        self.wait = self.rng.uniform(2.0, 40.0)
        self.level_err = 0.0
        self.vib = (0.16, 0.10)
        self.trips = 41_200.0 + self.rng.randrange(5000)
        self.run_s = self.trips * 21.0
        self.motor_c = 38.0
        self.held_s = 0.0
        self.stood_s = 0.0

    # ── motion ────────────────────────────────────────────────────────────────────────────────────────

    def step(self, around: Surroundings) -> None:
        """One tick of the car."""
        self.timer += around.dt
        dark = self.fault("trap_power") and self.phase == "held"
        self.mains, self.recall = around.essential and around.phases and not dark, around.recall
        getattr(self, f"_{self.phase}")(around.dt, around.hour)
        self.motor_c = toward(self.motor_c, 52.0 if self.phase == "moving" else 38.0, 600.0, around.dt)
        self.held_s = self.held_s + around.dt if self.phase == "held" else 0.0
        self.stood_s = 0.0 if self.speed else self.stood_s + around.dt
        if self.speed:
            self.run_s += around.dt

    def _enter(self, phase: Phase) -> None:
        self.phase, self.timer = phase, 0.0

    def _idle(self, dt: float, hour: float) -> None:
        if not self.mains:
            return
        if self.fault("lift_fault") or self.fault("door_reversal"):
            self._enter("opening")
        elif self._stops_between() or self._fast():
            self._trip()
        elif self.fault("trap_level"):
            self.passenger = True
            self._enter("shut")
        elif self.recall:
            self._go_to(0) if self.pos > ZONE_M else self._enter("opening")
        else:
            self.wait -= dt
            if self.wait <= 0:
                self._called(hour)

    def _called(self, hour: float) -> None:
        quiet = 4.0 if hour < 6 or hour >= 23 else 1.0
        self.wait = self.rng.uniform(10.0, 90.0) * quiet
        self.door_time = DOOR_S * (1 + 0.25 * self.fault("door_wear")) + self.rng.gauss(0, 0.05)
        self.waiting = True
        floor = self.rng.randrange(FLOORS)
        if floor == round(self.pos / FLOOR_M):
            self._enter("opening")
        else:
            self._go_to(floor)

    def _opening(self, dt: float, _hour: float) -> None:
        if not self.mains:
            return  # the door stands where it is
        self.door = min(1.0, self.door + dt / self.door_time)
        if self.door >= 1.0:
            self._enter("out" if self.fault("lift_fault") else "boarding")

    def _boarding(self, _dt: float, _hour: float) -> None:
        if self.timer > 1.5:
            self.passenger = self.waiting and not self.recall
        home = self.recall and self.pos <= ZONE_M
        if self.mains and not home and (self.timer >= 5.0 or self._stops_between()):
            self._enter("closing")

    def _closing(self, dt: float, _hour: float) -> None:
        if not self.mains:
            return
        if self.fault("lift_fault"):
            self._enter("opening")
            return
        self.door = max(0.0, self.door - dt / self.door_time)
        if self.door > 0.0:
            return
        if self.fault("door_reversal"):
            if self.timer > 6.0:
                self._enter("opening")
        elif self.fault("trap_level"):
            self.passenger = True
            self._enter("shut")
        elif self.passenger or self._stops_between():
            self._trip()
        else:
            self._enter("idle")

    def _trip(self) -> None:
        here = round(self.pos / FLOOR_M)
        self.passenger, self.waiting = not self.fault("stopped_between"), False
        self._go_to(0 if self.recall else self.rng.choice([f for f in range(FLOORS) if abs(f - here) >= 2]))

    def _go_to(self, floor: int) -> None:
        self.target = floor * FLOOR_M
        rough = 1 + 0.3 * self.fault("guide_wear")
        self.vib = ((0.16 + self.rng.random() * 0.06) * rough, 0.10 + self.rng.random() * 0.04)
        self.trips += 1
        self._enter("moving")

    def _moving(self, dt: float, _hour: float) -> None:
        if not self.mains:
            self._enter("held" if not self._in_zone() else "creeping")
            self.speed = 0.0
            return
        if self._stops_between() and self._between_floors() and self.timer > 1.0:
            self.passenger, self.speed = not self.fault("stopped_between"), 0.0
            self._enter("held")
            return
        self._travel(dt, self._fast() or RATED)
        if self.pos == self.target:
            self._arrive()

    def _held(self, _dt: float, _hour: float) -> None:
        if self.mains and not self._stops_between() and self.timer > 3.0:
            self.target = round(self.pos / FLOOR_M) * FLOOR_M
            self._enter("creeping")

    def _creeping(self, dt: float, _hour: float) -> None:
        if not self.mains:
            self.speed = 0.0
            return
        self.target = round(self.pos / FLOOR_M) * FLOOR_M
        self._travel(dt, CREEP)
        if self.pos == self.target:
            self._arrive()

    def _shut(self, _dt: float, _hour: float) -> None:
        if not self.fault("trap_level"):
            self._enter("opening")

    def _stops_between(self) -> bool:
        return any(self.fault(kind) for kind in HOLDING)

    def _fast(self) -> float:
        """Speed of a drive that runs away, 0 when it does not."""
        severity = self.fault("overspeed")
        return (2.05 if severity >= 0.5 else 1.90) if severity else 0.0

    def _out(self, _dt: float, _hour: float) -> None:
        self.passenger = False
        if not self.fault("lift_fault"):
            self._enter("boarding")

    def _travel(self, dt: float, limit: float) -> None:
        left = abs(self.target - self.pos)
        self.speed = min(limit, self.speed + ACCEL * dt, max(0.12, math.sqrt(2 * ACCEL * left)))
        move = min(left, self.speed * dt)
        self.pos += math.copysign(move, self.target - self.pos)
        if left - move < 1e-9:
            self.pos = self.target

    def _arrive(self) -> None:
        self.speed = 0.0
        self.level_err = max(-7.0, min(7.0, self.rng.gauss(0, 2.2))) + 10.0 * self.fault("level_drift")
        self._enter("opening")

    def _in_zone(self) -> bool:
        return abs(self.pos - round(self.pos / FLOOR_M) * FLOOR_M) <= ZONE_M

    def _between_floors(self) -> bool:
        return 0.3 < self.pos / FLOOR_M % 1.0 < 0.7

    # ── sensors ───────────────────────────────────────────────────────────────────────────────────────

    def _button(self) -> bool:
        if self.fault("trap_silent") or self.fault("trap_power"):
            return False
        shut = self.timer if self.phase == "shut" and self.fault("trap_level") >= 0.5 else 0.0
        since = max(self.held_s, shut) - BUTTON_AFTER_S
        return self.passenger and since >= 0 and since % BUTTON_AGAIN_S < BUTTON_HELD_S

    def _released(self) -> bool:
        """The brake opens for a trip; a lagging one closes late, a dragging one not at all."""
        if self.fault("brake_drag"):
            return False
        lag = self.fault("brake_lag")
        return self.speed > 0 or (lag > 0 and self.stood_s < 1.2 + 1.3 * lag)

    def _mode(self) -> int:
        if self.phase == "out" or (self.fault("lift_fault") and self.phase == "opening"):
            return 0
        return 3 if self.recall else 1

    def values(self) -> dict[str, float]:
        """The generic lift box: mode 0 stopped, 1 normal, 3 fire recall; fault 2 = door does not close."""
        n = self.noise
        moving = self.speed > 0
        closed = self.door <= 0.0
        up = self.target > self.pos
        sigma = 0.01 if moving else 0.002
        hot = 34.0 * self.fault("machine_room_hot")
        return {
            "lift.service_mode": float(self._mode()),
            "lift.moving": float(moving),
            "lift.direction": (1.0 if up else 2.0) if moving else 0.0,
            "lift.door_zone": float(self._in_zone()),
            "lift.floor": float(round(self.pos / FLOOR_M) + 1),
            "lift.door_closed": float(closed),
            "lift.passenger": float(self.passenger),
            "lift.alarm_button": float(self._button()),
            "lift.mains": float(self.mains),
            "lift.safety_chain": 1.0,
            "lift.door_lock": float(closed),
            "lift.brake": float(self._released()),
            "lift.fault_code": 2.0 if self._mode() == 0 else 0.0,
            "lift.speed": self.speed,
            "lift.level_err": self.level_err,
            "lift.vib_z": max(0.0, self.vib[0] + n("vz", sigma)),
            "lift.vib_xy": max(0.0, self.vib[1] + n("vxy", sigma)),
            "lift.door_time": self.door_time,
            "lift.trips": self.trips,
            "lift.run_min": float(int(self.run_s / 60)),
            "lift.motor_temp": self.motor_c + n("motor", 0.15),
            "lift.room_temp": 26.0 + hot + n("room", 0.1),
            "lift.pit_water": float(self.fault("pit_water") > 0),
            "lift.car_call_ok": 1.0,
        }
